"""A topic that changes under a landing: what lands under the old identity, what is refused, and how work goes on.

Belongs here: a topic made again in the middle, messages that leave a range while it is read, decisions that let landing go
on, with a real broker. Does not belong here: `telecom sources` as it is typed (`intake/test_cli_sources`).
"""

import json
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from tenacity import Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from resources.kafka import KafkaConnection, KafkaUnavailable
from resources.warehouse import Warehouse
from telecom_assets.intake.decisions import accept_source, open_month, skip_positions
from telecom_assets.intake.journal import read_state
from telecom_assets.intake.plan import LandingError
from telecom_assets.intake.tables import LANDING_DECISIONS
from telecom_assets_tests.graph.conftest import (
    customers,
    new_project,  # noqa: F401  (a fixture)
)
from telecom_assets_tests.graph.project import MONTH, Project, cdr, day_tags
from telecom_assets_tests.intake.test_landing import (
    assert_sound,
    delete_records,
    landing,
    landing_module,
    ledger_of,
    produced,
    rows_of,
    transactions,
    values_of,
)

Step = Callable[[pytest.MonkeyPatch, Callable[[], object]], None]


def made_again(kafka: KafkaConnection, *values: bytes) -> str:
    """Delete the topic and make it anew under its name, with other messages on partition 0; its new identity."""
    admin, name = kafka.admin(), kafka.topic
    old = kafka.topic_id()
    admin.delete_topics([name], operation_timeout=30)[name].result(30)
    topic = NewTopic(name, num_partitions=2, replication_factor=1, config={"message.timestamp.type": "LogAppendTime"})
    admin.create_topics([topic], operation_timeout=30)[name].result(30)
    known = Retrying(retry=retry_if_exception_type(KafkaUnavailable), stop=stop_after_delay(30), wait=wait_fixed(0.05))
    state = known(kafka.topic_state)
    assert state.topic_id != old
    produced(kafka, *values)
    return state.topic_id


# ------------------------------------------------------------------------------------ made again in the middle of a landing


