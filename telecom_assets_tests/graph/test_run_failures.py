"""How a run fails, for whoever reads its page, the terminal or the webhook: our sentence, and what to do.

All are real runs of the project's definitions, in a home without servers.
"""

import datetime as dt
import errno
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.java import JavaError
from telecom_assets.books.verdict import ConservationError, Verdict, require
from telecom_assets.definitions import build_defs
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import asset, multi_asset
from telecom_assets.model.calendar import local_today
from telecom_assets.runs.month_run import Step, day_range, one_month
from telecom_assets.runs.month_runner import MonthRunner, RunFailed
from telecom_assets.runs.sensors.failures import failure_message
from telecom_assets.runs.stages import BILLING, LANDING, RATING, REFERENCE
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.project import with_single_jobs


class Home:
    """A home without servers, and the runs that fail in it."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance
        deployment = Deployment(settings, TABLES)
        self.warehouse = deployment.warehouse
        self.defs = with_single_jobs(build_defs(settings, deployment.resources()))
        self.runner = MonthRunner(self.defs, instance, deployment, lambda *_: None)
        #: What the command prints of the run that failed last, and what the webhook gets of it.
        self.line = ""
        self.posted: Mapping[str, Any] = {}

    def fails(self, step: Step) -> dict[str, tuple[str, dict[str, Any]]]:
        """Description and metadata of each failed step of a run, as its page has them."""
        with pytest.raises(RunFailed) as failed:
            self.runner.execute(step)
        self.line = str(failed.value)
        context = self.told()
        self.posted = failure_message(context)
        events = context.get_step_failure_events()
        return {str(event.step_key): said(event) for event in events}

    def told(self) -> dg.RunFailureSensorContext:
        """What the daemon hands to the sensor of the run that failed last."""
        [record] = self.instance.get_run_records(limit=1)
        run = record.dagster_run
        [event] = [
            each.dagster_event
            for each in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
            if each.dagster_event
        ]
        return dg.build_run_status_sensor_context("run_failure_webhook", event, self.instance, run).for_run_failure()


def said(event: dg.DagsterEvent) -> tuple[str, dict[str, Any]]:
    told = event.step_failure_data.user_failure_data
    assert told is not None, event.step_failure_data.error
    return told.description or "", {name: value.value for name, value in told.metadata.items()}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Home(Settings.load(home=tmp_path / "home"), instance)


# -- several kinds of errors -------------------------------------------------------------------------------------------


def test_no_kafka(home: Home) -> None:
    sentence = "no Kafka: set TELECOM_KAFKA_BOOTSTRAP_SERVERS, or start the local stack with `telecom up`"
    assert home.fails(Step(LANDING.job)) == {"landing": (sentence, {"table": "landing", "what_to_run": "telecom up"})}
    assert home.line == sentence
    assert (home.posted["error"], home.posted["what_to_run"]) == (f"landing: {sentence}", "telecom up")


def test_run_failure_has_it_too(home: Home) -> None:
    """The event of the whole run, which alerts and other people's sensors look at."""
    home.fails(Step(LANDING.job))
    first = home.told().failure_event.job_failure_data.first_step_failure_event
    assert first is not None
    assert said(first)[0].startswith("no Kafka: ")


@pytest.mark.thorough
def test_a_month_that_is_not_over(home: Home) -> None:
    today = local_today()
    month, last = f"{today:%Y-%m}", (today.replace(day=28) + dt.timedelta(4)).replace(day=1) - dt.timedelta(1)
    sentence = (
        f"billing of {month} is refused: the month {month} is not over: it ends on {last}; until then its days can be "
        "mediated and rated"
    )
    assert home.fails(one_month(BILLING.job, month)) == {
        "bill_lines": (
            sentence,
            {
                "period": month,
                "table": "bill_lines",
                "what_to_run": f"telecom run --month {month}",
            },
        )
    }
    assert home.line == sentence
    assert home.posted["error"] == f"bill_lines: {sentence}"


