"""Maintenance of the tables while other runs write and read them."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import dagster as dg

from resources.process_locks import STEP_PATIENCE_SECONDS, once, turn
from resources.warehouse import Maintained, Warehouse, maintain
from telecom_assets.books.totals import note_all_totals
from telecom_assets.home.compute_logs import remove_old_output
from telecom_assets.home.settings import Settings
from telecom_assets.intake.journal import settle
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.lineage.declaring import MAINTENANCE_POOL, PLATFORM_TEAM, Materialized, asset
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.change_log import record_changes
from telecom_assets.runs.stages import STAGES

GROUP = "maintenance"


def pools_of_tables(assets: Iterable[Any]) -> dict[str, set[str]]:
    """For each table the pools of the steps that write it, from the definitions of the assets.

    The reference tables have no pool: they are replaced in a moment, and a replacement that meets a compaction is tried again.
    """
    pools = {
        key.path[-1]: {each.op.pool} if each.op.pool else set()
        for each in assets
        if isinstance(each, dg.AssetsDefinition) and each.is_executable
        for key in each.keys
    }
    return {
        table: pools.get(table) or set().union(*(pools[asset] for asset in stage.assets if table not in pools))
        for stage in STAGES
        for table in stage.tables
    }


def maintenance_of(pools: Mapping[str, Collection[str]]) -> dg.AssetsDefinition:
    """The asset. Made by a function, because the pools are those of the assets beside it (`pools_of_tables`)."""

    @asset(group_name=GROUP, owners=[PLATFORM_TEAM], kinds={"delta"}, pool=MAINTENANCE_POOL)
    def maintenance(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        warehouse: dg.ResourceParam[Warehouse],
        record_types: dg.ResourceParam[RecordTypes],
    ) -> Materialized:
        """Keeps the tables quick to read and the disk free: merges small files, removes versions that are past their retention.

        `nightly_maintenance` asks for it. What runs printed is removed at the same age. A table that a run is writing is left
        for the next time. The metadata have one row per table.
        """
        return _maintain(context, settings, warehouse, record_types, pools)

    return maintenance


def _maintain(
    context: dg.AssetExecutionContext,
    settings: Settings,
    warehouse: Warehouse,
    record_types: RecordTypes,
    pools: Mapping[str, Collection[str]],
) -> Materialized:
    def show(done: Maintained) -> None:
        context.log.info(f"{done.table}: {done.files_before} files, now {done.files_after}; {done.note or 'done'}")

    # The pool lets one run in, but a run that was cancelled by force has lost its place and may still be working: the lock keeps
    # the two apart. Without it one of two compactions of the same files would be refused, after doing its work for nothing.
    home, now = settings.dagster_home, dt.datetime.now(dt.UTC)
    waits = once(lambda other: context.log.info(f"waiting for {other}, which maintains the tables"))
    with turn(home, "maintenance", waits, STEP_PATIENCE_SECONDS):
        if warehouse.exists(RAW_CDRS.name):
            settle(warehouse)  # before log entries are removed, the tables that follow a log get their rows
        record_changes(warehouse)
        note_all_totals(warehouse, record_types)  # before the log loses the commits that they name
        done = maintain(
            warehouse,
            target_file_bytes=settings.target_file_bytes,
            now=now,
            busy=partial(writer_at_work, context.instance, pools),
            report=show,
        )
        # At least a day old: the folder has the output of running runs too.
        outputs = remove_old_output(home, now - dt.timedelta(days=max(1, settings.retention_days)))
    return dg.MaterializeResult(
        metadata={
            "tables": as_table(done),
            "outputs_removed": outputs,
            "files_compacted": sum(each.files_compacted for each in done),
            "files_removed": sum(each.files_removed for each in done),
            "bytes_removed": sum(each.bytes_removed for each in done),
            "left_for_next_time": sum(bool(each.note) for each in done),
        }
    )


def writer_at_work(instance: dg.DagsterInstance, pools: Mapping[str, Collection[str]], table: str) -> str | None:
    """Why a table cannot be compacted now: the name of the pool that its writing step holds. None when it can."""
    for pool in pools.get(table, ()):
        slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
        if slots:
            return f"step {slots[0].step_key} of run {slots[0].run_id.partition('-')[0]} has the pool {pool}"
    return None


def as_table(done: Sequence[Maintained]) -> dg.TableMetadataValue:
    """The maintenance that was done, a row per table."""
    types = {int: "int", float: "float", str: "string"}
    columns = [dg.TableColumn(field.name, types[type(field.default)]) for field in fields(Maintained)[1:]]
    return dg.MetadataValue.table(
        records=[dg.TableRecord(each.to_dict()) for each in done],
        schema=dg.TableSchema([dg.TableColumn("table", "string"), *columns]),
    )
