"""How commands end: the status, one line for an error, text from data as it is, and signals."""

import dataclasses
import datetime as dt
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import dagster as dg
import pytest
from pydantic import SecretStr

from resources.process_locks import lock_or_refuse
from telecom_assets import cli, definitions
from telecom_assets.billing import restored
from telecom_assets.cli import demo, maintain
from telecom_assets.cli.month import went_well
from telecom_assets.cli.show import print_funnel, print_maintenance, print_steps, terminal
from telecom_assets.cli.stack import terminate_like_interrupt
from telecom_assets.generator import SpecError
from telecom_assets.home.settings import Settings
from telecom_assets.intake import journal
from telecom_assets.lineage.failures import was_interrupted
from telecom_assets.reports import funnel_counts as funnel
from telecom_assets.reports import month_books
from telecom_assets.reports.funnel import Funnel, Malformed, Remedy
from telecom_assets.runs import month_runner as executor
from telecom_assets.runs.month_run import Step
from telecom_assets.runs.month_runner import RunFailed, StepResult
from telecom_assets_tests.typed import Finished, type_command

MONTH = "2025-05"
ZERO = Decimal(0)
#: What rich takes for markup or an emoji: an end without a beginning, a colour, a picture.
TRICKY = "product [/x] of [gold] at :100:"
NOTHING = Funnel(0, 0, 0, ZERO, 0, ZERO, ZERO, ZERO, ZERO, ZERO)
MALFORMED = Malformed(dt.date(2025, 5, 31), None, 0, 0)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that wraps nothing."""
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def typed(
    wide: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Finished]:
    """Types a command in this process, through the entry point."""

    def run(*arguments: object) -> Finished:
        return type_command(monkeypatch, capfd, arguments)

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TELECOM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def work(home: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for the work of `run` and `maintain`: `run()` is called for it, `books` is the month's funnel."""
    doing = SimpleNamespace(run=lambda: None, books=NOTHING)

    class Runner:
        def __init__(self, *_: Any) -> None:
            self.results: list[StepResult] = []

        def run_month(self, _month: str, *, force: bool) -> None:
            del force
            doing.run()

        def execute(self, _step: Step) -> None:
            doing.run()

    class Context:
        instance = deployment = SimpleNamespace(
            engine=SimpleNamespace(name="none"),
            warehouse=SimpleNamespace(exists=lambda _: False, contracts={}),
            resources=dict,
        )

        def __init__(self, settings: Settings) -> None:
            self.settings = settings

        def open_month(self, month: str) -> None:
            pass

        def postgres(self) -> None:
            raise AssertionError("nobody asks it here")

    monkeypatch.setattr(cli, "AppContext", Context)
    monkeypatch.setattr(definitions, "build_defs", lambda *_: None)
    monkeypatch.setattr(restored, "assert_nothing_went_back", lambda *_: None)
    monkeypatch.setattr(executor, "MonthRunner", Runner)
    monkeypatch.setattr(funnel, "month_funnel", lambda *_: doing.books)
    monkeypatch.setattr(funnel, "other_days", lambda *_: NOTHING)
    monkeypatch.setattr(funnel, "malformed_while_open", lambda *_: MALFORMED)
    monkeypatch.setattr(month_books, "remedy", lambda *_: None)
    monkeypatch.setattr(month_books, "without_records", lambda *_: None)
    monkeypatch.setattr(journal, "source_decisions", lambda *_: [])
    return doing


def one_line(finished: Finished, status: int, line: str) -> None:
    assert (finished.exit_code, finished.stdout, finished.stderr) == (status, "", f"telecom: {line}\n")


# -- text from data ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("wide")
def test_a_failed_check_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_steps(terminal(), [StepResult(Step("rating_job"), "", 1.0, [("rated.priced", False, TRICKY)])])
    assert f"✗ rated.priced: {TRICKY}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("wide")
def test_advice_is_shown_and_is_no_failed_check(capsys: pytest.CaptureFixture[str]) -> None:
    result = StepResult(Step("reference_job"), "", 1.0, [("rated.priced", True, "")], [f"plans.reached: {TRICKY}"])
    print_steps(terminal(), [result])
    shown = capsys.readouterr().out
    assert f"! plans.reached: {TRICKY}\n" in shown
    assert "1/1 passed" in shown


