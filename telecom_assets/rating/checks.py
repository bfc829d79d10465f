"""What is asserted of rated days, and of the charges that their month decides."""

from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, Guard
from telecom_assets.rating.identities import cleaned_equals_ratings, deferred_equals_imputed

_RATED = Check(
    "cleaned_equals_rated_plus_suspended",
    "cleaned = rated + suspended, per day.",
    lambda scope: cleaned_equals_ratings(
        scope.pin("cleaned_cdrs"), scope.pin("rated_cdrs"), scope.pin("suspended_cdrs")
    ),
    reads=["suspended_cdrs"],
)

_IMPUTED = Check(
    "deferred_equals_imputed",
    "Deferred events = rows of period_charges, per day.",
    lambda scope: deferred_equals_imputed(scope.pin("suspended_cdrs"), scope.pin("period_charges")),
)

PERIOD_GUARD = Guard("period_charges", {"period_charges": [_IMPUTED, contract_check("period_charges", unique=True)]})
GUARD = Guard(
    "rating",
    {"rated_cdrs": [_RATED, contract_check("rated_cdrs")], "suspended_cdrs": [contract_check("suspended_cdrs")]},
)
