"""A month from the topic to the dashboard equals the oracle's, and so do the same month again, late records, and Spark."""

import csv
import datetime as dt
import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from deltalake import DeltaTable
from lxml import etree, html

from resources.warehouse import partitions_changed
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.books.totals import note_all_totals, totals_of
from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.reports.funnel_counts import malformed_while_open, month_funnel, other_days
from telecom_assets.reports.tables import REPORTS
from telecom_assets.runs.checks import build_checks
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import (
    FLOOR_CUSTOMER,
    CommandRun,
    MonthRun,
    customers,
    first_messages,
    late_records,
)
from telecom_assets_tests.graph.project import DATA, MONTH, Project, Row, month_tag, open_project, ordered, without
from telecom_assets_tests.oracle import half_up

IDENTITY = ("source_part", "source_position")
#: The packaged tariffs give free messages with each message.
ADVISED = "rate_plans.prices_are_reached"
#: Checks that stop nothing.
ADVISORY = {
    ADVISED,
    "rate_plans.prices_have_no_gaps",
    "landing.few_are_malformed",
    "billing_terms.terms_have_no_gap",
    "bill_lines.nothing_below_zero",
}
#: Tables that have no rows before a month is closed, or somebody decides about one.
WITHOUT_ROWS = {
    *("adjustments", "adjusted_months", "correction_documents", "documents"),
    *("manual_lines", "rerate_decisions", "accepted_differences"),
    *("suspense_decisions", "resubmissions"),
}
#: Tables that tell of changes: when, by whom, at which versions.
JOURNALS = {"billing_periods", "reference_changes", "control_totals"}
VERSIONS = ("customers_version", "rate_plans_version", "product_catalog_version")
USAGE = ("cleaned_cdrs", "rejected_cdrs", "rated_cdrs", "suspended_cdrs")
REPORT_NAMES = [contract.name for contract in REPORTS]
NAMESPACE = "{urn:telecom-assets:invoice:2}"


@pytest.fixture(params=["billed", "again", "late"])
def project(request: pytest.FixtureRequest) -> Project:
    """The project after each run of the story: first, once more, and after late records."""
    run: MonthRun = request.getfixturevalue(request.param)
    return run.project


def usage(project: Project, name: str) -> list[Row]:
    """A usage table as the oracle has it: without free text and table versions, in the order of the topic."""
    return ordered(without(project.rows(name), "detail", *VERSIONS), *IDENTITY)


def as_stored(row: Row) -> Row:
    """A rejected row of the oracle: instants that no table can hold (before 1900, after 2199) are left out there."""
    instant = row["event_ts"]
    return row if instant is None or 1900 <= instant.year < 2200 else {**row, "event_ts": None}


def of_month(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["billing_period"] == MONTH]


# -- one run equals the oracle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", ["billed", "again"])
def test_every_blocking_check_was_made_and_passed(run: str, request: pytest.FixtureRequest) -> None:
    results = request.getfixturevalue(run).results
    advice = [advised for result in results for advised in result.advice]
    assert [advised.partition(":")[0] for advised in advice] == [ADVISED]
    made = [(name, passed) for result in results for name, passed, _ in result.checks]
    declared = {
        f"{key.asset_key.to_user_string()}.{key.name}" for checks in build_checks() for key in checks.check_keys
    }
    # The close makes documents, and nobody but people changes the state of a period: their checks are those of `telecom check`.
    of_no_run = {name for name in declared if name.startswith(("documents.", "billing_periods."))}
    assert {name for name, _ in made} == declared - ADVISORY - of_no_run
    assert [name for name, passed in made if not passed] == []


