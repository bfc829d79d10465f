"""Contracts of the tables of mediation: cleaned events, rejections and its ledger. Terms: 3GPP TS 32.298."""

from resources.contract import Column as C
from resources.contract import Counted, TableContract
from telecom_assets.model.columns import EVENT_DAY, MESSAGE_KEY_COLUMNS, RECEIVED_AT
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes

#: The columns that tell one landed message from another.
MESSAGE_KEY = ("source_part", "source_position", "source_id")


def cleaned_cdrs(record_types: RecordTypes) -> TableContract:
    """cleaned_cdrs with the quantities of these record types: a column for each, NULL in events of other types."""
    return TableContract(
        name="cleaned_cdrs",
        grain="One row per valid usage event: normalised, typed, unique.",
        key=("record_id",),
        partition_by="event_date",
        counted=Counted("mediation", "'cleaned'", of="record_type", measured="quantities"),
        columns=(
            C("record_id", "string", "Identity of the event, from record_ID."),
            C("subscriber_id", "string", "The party that is charged, E.164 without +."),
            C("record_type", "string", f"{record_types.in_words}."),
            C("event_ts", "timestamp", "When the event began, UTC."),
            C(
                "other_party",
                "string",
                "Called or receiving number, E.164 without +; 'inconnu' when missing or no number; NULL for a record type "
                "without one.",
                required=False,
            ),
            C("cell_id", "string", "Radio cell; 'inconnu' when missing."),
            C("technology", "string", "2G, 3G, 4G or 5G; other values are kept as they came."),
            *(
                C(each.field, each.type, each.doc, required=False, later=True)
                for each in record_types.quantities.values()
            ),
            C("product_code", "string", "Product of the catalogue that the event is."),
            C("rating_status", "string", "ready, or needs_review for an event that lacks one of its quantities."),
            RECEIVED_AT,
            *MESSAGE_KEY_COLUMNS,
            EVENT_DAY,
        ),
    )


CLEANED_CDRS = cleaned_cdrs(RECORD_TYPES)

REJECTED_CDRS = TableContract(
    name="rejected_cdrs",
    grain="One row per landed message that is not a usage event, with the first reason that applies.",
    key=("source_id", "source_part", "source_position"),
    partition_by="event_date",
    counted=Counted("mediation", "'rejected'", "reason", of="record_type"),
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
        RECEIVED_AT,
        *MESSAGE_KEY_COLUMNS,
        EVENT_DAY,
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
        EVENT_DAY,
    ),
)

RESUBMISSIONS = TableContract(
    name="resubmissions",
    grain="One row per refused message and correction of it that a person has sent. Never edited.",
    key=("resubmission_no", "source_id", "source_part", "source_position"),
    columns=(
        C("resubmission_no", "int", "Number of the resubmission, from 1; the corrections of one file share it."),
        *MESSAGE_KEY_COLUMNS,
        C("reason", "string", "Why the original was refused."),
        C("record_id", "string", "Identity of the correction: that of the original, where it had one."),
        C("correction_digest", "string", "SHA-256 of the correction's bytes, which tells its message on the topic."),
        C("decided_at", "timestamp", "When, UTC. Noted before it is sent."),
        C("decided_by", "string", "Name that was given with it.", required=False),
        C("system_user", "string", "User of the operating system that it was made as."),
        C("why", "string", "Reason that was given with it.", required=False),
    ),
)
