"""Every blocking check passes on a real month, and fails when a row is taken away; stages refuse what does not balance."""

import csv
import datetime as dt
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import write_deltalake

import telecom_assets.mediation.assets as mediation_module
from telecom_assets.billing import gate as billing_gate
from telecom_assets.books.verdict import ConservationError
from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.reference.customer_reading import CustomersRefused
from telecom_assets.reference.tariff_files import read_tariff_file
from telecom_assets.reference.tariffs import import_tariffs
from telecom_assets.reports.tables import REPORTS
from telecom_assets.runs.checks import build_checks
from telecom_assets.tables import TABLES
from telecom_assets_tests import oracle
from telecom_assets_tests.graph.project import DATA, MONTH, Project, Row, day_tags, month_tag, open_project, ordered

JUNE = day_tags(f"{MONTH}-01", f"{MONTH}-30")
TAGS: dict[str, dict[str, str]] = {
    **{name: {} for name in ("landing", "customers", "rate_plans", "product_catalog", "billing_terms")},
    **dict.fromkeys(("cleaned_cdrs", "rejected_cdrs", "mediated_days", "rated_cdrs", "suspended_cdrs"), JUNE),
    **{
        name: month_tag()
        for name in (
            *("period_charges", "bill_lines", "facturation_complete", "published_bills", "invoices", "bills_csv"),
        )
    },
    **{contract.name: month_tag() for contract in REPORTS},
}
ALL_CHECKS = {(key.asset_key.to_user_string(), key.name) for checks in build_checks() for key in checks.check_keys}


# -- ways of taking rows away ----------------------------------------------------------------------------------------


def first(rows: Iterable[Row], **values: object) -> Row:
    """The first row, in the order of the topic or by its values, with these values."""
    found = [row for row in rows if all(row[name] == value for name, value in values.items())]
    assert found, f"no row with {values}"
    return min(found, key=repr)


def at(row: Row) -> str:
    """The predicate of one row of a usage table."""
    place = f"source_part = {row['source_part']} AND source_position = {row['source_position']}"
    return f"event_date = '{row['event_date']}' AND {place}"


def june(project: Project, name: str, **values: object) -> Row:
    """A row of a usage table in the month."""
    return first((row for row in project.rows(name) if f"{row['event_date']:%Y-%m}" == MONTH), **values)


def without_one(name: str) -> Callable[[Project], None]:
    """One row less."""
    return lambda project: _deleted(project, name)


def _deleted(project: Project, name: str) -> None:
    assert project.delete(name, at(june(project, name))) == 1


def without_one_charged(project: Project) -> None:
    """A rated event that costs something is gone."""
    row = first(
        row for row in project.rows("rated_cdrs") if row["amount"] > 0 and f"{row['event_date']:%Y-%m}" == MONTH
    )
    assert project.delete("rated_cdrs", at(row)) == 1


def doubled(name: str) -> Callable[[Project], None]:
    """One row twice."""
    return lambda project: project.add(name, [june(project, name)])


def exchanged(name: str) -> Callable[[Project], None]:
    """One row less on a day, another of the same day twice: the counts are as they were."""

    def damage(project: Project) -> None:
        gone = june(project, name)
        rest = [row for row in project.rows(name) if row["event_date"] == gone["event_date"] and row != gone]
        project.delete(name, at(gone))
        project.add(name, [min(rest, key=repr)])

    return damage


def emptied(name: str, column: str) -> Callable[[Project], None]:
    """One required value is NULL."""

    def damage(project: Project) -> None:
        rows = project.rows(name)
        row = min((row for row in rows if _is_of_month(row)), key=repr)
        others = list(rows)
        others.remove(row)
        schema = project.warehouse.contracts[name].arrow_schema()
        changed = pa.Table.from_pylist([*others, {**row, column: None}], schema=schema)
        write_deltalake(project.warehouse.path(name), changed, mode="overwrite")

    return damage


def _is_of_month(row: Row) -> bool:
    return str(row.get("event_date", row.get("billing_period", MONTH))).startswith(MONTH)


def repeated(name: str) -> Callable[[Project], None]:
    """One key stands twice."""
    return lambda project: project.add(name, [min(filter(_is_of_month, project.rows(name)), key=repr)])


def column_lost(name: str, column: str) -> Callable[[Project], None]:
    """A column is of another type in the stored table."""

    def damage(project: Project) -> None:
        rows = project.table(name).to_pyarrow_table()
        position = rows.schema.get_field_index(column)
        texts = rows[column].cast(pa.string())
        write_deltalake(
            project.warehouse.path(name),
            rows.set_column(position, column, texts),
            mode="overwrite",
            schema_mode="overwrite",
        )

    return damage


def dearer(name: str, column: str, by: str) -> Callable[[Project], None]:
    """One amount of the month is larger by a little."""

    def damage(project: Project) -> None:
        chosen = min(filter(_is_of_month, project.rows(name)), key=repr)
        project.change(name, lambda row: {**row, column: row[column] + Decimal(by)} if row == chosen else row)

    return damage


def report_row_less(name: str) -> Callable[[Project], None]:
    """A row of a report is gone."""

    def damage(project: Project) -> None:
        rows = sorted(project.rows(name), key=repr)
        schema = project.warehouse.contracts[name].arrow_schema()
        write_deltalake(project.warehouse.path(name), pa.Table.from_pylist(rows[1:], schema=schema), mode="overwrite")

    return damage


def bills_file_edited(project: Project) -> None:
    """Somebody has changed one region in bills.csv: no figure, and no sum."""
    path = bills_file(project.settings, MONTH)
    path.write_text(path.read_text(encoding="utf-8").replace("Oriental", "Orientale", 1), encoding="utf-8")


def bills_file_shorter(project: Project) -> None:
    """The last customer of bills.csv is gone."""
    path = bills_file(project.settings, MONTH)
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")


def bills_file_gone(project: Project) -> None:
    bills_file(project.settings, MONTH).unlink()


def report_file_edited(name: str) -> Callable[[Project], None]:
    """Somebody has changed the last figure of the CSV file."""

    def damage(project: Project) -> None:
        path = report_file(project.settings, MONTH, name)
        lines = path.read_text(encoding="utf-8").splitlines()
        *before, figure, currency, month = lines[-1].split(",")
        changed = f"{figure[:-1]}{(int(figure[-1]) + 1) % 10}"
        lines[-1] = ",".join([*before, changed, currency, month])
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return damage


def report_file_shorter(name: str) -> Callable[[Project], None]:
    """The last line of the CSV file is gone."""

    def damage(project: Project) -> None:
        path = report_file(project.settings, MONTH, name)
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")

    return damage


def source_shorter(name: str, source: str) -> Callable[[Project], None]:
    """What the report was made from has lost rows since."""

    def damage(project: Project) -> None:
        largest = max(
            (row for row in project.rows(name) if row["billing_period"] == MONTH), key=lambda row: row["total_mb"]
        )
        project.delete(source, f"customer_id = '{largest['customer_id']}'")

    return damage


def copy_after(days: int) -> Callable[[Project], None]:
    """A cleaned record is cleaned again so many days later."""

    def damage(project: Project) -> None:
        row = first(project.rows("cleaned_cdrs"), event_date=dt.date.fromisoformat(f"{MONTH}-02"))
        project.add("cleaned_cdrs", [{**row, "event_date": row["event_date"] + dt.timedelta(days)}])

    return damage


