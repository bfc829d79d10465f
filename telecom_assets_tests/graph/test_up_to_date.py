"""A month that is run again: steps with nothing to do are left out, and never one whose inputs or results have changed."""

import shutil
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.runs import up_to_date
from telecom_assets.runs.instance_state import step_record
from telecom_assets.runs.month_runner import RunFailed, StepResult
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import MonthRun, customers
from telecom_assets_tests.graph.project import MONTH, Project, cdr, ordered
from telecom_assets_tests.graph.test_month import without_version

ALL_DAYS = f"{MONTH}-01 to {MONTH}-30"
REFERENCES = ("reference_job", "")
LANDING = ("landing_job", "")
BILLING = ("billing_job", MONTH)
MEDIATION, RATING = ("mediation_job", ALL_DAYS), ("rating_job", ALL_DAYS)


def of_day(job: str, day: int) -> tuple[str, str]:
    return (job, f"{MONTH}-{day:02}")


def worked(results: list[StepResult]) -> list[tuple[str, str]]:
    """Jobs that were run, with their partitions."""
    return [(result.step.job, result.step.label) for result in results if not result.up_to_date]


@pytest.fixture
def settled(billed: MonthRun, copy_of: Callable[..., Project]) -> Project:
    """A whole copy of the billed month. Copies share one topic: what other tests have sent there is landed first."""
    project = copy_of(billed.project)
    project.run_month()
    return project


def test_nothing_new_is_no_work_and_no_version(settled: Project):
    before = settled.versions(TABLES)
    results = settled.run_month()
    assert worked(results) == [REFERENCES]
    assert [result.step.job for result in results if result.up_to_date] == [
        "landing_job",
        "mediation_job",
        "rating_job",
        "billing_job",
    ]
    assert settled.versions(TABLES) == before


def test_force_works_everything(settled: Project):
    assert worked(settled.run_month(force=True)) == [REFERENCES, LANDING, MEDIATION, RATING, BILLING]
    assert worked(settled.run_month()) == [REFERENCES]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("voice", {"caller_id": "212799999999", "callee_id": "33612345678", "duration_sec": 61}),
        # Smaller than any: sessions that other days have deferred count as so much.
        ("data", {"user_id": "212799999999", "data_volume_mb": 0.5}),
    ],
)
def test_a_late_record_is_the_work_of_its_day_and_of_the_bill(settled: Project, kind: str, fields: dict):
    settled.produce([cdr(kind, 3, uuid.uuid4().hex, **fields)])
    assert worked(settled.run_month()) == [
        REFERENCES,
        LANDING,
        of_day("mediation_job", 3),
        of_day("rating_job", 3),
        BILLING,
    ]
    columns = ("source_part", "source_position")
    names = ("cleaned_cdrs", "rejected_cdrs", "rated_cdrs", "suspended_cdrs", "period_charges")
    rows = {name: ordered(settled.rows(name), *columns) for name in names}
    bills = ordered(settled.rows("facturation_complete"), "customer_id")
    settled.run_month(force=True)
    assert {name: ordered(settled.rows(name), *columns) for name in names} == rows
    assert ordered(settled.rows("facturation_complete"), "customer_id") == bills


def test_other_customers_rate_and_bill_the_month(settled: Project):
    settled.postgres("UPDATE customers SET region = 'Souss' WHERE customer_id = '212799999999'")
    assert worked(settled.run_month()) == [REFERENCES, RATING, BILLING]


def test_other_tariffs_rate_and_bill_the_month(settled: Project, tmp_path: Path):
    prices = tmp_path / "rate_plans.csv"
    packaged = Path(up_to_date.__file__).parents[1] / "data" / "rate_plans.csv"
    header, first, *others = packaged.read_text(encoding="utf-8").splitlines()
    prices.write_text("\n".join([header, *others, first]) + "\n", encoding="utf-8")
    changed = Project(settled.settings.replaced(rate_plans=prices), settled.instance)
    assert worked(changed.run_month()) == [REFERENCES], "the same rows in another order"


@pytest.mark.parametrize("change", [{"tax_pct": "19"}, {"missing_volume_policy": "zero"}, {"dedupe_days": 30}])
def test_a_setting_that_counts_works_the_month(settled: Project, change: dict):
    changed = Project(settled.settings.replaced(**change), settled.instance)
    assert worked(changed.run_month()) == [REFERENCES, LANDING, MEDIATION, RATING, BILLING]


def test_how_files_are_written_is_asked_by_billing_alone(settled: Project):
    """Bytes of the files change, and no rule does."""
    changed = Project(settled.settings.replaced(csv_bom=True), settled.instance)
    assert worked(changed.run_month()) == [REFERENCES, BILLING]
    for path in (bills_file(changed.settings, MONTH), report_file(changed.settings, MONTH, "mix_by_region")):
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert worked(changed.run_month()) == [REFERENCES]


