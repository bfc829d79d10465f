"""The Kafka sensor with a real broker: lag is landed, what landed is mediated, and nothing else is asked for."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import dagster as dg
import pytest
from confluent_kafka import TopicPartition

from resources.kafka import KafkaConnection, TopicState, Watermarks
from resources.stack_state import StackState
from telecom_assets.home.deployment import Deployment
from telecom_assets.lineage.failures import innermost_message
from telecom_assets.mediation.stale_days import NEW_ROWS, Stale, days_with_new_rows
from telecom_assets.model.calendar import local_today
from telecom_assets.model.run_tags import RUN_KEY_TAG
from telecom_assets.runs.abandoned_runs import PROCESS_TAG, sign_of_life
from telecom_assets.runs.sensors.plan import Request, Seen, requests
from telecom_assets.tables import TABLES
from telecom_assets_tests.dagster_versions import STORAGES
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import Project, day_tags, make_topic, open_project
from telecom_assets_tests.graph.ticks import Tick, reason_of, requests_of
from telecom_assets_tests.intake.test_landing import dying_settle, landing_module

RANGE = tuple(day_tags(""))


def sms(day: dt.date, record_id: str, **fields: object) -> bytes:
    """A sound message of a day, at noon."""
    record = {
        "record_ID": record_id,
        "record_type": "sms",
        "timestamp": f"{day}T12:00:00",
        "sender_id": "212600000001",
        "receiver_id": "212600000004",
    }
    return json.dumps({**record, **fields}).encode()


def tick(project: Project) -> Tick:
    """One evaluation of the sensor, as the daemon makes it."""
    repository = project.defs.get_repository_def()
    resources = project.deployment.resources()
    context = dg.build_sensor_context(project.instance, repository_def=repository, resources=resources)
    return repository.get_sensor_def("cdr_topic_sensor").evaluate_tick(context)


def asked(project: Project) -> list[tuple[str, str, str]]:
    """What a tick asks for: job, first day, last day; and asks for it by a key."""
    requests = requests_of(tick(project))
    assert all(request.run_key for request in requests)
    first, last = RANGE
    return [(str(request.job_name), request.tags.get(first, ""), request.tags.get(last, "")) for request in requests]


def mediation(first: dt.date, last: dt.date | None = None) -> tuple[str, str, str]:
    return ("mediation_job", f"{first}", f"{last or first}")


LANDING = ("landing_job", "", "")


def carry_out(project: Project) -> dict[str, str]:
    """Run what a tick asks for; returns the keys by job and first day."""
    keys = {}
    for request in requests_of(tick(project)):
        result = project.run(str(request.job_name), request.tags)
        assert result.success, [check for check in result.get_asset_check_evaluations() if not check.passed]
        keys[f"{request.job_name} {request.tags.get(RANGE[0], '')}".strip()] = str(request.run_key)
    return keys


@pytest.fixture
def storage() -> str:
    """Where the runs are kept."""
    return "memory"


@pytest.fixture
def project(new_project: Callable[..., Project], storage: str) -> Iterator[Project]:
    """A project of its own."""
    made = new_project(partitions=2)
    made.store_customers(customers())
    if storage != "memory":
        with STORAGES[storage]():
            yield open_project(made.settings)
        return
    with dg.DagsterInstance.ephemeral() as instance:
        made.instance = instance
        yield made


# -- the story -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["Dagster's storage"])
def test_from_the_topic_to_mediated_days(project: Project) -> None:
    today = local_today()
    yesterday, earlier, old = (today - dt.timedelta(days) for days in (1, 4, 40))
    assert project.run("reference_job").success

    assert tick(project).skip_message == "nothing new on the topic, every landed day is mediated"

    project.produce([sms(today, "a"), sms(yesterday, "b"), sms(earlier, "c"), sms(earlier, "d"), b"not a CDR", None])
    assert asked(project) == [LANDING]
    first_keys = carry_out(project)
    assert len(project.rows("raw_cdrs")) == 6

    # b"not a CDR" and the empty message are at home on the day of receipt
    assert asked(project) == [mediation(earlier), mediation(yesterday, today)]
    first_keys |= carry_out(project)
    assert {(row["record_id"], row["event_date"]) for row in project.rows("cleaned_cdrs")} == {
        ("a", today),
        ("b", yesterday),
        ("c", earlier),
        ("d", earlier),
    }
    assert len(project.rows("rejected_cdrs")) == 2

    assert asked(project) == []
    assert tick(project).skip_message == "nothing new on the topic, every landed day is mediated"

    before = {row["event_date"]: row for row in project.rows("mediated_days")}
    project.produce([sms(old, "late 1"), sms(old, "late 2")])
    assert asked(project) == [LANDING]
    late_keys = carry_out(project)
    assert asked(project) == [mediation(old)]
    late_keys |= carry_out(project)
    after = {row["event_date"]: row for row in project.rows("mediated_days")}
    assert {day for day in after if after[day] != before.get(day)} == {old}
    assert after[old]["raw_rows"] == 2
    assert asked(project) == []
    assert set(first_keys.values()).isdisjoint(late_keys.values())

    project.produce([sms(old, "later")])
    assert carry_out(project)["landing_job"] not in {*first_keys.values(), *late_keys.values()}
    assert asked(project) == [mediation(old)]
    assert carry_out(project)[f"mediation_job {old}"] != late_keys[f"mediation_job {old}"]
    assert {row["record_id"] for row in project.rows("cleaned_cdrs")} == {
        "a",
        "b",
        "c",
        "d",
        "late 1",
        "late 2",
        "later",
    }


def test_a_tick_that_is_played_again_asks_by_the_same_keys(project: Project) -> None:
    assert project.run("reference_job").success
    project.produce([sms(local_today(), "a"), sms(local_today() - dt.timedelta(9), "b")])
    landing = [request.run_key for request in requests_of(tick(project))]
    assert len(landing) == 1
    assert [request.run_key for request in requests_of(tick(project))] == landing
    carry_out(project)
    keys = [request.run_key for request in requests_of(tick(project))]
    assert len(keys) == len(set(keys)) == 2
    assert [request.run_key for request in requests_of(tick(project))] == keys


def test_one_landing_run_at_a_time(project: Project) -> None:
    """New messages while a landing run is at work are the next run's; mediation does not wait."""
    assert project.run("reference_job").success
    project.produce([sms(local_today(), "a")])
    carry_out(project)
    project.produce([sms(local_today(), "b")])
    run = project.instance.create_run_for_job(
        project.defs.resolve_job_def("landing_job"), status=dg.DagsterRunStatus.STARTED
    )
    assert asked(project) == [mediation(local_today())]
    project.instance.report_run_canceled(run)
    assert asked(project) == [LANDING, mediation(local_today())]


