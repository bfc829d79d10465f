"""What is asserted of the documents of a month."""

from resources.warehouse import sum_exactly
from telecom_assets.billing.tables import CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.billing.zero_bills import skipped_bills
from telecom_assets.books.agreement import labelled, totals_agree
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.verdict import Verdict
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.invoices.stored_set import read_invoice_totals
from telecom_assets.periods.journal import read_periods

_ARE_INVOICED = "bills = invoices"


def _invoiced(inputs: CheckInputs) -> Verdict:
    left: dict[str, object] = {}
    right: dict[str, object] = {}
    closed = read_periods(inputs.warehouse).closed
    for period in inputs.periods:
        tables = [inputs.pin_period(FACTURATION_COMPLETE.name, period)]
        if period in closed:  # separate documents become files with the close
            tables.append(inputs.warehouse.pin_period(CORRECTION_DOCUMENTS.name, period))
        skipped = skipped_bills(inputs.warehouse, period)
        sums = [table.totals() for table in tables]
        found = read_invoice_totals(invoice_directory(inputs.settings, period))
        left |= labelled(
            period,
            sum(sum(table.rows_by_partition().values()) for table in tables) - skipped,
            {name: sum_exactly(each[name] for each in sums) for name in FACTURATION_COMPLETE.money},
        )
        right |= labelled(period, found.invoices, found.sums)
    return totals_agree(_ARE_INVOICED, left, right, ("bills", "invoices"))


_INVOICED = Check(
    "bills_equal_invoices",
    f"{_ARE_INVOICED}, count and every amount: the documents are read and added up.",
    _invoiced,
)

GUARD = Guard("invoices", {"invoices": [_INVOICED]})