@pytest.mark.usefixtures("wide")
def test_reasons_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    books = Funnel(1, 0, 0, ZERO, 0, ZERO, ZERO, ZERO, ZERO, ZERO, rejected={TRICKY: 1})
    print_funnel(terminal(), MONTH, "MAD", books, books, MALFORMED, Remedy([TRICKY], f"telecom {TRICKY}"))
    shown = capsys.readouterr().out
    assert f"why: {TRICKY}\n" in shown
    assert f"run: telecom {TRICKY}\n" in shown
    assert f"rejected: {TRICKY} " in shown
    assert f"1 rejected ({TRICKY} 1)" in shown


@pytest.mark.usefixtures("wide")
def test_the_funnel_says_what_was_deferred_and_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    books = dataclasses.replace(
        NOTHING, received=9, cleaned=9, rated=4, rated_amount=Decimal("1.5"), deferred=5, imputed=5,
        imputed_amount=Decimal("0.25"), imputed_out_of_range=1,
    )  # fmt: skip
    print_funnel(terminal(), MONTH, "MAD", books, NOTHING, MALFORMED, None)
    lines = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    prefixes = ("deferred", "rated", "suspended", "charged")
    assert [line for line in lines if line.startswith(prefixes)] == [
        "deferred: missing_volume 5",
        "rated (before tax) 4 1.500000",
        "deferred → imputed 5 0.250000",
        "suspended: amount_out_of_range, of the imputed 1",
        "charged (before tax) 8 1.750000",
    ]


@pytest.mark.usefixtures("wide")
def test_a_note_of_maintenance_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    counts = ("versions", "files_before", "files_after", "files_compacted", "files_removed", "bytes_removed", "seconds")
    print_maintenance(terminal(), [{"table": "t[/]", **dict.fromkeys(counts, 0), "note": TRICKY}], dry_run=False)
    shown = capsys.readouterr().out
    assert TRICKY in shown
    assert "t[/]" in shown


def test_why_a_month_is_not_billed_is_shown_as_it_is(work: SimpleNamespace, typed: Callable[..., Finished]) -> None:
    def fail() -> None:
        raise RunFailed(TRICKY)

    work.run = fail
    finished = typed("run", "--month", MONTH)
    assert finished.exit_code == 1
    assert finished.stderr.endswith(f"{MONTH} is not billed: {TRICKY}\n")


@pytest.mark.usefixtures("home")
def test_why_tables_are_not_maintained_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, typed: Callable[..., Finished]
) -> None:
    monkeypatch.setattr(maintain, "_run", lambda *_, **__: ([], TRICKY))
    finished = typed("maintain")
    assert (finished.exit_code, finished.stderr) == (1, f"not all tables are maintained: {TRICKY}\n")


@pytest.mark.usefixtures("wide")
def test_the_outputs_of_a_demo_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(home=tmp_path / TRICKY)
    demo._print_outputs(terminal(), {"outputs": {"dashboard": str(tmp_path / TRICKY)}, "seconds": 1.0}, settings)
    shown = capsys.readouterr().out
    assert f"dashboard  {tmp_path / TRICKY}\n" in shown
    assert f"TELECOM_HOME='{tmp_path / TRICKY}' make dev" in shown


