"""A month that is run again: steps with nothing to do are left out, and never one whose inputs or results have changed.

What a change alone makes due is asked of the plan by which a run goes, on a copy for each change; one run works several changes.
"""

import csv
import re
import shutil
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from telecom_assets.billing import lines as billing
from telecom_assets.home.output_files import bills_file, dashboard_file, invoice_directory, report_file
from telecom_assets.mediation import rules as mediation
from telecom_assets.model.months import month_days
from telecom_assets.reference.tariffs import import_tariffs
from telecom_assets.runs import facts
from telecom_assets.runs import rule_digest as rules
from telecom_assets.runs.code import installed_source
from telecom_assets.runs.month_run import Step
from telecom_assets.runs.month_runner import RunFailed, StepResult
from telecom_assets.tables import TABLES
from telecom_assets_tests import oracle
from telecom_assets_tests.graph.conftest import MonthRun, customers
from telecom_assets_tests.graph.project import DATA, MONTH, Project, cdr, day_tags, month_tag, ordered
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


def due(project: Project) -> list[tuple[str, str]]:
    """What a run would work, besides the reference data, as these are stored."""
    return [(planned.stage.job, planned.label) for planned in project.runner().plan_month(MONTH)][1:]


def due_once_read(project: Project) -> list[tuple[str, str]]:
    """What a run works after the reference data, which it always reads."""
    assert project.run("reference_job").success
    return due(project)


@pytest.fixture(scope="module")
def caught_up(billed: MonthRun, copy_of: Callable[..., Project]) -> Project:
    """A copy of the billed month that has landed what tests of other files have sent to the topic, which copies share."""
    project = copy_of(billed.project)
    project.run_month()
    return project


@pytest.fixture
def settled(caught_up: Project, copy_of: Callable[..., Project]) -> Project:
    """A whole copy of a month with nothing to do. Tests that send messages are the last: copies share one topic."""
    return copy_of(caught_up)


def test_nothing_new_is_no_work_and_no_version(settled: Project) -> None:
    # Decisions of people, and documents, have tables once there are any.
    made = [name for name in TABLES if settled.warehouse.exists(name)]
    before = settled.versions(made)
    results = settled.run_month()
    assert worked(results) == [REFERENCES]
    assert [result.step.job for result in results if result.up_to_date] == [
        "landing_job",
        "mediation_job",
        "rating_job",
        "billing_job",
    ]
    assert [name for name in TABLES if settled.warehouse.exists(name)] == made
    assert settled.versions(made) == before


def test_force_works_everything(settled: Project) -> None:
    assert worked(settled.run_month(force=True)) == [REFERENCES, LANDING, MEDIATION, BILLING]
    assert worked(settled.run_month()) == [REFERENCES]


def test_a_change_that_is_read_today_is_no_work_for_a_month_that_is_over(settled: Project) -> None:
    settled.postgres("UPDATE customers SET region = 'Souss' WHERE customer_id = '212799999999'")
    assert worked(settled.run_month()) == [REFERENCES]
    versions = [row for row in settled.rows("customers") if row["customer_id"] == "212799999999"]
    assert sorted(row["region"] == "Souss" for row in versions) == [False, True]


def test_other_tariffs_rate_and_bill_the_month(settled: Project, tmp_path: Path) -> None:
    prices = tmp_path / "rate_plans.csv"
    packaged = DATA / "rate_plans.csv"
    header, first, *others = packaged.read_text(encoding="utf-8").splitlines()
    prices.write_text("\n".join([header, *others, first]) + "\n", encoding="utf-8")
    changed = Project(settled.settings.replaced(rate_plans=prices), settled.instance)
    assert worked(changed.run_month()) == [REFERENCES], "the same rows in another order"


def imported(project: Project, folder: Path, name: str, column: str, value: str, since: date) -> None:
    """Import a packaged file of tariffs in which the first line has another value, from a day on."""
    rows = oracle.read_csv(DATA / name)
    rows[0][column] = value
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    import_tariffs(project.warehouse, [path], since, {"rate_plans": None, "product_catalog": None})