def test_files_that_cannot_be_read(home: Home, tmp_path: Path) -> None:
    """And PostgreSQL is not there: each step says its own. Tariffs and catalogue are read together."""
    plans = tmp_path / "plans.csv"
    plans.write_text("nothing,of,this\n", encoding="utf-8")
    home = Home(home.settings.replaced(rate_plans=plans), home.instance)
    failed = home.fails(Step(REFERENCE.job))
    assert set(failed) == {"customers", "rate_plans", "product_catalog"}
    sentence, metadata = failed["rate_plans"]
    assert sentence.startswith(f"{plans}: ")
    assert metadata == {"table": "rate_plans", "what_to_run": "This run again (Re-execute), once that is mended."}
    assert failed["customers"][0].startswith("no PostgreSQL: set TELECOM_POSTGRES_DSN")
    assert f"rate_plans: {sentence}" in home.posted["error"]
    assert "telecom up" in home.posted["what_to_run"]


@pytest.mark.thorough
def test_a_table_that_cannot_be_read(home: Home) -> None:
    """It is the IO manager that reads it, before the step begins."""
    home.warehouse.make_tables(["customers"])
    log = Path(home.warehouse.path("customers"), "_delta_log", f"{0:020d}.json")
    log.write_text("damaged\n", encoding="utf-8")
    home = Home(home.settings, home.instance)
    sentence, metadata = home.fails(day_range(RATING.job, dt.date(2025, 6, 1), dt.date(2025, 6, 30)))["rating"]
    assert sentence.startswith(f"table customers at {home.warehouse.path('customers')} ")
    assert metadata["table"] == "customers"
    assert home.line == sentence


def test_a_table_that_cannot_be_written(home: Home) -> None:
    """It is the IO manager that writes it, when the step is done."""
    Path(home.warehouse.root).mkdir(parents=True)
    Path(home.warehouse.path("rate_plans")).write_text("in the way", encoding="utf-8")
    sentence, metadata = home.fails(Step(REFERENCE.job))["rate_plans"]
    assert sentence.startswith(f"table rate_plans at {home.warehouse.path('rate_plans')} ")
    assert metadata["table"] == "rate_plans"


@pytest.mark.thorough
def test_the_days_of_a_range_are_told(home: Home) -> None:
    """The days are refused for a catalogue without products, which needs no engine."""
    days = (dt.date(2025, 6, 24), dt.date(2025, 7, 2))
    sentence, metadata = home.fails(day_range("mediation_job", *days))["mediation"]
    assert sentence.startswith("mediation of 2025-06-24…2025-07-02 is refused: the catalogue is not valid: ")
    assert metadata == {
        "days": "2025-06-24…2025-07-02",
        "table": "cleaned_cdrs, mediated_days, rejected_cdrs",
        "what_to_run": "telecom run --month 2025-06; telecom run --month 2025-07",
    }
    assert home.line == sentence


def test_a_check_that_cannot_be_made(home: Home) -> None:
    sentence, metadata = home.fails(one_month("check_published_bills", "2025-06"))["published_bills_checks"]
    assert sentence.startswith("no PostgreSQL: set TELECOM_POSTGRES_DSN")
    assert metadata == {"period": "2025-06", "table": "published_bills", "what_to_run": "telecom up"}


# -- ours first, then the cause ----------------------------------------------------------------------------------------


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def torn() -> None:
    raise OSError(errno.EIO, "Input/output error")


def clear() -> None:
    try:
        full()
    except OSError as error:
        raise JavaError("jars cannot be kept; free the disk, then `telecom up`") from error


def clear_with_the_cause() -> None:
    try:
        full()
    except OSError as error:
        raise JavaError(f"jars cannot be kept ({error})") from error


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            clear,
            "jars cannot be kept; free the disk, then `telecom up` (cause: [Errno 28] No space left on device)",
        ),
        (clear_with_the_cause, "jars cannot be kept ([Errno 28] No space left on device)"),
        (torn, "[Errno 5] Input/output error"),
    ],
)
def test_the_sentence_comes_before_its_cause(home: Home, body: Callable[[], None], says: str) -> None:
    """The third is nothing that anybody expected: it is told as it comes, and is no intended failure."""
    made = asset(name="broken", description="Raises.")(body)
    home.runner.definitions = dg.Definitions(assets=[made], jobs=[dg.define_asset_job("breaking", [made])])
    with pytest.raises(RunFailed) as failed:
        home.runner.execute(Step("breaking"))
    assert str(failed.value) == says
    [event] = home.told().get_step_failure_events()
    assert failure_message(home.told())["error"] == f"broken: {says}"
    assert (event.step_failure_data.user_failure_data is None) == (body is torn)