def no_more_deferred(project: Project) -> None:
    """An event that its day has deferred is to be worked by somebody instead."""
    project.change(
        "suspended_cdrs",
        lambda row: {**row, "disposition": "suspended"} if row["record_id"] == "imputed-1" else row,
    )


def bill_gone(project: Project) -> None:
    """A bill that is not zero is gone."""
    bill = first(row for row in project.rows("facturation_complete") if row["amount_due"] > 0)
    assert project.delete("facturation_complete", f"customer_id = '{bill['customer_id']}'") == 1


def bill_twice(project: Project) -> None:
    """A bill stands twice."""
    bill = first(row for row in project.rows("facturation_complete") if row["amount_due"] > 0)
    project.add("facturation_complete", [bill])


def line_gone(project: Project) -> None:
    """A line that is not zero is gone."""
    line = first(row for row in project.rows("bill_lines") if row["amount"] > 0)
    assert project.delete("bill_lines", f"customer_id = '{line['customer_id']}' AND line_no = {line['line_no']}") == 1


def line_twice(project: Project) -> None:
    """A line stands twice."""
    project.add("bill_lines", [first(row for row in project.rows("bill_lines") if row["amount"] > 0)])


def empty_bill_twice(project: Project) -> None:
    """A bill of nothing stands twice: no sum tells it."""
    bill = first(row for row in project.rows("facturation_complete") if row["amount_due"] == 0)
    project.add("facturation_complete", [bill])


def terms_leave_days_out(project: Project) -> None:
    """The terms end, and others begin a month later."""
    [row] = project.rows("billing_terms")
    project.change("billing_terms", lambda row: {**row, "valid_to": dt.date(2020, 1, 1)})
    project.add("billing_terms", [{**row, "valid_from": dt.date(2020, 2, 1)}])


def invoice_gone(project: Project) -> None:
    """One document less."""
    min(invoice_directory(project.settings, MONTH).glob("*.xml")).unlink()


def invoice_changed(column: str, element: str) -> Callable[[Project], None]:
    """One document says a centime more."""

    def damage(project: Project) -> None:
        bill = first(row for row in project.rows("facturation_complete") if row["amount_due"] > 0)
        path = invoice_directory(project.settings, MONTH) / f"{bill['customer_id']}.xml"
        text = path.read_text(encoding="utf-8")
        amount = f"<{element}>{bill[column]}<"
        assert amount in text
        path.write_text(text.replace(amount, f"<{element}>{bill[column] + Decimal('0.01')}<"), encoding="utf-8")

    return damage


def invoice_doubled(project: Project) -> None:
    """One document twice, under another name."""
    path = min(invoice_directory(project.settings, MONTH).glob("*.xml"))
    shutil.copy(path, path.with_name("copy.xml"))


def ledger_row_less(project: Project) -> None:
    """The ledger of landing has forgotten a range."""
    assert project.delete("landing_ranges", "source_part = 1 AND records > 0") == 1


def ledger_overlaps(project: Project) -> None:
    """The ledger says that a range was landed twice."""
    landed = (row for row in project.rows("landing_ranges") if row["records"])
    project.add("landing_ranges", [first(landed, source_part=0)])


@dataclass(frozen=True)
class Damage:
    """What is done, which check of which asset must see it, and what it must say."""

    asset: str
    check: str
    name: str
    damage: Callable[[Project], None]
    says: str

    def __str__(self) -> str:
        return f"{self.asset}-{self.check}-{self.name}"


MEDIATED, UNIQUE, CONTRACT = "raw_equals_cleaned_plus_rejected", "records_are_unique", "keeps_contract"
RATED, BILLED, SOURCE = "cleaned_equals_rated_plus_suspended", "rated_equals_billed", "equals_source"
LANDED, PUBLISHED, INVOICED = "landed_equals_consumed", "bills_equal_published", "bills_equal_invoices"
IN_FILE, IMPUTED = "bills_equal_file", "deferred_equals_imputed"
LINED, OF_LINES, ADDED_UP = "lines_equal_charges", "bills_equal_lines", "bills_add_up"

