"""Care of the tables, beside the runs that write and read them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import fields
from functools import partial

import dagster as dg

from resources.delta import Warehouse
from resources.maintenance import Maintained, maintain
from resources.process_locks import STEP_PATIENCE_SECONDS, once, turn
from telecom_assets.home.compute_logs import remove_old_output
from telecom_assets.home.settings import Settings
from telecom_assets.intake.journal import settle
from telecom_assets.intake.tables import DISPLACED_DAYS, LANDING_DECISIONS, LANDING_RANGES, RAW_CDRS
from telecom_assets.lineage.declaring import LANDING_POOL, MAINTENANCE_POOL, PLATFORM_TEAM, SPARK_POOL, asset
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

GROUP = "maintenance"

#: Pools of the steps that write a table, where they are not the engine's alone. The reference tables are replaced whole
#: and in a moment, and a replacement that meets a compaction is tried again: no pool.
WRITERS: dict[str, Sequence[str]] = {
    RAW_CDRS.name: (LANDING_POOL,),
    LANDING_RANGES.name: (LANDING_POOL,),
    LANDING_DECISIONS.name: (LANDING_POOL,),
    DISPLACED_DAYS.name: (LANDING_POOL,),
    **dict.fromkeys((CUSTOMERS.name, RATE_PLANS.name, PRODUCT_CATALOG.name), ()),
}


@asset(group_name=GROUP, owners=[PLATFORM_TEAM], kinds={"delta"}, pool=MAINTENANCE_POOL)
def maintenance(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.MaterializeResult:
    """Keeps the tables quick to read and the disk free: merges small files, removes versions that are past their retention.

    `nightly_maintenance` asks for it. What runs printed is removed at the same age. A table that a run is writing is left for the
    next time. The metadata have one row per table.
    """

    def told(done: Maintained) -> None:
        context.log.info(f"{done.table}: {done.files_before} files, now {done.files_after}; {done.note or 'done'}")

    # The pool lets one run in. What was cancelled by force has lost its place and may be at work all the same. Of two
    # compactions of the same files one is refused: it would have worked for nothing.
    home, now = settings.dagster_home, dt.datetime.now(dt.UTC)
    waits = once(lambda other: context.log.info(f"waiting for {other}, which maintains the tables"))
    with turn(home, "maintenance", waits, STEP_PATIENCE_SECONDS):
        if warehouse.exists(RAW_CDRS.name):
            settle(warehouse)  # before entries of the log go, the tables that follow it have what they say
        done = maintain(
            warehouse,
            target_file_bytes=settings.target_file_bytes,
            now=now,
            busy=partial(writer_at_work, context.instance),
            report=told,
        )
        # A day at least: what prints now has its output there too.
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


def writer_at_work(instance: dg.DagsterInstance, table: str) -> str | None:
    """Why a table is not to be compacted now: the step that writes it has its pool."""
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
