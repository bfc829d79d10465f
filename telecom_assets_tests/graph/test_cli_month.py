"""`telecom run` and `telecom funnel` as a user types them: what they print, and how they end."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from telecom_assets import cli
from telecom_assets.intake.journal import read_state
from telecom_assets.model.calendar import local_today
from telecom_assets.reports import month_books
from telecom_assets.reports.funnel_counts import malformed_while_open, month_funnel, other_days
from telecom_assets.runs.checks import build_checks
from telecom_assets.runs.stages import STAGES
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import CommandRun, MonthRun, customers, environment, telecom
from telecom_assets_tests.graph.project import MONTH, Project, open_project
from telecom_assets_tests.graph.test_checks import dearer, doubled

TABLES_IN_POSTGRES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


@dataclass
class Finished:
    """What a command printed and how it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Types a command in this process, through the entry point: typed(project, "run", …, TELECOM_…="…")."""
    monkeypatch.setenv("DAGSTER_HOME", "")

    def run(project: Project | None, *arguments: str, **changes: str) -> Finished:
        for name, value in ((environment(project) if project else {}) | changes).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["telecom", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Finished(int(ended.value.code or 0), *capfd.readouterr())

    return run


def one_line(finished: Finished, status: int, *parts: str) -> None:
    """An error: nothing on stdout, one line on stderr that says these things, this status."""
    assert finished.status == status
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert finished.stderr.startswith("telecom: ")
    for part in parts:
        assert part in finished.stderr


# -- a month that is right -------------------------------------------------------------------------------------------------


def test_run_bills_the_month_and_tells_it_in_json(late: CommandRun) -> None:
    finished, report = late.finished, late.json
    assert (finished.returncode, finished.stderr) == (0, "")
    assert (report["month"], report["engine"], report["error"]) == (MONTH, "sail", None)
    steps = report["steps"]
    assert [step["job"] for step in steps if step["job"] != "mediation_job"] == [
        "reference_job",
        "landing_job",
        "billing_job",
    ]
    assert [step["partitions"] for step in steps if step["job"] == "mediation_job"] == [f"{MONTH}-03"]
    assert [step["checks_failed"] for step in steps] == [[]] * len(steps)
    assert [advised.partition(":")[0] for step in steps for advised in step["advice"]] == [
        "rate_plans.prices_are_reached"
    ]
    # Those of frozen months are no step's: a run leaves these months alone.
    made = {asset for stage in STAGES for asset in stage.assets}
    specs = (spec for each in build_checks() for spec in each.check_specs)
    blocking = [spec for spec in specs if spec.blocking and spec.asset_key.to_user_string() in made]
    assert sum(step["checks_passed"] for step in steps) == len(blocking)


def test_run_tells_the_funnel_of_the_tables(late: CommandRun) -> None:
    expected, warehouse = late.project.expected().funnel(MONTH), late.project.warehouse
    assert late.json["funnel"] == month_funnel(warehouse, MONTH).to_dict()
    assert late.json["other_days"] == other_days(warehouse, MONTH).to_dict()
    assert late.json["funnel"]["received"] == expected.received
    assert late.json["funnel"]["amount_due"] == f"{expected.amount_due:f}"


def test_run_leaves_its_runs_where_the_ui_finds_them(late: CommandRun) -> None:
    instance = open_project(late.project.settings).instance
    assert all(instance.has_run(step["run_id"]) for step in late.json["steps"])
    assert read_state(late.project.warehouse).opened_months == [MONTH]


def test_a_dry_run_tells_the_steps_with_their_reasons_and_does_nothing(
    billed: MonthRun, copy_of: Callable[..., Project], typed: Callable[..., Finished]
) -> None:
    """A day was taken away: what makes it again, and what follows. The topic may have what other tests have sent."""
    project = copy_of(billed.project)
    project.delete("rated_cdrs", f"event_date = '{MONTH}-05'")
    before = project.versions(TABLES)
    finished = typed(project, "run", "--month", MONTH, "--dry-run", "--json")
    assert (finished.status, finished.stderr) == (0, "")
    steps = [step for step in finished.json["steps"] if step["job"] != "landing_job"]
    assert steps == [
        {"job": "reference_job", "partitions": "", "reasons": ["always read: that tells whether they changed"]},
        {"job": "rating_job", "partitions": f"{MONTH}-05", "reasons": ["rated_cdrs was changed by another hand"]},
        {"job": "billing_job", "partitions": MONTH, "reasons": ["rated_cdrs has changed", "rating comes before it"]},
    ]
    shown = typed(project, "run", "--month", MONTH, "--dry-run").stdout
    assert f"Would be done for {MONTH}" in shown
    assert "rated_cdrs was changed by another hand" in " ".join(shown.replace("│", " ").split())
    assert project.versions(TABLES) == before


def test_a_dry_run_of_an_empty_home_makes_no_table(
    new_project: Callable[..., Project], typed: Callable[..., Finished]
) -> None:
    project = new_project(partitions=1)
    finished = typed(project, "run", "--month", MONTH, "--dry-run", "--json")
    assert (finished.status, finished.stderr) == (0, "")
    assert [step["job"] for step in finished.json["steps"]] == [
        "reference_job",
        "landing_job",
        "mediation_job",
        "billing_job",
    ]
    assert not (project.settings.home_path / "warehouse").exists()


def test_funnel_tells_it_again(billed: MonthRun, typed: Callable[..., Finished]) -> None:
    finished = typed(billed.project, "funnel", "--month", MONTH, "--json")
    assert (finished.status, finished.stderr) == (0, "")
    warehouse = billed.project.warehouse
    assert finished.json == {
        "month": MONTH,
        "funnel": month_funnel(warehouse, MONTH).to_dict(),
        "other_days": other_days(warehouse, MONTH).to_dict(),
        "malformed_while_open": malformed_while_open(warehouse, MONTH, 62).to_dict(),
        "without_records": None,
        "remedy": None,
        "source_decisions": [],
    }


def test_funnel_needs_the_tables_alone(billed: MonthRun, typed: Callable[..., Finished]) -> None:
    """No Kafka, no PostgreSQL, no Dagster."""
    nowhere = {"TELECOM_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TELECOM_POSTGRES_DSN": "postgresql://127.0.0.1:1/x"}
    finished = typed(billed.project, "funnel", "--month", MONTH, **nowhere)
    assert (finished.status, finished.stderr) == (0, "")
    books = month_funnel(billed.project.warehouse, MONTH)
    lines = {" ".join(line.replace("│", " ").split()) for line in finished.stdout.splitlines()}
    assert f"Funnel of {MONTH}" in lines
    counts = {"received": books.received, "cleaned": books.cleaned}
    for kind in ("rejected", "suspended", "excluded"):
        counts |= {f"{kind}: {reason}": count for reason, count in getattr(books, kind).items()}
    assert len(counts) > 10
    assert {f"{name} {count:,}" for name, count in counts.items()} <= lines
    assert any(line.startswith(f"rated (before tax) {books.rated:,} ") for line in lines)
    assert f"deferred: missing_volume {books.deferred:,}" in lines
    assert any(line.startswith(f"deferred → imputed {books.deferred:,} ") for line in lines)
    assert any(line.startswith(f"charged (before tax) {books.rated + books.deferred:,} ") for line in lines)
    malformed = malformed_while_open(billed.project.warehouse, MONTH, 62).messages
    assert (
        f"Malformed messages while {MONTH} was open for its records (from 2025-05-31 on): {malformed:,}, "
        "0 of them on its own days" in lines
    )


def test_funnel_of_a_month_without_records_is_empty(tmp_path: Path, typed: Callable[..., Finished]) -> None:
    finished = typed(None, "--home", str(tmp_path / "new"), "funnel", "--month", MONTH, "--json", TELECOM_HOME="")
    assert finished.status == 0
    assert finished.json["funnel"]["received"] == 0
    assert Decimal(finished.json["funnel"]["amount_due"]) == 0
    assert finished.json["without_records"].startswith(f"{MONTH} has no records: nothing has landed yet")
    again = typed(None, "--home", str(tmp_path / "new"), "funnel", "--month", MONTH, TELECOM_HOME="")
    assert f"{MONTH} has no records: nothing has landed yet; `telecom run --month {MONTH}`" in again.stdout


def test_funnel_of_a_month_without_records_says_where_the_records_are(
    billed: MonthRun, typed: Callable[..., Finished]
) -> None:
    days = [row["event_date"] for row in billed.project.rows("raw_cdrs")]
    finished = typed(billed.project, "funnel", "--month", "2025-02")
    assert finished.status == 0
    assert (
        f"2025-02 has no records: the {len(days):,} that have landed are at home on days from {min(days)} to {max(days)}"
        in finished.stdout
    )


def test_funnel_ends_with_1_when_the_books_do_not_balance(damaged: Project, typed: Callable[..., Finished]) -> None:
    damaged.delete("rejected_cdrs", f"event_date = '{MONTH}-05'")
    finished = typed(damaged, "funnel", "--month", MONTH)
    assert finished.status == 1
    assert "does not balance: received = cleaned + rejected" in finished.stdout


@pytest.mark.parametrize(
    ("table", "predicate", "cause"),
    [
        ("rejected_cdrs", f"event_date = '{MONTH}-05'", f"1 day is stale ({MONTH}-05)"),
        (
            "cleaned_cdrs",
            f"event_date >= '{MONTH}-03' AND event_date <= '{MONTH}-06'",
            f"4 days are stale ({MONTH}-03, {MONTH}-04, {MONTH}-05, …)",
        ),
        ("rated_cdrs", f"event_date = '{MONTH}-05'", f"1 day is to be rated ({MONTH}-05)"),
        ("suspended_cdrs", f"event_date = '{MONTH}-05'", f"1 day is to be rated ({MONTH}-05)"),
        ("facturation_complete", f"billing_period = '{MONTH}'", "the month is not billed yet"),
    ],
)
def test_funnel_that_does_not_balance_says_why_and_what_to_run(
    damaged: Project, typed: Callable[..., Finished], table: str, predicate: str, cause: str
) -> None:
    damaged.delete(table, predicate)
    finished = typed(damaged, "funnel", "--month", MONTH)
    assert finished.status == 1
    assert f"why: {cause}\n" in finished.stdout
    assert f"run: telecom run --month {MONTH}\n" in finished.stdout
    remedy = typed(damaged, "funnel", "--month", MONTH, "--json").json["remedy"]
    assert cause in remedy["causes"]
    assert remedy["run"] == f"telecom run --month {MONTH}"


def test_bills_of_other_ratings_are_told_apart_from_days_that_wait(
    damaged: Project, typed: Callable[..., Finished]
) -> None:
    """One price is another since the month was billed: every count agrees."""
    dearer("rated_cdrs", "amount", "0.000001")(damaged)
    remedy = typed(damaged, "funnel", "--month", MONTH, "--json").json["remedy"]
    assert remedy["causes"] == ["the bills are not those of the ratings that are there now"]


def test_a_month_that_is_not_over_is_said_to_wait_for_its_end(
    damaged: Project, typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(month_books, "local_today", lambda: dt.date(2025, 6, 30))
    damaged.delete("facturation_complete", f"billing_period = '{MONTH}'")
    (cause,) = typed(damaged, "funnel", "--month", MONTH, "--json").json["remedy"]["causes"]
    assert cause.startswith(f"the month is not billed: it ends on {MONTH}-30")


def test_landed_rows_that_are_lost_are_made_by_no_command(damaged: Project, typed: Callable[..., Finished]) -> None:
    """`telecom run` would refuse: what the topic held was read already."""
    damaged.delete("raw_cdrs", f"event_date = '{MONTH}-05'")
    finished = typed(damaged, "funnel", "--month", MONTH)
    assert finished.status == 1
    assert "rows of raw_cdrs were lost or doubled; restore the tables from a copy, then run" in finished.stdout
    assert "run: telecom" not in finished.stdout


# -- arguments and settings that cannot be used ----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "funnel", "check"])
@pytest.mark.parametrize(
    ("month", "says"),
    [
        ("2025-13", "expected yyyy-MM"),
        ("2025-00", "expected yyyy-MM"),
        ("2025-6", "expected yyyy-MM"),
        ("June", "expected yyyy-MM"),
        ("2025-06-01", "expected yyyy-MM"),
        ("٢٠٢٥-٠٦", "expected yyyy-MM"),
        ("2019-12", "TELECOM_PARTITIONS_START"),
        ("1999-01", "TELECOM_PARTITIONS_START"),
        ("2999-01", "this month"),
    ],
)
def test_a_month_that_cannot_be_billed(
    tmp_path: Path, typed: Callable[..., Finished], command: str, month: str, says: str
) -> None:
    finished = typed(None, "--home", str(tmp_path / "home"), command, "--month", month, TELECOM_HOME="")
    one_line(finished, 2, month, says)


def test_next_month_cannot_be_billed_and_this_one_can_be_asked_for(
    tmp_path: Path, typed: Callable[..., Finished]
) -> None:
    this = local_today().replace(day=1)
    following = (this + dt.timedelta(days=32)).replace(day=1)
    home = ("--home", str(tmp_path / "home"))
    one_line(typed(None, *home, "run", "--month", f"{following:%Y-%m}", TELECOM_HOME=""), 2, f"{following:%Y-%m}")
    assert typed(None, *home, "funnel", "--month", f"{this:%Y-%m}", "--json").status == 0


def test_a_missing_month_is_asked_for(tmp_path: Path, typed: Callable[..., Finished]) -> None:
    finished = typed(None, "--home", str(tmp_path), "run", TELECOM_HOME="")
    assert finished.status == 2
    assert "--month" in finished.stderr


@pytest.mark.parametrize("command", [["run", "--month", MONTH], ["status"]])
def test_a_setting_that_cannot_be_used_is_one_line(new_project: Callable[..., Project], command: list[str]) -> None:
    """A process of its own: settings are read before anything else is."""
    finished = telecom(new_project(), *command, TELECOM_TAX_PCT="abc")
    one_line(Finished(finished.returncode, finished.stdout, finished.stderr), 2, "TELECOM_TAX_PCT: 'abc'")


# -- work that fails -------------------------------------------------------------------------------------------------------


def failed(finished: Finished, *parts: str) -> None:
    """Status 1; the last line says why, no line is Python's."""
    assert finished.status == 1
    assert "Traceback" not in finished.stdout + finished.stderr
    assert 'File "' not in finished.stdout + finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    for part in parts:
        assert part in last