def test_a_full_disk_is_a_sentence_whoever_tells_it(home: Home) -> None:
    """No error of ours: what the system says comes through, as what an engine says of it would."""
    made = asset(name="broken", description="Raises.")(full)
    home.runner.definitions = dg.Definitions(assets=[made], jobs=[dg.define_asset_job("breaking", [made])])
    with pytest.raises(RunFailed):
        home.runner.execute(Step("breaking"))
    told = failure_message(home.told())
    assert told["error"].startswith("broken: no space left on ")
    assert told["error"].endswith("free some and run it again; what was good before is in place")
    assert told["what_to_run"] == "This run again (Re-execute), once that is mended."


def test_no_retry_policy_repeats_an_expected_error(home: Home) -> None:
    """It has said what is to be done, and nobody has done it yet."""
    tried = []

    def body() -> None:
        tried.append(1)
        clear()

    made = asset(name="broken", retry_policy=dg.RetryPolicy(max_retries=3))(body)
    home.runner.definitions = dg.Definitions(assets=[made], jobs=[dg.define_asset_job("breaking", [made])])
    with pytest.raises(RunFailed):
        home.runner.execute(Step("breaking"))
    assert tried == [1]


def test_a_step_that_makes_several_tables_is_told_alike(home: Home) -> None:
    def body() -> Iterator[dg.Output[int]]:
        yield dg.Output(1, "one")
        clear()

    made = multi_asset(outs={"one": dg.AssetOut(io_manager_key="memory"), "two": dg.AssetOut(io_manager_key="memory")})(
        body
    )
    home.runner.definitions = dg.Definitions(
        assets=[made],
        jobs=[dg.define_asset_job("breaking", [made])],
        resources={"memory": dg.InMemoryIOManager()},
    )
    [(sentence, metadata)] = home.fails(Step("breaking")).values()
    assert sentence.startswith("jars cannot be kept; ")
    assert metadata == {"table": "one, two", "what_to_run": "telecom up"}


def test_no_step_of_the_project_is_left_out(home: Home) -> None:
    """What makes an asset or checks one is made with the project's own `asset`, `multi_asset` and `guard`."""
    made = [each for each in home.defs.assets or () if isinstance(each, dg.AssetsDefinition) and each.is_executable]
    steps: dict[str, Any] = {each.node_def.name: each.node_def for each in [*made, *(home.defs.asset_checks or ())]}
    assert len(steps) > 20
    bodies = {name: node.compute_fn.decorated_fn for name, node in steps.items()}
    assert [name for name, body in bodies.items() if not hasattr(body, "__wrapped__")] == []


def test_who_interrupts_a_command_is_not_told_of_it(home: Home) -> None:
    """The webhook is for runs that failed behind people's backs."""

    @asset()
    def stopped() -> None:
        raise KeyboardInterrupt

    home.runner.definitions = dg.Definitions(assets=[stopped], jobs=[dg.define_asset_job("stop", [stopped])])
    with pytest.raises(KeyboardInterrupt):
        home.runner.execute(Step("stop"))
    defs = build_defs(home.settings.replaced(failure_webhook="http://127.0.0.1:1/nobody"))
    answer = defs.get_repository_def().get_sensor_def("run_failure_webhook")(home.told())
    assert isinstance(answer, dg.SkipReason)


# -- verdicts are sentences --------------------------------------------------------------------------------------------


def test_a_statement_and_an_equation_are_told_in_sentences() -> None:
    over: dict[str, Any] = {"identity": "the month 2026-11 is over", "otherwise": "the month 2026-11 is not over"}
    assert Verdict(findings=[], **over).summary == "the month 2026-11 is over"
    assert Verdict(findings=["it ends on 2026-11-30"], **over).summary == (
        "the month 2026-11 is not over: it ends on 2026-11-30"
    )
    assert Verdict("raw = cleaned + rejected", []).summary == "raw = cleaned + rejected holds"
    assert Verdict("raw = cleaned + rejected", ["2 raw, 1 cleaned"]).summary == (
        "raw = cleaned + rejected does not hold: 2 raw, 1 cleaned"
    )
    with pytest.raises(ConservationError) as refused:
        require(Verdict(findings=["a"], **over), Verdict("x = y", []), Verdict("u = v", ["b"]), before="billing of M")
    assert str(refused.value) == (
        "billing of M is refused: the month 2026-11 is not over: a. Also: u = v does not hold: b"
    )
