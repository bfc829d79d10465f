"""`telecom check` as a user and a CI server type it, and the job that does the same in the UI."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from lxml import etree

from telecom_assets.home.output_files import report_file
from telecom_assets.runs.checks import guards
from telecom_assets.runs.jobs import checks_job
from telecom_assets_tests.cli.test_junit import SCHEMA
from telecom_assets_tests.graph.conftest import telecom
from telecom_assets_tests.graph.project import MONTH, Project
from telecom_assets_tests.graph.test_check_runs import rows_by_day, shown
from telecom_assets_tests.graph.test_checks import ALL_CHECKS, BILLED, MEDIATED, at, dearer, june
from telecom_assets_tests.graph.test_cli_month import Finished, one_line, typed

__all__ = ["typed"]

DAY = f"{MONTH}-05"
ADVISED = ("rate_plans", "prices_are_reached")
#: Checks that stop nothing.
ADVISORY = {
    ADVISED,
    ("rate_plans", "prices_have_no_gaps"),
    ("landing", "few_are_malformed"),
    ("billing_terms", "terms_have_no_gap"),
    ("bill_lines", "nothing_below_zero"),
}


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of a folder with its size and time."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def by_name(finished: Finished) -> dict[tuple[str, str], dict[str, Any]]:
    return {(check["asset"], check["check"]): check for check in finished.json["checks"]}


def cases(path: Path) -> dict[tuple[str, str], etree._Element]:
    """The cases of a JUnit report, which is valid."""
    root = etree.parse(path).getroot()
    SCHEMA.assertValid(root)
    return {(case.get("classname"), case.get("name")): case for case in root.findall("testsuite/testcase")}


def rejected_row_gone(project: Project) -> dict[str, int]:
    """One rejected row less on DAY; the counts of that day as a check must find them."""
    project.delete("rejected_cdrs", at(june(project, "rejected_cdrs", event_date=dt.date.fromisoformat(DAY))))
    names = {"raw": "raw_cdrs", "cleaned": "cleaned_cdrs", "rejected": "rejected_cdrs"}
    return {name: rows_by_day(project, table)[DAY] for name, table in names.items()}


# -- a month that is right -----------------------------------------------------------------------------------------------


def test_a_good_month_passes_and_nothing_is_written(untouched: Project, typed: Callable[..., Finished]) -> None:
    """No table, no run, no event, no file."""
    before = everything(untouched.settings.home_path)
    finished = typed(untouched, "check", "--month", MONTH)
    assert (finished.status, finished.stderr) == (0, "")
    blocking = len(ALL_CHECKS) - len(ADVISORY)
    assert f"{blocking} of {blocking} blocking checks passed" in finished.stdout
    lines = [" ".join(line.replace("│", " ").split()) for line in finished.stdout.splitlines()]
    assert f"Checks of {MONTH}" in lines
    for asset, check in ALL_CHECKS:
        assert any(f"{check} " in line for line in lines), (asset, check)
    assert any(line.startswith("! rate_plans.prices_are_reached: ") for line in lines)
    assert everything(untouched.settings.home_path) == before


def test_it_is_told_in_json(untouched: Project, typed: Callable[..., Finished]) -> None:
    finished = typed(untouched, "check", "--month", MONTH, "--json")
    assert (finished.status, finished.stderr) == (0, "")
    assert (finished.json["month"], finished.json["passed"]) == (MONTH, True)
    checks = by_name(finished)
    assert set(checks) == ALL_CHECKS
    assert {name for name, check in checks.items() if check["status"] != "passed"} == {ADVISED}
    assert {name for name, check in checks.items() if not check["blocking"]} == ADVISORY
    assert checks[ADVISED]["status"] == "advice"
    assert "PLAN_B/SMS_NAT" in checks[ADVISED]["summary"]
    assert all(check["differs"] == [] for name, check in checks.items() if name != ADVISED)


def test_a_check_is_described_by_the_identity_that_it_asks(untouched: Project, typed: Callable[..., Finished]) -> None:
    described = {
        (asset, check.name): check.description
        for guard in guards()
        for asset, checks in guard.checks.items()
        for check in checks
    }
    found = by_name(typed(untouched, "check", "--month", MONTH, "--json"))
    equations = {name: check["summary"] for name, check in found.items() if check["summary"].endswith(" holds")}
    assert {"rated_equals_billed", "bills_add_up", "documents_equal_bills"} < {name for _, name in equations}
    for name, said in equations.items():
        assert described[name].startswith(said.removesuffix(" holds")), name


def test_a_junit_report_has_a_case_for_each_check(
    untouched: Project, tmp_path: Path, typed: Callable[..., Finished]
) -> None:
    path = tmp_path / "new folder" / "checks.xml"
    assert typed(untouched, "check", "--month", MONTH, "--junit", str(path)).status == 0
    found = cases(path)
    assert set(found) == ALL_CHECKS
    assert {name for name, case in found.items() if len(case)} == {ADVISED}
    assert "advice: " in found[ADVISED].findtext("system-out")
    assert etree.parse(path).getroot().get("failures") == "0"
    assert [file.name for file in path.parent.iterdir()] == ["checks.xml"]


def test_it_is_a_command_of_a_process_of_its_own(untouched: Project) -> None:
    finished = telecom(untouched, "check", "--month", MONTH, "--json")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert json.loads(finished.stdout)["passed"]


# -- a month that is not -------------------------------------------------------------------------------------------------


def test_a_day_that_does_not_add_up(damaged: Project, tmp_path: Path, typed: Callable[..., Finished]) -> None:
    """On the terminal, in JSON and in the report: the day, and by how much."""
    counts, path = rejected_row_gone(damaged), tmp_path / "checks.xml"
    finished = typed(damaged, "check", "--month", MONTH, "--json", "--junit", str(path))
    assert (finished.status, finished.json["passed"]) == (1, False)
    name = ("cleaned_cdrs", MEDIATED)
    checks = by_name(finished)
    assert {key for key, check in checks.items() if check["status"] == "failed"} == {name}
    assert checks[name]["differs"] == [{"day": DAY, **counts, "missing": 1, "reason": "counts differ"}]
    assert checks[name]["differs_not_shown"] == 0
    failure = cases(path)[name].find("failure")
    sentence = f"{DAY}: {counts['raw']} raw, {counts['cleaned']} cleaned + {counts['rejected']} rejected"
    assert sentence in failure.get("message")
    assert sentence in failure.text
    assert f"day {DAY}, raw {counts['raw']}, cleaned {counts['cleaned']}" in failure.text
    root = etree.parse(path).getroot()
    assert (root.get("failures"), root.get("errors")) == ("1", "0")


def test_what_differs_is_shown_to_people(damaged: Project, typed: Callable[..., Finished]) -> None:
    counts = rejected_row_gone(damaged)
    dearer("rated_cdrs", "amount", "0.000001")(damaged)
    finished = typed(damaged, "check", "--month", MONTH)
    assert finished.status == 1
    assert f"✗ cleaned_cdrs.{MEDIATED}: " in finished.stdout
    assert f"✗ facturation_complete.{BILLED}: " in finished.stdout
    lines = [" ".join(line.replace("│", " ").split()) for line in finished.stdout.splitlines()]
    assert f"{DAY} {counts['raw']} {counts['cleaned']} {counts['rejected']} 1 counts differ" in lines
    assert any(line.endswith("0.000001") for line in lines if line.startswith(MONTH))


def test_another_month_does_not_fail_this_one(damaged: Project, typed: Callable[..., Finished]) -> None:
    """Records at home on days of other months are none of this month's books."""
    other = next(row for row in damaged.rows("rejected_cdrs") if f"{row['event_date']:%Y-%m}" != MONTH)
    damaged.delete("rejected_cdrs", at(other))
    assert typed(damaged, "check", "--month", MONTH, "--json").status == 0