DAMAGES = [
    Damage("landing", LANDED, "row gone", without_one("raw_cdrs"), "messages consumed"),
    Damage("landing", LANDED, "row twice", doubled("raw_cdrs"), "1 rows stand twice"),
    Damage("landing", LANDED, "row exchanged", exchanged("raw_cdrs"), "stand twice"),
    Damage("landing", LANDED, "ledger row gone", ledger_row_less, "partition 1: 0 messages consumed"),
    Damage("landing", LANDED, "ledger overlaps", ledger_overlaps, "ranges do not meet"),
    Damage("landing", "raw_keeps_contract", "text", column_lost("raw_cdrs", "received_at"), "expected timestamp"),
    Damage("cleaned_cdrs", MEDIATED, "cleaned row gone", without_one("cleaned_cdrs"), f"{MONTH}-"),
    Damage("cleaned_cdrs", MEDIATED, "rejected row gone", without_one("rejected_cdrs"), f"{MONTH}-"),
    Damage("cleaned_cdrs", MEDIATED, "cleaned row twice", doubled("cleaned_cdrs"), f"{MONTH}-"),
    Damage("cleaned_cdrs", MEDIATED, "row exchanged", exchanged("cleaned_cdrs"), "the records are not the same"),
    Damage("cleaned_cdrs", UNIQUE, "on one day", copy_after(0), "is cleaned on"),
    Damage("cleaned_cdrs", UNIQUE, "31 days later", copy_after(31), "2025-06-02, 2025-07-03"),
    Damage("cleaned_cdrs", UNIQUE, "31 days earlier", copy_after(-31), "2025-05-02, 2025-06-02"),
    Damage("cleaned_cdrs", CONTRACT, "no subscriber", emptied("cleaned_cdrs", "subscriber_id"), "subscriber_id: 1 "),
    Damage("cleaned_cdrs", CONTRACT, "text", column_lost("cleaned_cdrs", "duration_sec"), "decimal128(18, 3)"),
    Damage("rejected_cdrs", CONTRACT, "no reason", emptied("rejected_cdrs", "reason"), "reason: 1 rows"),
    Damage("mediated_days", CONTRACT, "no count", emptied("mediated_days", "raw_rows"), "raw_rows: 1 rows"),
    Damage("mediated_days", CONTRACT, "day twice", repeated("mediated_days"), "stands 2 times"),
    Damage("rated_cdrs", RATED, "rated row gone", without_one("rated_cdrs"), f"{MONTH}-"),
    Damage("rated_cdrs", RATED, "suspended row gone", without_one("suspended_cdrs"), f"{MONTH}-"),
    Damage("rated_cdrs", RATED, "cleaned row gone", without_one("cleaned_cdrs"), f"{MONTH}-"),
    Damage("rated_cdrs", RATED, "row exchanged", exchanged("rated_cdrs"), "the records are not the same"),
    Damage("rated_cdrs", CONTRACT, "no amount", emptied("rated_cdrs", "amount"), "amount: 1 rows"),
    Damage("suspended_cdrs", CONTRACT, "no reason", emptied("suspended_cdrs", "reason"), "reason: 1 rows"),
    Damage("period_charges", IMPUTED, "imputed row gone", without_one("period_charges"), f"{MONTH}-"),
    Damage("period_charges", IMPUTED, "row exchanged", exchanged("period_charges"), "the records are not the same"),
    Damage("period_charges", IMPUTED, "deferred row gone", no_more_deferred, f"{MONTH}-04: "),
    Damage("period_charges", CONTRACT, "no units", emptied("period_charges", "billable_units"), "billable_units: 1 "),
    Damage("period_charges", CONTRACT, "key twice", repeated("period_charges"), "stands 2 times"),
    Damage("billing_terms", CONTRACT, "no tax", emptied("billing_terms", "tax_pct"), "tax_pct: 1 rows"),
    Damage("billing_terms", "terms_are_valid", "terms twice", repeated("billing_terms"), "more than once on a day"),
    Damage("bill_lines", LINED, "event gone", without_one("rated_cdrs"), "events of "),
    Damage("bill_lines", LINED, "imputed event dearer", dearer("period_charges", "amount", "0.000001"), "events of "),
    Damage("bill_lines", LINED, "line gone", line_gone, "on lines"),
    Damage("bill_lines", LINED, "line dearer", dearer("bill_lines", "exact_amount", "0.000001"), "on lines"),
    Damage("bill_lines", CONTRACT, "line twice", repeated("bill_lines"), "stands 2 times"),
    Damage("bill_lines", CONTRACT, "no amount", emptied("bill_lines", "amount"), "amount: 1 rows"),
    Damage("facturation_complete", OF_LINES, "line gone", line_gone, "customer 212"),
    Damage("facturation_complete", OF_LINES, "line dearer", dearer("bill_lines", "amount", "0.01"), "customer 212"),
    *(
        Damage(
            "facturation_complete",
            OF_LINES,
            f"other {name}",
            dearer("facturation_complete", name, "0.01"),
            "customer 212",
        )
        for name in ("discount", "tax", "amount_due")
    ),
    Damage(
        "facturation_complete",
        ADDED_UP,
        "other due",
        dearer("facturation_complete", "amount_due", "0.01"),
        "before tax − discount + tax = amount due: left side ",
    ),
    Damage("facturation_complete", ADDED_UP, "imputed event gone", without_one("period_charges"), "deferred = imputed"),
    Damage("facturation_complete", BILLED, "event gone", without_one("rated_cdrs"), "customer 212"),
    Damage("facturation_complete", BILLED, "event twice", doubled("rated_cdrs"), "customer 212"),
    Damage("facturation_complete", BILLED, "imputed event gone", without_one("period_charges"), "customer 212"),
    Damage(
        "facturation_complete",
        BILLED,
        "imputed event dearer",
        dearer("period_charges", "amount", "0.000001"),
        "customer 212",
    ),
    Damage("facturation_complete", BILLED, "event dearer", dearer("rated_cdrs", "amount", "0.000001"), "customer 212"),
    Damage(
        "facturation_complete",
        BILLED,
        "bill dearer",
        dearer("facturation_complete", "amount_before_tax", "0.01"),
        "customer 212",
    ),
    Damage("facturation_complete", CONTRACT, "bill twice", repeated("facturation_complete"), "stands 2 times"),
    Damage("facturation_complete", CONTRACT, "no tax", emptied("facturation_complete", "tax"), "tax: 1 rows"),
    Damage("published_bills", PUBLISHED, "bill gone", bill_gone, "rows"),
    Damage("invoices", INVOICED, "document gone", invoice_gone, "rows"),
    *(
        Damage("invoices", INVOICED, f"document with another {column}", invoice_changed(column, element), column)
        for column, element in (
            ("amount_before_tax", "AmountBeforeTax"),
            ("discount", "DiscountAmount"),
            ("tax", "TaxAmount"),
            ("amount_due", "AmountDue"),
            ("rounding_difference", "RoundingDifference"),
        )
    ),
    Damage("invoices", INVOICED, "document twice", invoice_doubled, "rows"),
    Damage("invoices", INVOICED, "bill gone", bill_gone, "rows"),
    Damage("bills_csv", IN_FILE, "file edited", bills_file_edited, "the CSV file and the bills differ"),
    Damage("bills_csv", IN_FILE, "file shorter", bills_file_shorter, "the CSV file and the bills differ"),
    Damage("bills_csv", IN_FILE, "file gone", bills_file_gone, "there is no file"),
    Damage("bills_csv", IN_FILE, "bill gone", bill_gone, "the CSV file and the bills differ"),
    *(
        damage
        for contract in REPORTS
        for damage in (
            Damage(contract.name, SOURCE, "row gone", report_row_less(contract.name), "only in source"),
            Damage(contract.name, SOURCE, "file edited", report_file_edited(contract.name), "the CSV file"),
            Damage(contract.name, SOURCE, "file shorter", report_file_shorter(contract.name), "the CSV file"),
            Damage(contract.name, CONTRACT, "key twice", repeated(contract.name), "stands 2 times"),
        )
    ),
    Damage("daily_revenue", SOURCE, "event gone", without_one_charged, "its source adds up to"),
    Damage("mix_by_region", SOURCE, "event gone", without_one_charged, "its source adds up to"),
    Damage("revenue_by_plan", SOURCE, "bill gone", bill_gone, "its source adds up to"),
    Damage("plan_by_region", SOURCE, "bill gone", bill_gone, "its source adds up to"),
    Damage("top10_consumers", SOURCE, "events gone", source_shorter("top10_consumers", "rated_cdrs"), "only in"),
    Damage("traffic_hourly", SOURCE, "events gone", source_shorter("top10_consumers", "rated_cdrs"), "only in"),
]


# -- the checks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", sorted(TAGS))
def test_checks_pass_on_a_real_month(untouched: Project, asset: str) -> None:
    """Alone, in a run of their own, as somebody starts them in the UI."""
    checks = untouched.check(asset, TAGS[asset])
    assert set(checks) == {name for guarded, name in ALL_CHECKS if guarded == asset}
    assert {name: check.description for name, check in checks.items() if not check.passed and check.blocking} == {}


def test_what_only_may_be_wrong_is_a_warning(untouched: Project) -> None:
    """The packaged tariffs give free messages with each message: none is ever charged at home."""
    checks = untouched.check("rate_plans")
    advice = checks["prices_are_reached"]
    assert (advice.passed, advice.blocking, advice.severity) == (False, False, dg.AssetCheckSeverity.WARN)
    assert "rate_plans PLAN_B/SMS_NAT: unit_price 0.035 is never charged: 3 units" in (advice.description or "")
    assert all(check.passed for name, check in checks.items() if name != "prices_are_reached")


def test_days_without_a_price_are_a_warning(damaged: Project) -> None:
    since = dt.date.fromisoformat(f"{MONTH}-05")
    ended = {"valid_to": since, "rate_plan_id": "PLAN_B", "product_code": "SMS_NAT"}
    damaged.change(
        "rate_plans",
        lambda row: {**row, **(ended if row["product_code"] == "SMS_NAT" and row["rate_plan_id"] == "PLAN_B" else {})},
    )
    advice = damaged.check("rate_plans")["prices_have_no_gaps"]
    assert (advice.passed, advice.blocking, advice.severity) == (False, False, dg.AssetCheckSeverity.WARN)
    assert f"rate_plans PLAN_B/SMS_NAT: days without a price: from {since} on; their events" in (
        advice.description or ""
    )


def test_terms_that_leave_days_out_are_a_warning(damaged: Project) -> None:
    terms_leave_days_out(damaged)
    advice = damaged.check("billing_terms")["terms_have_no_gap"]
    assert (advice.passed, advice.blocking, advice.severity) == (False, False, dg.AssetCheckSeverity.WARN)
    assert "no terms from 2020-01-01 up to 2020-02-01; a month that ends there cannot be billed" in str(
        advice.description
    )


