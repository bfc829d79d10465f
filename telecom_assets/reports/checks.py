"""The checks of the reports and of the files for spreadsheets."""

from resources.warehouse import PinnedTable, stream_batches, sum_exactly
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, HOLDER
from telecom_assets.books.agreement import rows_agree
from telecom_assets.books.contract_checks import contract_check
from telecom_assets.books.factory import Check, CheckInputs, Guard
from telecom_assets.books.verdict import Verdict, together
from telecom_assets.home.output_files import bills_file, report_file
from telecom_assets.rating.charges import Charges, charges_of_month
from telecom_assets.reports.csv_files import differing_rows, read_csv_rows, read_report_csv, with_currency
from telecom_assets.reports.month_reports import currency_of, month_report
from telecom_assets.reports.tables import REPORTS, TOP10_CONSUMERS, TRAFFIC_HOURLY

_ARE_IN_FILE = "bills = rows of bills.csv"


def _in_file(inputs: CheckInputs) -> Verdict:
    return together(_ARE_IN_FILE, {period: _file_verdict(inputs, period) for period in inputs.periods}, {})


def _file_verdict(inputs: CheckInputs, period: str) -> Verdict:
    bills = inputs.pin_period(FACTURATION_COMPLETE.name, period)
    schema = bills.contract.arrow_schema()
    path = bills_file(inputs.settings, period)
    if not path.exists():
        return Verdict("", [f"{period}: there is no file {path}"])
    rows = differing_rows(stream_batches(bills.df.orderBy(*HOLDER)), read_csv_rows(path, schema), schema)
    findings = [f"{period}: the CSV file and the bills differ"] if rows else []
    names = ("bills", "CSV file")
    sides = [{"only in": name, **row} for pair in rows for name, row in zip(names, pair, strict=True) if row]
    return Verdict("", findings, differs=sides)


_IN_FILE = Check(
    "bills_equal_file",
    f"{_ARE_IN_FILE}: every row and every figure, in the order of customers.",
    _in_file,
)


def _report_source(name: str) -> Check:
    """A report equals its source: it holds what its tables give as they are now, and its file holds the same rows."""

    def judge(inputs: CheckInputs) -> Verdict:
        by_period = {period: _report_verdict(inputs, name, period) for period in inputs.periods}
        return together(
            "the report equals its source",
            by_period,
            {"version": inputs.pin(name).version},
            otherwise="the report does not equal its source",
        )

    return Check("equals_source", "The report, its source and its CSV file say the same.", judge)


def _report_verdict(inputs: CheckInputs, name: str, period: str) -> Verdict:
    month = inputs.pin_period(name, period)
    charges = charges_of_month(inputs.warehouse_with("rated_cdrs", "period_charges"), period)
    bills = inputs.pin_period(FACTURATION_COMPLETE.name, period)
    report = month.arrow()
    lines = inputs.pin_period(BILL_LINES.name, period)
    made = month_report(name, charges, lines, bills, inputs.record_types)
    source = rows_agree("", report, made, ("report", "source"))
    documents = inputs.warehouse.pin_period(CORRECTION_DOCUMENTS.name, period)
    findings = [*source.findings, *_total_findings(month, charges, bills, documents)]
    settings = inputs.settings
    stored = with_currency(report, currency_of(bills, settings.currency))
    path = report_file(settings, period, name)
    file = rows_agree("", stored, read_report_csv(path, stored.schema), ("table", "CSV file"))
    if not file.passed:
        findings.append(f"{period}: the CSV file and the table differ")
    return Verdict("the report equals its source", findings, differs=[*source.differs, *file.differs])


def _total_findings(report: PinnedTable, charges: Charges, bills: PinnedTable, documents: PinnedTable) -> list[str]:
    """The report's total against the source's, computed without the report's own rule."""
    if report.name in (TOP10_CONSUMERS.name, TRAFFIC_HOURLY.name):
        return []
    column = report.contract.money[0]
    total = report.totals()[column]
    billed = sum_exactly(table.totals()["amount_due"] for table in (bills, documents))
    expected = charges.total() if column == "revenue" else billed
    return [] if total == expected else [f"total {total:f}, its source adds up to {expected:f}"]


BILLS_CSV_GUARD = Guard("bills_csv", {"bills_csv": [_IN_FILE]})
GUARD = Guard(
    "reports",
    {
        contract.name: [_report_source(contract.name), contract_check(contract.name, unique=True)]
        for contract in REPORTS
    },
)
