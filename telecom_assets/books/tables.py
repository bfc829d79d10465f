"""Contract of the control totals."""

from resources.contract import Column as C
from resources.contract import TableContract

#: Record type of rows whose text is none of the record types in force, or that have none.
OTHER = "other"

CONTROL_TOTALS = TableContract(
    name="control_totals",
    grain="One row per state of a day or period of a table, record type, outcome and reason: how many rows, and their sums. Never "
    "edited.",
    key=(
        *("counted_table", "counted_id", "counted_version", "counted_commit", "day_or_period"),
        *("record_type", "outcome", "reason"),
    ),
    partition_by="billing_period",
    columns=(
        C("counted_table", "string", "Table that is counted."),
        C("counted_id", "string", "Id of the table: one that was made again has another."),
        C(
            "counted_version",
            "bigint",
            "Version of the table that changed the day or period last: the state counted here.",
        ),
        C(
            "counted_commit",
            "string",
            "What tells that commit from another of the same version, after the table was restored from a backup; empty where the log "
            "has lost it.",
        ),
        C("day_or_period", "string", "Partition of the table: yyyy-MM-dd, or yyyy-MM."),
        C("record_type", "string", "A record type in force; other for any other text, and for none."),
        C("stage", "string", "Stage that wrote the rows."),
        C("outcome", "string", "What became of the records; the name of the amount, where a row has several."),
        C("reason", "string", "Reason of the outcome; empty without one."),
        C("records", "bigint", "Rows of the table."),
        C(
            "positions",
            "decimal(38,0)",
            "Sum of their positions on the topic; NULL where they have none.",
            required=False,
        ),
        C(
            "seconds",
            "decimal(38,3)",
            "Seconds: measured ones, and charged ones once rated; NULL without.",
            required=False,
        ),
        C(
            "megabytes",
            "decimal(38,6)",
            "Megabytes: measured ones, and charged ones once rated; NULL without.",
            required=False,
        ),
        C("money", "decimal(38,6)", "Sum of the amounts, in the currency of the bills; NULL without.", required=False),
        C("billing_period", "string", "Month of the day or period, yyyy-MM, local."),
    ),
)
