"""An outage of Kafka reaches people once, and once more at its end; with a real broker that is stopped and goes on."""

import datetime as dt
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from telecom_assets.intake.silence import is_news, silence
from telecom_assets.local_stack.processes import ServerProcess
from telecom_assets.model.calendar import local_today
from telecom_assets.runs.sensors.kafka_outage import KafkaOutage
from telecom_assets_tests.conftest import wait_for_topic
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import QUIET, Project, open_project
from telecom_assets_tests.graph.test_sensor import sms
from telecom_assets_tests.graph.ticks import Clock, carry_out, outcomes, reason_of, tick
from telecom_assets_tests.graph.webhook import Webhook

SENSOR = "kafka_outage"


@pytest.fixture
def project(new_project: Callable[..., Project], forgetful: dg.DagsterInstance, webhook: Webhook) -> Iterator[Project]:
    made = new_project(partitions=1)
    with dg.DagsterInstance.ephemeral() as instance:
        yield open_project(made.settings.replaced(failure_webhook=webhook.url), instance)


@pytest.fixture
def clock(project: Project) -> Clock:
    return Clock(project)


@contextmanager
def stopped(stack_home: Path) -> Iterator[None]:
    """The session's broker does not answer meanwhile, and keeps its connections."""
    record = ServerProcess.read(stack_home / "run" / "kafka.json")
    assert record is not None
    broker = psutil.Process(record.pid)
    broker.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        broker.send_signal(signal.SIGCONT)


def fails(project: Project) -> str:
    """What a tick fails of."""
    with pytest.raises(KafkaOutage) as caught:
        tick(project, SENSOR)
    return str(caught.value)


@retry(
    retry=retry_if_result(lambda reason: "answers again" not in reason),
    stop=stop_after_delay(60),
    wait=wait_fixed(0.1),
    retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
)
def reason_of_end(project: Project) -> str:
    """What the first tick that finds the broker says. One that has just gone on may leave a question unanswered."""
    return reason_of(tick(project, SENSOR))


def events(webhook: Webhook) -> list[object]:
    return [message["event"] for _, message in webhook.calls]


def test_twenty_minutes_without_a_broker(project: Project, clock: Clock, webhook: Webhook, stack_home: Path) -> None:
    """One failed tick, two messages; mediation goes on; landing takes up what came before, without a hand."""
    project.store_customers(customers())
    assert project.run("reference_job").success
    project.produce([sms(local_today(), "a")])
    assert outcomes(carry_out(project, tick(project, "cdr_topic_sensor"))) == [("landing_job", True)]
    project.produce([sms(local_today(), "b")])
    assert tick(project, SENSOR).skip_message == "Kafka answers"
    with stopped(stack_home), pytest.MonkeyPatch.context() as patch:
        first = tick(project, SENSOR)
        assert "does not answer within 3 s" in reason_of(first)
        assert "which is told at" in reason_of(first)
        patch.setattr("telecom_assets.runs.sensors.kafka.LOOK_SECONDS", 0.5)  # each further look waits in vain
        assert outcomes(carry_out(project, tick(project, "cdr_topic_sensor"))) == [("mediation_job", True)]
        clock.passes(minutes=4)
        assert "which is told at" in reason_of(tick(project, SENSOR))
        clock.passes(minutes=1)
        assert "Kafka has been out of reach for 5 minutes, since" in fails(project)
        clock.passes(minutes=15)
        assert "Kafka has been out of reach for 20 minutes, since" in reason_of(tick(project, SENSOR))
        assert "does not answer within 0.5 s" in reason_of(tick(project, "cdr_topic_sensor"))
    assert events(webhook) == ["began"]
    wait_for_topic(project.deployment.kafka())  # a broker that was away settles for a moment
    over = reason_of_end(project)
    assert "Kafka answers again at" in over
    assert "after 20 minutes" in over
    assert tick(project, SENSOR).skip_message == "Kafka answers"
    assert events(webhook) == ["began", "ended"]
    assert webhook.calls[0][1]["error"] == webhook.calls[1][1]["error"]
    assert webhook.calls[1][1]["minutes"] == 20
    assert outcomes(carry_out(project, tick(project, "cdr_topic_sensor"))) == [("landing_job", True)]
    assert outcomes(carry_out(project, tick(project, "cdr_topic_sensor"))) == [("mediation_job", True)]
    assert {row["record_id"] for row in project.rows("cleaned_cdrs")} == {"a", "b"}


