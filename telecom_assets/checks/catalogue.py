"""Which check guards which asset.

All are blocking, so that a run stops at the first stage whose books do not balance, but those that only advise.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import dagster as dg

from resources.delta import PinnedTable, stream_batches, sum_exactly
from resources.postgres import published_totals
from telecom_assets.checks.contracts import keeps_columns, keeps_contract
from telecom_assets.checks.factory import Check, Guard, Scope, step_of
from telecom_assets.checks.silence import silence_check
from telecom_assets.conservation import (
    Verdict,
    cleaned_equals_ratings,
    landed_equals_consumed,
    rated_equals_billed,
    raw_equals_outcomes,
    records_are_unique,
    rows_agree,
    together,
    totals_agree,
)
from telecom_assets.documents.invoices import read_invoice_totals
from telecom_assets.documents.report_files import differing_rows, read_csv_rows, read_report_csv, with_currency
from telecom_assets.malformed import few_are_malformed
from telecom_assets.month_reports import currency_of, month_report
from telecom_assets.outputs import bills_file, invoice_directory, report_file
from telecom_assets.reference_files import (
    customer_findings,
    product_catalog_findings,
    rate_plan_findings,
    unreachable_prices,
)
from telecom_assets.schemas import TABLES
from telecom_assets.schemas.billing import FACTURATION_COMPLETE, REPORTS, TOP10_CONSUMERS, TRAFFIC_HOURLY


def _contract(name: str, *, unique: bool = False) -> Check:
    return Check(
        "keeps_contract",
        f"Columns, types and required values of {name} are as declared"
        + (", and its key is unique." if unique else "."),
        lambda scope: keeps_contract(scope.pin(name), unique=unique),
    )


_LANDED = Check(
    "landed_equals_consumed",
    "Offsets landed = offsets consumed: every range of the ledger is in raw_cdrs once and whole, and nothing else is.",
    lambda scope: landed_equals_consumed(scope.connections.warehouse),
)
_MALFORMED = Check(
    "few_are_malformed",
    "At most TELECOM_MALFORMED_SHARE of what landed last is malformed: neither UTF-8 nor one JSON object.",
    lambda scope: few_are_malformed(scope.connections.warehouse, scope.connections.settings.malformed_share),
    advisory=True,
)
_RAW_COLUMNS = Check(
    "raw_keeps_contract",
    "Columns and types of raw_cdrs are as declared.",
    lambda scope: keeps_columns(scope.pin("raw_cdrs")),
)
_MEDIATED = Check(
    "raw_equals_cleaned_plus_rejected",
    "raw = cleaned + rejected, per day.",
    lambda scope: raw_equals_outcomes(
        scope.pin("mediated_days"), scope.pin("cleaned_cdrs"), scope.pin("rejected_cdrs")
    ),
    reads=["rejected_cdrs", "mediated_days"],
)


_UNIQUE = Check(
    "records_are_unique",
    "No record is cleaned twice within the days of TELECOM_DEDUPE_DAYS.",
    lambda scope: records_are_unique(scope.pin("cleaned_cdrs"), scope.connections.settings.dedupe_days),
)
_RATED = Check(
    "cleaned_equals_rated_plus_suspended",
    "cleaned = rated + suspended, per day.",
    lambda scope: cleaned_equals_ratings(
        scope.pin("cleaned_cdrs"), scope.pin("rated_cdrs"), scope.pin("suspended_cdrs")
    ),
    reads=["suspended_cdrs"],
)


def _billed(scope: Scope) -> Verdict:
    warehouse = scope.connections.warehouse
    by_period = {
        period: rated_equals_billed(
            warehouse.pin_period("rated_cdrs", period), warehouse.pin_period("facturation_complete", period)
        )
        for period in scope.periods
    }
    made = by_period.values()
    sums = {name: sum_exactly(verdict.figures[name] or Decimal(0) for verdict in made) for name in ("rated", "billed")}
    return together("rated = bills before tax − rounding, per customer", by_period, sums)


_BILLED = Check(
    "rated_equals_billed",
    "Σ rated = Σ (bills before tax − rounding), per customer, to the last decimal.",
    _billed,
)


def _reference_check(
    name: str,
    description: str,
    findings: Callable[[Scope], Sequence[str]],
    reads: Sequence[str],
    *,
    otherwise: str,
    advisory: bool = False,
) -> Check:
    def decide(scope: Scope) -> Verdict:
        return Verdict(description.rstrip("."), findings(scope), otherwise=otherwise)

    return Check(name, description, decide, reads, advisory)


_CUSTOMER_PLANS = _reference_check(
    "customers_are_valid",
    "Every customer has a known subscription type, status and rate plan.",
    lambda scope: customer_findings(scope.pin("customers").arrow(), scope.pin("rate_plans").arrow()),
    reads=["rate_plans"],
    otherwise="Some customers have an unknown subscription type, status or rate plan",
)
_PRICES = _reference_check(
    "prices_are_complete",
    "Every plan prices every product once, without negative prices; tiers are whole and only where the catalogue says so.",
    lambda scope: rate_plan_findings(scope.pin("rate_plans").arrow(), scope.pin("product_catalog").arrow()),
    reads=["product_catalog"],
    otherwise="Some prices are missing, doubled, negative or in tiers that the catalogue does not allow",
)
_REACHED = _reference_check(
    "prices_are_reached",
    "Every price can be charged for some event.",
    lambda scope: unreachable_prices(scope.pin("rate_plans").arrow(), scope.pin("product_catalog").arrow()),
    reads=["product_catalog"],
    otherwise="Some prices are charged for no event",
    advisory=True,
)
_CATALOG = _reference_check(
    "products_are_valid",
    "Every product has a known service, unit and rate type; what mediation makes of calls and messages is there.",
    lambda scope: product_catalog_findings(scope.pin("product_catalog").arrow()),
    reads=[],
    otherwise="The catalogue is not valid",
)


def _published(scope: Scope) -> Verdict:
    connection = scope.connections.postgres()
    left: dict[str, object] = {}
    right: dict[str, object] = {}
    for period in scope.periods:
        bills = scope.connections.warehouse.pin_period(FACTURATION_COMPLETE.name, period)
        rows, sums = published_totals(connection, FACTURATION_COMPLETE, period, FACTURATION_COMPLETE.money)
        left |= _labelled(period, sum(bills.rows_by_partition().values()), scope.connections.warehouse.totals(bills))
        right |= _labelled(period, rows, sums)
    return totals_agree("bills = published rows", left, right, ("bills", "published"))


def _invoiced(scope: Scope) -> Verdict:
    left: dict[str, object] = {}
    right: dict[str, object] = {}
    for period in scope.periods:
        bills = scope.connections.warehouse.pin_period(FACTURATION_COMPLETE.name, period)
        sums = scope.connections.warehouse.totals(bills)
        found = read_invoice_totals(invoice_directory(scope.connections.settings, period))
        names = ("amount_before_tax", "amount_due")
        left |= _labelled(period, sum(bills.rows_by_partition().values()), {name: sums[name] for name in names})
        right |= _labelled(
            period, found.invoices, {"amount_before_tax": found.amount_before_tax, "amount_due": found.amount_due}
        )
    return totals_agree("bills = invoices", left, right, ("bills", "invoices"))


def _labelled(period: str, rows: int, sums: dict[str, Decimal]) -> dict[str, object]:
    return {f"{period} rows": rows, **{f"{period} {name}": value for name, value in sums.items()}}


_PUBLISHED = Check(
    "bills_equal_published",
    "Σ bills = Σ published rows: count and every amount.",
    _published,
)
_INVOICED = Check(
    "bills_equal_invoices",
    "Σ bills = Σ invoices: the documents are read and added up.",
    _invoiced,
)


def _in_file(scope: Scope) -> Verdict:
    return together("bills = rows of bills.csv", {period: _file_verdict(scope, period) for period in scope.periods}, {})


def _file_verdict(scope: Scope, period: str) -> Verdict:
    schema = FACTURATION_COMPLETE.arrow_schema()
    bills = scope.connections.warehouse.pin_period(FACTURATION_COMPLETE.name, period)
    path = bills_file(scope.connections.settings, period)
    if not path.exists():
        return Verdict("", [f"{period}: there is no file {path}"])
    rows = differing_rows(stream_batches(bills.df.orderBy("customer_id")), read_csv_rows(path, schema), schema)
    findings = [f"{period}: the CSV file and the bills differ"] if rows else []
    names = ("bills", "CSV file")
    sides = [{"only in": name, **row} for pair in rows for name, row in zip(names, pair, strict=True) if row]
    return Verdict("", findings, differs=sides)


_IN_FILE = Check(
    "bills_equal_file",
    "The bills = the rows of bills.csv: every row and every figure, in the order of customers.",
    _in_file,
)


def _report_source(name: str) -> Check:
    """A report equals its source: it holds what its tables give as they are now, and its file holds the same rows."""

    def decide(scope: Scope) -> Verdict:
        by_period = {period: _report_verdict(scope, name, period) for period in scope.periods}
        return together(
            "the report equals its source",
            by_period,
            {"version": scope.pin(name).version},
            otherwise="the report does not equal its source",
        )

    return Check("equals_source", "The report, its source and its CSV file say the same.", decide)


def _report_verdict(scope: Scope, name: str, period: str) -> Verdict:
    warehouse = scope.connections.warehouse
    month = warehouse.pin_period(name, period)
    rated, bills = (warehouse.pin_period(table, period) for table in ("rated_cdrs", "facturation_complete"))
    held = month.arrow()
    source = rows_agree("", held, month_report(name, rated, bills), ("report", "source"))
    findings = [*source.findings, *_total_findings(name, month, rated, bills)]
    settings = scope.connections.settings
    stored = with_currency(held, currency_of(bills, settings.currency))
    path = report_file(settings, period, name)
    file = rows_agree("", stored, read_report_csv(path, stored.schema), ("table", "CSV file"))
    if not file.passed:
        findings.append(f"{period}: the CSV file and the table differ")
    return Verdict("the report equals its source", findings, differs=[*source.differs, *file.differs])


def _total_findings(name: str, report: PinnedTable, rated: PinnedTable, bills: PinnedTable) -> list[str]:
    """The report's total against the source's, computed without the report's own rule."""
    contract = TABLES[name]
    if name in (TOP10_CONSUMERS.name, TRAFFIC_HOURLY.name):
        return []
    column = contract.money[0]
    source, source_column = (rated, "amount") if column == "revenue" else (bills, "amount_due")
    warehouse = report.warehouse
    total, expected = warehouse.totals(report)[column], warehouse.totals(source)[source_column]
    return [] if total == expected else [f"total {total:f}, its source adds up to {expected:f}"]


