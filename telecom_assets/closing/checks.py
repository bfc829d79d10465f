"""The checks of frozen periods, and of the documents of closed ones."""

from dataclasses import replace

from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.closing.document_files import files_have_their_digests
from telecom_assets.closing.frozen import frozen_rows_are_unwritten, frozen_rows_have_their_digest
from telecom_assets.closing.identities import DOCUMENTS_EQUAL_BILLS, documents_equal_bills, numbers_have_no_gap
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.model.calendar import ZONE
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import CLOSED
from telecom_assets.periods.tables import BILLING_PERIODS


def frozen_periods(inputs: CheckInputs) -> list[str]:
    """The frozen periods that a run is about: those of its months, or all."""
    frozen = read_periods(inputs.warehouse).frozen
    return [month for month in frozen if inputs.months is None or month in inputs.months]


def digested_periods(inputs: CheckInputs) -> list[str]:
    """The frozen periods whose rows are read: those of the run's months; of all, one in turn by the day, or with `full` each."""
    if inputs.full:
        return read_periods(inputs.warehouse).frozen
    return _in_turn(inputs, frozen_periods(inputs))


def issued_periods(inputs: CheckInputs) -> list[str]:
    """The periods whose documents are read: those of the run's months; of all, one in turn by the day, or with `full` each."""
    if inputs.full:
        return periods_with_documents(replace(inputs, months=None))
    return _in_turn(inputs, periods_with_documents(inputs))


def _in_turn(inputs: CheckInputs, months: list[str]) -> list[str]:
    if inputs.months is not None or not months:
        return months
    return [months[inputs.clock().astimezone(ZONE).toordinal() % len(months)]]


def periods_with_documents(inputs: CheckInputs) -> list[str]:
    """The months of a run, or all, that were closed with their bills."""
    periods = read_periods(inputs.warehouse)
    with_bills = [each.billing_period for each in periods.changes if (each.state, each.way) == (CLOSED, "bills")]
    return sorted(month for month in with_bills if inputs.months is None or month in inputs.months)


_UNWRITTEN = Check(
    "frozen_rows_are_unwritten",
    "No commit has changed rows of an approved or closed month, but those of its close.",
    lambda inputs: frozen_rows_are_unwritten(inputs.warehouse, frozen_periods(inputs)),
)
_AS_DIGESTED = Check(
    "frozen_rows_have_their_digest",
    "The rows of an approved or closed month are those of its digest: one month in turn, with `telecom check --full` all.",
    lambda inputs: frozen_rows_have_their_digest(inputs.warehouse, digested_periods(inputs)),
)

GUARD = Guard(BILLING_PERIODS.name, {BILLING_PERIODS.name: [_UNWRITTEN, _AS_DIGESTED]})

_NUMBERED = Check(
    "numbers_have_no_gap",
    "In each series and calendar year the numbers of documents are 1 to n, each once.",
    lambda inputs: numbers_have_no_gap(inputs.warehouse),
)
_OF_BILLS = Check(
    "documents_equal_bills",
    f"{DOCUMENTS_EQUAL_BILLS}, of closed months: count and every amount. No other month has documents.",
    lambda inputs: documents_equal_bills(inputs.warehouse, periods_with_documents(inputs)),
)

_AS_ISSUED = Check(
    "files_have_their_digests",
    "Each file of issued documents, as XML, UBL and PDF, has its digest: one closed month in turn, with `telecom check --full` all.",
    lambda inputs: files_have_their_digests(inputs.warehouse, inputs.settings, issued_periods(inputs)),
)

DOCUMENTS_GUARD = Guard(DOCUMENTS.name, {DOCUMENTS.name: [_NUMBERED, _OF_BILLS, _AS_ISSUED]})