def customer_moved(project: Project, _folder: Path) -> None:
    project.change_customer("212799999999", date.fromisoformat(f"{MONTH}-25"), region="Souss")


def dearer(project: Project, folder: Path) -> None:
    imported(project, folder, "rate_plans.csv", "unit_price", "0.5", date.fromisoformat(f"{MONTH}-20"))


def dearer_next_month(project: Project, folder: Path) -> None:
    imported(project, folder, "rate_plans.csv", "unit_price", "0.5", month_days(MONTH)[-1] + timedelta(days=1))


def described(project: Project, folder: Path) -> None:
    imported(project, folder, "product_catalog.csv", "description", "A call", date.fromisoformat(f"{MONTH}-30"))


def product_more(project: Project, folder: Path) -> None:
    plans, products = folder / "rate_plans.csv", folder / "product_catalog.csv"
    text = (DATA / plans.name).read_text(encoding="utf-8")
    plans.write_text(text + "".join(f"PLAN_{each},DATA_NIGHT,data,0.01,0,,\n" for each in "ABC"), encoding="utf-8")
    text = (DATA / products.name).read_text(encoding="utf-8")
    products.write_text(text + "DATA_NIGHT,data,MB,flat,Night\n", encoding="utf-8")
    in_use = {"rate_plans": None, "product_catalog": None}
    import_tariffs(project.warehouse, [plans, products], month_days(MONTH)[-1] + timedelta(days=1), in_use)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (customer_moved, [("rating_job", f"{MONTH}-25 to {MONTH}-30"), BILLING]),
        (dearer, [("rating_job", f"{MONTH}-20 to {MONTH}-30"), BILLING]),
        (dearer_next_month, []),
        # Mediation asks for products and their services alone.
        (described, [of_day("rating_job", 30), BILLING]),
        # Records of it were refused until now, on whatever day.
        (product_more, [MEDIATION, BILLING]),
    ],
)
def test_reference_rows_of_a_day_on_are_the_work_of_that_day_and_those_after_it(
    settled: Project, tmp_path: Path, change: Callable[[Project, Path], None], expected: list[tuple[str, str]]
) -> None:
    change(settled, tmp_path)
    assert due_once_read(settled) == expected