def test_every_message_is_landed_as_it_was_sent(billed: MonthRun) -> None:
    messages = billed.project.messages()
    sent = first_messages()
    by_place = {(message.partition, message.offset): message.value for message in messages}
    assert len(messages) == len(sent)
    assert [by_place[number % 4, number // 4] for number in range(len(sent))] == sent


def test_each_stage_has_noted_its_control_totals(project: Project) -> None:
    """Nothing is left to be worked out, and what is noted of each day is what the oracle makes of it."""
    assert note_all_totals(project.warehouse) == 0
    found: Counter[tuple[dt.date, str, str]] = Counter()
    for name in USAGE:
        for each in totals_of(project.warehouse.pin(name)):
            found[each.value, each.outcome, each.reason] += each.records
    expected = project.expected()
    rows = [(row["event_date"], "cleaned", "") for row in expected.cleaned]
    rows += [(row["event_date"], "rejected", row["reason"]) for row in expected.rejected]
    rows += [(row["event_date"], "rated", "") for row in of_month(expected.rated)]
    rows += [(row["event_date"], row["disposition"], row["reason"]) for row in of_month(expected.suspended)]
    assert found == Counter(rows)


def test_usage_equals_the_oracle(project: Project) -> None:
    expected = project.expected()
    assert usage(project, "cleaned_cdrs") == ordered(expected.cleaned, *IDENTITY)
    assert usage(project, "rejected_cdrs") == ordered(map(as_stored, expected.rejected), *IDENTITY)
    assert usage(project, "rated_cdrs") == ordered(of_month(expected.rated), *IDENTITY)
    assert usage(project, "suspended_cdrs") == ordered(of_month(expected.suspended), *IDENTITY)


def test_charges_of_the_month_and_bills_equal_the_oracle(project: Project) -> None:
    expected = project.expected()
    assert usage(project, "period_charges") == ordered(of_month(expected.imputed), *IDENTITY)
    assert ordered(project.rows("facturation_complete"), "customer_id") == expected.bills(MONTH)


@pytest.mark.parametrize("name", REPORT_NAMES)
def test_a_report_equals_the_oracle(project: Project, name: str) -> None:
    key = TABLES[name].key
    expected = ordered(project.expected().reports(MONTH)[name], *key)
    assert expected
    assert ordered(project.rows(name), *key) == expected


def test_the_funnel_equals_the_oracle(project: Project) -> None:
    expected, books = project.expected().funnel(MONTH), month_funnel(project.warehouse, MONTH)
    assert books.imbalances() == []
    assert (books.received, books.cleaned, books.rejected) == (expected.received, expected.cleaned, expected.rejected)
    assert {**books.suspended, **books.excluded} == expected.suspended
    assert set(books.excluded) == {"prepaid_customer", "inactive_customer"}
    assert (books.rated, books.rated_amount) == (expected.rated, expected.rated_amount)
    assert books.deferred == books.imputed == expected.deferred == expected.imputed > 0
    assert (books.imputed_amount, books.imputed_out_of_range) == (expected.imputed_amount, 0)
    assert (books.billed_customers, books.amount_before_tax, books.amount_due) == (
        expected.bills,
        expected.amount_before_tax,
        expected.amount_due,
    )


def test_records_at_home_elsewhere_are_counted_too(project: Project) -> None:
    expected = [outcome for outcome in project.expected().outcomes if f"{outcome.home_day:%Y-%m}" != MONTH]
    books = other_days(project.warehouse, MONTH)
    reasons = [outcome.reason for outcome in expected]
    assert books.received == len(expected)
    assert books.cleaned == reasons.count(None)
    assert books.rejected == {reason: reasons.count(reason) for reason in books.rejected}
    assert books.rejected_total + books.cleaned == books.received


def test_malformed_messages_are_counted_by_the_days_on_which_the_month_is_open(billed: MonthRun) -> None:
    """Everything is received on the day of the test. MONTH was opened by name; the months below were not."""
    malformed = [
        outcome.home_day
        for outcome in billed.project.expected().outcomes
        if outcome.reason in {"malformed_utf8", "malformed_json"}
    ]
    (received,) = set(malformed)
    month_before = received.replace(day=1) - dt.timedelta(days=1)

    def count(month: str, max_age_days: int) -> tuple[int, int]:
        found = malformed_while_open(billed.project.warehouse, month, max_age_days)
        return found.messages, found.on_its_days

    assert count(MONTH, 62) == (len(malformed), 0)
    assert count(f"{received:%Y-%m}", 0) == (len(malformed), len(malformed))
    # The last day of the month before can be received so many days later, and no day more.
    age = (received - month_before).days
    assert count(f"{month_before:%Y-%m}", age) == (len(malformed), 0)
    assert count(f"{month_before:%Y-%m}", age - 1) == (0, 0)


def test_what_the_month_holds_is_worth_looking_at(billed: MonthRun) -> None:
    """The comparisons above would prove little about rows that are not there."""
    expected = billed.project.expected()
    assert {outcome.reason for outcome in expected.outcomes} >= {
        None,
        "malformed_utf8",
        "malformed_json",
        "missing_timestamp",
        "outside_acceptance_window",
        "invalid_subscriber",
        "non_positive_duration",
        "quantity_out_of_range",
        "duplicate",
    }
    assert {row["reason"] for row in expected.suspended} == {
        "unknown_customer",
        "prepaid_customer",
        "inactive_customer",
        "missing_volume",
    }
    imputed = expected.imputed
    assert len(imputed) > 10
    assert {row["billable_units"] for row in imputed if row["customer_id"] == FLOOR_CUSTOMER} == {Decimal(9)}
    assert any(row["billable_units"] > row["tier_threshold"] for row in expected.rated if row["tier_threshold"])
    assert any(row["amount_due"] == 0 for row in expected.bills(MONTH))
    assert any(row["rounding_difference"] != 0 for row in expected.bills(MONTH))


# -- what leaves the warehouse agrees with it ------------------------------------------------------------------------


def test_published_rows_are_the_bills(project: Project) -> None:
    names = FACTURATION_COMPLETE.column_names
    published = project.postgres(f"SELECT {', '.join(names)} FROM facturation_complete ORDER BY customer_id")
    assert [dict(zip(names, row, strict=True)) for row in published] == project.expected().bills(MONTH)


def test_invoices_say_what_the_bills_say(project: Project) -> None:
    directory = invoice_directory(project.settings, MONTH)
    schema = etree.XMLSchema(etree.parse(DATA / "invoice.xsd"))
    bills = {row["customer_id"]: row for row in project.expected().bills(MONTH)}
    names = dict(project.postgres("SELECT customer_id, customer_name FROM customers"))
    found = {}
    for path in directory.glob("*.xml"):
        document = etree.parse(path)
        schema.assertValid(document)
        found[path.stem] = document.getroot()
    assert set(found) == set(bills)
    for customer, root in found.items():
        bill = bills[customer]
        totals = root.find(f"{NAMESPACE}Totals")
        assert Decimal(totals.findtext(f"{NAMESPACE}AmountDue")) == bill["amount_due"]
        assert Decimal(totals.findtext(f"{NAMESPACE}AmountBeforeTax")) == bill["amount_before_tax"]
        assert Decimal(totals.findtext(f"{NAMESPACE}RoundingDifference")) == bill["rounding_difference"]
        assert root.findtext(f"{NAMESPACE}Customer/{NAMESPACE}Name") == names[customer]
        lines = {line.get("service"): line for line in root.iter(f"{NAMESPACE}UsageLine")}
        assert {service: int(line.findtext(f"{NAMESPACE}Count")) for service, line in lines.items()} == {
            service: bill[f"{service}_count"] for service in ("voice", "sms", "data")
        }
        assert {service: Decimal(line.findtext(f"{NAMESPACE}Amount")) for service, line in lines.items()} == {
            service: bill[f"{service}_total"] for service in ("voice", "sms", "data")
        }


def test_the_index_of_invoices_lists_every_bill(project: Project) -> None:
    with (invoice_directory(project.settings, MONTH) / "index.csv").open(encoding="utf-8", newline="") as file:
        listed = [(line["customer_id"], Decimal(line["amount_due"])) for line in csv.DictReader(file)]
    assert listed == [(row["customer_id"], row["amount_due"]) for row in project.expected().bills(MONTH)]


def test_percentages_are_billed_and_published_as_they_are_set(damaged_with_database: Project) -> None:
    """Four decimals, from the setting to PostgreSQL and the invoice."""
    terms = {"discount_pct": Decimal("2.4375"), "tax_pct": Decimal("19.6250")}
    project = open_project(damaged_with_database.settings.replaced(**terms), damaged_with_database.instance)
    assert project.run("reference_job").success
    assert project.run("billing_job", month_tag()).success
    expected = project.expected().bills(MONTH)
    names = FACTURATION_COMPLETE.column_names
    published = project.postgres(f"SELECT {', '.join(names)} FROM facturation_complete ORDER BY customer_id")
    assert [dict(zip(names, row, strict=True)) for row in published] == expected
    assert {tuple(row[name] for name in terms) for row in expected} == {tuple(terms.values())}
    assert any(row["discount"] != half_up(row["amount_before_tax"] * Decimal("0.0244"), 2) for row in expected)
    document = etree.parse(invoice_directory(project.settings, MONTH) / f"{expected[0]['customer_id']}.xml")
    totals = document.getroot().find(f"{NAMESPACE}Totals")
    shown = [totals.findtext(f"{NAMESPACE}{name}") for name in ("DiscountPercent", "TaxPercent")]
    assert shown == ["2.4375", "19.625"]


def test_terms_of_a_file_are_those_of_the_last_day(damaged_with_database: Project, tmp_path: Path) -> None:
    """June ends on the first day of the second row; one that is wrong is refused, and the terms stay."""
    header = "valid_from,valid_to,discount_pct,tax_pct,tax_category,exemption_reason,payment_days"
    path = tmp_path / "terms.csv"
    path.write_text(f"{header}\n,{MONTH}-30,5,20,S,,30\n{MONTH}-30,,10,7,S,,30\n", encoding="utf-8")
    project = open_project(damaged_with_database.settings.replaced(billing_terms=path), damaged_with_database.instance)
    assert project.run("reference_job").success
    assert project.run("billing_job", month_tag()).success
    bills = project.rows("facturation_complete")
    assert {(row["discount_pct"], row["tax_pct"]) for row in bills} == {(Decimal(10), Decimal(7))}
    assert any(row["amount_due"] for row in bills)
    for row in bills:
        assert row["discount"] == half_up(row["amount_before_tax"] * Decimal("0.1"), 2)
        assert row["tax"] == half_up(row["after_discount"] * Decimal("0.07"), 2)
    version = project.version("billing_terms")
    path.write_text(f"{header}\n,,5,20,S,,30\n{MONTH}-30,,10,7,S,,30\n", encoding="utf-8")
    assert not project.run("reference_job").success
    assert project.version("billing_terms") == version


def test_another_currency_than_that_of_the_first_bill_is_refused(damaged_with_database: Project) -> None:
    versions = damaged_with_database.versions(TABLES)
    project = open_project(damaged_with_database.settings.replaced(currency="EUR"), damaged_with_database.instance)
    result = project.materialise("bill_lines", month_tag())
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert any(error and "has bills in MAD, and TELECOM_CURRENCY is EUR" in error.to_string() for error in errors)
    assert damaged_with_database.versions(TABLES) == versions


@pytest.mark.parametrize("name", REPORT_NAMES)
def test_a_report_file_holds_the_table(project: Project, name: str) -> None:
    columns = [column for column in TABLES[name].column_names if column != "billing_period"]
    lines = lines_of(report_file(project.settings, MONTH, name))
    assert lines[0] == [*columns, "currency", "billing_period"]
    expected = [
        [*(f"{row[column]}" for column in columns), "MAD", MONTH] for row in project.expected().reports(MONTH)[name]
    ]
    assert sorted(lines[1:]) == sorted(expected)


def test_bills_csv_holds_the_bills(project: Project) -> None:
    """In the order of customers, with every figure as the oracle has it."""
    lines, bills = lines_of(bills_file(project.settings, MONTH)), project.expected().bills(MONTH)
    assert lines[0] == FACTURATION_COMPLETE.column_names
    assert lines[1:] == [[f"{row[column]}" for column in lines[0]] for row in bills]


def lines_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_dashboard_shows_the_tables(project: Project) -> None:
    page = html.fromstring(dashboard_file(project.settings, MONTH).read_text(encoding="utf-8"))
    expected, books = project.expected(), month_funnel(project.warehouse, MONTH)
    reports = expected.reports(MONTH)

    def shown(panel: str) -> list[list[str]]:
        rows = page.xpath(f"//table[@data-panel='{panel}']/tbody/tr")
        return [[cell.get("data-value") for cell in row] for row in rows]

    stages = {stage.get("data-stage"): stage.get("data-value") for stage in page.xpath("//li[@class='stage']")}
    assert stages["billed"] == str(books.billed_customers)
    assert stages["received"] == str(books.received)
    assert page.get_element_by_id("balance").get("data-value") == "yes"
    assert shown("daily-revenue") == [
        [f"{row['billing_date']}", f"{row['revenue']}"] for row in reports["daily_revenue"]
    ]
    assert shown("plan-by-region") == [
        [row["region"], row["rate_plan_id"], f"{row['revenue_incl_tax']}"] for row in reports["plan_by_region"]
    ]
    assert shown("top-consumers") == [
        [row["customer_id"], f"{row['total_mb']}", f"{row['amount_due']}"] for row in reports["top10_consumers"]
    ]
    assert {row[0]: int(row[1]) for row in shown("rejected")} == dict(expected.funnel(MONTH).rejected)


def test_the_dashboard_names_the_bills_it_was_made_from(project: Project) -> None:
    """Their version, and the times of commits as delta-rs tells them."""
    page = html.fromstring(dashboard_file(project.settings, MONTH).read_text(encoding="utf-8"))
    version = project.version("facturation_complete")
    times = {
        name: dt.datetime.fromtimestamp(
            DeltaTable(project.warehouse.path(name)).history(1)[0]["timestamp"] / 1000, ZoneInfo("Africa/Casablanca")
        )
        for name in (
            "facturation_complete",
            "rated_cdrs",
            "period_charges",
            "daily_revenue",
            "plan_by_region",
            "top10_consumers",
        )
    }
    made = page.get_element_by_id("made")
    assert made.get("data-version") == str(version)
    assert " ".join(made.text_content().split()) == (
        f"From the bills of {times['facturation_complete']:%Y-%m-%d %H:%M:%S}, version {version}; "
        f"tables as of {max(times.values()):%Y-%m-%d %H:%M:%S} (Africa/Casablanca)"
    )


# -- the second run ----------------------------------------------------------------------------------------------------


#: What a table says of versions that a second run makes anew, by table.
VERSIONS_MADE = {
    "mediated_days": {"cleaned_version", "rejected_version"},
    # The ledger of published bills, and the manifest of the invoices, name the version of the bills.
    "billed_months": {"published", "documents"},
}


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"displaced_days", "control_totals"} - WITHOUT_ROWS))
def test_a_second_run_changes_no_row(billed: MonthRun, again: MonthRun, name: str) -> None:
    columns = [column for column in TABLES[name].column_names if column not in VERSIONS_MADE.get(name, ())]
    first, second = (ordered_as_text(run.project.rows(name), columns) for run in (billed, again))
    assert first
    assert second == first