def test_other_code_works_the_month(settled: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(up_to_date, "_code", lambda: "another rule")
    assert worked(settled.run_month()) == [REFERENCES, LANDING, MEDIATION, RATING, BILLING]


@pytest.mark.parametrize(
    ("table", "predicate", "expected"),
    [
        ("cleaned_cdrs", f"event_date = '{MONTH}-05'", [of_day("mediation_job", 5), of_day("rating_job", 5)]),
        ("rejected_cdrs", f"event_date = '{MONTH}-05'", [of_day("mediation_job", 5), of_day("rating_job", 5)]),
        ("period_charges", f"billing_period = '{MONTH}'", []),
        ("rated_cdrs", f"event_date = '{MONTH}-05'", [of_day("rating_job", 5)]),
        ("facturation_complete", f"billing_period = '{MONTH}'", []),
        ("daily_revenue", f"billing_period = '{MONTH}'", []),
    ],
)
def test_rows_that_were_taken_away_are_made_again(settled: Project, table: str, predicate: str, expected: list):
    before = len(settled.rows(table))
    settled.delete(table, predicate)
    assert worked(settled.run_month()) == [REFERENCES, *expected, BILLING]
    assert len(settled.rows(table)) == before
    assert worked(settled.run_month()) == [REFERENCES]


def test_a_table_that_is_gone_is_made_again(settled: Project):
    before = len(settled.rows("rated_cdrs"))
    shutil.rmtree(settled.warehouse.path("rated_cdrs"))
    assert worked(settled.run_month()) == [REFERENCES, RATING, BILLING]
    assert len(settled.rows("rated_cdrs")) == before


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM facturation_complete WHERE customer_id = (SELECT min(customer_id) FROM facturation_complete)",
        "UPDATE facturation_complete SET region = 'elsewhere'",
        "DROP TABLE facturation_complete",
        "DELETE FROM publish_ledger",
    ],
)
def test_published_bills_that_changed_are_published_again(settled: Project, change: str):
    query = "SELECT * FROM facturation_complete ORDER BY customer_id"
    before = settled.postgres(query)
    settled.postgres(change)
    assert worked(settled.run_month()) == [REFERENCES, BILLING]
    assert settled.postgres(query) == before


@pytest.mark.parametrize("kind", ["invoice", "bills", "report", "dashboard"])
@pytest.mark.parametrize("altered", [True, False])
def test_documents_that_changed_or_are_gone_are_made_again(settled: Project, kind: str, *, altered: bool):
    path = {
        "invoice": next(iter(sorted(invoice_directory(settled.settings, MONTH).glob("*.xml")))),
        "bills": bills_file(settled.settings, MONTH),
        "report": report_file(settled.settings, MONTH, "daily_revenue"),
        "dashboard": dashboard_file(settled.settings, MONTH),
    }[kind]
    before = path.read_bytes()
    if altered:
        path.write_bytes(before + b" ")
    else:
        path.unlink()
    assert worked(settled.run_month()) == [REFERENCES, BILLING]
    assert without_version(path.read_bytes()) == without_version(before)


def test_a_check_that_failed_since_works_its_step_again(settled: Project):
    """Another process looked while a bill was damaged; the bill is as it was, the check's newest outcome is not."""
    bills = settled.rows("facturation_complete")
    settled.postgres("UPDATE facturation_complete SET amount_due = amount_due + 1")
    failed = [
        name for name, each in settled.check("published_bills", {"dagster/partition": MONTH}).items() if not each.passed
    ]
    assert failed
    settled.postgres("UPDATE facturation_complete SET amount_due = amount_due - 1")
    assert worked(settled.run_month()) == [REFERENCES, BILLING]
    assert len(settled.rows("facturation_complete")) == len(bills)


def test_a_step_that_failed_is_done_again(settled: Project, monkeypatch: pytest.MonkeyPatch):
    """It fails before it changes anything: tables and documents are as before, and yet it is not up to date."""
    runner = settled.runner()
    execute = runner.execute

    def fails(step):
        if step.job == "billing_job":
            raise RunFailed("in the test")
        return execute(step)

    monkeypatch.setattr(runner, "execute", fails)
    with pytest.raises(RunFailed):
        runner.run_month(MONTH, force=True)
    assert step_record(settled.instance, f"billing_job/{MONTH}") is None
    assert worked(settled.run_month()) == [REFERENCES, BILLING]


def test_a_day_that_the_record_does_not_hold_is_mediated(settled: Project, monkeypatch: pytest.MonkeyPatch):
    """A month that is not over has a day more tomorrow."""
    days = [date(2025, 6, number) for number in range(1, 31)]
    monkeypatch.setattr(up_to_date, "existing_days", lambda _month: days[:-1])
    settled.run_month(force=True)
    monkeypatch.setattr(up_to_date, "existing_days", lambda _month: days)
    assert of_day("mediation_job", 30) in worked(settled.run_month())


def test_customers_of_the_test_are_there(settled: Project):
    assert settled.postgres("SELECT count(*) FROM customers") == [(customers().num_rows,)]