def test_no_kafka_is_one_clear_line_and_the_month_is_open(
    new_project: Callable[..., Project], typed: Callable[..., Finished]
) -> None:
    """A month is opened before anything is landed: nothing that arrives meanwhile is refused."""
    project = new_project()
    project.store_customers(customers())
    nowhere = {"TELECOM_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TELECOM_KAFKA_TIMEOUT_SECONDS": "1"}
    finished = typed(project, "run", "--month", "2025-02", **nowhere)
    failed(finished, "2025-02 is not billed", "Kafka at 127.0.0.1:1 cannot be used", "telecom up")
    assert read_state(project.warehouse).opened_months == ["2025-02"]


@pytest.mark.usefixtures("impatient")
def test_no_postgres_is_one_clear_line(new_project: Callable[..., Project], typed: Callable[..., Finished]) -> None:
    dsn = "postgresql://someone:hunter2@127.0.0.1:1/none"
    finished = typed(new_project(), "run", "--month", MONTH, TELECOM_POSTGRES_DSN=dsn)
    failed(finished, "PostgreSQL at 127.0.0.1:1/none cannot be reached", "TELECOM_POSTGRES_DSN")
    assert "hunter2" not in finished.stdout + finished.stderr


def test_no_customers_table_is_one_clear_line(
    new_project: Callable[..., Project], typed: Callable[..., Finished]
) -> None:
    finished = typed(new_project(), "run", "--month", MONTH)
    failed(finished, "table customers does not exist", "telecom customers import")


