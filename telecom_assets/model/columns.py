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

VALID_FROM, VALID_TO = "valid_from", "valid_to"
#: The columns that give the rows of a table dates. `later`: a warehouse of the former version lacks them, and NULL is right there.
VALIDITY = (
    C(VALID_FROM, "date", "First local day on which the row is in force; NULL: no bound.", required=False, later=True),
    C(VALID_TO, "date", "First local day on which it is not any more; NULL: no bound.", required=False, later=True),
)
