"""The input contract of a CDR: its fields and how much of anything one may hold. Terms: 3GPP TS 32.298."""

#: The fields of the input contract, as they are named in a message, in the order of the contract.
CDR_FIELDS = (
    "record_ID",
    "record_type",
    "timestamp",
    "cell_id",
    "technology",
    "caller_id",
    "callee_id",
    "duration_sec",
    "sender_id",
    "receiver_id",
    "user_id",
    "data_volume_mb",
    "session_duration_sec",
    "product_code",
)
#: The most seconds of a call or a session, and megabytes of a session; more is out of range.
MAX_QUANTITY = 10_000_000
