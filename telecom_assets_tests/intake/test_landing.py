"""Landing from a real broker: what is on the topic, in the table, exactly once, whatever happens between.

Belongs here: the order of landing's steps, its crashes, what it reports. Does not belong here: what a message's fields
are (`intake/test_admission`), reading a range (`resources/test_kafka_source`).
"""

import importlib
import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, TopicPartition, Uuid
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, ResourceType
from deltalake import DeltaTable
from pyspark.sql import functions as F
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from resources.kafka import KafkaConnection, KafkaUnavailable, TopicState, Watermarks
from resources.kafka_producer import MessageProducer
from resources.warehouse import Warehouse
from telecom_assets.intake.decisions import open_month
from telecom_assets.intake.identities import landed_equals_consumed
from telecom_assets.intake.journal import Entry, read_state
from telecom_assets.intake.landing import Landed, LandingSettings, land
from telecom_assets.intake.plan import LandingError
from telecom_assets.intake.tables import DISPLACED_DAYS, LANDING_RANGES, RAW_CDRS
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.mediation.tables import MEDIATED_DAYS
from telecom_assets_tests.oracle import CASABLANCA, Message, Parameters, Row
from telecom_assets_tests.stages.chain import assert_rows, raw_row

#: `telecom_assets.intake.landing.land` is the function; this is its module.
landing_module = importlib.import_module("telecom_assets.intake.landing")
RAW, LEDGER = RAW_CDRS.name, LANDING_RANGES.name


class Crash(Exception):
    """Stands for a process that dies at a named step."""


def crash(*_: Any, **__: Any) -> None:
    raise Crash


def landing(warehouse: Warehouse, kafka: KafkaConnection, **changed: Any) -> Landed:
    """Land with the default settings, some changed."""
    report = changed.pop("report", lambda line: None)
    given: dict[str, Any] = {
        "run_id": "run",
        "max_age_days": 62,
        "dedupe_days": 31,
        "calendar_start": date(2010, 1, 1),
        "chunk_rows": 1_000_000,
        **changed,
    }
    return land(warehouse, kafka, LandingSettings(**given), report)


def produced(kafka: KafkaConnection, *values: bytes | None, partition: int = 0, **options: Any) -> None:
    producer = kafka.producer(**{"message.max.bytes": 2_000_000})
    for value in values:
        producer.produce(kafka.topic, value, partition=partition, **options)
    assert producer.flush(30) == 0


def rows_of(warehouse: Warehouse) -> list[Row]:
    return sorted(warehouse.pin(RAW).arrow().to_pylist(), key=lambda row: (row["source_part"], row["source_position"]))


def values_of(warehouse: Warehouse) -> dict[int, list[tuple[int, bytes | None]]]:
    """Offsets and bytes by partition, in order."""
    found: dict[int, list[tuple[int, bytes | None]]] = {}
    for row in rows_of(warehouse):
        found.setdefault(row["source_part"], []).append((row["source_position"], row["value"]))
    return found


def ledger_of(warehouse: Warehouse) -> list[tuple[int, int, int, int]]:
    """(partition, from, to, records) of every range, in order; what only says that a partition is watched is left out."""
    rows = warehouse.pin(LEDGER).arrow().to_pylist()
    ranges = sorted((row["source_part"], row["from_position"], row["to_position"], row["records"]) for row in rows)
    return [(partition, start, end, records) for partition, start, end, records in ranges if start < end]


def assert_sound(warehouse: Warehouse) -> None:
    verdict = landed_equals_consumed(warehouse)
    assert verdict.passed, verdict.summary


def today() -> date:
    return datetime.now(CASABLANCA).date()


def cdr(record_id: str, day: date | str) -> bytes:
    """A call at noon of a day."""
    fields = {"record_ID": record_id, "record_type": "voice", "timestamp": f"{day}T12:00:00"}
    return json.dumps({**fields, "caller_id": "212600000001", "duration_sec": 60}).encode()


# ------------------------------------------------------------------------------------------------ exactly what is there