def test_tariffs_that_are_refused_end_the_month_and_nothing_is_published(
    new_project: Callable[..., Project], typed: Callable[..., Finished], tmp_path: Path
) -> None:
    """A price is missing: the first run of the sequence stops, and so the sequence."""
    project = new_project()
    project.store_customers(customers())
    prices = tmp_path / "rate_plans.csv"
    packaged = Path(cli.__file__).parents[1] / "data" / "rate_plans.csv"
    lines = packaged.read_text(encoding="utf-8").splitlines(keepends=True)
    prices.write_text("".join(line for line in lines if "PLAN_C,SMS_INT" not in line), encoding="utf-8")
    finished = typed(project, "run", "--month", MONTH, "--json", TELECOM_RATE_PLANS=str(prices))
    assert finished.status == 1
    assert "PLAN_C: no price for product SMS_INT" in finished.json["error"]
    assert [step["job"] for step in finished.json["steps"]] == ["reference_job"]
    assert [(table,) for (table,) in project.postgres(TABLES_IN_POSTGRES)] == [("customers",)]
    assert not project.settings.output_path.exists()


def test_books_that_do_not_balance_leave_the_last_good_month_in_place(
    damaged_with_database: Project, typed: Callable[..., Finished]
) -> None:
    project = damaged_with_database
    before = project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id")
    versions = project.versions(["cleaned_cdrs", "rated_cdrs", "facturation_complete"])
    doubled("raw_cdrs")(project)
    finished = typed(project, "run", "--month", MONTH)
    failed(finished, f"{MONTH} is not billed", "landing.landed_equals_consumed")
    assert project.postgres("SELECT * FROM facturation_complete ORDER BY customer_id") == before
    assert project.versions(["cleaned_cdrs", "rated_cdrs", "facturation_complete"]) == versions
