"""The checks of mediated days."""

from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, Guard
from telecom_assets.mediation.identities import RAW_EQUALS_OUTCOMES, raw_equals_outcomes, records_are_unique

_MEDIATED = Check(
    "raw_equals_cleaned_plus_rejected",
    f"{RAW_EQUALS_OUTCOMES}, per day.",
    lambda inputs: raw_equals_outcomes(
        inputs.pin("mediated_days"), inputs.pin("cleaned_cdrs"), inputs.pin("rejected_cdrs")
    ),
    reads=["rejected_cdrs", "mediated_days"],
)
_UNIQUE = Check(
    "records_are_unique",
    "No record is cleaned twice within the days of TELECOM_DEDUPE_DAYS.",
    lambda inputs: records_are_unique(inputs.pin("cleaned_cdrs"), inputs.settings.dedupe_days),
)

GUARD = Guard(
    "mediation",
    {
        "cleaned_cdrs": [_MEDIATED, _UNIQUE, contract_check("cleaned_cdrs")],
        "rejected_cdrs": [contract_check("rejected_cdrs")],
        "mediated_days": [contract_check("mediated_days", unique=True)],
    },
)
