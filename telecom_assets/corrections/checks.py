"""The checks of what corrects closed months."""

from telecom_assets.books.contracts import keeps_contract
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.verdict import Verdict, together
from telecom_assets.corrections.identities import IDENTITY, right_is_settled_and_adjusted
from telecom_assets.corrections.looking_back import Journals
from telecom_assets.corrections.tables import ADJUSTED_MONTHS, ADJUSTMENTS


def _adjusted(inputs: CheckInputs) -> Verdict:
    journals = Journals.of(inputs.warehouse)
    by_period = {
        period: right_is_settled_and_adjusted(journals, period, inputs.settings.adjustment_months, inputs.record_types)
        for period in inputs.periods
    }
    return together(IDENTITY, by_period, {})


_ADJUSTED = Check(
    "right_equals_settled_plus_adjusted",
    f"{IDENTITY}.",
    _adjusted,
    reads=[ADJUSTED_MONTHS.name],
)


def _kept(name: str) -> Check:
    """The check of a table's contract. A month that a former version has billed corrects nothing, and need not have the table."""
    return Check(
        "keeps_contract",
        f"Columns, types and required values of {name} are as declared, and its key is unique.",
        lambda inputs: keeps_contract(inputs.warehouse.pin(name, inputs.months), unique=True),
    )


GUARD = Guard(
    "adjustments",
    {
        ADJUSTMENTS.name: [_ADJUSTED, _kept(ADJUSTMENTS.name)],
        ADJUSTED_MONTHS.name: [_kept(ADJUSTED_MONTHS.name)],
    },
)