def ordered_as_text(rows: list[Row], columns: list[str]) -> list[list[str]]:
    return sorted([[repr(row[column]) for column in columns] for row in rows])


def test_a_second_run_makes_no_version_where_nothing_is_new(billed: MonthRun, again: MonthRun) -> None:
    names = ("raw_cdrs", "landing_ranges", "customers", "rate_plans", "product_catalog")
    assert again.project.versions(names) == billed.project.versions(names)


def test_a_second_run_changes_nothing_for_readers(billed: MonthRun, again: MonthRun) -> None:
    query = "SELECT * FROM facturation_complete ORDER BY billing_period, customer_id"
    assert again.project.postgres(query) == billed.project.postgres(query)
    before, after = (files_for_people(run.project) for run in (billed, again))
    assert len(before) > 60
    assert after == before


def files_for_people(project: Project) -> dict[str, bytes]:
    """Every file that people read, by name, without the version of the bills: the manifest, and a line of the page."""
    settings = project.settings
    folders = (
        invoice_directory(settings, MONTH),
        report_file(settings, MONTH, "any").parent,
        dashboard_file(settings, MONTH).parent,
    )
    paths: list[Path] = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    return {path.name: without_version(path.read_bytes()) for path in paths if path.name != "manifest.json"}


def without_version(content: bytes) -> bytes:
    """A file without the line of the dashboard that names the bills it was made from."""
    return re.sub(rb'<p id="made".*?</p>', b"", content, flags=re.DOTALL)