def elsewhere(project: Project, **changes: object) -> tuple[Project, Clock]:
    """The same home with other settings, as after a restart."""
    made = open_project(project.settings.replaced(kafka_timeout_seconds=1.0, **changes), project.instance)
    return made, Clock(made)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kafka_topic": "no-such-topic"}, "Kafka topic 'no-such-topic' does not exist"),
        ({"kafka_bootstrap_servers": "127.0.0.1:1"}, "nothing listens there: Connection refused"),
        ({"kafka_bootstrap_servers": None}, "no Kafka: set TELECOM_KAFKA_BOOTSTRAP_SERVERS"),
        ({"kafka_options": {}}, "it closes the connection unanswered, as one that wants TLS or a login does"),
    ],
)
def test_what_counts_as_an_outage_is_told_in_its_own_words(
    project: Project, webhook: Webhook, changes: dict[str, object], sentence: str
) -> None:
    made, clock = elsewhere(project, **changes)
    assert sentence in reason_of(tick(made, SENSOR))
    clock.passes(minutes=5)
    assert sentence in fails(made)
    assert sentence in str(webhook.calls[0][1]["error"])


def test_a_wrong_password_is_an_outage_and_never_shown(project: Project, webhook: Webhook) -> None:
    made, clock = elsewhere(project, kafka_options={**project.settings.kafka_options, "sasl.password": "hunter2"})
    tick(made, SENSOR)
    clock.passes(minutes=5)
    assert "it refuses the login" in fails(made)
    assert "hunter2" not in str(webhook.calls)


def test_the_state_outlives_a_restart(project: Project, webhook: Webhook) -> None:
    """Another process with the same instance: it knows since when, and that it was told."""
    for minutes, ends in ((0, "told at"), (5, ""), (10, "out of reach for 10 minutes")):
        made, clock = elsewhere(project, kafka_bootstrap_servers="127.0.0.1:1")
        clock.passes(minutes=minutes)
        if minutes == 5:
            fails(made)
        else:
            assert ends in reason_of(tick(made, SENSOR))
    assert events(webhook) == ["began"]


def test_the_patience_is_a_setting(project: Project, webhook: Webhook) -> None:
    made, clock = elsewhere(project, kafka_bootstrap_servers="127.0.0.1:1", outage_minutes=1)
    tick(made, SENSOR)
    clock.passes(minutes=1)
    assert "for 1 minute, since" in fails(made)


def test_a_webhook_that_is_away_too_is_told_later(project: Project, webhook: Webhook) -> None:
    """The network is down: the tick fails once all the same, and the message follows."""
    made, clock = elsewhere(project, kafka_bootstrap_servers="127.0.0.1:1")
    webhook.answers = [500] * 6
    tick(made, SENSOR)
    clock.passes(minutes=5)
    said = fails(made)
    assert "answered 500; an outage of Kafka was not told of" in said
    assert "answered 500" in reason_of(tick(made, SENSOR))
    assert len(webhook.calls) == 6
    assert "answered 500" not in reason_of(tick(made, SENSOR))
    assert len(webhook.calls) == 7
    tick(made, SENSOR)
    assert len(webhook.calls) == 7
    webhook.answers = [500] * 3
    clock = Clock(project)
    clock.passes(minutes=6)
    assert "answered 500" in reason_of(tick(project, SENSOR))
    clock.passes(minutes=6)
    over = reason_of(tick(project, SENSOR))
    assert "after 6 minutes" in over
    assert tick(project, SENSOR).skip_message == "Kafka answers"
    assert webhook.calls[-1][1]["event"] == "ended"
    assert len(webhook.calls) == 11


