"""Columns that tables of several stages share: one description each."""

from resources.contract import Column as C

#: The columns that tell one landed message from another.
MESSAGE_KEY_COLUMNS = (
    C("source_id", "string", "Identity of the source the message came from: the Kafka topic's id."),
    C("source_part", "int", "Part of the source: the topic's partition."),
    C(
        "source_position",
        "bigint",
        "Position of the message in its part: its offset. With the two before: its identity.",
    ),
)
RECEIVED_AT = C("received_at", "timestamp", "When the broker appended the message (or landing time), UTC.")
EVENT_DAY = C("event_date", "date", "Home day of the record, Africa/Casablanca.")
BILLING_PERIOD = C("billing_period", "string", "Billing period, yyyy-MM, local.")