# -- late records --------------------------------------------------------------------------------------------------------


def test_late_records_change_only_their_own_day_of_mediation(again: MonthRun, late: CommandRun) -> None:
    for name in ("cleaned_cdrs", "rejected_cdrs"):
        before, after = (usage(run.project, name) for run in (again, late))
        assert [row for row in after if row not in before] == [
            row for row in after if row["event_date"].isoformat() == f"{MONTH}-03" and row not in before
        ]
        assert [row for row in before if row not in after] == []
    assert len(late.project.messages()) == len(again.project.messages()) + len(late_records())


def test_late_records_get_the_outcomes_they_should(again: MonthRun, late: CommandRun) -> None:
    known = {message.order[1:] for message in again.project.messages()}
    new = [outcome for outcome in late.project.expected().outcomes if outcome.message.order[1:] not in known]
    assert sorted((str(outcome.row["record_id"]), outcome.reason or "cleaned") for outcome in new) == [
        ("floor-10", "duplicate_conflict"),
        ("late-call", "cleaned"),
        ("late-call", "duplicate"),
        ("late-floor", "cleaned"),
        ("late-sms", "invalid_subscriber"),
    ]


def rows_by_record(run: MonthRun | CommandRun, name: str) -> dict[object, Row]:
    return {row["record_id"]: row for row in run.project.rows(name) if row["record_id"] is not None}


