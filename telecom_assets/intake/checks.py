"""What is asserted of landed messages."""

from telecom_assets.books.contracts import keeps_columns
from telecom_assets.books.factory import Check, Guard
from telecom_assets.intake.identities import LANDED_IDENTITY, landed_equals_consumed
from telecom_assets.intake.malformed import few_are_malformed
from telecom_assets.intake.silence import silence_check

_LANDED = Check(
    "landed_equals_consumed",
    f"{LANDED_IDENTITY}: every range of the ledger is in raw_cdrs once and whole, and nothing else is.",
    lambda inputs: landed_equals_consumed(inputs.warehouse_with("raw_cdrs", "landing_ranges")),
)
_MALFORMED = Check(
    "few_are_malformed",
    "At most TELECOM_MALFORMED_SHARE of what landed last is malformed: neither UTF-8 nor one JSON object.",
    lambda inputs: few_are_malformed(
        inputs.warehouse_with("raw_cdrs", "landing_ranges"), inputs.settings.malformed_share
    ),
    advisory=True,
)
_RAW_COLUMNS = Check(
    "raw_keeps_contract",
    "Columns and types of raw_cdrs are as declared.",
    lambda inputs: keeps_columns(inputs.pin("raw_cdrs")),
)

GUARD = Guard("landing", {"landing": [_RAW_COLUMNS, _LANDED, _MALFORMED]})


def silence_guard(hours: int) -> Guard:
    """The check of a silent topic; hours: TELECOM_SILENT_HOURS."""
    return Guard("raw_cdrs", {"raw_cdrs": [silence_check(hours)]})
