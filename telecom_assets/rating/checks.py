"""The checks of rated days, and of the charges that their month decides."""

from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.verdict import Verdict, together
from telecom_assets.rating.identities import (
    CLEANED_EQUALS_RATINGS,
    DEFERRED_EQUALS_IMPUTED,
    cleaned_equals_ratings,
    deferred_equals_imputed,
)
from telecom_assets.rating.tables import PERIOD_CHARGES, SUSPENDED_CDRS

_RATED = Check(
    "cleaned_equals_rated_plus_suspended",
    f"{CLEANED_EQUALS_RATINGS}, per day; on days of approved and closed months + late − gone.",
    lambda inputs: cleaned_equals_ratings(
        inputs.pin("cleaned_cdrs"), inputs.pin("rated_cdrs"), inputs.pin("suspended_cdrs")
    ),
    reads=["suspended_cdrs"],
)


def _imputed(inputs: CheckInputs) -> Verdict:
    """The verdict on the months of the run, or on all billed months. A month that is not billed yet is priced with its bills."""
    warehouse = inputs.warehouse
    by_period = {
        period: deferred_equals_imputed(
            warehouse.pin_period(SUSPENDED_CDRS.name, period), warehouse.pin_period(PERIOD_CHARGES.name, period)
        )
        for period in inputs.periods
    }
    sums = {name: sum(each.figures[name] for each in by_period.values()) for name in ("deferred", "imputed")}
    return together(DEFERRED_EQUALS_IMPUTED, by_period, sums)


_IMPUTED = Check(
    "deferred_equals_imputed",
    f"{DEFERRED_EQUALS_IMPUTED}, per day: events of suspended_cdrs, rows of period_charges.",
    _imputed,
)

PERIOD_GUARD = Guard("period_charges", {"period_charges": [_IMPUTED, contract_check("period_charges", unique=True)]})
GUARD = Guard(
    "rating",
    {"rated_cdrs": [_RATED, contract_check("rated_cdrs")], "suspended_cdrs": [contract_check("suspended_cdrs")]},
)