@pytest.mark.usefixtures("impatient")
def test_a_check_that_cannot_look_is_an_error_and_the_others_look(
    damaged: Project, tmp_path: Path, typed: Callable[..., Finished]
) -> None:
    """PostgreSQL does not answer, a report's file is gone, a table was never made."""
    path = tmp_path / "checks.xml"
    report_file(damaged.settings, MONTH, "daily_revenue").unlink()
    (Path(damaged.warehouse.path("suspended_cdrs"))).rename(tmp_path / "moved away")
    nowhere = "postgresql://someone:hunter2@127.0.0.1:1/none"
    finished = typed(damaged, "check", "--month", MONTH, "--json", "--junit", str(path), TELECOM_POSTGRES_DSN=nowhere)
    assert finished.status == 1
    assert "hunter2" not in finished.stdout + finished.stderr + path.read_text(encoding="utf-8")
    checks = by_name(finished)
    assert {name for name, check in checks.items() if check["status"] == "error"} == {
        ("published_bills", "bills_equal_published"),
        ("daily_revenue", "equals_source"),
    }
    assert (
        "PostgreSQL at 127.0.0.1:1/none cannot be reached"
        in checks["published_bills", "bills_equal_published"]["summary"]
    )
    assert "daily_revenue.csv" in checks["daily_revenue", "equals_source"]["summary"]
    assert {name for name, check in checks.items() if check["status"] == "failed"} == {
        ("rated_cdrs", "cleaned_equals_rated_plus_suspended"),
        ("suspended_cdrs", "keeps_contract"),
        ("period_charges", "deferred_equals_imputed"),
        ("facturation_complete", "bills_add_up"),
    }
    assert "table suspended_cdrs is not there" in checks["suspended_cdrs", "keeps_contract"]["summary"]
    assert not Path(damaged.warehouse.path("suspended_cdrs")).exists()
    found = cases(path)
    assert found["published_bills", "bills_equal_published"].find("error") is not None
    assert found["suspended_cdrs", "keeps_contract"].find("failure") is not None


