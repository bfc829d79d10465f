"""The batched event log and the kept run storage against Dagster's own SQLite storage: the same runs leave the same records."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import dagster as dg
import pytest

from telecom_assets.home import dagster_storage
from telecom_assets.home.dagster_storage import BatchedSqliteEventLog, KeptSqliteRunStorage, enable_batches
from telecom_assets_tests.examples import examples

DAYS = dg.DailyPartitionsDefinition("2025-01-01")
FIRST, LAST = "2025-02-27", "2025-03-02"
RANGE = {"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": LAST}


class Nowhere(dg.IOManager):
    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        context.add_output_metadata({"stored": str(obj)})

    def load_input(self, context: dg.InputContext) -> None: ...


@dg.multi_asset(
    outs={name: dg.AssetOut(dagster_type=dg.Any) for name in ("calls", "messages")},
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def usage(context: dg.AssetExecutionContext) -> Iterator[dg.Output[int]]:
    context.log_event(dg.AssetObservation("topic", metadata={"lag": 3}))
    for name in ("calls", "messages"):
        yield dg.Output(7, name, metadata={"rows": 7})


@dg.asset_check(asset="calls", blocking=True)
def adds_up() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


DEFINITIONS = dg.Definitions(
    assets=[usage], asset_checks=[adds_up], jobs=[dg.define_asset_job("days")], resources={"io_manager": Nowhere()}
)


def batched_instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    home.mkdir()
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "to be forgotten")
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    enable_batches()
    return instance_in(str(home))


def instance_in(home: str) -> dg.DagsterInstance:
    storages = {"event_log_storage": BatchedSqliteEventLog, "run_storage": KeptSqliteRunStorage}
    overrides = {
        kind: {"module": each.__module__, "class": each.__name__, "config": {"base_dir": f"{home}/history"}}
        for kind, each in storages.items()
    }
    return dg.DagsterInstance.local_temp(home, overrides=overrides)


def log_of(instance: dg.DagsterInstance) -> BatchedSqliteEventLog:
    assert isinstance(instance.event_log_storage, BatchedSqliteEventLog)
    return instance.event_log_storage


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return DEFINITIONS.resolve_job_def("days").execute_in_process(instance=instance, tags=RANGE, run_config=quiet)


def described(instance: dg.DagsterInstance, run_id: str) -> list[tuple[Any, ...]]:
    """The run's events as the UI lists them; times and ids left out, and the order within one kind of planned event."""
    found = [
        (
            entry.dagster_event_type,
            str(entry.get_dagster_event().asset_key),
            entry.get_dagster_event().partition,
            entry.step_key,
        )
        for entry in instance.all_logs(run_id)
        if entry.is_dagster_event
    ]
    return found


