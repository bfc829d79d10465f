"""What is asserted of the documents of a month."""

from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.books.agreement import labelled, totals_agree
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.verdict import Verdict
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.invoices.files import read_invoice_totals


def _invoiced(inputs: CheckInputs) -> Verdict:
    left: dict[str, object] = {}
    right: dict[str, object] = {}
    for period in inputs.periods:
        bills = inputs.pin_period(FACTURATION_COMPLETE.name, period)
        sums = bills.totals()
        found = read_invoice_totals(invoice_directory(inputs.settings, period))
        names = ("amount_before_tax", "amount_due")
        left |= labelled(period, sum(bills.rows_by_partition().values()), {name: sums[name] for name in names})
        right |= labelled(
            period, found.invoices, {"amount_before_tax": found.amount_before_tax, "amount_due": found.amount_due}
        )
    return totals_agree("bills = invoices", left, right, ("bills", "invoices"))


_INVOICED = Check(
    "bills_equal_invoices",
    "Σ bills = Σ invoices: the documents are read and added up.",
    _invoiced,
)

GUARD = Guard("invoices", {"invoices": [_INVOICED]})