def test_a_warning_stops_nothing(damaged_with_database: Project) -> None:
    result = damaged_with_database.run("reference_job")
    assert result.success
    assert list(failed_checks(result)) == [("rate_plans", "prices_are_reached")]


def test_a_landing_of_garbage_is_a_warning(new_project: Callable[..., Project]) -> None:
    """Half of what landed is no CDR: the run goes on, and says how much and where. A landing of nothing goes on too."""
    project = new_project()
    sound = [f'{{"record_ID": "{number}", "tags": []}}'.encode() for number in range(3)]
    project.produce([*sound, b"BZh91AY&SY", b"[", b"\xff"])
    landing = project.run("landing_job")
    assert landing.success
    [(key, said)] = failed_checks(landing).items()
    assert key == ("landing", "few_are_malformed")
    assert "3 of the 6 messages that landed last are malformed, 50 %: partition " in said
    advice = project.check("landing")["few_are_malformed"]
    assert (advice.blocking, advice.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (advice.metadata["malformed"].value, advice.metadata["messages"].value) == (3, 6)
    assert project.run("landing_job").success


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_check_fails_when_the_books_do_not_balance(damaged: Project, damage: Damage) -> None:
    damage.damage(damaged)
    check = damaged.check(damage.asset, TAGS[damage.asset])[damage.check]
    assert not check.passed
    assert check.blocking
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert damage.says in (check.description or "")
    differs = check.metadata["differs"]
    assert isinstance(differs, dg.TableMetadataValue)
    assert 1 <= len(differs.records) <= 20


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM facturation_complete WHERE customer_id = {bill}", "rows"),
        *(
            (f"UPDATE facturation_complete SET {name} = {name} + 0.01 WHERE customer_id = {{bill}}", name)
            for name in ("amount_before_tax", "discount", "tax", "amount_due")
        ),
        ("UPDATE facturation_complete SET billing_period = '2025-05' WHERE customer_id = {bill}", "rows"),
        ("TRUNCATE facturation_complete", "rows"),
    ],
)
def test_a_check_fails_when_published_rows_are_not_the_bills(
    damaged_with_database: Project, statement: str, says: str
) -> None:
    bill = "(SELECT max(customer_id) FROM facturation_complete WHERE amount_due > 0)"
    damaged_with_database.postgres(statement.format(bill=bill))
    check = damaged_with_database.check("published_bills", month_tag())[PUBLISHED]
    assert not check.passed
    assert f"{MONTH} {says}: bills " in (check.description or "")


def test_every_check_of_the_project_is_seen_to_fail() -> None:
    in_references = {(asset, check) for asset, check, *_ in REFERENCE_FAULTS}
    # test_customers_that_somebody_has_stored_by_hand_are_found, test_what_only_may_be_wrong_is_a_warning,
    # test_a_landing_of_garbage_is_a_warning, test_terms_that_leave_days_out_are_a_warning
    elsewhere = {
        ("customers", CONTRACT),
        *(("rate_plans", check) for check in ("prices_are_reached", "prices_have_no_gaps")),
        ("landing", "few_are_malformed"),
        ("billing_terms", "terms_have_no_gap"),
        # billing/test_manual, billing/test_period_identities: what is asked once a month is closed; the contract check is that of
        # every table
        *(("bill_lines", check) for check in ("corrections_equal_lines", "nothing_below_zero")),
        *(("correction_documents", check) for check in ("documents_equal_lines", "documents_add_up", CONTRACT)),
        # corrections/test_looking_back, closing/test_closing, closing/test_documents
        ("adjustments", "right_equals_settled_plus_adjusted"),
        *((name, CONTRACT) for name in ("adjustments", "adjusted_months")),
        *(
            ("documents", check)
            for check in ("documents_equal_bills", "numbers_have_no_gap", "files_have_their_digests")
        ),
        # closing/test_frozen
        *(("billing_periods", check) for check in ("frozen_rows_are_unwritten", "frozen_rows_have_their_digest")),
    }
    assert {(damage.asset, damage.check) for damage in DAMAGES} | in_references | elsewhere == ALL_CHECKS


def test_every_asset_that_writes_a_table_is_guarded() -> None:
    guarded = {asset for asset, _ in ALL_CHECKS}
    # The states of periods are no run's: the checks of frozen months stand there. The others have no rows before a month is closed.
    once_closed = {"billing_periods", "documents", "adjustments", "adjusted_months", "correction_documents"}
    assert guarded - once_closed == set(TAGS)


def test_the_same_record_32_days_later_is_another_event(damaged: Project) -> None:
    copy_after(32)(damaged)
    assert damaged.check("cleaned_cdrs", JUNE)[UNIQUE].passed


def test_a_copy_is_found_by_a_check_of_either_day_alone(damaged: Project) -> None:
    """A day beside a month of others looks for its own records there, and for no others."""
    copy_after(3)(damaged)
    for day, passes in ((f"{MONTH}-02", False), (f"{MONTH}-05", False), (f"{MONTH}-20", True)):
        check = damaged.check("cleaned_cdrs", day_tags(day))[UNIQUE]
        assert check.passed is passes
        assert passes or f"{MONTH}-02, {MONTH}-05" in (check.description or "")


def test_a_damaged_day_is_found_in_the_range_that_holds_it(damaged: Project) -> None:
    """The check of a range looks at its own days only."""
    row = june(damaged, "cleaned_cdrs", event_date=dt.date.fromisoformat(f"{MONTH}-05"))
    damaged.delete("cleaned_cdrs", at(row))
    assert not damaged.check("cleaned_cdrs", day_tags(f"{MONTH}-03", f"{MONTH}-05"))[MEDIATED].passed
    assert damaged.check("cleaned_cdrs", day_tags(f"{MONTH}-06", f"{MONTH}-07"))[MEDIATED].passed
    assert not damaged.check("cleaned_cdrs", {"dagster/partition": f"{MONTH}-05"})[MEDIATED].passed
    assert not damaged.check("cleaned_cdrs")[MEDIATED].passed


# -- reference data ----------------------------------------------------------------------------------------------------


def changed_csv(name: str, where: dict[str, str], change: dict[str, str] | None) -> Callable[[Path], Path]:
    """The packaged file with one line changed, or left out."""

    def write(folder: Path) -> Path:
        rows = oracle.read_csv(DATA / name)
        hit = [row for row in rows if where.items() <= row.items()]
        assert len(hit) == 1
        kept = [row if row is not hit[0] else {**row, **(change or {})} for row in rows]
        if change is None:
            kept.remove(hit[0])
        path = folder / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(kept)
        return path

    return write


def plan(change: dict[str, str] | None, product: str = "SMS_NAT") -> Callable[[Path], Path]:
    return changed_csv("rate_plans.csv", {"rate_plan_id": "PLAN_B", "product_code": product}, change)


def catalogue(product: str, change: dict[str, str] | None) -> Callable[[Path], Path]:
    return changed_csv("product_catalog.csv", {"product_code": product}, change)


def without_plan_b(folder: Path) -> Path:
    text = (DATA / "rate_plans.csv").read_text(encoding="utf-8")
    path = folder / "rate_plans.csv"
    path.write_text("".join(line for line in text.splitlines(keepends=True) if "PLAN_B" not in line), encoding="utf-8")
    return path


