"""A failed run reaches people: one JSON document at the webhook, tried again when it answers badly."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.runs.sensors import failures
from telecom_assets.runs.sensors import webhook as webhooks
from telecom_assets_tests.graph.project import QUIET, Project
from telecom_assets_tests.graph.test_checks import doubled
from telecom_assets_tests.graph.webhook import Webhook


def failed_run(
    instance: dg.DagsterInstance, defs: dg.Definitions, tags: dict[str, str] | None = None
) -> dg.RunFailureSensorContext:
    """A run that really fails: no Kafka is configured. Returns the sensor's context of it."""
    job = defs.resolve_job_def("landing_job")
    result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET, tags=tags)
    assert not result.success
    return dg.build_run_status_sensor_context(
        sensor_name="run_failure_webhook",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
    ).for_run_failure()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tell(
    url: str | None, instance: dg.DagsterInstance, tmp_path: Path, tags: dict[str, str] | None = None
) -> tuple[dg.RunFailureSensorContext, object]:
    """What the sensor answers for a failed run, and the run."""
    defs = build_defs(Settings.load(home=tmp_path, failure_webhook=url))
    context = failed_run(instance, defs, tags)
    return context, defs.get_repository_def().get_sensor_def("run_failure_webhook")(context)


def test_a_failed_run_is_told_once(webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    context, answer = tell(webhook.url, instance, tmp_path)
    assert answer is None
    assert len(webhook.calls) == 1
    content_type, message = webhook.calls[0]
    assert content_type == "application/json"
    assert message["job"] == "landing_job"
    assert message["run_id"] == context.dagster_run.run_id
    assert message["partition"] == ""
    assert "landing" in str(message["error"])


def test_the_message_says_why(webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Whoever reads it at night must not have to open the UI to know that Kafka is not there."""
    tell(webhook.url, instance, tmp_path)
    assert "no Kafka: set TELECOM_KAFKA_BOOTSTRAP_SERVERS" in str(webhook.calls[0][1])


@pytest.mark.thorough
def test_the_message_holds_no_secret(webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    defs = build_defs(
        Settings.load(
            home=tmp_path,
            failure_webhook=webhook.url,
            kafka_bootstrap_servers="127.0.0.1:1",
            kafka_timeout_seconds=0.5,
            kafka_options={"sasl.password": "hunter2", "sasl.username": "x"},
            postgres_dsn="postgresql://u:hunter2@127.0.0.1:1/x",
        )
    )
    defs.get_repository_def().get_sensor_def("run_failure_webhook")(failed_run(instance, defs))
    assert len(webhook.calls) == 1
    assert "hunter2" not in json.dumps(webhook.calls)


@pytest.mark.parametrize(
    ("tags", "partition"),
    [
        ({"dagster/partition": "2025-06"}, "2025-06"),
        (
            {
                "dagster/asset_partition_range_start": "2025-06-01",
                "dagster/asset_partition_range_end": "2025-06-30",
            },
            "2025-06-01...2025-06-30",
        ),
    ],
)
def test_the_partitions_are_told(
    webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path, tags: dict[str, str], partition: str
) -> None:
    context, _ = tell(webhook.url, instance, tmp_path)
    run = context.dagster_run.with_tags(tags)
    message = failures.failure_message(
        dg.build_run_status_sensor_context(
            "run_failure_webhook", context.failure_event, instance, run
        ).for_run_failure()
    )
    assert message["partition"] == partition


def test_a_server_error_is_tried_again(webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    webhook.answers = [500, 503]
    tell(webhook.url, instance, tmp_path)
    assert len(webhook.calls) == 3
    assert webhook.calls[0] == webhook.calls[1] == webhook.calls[2]


def test_an_address_that_never_answers_well_is_an_error_of_the_sensor(
    webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    webhook.answers = [500] * 10
    with pytest.raises(webhooks.WebhookError, match="TELECOM_FAILURE_WEBHOOK answered 500"):
        tell(webhook.url, instance, tmp_path)
    assert 2 <= len(webhook.calls) < 10


def test_without_an_address_nothing_is_sent(webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    _, answer = tell(None, instance, tmp_path)
    assert isinstance(answer, dg.SkipReason)
    assert "TELECOM_FAILURE_WEBHOOK is not set" in str(answer.skip_message)
    assert webhook.calls == []


def test_a_failed_blocking_check_is_told_too(webhook: Webhook, damaged: Project) -> None:
    """Books that do not balance are a failed run, and so reach people."""
    doubled("raw_cdrs")(damaged)
    result = damaged.run("landing_job")
    assert not result.success
    context = dg.build_run_status_sensor_context(
        "run_failure_webhook",
        result.get_run_failure_event(),
        damaged.instance,
        result.dagster_run,
    ).for_run_failure()
    failures.failure_sensor(webhook.url)(context)
    (message,) = [message for _, message in webhook.calls]
    assert message["job"] == "landing_job"
    assert "landed_equals_consumed" in str(message["error"])


# -- a run that is made again --------------------------------------------------------------------------------------------


def another_try(before: dg.RunFailureSensorContext, number: int) -> dict[str, str]:
    """Tags of a run that was made again after one that failed."""
    return {"telecom_assets/try": f"{number}", ".dagster/telecom_tried_before": before.dagster_run.run_id}


@pytest.mark.thorough
def test_a_try_that_fails_of_the_same_is_not_told_again(
    webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """In a night there may be dozens."""
    before, _ = tell(webhook.url, instance, tmp_path)
    for number in (2, 3):
        before, answer = tell(webhook.url, instance, tmp_path, another_try(before, number))
        assert isinstance(answer, dg.SkipReason)
        assert answer.skip_message == f"try {number} failed of the same as the one before, which was told"
    assert len(webhook.calls) == 1


@pytest.mark.thorough
def test_a_try_that_fails_of_something_else_is_told(
    webhook: Webhook, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """No broker was known; now one is, and does not answer."""
    before, _ = tell(webhook.url, instance, tmp_path)
    defs = build_defs(
        Settings.load(
            home=tmp_path,
            failure_webhook=webhook.url,
            kafka_bootstrap_servers="127.0.0.1:1",
            kafka_timeout_seconds=0.5,
        )
    )
    context = failed_run(instance, defs, another_try(before, 2))
    assert defs.get_repository_def().get_sensor_def("run_failure_webhook")(context) is None
    assert ["no Kafka" in str(message["error"]) for _, message in webhook.calls] == [True, False]
    assert "nothing listens there" in str(webhook.calls[1][1]["error"])