def known(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the asset pages show."""
    facts: dict[str, Any] = {}
    for name in ("calls", "messages", "topic"):
        key = dg.AssetKey(name)
        latest = instance.get_latest_materialization_event(key)
        facts[name] = (
            sorted(
                (record.partition_key, str(record.asset_materialization.metadata))
                for record in instance.fetch_materializations(key, limit=1_000).records
                if record.asset_materialization is not None
            ),
            sorted(instance.get_materialized_partitions(key)),
            latest.get_dagster_event().partition if latest else None,
            len(instance.fetch_observations(key, limit=1_000).records),
            instance.has_asset_key(key),
        )
    check = dg.AssetCheckKey(dg.AssetKey("calls"), "adds_up")
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=10)
    facts["check"] = [record.status.value for record in history]
    return facts


@pytest.fixture
def batched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    with batched_instance(tmp_path / "batched", monkeypatch) as instance:
        yield instance


@pytest.mark.thorough
def test_the_same_runs_leave_the_same_records(batched: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "own")) as own:
        for _ in range(2):
            expected, found = run(own), run(batched)
            assert found.success
            assert described(batched, found.run_id) == described(own, expected.run_id)
            kept, usual = batched.get_run_record_by_id(found.run_id), own.get_run_record_by_id(expected.run_id)
            assert kept is not None and usual is not None
            assert (kept.dagster_run.status, kept.dagster_run.tags) == (
                usual.dagster_run.status,
                usual.dagster_run.tags,
            )
            assert kept.start_time is not None and kept.end_time is not None and kept.start_time <= kept.end_time
        assert known(batched) == known(own)
    partitions = known(batched)["calls"][1]
    assert (len(partitions), partitions[0], partitions[-1]) == (4, FIRST, LAST)


def counted_writes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Kinds of the events of each transaction, as they are written from now on."""
    written: list[list[str]] = []
    write = BatchedSqliteEventLog._write

    def counting(
        self: BatchedSqliteEventLog, rows: Sequence[dict[str, Any]], events: Sequence[dg.EventLogEntry]
    ) -> None:
        write(self, rows, events)
        written.append([str(each.dagster_event_type) for each in events])

    monkeypatch.setattr(BatchedSqliteEventLog, "_write", counting)
    return written


def test_events_of_one_output_are_one_transaction(batched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dagster_storage, "DELAY_SECONDS", 60)
    written = counted_writes(monkeypatch)
    run(batched)
    days = [kinds.count("DagsterEventType.ASSET_MATERIALIZATION") for kinds in written]
    assert sum(days) == 8 and set(days) <= {0, 4, 8}
    planned = [kinds.count("DagsterEventType.ASSET_MATERIALIZATION_PLANNED") for kinds in written]
    assert [count for count in planned if count] == [8]


def materialized(instance: dg.DagsterInstance, day: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("calls", partition=day))


def file_of(log: BatchedSqliteEventLog) -> str:
    return str(log.get_db_path())  # type: ignore[no-untyped-call]  # Dagster's


def stored(log: BatchedSqliteEventLog) -> int:
    """Events that are in the file, for whoever looks."""
    with closing(sqlite3.connect(file_of(log))) as connection:
        return int(connection.execute("SELECT count(*) FROM event_logs").fetchone()[0])


@pytest.mark.thorough
def test_an_event_waits_for_others_but_not_for_long(
    batched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_storage, "DELAY_SECONDS", 1)
    written, log = counted_writes(monkeypatch), log_of(batched)
    materialized(batched, "2025-01-01")
    materialized(batched, "2025-01-02")
    waiting = log._timer
    assert waiting is not None
    waiting.join()
    assert stored(log) == 2
    assert written == [["DagsterEventType.ASSET_MATERIALIZATION"] * 2]


def test_who_asks_finds_what_waits(batched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dagster_storage, "DELAY_SECONDS", 60)
    materialized(batched, "2025-01-01")
    assert stored(log_of(batched)) == 0
    assert batched.get_materialized_partitions(dg.AssetKey("calls")) == {"2025-01-01"}
    assert stored(log_of(batched)) == 1


def test_the_end_of_a_run_does_not_wait(batched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dagster_storage, "DELAY_SECONDS", 60)
    run(batched)
    with closing(sqlite3.connect(file_of(log_of(batched)))) as connection:
        kinds = [kind for (kind,) in connection.execute("SELECT dagster_event_type FROM event_logs ORDER BY id")]
    assert kinds.index("PIPELINE_SUCCESS") > max(
        number for number, kind in enumerate(kinds) if kind in ("STEP_SUCCESS", "ASSET_CHECK_EVALUATION")
    )


def test_what_could_not_be_written_is_written_with_the_next(
    batched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_storage, "DELAY_SECONDS", 60)
    materialized(batched, "2025-01-01")
    with monkeypatch.context() as broken:
        broken.setattr(BatchedSqliteEventLog, "_store_beside", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            batched.get_materialized_partitions(dg.AssetKey("calls"))
    assert stored(log_of(batched)) == 0
    materialized(batched, "2025-01-02")
    assert batched.get_materialized_partitions(dg.AssetKey("calls")) == {"2025-01-01", "2025-01-02"}
    assert stored(log_of(batched)) == 2


def test_an_event_that_cannot_be_stored_keeps_no_other_waiting(
    batched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_storage, "DELAY_SECONDS", 60)
    with monkeypatch.context() as broken:
        broken.setattr(BatchedSqliteEventLog, "_event_to_row", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            materialized(batched, "2025-01-01")
    materialized(batched, "2025-01-02")
    assert batched.get_materialized_partitions(dg.AssetKey("calls")) == {"2025-01-02"}


_LAST_WORD = """
import sys
from telecom_assets_tests.home.test_event_log import instance_in, materialized
materialized(instance_in(sys.argv[1]), "2025-01-01")
"""


@pytest.mark.processes
def test_a_process_that_ends_writes_what_waits(batched: dg.DagsterInstance, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _LAST_WORD, str(tmp_path / "batched")], check=True, timeout=120)
    assert stored(log_of(batched)) == 1


@pytest.mark.thorough
def test_another_process_sees_what_was_stored(batched: dg.DagsterInstance) -> None:
    done = run(batched)
    again = BatchedSqliteEventLog(log_of(batched)._base_dir)
    assert len(again.get_logs_for_run(done.run_id)) == len(batched.all_logs(done.run_id))


def test_writers_at_once_lose_nothing(batched: dg.DagsterInstance) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: materialized(batched, f"2025-01-{number + 1:02}"), range(31)))
    assert len(batched.fetch_materializations(dg.AssetKey("calls"), limit=100).records) == 31


