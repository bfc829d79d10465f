"""The batched event log and the kept run storage against Dagster's own SQLite storage: the same runs leave the same records."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from telecom_assets.event_log import BatchedSqliteEventLog, enable_batches
from telecom_assets.run_storage import KeptSqliteRunStorage

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
def usage(context: dg.AssetExecutionContext) -> Iterator[dg.Output]:
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
    storages = {"event_log_storage": BatchedSqliteEventLog, "run_storage": KeptSqliteRunStorage}
    overrides = {
        kind: {"module": each.__module__, "class": each.__name__, "config": {"base_dir": str(home / "history")}}
        for kind, each in storages.items()
    }
    return dg.DagsterInstance.local_temp(str(home), overrides=overrides)


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return DEFINITIONS.resolve_job_def("days").execute_in_process(instance=instance, tags=RANGE, run_config=quiet)


def described(instance: dg.DagsterInstance, run_id: str) -> list[tuple]:
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


def known(instance: dg.DagsterInstance) -> dict[str, object]:
    """What the asset pages show."""
    facts: dict[str, object] = {}
    for name in ("calls", "messages", "topic"):
        key = dg.AssetKey(name)
        latest = instance.get_latest_materialization_event(key)
        facts[name] = (
            sorted(
                (record.partition_key, str(record.asset_materialization.metadata))
                for record in instance.fetch_materializations(key, limit=1_000).records
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


def test_the_same_runs_leave_the_same_records(batched: dg.DagsterInstance, tmp_path: Path):
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
    partitions = known(batched)["calls"][1]  # type: ignore[index]
    assert (len(partitions), partitions[0], partitions[-1]) == (4, FIRST, LAST)


def test_events_of_one_output_are_one_transaction(batched: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    store = BatchedSqliteEventLog._store_asset_events
    monkeypatch.setattr(
        BatchedSqliteEventLog,
        "_store_asset_events",
        lambda self, events: (sizes.append(len(events)), store(self, events))[1],
    )
    run(batched)
    assert sizes == [8, 4, 4]  # planned of both tables, then each table's days


def test_another_process_sees_what_was_stored(batched: dg.DagsterInstance):
    done = run(batched)
    log = batched.event_log_storage
    assert isinstance(log, BatchedSqliteEventLog)
    again = BatchedSqliteEventLog(log._base_dir)
    assert len(again.get_logs_for_run(done.run_id)) == len(batched.all_logs(done.run_id))


def test_writers_at_once_lose_nothing(batched: dg.DagsterInstance):
    def report(number: int) -> None:
        materialization = dg.AssetMaterialization("calls", partition=f"2025-01-{number + 1:02}")
        batched.report_runless_asset_event(materialization)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report, range(31)))
    assert len(batched.fetch_materializations(dg.AssetKey("calls"), limit=100).records) == 31
