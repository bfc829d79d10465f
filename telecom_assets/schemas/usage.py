"""Contracts of the usage tables: landed, cleaned, rejected, rated and suspended CDRs. Terms: 3GPP TS 32.298."""

from telecom_assets.schemas.contract import Column as C
from telecom_assets.schemas.contract import TableContract

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

_IDENTITY = (
    C("source_id", "string", "Identity of the source the message came from: the Kafka topic's id."),
    C("source_part", "int", "Part of the source: the topic's partition."),
    C(
        "source_position",
        "bigint",
        "Position of the message in its part: its offset. With the two before: its identity.",
    ),
)
_RECEIVED = C("received_at", "timestamp", "When the broker appended the message (or landing time), UTC.")
_EVENT_DAY = C("event_date", "date", "Home day of the record, Africa/Casablanca.")

RAW_CDRS = TableContract(
    name="raw_cdrs",
    grain="One row per Kafka message, exactly as it came, with its parsed text fields.",
    key=("source_id", "source_part", "source_position"),
    partition_by="event_date",
    indexed=4,
    columns=(
        *_IDENTITY,
        _RECEIVED,
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
        C("caller_id", "string", "Field caller_id as text.", required=False),
        C("callee_id", "string", "Field callee_id as text.", required=False),
        C("duration_sec", "string", "Field duration_sec as text, seconds.", required=False),
        C("sender_id", "string", "Field sender_id as text.", required=False),
        C("receiver_id", "string", "Field receiver_id as text.", required=False),
        C("user_id", "string", "Field user_id as text.", required=False),
        C("data_volume_mb", "string", "Field data_volume_mb as text, megabytes.", required=False),
        C("session_duration_sec", "string", "Field session_duration_sec as text, seconds.", required=False),
        C("product_code", "string", "Field product_code as text.", required=False),
        _EVENT_DAY,
    ),
)

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
    grain="One row per decision: a month opened, a source accepted, positions given up, a backup adopted. Never edited.",
    key=("raw_version",),
    columns=(
        C("raw_version", "bigint", "Version of raw_cdrs from which on it holds."),
        C("kind", "string", "month_opened, source_accepted, positions_skipped or warehouse_adopted."),
        C("month", "string", "Opened month, yyyy-MM.", required=False),
        C("source_id", "string", "Source that was accepted, or whose positions were given up.", required=False),
        C("source_part", "int", "Part whose positions were given up.", required=False),
        C("from_position", "bigint", "First position that was given up.", required=False),
        C("to_position", "bigint", "Position after the last that was given up.", required=False),
        C("detail", "string", "What it means, in words: how far the source before was landed.", required=False),
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
        C("event_date", "date", "Day whose outcome may have changed: a copy has landed that came before one it keeps."),
        C("raw_version", "bigint", "Version of raw_cdrs that a mediation of the day must have read, or a later one."),
    ),
)

CLEANED_CDRS = TableContract(
    name="cleaned_cdrs",
    grain="One row per valid usage event: normalised, typed, unique.",
    key=("record_id",),
    partition_by="event_date",
    columns=(
        C("record_id", "string", "Identity of the event, from record_ID."),
        C("subscriber_id", "string", "The party that is charged, E.164 without +."),
        C("record_type", "string", "voice, sms or data."),
        C("event_ts", "timestamp", "When the event began, UTC."),
        C(
            "other_party",
            "string",
            "Called or receiving number, E.164 without +; 'inconnu' when missing or no number; NULL for data.",
            required=False,
        ),
        C("cell_id", "string", "Radio cell; 'inconnu' when missing."),
        C("technology", "string", "2G, 3G, 4G or 5G; other values are kept as they came."),
        C("duration_sec", "decimal(18,3)", "Duration of a call, seconds; NULL unless voice.", required=False),
        C(
            "data_volume_mb",
            "decimal(18,6)",
            "Volume of a data session, megabytes; NULL when unknown or not data.",
            required=False,
        ),
        C(
            "session_duration_sec",
            "decimal(18,3)",
            "Duration of a data session, seconds; NULL when unknown.",
            required=False,
        ),
        C("product_code", "string", "Product of the catalogue that the event is."),
        C("rating_status", "string", "ready, or needs_review for data with a missing volume or an unusable session."),
        _RECEIVED,
        *_IDENTITY,
        _EVENT_DAY,
    ),
)

REJECTED_CDRS = TableContract(
    name="rejected_cdrs",
    grain="One row per landed message that is not a usage event, with the first reason that applies.",
    key=("source_id", "source_part", "source_position"),
    partition_by="event_date",
    columns=(
        C("record_id", "string", "Identity the message claims, if any.", required=False),
        C("reason", "string", "First reason, in the order of the mediation rules, that applies."),
        C(
            "detail",
            "string",
            "What was found, shortened to 200 characters; for a copy, the earliest record within reach.",
            required=False,
        ),
        C("record_type", "string", "Record type the message claims, if any.", required=False),
        C(
            "event_ts",
            "timestamp",
            "When the event began, UTC, if that could be read and lies in the years 1900 to 2199.",
            required=False,
        ),
        _RECEIVED,
        *_IDENTITY,
        _EVENT_DAY,
    ),
)

