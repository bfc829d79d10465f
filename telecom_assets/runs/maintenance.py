"""Maintenance of the tables while other runs write and read them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import fields
from functools import partial

import dagster as dg

from resources.maintenance import Maintained, maintain
from resources.process_locks import STEP_PATIENCE_SECONDS, once, turn
from telecom_assets.home.compute_logs import remove_old_output
from telecom_assets.home.connections import Connections
from telecom_assets.intake.journal import settle
from telecom_assets.intake.tables import DISPLACED_DAYS, LANDING_DECISIONS, LANDING_RANGES, RAW_CDRS
from telecom_assets.lineage.declaring import LANDING_POOL, MAINTENANCE_POOL, PLATFORM_TEAM, SPARK_POOL, asset
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

GROUP = "maintenance"

#: The pools of the steps that write a table; tables that are not named here are written in the engine's pool. The reference
#: tables have none: they are replaced whole in a moment, and a replacement that meets a compaction is tried again.
WRITERS: dict[str, Sequence[str]] = {
    RAW_CDRS.name: (LANDING_POOL,),
    LANDING_RANGES.name: (LANDING_POOL,),
    LANDING_DECISIONS.name: (LANDING_POOL,),
    DISPLACED_DAYS.name: (LANDING_POOL,),
    **dict.fromkeys((CUSTOMERS.name, RATE_PLANS.name, PRODUCT_CATALOG.name), ()),
}


@asset(group_name=GROUP, owners=[PLATFORM_TEAM], kinds={"delta"}, pool=MAINTENANCE_POOL)
def maintenance(context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]) -> dg.MaterializeResult:
    """Keeps the tables quick to read and the disk free: merges small files, removes versions that are past their retention.

    `nightly_maintenance` asks for it. What runs printed is removed at the same age. A table that a run is writing is left for the
    next time. The metadata have one row per table.
    """

    def told(done: Maintained) -> None:
        context.log.info(f"{done.table}: {done.files_before} files, now {done.files_after}; {done.note or 'done'}")

    # The pool lets one run in, but a run that was cancelled by force has lost its place and may still be working: the lock keeps
    # the two apart. Without it one of two compactions of the same files would be refused, after doing its work for nothing.
    home, now = connections.settings.dagster_home, dt.datetime.now(dt.UTC)
    waits = once(lambda other: context.log.info(f"waiting for {other}, which maintains the tables"))
    with turn(home, "maintenance", waits, STEP_PATIENCE_SECONDS):
        if connections.warehouse.exists(RAW_CDRS.name):
            settle(connections.warehouse)  # the tables that follow the log read its entries before those are removed
        done = maintain(
            connections.warehouse,
            target_file_bytes=connections.settings.target_file_bytes,
            now=now,
            busy=partial(writer_at_work, context.instance),
            report=told,
        )
        # A day at least: the output of runs that are going on lies there too.
        outputs = remove_old_output(home, now - dt.timedelta(days=max(1, connections.settings.retention_days)))
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


def writer_at_work(instance: dg.DagsterInstance, table: str) -> str | None:
    """Why a table cannot be compacted now: the name of the pool that its writing step holds. None when it can."""
    for pool in WRITERS.get(table, (SPARK_POOL,)):
        slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
        if slots:
            return f"step {slots[0].step_key} of run {slots[0].run_id.partition('-')[0]} has the pool {pool}"
    return None


def as_table(done: Sequence[Maintained]) -> dg.TableMetadataValue:
    """What was done, a row per table."""
    types = {int: "int", float: "float", str: "string"}
    columns = [dg.TableColumn(field.name, types[type(field.default)]) for field in fields(Maintained)[1:]]
    return dg.MetadataValue.table(
        records=[dg.TableRecord(each.to_dict()) for each in done],
        schema=dg.TableSchema([dg.TableColumn("table", "string"), *columns]),
    )
