"""The checks of bills, and of published bills."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from resources.postgres import PostgresConnection, TableMissing, published_totals
from resources.warehouse import PinnedTable, sum_exactly
from telecom_assets.billing.correction_identities import (
    CORRECTIONS_EQUAL_LINES,
    DOCUMENTS_EQUAL_LINES,
    NOTHING_BELOW_ZERO,
    corrections_equal_lines,
    documents_equal_lines,
    nothing_below_zero,
)
from telecom_assets.billing.corrections import Corrections, closed_lines
from telecom_assets.billing.identities import (
    BILLS_EQUAL_LINES,
    LINES_EQUAL_CHARGES,
    RATED_EQUALS_BILLED,
    bills_equal_lines,
    lines_equal_charges,
    rated_equals_billed,
)
from telecom_assets.billing.left_aside import Holders, left_aside
from telecom_assets.billing.period_identities import BILLS_ADD_UP, DOCUMENTS_ADD_UP, bills_add_up, documents_add_up
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.books.agreement import labelled, totals_agree
from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.totals import amounts_of
from telecom_assets.books.verdict import Verdict, together
from telecom_assets.rating.charges import Charges, charges_of_month


def _month_by_month(
    name: str,
    identity: str,
    judge: Callable[[CheckInputs, str], Verdict],
    *,
    sums: Sequence[str] = (),
    advisory: str = "",
    leaves_aside: bool = False,
) -> Check:
    """A check that asks each month of its run, and says all verdicts as one.

    sums: figures that are added up over the months. advisory: why the check warns only, where it does.
    leaves_aside: whether the figures say how many holders are (`left_aside`).
    """

    def of_all(inputs: CheckInputs) -> Verdict:
        by_period = {period: judge(inputs, period) for period in inputs.periods}
        figures: dict[str, Any] = {
            figure: sum_exactly(verdict.figures[figure] or Decimal(0) for verdict in by_period.values())
            for figure in sums
        }
        if leaves_aside and (aside := sum(len(_aside(inputs, period)) for period in inputs.periods)):
            figures["holders_left_aside"] = aside
        return together(identity, by_period, figures)

    description = f"{identity}." + (f" Advisory: {advisory}." if advisory else "")
    return Check(name, description, of_all, advisory=bool(advisory))


def _charges(inputs: CheckInputs, period: str) -> Charges:
    return charges_of_month(inputs.warehouse_with("rated_cdrs", "period_charges"), period)


def _lines(inputs: CheckInputs, period: str) -> PinnedTable:
    return inputs.pin_period(BILL_LINES.name, period)


def _bills(inputs: CheckInputs, period: str) -> PinnedTable:
    return inputs.pin_period(FACTURATION_COMPLETE.name, period)


def _aside(inputs: CheckInputs, period: str) -> Holders:
    return left_aside(inputs.warehouse, period)


_BILLED = _month_by_month(
    "rated_equals_billed",
    RATED_EQUALS_BILLED,
    lambda inputs, period: rated_equals_billed(
        _charges(inputs, period), _bills(inputs, period), _lines(inputs, period), _aside(inputs, period)
    ),
    sums=("rated", "billed"),
    leaves_aside=True,
)
_LINED = _month_by_month(
    "lines_equal_charges",
    LINES_EQUAL_CHARGES,
    lambda inputs, period: lines_equal_charges(_charges(inputs, period), _lines(inputs, period)),
    sums=("rated", "lined"),
)
_OF_LINES = _month_by_month(
    "bills_equal_lines",
    BILLS_EQUAL_LINES,
    lambda inputs, period: bills_equal_lines(_lines(inputs, period), _bills(inputs, period), _aside(inputs, period)),
    leaves_aside=True,
)
_ADDED_UP = _month_by_month(
    "bills_add_up",
    BILLS_ADD_UP,
    lambda inputs, period: bills_add_up(
        _charges(inputs, period), _lines(inputs, period), _bills(inputs, period), _aside(inputs, period)
    ),
    leaves_aside=True,
)
_CORRECTED = _month_by_month(
    "corrections_equal_lines",
    CORRECTIONS_EQUAL_LINES,
    lambda inputs, period: corrections_equal_lines(
        *Corrections.pin(inputs.warehouse, period).read, _lines(inputs, period)
    ),
)
_CAPPED = _month_by_month(
    "nothing_below_zero",
    NOTHING_BELOW_ZERO,
    lambda inputs, period: nothing_below_zero(_lines(inputs, period)),
    advisory="a person's credit may have come first",
)
_OF_DOCUMENTS = _month_by_month(
    "documents_equal_lines",
    DOCUMENTS_EQUAL_LINES,
    lambda inputs, period: documents_equal_lines(
        _lines(inputs, period), inputs.pin_period(CORRECTION_DOCUMENTS.name, period)
    ),
)
_DOCUMENTS_ADDED_UP = _month_by_month(
    "documents_add_up",
    DOCUMENTS_ADD_UP,
    lambda inputs, period: documents_add_up(
        _lines(inputs, period), inputs.pin_period(CORRECTION_DOCUMENTS.name, period)
    ),
)


_ARE_PUBLISHED = "bills and documents of corrections = published rows"


def _published(inputs: CheckInputs) -> Verdict:
    connection = inputs.postgres.connect()
    left: dict[str, object] = {}
    right: dict[str, object] = {}
    for period in inputs.periods:
        bills = _bills(inputs, period)
        left |= _totals(period, bills)
        right |= labelled(period, *published_totals(connection, bills.contract, period, bills.contract.money))
        documents = inputs.warehouse.pin_period(CORRECTION_DOCUMENTS.name, period)
        if documents.rows_by_partition() or closed_lines(inputs.warehouse, period) is not None:
            label = f"{period}, documents of corrections"
            left |= _totals(label, documents)
            right |= labelled(label, *_published_documents(connection, documents, period))
    return totals_agree(_ARE_PUBLISHED, left, right, ("bills", "published"))


def _totals(label: str, pinned: PinnedTable) -> Mapping[str, object]:
    return labelled(label, sum(pinned.rows_by_partition().values()), amounts_of(pinned))


def _published_documents(
    connection: PostgresConnection, documents: PinnedTable, period: str
) -> tuple[int, dict[str, Decimal]]:
    """Their table is made when the first month is published that corrects closed ones."""
    with suppress(TableMissing):
        return published_totals(connection, documents.contract, period, documents.contract.money)
    return 0, dict.fromkeys(documents.contract.money, Decimal(0))


_PUBLISHED = Check(
    "bills_equal_published",
    f"{_ARE_PUBLISHED}: count and every amount.",
    _published,
)

LINES_GUARD = Guard(
    "bill_lines", {"bill_lines": [_LINED, _CORRECTED, _CAPPED, contract_check("bill_lines", unique=True)]}
)
GUARD = Guard(
    "facturation_complete",
    {"facturation_complete": [_BILLED, _OF_LINES, _ADDED_UP, contract_check("facturation_complete", unique=True)]},
)
DOCUMENTS_GUARD = Guard(
    "correction_documents",
    {
        "correction_documents": [
            _OF_DOCUMENTS,
            _DOCUMENTS_ADDED_UP,
            contract_check("correction_documents", unique=True),
        ]
    },
)
PUBLISHED_GUARD = Guard("published_bills", {"published_bills": [_PUBLISHED]})