def test_a_smaller_volume_prices_the_deferred_sessions_of_other_days_anew(again: MonthRun, late: CommandRun) -> None:
    before, after = (rows_by_record(run, "period_charges") for run in (again, late))
    changed = {record for record, row in before.items() if after[record] != row}
    assert changed == {"imputed-1", "imputed-2"}
    assert set(after) == set(before)
    assert {after[record]["billable_units"] for record in changed} == {Decimal("3.25")}
    assert {before[record]["billable_units"] for record in changed} == {Decimal(9)}


def test_a_smaller_volume_rates_its_own_day_once_and_no_other(again: MonthRun, late: CommandRun) -> None:
    """Rated and suspended rows of the other days are those that were there, in the files that were there."""
    before, after = (rows_by_record(run, "rated_cdrs") for run in (again, late))
    assert {record for record, row in before.items() if after[record] != row} == set()
    assert set(after) - set(before) == {"late-call", "late-floor"}
    for name in ("rated_cdrs", "suspended_cdrs"):
        changed = partitions_changed(
            late.project.warehouse, name, late.project.warehouse.pin(name).table_id, again.project.version(name)
        )
        assert changed == {f"{MONTH}-03"}
        assert late.project.version(name) == again.project.version(name) + 1
    assert [(step["job"], step["partitions"]) for step in late.json["steps"]][-2:] == [
        ("mediation_job", f"{MONTH}-03"),
        ("billing_job", MONTH),
    ]