def test_without_a_webhook_the_tick_fails_all_the_same(project: Project) -> None:
    made, clock = elsewhere(project, kafka_bootstrap_servers="127.0.0.1:1", failure_webhook=None)
    tick(made, SENSOR)
    clock.passes(minutes=5)
    fails(made)
    assert "out of reach for 5 minutes" in reason_of(tick(made, SENSOR))


# -- a silent topic --------------------------------------------------------------------------------------------------------


def evaluations(project: Project) -> list[tuple[bool, str]]:
    """What the Kafka sensor says of the check, and stores as the daemon does."""
    found = []
    for event in tick(project, "cdr_topic_sensor").asset_events:
        if isinstance(event, dg.AssetCheckEvaluation):
            project.instance.report_runless_asset_event(event)
            found.append((event.passed, event.description or ""))
    return found


def checked(project: Project) -> dg.AssetCheckEvaluation:
    """The check, as "Execute" of the UI makes it."""
    job = dg.define_asset_job("only_this", dg.AssetSelection.checks_for_assets("raw_cdrs"))
    definitions = dg.Definitions.merge(project.defs, dg.Definitions(jobs=[job]))
    done = definitions.resolve_job_def("only_this").execute_in_process(instance=project.instance, run_config=QUIET)
    [evaluation] = done.get_asset_check_evaluations()
    return evaluation


def test_a_silent_topic_is_a_warning_until_something_lands(project: Project) -> None:
    made, clock = elsewhere(project, silent_hours=6)
    assert [passed for passed, _ in evaluations(made)] == [True], "nothing was landed yet, and nothing is expected"
    made.produce([sms(local_today(), "a")])
    carry_out(made, tick(made, "cdr_topic_sensor"))
    clock.passes(hours=5.9)
    assert evaluations(made) == []
    assert checked(made).passed
    clock.passes(hours=1.2)
    [(passed, said)] = evaluations(made)
    assert not passed
    assert "no message has landed within 6 hours: the last one at " in said
    assert said.endswith(", 7 hours ago")
    asked = checked(made)
    assert (asked.passed, asked.severity) == (False, dg.AssetCheckSeverity.WARN)
    made.produce([sms(local_today(), "b")])
    carry_out(made, tick(made, "cdr_topic_sensor"))
    clock.ahead = dt.timedelta(0)
    assert [passed for passed, _ in evaluations(made)] == [True]


HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("passed", "before", "age", "news"),
    [
        (False, True, 0 * HOUR, True),
        (True, False, 0 * HOUR, True),
        (True, True, 99 * HOUR, False),
        (False, False, 0.99 * HOUR, False),
        (False, False, HOUR, True),
    ],
)
def test_silence_that_goes_on_is_told_anew_every_hour(
    passed: bool, before: bool, age: dt.timedelta, news: bool
) -> None:
    assert is_news(passed, before, age) is news


# By hand: six hours are six hours; one message a second later than that is silence.
@pytest.mark.parametrize(
    ("seconds", "passed"), [(0, True), (6 * 3600, True), (6 * 3600 + 1, False), (26 * 3600, False)]
)
def test_silence_is_longer_than_the_setting(seconds: int, passed: bool) -> None:
    at = dt.datetime(2026, 11, 29, 2, 0, tzinfo=dt.UTC)
    verdict = silence(at, 6, at + dt.timedelta(seconds=seconds))
    assert verdict.passed is passed
    if seconds == 26 * 3600:
        # 02:00 UTC is 03:00 in Casablanca.
        assert verdict.findings == ["the last one at 2026-11-29 03:00, 26 hours ago"]


def test_without_the_setting_there_is_no_such_check(project: Project) -> None:
    assert evaluations(project) == []
    names = [key.name for key in project.defs.resolve_asset_graph().asset_check_keys]
    assert names
    assert "topic_is_not_silent" not in names
