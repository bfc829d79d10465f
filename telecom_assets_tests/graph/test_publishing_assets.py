"""What the last stages write for people, how they say it, and that a late or repeated publisher does no harm."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from lxml import html
from pyspark.sql.connect.dataframe import DataFrame

from resources.warehouse import stream_batches
from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.invoices import assets as invoices
from telecom_assets.model.months import month_days
from telecom_assets.reports.funnel_counts import month_funnel
from telecom_assets.reports.tables import REPORTS
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import MonthRun
from telecom_assets_tests.graph.project import MONTH, Project, month_tag, open_project

#: What each asset reads, as its materialisations say it.
READS = {
    "cleaned_cdrs": {"raw_cdrs", "product_catalog"},
    "rejected_cdrs": {"raw_cdrs", "cleaned_cdrs", "product_catalog"},
    "mediated_days": {"raw_cdrs", "product_catalog"},
    "rated_cdrs": {
        "cleaned_cdrs",
        "rejected_cdrs",
        "customers",
        "rate_plans",
        "product_catalog",
    },
    "suspended_cdrs": {
        "cleaned_cdrs",
        "rejected_cdrs",
        "customers",
        "rate_plans",
        "product_catalog",
    },
    "period_charges": {"cleaned_cdrs", "rated_cdrs", "suspended_cdrs", "rate_plans", "product_catalog"},
    "bill_lines": {"rated_cdrs", "period_charges", "suspended_cdrs", "billing_terms", "adjustments", "manual_lines"},
    "facturation_complete": {
        *("rated_cdrs", "period_charges", "suspended_cdrs", "bill_lines", "billing_terms", "customers"),
    },
    "published_bills": {"facturation_complete", "correction_documents"},
    "bills_csv": {"facturation_complete"},
    "invoices": {"facturation_complete", "customers"},
    **{
        contract.name: {"rated_cdrs", "period_charges", "bill_lines", "facturation_complete", "correction_documents"}
        for contract in REPORTS
    },
    "dashboard": {"daily_revenue", "plan_by_region", "top10_consumers", "facturation_complete"},
}
TABLE_ASSETS = sorted(set(READS) & set(TABLES) | {"customers", "rate_plans", "product_catalog", "billing_terms"})


def said(project: Project, name: str) -> dict[str, Any]:
    """Metadata of an asset's newest materialisation, as the UI shows it."""
    event = project.instance.get_latest_materialization_event(dg.AssetKey(name))
    assert event is not None
    materialization = event.asset_materialization
    assert materialization is not None
    return {key: value.value for key, value in materialization.metadata.items()}


def newest_run(project: Project, name: str) -> str:
    event = project.instance.get_latest_materialization_event(dg.AssetKey(name))
    assert event is not None
    return event.run_id


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """What the step that failed said, and the causes of that."""
    error = next(event.step_failure_data.error for event in result.all_events if event.is_step_failure)
    chain = []
    while error is not None:
        chain.append(error.message.strip())
        error = error.cause
    return chain


# -- what the UI shows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("dashboard", "file"),
        ("invoices", "directory"),
        ("daily_revenue", "file"),
        ("daily_revenue", "dagster/uri"),
        ("rated_cdrs", "dagster/uri"),
        ("customers", "dagster/uri"),
    ],
)
def test_a_materialisation_says_where_its_output_lies(billed: MonthRun, name: str, key: str) -> None:
    """As a path, which a click copies: no browser follows a link from the UI to a file."""
    event = billed.project.instance.get_latest_materialization_event(dg.AssetKey(name))
    assert event is not None and event.asset_materialization is not None
    value = event.asset_materialization.metadata[key]
    assert isinstance(value, dg.PathMetadataValue)
    path = Path(str(value.value))
    assert path.is_absolute() and path.exists()


@pytest.mark.parametrize("name", sorted(READS))
def test_a_materialisation_says_which_versions_it_read(billed: MonthRun, name: str) -> None:
    project, metadata = billed.project, said(billed.project, name)
    read = {key.removeprefix("read/"): value for key, value in metadata.items() if key.startswith("read/")}
    assert set(read) == READS[name]
    # Nobody has added a line by hand: that table is as it was made.
    assert all((version > 0) != (table == "manual_lines") for table, version in read.items())
    assert all(version <= project.version(table) for table, version in read.items())


@pytest.mark.parametrize("name", TABLE_ASSETS)
def test_a_table_says_its_rows_and_its_version(billed: MonthRun, name: str) -> None:
    project, metadata = billed.project, said(billed.project, name)
    assert metadata["table_version"] <= project.version(name)
    assert metadata["dagster/uri"] == project.warehouse.path(name)
    if "event_date" not in TABLES[name].column_names:
        assert metadata["dagster/row_count"] == len(project.rows(name))