def test_one_run_works_all_changes_of_reference_rows(settled: Project, tmp_path: Path) -> None:
    for change in (customer_moved, dearer, described):
        change(settled, tmp_path)
    assert worked(settled.run_month()) == [REFERENCES, ("rating_job", f"{MONTH}-20 to {MONTH}-30"), BILLING]
    assert worked(settled.run_month()) == [REFERENCES]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tax_pct": "19"}, [BILLING]),
        ({"missing_volume_policy": "zero"}, [RATING, BILLING]),
        ({"dedupe_days": 30}, [MEDIATION, BILLING]),
        ({"billing_day": 9}, []),
        # Bytes of the files change, and no rule does: billing alone asks how they are written.
        ({"csv_bom": True}, [BILLING]),
    ],
)
def test_a_setting_is_the_work_of_what_goes_by_it_and_what_follows(
    settled: Project, change: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert due_once_read(Project(settled.settings.replaced(**change), settled.instance)) == expected


def test_one_run_works_all_changes_of_settings(settled: Project) -> None:
    settings = settled.settings.replaced(tax_pct="19", missing_volume_policy="zero", dedupe_days=30, csv_bom=True)
    changed = Project(settings, settled.instance)
    assert worked(changed.run_month()) == [REFERENCES, MEDIATION, BILLING]
    for path in (bills_file(changed.settings, MONTH), report_file(changed.settings, MONTH, "mix_by_region")):
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert worked(changed.run_month()) == [REFERENCES]


@pytest.mark.parametrize(("module", "expected"), [(mediation, [MEDIATION, BILLING]), (billing, [BILLING])])
def test_another_rule_is_the_work_of_what_goes_by_it(
    settled: Project, monkeypatch: pytest.MonkeyPatch, module: ModuleType, expected: list[tuple[str, str]]
) -> None:
    """Every number of the module is another one. The rules of now are asked; the module that works is as it was."""

    def altered(name: str) -> str | None:
        text = installed_source(name)
        return re.sub(r"\b1\b", "2", text) if name == module.__name__ and text else text

    assert altered(module.__name__) != installed_source(module.__name__)
    monkeypatch.setattr(rules.Rules.__init__, "__defaults__", (altered,))
    assert due_once_read(Project(settled.settings, settled.instance)) == expected


def test_a_month_without_records_is_made_once(new_project: Callable[..., Project]) -> None:
    """No rows take the place of no rows, on every day and in every table, and yet it is known that they did."""
    project = new_project(partitions=1)
    project.store_customers(customers())
    project.open_month()
    assert worked(project.run_month()) == [REFERENCES, LANDING, MEDIATION, BILLING]
    assert [len(project.rows(name)) for name in ("cleaned_cdrs", "rated_cdrs", "suspended_cdrs")] == [0, 0, 0]
    assert worked(project.run_month()) == [REFERENCES]


#: Rows to take away, and what is due then besides the bills.
TAKEN_AWAY = [
    ("cleaned_cdrs", f"event_date = '{MONTH}-05'", [of_day("mediation_job", 5)]),
    ("rejected_cdrs", f"event_date = '{MONTH}-05'", [of_day("mediation_job", 5)]),
    ("period_charges", f"billing_period = '{MONTH}'", []),
    ("rated_cdrs", f"event_date = '{MONTH}-06'", [of_day("rating_job", 6)]),
    ("bill_lines", f"billing_period = '{MONTH}'", []),
    ("facturation_complete", f"billing_period = '{MONTH}'", []),
    ("daily_revenue", f"billing_period = '{MONTH}'", []),
]


@pytest.mark.parametrize(("table", "predicate", "expected"), TAKEN_AWAY)
def test_rows_that_were_taken_away_are_due(
    settled: Project, table: str, predicate: str, expected: list[tuple[str, str]]
) -> None:
    settled.delete(table, predicate)
    assert due_once_read(settled) == [*expected, BILLING]


def test_rows_that_were_taken_away_are_made_again(settled: Project) -> None:
    before = {table: len(settled.rows(table)) for table, *_ in TAKEN_AWAY}
    for table, predicate, _ in TAKEN_AWAY:
        settled.delete(table, predicate)
    assert worked(settled.run_month()) == [REFERENCES, of_day("mediation_job", 5), of_day("rating_job", 6), BILLING]
    assert {table: len(settled.rows(table)) for table in before} == before
    assert worked(settled.run_month()) == [REFERENCES]


def test_a_table_that_is_gone_is_made_again(settled: Project) -> None:
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
def test_published_bills_that_changed_are_published_again(settled: Project, change: str) -> None:
    query = "SELECT * FROM facturation_complete ORDER BY customer_id"
    before = settled.postgres(query)
    settled.postgres(change)
    assert due_once_read(settled) == [BILLING]
    assert settled.materialise("published_bills", month_tag()).success
    assert settled.postgres(query) == before
    assert due(settled) == []


def documents(project: Project) -> list[Path]:
    """One file of each kind."""
    settings = project.settings
    return [
        min(invoice_directory(settings, MONTH).glob("*.xml")),
        bills_file(settings, MONTH),
        report_file(settings, MONTH, "daily_revenue"),
        dashboard_file(settings, MONTH),
    ]


@pytest.mark.parametrize("altered", [True, False])
def test_documents_that_changed_or_are_gone_are_made_again(settled: Project, *, altered: bool) -> None:
    """Each alone makes the bills due, and is none of it when it is as it was; one run makes all of them again."""
    before = {path: path.read_bytes() for path in documents(settled)}

    def damage(path: Path) -> None:
        if altered:
            path.write_bytes(before[path] + b" ")
        else:
            path.unlink()

    assert due(settled) == []
    for path, content in before.items():
        damage(path)
        assert due(settled) == [BILLING], path
        path.write_bytes(content)
    for path in before:
        damage(path)
    assert worked(settled.run_month()) == [REFERENCES, BILLING]
    assert {path: without_version(path.read_bytes()) for path in documents(settled)} == {
        path: without_version(content) for path, content in before.items()
    }


def test_a_check_that_failed_since_works_its_step_again(settled: Project) -> None:
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


def test_a_step_that_failed_is_done_again(settled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails before it changes anything: its tables and documents are as before, what it is made from is not."""
    runner = settled.runner()
    execute = runner.execute

    def fails(step: Step) -> StepResult:
        if step.job == "billing_job":
            raise RunFailed("in the test")
        return execute(step)

    monkeypatch.setattr(runner, "execute", fails)
    settled.delete("rated_cdrs", f"event_date = '{MONTH}-05'")
    with pytest.raises(RunFailed):
        runner.run_month(MONTH)
    assert worked(runner.results) == [REFERENCES, of_day("rating_job", 5)]
    assert worked(settled.run_month()) == [REFERENCES, BILLING]


def test_a_day_that_was_never_mediated_is_mediated(
    new_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month that is not over has a day more tomorrow. Nothing of it has landed; the bill waits for it all the same."""
    project = new_project(partitions=1)
    project.store_customers(customers())
    project.open_month()
    days = [date(2025, 6, number) for number in range(1, 31)]
    monkeypatch.setattr(facts, "existing_days", lambda _month: days[:-1])
    with pytest.raises(RunFailed, match="1 days were never mediated"):
        project.run_month()
    monkeypatch.setattr(facts, "existing_days", lambda _month: days)
    assert worked(project.run_month()) == [
        REFERENCES,
        of_day("mediation_job", 30),
        BILLING,
    ], "no row is another one: the floors hold"


def test_customers_of_the_test_are_there(settled: Project) -> None:
    assert settled.postgres("SELECT count(*) FROM customers") == [(customers().num_rows,)]


# -- tests that send messages -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sender(caught_up: Project, copy_of: Callable[..., Project]) -> Project:
    """A month with nothing to do, for the tests that send messages: each has landed and worked its own."""
    return copy_of(caught_up)


def test_a_late_record_is_the_work_of_its_day_and_of_the_bill(sender: Project) -> None:
    """A call, then a session smaller than any: sessions that other days have deferred count as so much."""
    call = {"caller_id": "212799999999", "callee_id": "33612345678", "duration_sec": 61}
    session = {"user_id": "212799999999", "data_volume_mb": 0.5}
    for late in (cdr("voice", 3, uuid.uuid4().hex, **call), cdr("data", 3, uuid.uuid4().hex, **session)):
        sender.produce([late])
        assert worked(sender.run_month()) == [REFERENCES, LANDING, of_day("mediation_job", 3), BILLING]
    columns = ("source_part", "source_position")
    names = ("cleaned_cdrs", "rejected_cdrs", "rated_cdrs", "suspended_cdrs", "period_charges")
    rows = {name: ordered(sender.rows(name), *columns) for name in names}
    bills = ordered(sender.rows("facturation_complete"), "customer_id")
    sender.run_month(force=True)
    assert {name: ordered(sender.rows(name), *columns) for name in names} == rows
    assert ordered(sender.rows("facturation_complete"), "customer_id") == bills


def test_what_a_sensor_or_a_schedule_has_made_is_made(sender: Project) -> None:
    """By whomever a run was asked for: its commits say how it was made."""
    sender.produce(
        [cdr("voice", 3, uuid.uuid4().hex, caller_id="212799999999", callee_id="33612345678", duration_sec=9)]
    )
    for job, tags in (
        ("landing_job", {}),
        ("mediation_job", day_tags(f"{MONTH}-03")),
        ("billing_job", month_tag()),
    ):
        assert sender.run(job, tags).success, job
    assert worked(sender.run_month()) == [REFERENCES]