def test_every_message_lands_as_it_is_and_once(warehouse: Warehouse, kafka: KafkaConnection) -> None:
    """On both engines. Anything at all, in two partitions; then nothing; then what is new."""
    anything = [
        None,
        b"",
        b"\xff\x00\xfe",
        b"not JSON",
        b"{}",
        b"x" * 1_000_000,
        cdr("a", today()),
        cdr("b", "2015-05-05"),
    ]
    produced(kafka, *anything)
    produced(kafka, b"other", None, partition=1)
    earliest = datetime.now(UTC) - timedelta(minutes=5)
    lines: list[str] = []
    landed = landing(warehouse, kafka, run_id="run-1", report=lines.append)
    rows = rows_of(warehouse)
    assert values_of(warehouse) == {0: list(enumerate(anything)), 1: [(0, b"other"), (1, None)]}
    assert all(earliest < row["received_at"] <= datetime.now(UTC) for row in rows)
    received = [
        Message(row["source_part"], row["source_position"], row["received_at"], row["value"], row["source_id"])
        for row in rows
    ]
    assert_rows(RAW_CDRS, rows, [raw_row(each, Parameters()) | {"kafka_topic": kafka.topic} for each in received])

    assert (landed.records, landed.raw_version, landed.displaced) == (10, 2, set())
    assert landed.days == {
        day: [row["event_date"] for row in rows].count(day) for day in {row["event_date"] for row in rows}
    }
    assert sorted((item.partition, item.start, item.end) for item in landed.ranges) == [(0, 0, 8), (1, 0, 2)]
    assert ledger_of(warehouse) == [(0, 0, 8, 8), (1, 0, 2, 2)]
    ledger = warehouse.pin(LEDGER).arrow().to_pylist()
    [about_p0] = [row for row in ledger if row["source_part"] == 0 and row["records"]]
    assert about_p0["source_id"] == kafka.topic_state().topic_id
    assert (about_p0["kafka_topic"], about_p0["raw_version"], about_p0["run_id"]) == (kafka.topic, 2, "run-1")
    assert lines == ["landed chunk 1 of 1: 10 of 10 offsets"]

    again = landing(warehouse, kafka)
    assert (again.records, again.days, again.ranges, again.raw_version) == (0, {}, [], 2)
    assert warehouse.version(RAW) == 2

    produced(kafka, b"new", partition=1)
    more = landing(warehouse, kafka)
    assert (more.records, more.raw_version, len(rows_of(warehouse))) == (1, 3, 11)
    assert values_of(warehouse)[1] == [(0, b"other"), (1, None), (2, b"new")]
    assert ledger_of(warehouse) == [(0, 0, 8, 8), (1, 0, 2, 2), (1, 2, 3, 1)]
    assert_sound(warehouse)


def test_what_a_producer_was_told_is_acknowledged_has_landed(
    plain: Warehouse, new_kafka_topic: Callable[..., KafkaConnection]
) -> None:
    """20,000 messages over four partitions: every one of them, in the order of its partition."""
    kafka = new_kafka_topic(partitions=4)
    sent = [b"%d" % number for number in range(20_000)]
    assert MessageProducer(kafka).send([sent[:7_000], sent[7_000:]]) == len(sent)
    assert landing(plain, kafka).records == len(sent)
    found = values_of(plain)
    assert sorted(int(value or b"") for each in found.values() for _, value in each) == list(range(20_000))
    for messages in found.values():
        assert [offset for offset, _ in messages] == list(range(len(messages)))
        order = [int(value or b"") for _, value in messages]
        assert order == sorted(order)
    assert_sound(plain)


def test_an_empty_topic_lands_nothing(plain: Warehouse, kafka: KafkaConnection) -> None:
    """Its partitions are watched from then on, by a commit without rows."""
    landed = landing(plain, kafka)
    assert (landed.records, landed.days, plain.version(RAW), ledger_of(plain)) == (0, {}, 1, [])
    assert_sound(plain)


def test_a_backlog_lands_in_chunks(plain: Warehouse, kafka: KafkaConnection) -> None:
    """Ten and five offsets in chunks of about five: three commits behind the one that watches the partitions."""
    produced(kafka, *(b"%d" % number for number in range(10)))
    produced(kafka, *(b"%d" % number for number in range(5)), partition=1)
    lines: list[str] = []
    landed = landing(plain, kafka, chunk_rows=5, report=lines.append)
    assert (landed.records, landed.raw_version, sum(landed.days.values())) == (15, 4, 15)
    assert ledger_of(plain) == [(0, 0, 3, 3), (0, 3, 6, 3), (0, 6, 10, 4), (1, 0, 1, 1), (1, 1, 3, 2), (1, 3, 5, 2)]
    assert values_of(plain) == {0: [(n, b"%d" % n) for n in range(10)], 1: [(n, b"%d" % n) for n in range(5)]}
    assert lines == [
        f"landed chunk {number} of 3: {records} of 15 offsets" for number, records in ((1, 4), (2, 9), (3, 15))
    ]
    assert_sound(plain)


# ------------------------------------------------------------------------------------------------------------- crashes