def test_rated_usage_says_its_rows_and_its_money(billed: MonthRun) -> None:
    """Each day its own; together they are the month's."""
    expected = billed.project.expected().funnel(MONTH)
    days = [str(day) for day in month_days(MONTH)]
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("rated_cdrs"), asset_partitions=days)
    newest_last = reversed(billed.project.instance.fetch_materializations(wanted, limit=1000).records)
    said_of: dict[str | None, dict[str, Any]] = {
        each.partition_key: {name: value.value for name, value in each.asset_materialization.metadata.items()}
        for each in newest_last
        if each.asset_materialization is not None
    }
    assert set(said_of) == set(days)
    assert sum(each["dagster/row_count"] for each in said_of.values()) == expected.rated
    assert sum(Decimal(each["total_amount"]) for each in said_of.values()) == expected.rated_amount


@pytest.mark.parametrize("name", ["facturation_complete", "published_bills"])
def test_bills_say_their_money(billed: MonthRun, name: str) -> None:
    bills, metadata = billed.project.expected().bills(MONTH), said(billed.project, name)
    assert metadata["dagster/row_count"] == len(bills)
    for column in ("amount_before_tax", "discount", "tax", "amount_due", "rounding_difference"):
        assert Decimal(str(metadata[f"total_{column}"])) == sum(row[column] for row in bills)


def test_documents_say_where_they_lie(billed: MonthRun) -> None:
    project = billed.project
    settings, bills = project.settings, project.expected().bills(MONTH)
    invoices = said(project, "invoices")
    assert Path(str(invoices["directory"])) == invoice_directory(settings, MONTH)
    assert invoices["dagster/row_count"] == len(bills)
    assert invoices["total_amount_due"] == f"{sum(row['amount_due'] for row in bills):f}"
    page = said(project, "dashboard")
    assert Path(str(page["file"])) == dashboard_file(settings, MONTH)
    assert page["bytes"] == dashboard_file(settings, MONTH).stat().st_size
    for contract in REPORTS:
        assert Path(str(said(project, contract.name)["file"])) == report_file(settings, MONTH, contract.name)


def test_landing_reports_every_day_that_it_touched(billed: MonthRun) -> None:
    project = billed.project
    days = {f"{row['event_date']}" for row in project.rows("raw_cdrs")}
    assert project.instance.get_materialized_partitions(dg.AssetKey("raw_cdrs")) == days
    metadata = said(project, "landing")
    assert metadata["table_version"] == project.version("raw_cdrs")
    assert metadata["days"] == sorted(days)
    assert metadata["records"] == len(project.rows("raw_cdrs"))
    ends = {row["source_part"]: row["to_position"] for row in project.rows("landing_ranges") if row["records"]}
    assert {partition: (start, end) for partition, start, end in metadata["offset_ranges"]} == {
        partition: (0, end) for partition, end in ends.items()
    }


def test_a_month_is_one_run_a_step(billed: MonthRun) -> None:
    """A range of days is one run: 31 days of mediation and rating, in two ranges, are two runs, not 31."""
    runs = billed.project.instance.get_run_records()
    jobs = sorted(record.dagster_run.job_name for record in runs)
    assert jobs == sorted(
        [
            "reference_job",
            "landing_job",
            "mediation_job",
            "mediation_job",
            "billing_job",
        ]
    )
    assert {f"{MONTH}-01", f"{MONTH}-30"} < billed.project.instance.get_materialized_partitions(
        dg.AssetKey("cleaned_cdrs")
    )
    assert newest_run(billed.project, "rated_cdrs") == newest_run(billed.project, "suspended_cdrs")


# -- a publisher that comes again, or too late -----------------------------------------------------------------------------


LEDGER = "SELECT delta_table_id, delta_version, row_count FROM publish_ledger WHERE table_name = 'facturation_complete'"


def test_the_ledger_names_the_version_that_was_published(billed: MonthRun) -> None:
    project = billed.project
    rows = project.postgres(LEDGER)
    table_id = project.warehouse.pin("facturation_complete").table_id
    assert rows == [(table_id, project.version("facturation_complete"), len(project.rows("facturation_complete")))]


def test_bills_that_are_older_than_what_was_published_change_nothing(damaged_with_database: Project) -> None:
    """The ledger names a version that the table does not have: it went back, and the step says so (`test_restored`)."""
    project = damaged_with_database
    project.postgres("UPDATE publish_ledger SET delta_version = delta_version + 100")
    project.postgres("UPDATE facturation_complete SET region = 'of the newer bills'")
    before = project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id"), project.postgres(LEDGER)
    result = project.materialise("published_bills", month_tag())
    assert not result.success
    assert any("telecom warehouse adopt" in text for text in failures(result))
    after = project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id"), project.postgres(LEDGER)
    assert after == before


