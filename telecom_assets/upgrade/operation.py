"""Carrying out an upgrade: one conditional commit for each table, in an order that a kill at any moment does not spoil.

A table that has its new shape is left as it is, so a second upgrade goes on where a first one died. It learns from the tables
themselves what the first one did: raw_cdrs holds its positions and the days whose outcome may change, and each table the
version that the upgrade has made of it.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from resources.warehouse import EVERYTHING, Refused, Staged, Warehouse, WarehouseError
from telecom_assets.intake.decisions import open_month
from telecom_assets.intake.identities import landed_rows_are_consumed
from telecom_assets.intake.journal import DISPLACED, LANDED, key, settle
from telecom_assets.intake.landing import landed_info
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.upgrade.ledgers import Outcomes, marked_days, mediated_once, ranges_once
from telecom_assets.upgrade.plan import LEDGER, MEDIATED, RAW, UPGRADED, Plan, former_rows, upgraded_version
from telecom_assets.upgrade.raw_rows import count_positions, rows_of, without_doubled
from telecom_assets.upgrade.rewrite import rewrite
from telecom_assets.upgrade.shapes import HOLDER, SOURCE, Shape, add_columns, set_indexed, shape_of


@dataclass(frozen=True)
class Done:
    """The results of an upgrade that its plan could not know."""

    #: Rows that moved to their own days, by opened month.
    moved: Mapping[str, int] = field(default_factory=dict)
    #: Days that are to be mediated again.
    days: Collection[dt.date] = ()
    #: Findings of the identity of landing; empty when it holds.
    findings: Sequence[str] = ()


def upgrade(
    warehouse: Warehouse,
    plan: Plan,
    *,
    calendar_start: dt.date,
    dedupe_days: int,
    report: Callable[[str], None] = lambda _line: None,
) -> Done:
    """Do what a plan says. Raises WarehouseError when another process writes a table at the same time.

    Each table is changed as a whole or not at all. When the upgrade stops, the tables before keep their new shape.
    """
    for planned in plan.shapes:
        shape = _with_statistics(warehouse, planned)
        report(f"{shape.name}: {shape.rows:,} rows in {shape.files:,} files")
        if shape.only_grows:
            if add_columns(warehouse, shape) != shape.version + 1:
                raise _written_meanwhile(shape)
        elif shape.name == RAW and shape.added:
            _raw(warehouse, shape, plan)
        elif shape.name == MEDIATED and shape.added:
            _mediated(warehouse, shape)
        elif shape.name == LEDGER and shape.renamed:
            _ledger(warehouse, shape)
        else:
            # Every number had one holder until now, who was a customer on all days.
            _commit(warehouse, shape, rewrite(warehouse, shape, {SOURCE: plan.source_id, HOLDER: 1}))
    for name in plan.added:
        report(f"{name}: made, without rows")
        warehouse.make_tables([name])
    settle(warehouse)
    moved = {}
    for month in plan.months:
        report(f"month {month} is opened")
        moved[month] = open_month(
            warehouse,
            month,
            calendar_start=calendar_start,
            dedupe_days=dedupe_days,
            why="opened by a version that kept it in the home folder",
        )
    return Done(moved, set(stale_days(warehouse)), landed_rows_are_consumed(warehouse).findings)


def _with_statistics(warehouse: Warehouse, planned: Shape) -> Shape:
    """The planned change of a table, after the table was told how many of its columns have statistics."""
    if planned.indexed is None:
        return planned
    set_indexed(warehouse, planned)
    shape = shape_of(warehouse, planned.name)
    if shape is None or shape.version != planned.version + 1:
        raise _written_meanwhile(planned)
    return replace(planned, version=shape.version, indexed=None)


def _raw(warehouse: Warehouse, shape: Shape, plan: Plan) -> None:
    """raw_cdrs: rows with their source, each message once; positions, opened months and displaced days in the commit."""
    doubled = plan.doubled
    parts = [
        rewrite(
            warehouse,
            shape,
            {SOURCE: plan.source_id},
            without={day.isoformat() for group in doubled.groups for day in group},
        )
    ]
    rows = rows_of(warehouse, shape, plan.source_id)
    try:
        parts += [warehouse.stage(RAW, without_doubled(rows, group), was=shape.was) for group in doubled.groups]
    except BaseException:
        for part in parts:
            warehouse.drop(RAW, part.folder)
        raise
    staged = Staged(parts[0].folder, [file for part in parts for file in part.files])
    info, positions = dict[str, Any](), dict[str, int]()
    if plan.source_id is not None and plan.topic is not None:
        ranges = [(each.part, each.start, each.end, each.records) for each in plan.missing]
        days = set(doubled.days) | _marked(warehouse)
        info = {
            LANDED: landed_info(plan.source_id, plan.topic, ranges, ""),
            DISPLACED: [day.isoformat() for day in sorted(days)],
        }
        positions = {key(plan.source_id, part): end for part, end in plan.ends.items()}
    try:
        _commit(warehouse, shape, staged, expected=shape.rows - doubled.rows, positions=positions, info=info)
    except WarehouseError:
        for part in parts[1:]:
            warehouse.drop(RAW, part.folder)
        raise


def _marked(warehouse: Warehouse) -> set[dt.date]:
    """Days that the former version marked in mediated_days, to be mediated again."""
    shape = shape_of(warehouse, MEDIATED)
    return marked_days(former_rows(warehouse, shape)) if shape is not None else set()


def _mediated(warehouse: Warehouse, shape: Shape) -> None:
    """mediated_days: with the versions that cleaned_cdrs and rejected_cdrs have after their upgrade."""
    outcomes = []
    for contract in (CLEANED_CDRS, REJECTED_CDRS):
        version = upgraded_version(warehouse, contract.name)
        outcomes.append(Outcomes(version, warehouse.pin(contract.name, version=version).rows_by_partition()))
    rows = mediated_once(former_rows(warehouse, shape), *outcomes)
    _commit_rows(warehouse, shape, rows)


def _ledger(warehouse: Warehouse, shape: Shape) -> None:
    """landing_ranges: each position once; complete up to the version before raw_cdrs got its new shape."""
    raw, rows = warehouse.pin(RAW), []
    for each in ranges_once(former_rows(warehouse, shape)):
        place = (each.row["source_part"], each.row["from_position"], each.row["to_position"])
        records = each.row["records"] if each.known else count_positions(raw.all(), [place])[0]
        rows.append({**each.row, "records": records})
    upto = max(upgraded_version(warehouse, RAW) - 1, 0)
    _commit_rows(warehouse, shape, rows, positions={RAW_CDRS.name: upto})


def _commit_rows(
    warehouse: Warehouse, shape: Shape, rows: list[Any], positions: Mapping[str, int] | None = None
) -> None:
    """Replace all rows of a small table."""
    table = pa.Table.from_pylist(rows, schema=shape.contract.arrow_schema())
    files = warehouse.stage_arrow(shape.name, table)
    _commit(warehouse, shape, files, expected=len(rows), positions=positions)


def _commit(
    warehouse: Warehouse,
    shape: Shape,
    files: Staged,
    *,
    expected: int | None = None,
    positions: Mapping[str, int] | None = None,
    info: Mapping[str, Any] | None = None,
) -> None:
    """Replace all rows of a table by staged ones, on the version that was read. expected: number of rows (as many as before)."""
    expected = shape.rows if expected is None else expected
    try:
        if files.rows != expected:
            raise WarehouseError(
                f"table {shape.name} at {warehouse.path(shape.name)}: {files.rows} rows were written, expected {expected}; "
                "nothing of it was changed, run `telecom warehouse upgrade` again"
            )
        warehouse.commit(
            shape.name,
            files,
            shape.version,
            replace=EVERYTHING,
            positions={**(positions or {}), UPGRADED: shape.version + 1},
            info=info,
            was=shape.was,
        )
    except WarehouseError as error:
        warehouse.drop(shape.name, files.folder)
        raise (_written_meanwhile(shape) if isinstance(error, Refused) else error) from error


def _written_meanwhile(shape: Shape) -> WarehouseError:
    return WarehouseError(
        f"table {shape.name}: another process wrote it while it was upgraded; nothing of it was changed. End what works on "
        "the warehouse, and run `telecom warehouse upgrade` again"
    )