def test_late_records_change_one_bill(again: MonthRun, late: CommandRun) -> None:
    before, after = (
        {row["customer_id"]: row for row in run.project.rows("facturation_complete")} for run in (again, late)
    )
    assert {customer for customer in before | after if before.get(customer) != after.get(customer)} == {FLOOR_CUSTOMER}
    # 61 minutes abroad in PLAN_B: 61 × 0.025
    assert after[FLOOR_CUSTOMER]["voice_total"] - before[FLOOR_CUSTOMER]["voice_total"] == Decimal("1.53")


# -- Apache Spark ------------------------------------------------------------------------------------------------------


def test_spark_makes_of_the_same_topic_what_sail_made(
    late: CommandRun, spark_remote: str, new_project: Callable[..., Project]
) -> None:
    """From nothing, in one run, on the other engine: every row equals those of the runs that came one after the other."""
    sail = late.project
    spark = new_project(engine="spark", spark_remote=spark_remote, kafka_topic=sail.settings.kafka_topic)
    spark.store_customers(customers())
    spark.open_month()
    results = spark.run_month()
    assert [failed for result in results for failed in result.failed_checks] == []
    assert spark.deployment.engine.name == "spark"
    of_the_run = {"landing_ranges", "landing_decisions", "mediated_days", "billed_months"}
    for name in sorted(set(TABLES) - of_the_run - WITHOUT_ROWS - JOURNALS):
        columns = [column for column in TABLES[name].column_names if column not in VERSIONS]
        assert ordered_as_text(spark.rows(name), columns) == ordered_as_text(sail.rows(name), columns), name
    assert files_for_people(spark) == files_for_people(sail)