def test_publishing_again_repairs_what_somebody_changed(damaged_with_database: Project) -> None:
    project = damaged_with_database
    before = project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id")
    project.postgres("UPDATE facturation_complete SET amount_due = 0 WHERE amount_due > 100")
    project.postgres("DELETE FROM facturation_complete WHERE customer_id LIKE '%1'")
    assert project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id") != before
    assert project.materialise("published_bills", month_tag()).success
    assert project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id") == before


def test_other_months_stay_as_they_are(damaged_with_database: Project) -> None:
    project = damaged_with_database
    project.postgres(
        "CREATE TABLE other AS SELECT * FROM facturation_complete; UPDATE other SET billing_period = '2025-05'; "
        "INSERT INTO facturation_complete SELECT * FROM other"
    )
    query = "SELECT * FROM facturation_complete WHERE billing_period = '2025-05' ORDER BY customer_id"
    before = project.postgres(query)
    assert before
    assert project.materialise("published_bills", month_tag()).success
    assert project.postgres(query) == before


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_down_fails_the_step_in_one_line(damaged: Project) -> None:
    nowhere = damaged.settings.replaced(postgres_dsn="postgresql://nobody:hunter2@127.0.0.1:1/none")
    project = open_project(nowhere, damaged.instance)
    result = project.materialise("published_bills", month_tag())
    assert not result.success
    chain = failures(result)
    assert any("PostgreSQL at 127.0.0.1:1/none cannot be reached" in text for text in chain)
    assert "hunter2" not in json.dumps(chain)