@pytest.mark.usefixtures("wide")
def test_a_demo_whose_runs_are_in_postgresql_says_how_to_look_at_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The UI of the other storage would show none of its runs."""
    settings = Settings(home=tmp_path, dagster_storage="postgres")
    demo._print_outputs(terminal(), {"outputs": {}, "seconds": 1.0}, settings)
    assert f"TELECOM_DAGSTER_STORAGE=postgres TELECOM_HOME='{tmp_path}' make dev" in capsys.readouterr().out


@pytest.mark.parametrize("storage", ["sqlite", "postgres"])
def test_a_demo_keeps_its_runs_where_the_setting_says(tmp_path: Path, storage: Literal["sqlite", "postgres"]) -> None:
    """In its own PostgreSQL, as all that it does: a configured one elsewhere is left alone."""
    url = SecretStr("postgresql://someone@db.example/dagster")
    settings = demo._demo_settings(Settings(home=tmp_path, dagster_storage=storage, dagster_postgres_url=url), MONTH)
    assert (settings.dagster_storage, settings.dagster_postgres_url) == (storage, None)


@pytest.mark.parametrize(
    ("change", "well"),
    [
        ({}, True),
        ({"error": "rating failed"}, False),
        ({"funnel": {"imbalances": ["received = cleaned + rejected: 2 and 1"]}}, False),
        (
            {"steps": [{"checks_failed": []}, {"checks_failed": ["facturation_complete.rated_equals_billed: no"]}]},
            False,
        ),
    ],
)
def test_every_blocking_check_passed_is_said_of_no_month_with_one_that_failed(
    change: dict[str, Any], *, well: bool
) -> None:
    """The last line of a demo, and its exit code."""
    report: dict[str, Any] = {"error": None, "funnel": {"imbalances": []}, "steps": [{"checks_failed": []}]}
    assert went_well(report | change) is well


def test_an_error_is_shown_as_it_is(work: SimpleNamespace, typed: Callable[..., Finished]) -> None:
    def fail() -> None:
        raise SpecError(TRICKY)

    work.run = fail
    one_line(typed("run", "--month", MONTH), 2, TRICKY)


# -- errors that are expected -----------------------------------------------------------------------------------------


@pytest.fixture
def no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that gets as far as the servers fails the test."""

    def local_stack(*_: Any) -> None:
        raise AssertionError("the servers were asked for")

    monkeypatch.setattr(demo, "local_stack", local_stack)


@pytest.mark.usefixtures("no_stack")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--month", "2025-13"], "month '2025-13': expected YYYY-MM"),
        (["--cdrs", "-1"], "number of CDRs -1: expected 0 or more"),
        (["--month", "2019-12"], "month 2019-12: expected a month from 2020-01 (TELECOM_PARTITIONS_START)"),
        (["--month", "2098-01"], "(this month)"),
    ],
)
def test_a_demo_that_cannot_be_touches_nothing(
    home: Path, typed: Callable[..., Finished], arguments: list[str], says: str
) -> None:
    (home / "demo").mkdir(parents=True)
    (home / "demo" / "made-by-telecom-demo").touch()
    (home / "demo" / "earlier").touch()
    finished = typed("demo", *arguments)
    assert (finished.exit_code, finished.stdout, finished.stderr.count("\n")) == (2, "", 1)
    assert says in finished.stderr
    assert (home / "demo" / "earlier").exists()


def test_the_home_of_a_demo_begins_with_its_month(tmp_path: Path) -> None:
    """Whoever opens the UI of that home, as README says, sees the demo's days and no years before them."""
    settings = demo._demo_settings(Settings.load(home=tmp_path), "2026-10")
    demo._empty_home(settings, lambda _: None)
    assert settings.home_path == tmp_path / "demo"
    assert settings.partitions_start == dt.date(2026, 10, 1)
    assert Settings.load(home=tmp_path / "demo").partitions_start == dt.date(2026, 10, 1)


def test_a_second_demo_leaves_the_first_ones_folder_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, typed: Callable[..., Finished]
) -> None:
    monkeypatch.setattr(
        demo, "local_stack", lambda *_: SimpleNamespace(down=lambda *_, **__: [], assert_installed=lambda: None)
    )
    (home / "demo").mkdir(parents=True)
    (home / "demo" / "made-by-telecom-demo").touch()
    with lock_or_refuse(home, "demo"):
        finished = typed("demo", "--month", MONTH)
    assert (finished.exit_code, finished.stdout, finished.stderr.count("\n")) == (1, "", 1)
    assert f"demo is under way in process {os.getpid()} (since " in finished.stderr
    assert (home / "demo" / "made-by-telecom-demo").exists()