def test_rows_that_the_ledger_does_not_know_are_recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A landing run died between the rows and the ledger: there is no lag, and still something to do."""
    project.produce([sms(local_today(), "a"), sms(local_today(), "b"), sms(local_today(), "c")])
    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "settle", dying_settle(1))
        assert not project.run("landing_job").success
    assert len(project.rows("raw_cdrs")) == 3
    assert not project.check("landing")["landed_equals_consumed"].passed
    assert LANDING in asked(project)
    assert project.run("landing_job").success
    assert LANDING not in asked(project)
    assert project.check("landing")["landed_equals_consumed"].passed
    assert len(project.rows("raw_cdrs")) == 3


def test_a_partition_that_was_empty_is_landed_later(project: Project) -> None:
    """Nothing on partition 1 at first, then on both, then only there."""
    for values, rows in (([b"1"], 1), ([b"2", b"3"], 3), ([b"4", b"5", b"6"], 6)):
        project.produce(values)
        result = project.run("landing_job")
        assert result.success, [check.description for check in result.get_asset_check_evaluations()]
        assert len(project.rows("raw_cdrs")) == rows


class SlowPartition(Deployment):
    """A broker whose partition 0 is not seen yet by the first look: watermarks are not read in one moment."""

    def kafka(self) -> KafkaConnection:
        connection = super().kafka()
        seen = connection.topic_state

        def topic_state() -> TopicState:
            state = seen()
            return replace(state, partitions={**state.partitions, 0: Watermarks(0, 0)})

        connection.topic_state = topic_state  # type: ignore[method-assign]
        return connection


def test_a_day_whose_copy_came_too_early_is_mediated_again(project: Project) -> None:
    """The earliest copy is cleaned, though it was landed after a later one that is cleaned already, on another day."""
    today, before = local_today(), local_today() - dt.timedelta(3)
    assert project.run("reference_job").success
    hasty = Project(project.settings, project.instance)
    hasty.__dict__["deployment"] = SlowPartition(project.settings, TABLES)
    project.produce([sms(before, "twice")])  # partition 0, first
    project.produce([b"", sms(today, "twice")])  # partition 1, later
    keys = carry_out(hasty) | carry_out(hasty)
    assert [(row["record_id"], row["event_date"]) for row in project.rows("cleaned_cdrs")] == [("twice", today)]

    keys |= carry_out(project)
    requests = {request.tags[RANGE[0]]: request.run_key for request in requests_of(tick(project))}
    assert set(requests) == {f"{before}", f"{today}"}
    # Dagster drops a request whose key it has seen.
    assert requests[f"{today}"] != keys[f"mediation_job {today}"]
    carry_out(project)
    assert [(row["record_id"], row["event_date"]) for row in project.rows("cleaned_cdrs")] == [("twice", before)]
    assert [row["reason"] for row in project.rows("rejected_cdrs") if row["record_id"] == "twice"] == [
        "duplicate_conflict"  # a copy of another day has another timestamp
    ]
    assert asked(project) == []


# -- when the broker does not answer ---------------------------------------------------------------------------------------


def test_a_broker_that_is_down_is_a_reason_and_no_error(project: Project) -> None:
    project.produce([sms(local_today(), "a")])
    carry_out(project)
    down = open_project(
        project.settings.replaced(kafka_bootstrap_servers="127.0.0.1:1", kafka_timeout_seconds=1.0), project.instance
    )
    assert asked(down) == [mediation(local_today())], "what is landed is mediated without the broker"
    assert project.run("reference_job").success
    carry_out(down)
    skipped = tick(down)
    assert skipped.run_requests == []
    assert "Kafka at 127.0.0.1:1 cannot be used" in reason_of(skipped)
    assert "TELECOM_KAFKA_BOOTSTRAP_SERVERS" in reason_of(skipped)


def test_no_broker_at_all_is_a_reason(project: Project) -> None:
    nowhere = open_project(project.settings.replaced(kafka_bootstrap_servers=None), project.instance)
    assert "set TELECOM_KAFKA_BOOTSTRAP_SERVERS" in reason_of(tick(nowhere))


def test_a_topic_that_is_not_there_is_a_reason(project: Project) -> None:
    missing = open_project(project.settings.replaced(kafka_topic="no-such-topic"), project.instance)
    message = reason_of(tick(missing))
    assert "'no-such-topic' does not exist" in message
    assert "TELECOM_KAFKA_TOPIC" in message


def test_another_topic_is_never_landed_into_the_same_tables(project: Project, stack: StackState) -> None:
    project.produce([sms(local_today(), "a")])
    carry_out(project)
    other = make_topic(stack)
    moved = open_project(project.settings.replaced(kafka_topic=other.topic), project.instance)
    moved.produce([sms(local_today(), "b")])
    assert asked(moved) == [LANDING, mediation(local_today())]
    assert not moved.run("landing_job").success
    assert len(project.rows("raw_cdrs")) == 1


# -- when landing must stop ------------------------------------------------------------------------------------------------


def retention_takes(project: Project, before: int) -> None:
    """What retention does to partition 0, at once."""
    kafka = project.deployment.kafka()
    admin = kafka.admin()
    [deleted] = admin.delete_records([TopicPartition(kafka.topic, 0, before)]).values()
    assert deleted.result(30).low_watermark == before


@pytest.fixture
def losing(project: Project) -> Project:
    """A project that has landed one message a partition and mediated them; retention took the next one of partition 0."""
    assert project.run("reference_job").success
    project.produce([sms(local_today(), "0-0"), sms(local_today(), "1-0")])
    carry_out(project)
    carry_out(project)
    project.produce([sms(local_today(), f"{partition}-{offset}") for offset in (1, 2, 3) for partition in (0, 1)])
    retention_takes(project, 2)
    return project


LOST = "partition 0: offsets 1 to {} were deleted before they were landed"


def test_what_landing_must_not_pass_over_is_a_run_that_fails(losing: Project) -> None:
    """Once: the run says it, and its failure is reported; the sensor goes on to say why it waits."""
    [request] = requests_of(tick(losing))
    assert request.job_name == "landing_job"
    assert "dagster/max_retries" not in request.tags, "nothing becomes better by itself"
    assert [again.run_key for again in requests_of(tick(losing))] == [request.run_key]
    failed = losing.run(str(request.job_name), {**request.tags, RUN_KEY_TAG: str(request.run_key)})
    assert LOST.format(1) in innermost_message(*failed.get_step_failure_events())

    waiting = tick(losing)
    assert waiting.run_requests == []
    assert LOST.format(1) in reason_of(waiting)

    retention_takes(losing, 3)
    [other] = requests_of(tick(losing))
    assert other.run_key != request.run_key, "more is lost: that is news"


def test_a_refusal_waits_for_a_landing_run(losing: Project) -> None:
    run = losing.instance.create_run_for_job(
        losing.defs.resolve_job_def("landing_job"), status=dg.DagsterRunStatus.STARTED
    )
    waiting = tick(losing)
    assert waiting.run_requests == []
    assert LOST.format(1) in reason_of(waiting)
    losing.instance.report_run_canceled(run)
    assert asked(losing) == [LANDING]


def test_a_landing_that_was_killed_is_not_waited_for(losing: Project) -> None:
    life = sign_of_life(losing.settings.dagster_home)
    job = losing.defs.resolve_job_def("landing_job")
    run = losing.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: life.name})
    assert asked(losing) == []
    life.end()
    assert asked(losing) == [LANDING]
    killed = losing.instance.get_run_by_id(run.run_id)
    assert killed is not None and killed.status is dg.DagsterRunStatus.FAILURE


def test_why_nothing_is_landed_is_logged_beside_what_is_mediated(
    losing: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    losing.delete("mediated_days", "true")
    capfd.readouterr()
    assert asked(losing) == [LANDING, mediation(local_today())]
    assert LOST.format(1) in capfd.readouterr().err


# -- planning: pure ----------------------------------------------------------------------------------------------------------


def state(**latest: int) -> TopicState:
    """A topic whose partition pN ends at an offset and begins at 0."""
    return TopicState("id", {int(name[1:]): Watermarks(0, end) for name, end in latest.items()}, True)


def landing_request(here: TopicState, ends: dict[int, int], *, unrecorded: bool = False) -> Request | None:
    """What is asked for when no day is stale."""
    found = requests(Seen(here, ends, unrecorded), {}, {})
    return found[0] if found else None


def test_no_lag_asks_for_no_landing() -> None:
    assert landing_request(state(p0=5, p1=0), {0: 5}) is None
    assert landing_request(state(), {}) is None


@pytest.mark.parametrize(("latest", "ends"), [({"p0": 5}, {}), ({"p0": 5}, {0: 4}), ({"p0": 5, "p1": 1}, {0: 5})])
def test_lag_asks_for_one_landing(latest: dict[str, int], ends: dict[int, int]) -> None:
    request = landing_request(state(**latest), ends)
    assert request is not None
    assert (request.step.job, request.step.tags) == ("landing_job", {})


def test_unrecorded_rows_ask_for_a_landing_without_lag() -> None:
    assert landing_request(state(p0=5), {0: 5}, unrecorded=True) is not None


def test_landing_keys_tell_offset_ranges_apart() -> None:
    ranges: list[tuple[TopicState, dict[int, int]]] = [
        (state(p0=5), {}),
        (state(p0=6), {}),
        (state(p0=6), {0: 5}),
        (state(p0=6, p1=5), {0: 5}),
        (state(p0=6, p1=5), {0: 6}),
        (replace(state(p0=5), topic_id="another"), {}),
    ]

    def key(here: TopicState, ends: dict[int, int]) -> str:
        request = landing_request(here, ends)
        assert request is not None
        return request.run_key

    keys = [key(here, ends) for here, ends in ranges]
    assert len(set(keys)) == len(keys)
    assert keys == [key(here, ends) for here, ends in ranges]


DAYS = [dt.date(2025, 2, 27) + dt.timedelta(number) for number in range(6)]


def test_days_with_new_rows_are_those_with_other_rows() -> None:
    landed = {DAYS[0]: 3, DAYS[1]: 4, DAYS[2]: 5}
    assert days_with_new_rows(landed, {}) == {DAYS[0], DAYS[1], DAYS[2]}
    assert days_with_new_rows(landed, landed) == set()
    assert days_with_new_rows(landed, {**landed, DAYS[1]: 3}) == {DAYS[1]}
    assert days_with_new_rows(landed, {**landed, DAYS[3]: 0}) == set(), "a day without records, mediated, stays so"
    assert days_with_new_rows({}, {}) == set()


def mediation_requests(days: set[dt.date], rows: dict[dt.date, int], version: int = 0) -> list[Request]:
    """What is asked for when some days are stale and nobody can look at the topic."""
    return requests(None, dict.fromkeys(days, Stale(NEW_ROWS, version)), rows)


def test_contiguous_days_are_one_request() -> None:
    rows = dict.fromkeys(DAYS, 1)
    found = mediation_requests({DAYS[0], DAYS[1], DAYS[2], DAYS[4]}, rows)
    assert [(request.step.job, *(request.step.tags[name] for name in RANGE)) for request in found] == [
        ("mediation_job", "2025-02-27", "2025-03-01"),
        ("mediation_job", "2025-03-03", "2025-03-03"),
    ]
    assert mediation_requests(set(), rows) == []


def test_mediation_keys_tell_what_was_seen() -> None:
    few, more = ({DAYS[0]: 1, DAYS[1]: count, DAYS[2]: 9} for count in (1, 2))
    keys = [request.run_key for rows in (few, more) for request in mediation_requests(set(DAYS[:2]), rows)]
    assert len(set(keys)) == 2
    again = [request.run_key for request in mediation_requests(set(DAYS[:2]), {**few, DAYS[2]: 10})]
    assert again == keys[:1], "rows of other days do not change the key"
    [other] = mediation_requests(set(DAYS[:2]), few, version=7)
    assert other.run_key not in keys, "stale for another reason: the same rows, a later version"