#: Asset, check, what the check must say, the setting, and the file that is configured.
REFERENCE_FAULTS = [
    ("rate_plans", "prices_are_complete", "PLAN_B: no price for product SMS_NAT", "rate_plans", plan(None)),
    ("rate_plans", "prices_are_complete", "unit_price is -0.01", "rate_plans", plan({"unit_price": "-0.010000"})),
    ("rate_plans", "prices_are_complete", "SMS_MMS", "rate_plans", plan({"product_code": "SMS_MMS"})),
    (
        "rate_plans",
        "prices_are_complete",
        "the catalogue says flat",
        "rate_plans",
        plan({"tier_threshold": "10", "tier_price": "1"}),
    ),
    (
        "rate_plans",
        "prices_are_complete",
        "half a tier",
        "rate_plans",
        plan({"tier_price": ""}, "DATA_PREMIUM"),
    ),
    (
        "rate_plans",
        "prices_are_complete",
        "free_units 60",
        "rate_plans",
        plan({"tier_threshold": "59"}, "DATA_PREMIUM"),
    ),
    ("rate_plans", "keeps_contract", "stands 2 times", "rate_plans", plan({"product_code": "SMS_INT"})),
    (
        "product_catalog",
        "products_are_valid",
        "rate_type",
        "product_catalog",
        changed_csv("product_catalog.csv", {"product_code": "SMS_NAT"}, {"rate_type": "guessed"}),
    ),
    (
        "product_catalog",
        "keeps_contract",
        "stands 2 times",
        "product_catalog",
        changed_csv("product_catalog.csv", {"product_code": "SMS_NAT"}, {"product_code": "SMS_INT"}),
    ),
    ("product_catalog", "products_are_valid", "no product SMS_NAT", "product_catalog", catalogue("SMS_NAT", None)),
    (
        "product_catalog",
        "products_are_valid",
        "VOICE_INT: service_type is 'data', expected 'voice'",
        "product_catalog",
        catalogue("VOICE_INT", {"service_type": "data", "unit": "MB"}),
    ),
    ("customers", "customers_are_valid", "PLAN_B", "rate_plans", without_plan_b),
]


def store_by_hand(project: Project, name: str, file: Path) -> None:
    """Store a file as somebody would who does not judge it."""
    project.warehouse.overwrite_arrow(name, read_tariff_file(TABLES[name], file).rows)


@pytest.mark.parametrize(
    ("asset", "check", "says", "setting", "file"), REFERENCE_FAULTS, ids=[item[2] for item in REFERENCE_FAULTS]
)
def test_bad_reference_data_are_found(
    damaged: Project,
    tmp_path: Path,
    asset: str,
    check: str,
    says: str,
    setting: str,
    file: Callable[[Path], Path],
) -> None:
    store_by_hand(damaged, setting, file(tmp_path))
    found = damaged.check(asset)[check]
    assert (found.passed, found.blocking) == (False, True)
    assert says in (found.description or "")


@pytest.mark.parametrize(
    ("says", "setting", "file"),
    [
        ("unit_price is -1.000000; expected 0 or more; nothing was stored", "rate_plans", plan({"unit_price": "-1"})),
        ("VOICE_NAT: unit is 'hour'", "product_catalog", catalogue("VOICE_NAT", {"unit": "hour"})),
        ("PLAN_B/SMS_NAT); what is stored stays as it is", "rate_plans", plan(None)),
        ("VOICE_NAT); what is stored stays as it is", "product_catalog", catalogue("VOICE_NAT", None)),
        ("changed: PLAN_B/SMS_NAT", "rate_plans", plan({"unit_price": "1"})),
        ("--valid-from yyyy-MM-dd", "rate_plans", plan({"unit_price": "1"})),
    ],
)
def test_bad_files_are_refused_before_they_are_stored(
    damaged: Project, tmp_path: Path, says: str, setting: str, file: Callable[[Path], Path]
) -> None:
    """Not valid, or other prices without a day; neither table is stored, since both are judged together."""
    names = ["rate_plans", "product_catalog"]
    before = damaged.versions(names)
    project = open_project(damaged.settings.replaced(**{setting: file(tmp_path)}), damaged.instance)
    result = project.run("reference_job")
    failed = {event.step_key: event.step_failure_data for event in result.all_events if event.is_step_failure}
    assert set(failed) == set(names)
    told = {
        step: str(failure.user_failure_data and failure.user_failure_data.description)
        for step, failure in failed.items()
    }
    assert [step for step in names if says not in told[step]] == [], told
    assert damaged.versions(names) == before


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], str]:
    return {
        (item.asset_key.to_user_string(), item.check_name): item.description or ""
        for item in result.get_asset_check_evaluations()
        if not item.passed
    }


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("SET customer_name = NULL", "customer_name is missing in 1 row"),
        ("SET rate_plan_id = 'PLAN_X'", "'PLAN_X' in 1 row"),
        ("SET status = 'dormant'", "'dormant' in 1 row"),
        ("SET subscription_type = 'Postpaid'", "'Postpaid' in 1 row"),
    ],
)
def test_bad_customers_are_not_stored(damaged_with_database: Project, statement: str, says: str) -> None:
    """The operator's own table holds what our import would have refused."""
    project = damaged_with_database
    without_constraints(project)
    before = project.version("customers")
    project.postgres(f"UPDATE customers {statement} WHERE customer_id = '212600009999'")
    message = refusal(project.run("reference_job"), CustomersRefused)
    assert "customers are not stored, those of before stay: customers: " in message
    assert says in message
    assert project.version("customers") == before


def test_two_customers_with_one_number_are_not_stored(damaged_with_database: Project) -> None:
    """Which of the two the calls are of, nobody could say."""
    project = damaged_with_database
    without_constraints(project)
    before = project.version("customers")
    project.postgres(
        "INSERT INTO customers SELECT '+212 6 00 00-99-99', customer_name, subscription_type, rate_plan_id, "
        "activation_date, status, region FROM customers WHERE customer_id = '212600009999'"
    )
    assert "more than once: 212600009999 " in refusal(project.run("reference_job"), CustomersRefused)
    assert project.version("customers") == before


def test_customers_that_somebody_has_stored_by_hand_are_found(damaged: Project) -> None:
    damaged.change("customers", lambda row: {**row, "customer_name": None, "status": "dormant"})
    checks = damaged.check("customers", {})
    assert "customer_name: " in (checks[CONTRACT].description or "")
    assert "'dormant'" in (checks["customers_are_valid"].description or "")
    assert not any(check.passed for check in checks.values())


def test_a_read_that_would_end_many_customers_is_refused(damaged_with_database: Project) -> None:
    project = damaged_with_database
    active = project.postgres("SELECT count(*) FROM customers WHERE status = 'active'")[0][0]
    before = project.version("customers")
    project.postgres("DELETE FROM customers WHERE customer_id = '212600009999'")
    message = refusal(project.run("reference_job"), CustomersRefused)
    assert f"1 of {active} active customers are in the table no more (212600009999), expected 0.01 of them" in message
    assert project.version("customers") == before
    all_may_go = open_project(project.settings.replaced(customers_gone_share=1), project.instance)
    assert all_may_go.run("customers_job").success
    [ended] = [row for row in all_may_go.rows("customers") if row["customer_id"] == "212600009999"]
    assert ended["valid_to"] is not None