def test_invoices_are_replaced_as_a_set(damaged: Project) -> None:
    """Whoever reads the folder sees the old set or the new one: the name is a link that moves."""
    directory = invoice_directory(damaged.settings, MONTH)
    before, stray = directory.readlink(), directory / "stray.xml"
    stray.write_text("<not-an-invoice/>", encoding="utf-8")
    assert damaged.materialise("invoices", month_tag()).success
    assert directory.is_symlink()
    assert directory.readlink() != before
    assert not stray.exists()
    assert len(list(directory.glob("*.xml"))) == len(damaged.expected().bills(MONTH))


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Let something happen when `invoices` has read its bills and not yet shown what it wrote."""

    def read_then_change(rows: DataFrame) -> Iterator[pa.RecordBatch]:
        yield from stream_batches(rows)
        change()

    monkeypatch.setattr(invoices, "stream_batches", read_then_change)


def set_of(directory: Path) -> tuple[Path, dict[str, bytes]]:
    """Which set of invoices is shown, and what is in it."""
    return directory.readlink(), {path.name: path.read_bytes() for path in directory.iterdir()}


def bill_again(project: Project) -> None:
    project.change("facturation_complete", lambda row: row)


def make_the_table_again(project: Project) -> None:
    """Same bills in a table that counts its versions from 0 again, up to the version there was before."""
    rows, version = project.rows("facturation_complete"), project.version("facturation_complete")
    shutil.rmtree(project.warehouse.path("facturation_complete"))
    project.warehouse.make_tables(["facturation_complete"])
    project.add("facturation_complete", rows)
    while project.version("facturation_complete") < version:
        bill_again(project)


@pytest.mark.parametrize(
    "change, said_of_it",
    [
        (bill_again, "the bills were made again"),
        (make_the_table_again, "table facturation_complete was made again or altered"),
    ],
)
def test_invoices_of_bills_that_were_made_again_are_not_shown(
    damaged: Project, monkeypatch: pytest.MonkeyPatch, change: Callable[[Project], None], said_of_it: str
) -> None:
    """The run was suspended, say, and another one has made newer bills; their invoices must not be replaced."""
    directory, read = invoice_directory(damaged.settings, MONTH), damaged.version("facturation_complete")
    before = set_of(directory)
    meanwhile(monkeypatch, lambda: change(damaged))
    result = damaged.materialise("invoices", month_tag())
    assert not result.success
    assert (
        f"invoices of {MONTH}: {said_of_it} (version {damaged.version('facturation_complete')}) while these were "
        f"written from version {read}; nothing was changed; make the invoices again"
    ) in "\n".join(failures(result))
    assert set_of(directory) == before
    monkeypatch.undo()
    assert damaged.materialise("invoices", month_tag()).success


def add_another_month(project: Project) -> None:
    project.add(
        "facturation_complete",
        [{**row, "billing_period": "2025-05"} for row in project.rows("facturation_complete")],
    )


def compact(project: Project) -> None:
    assert project.table("facturation_complete").optimize.compact()["numFilesRemoved"] > 1


@pytest.mark.parametrize("change", [add_another_month, compact])
def test_invoices_are_shown_when_their_bills_are_the_same_in_a_newer_version(
    damaged: Project, monkeypatch: pytest.MonkeyPatch, change: Callable[[Project], None]
) -> None:
    rows = damaged.rows("facturation_complete")
    damaged.delete("facturation_complete", "true")
    for half in (rows[::2], rows[1::2]):
        damaged.add("facturation_complete", half)
    directory, read = invoice_directory(damaged.settings, MONTH), damaged.version("facturation_complete")
    before = directory.readlink()
    meanwhile(monkeypatch, lambda: change(damaged))
    assert damaged.materialise("invoices", month_tag()).success
    assert damaged.version("facturation_complete") > read
    assert directory.readlink() != before


def test_a_bill_that_is_lost_on_the_way_leaves_the_old_invoices(
    damaged: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = invoice_directory(damaged.settings, MONTH)
    before, bills = set_of(directory), damaged.expected().bills(MONTH)

    def without_the_last(rows: DataFrame) -> Iterable[pa.RecordBatch]:
        kept: list[pa.RecordBatch] = pa.Table.from_batches(stream_batches(rows)).slice(0, len(bills) - 1).to_batches()
        return kept

    monkeypatch.setattr(invoices, "stream_batches", without_the_last)
    result = damaged.materialise("invoices", month_tag())
    assert not result.success
    said_so = "\n".join(failures(result))
    before_tax = sum(row["amount_before_tax"] for row in bills)
    assert f"{MONTH}: the bills say {len(bills)} invoices, amount_before_tax {before_tax:f}, discount " in said_so
    assert f"written were {len(bills) - 1} invoices" in said_so
    assert set_of(directory) == before


@pytest.mark.parametrize("asset", ["invoices", "bills_csv", "daily_revenue", "dashboard"])
def test_files_that_were_lost_are_made_again(damaged: Project, asset: str) -> None:
    settings = damaged.settings
    paths: dict[str, Callable[[], Path]] = {
        "invoices": lambda: invoice_directory(settings, MONTH) / "index.csv",
        "bills_csv": lambda: bills_file(settings, MONTH),
        "daily_revenue": lambda: report_file(settings, MONTH, "daily_revenue"),
        "dashboard": lambda: dashboard_file(settings, MONTH),
    }
    path = paths[asset]()
    before = path.read_bytes()
    path.unlink()
    assert damaged.materialise(asset, month_tag()).success
    assert paths[asset]().read_bytes() == before


def test_a_page_of_books_that_do_not_balance_any_more_says_so(damaged: Project) -> None:
    """Made again after a day's rejections were lost: it does not repeat what held when the month was billed."""
    damaged.delete("rejected_cdrs", f"event_date = '{MONTH}-05'")
    assert damaged.materialise("dashboard", month_tag()).success
    page = html.fromstring(dashboard_file(damaged.settings, MONTH).read_text(encoding="utf-8"))
    assert page.get_element_by_id("balance").get("data-value") == "no"
    (alert,) = page.xpath("//*[@role='alert']")
    assert "received = cleaned + rejected" in alert.text_content()
    assert f"1 day is stale ({MONTH}-05)" in alert.text_content()
    assert alert.xpath(".//code/text()") == [f"telecom run --month {MONTH}"]


def test_a_page_looks_at_each_customer_and_not_at_sums_alone(damaged: Project) -> None:
    """One customer's events became dearer and another's cheaper by the same: every sum of the funnel agrees."""
    rows = damaged.rows("rated_cdrs")
    first = next(row for row in rows if row["amount"] > 1)
    second = next(row for row in rows if row["amount"] > 1 and row["customer_id"] != first["customer_id"])
    changes = {first["record_id"]: Decimal("0.5"), second["record_id"]: Decimal("-0.5")}
    damaged.change("rated_cdrs", lambda row: {**row, "amount": row["amount"] + changes.get(row["record_id"], 0)})
    assert month_funnel(damaged.warehouse, MONTH).imbalances() == []
    assert damaged.materialise("dashboard", month_tag()).success
    page = html.fromstring(dashboard_file(damaged.settings, MONTH).read_text(encoding="utf-8"))
    assert page.get_element_by_id("balance").get("data-value") == "no"
    (alert,) = page.xpath("//*[@role='alert']")
    assert f"customer {first['customer_id']}" in alert.text_content()