def dying_settle(step: int) -> Callable[[Warehouse], list[Entry]]:
    """landing's `settle`, but the process dies where it would record the step-th range of messages."""
    settle: Callable[[Warehouse], list[Entry]] = landing_module.settle
    steps: list[None] = []

    def dying(warehouse: Warehouse) -> list[Entry]:
        if any(start < end for entry in read_state(warehouse).unsettled for _, start, end, _ in entry.ranges):
            steps.append(None)
            if len(steps) == step:
                raise Crash
        return settle(warehouse)

    return dying


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_crash_between_rows_and_ledger_is_repaired(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """The next run finds the rows by the table alone: it records them, reports their days, and lands the rest once."""
    produced(kafka, *(cdr(f"id-{number}", today()) for number in range(6)))
    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "settle", dying_settle(dies_at))
        with pytest.raises(Crash):
            landing(plain, kafka, chunk_rows=2)
    assert len(rows_of(plain)) == 2 * dies_at
    assert len(ledger_of(plain)) == dies_at - 1
    assert not landed_equals_consumed(plain).passed

    lines: list[str] = []
    landed = landing(plain, kafka, report=lines.append)
    assert lines[0] == "recorded 2 records of a run that died after it had written them"
    assert [offset for offset, _ in values_of(plain)[0]] == list(range(6))
    # The two rows that the crash had left unreported, and the rest.
    assert sum(landed.days.values()) == 2 + 6 - 2 * dies_at
    assert landed.records == 6 - 2 * dies_at
    assert_sound(plain)
    third = landing(plain, kafka)
    assert (third.records, third.days) == (0, {})


def compact(warehouse: Warehouse, table: str = RAW, day: date | None = None) -> int:
    """What maintenance does to a table (or a day of it); returns how many files went."""
    days = [("event_date", "=", f"{day}")] if day else None
    return int(DeltaTable(warehouse.path(table)).optimize.compact(partition_filters=days)["numFilesRemoved"])