def test_a_customers_number_is_brought_to_its_one_form(damaged_with_database: Project) -> None:
    """An operator's own table may write numbers in another way than the calls do."""
    project = damaged_with_database
    before = {row["customer_id"] for row in project.rows("customers")}
    without_constraints(project)
    project.postgres("UPDATE customers SET customer_id = '06 00 00 99 99' WHERE customer_id = '212600009999'")
    assert project.run("reference_job").success
    assert {row["customer_id"] for row in project.rows("customers")} == before >= {"212600009999"}


def without_constraints(project: Project) -> None:
    """The customers table as an operator may have made it."""
    constraints = project.postgres(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'customers'::regclass AND contype IN ('c', 'n')"
    )
    for (name,) in constraints:
        if name != "customers_customer_id_not_null":
            project.postgres(f'ALTER TABLE customers DROP CONSTRAINT "{name}"')


# -- stages assert their inputs themselves -------------------------------------------------------------------------------


def refusal(result: dg.ExecuteInProcessResult, of: type[Exception] = ConservationError) -> str:
    """The message of the error that the only failed step of a run died of."""
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert len(failures) == 1
    error = failures[0]
    assert error is not None
    while error.cause is not None:
        error = error.cause
    assert error.cls_name == of.__name__
    return error.message


def everything_written(project: Project) -> dict[str, object]:
    """What stages write: versions of the tables, published rows, files."""
    settings = project.settings
    names = ("period_charges", "rated_cdrs", "suspended_cdrs", "bill_lines", "facturation_complete")
    return {
        **project.versions([*names, *(contract.name for contract in REPORTS)]),
        "published": project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id"),
        "invoices": invoice_directory(settings, MONTH).readlink(),
        **{
            path.name: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in [
                dashboard_file(settings, MONTH),
                bills_file(settings, MONTH),
                *(report_file(settings, MONTH, contract.name) for contract in REPORTS),
            ]
        },
    }


#: Every step that writes money, or hands it on, run alone; with the partitions of the month.
MONEY_STEPS = {
    "rated_cdrs": JUNE,
    **dict.fromkeys(
        (
            *("period_charges", "bill_lines", "facturation_complete", "published_bills", "invoices", "bills_csv"),
            "daily_revenue",
        ),
        month_tag(),
    ),
}
_LANDED, _MEDIATED = "offsets landed = offsets consumed does not hold: ", "raw = cleaned + rejected does not hold: "
_RATED, _BILLED = "cleaned = rated + suspended does not hold: ", "rated + period charges = bills before tax"
_IMPUTED = "deferred = imputed does not hold: "
_AFTER_RATING = tuple(name for name in MONEY_STEPS if name != "rated_cdrs")
_AFTER_CHARGES = tuple(name for name in _AFTER_RATING if name != "period_charges")
_HANDED_ON = ("published_bills", "invoices", "bills_csv", "daily_revenue")
_LINES = {
    "facturation_complete": "rated + period charges = usage lines, by service, plan and region",
    **dict.fromkeys(_HANDED_ON, "lines = bills, per holder"),
}
#: What is done to the inputs of which steps, and the identity that each of them must find broken.
REFUSALS: list[tuple[str, Callable[[Project], None], dict[str, str]]] = [
    *(
        (name, damage, dict.fromkeys(MONEY_STEPS, says))
        for name, damage, says in (
            ("raw row gone", without_one("raw_cdrs"), _LANDED),
            ("raw row twice", doubled("raw_cdrs"), _LANDED),
            ("ledger row gone", ledger_row_less, _LANDED),
            ("ledger overlaps", ledger_overlaps, _LANDED),
            ("cleaned row gone", without_one("cleaned_cdrs"), _MEDIATED),
            ("cleaned row twice", doubled("cleaned_cdrs"), _MEDIATED),
            ("cleaned row exchanged", exchanged("cleaned_cdrs"), "the records are not the same"),
            ("rejected row gone", without_one("rejected_cdrs"), _MEDIATED),
            ("rejected row twice", doubled("rejected_cdrs"), _MEDIATED),
            ("copy on the same day", copy_after(0), "records are cleaned more than once within 31 days: "),
            ("copy 31 days later", copy_after(31), "records are cleaned more than once within 31 days: "),
        )
    ),
    *(
        (name, damage, dict.fromkeys(_AFTER_RATING, says))
        for name, damage, says in (
            ("rated row gone", without_one("rated_cdrs"), _RATED),
            ("rated row twice", doubled("rated_cdrs"), _RATED),
            ("rated row exchanged", exchanged("rated_cdrs"), "the records are not the same"),
            ("suspended row gone", without_one("suspended_cdrs"), _RATED),
            ("suspended row twice", doubled("suspended_cdrs"), _RATED),
        )
    ),
    *(
        (name, damage, dict.fromkeys(_AFTER_CHARGES, says))
        for name, damage, says in (
            ("imputed row gone", without_one("period_charges"), _IMPUTED),
            ("imputed row twice", doubled("period_charges"), _IMPUTED),
            ("imputed row exchanged", exchanged("period_charges"), "the records are not the same"),
            ("deferred row gone", no_more_deferred, _IMPUTED),
        )
    ),
    *(
        (name, damage, dict.fromkeys(_HANDED_ON, _BILLED))
        for name, damage in (
            ("bill gone", bill_gone),
            ("bill twice", bill_twice),
            ("zero bill twice", empty_bill_twice),
        )
    ),
    ("line gone", line_gone, _LINES),
    ("line twice", line_twice, _LINES),
]


@pytest.mark.parametrize(("damage", "refused"), [item[1:] for item in REFUSALS], ids=[item[0] for item in REFUSALS])
def test_stages_refuse_inputs_that_do_not_balance(
    damaged: Project, damage: Callable[[Project], None], refused: dict[str, str]
) -> None:
    damage(damaged)
    before = everything_written(damaged)
    for asset, says in refused.items():
        result = damaged.materialise(asset, MONEY_STEPS[asset])
        assert not result.success, asset
        assert says in refusal(result), asset
    assert everything_written(damaged) == before


@pytest.mark.parametrize(
    ("says", "setting", "file"), [item[2:] for item in REFERENCE_FAULTS if item[1] != "keeps_contract"]
)
def test_nothing_is_rated_with_reference_data_that_are_not_valid(
    damaged: Project, tmp_path: Path, says: str, setting: str, file: Callable[[Path], Path]
) -> None:
    """Stored by another hand: whoever rates a day by itself finds them as the newest version."""
    store_by_hand(damaged, setting, file(tmp_path))
    project = damaged
    before = everything_written(project)
    message = refusal(project.materialise("rated_cdrs", day_tags(f"{MONTH}-05")))
    assert "customers, tariffs or catalogue are not valid: " in message
    assert says in message
    assert everything_written(project) == before


def test_nothing_is_mediated_with_a_catalogue_that_is_not_valid(damaged: Project, tmp_path: Path) -> None:
    """Its own calls would be rejected as unknown_product, and stay rejected until somebody mediates the days again."""
    store_by_hand(damaged, "product_catalog", catalogue("VOICE_NAT", None)(tmp_path))
    project = damaged
    before = project.versions(["cleaned_cdrs", "rejected_cdrs", "mediated_days"])
    message = refusal(project.run("mediation_job", day_tags(f"{MONTH}-05")))
    assert f"mediation of {MONTH}-05 is refused: the catalogue is not valid: " in message
    assert "no product VOICE_NAT" in message
    assert project.versions(["cleaned_cdrs", "rejected_cdrs", "mediated_days"]) == before


