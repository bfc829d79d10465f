"""The checks of bills, and of published bills."""

from decimal import Decimal

from resources.postgres import published_totals
from resources.warehouse import sum_exactly
from telecom_assets.billing.correction_identities import (
    corrections_equal_lines,
    documents_equal_lines,
    nothing_below_zero,
)
from telecom_assets.billing.corrections import Corrections
from telecom_assets.billing.identities import bills_equal_lines, lines_equal_charges, rated_equals_billed
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.books.agreement import labelled, totals_agree
from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.verdict import Verdict, together
from telecom_assets.rating.charges import charges_of_month


def _billed(inputs: CheckInputs) -> Verdict:
    by_period = {
        period: rated_equals_billed(
            charges_of_month(inputs.warehouse_with("rated_cdrs", "period_charges"), period),
            inputs.pin_period("facturation_complete", period),
            inputs.pin_period("bill_lines", period),
        )
        for period in inputs.periods
    }
    made = by_period.values()
    sums = {name: sum_exactly(verdict.figures[name] or Decimal(0) for verdict in made) for name in ("rated", "billed")}
    return together("rated + period charges = bills before tax − rounding, per holder", by_period, sums)


_BILLED = Check(
    "rated_equals_billed",
    "Σ rated + Σ period charges = Σ (bills before tax − rounding), per holder, to the last decimal.",
    _billed,
)


def _lined(inputs: CheckInputs) -> Verdict:
    by_period = {
        period: lines_equal_charges(
            charges_of_month(inputs.warehouse_with("rated_cdrs", "period_charges"), period),
            inputs.pin_period("bill_lines", period),
        )
        for period in inputs.periods
    }
    made = by_period.values()
    sums = {name: sum_exactly(verdict.figures[name] for verdict in made) for name in ("rated", "lined")}
    return together("rated + period charges = usage lines, by service, plan and region", by_period, sums)


_LINED = Check(
    "lines_equal_charges",
    "Σ rated + Σ period charges = Σ usage lines, by service, plan and region, to the last decimal.",
    _lined,
)


def _of_lines(inputs: CheckInputs) -> Verdict:
    by_period = {
        period: bills_equal_lines(
            inputs.pin_period("bill_lines", period), inputs.pin_period("facturation_complete", period)
        )
        for period in inputs.periods
    }
    return together("lines = bills, per holder: before tax, exact, discount and tax", by_period, {})


_OF_LINES = Check(
    "bills_equal_lines",
    "Each bill is what its lines add up to: before tax, exact, discount and tax.",
    _of_lines,
)


def _published(inputs: CheckInputs) -> Verdict:
    connection = inputs.postgres.connect()
    left: dict[str, object] = {}
    right: dict[str, object] = {}
    for period in inputs.periods:
        bills = inputs.pin_period(FACTURATION_COMPLETE.name, period)
        rows, sums = published_totals(connection, bills.contract, period, bills.contract.money)
        left |= labelled(period, sum(bills.rows_by_partition().values()), bills.totals())
        right |= labelled(period, rows, sums)
        documents = inputs.warehouse.pin_period(CORRECTION_DOCUMENTS.name, period)
        if documents.rows_by_partition():
            label = f"{period}, documents of corrections"
            rows, sums = published_totals(connection, documents.contract, period, documents.contract.money)
            left |= labelled(label, sum(documents.rows_by_partition().values()), documents.totals())
            right |= labelled(label, rows, sums)
    return totals_agree("bills = published rows", left, right, ("bills", "published"))


_PUBLISHED = Check(
    "bills_equal_published",
    "Σ bills = Σ published rows: count and every amount.",
    _published,
)


def _corrected(inputs: CheckInputs) -> Verdict:
    by_period = {}
    for period in inputs.periods:
        corrections = Corrections.pin(inputs.warehouse, period)
        by_period[period] = corrections_equal_lines(
            corrections.rows, corrections.manual, inputs.pin_period(BILL_LINES.name, period)
        )
    return together("billed adjustments and manual lines = lines of these kinds, per holder", by_period, {})


_CORRECTED = Check(
    "corrections_equal_lines",
    "Σ billed adjustments and what people added = Σ lines of these kinds, per holder and original period.",
    _corrected,
)


def _capped(inputs: CheckInputs) -> Verdict:
    by_period = {period: nothing_below_zero(inputs.pin_period(BILL_LINES.name, period)) for period in inputs.periods}
    return together("what remains of each closed month is not below zero", by_period, {})


_CAPPED = Check(
    "nothing_below_zero",
    "No more is given back of a closed month than it came to, by holder and tax rate. Advisory: a person's credit may have come first.",
    _capped,
    advisory=True,
)


def _of_documents(inputs: CheckInputs) -> Verdict:
    by_period = {
        period: documents_equal_lines(
            inputs.pin_period(BILL_LINES.name, period), inputs.pin_period(CORRECTION_DOCUMENTS.name, period)
        )
        for period in inputs.periods
    }
    return together("lines = documents of corrections: before tax, exact, discount and tax", by_period, {})


_OF_DOCUMENTS = Check(
    "documents_equal_lines",
    "Each document of corrections is what its lines add up to: before tax, exact, discount and tax.",
    _of_documents,
)

LINES_GUARD = Guard(
    "bill_lines", {"bill_lines": [_LINED, _CORRECTED, _CAPPED, contract_check("bill_lines", unique=True)]}
)
GUARD = Guard(
    "facturation_complete",
    {"facturation_complete": [_BILLED, _OF_LINES, contract_check("facturation_complete", unique=True)]},
)
DOCUMENTS_GUARD = Guard(
    "correction_documents",
    {"correction_documents": [_OF_DOCUMENTS, contract_check("correction_documents", unique=True)]},
)
PUBLISHED_GUARD = Guard("published_bills", {"published_bills": [_PUBLISHED]})