@pytest.mark.usefixtures("home")
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, typed: Callable[..., Finished]) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "[below]"
    one_line(typed("--home", folder, "run", "--month", MONTH), 1, f"{tmp_path}/file: Not a directory")
    one_line(typed("jars", folder), 1, f"{folder}: Not a directory")


def test_an_error_of_the_system_without_a_file_is_no_message(
    work: SimpleNamespace, typed: Callable[..., Finished]
) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    work.run = fail
    with pytest.raises(OSError, match="Input/output error"):
        typed("run", "--month", MONTH)


def test_a_reader_that_has_left_is_no_error(work: SimpleNamespace, typed: Callable[..., Finished]) -> None:
    def fail() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    work.run = fail
    finished = typed("run", "--month", MONTH)
    assert (finished.exit_code, finished.stdout, finished.stderr) == (1, "", "")


# -- books ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_run_ends_with_1_when_the_books_do_not_balance(
    work: SimpleNamespace, typed: Callable[..., Finished], options: list[str]
) -> None:
    assert typed("run", "--month", MONTH, *options).exit_code == 0
    work.books = Funnel(2, 1, 1, ZERO, 0, ZERO, ZERO, ZERO, ZERO, ZERO)
    finished = typed("run", "--month", MONTH, *options)
    assert finished.exit_code == 1
    if options:
        assert json.loads(finished.stdout)["funnel"]["imbalances"] == ["received = cleaned + rejected: 2 and 1"]
    else:
        assert "does not balance: received = cleaned + rejected: 2 and 1" in finished.stdout


def test_the_version_is_told(typed: Callable[..., Finished]) -> None:
    """Of what is installed, whatever the environment holds."""
    assert typed("--version") == Finished(0, f"telecom_assets {metadata.version('telecom_assets')}\n", "")


def test_run_says_when_it_ends_with_an_error(typed: Callable[..., Finished]) -> None:
    assert "the funnel does not balance" in typed("run", "--help").stdout


# -- signals ----------------------------------------------------------------------------------------------------------

ENDING = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def noted() -> Iterator[list[int]]:
    """Signals that reach the process and not the command: without the handlers of the command, pytest would end."""
    received: list[int] = []
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in ENDING}
    yield received
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("command", [["run", "--month", MONTH], ["maintain"]], ids=["run", "maintain"])
@pytest.mark.parametrize("number", ENDING)
def test_a_command_that_is_ended_is_interrupted(
    work: SimpleNamespace, typed: Callable[..., Finished], noted: list[int], command: list[str], number: signal.Signals
) -> None:
    work.run = lambda: signal.raise_signal(number)
    assert typed(*command) == Finished(130, "", "")
    assert noted == []


@pytest.mark.usefixtures("noted")
@pytest.mark.parametrize("number", ENDING)
def test_a_step_that_is_ended_fails_in_order(number: signal.Signals) -> None:
    @dg.op
    def ended() -> None:
        signal.raise_signal(number)

    @dg.job
    def ended_job() -> None:
        ended()

    with terminate_like_interrupt(), dg.DagsterInstance.ephemeral() as instance:
        outcome = ended_job.execute_in_process(instance=instance, raise_on_error=False)
        ended_run = instance.get_run_by_id(outcome.run_id)
        assert ended_run is not None
        assert ended_run.is_finished
    assert [was_interrupted(event) for event in outcome.all_events if event.is_step_failure] == [True]


def test_a_second_hang_up_does_not_end_the_cleaning_up(noted: list[int]) -> None:
    cleaned = False
    with pytest.raises(KeyboardInterrupt), terminate_like_interrupt():
        try:
            with terminate_like_interrupt():
                signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)
            cleaned = True
    assert cleaned
    assert noted == []


def test_nohup_stays_in_force(noted: list[int]) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with terminate_like_interrupt():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert noted == []


def test_handlers_are_given_back(noted: list[int]) -> None:
    with terminate_like_interrupt(), terminate_like_interrupt():
        pass
    for number in ENDING:
        signal.raise_signal(number)
    assert noted == ENDING


def test_outside_the_main_thread_nothing_changes() -> None:
    entered = []

    def enter() -> None:
        with terminate_like_interrupt():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]