@pytest.mark.parametrize("table", ["alembic_version", "instance_info", "runs"])
def test_a_file_of_runs_that_was_half_made_is_made_whole(table: str, tmp_path: Path) -> None:
    config = {"base_dir": str(tmp_path)}
    KeptSqliteRunStorage.from_config_value(None, config)
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        connection.execute(f"DROP TABLE {table}")
    if table == "runs":
        # Dagster itself does not make it again where it has noted that it did.
        with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
            connection.execute("DELETE FROM alembic_version")
    storage = KeptSqliteRunStorage.from_config_value(None, config)
    assert storage.get_runs() == []
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert table in names


def test_a_log_that_was_half_made_is_made_whole(tmp_path: Path) -> None:
    """The first command of a home was killed while it made the file."""
    (tmp_path / "event_log.db").touch()
    assert BatchedSqliteEventLog(str(tmp_path)).get_logs_for_run("nobody") == []


def test_one_place_is_given_to_one_step(batched: dg.DagsterInstance) -> None:
    """Two processes that ask at the same moment: the second finds it taken, whatever it saw before."""
    first = log_of(batched)
    second = BatchedSqliteEventLog(first._base_dir)
    first.initialize_concurrency_limit_to_default("landing")
    first.set_concurrency_slots("landing", 1)
    for number in range(examples(20)):
        start = Barrier(2)

        def claim(log: BatchedSqliteEventLog, run_id: str, start: Barrier = start) -> bool:
            start.wait()
            return log._claim_concurrency_slot("landing", run_id, "step").name == "CLAIMED"

        runs = [f"{number}-first", f"{number}-second"]
        with ThreadPoolExecutor(2) as pool:
            claimed = list(pool.map(claim, (first, second), runs))
        assert sorted(claimed) == [False, True]
        [slot] = first.get_concurrency_info("landing").claimed_slots
        assert slot.run_id == runs[claimed.index(True)]
        first.free_concurrency_slots_for_run(slot.run_id)


@pytest.mark.thorough
def test_who_watches_a_run_is_told(batched: dg.DagsterInstance) -> None:
    """The page of a run that is under way in another process."""
    run_id = run(batched).run_id
    heard: list[str] = []
    all_told = Event()

    def hear(entry: dg.EventLogEntry, _cursor: str) -> None:
        heard.append(str(entry.dagster_event_type))
        if entry.dagster_event_type is dg.DagsterEventType.RUN_SUCCESS:
            all_told.set()

    watching = BatchedSqliteEventLog(log_of(batched)._base_dir)
    watching.watch(run_id, None, hear)
    try:
        assert all_told.wait(30)
    finally:
        watching.end_watch(run_id, hear)
        watching.dispose()
    assert len(heard) == len(batched.all_logs(run_id))
