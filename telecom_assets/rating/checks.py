"""What is asserted of rated days."""

from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, Guard
from telecom_assets.rating.identities import cleaned_equals_ratings

_RATED = Check(
    "cleaned_equals_rated_plus_suspended",
    "cleaned = rated + suspended, per day.",
    lambda scope: cleaned_equals_ratings(
        scope.pin("cleaned_cdrs"), scope.pin("rated_cdrs"), scope.pin("suspended_cdrs")
    ),
    reads=["suspended_cdrs"],
)

FLOOR_GUARD = Guard("data_volume_floor", {"data_volume_floor": [contract_check("data_volume_floor", unique=True)]})
GUARD = Guard(
    "rating",
    {"rated_cdrs": [_RATED, contract_check("rated_cdrs")], "suspended_cdrs": [contract_check("suspended_cdrs")]},
)