def test_a_stale_day_waits_for_its_mediation(damaged: Project) -> None:
    day = dt.date.fromisoformat(f"{MONTH}-05")
    damaged.land(displaces=[day])
    says = f"{day}: a copy has landed that came before one that the day keeps, or another copy was chosen; mediate the day again"
    assert says in refusal(damaged.materialise("rated_cdrs", day_tags(f"{day}")))
    assert f"{day}: " in billing_refusal(damaged)
    # The books of the day are not known to be wrong; those of the others are looked at all the same.
    assert damaged.check("cleaned_cdrs", JUNE)["raw_equals_cleaned_plus_rejected"].passed
    assert damaged.run("mediation_job", day_tags(f"{day}")).success
    assert damaged.materialise("rated_cdrs", day_tags(f"{day}")).success


@pytest.mark.parametrize("known", [True, False], ids=["mediated before", "never mediated"])
def test_a_copy_that_lands_while_its_day_is_mediated_is_not_forgotten(
    damaged: Project, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """It asks for a mediation of the day, which is under way from what was there before the copy."""
    day = dt.date.fromisoformat(f"{MONTH}-05")
    if not known:
        damaged.delete("mediated_days", f"event_date = '{day}'")
    make_ledger = mediation_module._ledger

    def landing_before(*arguments: Any) -> pa.Table:
        elsewhere = next(row for row in damaged.rows("raw_cdrs") if row["event_date"] != day)
        damaged.land(elsewhere, displaces=[day])
        return make_ledger(*arguments)

    monkeypatch.setattr(mediation_module, "_ledger", landing_before)
    assert damaged.materialise("cleaned_cdrs", day_tags(f"{day}")).success
    monkeypatch.undo()
    assert day in stale_days(damaged.warehouse)
    assert damaged.materialise("cleaned_cdrs", day_tags(f"{day}")).success
    assert day not in stale_days(damaged.warehouse)


def test_what_a_month_that_is_not_billed_has_deferred_is_no_finding(damaged: Project) -> None:
    """The month prices it when it is billed; asked for that month, the check says what lacks."""
    row = first(damaged.rows("suspended_cdrs"), record_id="imputed-1")
    damaged.add("suspended_cdrs", [{**row, "event_date": dt.date(2025, 7, 1), "billing_period": "2025-07"}])
    assert damaged.check("period_charges", {})[IMPUTED].passed
    july = damaged.check("period_charges", month_tag("2025-07"))[IMPUTED]
    assert (july.passed, july.description) == (
        False,
        "deferred = imputed does not hold: 2025-07-01: 1 deferred, 0 imputed",
    )


# -- the gate before a bill --------------------------------------------------------------------------------------------


def billing_refusal(project: Project) -> str:
    """Bill the month; it must refuse and write nothing."""
    before = everything_written(project)
    message = refusal(project.materialise("facturation_complete", month_tag()))
    assert everything_written(project) == before
    assert message.startswith(f"telecom_assets.books.verdict.ConservationError: billing of {MONTH} is refused: ")
    return message


def test_a_month_with_a_day_that_was_never_mediated_is_not_billed(damaged: Project) -> None:
    damaged.delete("mediated_days", f"event_date = '{MONTH}-17'")
    message = billing_refusal(damaged)
    assert f"1 days were never mediated ({MONTH}-17); run `telecom run --month {MONTH}`" in message


def test_a_month_that_was_never_mediated_is_not_billed(damaged: Project) -> None:
    """May has no records at all: nothing to count, and still not billed."""
    result = damaged.materialise("facturation_complete", month_tag("2025-05"))
    assert "31 days were never mediated (2025-05-01, 2025-05-02" in refusal(result)


def test_a_day_without_records_is_mediated_and_does_not_stop_the_bill(damaged_with_database: Project) -> None:
    """July has no records; once its days are mediated, everybody gets a bill of nothing."""
    project = damaged_with_database
    for job, tags in (
        ("mediation_job", day_tags("2025-07-01", "2025-07-31")),
        ("billing_job", month_tag("2025-07")),
    ):
        assert project.run(job, tags).success
    bills = [row for row in project.rows("facturation_complete") if row["billing_period"] == "2025-07"]
    expected = project.expected().bills("2025-07")
    assert sorted(bills, key=lambda row: row["customer_id"]) == expected
    assert {row["amount_due"] for row in bills} == {Decimal(0)}


def test_a_month_in_which_records_landed_after_mediation_is_not_billed(damaged: Project) -> None:
    row = june(damaged, "raw_cdrs", event_date=dt.date.fromisoformat(f"{MONTH}-05"))
    landed = sum(each["event_date"] == row["event_date"] for each in damaged.rows("raw_cdrs"))
    damaged.land(row)
    message = billing_refusal(damaged)
    assert f"{MONTH}-05: {landed + 1} records landed, {landed} were mediated; mediate the day again" in message


def test_a_month_with_an_imputed_volume_out_of_date_is_not_billed(damaged: Project) -> None:
    """A known volume turns out smaller: every count is as before, only the smallest is another."""
    damaged.change(
        "rated_cdrs",
        lambda row: {**row, "billable_units": Decimal("8.999999")} if row["record_id"] == "floor-9" else row,
    )
    message = billing_refusal(damaged)
    assert f"{MONTH}-04: 1 imputed volumes are out of date; make period_charges of the month again" in message
    assert f"{MONTH}-28: 1 imputed volumes are out of date; make period_charges of the month again" in message
    assert "cleaned = rated + suspended" not in message


@pytest.mark.parametrize(("first", "last"), [(f"{MONTH}-04", f"{MONTH}-04"), (f"{MONTH}-28", "2025-07-02")])
def test_days_that_are_rated_by_themselves_defer_the_same_events(damaged: Project, first: str, last: str) -> None:
    """A day of the month, and days of two months: no month is asked."""
    names = ("rated_cdrs", "suspended_cdrs")
    before = [ordered(damaged.rows(name), "source_part", "source_position") for name in names]
    assert damaged.materialise("rated_cdrs", day_tags(first, last)).success
    assert [ordered(damaged.rows(name), "source_part", "source_position") for name in names] == before
    assert {row["record_id"] for row in before[1] if row["disposition"] == "deferred"} >= {"imputed-1", "imputed-2"}


@pytest.mark.parametrize(("policy", "are"), [("zero", "deferred or suspended"), ("suspend", "deferred")])
def test_a_month_that_was_rated_with_another_policy_is_not_billed(damaged: Project, policy: str, are: str) -> None:
    project = open_project(damaged.settings.replaced(missing_volume_policy=policy), damaged.instance)
    days = [row["event_date"] for row in damaged.rows("period_charges")]
    first_day = f"{min(days)}: {days.count(min(days))}"
    says = f"{first_day} events without a volume are {are}, and the policy is {policy}; rate the day again"
    assert says in billing_refusal(project)
    assert says in refusal(project.materialise("period_charges", month_tag()))


def test_a_month_with_volumes_that_wait_is_not_billed_once_the_policy_has_them_charged(damaged: Project) -> None:
    """Rated while the policy was to suspend them, they are not deferred: no month prices them."""
    days = day_tags(f"{MONTH}-01", f"{MONTH}-30")
    suspending = open_project(damaged.settings.replaced(missing_volume_policy="suspend"), damaged.instance)
    assert suspending.materialise("rated_cdrs", days).success
    waiting = [row["event_date"] for row in damaged.rows("suspended_cdrs") if row["reason"] == "missing_volume"]
    message = billing_refusal(damaged)
    day = min(waiting)
    assert (
        f"{day}: {waiting.count(day)} events without a volume are suspended, and the policy is customer_min; "
        "rate the day again" in message
    )
    assert suspending.materialise("period_charges", month_tag()).success
    assert damaged.rows("period_charges") == []
    assert suspending.materialise("bill_lines", month_tag()).success
    assert suspending.materialise("facturation_complete", month_tag()).success


def test_a_month_that_is_not_over_is_not_billed(damaged: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    last = dt.date.fromisoformat(f"{MONTH}-30")
    monkeypatch.setattr(billing_gate, "local_today", lambda: last)
    assert f"is refused: the month {MONTH} is not over: it ends on {last}; until then" in billing_refusal(damaged)
    monkeypatch.setattr(billing_gate, "local_today", lambda: last + dt.timedelta(days=1))
    assert damaged.materialise("facturation_complete", month_tag()).success


#: What tells the rows of a monthly table from each other, with the customer.
_PLACES: dict[str, tuple[str, ...]] = {"period_charges": ("source_part", "source_position"), "facturation_complete": ()}
NOT_IN_FORCE = "some days are not rated with the reference rows that are in force on them: "


@pytest.mark.parametrize("reference", ["customers", "rate_plans", "product_catalog"])
def test_days_that_were_rated_with_other_reference_rows_are_not_billed(damaged: Project, reference: str) -> None:
    """Rated rows from the 9th on name a version that has no such rows for these days."""
    since, column = dt.date.fromisoformat(f"{MONTH}-09"), f"{reference}_version"
    rated = [row for row in damaged.rows("rated_cdrs") if f"{row['event_date']:%Y-%m}" == MONTH]
    days = sorted({row["event_date"] for row in rated if row["event_date"] >= since})
    [version] = {row[column] for row in rated}
    damaged.change("rated_cdrs", lambda row: {**row, column: row[column] + int(row["event_date"] >= since)})
    message = billing_refusal(damaged)
    assert NOT_IN_FORCE in message
    assert f"{days[0]} to {days[-1]} rated against {reference} {version + 1}" in message
    assert "rate these days again" in message


def test_two_versions_within_one_day_are_found_as_well(damaged: Project) -> None:
    """Where a file of the day holds both, its statistics tell neither."""
    changed = {"rate_plans_version": 90}
    damaged.change("rated_cdrs", lambda row: {**row, **(changed if row["source_position"] % 2 else {})})
    message = billing_refusal(damaged)
    assert NOT_IN_FORCE in message
    assert " rated against rate_plans 90" in message


def test_a_bill_is_made_with_the_customers_of_its_month(damaged_with_database: Project) -> None:
    """Customers move after the month: its bills and its usage say the same region as before."""
    project = damaged_with_database
    before = project.rows("facturation_complete")
    project.postgres("UPDATE customers SET region = 'Elsewhere'")
    assert project.run("reference_job").success
    assert any(row["region"] == "Elsewhere" for row in project.rows("customers"))
    assert project.materialise("facturation_complete", month_tag()).success
    assert ordered(project.rows("facturation_complete"), "customer_id") == ordered(before, "customer_id")


def test_a_month_that_was_priced_with_another_tariff_than_its_days_is_not_billed(damaged: Project) -> None:
    """The days were rated again since, and no volume is another: only the tariff tells that the prices are out of date."""
    damaged.change("period_charges", lambda row: {**row, "rate_plans_version": row["rate_plans_version"] - 1})
    message = billing_refusal(damaged)
    assert NOT_IN_FORCE in message
    assert "rate these days again" in message
    assert damaged.materialise("period_charges", month_tag()).success
    assert damaged.materialise("bill_lines", month_tag()).success
    assert damaged.materialise("facturation_complete", month_tag()).success


def import_dearer(project: Project, folder: Path, since: dt.date) -> None:
    """Import tariffs in which every price is 1 more, from a day on."""
    path = folder / "rate_plans.csv"
    rows = oracle.read_csv(DATA / "rate_plans.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "unit_price": str(Decimal(row["unit_price"]) + 1)} for row in rows)
    import_tariffs(project.warehouse, [path], since, {"rate_plans": None, "product_catalog": None})


def test_prices_from_next_month_on_change_nothing_of_this_one(damaged: Project, tmp_path: Path) -> None:
    """Its charges and bills are made again and are the same."""
    tables = ("period_charges", "facturation_complete")
    before = {name: ordered(damaged.rows(name), "customer_id", *_PLACES[name]) for name in tables}
    assert any(row["amount"] for row in before["period_charges"])
    import_dearer(damaged, tmp_path, dt.date.fromisoformat(f"{MONTH}-30") + dt.timedelta(days=1))
    for name in tables:
        assert damaged.materialise(name, month_tag()).success
        assert ordered(damaged.rows(name), "customer_id", *_PLACES[name]) == before[name]


def test_a_price_within_the_month_holds_from_its_day_on(damaged: Project, tmp_path: Path) -> None:
    """From the 20th on a unit costs 1 more. What is rated before is as it was; the days from then on are to be rated again."""
    since = dt.date.fromisoformat(f"{MONTH}-20")
    place = ("source_part", "source_position")
    before = {tuple(row[name] for name in place): row for row in damaged.rows("rated_cdrs")}
    import_dearer(damaged, tmp_path, since)
    with_rows = [row["event_date"] for name in ("rated_cdrs", "suspended_cdrs") for row in damaged.rows(name)]
    first_day = min(day for day in with_rows if day >= since)
    for asset in ("period_charges", "facturation_complete"):
        message = refusal(damaged.materialise(asset, month_tag()))
        assert f"{NOT_IN_FORCE}{first_day} to " in message
    assert damaged.materialise("rated_cdrs", day_tags(f"{since}", f"{MONTH}-30")).success
    for asset in ("period_charges", "bill_lines", "facturation_complete"):
        assert damaged.materialise(asset, month_tag()).success
    after = {tuple(row[name] for name in place): row for row in damaged.rows("rated_cdrs")}
    assert after.keys() == before.keys()
    for key, row in after.items():
        dear = row["event_date"] >= since and f"{row['event_date']:%Y-%m}" == MONTH
        assert row["unit_price"] == before[key]["unit_price"] + int(dear)
        assert row["plan_valid_from"] == (since if dear else None)


def test_records_that_were_mediated_but_not_rated_are_not_billed(damaged: Project) -> None:
    """Late records are landed and mediated, and the bill is asked for too early; rated, they are on it."""
    row = first(damaged.rows("raw_cdrs"), record_id="floor-9")
    damaged.land({**row, "record_id": "late", "received_at": row["received_at"] + dt.timedelta(1)})
    day = day_tags(f"{row['event_date']}")
    assert damaged.materialise("cleaned_cdrs", day).success
    cleaned = sum(each["event_date"] == row["event_date"] for each in damaged.rows("cleaned_cdrs"))
    message = billing_refusal(damaged)
    assert f"{row['event_date']}: {cleaned} cleaned, " in message
    assert damaged.materialise("rated_cdrs", day).success
    before = first(damaged.rows("facturation_complete"), customer_id=row["user_id"])
    assert "usage lines" in billing_refusal(damaged), "the lines are those of before"
    assert damaged.materialise("bill_lines", month_tag()).success
    assert damaged.materialise("facturation_complete", month_tag()).success
    assert first(damaged.rows("facturation_complete"), customer_id=row["user_id"])["data_count"] == (
        before["data_count"] + 1
    )
