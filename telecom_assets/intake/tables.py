"""Contracts of the tables of intake: landed messages and the ledgers of landing. Terms: 3GPP TS 32.298."""

from resources.contract import Column as C
from resources.contract import Counted, TableContract
from telecom_assets.model.columns import EVENT_DAY, MESSAGE_KEY_COLUMNS, RECEIVED_AT
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

_COLUMNS_BEFORE_FIELDS = (
    *MESSAGE_KEY_COLUMNS,
    RECEIVED_AT,
    C("kafka_topic", "string", "Topic the message lay in, by name."),
    C("value", "binary", "The message's bytes, untouched. NULL for a message without a value.", required=False),
    C(
        "admission_error",
        "string",
        "malformed_utf8 or malformed_json; NULL for one JSON object, nested at most eight deep.",
        required=False,
    ),
    C("record_id", "string", "Field record_ID as text; NULL when absent, null, empty or nested.", required=False),
    C("record_type", "string", "Field record_type as text; […] or {…} for a nested value.", required=False),
    C("timestamp_text", "string", "Field timestamp as text; […] or {…} for a nested value.", required=False),
    C(
        "event_ts",
        "timestamp",
        "The timestamp as an instant (UTC); NULL unless a full ISO 8601 date and time of the years 1900 to 2199.",
        required=False,
    ),
    C("cell_id", "string", "Field cell_id as text.", required=False),
    C("technology", "string", "Field technology as text.", required=False),
)


def raw_cdrs(record_types: RecordTypes) -> TableContract:
    """raw_cdrs with the fields of these record types: a column of text for each, whatever type of record has it."""
    quantities = record_types.quantities
    return TableContract(
        name="raw_cdrs",
        grain="One row per Kafka message, exactly as it came, with its parsed text fields.",
        key=("source_id", "source_part", "source_position"),
        partition_by="event_date",
        indexed=4,
        counted=Counted("landing", "'received'", of="record_type"),
        columns=(
            *_COLUMNS_BEFORE_FIELDS,
            *(
                C(name, "string", f"Field {name} as text{unit}.", required=False, later=True)
                for name in record_types.own_fields
                for unit in [f", {quantities[name].unit}" if name in quantities else ""]
            ),
            EVENT_DAY,
        ),
    )


RAW_CDRS = raw_cdrs(RECORD_TYPES)

LANDING_RANGES = TableContract(
    name="landing_ranges",
    grain="One row per landed range of one part of a source: the ledger of what was consumed.",
    key=("source_id", "source_part", "from_position"),
    columns=(
        C("source_id", "string", "Identity of the source: a topic that was deleted and made again has another."),
        C("kafka_topic", "string", "Name of the topic."),
        C("source_part", "int", "Part of the source: the topic's partition."),
        C("from_position", "bigint", "First position (offset) of the range."),
        C("to_position", "bigint", "Position after the last of the range."),
        C("records", "bigint", "Messages in the range; fewer than its width where positions hold no message."),
        C("raw_version", "bigint", "Version of raw_cdrs that holds the range."),
        C("run_id", "string", "Dagster run that landed it."),
        C("landed_at", "timestamp", "When it was landed, UTC."),
    ),
)

LANDING_DECISIONS = TableContract(
    name="landing_decisions",
    grain="One row per decision: a month opened, a source accepted, positions given up, a backup adopted, a copy chosen. Never edited.",
    key=("raw_version",),
    columns=(
        C("raw_version", "bigint", "Version of raw_cdrs from which on it holds."),
        C("kind", "string", "month_opened, source_accepted, positions_skipped, warehouse_adopted or copy_chosen."),
        C("month", "string", "Opened month, yyyy-MM.", required=False),
        C(
            "source_id",
            "string",
            "Source that was accepted, whose positions were given up, or of the chosen copy.",
            required=False,
        ),
        C("source_part", "int", "Part whose positions were given up, or of the chosen copy.", required=False),
        C("from_position", "bigint", "First position that was given up; position of the chosen copy.", required=False),
        C("to_position", "bigint", "Position after the last that was given up.", required=False),
        C(
            "detail",
            "string",
            "What it means, in words: how far the source before was landed; the record id of a chosen copy.",
            required=False,
        ),
        C("decided_by", "string", "Name that was given with it.", required=False),
        C("why", "string", "Reason that was given with it.", required=False),
        C("decided_at", "timestamp", "When, UTC."),
    ),
)

DISPLACED_DAYS = TableContract(
    name="displaced_days",
    grain="One row per day and landing that asks to mediate it again though no row of it is new. Never edited.",
    key=("event_date", "raw_version"),
    columns=(
        C(
            "event_date",
            "date",
            "Day whose outcome may have changed: a copy has landed that came before one it keeps, or one was chosen.",
        ),
        C("raw_version", "bigint", "Version of raw_cdrs that a mediation of the day must have read, or a later one."),
    ),
)