MEDIATED_DAYS = TableContract(
    name="mediated_days",
    grain="One row per mediated day, days without records included: what mediation read and what it wrote.",
    key=("event_date",),
    partition_by="event_date",
    columns=(
        C("raw_rows", "bigint", "Rows of raw_cdrs that were mediated."),
        C("raw_positions", "decimal(38,0)", "Sum of their positions: tells one set of rows from another."),
        C("raw_version", "bigint", "Version of raw_cdrs that was read."),
        C("cleaned_version", "bigint", "Version of cleaned_cdrs that holds its events."),
        C("rejected_version", "bigint", "Version of rejected_cdrs that holds its rejections."),
        C("product_catalog_version", "bigint", "Version of product_catalog that was read."),
        C("dedupe_days", "int", "Setting in force."),
        _EVENT_DAY,
    ),
)

_VERSIONS = (
    C("customers_version", "bigint", "Version of customers it was rated against."),
    C("rate_plans_version", "bigint", "Version of rate_plans it was rated against."),
    C("product_catalog_version", "bigint", "Version of product_catalog it was rated against."),
)
_PERIOD = C("billing_period", "string", "Billing period, yyyy-MM, local.")

RATED_CDRS = TableContract(
    name="rated_cdrs",
    grain="One row per cleaned event that is charged, with every figure that makes its price.",
    key=("record_id",),
    partition_by="event_date",
    money=("amount",),
    columns=(
        C("record_id", "string", "Identity of the event."),
        C("customer_id", "string", "Customer who is charged."),
        C("record_type", "string", "voice, sms or data."),
        C("event_ts", "timestamp", "When the event began, UTC."),
        C("rate_plan_id", "string", "Rate plan of the customer."),
        C("region", "string", "Region of the customer."),
        C("product_code", "string", "Product charged."),
        C("billable_units", "decimal(18,6)", "Units charged or free: started minutes, messages or megabytes."),
        C("free_units_applied", "decimal(18,6)", "Units of the event's own allowance that cost nothing."),
        C("unit_price", "decimal(12,6)", "Price of a unit in the first tier."),
        C(
            "tier_threshold",
            "decimal(18,6)",
            "Units, counted from zero, from which the tier price holds; NULL when flat.",
            required=False,
        ),
        C("tier_price", "decimal(12,6)", "Price of a unit above the threshold; NULL when flat.", required=False),
        C("amount", "decimal(18,6)", "Charge before discount and tax, rounded once, half up."),
        C("rating_status", "string", "ready or needs_review, from mediation."),
        C(
            "imputed",
            "boolean",
            "True when the volume was missing and set by policy; billable_units is the value used.",
        ),
        _PERIOD,
        *_IDENTITY,
        *_VERSIONS,
        _EVENT_DAY,
    ),
)

SUSPENDED_CDRS = TableContract(
    name="suspended_cdrs",
    grain="One row per cleaned event that is not charged, with the first reason that applies.",
    key=("record_id",),
    partition_by="event_date",
    columns=(
        C("record_id", "string", "Identity of the event."),
        C("customer_id", "string", "Subscriber the event names."),
        C("record_type", "string", "voice, sms or data."),
        C("event_ts", "timestamp", "When the event began, UTC."),
        C(
            "reason",
            "string",
            "unknown_customer, prepaid_customer, inactive_customer, unknown_plan, no_price, missing_volume or "
            "amount_out_of_range (10^12 or more).",
        ),
        C("disposition", "string", "excluded (not ours to bill) or suspended (to be worked)."),
        C("product_code", "string", "Product of the event."),
        C("rate_plan_id", "string", "Rate plan of the customer, if known.", required=False),
        C("region", "string", "Region of the customer, if known.", required=False),
        C(
            "billable_units",
            "decimal(18,6)",
            "Started minutes, messages or megabytes; NULL when the volume is missing.",
            required=False,
        ),
        C("rating_status", "string", "ready or needs_review, from mediation."),
        _PERIOD,
        *_IDENTITY,
        *_VERSIONS,
        _EVENT_DAY,
    ),
)

DATA_VOLUME_FLOOR = TableContract(
    name="data_volume_floor",
    grain="One row per customer with a known data volume in the month: its smallest.",
    key=("billing_period", "customer_id"),
    partition_by="billing_period",
    columns=(
        C("customer_id", "string", "Subscriber."),
        C("floor_mb", "decimal(18,6)", "Smallest known data volume over the month's cleaned events, megabytes."),
        _PERIOD,
    ),
)