_GUARDS = [
    Guard("landing", {"landing": [_RAW_COLUMNS, _LANDED, _MALFORMED]}),
    Guard(
        "reference",
        {
            "customers": [_contract("customers", unique=True), _CUSTOMER_PLANS],
            "rate_plans": [_contract("rate_plans", unique=True), _PRICES, _REACHED],
            "product_catalog": [_contract("product_catalog", unique=True), _CATALOG],
        },
    ),
    Guard(
        "mediation",
        {
            "cleaned_cdrs": [_MEDIATED, _UNIQUE, _contract("cleaned_cdrs")],
            "rejected_cdrs": [_contract("rejected_cdrs")],
            "mediated_days": [_contract("mediated_days", unique=True)],
        },
    ),
    Guard("data_volume_floor", {"data_volume_floor": [_contract("data_volume_floor", unique=True)]}),
    Guard("rating", {"rated_cdrs": [_RATED, _contract("rated_cdrs")], "suspended_cdrs": [_contract("suspended_cdrs")]}),
    Guard("facturation_complete", {"facturation_complete": [_BILLED, _contract("facturation_complete", unique=True)]}),
    Guard("published_bills", {"published_bills": [_PUBLISHED]}),
    Guard("invoices", {"invoices": [_INVOICED]}),
    Guard("bills_csv", {"bills_csv": [_IN_FILE]}),
    Guard(
        "reports",
        {contract.name: [_report_source(contract.name), _contract(contract.name, unique=True)] for contract in REPORTS},
    ),
]


def guards(silent_hours: int | None = None) -> list[Guard]:
    """Every check of the project, in the order of the stages; that of a silent topic only where it is asked for."""
    silent = [Guard("raw_cdrs", {"raw_cdrs": [silence_check(silent_hours)]})] if silent_hours else []
    return [*silent, *_GUARDS]


def build_checks(silent_hours: int | None = None) -> list[dg.AssetChecksDefinition]:
    """Every check of the project, as Dagster has them."""
    return [step_of(each) for each in guards(silent_hours)]