# -- what cannot be asked ------------------------------------------------------------------------------------------------


def test_a_month_without_bills_says_what_to_run(
    untouched: Project, tmp_path: Path, typed: Callable[..., Finished]
) -> None:
    path = tmp_path / "checks.xml"
    finished = typed(untouched, "check", "--month", "2025-05", "--junit", str(path))
    one_line(finished, 1, "2025-05: ", "no bills", "`telecom run --month 2025-05`")
    assert not path.exists()


def test_nothing_is_made_where_there_is_nothing(tmp_path: Path, typed: Callable[..., Finished]) -> None:
    finished = typed(None, "--home", str(tmp_path / "new"), "check", "--month", MONTH, TELECOM_HOME="")
    one_line(finished, 1, "no bills", f"`telecom run --month {MONTH}`")
    assert not (tmp_path / "new" / "warehouse").exists()


@pytest.mark.parametrize(
    ("name", "says"), [("folder", "it is a folder"), ("file/checks.xml", "cannot be written"), ("", "it is a folder")]
)
def test_a_report_that_cannot_be_written_is_told_of_first(
    untouched: Project, tmp_path: Path, typed: Callable[..., Finished], name: str, says: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    finished = typed(untouched, "check", "--month", MONTH, "--junit", str(tmp_path / name))
    one_line(finished, 1, "--junit", says)


# -- the same as a job ---------------------------------------------------------------------------------------------------


def test_the_job_makes_every_check_and_nothing_else(untouched: Project) -> None:
    before = everything(Path(untouched.warehouse.root))
    result = untouched.run(checks_job.name)
    assert result.success
    assert result.get_asset_materialization_events() == []
    made = {(each.asset_key.to_user_string(), each.check_name): each for each in result.get_asset_check_evaluations()}
    assert set(made) == ALL_CHECKS
    assert {name for name, each in made.items() if not each.passed} == {ADVISED}
    assert everything(Path(untouched.warehouse.root)) == before


def test_the_job_checks_the_month_that_its_run_names(damaged: Project) -> None:
    rejected_row_gone(damaged)
    assert not damaged.run(checks_job.name, {"telecom/month": MONTH}).success
    result = damaged.run("check_cleaned_cdrs", {"telecom/month": MONTH})
    (failed,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert failed.check_name == MEDIATED
    assert len(shown(failed, "days")) == 30
    assert damaged.run("check_cleaned_cdrs", {"telecom/month": "2025-07"}).success


def test_the_job_can_be_started_from_the_ui_and_by_its_schedule(untouched: Project) -> None:
    job = untouched.defs.resolve_job_def(checks_job.name)
    assert job.partitions_def is None
    assert "telecom check" in (job.description or "")
    schedule = untouched.defs.get_repository_def().get_schedule_def("nightly_checks")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == checks_job.name


def test_the_job_makes_all_checks_where_some_fail(damaged: Project) -> None:
    """A failed check of the catalogue or of the bills hides nothing of what follows them."""
    damaged.change("product_catalog", lambda row: {**row, "unit": None})
    dearer("facturation_complete", "amount_before_tax", "0.01")(damaged)
    result = damaged.run(checks_job.name)
    assert not result.success
    made = {(each.asset_key.to_user_string(), each.check_name): each for each in result.get_asset_check_evaluations()}
    assert set(made) == ALL_CHECKS
    failed = {name for name, each in made.items() if not each.passed}
    assert {("product_catalog", "keeps_contract"), ("facturation_complete", BILLED)} <= failed
    assert ("customers", "keeps_contract") not in failed