def test_compaction_between_landings_is_no_landing(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks at the rows because of it, and none is landed, reported or counted twice."""
    for number in range(2):
        produced(kafka, cdr(f"id-{number}", today()))
        landing(plain, kafka)
    assert set(stale_days(plain)) == {today()}
    mediated(plain, today())
    assert (compact(plain), compact(plain, LEDGER)) == (2, 3)
    assert set(stale_days(plain)) == set()
    with monkeypatch.context() as patch:
        patch.setattr("resources.warehouse.pinned_table.read_frame", crash)
        assert read_state(plain).unsettled == []
        again = landing(plain, kafka)
    assert (again.records, again.days, again.raw_version) == (0, {}, 4)

    produced(kafka, cdr("id-2", today()))
    landed = landing(plain, kafka)
    assert (landed.records, landed.days, landed.displaced, landed.raw_version) == (1, {today(): 1}, set(), 5)
    assert ledger_of(plain) == [(0, 0, 1, 1), (0, 1, 2, 1), (0, 2, 3, 1)]
    assert [offset for offset, _ in values_of(plain)[0]] == [0, 1, 2]
    assert_sound(plain)


@pytest.mark.parametrize("dies_at", [2, 3])
def test_a_crash_before_a_compaction_is_repaired(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """The rows that the ledger does not know lie in other files now: they are the same rows."""
    produced(kafka, *(cdr(f"id-{number}", today()) for number in range(6)))
    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "settle", dying_settle(dies_at))
        with pytest.raises(Crash):
            landing(plain, kafka, chunk_rows=2)
    assert compact(plain) == dies_at
    lines: list[str] = []
    landed = landing(plain, kafka, report=lines.append)
    assert lines[0] == "recorded 2 records of a run that died after it had written them"
    assert (sum(landed.days.values()), landed.records) == (2 + 6 - 2 * dies_at, 6 - 2 * dies_at)
    assert [offset for offset, _ in values_of(plain)[0]] == list(range(6))
    assert_sound(plain)


def dying_commit(warehouse: Warehouse) -> Callable[..., Any]:
    """The warehouse's `commit`, but the process dies where it would commit rows of raw_cdrs."""
    commit = warehouse.commit

    def dying(name: str, files: Any, *rest: Any, **options: Any) -> Any:
        if name == RAW and files.rows:
            raise Crash
        return commit(name, files, *rest, **options)

    return dying


def test_a_crash_before_the_rows_leaves_nothing(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    produced(kafka, b"0", b"1")
    with monkeypatch.context() as patch:
        patch.setattr(plain, "commit", dying_commit(plain))
        with pytest.raises(Crash):
            landing(plain, kafka)
    assert (rows_of(plain), ledger_of(plain)) == ([], [])
    assert landing(plain, kafka).records == 2
    assert_sound(plain)


def lose_an_offset(monkeypatch: pytest.MonkeyPatch, offset: int) -> pytest.MonkeyPatch:
    """An engine that loses a row."""
    admit = landing_module.admit
    monkeypatch.setattr(
        landing_module,
        "admit",
        lambda messages, **rest: admit(messages.where(F.col("source_position") != offset), **rest),
    )
    return monkeypatch


def test_a_message_that_did_not_land_is_seen(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are counted against the topic, not against what the engine says."""
    produced(kafka, b"0", b"1", b"2")
    with monkeypatch.context() as patch:
        lose_an_offset(patch, 1)
        with pytest.raises(
            LandingError, match="partition 0 offsets 0 to 2: 1 messages of the topic, the first at offset 1"
        ):
            landing(plain, kafka)
    assert (ledger_of(plain), rows_of(plain)) == ([], [])


def test_a_message_that_did_not_land_lands_the_next_time(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a chunk that lacks a row is in the table: the next run takes all of it."""
    produced(kafka, b"0", b"1", b"2")
    with monkeypatch.context() as patch:
        lose_an_offset(patch, 1)
        with pytest.raises(LandingError):
            landing(plain, kafka)
    assert landing(plain, kafka).records == 3
    assert values_of(plain) == {0: [(0, b"0"), (1, b"1"), (2, b"2")]}
    assert_sound(plain)


def double_an_offset(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    """An engine that gives one row twice and loses another: the counts agree."""
    admit = landing_module.admit

    def doubling(messages: Any, **rest: Any) -> Any:
        place = F.col("source_position")
        return admit(messages.where(place != offset + 1).union(messages.where(place == offset)), **rest)

    monkeypatch.setattr(landing_module, "admit", doubling)


def test_a_message_that_is_read_twice_does_not_land(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many rows as offsets, and yet not one of each."""
    produced(kafka, b"0", b"1", b"2")
    with monkeypatch.context() as patch:
        double_an_offset(patch, 0)
        with pytest.raises(LandingError, match="partition 0 offset 0: the engine gave 2 rows for one message"):
            landing(plain, kafka)
    assert rows_of(plain) == []
    assert landing(plain, kafka).records == 3


# ------------------------------------------------------------------------------------------------- topics that changed


def delete_records(kafka: KafkaConnection, before: int, partition: int = 0) -> None:
    """What retention does, at once."""
    admin = kafka.admin()
    [deleted] = admin.delete_records([TopicPartition(kafka.topic, partition, before)]).values()
    assert deleted.result(30).low_watermark == before


def test_a_topic_made_again_is_refused(plain: Warehouse, kafka: KafkaConnection) -> None:
    produced(kafka, b"old")
    landing(plain, kafka)
    admin = kafka.admin()
    admin.delete_topics([kafka.topic], operation_timeout=30)[kafka.topic].result(30)
    admin.create_topics([NewTopic(kafka.topic, num_partitions=2, replication_factor=1)], operation_timeout=30)[
        kafka.topic
    ].result(30)
    produced(kafka, b"new 0", b"new 1")
    with pytest.raises(LandingError, match=f"'{kafka.topic}' is not the topic this warehouse was filled from"):
        landing(plain, kafka)
    assert values_of(plain) == {0: [(0, b"old")]}


def test_a_topic_without_an_identity_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka says zeros where the broker says nothing: of every topic, also of one that was made again."""
    described: Future[SimpleNamespace] = Future()
    described.set_result(SimpleNamespace(topic_id=Uuid(0, 0), partitions=[]))
    old = KafkaConnection("old:9092", "cdrs")
    admin = SimpleNamespace(describe_topics=lambda *_, **__: {"cdrs": described})
    monkeypatch.setattr(old, "admin", lambda: admin)
    with pytest.raises(
        KafkaUnavailable, match=r"^Kafka at old:9092 gives topics no identity \(.* older than Kafka 2\.8\)"
    ):
        old.topic_state()


def test_another_topic_is_refused(
    plain: Warehouse, kafka: KafkaConnection, new_kafka_topic: Callable[..., KafkaConnection]
) -> None:
    produced(kafka, b"0")
    landing(plain, kafka)
    other = new_kafka_topic()
    produced(other, b"0")
    with pytest.raises(LandingError, match="TELECOM_KAFKA_TOPIC"):
        landing(plain, other)


def test_what_retention_took_before_it_landed_is_named(plain: Warehouse, kafka: KafkaConnection) -> None:
    produced(kafka, *(b"%d" % number for number in range(3)))
    landing(plain, kafka)
    produced(kafka, *(b"%d" % number for number in range(3, 8)))
    delete_records(kafka, 6)
    with pytest.raises(LandingError, match="partition 0: offsets 3 to 5 were deleted before they were landed"):
        landing(plain, kafka)
    assert len(rows_of(plain)) == 3


def test_what_retention_took_after_it_landed_is_not_missed(plain: Warehouse, kafka: KafkaConnection) -> None:
    produced(kafka, b"0", b"1", b"2")
    landing(plain, kafka)
    delete_records(kafka, 3)
    assert landing(plain, kafka).records == 0
    produced(kafka, b"3")
    assert landing(plain, kafka).records == 1
    assert_sound(plain)


def transactions(kafka: KafkaConnection, count: int) -> None:
    """Each of two messages and the mark of its end, on partition 0: offsets 0 1 [2] 3 4 [5] and so on."""
    producer = kafka.producer(**{"transactional.id": kafka.topic})
    producer.init_transactions(30)
    for number in range(count):
        producer.begin_transaction()
        for half in (0, 1):
            producer.produce(kafka.topic, b"%d" % (2 * number + half), partition=0)
        producer.flush(30)
        producer.commit_transaction(30)


@pytest.mark.parametrize("deleted", [1, 2, 4, 5])
def test_what_retention_took_between_rows_and_ledger_is_not_compared(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    """Rows that are in the table are recorded, whatever the topic has left of them."""
    transactions(kafka, 2)
    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "settle", dying_settle(1))
        with pytest.raises(Crash):
            landing(plain, kafka)
    delete_records(kafka, deleted)
    landing(plain, kafka)
    assert [offset for offset, _ in values_of(plain)[0]] == [0, 1, 3, 4]
    assert ledger_of(plain) == [(0, 0, 6, 4)]
    assert_sound(plain)


def test_what_retention_left_is_compared(
    plain: Warehouse, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that did not land is still seen, where the topic has it."""
    transactions(kafka, 3)
    with monkeypatch.context() as patch:
        lose_an_offset(patch, 4)
        with pytest.raises(LandingError):
            landing(plain, kafka)
    delete_records(kafka, 1)
    with monkeypatch.context() as patch:
        lose_an_offset(patch, 4)
        with pytest.raises(
            LandingError, match="offsets 0 to 2 were deleted|offsets 0 to 0 were deleted before they were"
        ):
            landing(plain, kafka)
    assert (ledger_of(plain), rows_of(plain)) == ([], [])


def test_the_first_landing_begins_with_what_is_left(plain: Warehouse, kafka: KafkaConnection) -> None:
    produced(kafka, b"0", b"1", b"2")
    delete_records(kafka, 2)
    assert landing(plain, kafka).records == 1
    assert ledger_of(plain)[0] == (0, 2, 3, 1)
    assert_sound(plain)


@pytest.mark.parametrize("chunks", [1, 3])
def test_a_first_landing_that_died_is_no_loss(
    plain: Warehouse, new_kafka_topic: Callable[..., KafkaConnection], monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    """What was gone before anything landed is not missed by the run after it either.

    One chunk: nothing is recorded when it dies. Three: partition 1 has its only message in the last of them.
    """
    kafka = new_kafka_topic(partitions=3)
    produced(kafka, *(b"%d" % number for number in range(10)))
    produced(kafka, *(b"%d" % number for number in range(3)), partition=1)
    delete_records(kafka, 4)
    delete_records(kafka, 2, partition=1)
    # offsets left: 4 to 9 and 2; partition 2 is empty
    with monkeypatch.context() as patch:
        if chunks == 1:
            patch.setattr(plain, "commit", dying_commit(plain))
        else:
            patch.setattr(landing_module, "settle", dying_settle(2))
        with pytest.raises(Crash):
            landing(plain, kafka, chunk_rows=7 if chunks == 1 else 3)
    landing(plain, kafka)
    assert {number: [offset for offset, _ in found] for number, found in values_of(plain).items()} == {
        0: [4, 5, 6, 7, 8, 9],
        1: [2],
    }
    assert_sound(plain)


def test_a_partition_that_was_empty_lands_when_it_is_not(plain: Warehouse, kafka: KafkaConnection) -> None:
    produced(kafka, b"0")
    landing(plain, kafka)
    produced(kafka, b"p1-0", b"p1-1", partition=1)
    assert landing(plain, kafka).records == 2
    assert ledger_of(plain) == [(0, 0, 1, 1), (1, 0, 2, 2)]
    assert_sound(plain)


def test_a_partition_that_was_empty_is_watched_from_then_on(plain: Warehouse, kafka: KafkaConnection) -> None:
    """It held nothing when the topic was landed first; what came and was deleted since is lost, and must be named."""
    produced(kafka, b"0")
    landing(plain, kafka)
    produced(kafka, *(b"%d" % number for number in range(5)), partition=1)
    delete_records(kafka, 3, partition=1)
    with pytest.raises(LandingError, match="partition 1: offsets 0 to 2 were deleted before they were landed"):
        landing(plain, kafka)


def test_partitions_that_are_added_land_from_their_beginning(plain: Warehouse, kafka: KafkaConnection) -> None:
    produced(kafka, b"0")
    landing(plain, kafka)
    admin = kafka.admin()
    admin.create_partitions([NewPartitions(kafka.topic, 4)], operation_timeout=30)[kafka.topic].result(30)
    produced(kafka, b"p3-0", b"p3-1", partition=3)
    assert landing(plain, kafka).records == 2
    assert values_of(plain) == {0: [(0, b"0")], 3: [(0, b"p3-0"), (1, b"p3-1")]}
    assert_sound(plain)


def test_a_broker_that_is_down_changes_nothing(plain: Warehouse, kafka: KafkaConnection) -> None:
    down = KafkaConnection("127.0.0.1:1", kafka.topic, kafka.options, timeout_seconds=0.3)
    with pytest.raises(KafkaUnavailable, match=r"Kafka at 127\.0\.0\.1:1 cannot be used"):
        landing(plain, down)
    assert not plain.exists(RAW)


# --------------------------------------------------------------------------------------------- transactions and clocks


def test_aborted_records_do_not_land(plain: Warehouse, kafka: KafkaConnection) -> None:
    """They take offsets, as the marks of transactions do: the ledger says how many messages there really were."""
    producer = kafka.producer(**{"transactional.id": kafka.topic})
    producer.init_transactions(30)
    for fate, values in (("commit", [b"0", b"1"]), ("abort", [b"3"] * 3), ("commit", [b"7"]), ("abort", [b"9"] * 2)):
        producer.begin_transaction()
        for value in values:
            producer.produce(kafka.topic, value, partition=0)
        producer.flush(30)
        producer.commit_transaction(30) if fate == "commit" else producer.abort_transaction(30)
    # offsets: 0 1 [commit 2] 3 4 5 [abort 6] 7 [commit 8] 9 10 [abort 11]
    landed = landing(plain, kafka)
    assert values_of(plain) == {0: [(0, b"0"), (1, b"1"), (7, b"7")]}
    assert (landed.records, ledger_of(plain)) == (3, [(0, 0, 12, 3)])
    assert landing(plain, kafka).records == 0
    assert_sound(plain)

    producer.begin_transaction()
    producer.produce(kafka.topic, b"12", partition=0)
    producer.flush(30)
    assert landing(plain, kafka).records == 0
    producer.abort_transaction(30)
    # Only aborted records and their mark: nothing lands, and the ledger has passed them.
    assert landing(plain, kafka).records == 0
    assert ledger_of(plain)[-1] == (0, 12, 14, 0)
    assert_sound(plain)


def test_a_topic_of_aborted_records_alone_lands_nothing(warehouse: Warehouse, kafka: KafkaConnection) -> None:
    """On both engines: a new table has no commit then, and the ledger has passed the offsets all the same."""
    producer = kafka.producer(**{"transactional.id": kafka.topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(kafka.topic, cdr("aborted", today()), partition=0)
    producer.flush(30)
    producer.abort_transaction(30)
    # offsets: 0 [abort 1]
    # The coordinator answers before the partition's leader has the mark.
    marked = retry_if_result(lambda state: state.partitions[0].latest < 2)
    Retrying(retry=marked, stop=stop_after_delay(30), wait=wait_fixed(0.05))(kafka.topic_state)
    landed = landing(warehouse, kafka)
    assert (landed.records, landed.days, ledger_of(warehouse)) == (0, {}, [(0, 0, 2, 0)])
    assert_sound(warehouse)
    assert landing(warehouse, kafka).ranges == []

    produced(kafka, cdr("a", today()))
    assert landing(warehouse, kafka).records == 1
    assert [offset for offset, _ in values_of(warehouse)[0]] == [2]
    assert_sound(warehouse)


def test_chunks_may_end_among_aborted_records(plain: Warehouse, kafka: KafkaConnection) -> None:
    producer = kafka.producer(**{"transactional.id": kafka.topic})
    producer.init_transactions(30)
    for number in range(4):
        producer.begin_transaction()
        producer.produce(kafka.topic, b"%d" % number, partition=0)
        producer.produce(kafka.topic, b"%d" % number, partition=0)
        producer.flush(30)
        producer.abort_transaction(30) if number % 2 else producer.commit_transaction(30)
    # offsets: 0 1 [2] 3 4 [5] 6 7 [8] 9 10 [11]; 3 to 5 and 9 to 11 are aborted
    landed = landing(plain, kafka, chunk_rows=4)
    assert (landed.records, ledger_of(plain)) == (4, [(0, 0, 4, 2), (0, 4, 8, 2), (0, 8, 12, 0)])
    assert [offset for offset, _ in values_of(plain)[0]] == [0, 1, 6, 7]
    assert_sound(plain)


def test_where_the_topic_carries_producer_time_landing_time_counts(
    plain: Warehouse, new_kafka_topic: Callable[..., KafkaConnection]
) -> None:
    """A producer's clock may say anything: it decides neither the window nor which copy came first."""
    kafka = new_kafka_topic(partitions=1, config={"message.timestamp.type": "CreateTime"})
    produced(kafka, cdr("a", today()), b"junk", timestamp=int(datetime(2020, 2, 2, tzinfo=UTC).timestamp() * 1000))
    before = datetime.now(UTC)
    landing(plain, kafka)
    rows = rows_of(plain)
    assert {row["received_at"] for row in rows} == {rows[0]["received_at"]}
    assert before <= rows[0]["received_at"] <= datetime.now(UTC)
    assert rows[0]["event_date"].year == rows[1]["event_date"].year != 2020


PRODUCER_MS = int(datetime(2020, 2, 2, tzinfo=UTC).timestamp() * 1000)


def test_what_came_before_the_topic_carried_broker_time_counts_by_its_landing(
    plain: Warehouse, new_kafka_topic: Callable[..., KafkaConnection]
) -> None:
    """A topic's setting holds for what comes after it: older batches keep the producer's time, and say so."""
    kafka = new_kafka_topic(partitions=1, config={"message.timestamp.type": "CreateTime"})
    produced(kafka, b"before", timestamp=PRODUCER_MS)
    carry_broker_time(kafka)
    begun = datetime.now(UTC)
    landing(plain, kafka)
    before, *_, after = rows_of(plain)
    assert (before["value"], after["value"]) == (b"before", b"after")
    assert begun <= before["received_at"] <= datetime.now(UTC)
    assert begun - timedelta(minutes=1) < after["received_at"] < begun
    assert before["event_date"].year != 2020


def carry_broker_time(kafka: KafkaConnection) -> None:
    """Switch a topic of producer time to the broker's, and send messages until its leader stamps one so."""
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, kafka.topic, incremental_configs=[entry])
    admin = kafka.admin()
    admin.incremental_alter_configs([resource])[resource].result(30)
    kinds: list[int] = []
    producer = kafka.producer(on_delivery=lambda _, message: kinds.append(message.timestamp()[0]))

    def kind_of_next() -> int:
        producer.produce(kafka.topic, b"after", partition=0, timestamp=PRODUCER_MS)
        assert producer.flush(30) == 0
        return kinds[-1]

    switched = retry_if_result(lambda kind: kind != TIMESTAMP_LOG_APPEND_TIME)
    Retrying(retry=switched, stop=stop_after_delay(30), wait=wait_fixed(0.05))(kind_of_next)


def test_home_days_and_opened_months(plain: Warehouse, kafka: KafkaConnection) -> None:
    """An old record is at home on the day it was received, unless its month was opened by name."""
    recent = today() - timedelta(days=10)
    produced(kafka, cdr("recent", recent), cdr("old", "2015-05-31"), cdr("opened", "2016-02-29"), b"junk")
    open_month(plain, "2016-02", calendar_start=date(2010, 1, 1), dedupe_days=31)
    landed = landing(plain, kafka)
    rows = rows_of(plain)
    receipt = [row["received_at"].astimezone(CASABLANCA).date() for row in rows]
    expected = [recent, receipt[1], date(2016, 2, 29), receipt[3]]
    assert [row["event_date"] for row in rows] == expected
    assert landed.days == {day: expected.count(day) for day in expected}
    assert landed.stale_days == set(expected)


# ------------------------------------------------------------------------------------------------- copies that came first


@dataclass
class Uneven(KafkaConnection):
    """A broker whose partition 1 cannot be seen yet: partitions are read unevenly."""

    hidden: bool = True

    def topic_state(self) -> TopicState:
        state = super().topic_state()
        if not self.hidden:
            return state
        marks = {**state.partitions, 1: Watermarks(0, 0)}
        return TopicState(state.topic_id, marks, state.log_append_time)


def mediated(warehouse: Warehouse, *days: date) -> None:
    """Rows of the ledger of mediation: these days were mediated as they are now."""
    landed_rows = warehouse.pin(RAW).rows_by_partition()
    rest = {"raw_positions": Decimal(0), "product_catalog_version": 1, "dedupe_days": 31}
    versions = {"raw_version": warehouse.version(RAW), "cleaned_version": 0, "rejected_version": 0}
    rows = [{"raw_rows": landed_rows[day], **rest, **versions, "event_date": day} for day in days]
    warehouse.append_arrow(MEDIATED_DAYS.name, pa.Table.from_pylist(rows, schema=MEDIATED_DAYS.arrow_schema()))


@dataclass(frozen=True)
class Displacing:
    """Copies received first but landed last: they wait in partition 1, while those of partition 0 were landed.

    Their day is `new`. `near` is 2 days away, `far` 32: beyond the 31 within which a record is unique. One record has
    both copies on `new`; one has none.
    """

    kafka: Uneven
    new: date
    near: date
    far: date


@pytest.fixture
def displacing(plain: Warehouse, kafka: KafkaConnection) -> Displacing:
    new, near, far, other = (today() - timedelta(days=distance) for distance in (40, 38, 8, 30))
    produced(kafka, *(cdr(name, new) for name in ("near", "far", "same", "alone")), partition=1)
    uneven = Uneven(kafka.bootstrap_servers, kafka.topic, kafka.options)
    produced(kafka, cdr("near", near), cdr("far", far), cdr("same", new), cdr("another", other))
    assert landing(plain, uneven).records == 4
    uneven.hidden = False
    return Displacing(uneven, new, near, far)


@pytest.fixture
def all_mediated(plain: Warehouse, displacing: Displacing) -> None:
    mediated(plain, *plain.pin(RAW).rows_by_partition())
    assert set(stale_days(plain)) == set()


@pytest.mark.usefixtures("all_mediated")
def test_a_day_whose_copy_is_displaced_is_mediated_again(plain: Warehouse, displacing: Displacing) -> None:
    landed = landing(plain, displacing.kafka)
    assert (landed.days, landed.displaced) == ({displacing.new: 4}, {displacing.near})
    assert landed.stale_days == {displacing.new, displacing.near}
    # The ledger of mediation says so too, until somebody does it.
    assert set(stale_days(plain)) == {displacing.new, displacing.near}
    assert landing(plain, displacing.kafka).stale_days == set()


@pytest.mark.usefixtures("all_mediated")
def test_how_far_a_copy_displaces_is_a_setting(plain: Warehouse, displacing: Displacing) -> None:
    assert landing(plain, displacing.kafka, dedupe_days=32).displaced == {displacing.near, displacing.far}
    assert set(stale_days(plain)) == {displacing.new, displacing.near, displacing.far}


@pytest.mark.usefixtures("all_mediated")
def test_within_the_day_no_other_day_is_displaced(plain: Warehouse, displacing: Displacing) -> None:
    assert landing(plain, displacing.kafka, dedupe_days=0).displaced == set()
    assert set(stale_days(plain)) == {displacing.new}


def test_a_displaced_day_that_nobody_mediated_yet(plain: Warehouse, displacing: Displacing) -> None:
    """Its first mediation may be under way, from what was there before: it is marked all the same."""
    landed = landing(plain, displacing.kafka)
    assert plain.pin(DISPLACED_DAYS.name).arrow().to_pylist() == [
        {"event_date": displacing.near, "raw_version": landed.raw_version}
    ]
    assert landed.stale_days == {displacing.new, displacing.near}
    assert set(stale_days(plain)) >= landed.stale_days
    assert_sound(plain)


@pytest.mark.usefixtures("all_mediated")
@pytest.mark.parametrize("step", ["settle", "_displaced_days"])
def test_a_crash_does_not_forget_a_displaced_day(
    plain: Warehouse, displacing: Displacing, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Wherever the run dies after its rows were written, the day is to be mediated after the next one."""
    with monkeypatch.context() as patch:
        patch.setattr(landing_module, step, crash)
        with pytest.raises(Crash):
            landing(plain, displacing.kafka)
    landing(plain, displacing.kafka)
    assert set(stale_days(plain)) == {displacing.new, displacing.near}
    assert_sound(plain)


def test_a_compaction_does_not_hide_a_displaced_day(
    plain: Warehouse, displacing: Displacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It moves newer rows of another day after a run has died: the rows to be looked at are older than those."""
    displacing.kafka.hidden = True
    for name in ("x", "y"):
        produced(displacing.kafka, cdr(name, today()))
        landing(plain, displacing.kafka)
    displacing.kafka.hidden = False
    mediated(plain, *plain.pin(RAW).rows_by_partition())
    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "_displaced_days", crash)
        with pytest.raises(Crash):
            landing(plain, displacing.kafka)
    assert compact(plain, day=today()) == 2
    landing(plain, displacing.kafka)
    assert set(stale_days(plain)) == {displacing.new, displacing.near}
    assert_sound(plain)


def test_copies_that_came_later_displace_nothing(plain: Warehouse, kafka: KafkaConnection) -> None:
    first, second = today() - timedelta(days=4), today() - timedelta(days=3)
    produced(kafka, cdr("a", first))
    landing(plain, kafka)
    produced(kafka, cdr("a", second), partition=1)
    landed = landing(plain, kafka)
    assert (landed.days, landed.displaced) == ({second: 1}, set())
