"""Conservation: the identities between stages, computed from the tables.

Belongs here: each identity once, as a function from pinned tables to a verdict. Asset checks show the verdicts; stages
that write money ask for them again on the versions they pinned, because a check gates only its own run. A version does
not change, so what a process has added up of one it does not add up again.
"""

from telecom_assets.conservation.landing import landed_equals_consumed, landed_rows_are_consumed
from telecom_assets.conservation.money import rated_equals_billed, rows_agree, totals_agree
from telecom_assets.conservation.usage import (
    cleaned_equals_ratings,
    missing_volumes_follow,
    month_is_mediated,
    no_day_is_stale,
    one_tariff,
    raw_equals_outcomes,
    records_are_unique,
    references_are_valid,
)
from telecom_assets.conservation.verdict import ConservationError, Verdict, asked, require, together

__all__ = [
    "ConservationError",
    "Verdict",
    "asked",
    "cleaned_equals_ratings",
    "landed_equals_consumed",
    "landed_rows_are_consumed",
    "missing_volumes_follow",
    "month_is_mediated",
    "no_day_is_stale",
    "one_tariff",
    "rated_equals_billed",
    "raw_equals_outcomes",
    "records_are_unique",
    "references_are_valid",
    "require",
    "rows_agree",
    "together",
    "totals_agree",
]