def after_the_first_chunk(patch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Between two chunks: the first is committed."""
    settle = landing_module._settle
    settled: list[bool] = []

    def changing(warehouse: Warehouse, landed: Any, report: Any) -> None:
        settle(warehouse, landed, report)
        if rows_of(warehouse) and not settled:
            settled.append(True)
            change()

    patch.setattr(landing_module, "_settle", changing)


def around(step: str, *, before: bool) -> Step:
    """In the first chunk, before or after one of its steps."""

    def install(patch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
        original = getattr(landing_module, step)

        def changing(*arguments: Any) -> Any:
            patch.setattr(landing_module, step, original)
            if before:
                change()
            result = original(*arguments)
            if not before:
                change()
            return result

        patch.setattr(landing_module, step, changing)

    return install


@pytest.mark.parametrize("new", [3, 12], ids=["fewer messages", "more messages"])
@pytest.mark.parametrize(
    ("step", "landed"),
    [
        (after_the_first_chunk, 5),
        (around("_staged", before=True), 0),
        (around("_staged", before=False), 0),
        (around("_verify", before=False), 0),
        (around("_displaced_days", before=False), 0),
    ],
    ids=["between two chunks", "before it is read", "after it was read", "after it was counted", "before the commit"],
)
def test_nothing_of_a_topic_made_again_lands_under_the_old_identity(
    plain: Warehouse, kafka: KafkaConnection, step: Step, landed: int, new: int
) -> None:
    """Ten messages in two chunks; then a topic of the same name, with as many messages or fewer than the chunk ends at."""
    produced(kafka, *(b"old %d" % number for number in range(10)))
    kafka.timeout_seconds = 2.0  # for messages that will not come
    old_id, fresh = kafka.topic_state().topic_id, [b"new %d" % number for number in range(new)]
    with pytest.MonkeyPatch.context() as patch:
        step(patch, lambda: made_again(kafka, *fresh))
        with pytest.raises(LandingError, match="was deleted and made again while it was read"):
            landing(plain, kafka, chunk_rows=5)
    new_id = kafka.topic_state().topic_id
    assert values_of(plain) == ({0: [(number, b"old %d" % number) for number in range(landed)]} if landed else {})
    assert {row["source_id"] for row in rows_of(plain)} <= {old_id}

    with pytest.raises(
        LandingError, match=rf"\(id {re.escape(new_id)}, expected {re.escape(old_id)}\).*sources accept --by"
    ):
        landing(plain, kafka)
    accept_source(plain, kafka, by="A", why="made again")
    assert landing(plain, kafka).records == new
    found = {(row["source_id"], row["source_position"]): row["value"] for row in rows_of(plain)}
    assert found == {(old_id, number): b"old %d" % number for number in range(landed)} | {
        (new_id, number): value for number, value in enumerate(fresh)
    }
    assert len(rows_of(plain)) == landed + new
    assert_sound(plain)


# ------------------------------------------------------------------------- messages that leave a range while it is read


@pytest.mark.parametrize("deleted", [1, 2, 4, 6])
def test_messages_that_leave_a_range_between_read_and_recount_have_landed(
    plain: Warehouse, kafka: KafkaConnection, deleted: int
) -> None:
    """Offsets 0 1 [mark 2] 3 4 [mark 5] are recounted, since the marks of transactions are no messages."""
    transactions(kafka, 2)
    with pytest.MonkeyPatch.context() as patch:
        around("_staged", before=False)(patch, lambda: delete_records(kafka, deleted))
        assert landing(plain, kafka).records == 4
    assert [offset for offset, _ in values_of(plain)[0]] == [0, 1, 3, 4]
    assert ledger_of(plain) == [(0, 0, 6, 4)]
    produced(kafka, b"later")
    assert landing(plain, kafka).records == 1
    assert [offset for offset, _ in values_of(plain)[0]] == [0, 1, 3, 4, 6]
    assert_sound(plain)


def test_a_message_that_the_topics_compaction_takes_between_read_and_recount_has_landed(
    plain: Warehouse, new_kafka_topic: Callable[..., KafkaConnection]
) -> None:
    """Of a key's messages the broker keeps the newest: the older ones leave the inside of the range."""
    kafka = new_kafka_topic(partitions=1, config={"min.cleanable.dirty.ratio": "0.001", "segment.ms": "1"})
    for value in (b"0", b"1", b"2"):
        produced(kafka, value, key=b"one")
        produced(kafka, value, key=b"other " + value)
    # An aborted record and its mark: the range is recounted.
    producer = kafka.producer(**{"transactional.id": kafka.topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(kafka.topic, b"aborted", key=b"aborted", partition=0)
    producer.flush(30)
    producer.abort_transaction(30)
    left: list[set[int]] = []

    def compact() -> None:
        """From now on, until the cleaner has been there: it looks every 15 s."""
        policy = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
        topic, admin = ConfigResource("topic", kafka.topic, incremental_configs=[policy]), kafka.admin()
        admin.incremental_alter_configs([topic])[topic].result(timeout=30)
        end = kafka.topic_state().partitions[0].latest
        whole = landing_module.OffsetRange(0, 0, end)
        cleaned = Retrying(
            retry=retry_if_result(lambda found: 0 in found), stop=stop_after_delay(120), wait=wait_fixed(0.5)
        )
        left.append(cleaned(kafka.positions, whole))

    read = dict(enumerate([b"0", b"0", b"1", b"1", b"2", b"2"]))
    with pytest.MonkeyPatch.context() as patch:
        around("_staged", before=False)(patch, compact)
        assert landing(plain, kafka).records == 6
    assert left[0] < set(read), "the cleaner has taken messages from inside"
    assert dict(values_of(plain)[0]) == read
    produced(kafka, b"later", key=b"later")
    assert landing(plain, kafka).records == 1
    assert_sound(plain)


# ---------------------------------------------------------------------------------------------------- landing goes on


def decided(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Rows of landing_decisions without their moment, in order."""
    rows = warehouse.pin(LANDING_DECISIONS.name).arrow().to_pylist()
    return sorted(({**row, "decided_at": None} for row in rows), key=lambda row: row["raw_version"])


def test_what_retention_took_is_refused_and_after_a_decision_landing_goes_on(
    plain: Warehouse, kafka: KafkaConnection
) -> None:
    produced(kafka, *(b"%d" % number for number in range(3)))
    landing(plain, kafka)
    produced(kafka, *(b"%d" % number for number in range(3, 8)))
    delete_records(kafka, 6)
    with pytest.raises(
        LandingError, match="offsets 3 to 5 .*telecom sources skip --partition 0 --to 6 --by NAME --why"
    ):
        landing(plain, kafka)
    skip_positions(plain, kafka, partition=0, to=6, by="A. Analyst", why="retention of 2 h")
    assert landing(plain, kafka).records == 2
    assert [offset for offset, _ in values_of(plain)[0]] == [0, 1, 2, 6, 7]
    # The gap is a range of the ledger that holds nothing.
    assert ledger_of(plain) == [(0, 0, 3, 3), (0, 3, 6, 0), (0, 6, 8, 2)]
    [row] = decided(plain)
    assert row == {
        **dict.fromkeys(row),
        "raw_version": row["raw_version"],
        "kind": "positions_skipped",
        "source_id": kafka.topic_id(),
        "source_part": 0,
        "from_position": 3,
        "to_position": 6,
        "detail": "at most 3 records lost",
        "decided_by": "A. Analyst",
        "why": "retention of 2 h",
    }
    assert_sound(plain)


def test_a_skip_that_is_given_twice_is_one(plain: Warehouse, kafka: KafkaConnection) -> None:
    """The second finds nothing missing; offsets that the topic still has are never given up."""
    produced(kafka, b"0")
    landing(plain, kafka)
    produced(kafka, b"1", b"2", b"3")
    delete_records(kafka, 3)
    for to in (4, 1, 0):
        with pytest.raises(LandingError, match="expected a number from 2 to 3"):
            skip_positions(plain, kafka, partition=0, to=to, by="A", why="B")
    skip_positions(plain, kafka, partition=0, to=2, by="A", why="B")
    with pytest.raises(LandingError, match="offsets 2 to 2 were deleted"):
        landing(plain, kafka)
    skip_positions(plain, kafka, partition=0, to=3, by="A", why="B")
    with pytest.raises(LandingError, match="nothing is missing"):
        skip_positions(plain, kafka, partition=0, to=3, by="A", why="B")
    assert landing(plain, kafka).records == 1
    assert [(row["from_position"], row["to_position"]) for row in decided(plain)] == [(1, 2), (2, 3)]
    assert_sound(plain)


@pytest.mark.parametrize("decision", ["accept", "skip", "open"])
def test_a_landing_that_meets_a_decision_begins_anew(plain: Warehouse, kafka: KafkaConnection, decision: str) -> None:
    """Its files are written, and it stands before its commit, when somebody decides: it reads the topic again."""
    produced(kafka, *(b"%d" % number for number in range(4)))
    landing(plain, kafka)
    produced(kafka, *(b"%d" % number for number in range(4, 8)))
    old, lines = kafka.topic_id(), list[str]()

    def decide() -> None:
        if decision == "open":
            open_month(plain, "2015-05", calendar_start=date(2010, 1, 1), dedupe_days=31)
        elif decision == "skip":
            delete_records(kafka, 6)
            skip_positions(plain, kafka, partition=0, to=6, by="A", why="B")
        else:
            made_again(kafka, b"new")
            accept_source(plain, kafka, by="A", why="B")

    with pytest.MonkeyPatch.context() as patch:
        around("_same_topic", before=False)(patch, decide)
        landed = landing(plain, kafka, report=lines.append)
    assert lines[0] == "another process has written raw_cdrs; what is left on the topic is looked at anew"
    found = [(row["source_id"] == old, row["source_position"]) for row in rows_of(plain)]
    expected = {
        "open": [(True, offset) for offset in range(8)],
        "skip": [(True, offset) for offset in (0, 1, 2, 3, 6, 7)],
        "accept": [(True, offset) for offset in range(4)] + [(False, 0)],
    }
    assert sorted(found) == sorted(expected[decision])
    assert landed.records == len(found) - 4
    assert_sound(plain)


def test_copies_across_two_sources_are_found_by_record_id(new_project: Callable[..., Project]) -> None:  # noqa: F811
    """The topic is made again and its archive replayed into it: what had landed comes a second time, and is a copy."""
    project = new_project(partitions=2)
    kafka = project.deployment.kafka()
    project.store_customers(customers())
    project.open_month()
    call = {"caller_id": "212600000001", "callee_id": "33612345678", "duration_sec": 61}
    first, second, third = (cdr("voice", day, f"call {day}", **call) for day in (3, 4, 5))
    other = cdr("voice", 3, "call 4", **{**call, "duration_sec": 99})  # another call under an identity that is taken
    project.produce([first, second])
    assert project.run("reference_job").success
    assert project.run("landing_job").success
    old = kafka.topic_id()
    new = made_again(kafka)
    project.produce([first, second, third, other])
    refused = project.run("landing_job")
    assert "telecom sources accept --by NAME --why REASON" in str(
        refused.get_step_failure_events()[0].step_failure_data
    )
    accept_source(project.warehouse, kafka, by="A. Analyst", why="moved to another cluster")
    assert project.run("landing_job").success
    assert project.run("mediation_job", day_tags(f"{MONTH}-01", f"{MONTH}-30")).success

    cleaned = {(row["record_id"], row["source_id"]) for row in project.rows("cleaned_cdrs")}
    assert cleaned == {("call 3", old), ("call 4", old), ("call 5", new)}
    rejected = {(row["record_id"], row["source_id"], row["reason"]) for row in project.rows("rejected_cdrs")}
    assert rejected == {
        ("call 3", new, "duplicate"),
        ("call 4", new, "duplicate"),
        ("call 4", new, "duplicate_conflict"),
    }
    assert read_state(project.warehouse).source_id == new
    accepted = [row for row in decided(project.warehouse) if row["kind"] == "source_accepted"]
    assert [(row["source_id"], row["decided_by"], row["why"]) for row in accepted] == [
        (new, "A. Analyst", "moved to another cluster")
    ]
    assert json.dumps(accepted[0]["detail"]).startswith(f'"closes {kafka.topic} ({old}): partition 0 up to offset 1')
    assert_sound(project.warehouse)
