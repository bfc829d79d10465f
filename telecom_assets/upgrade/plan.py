"""What an upgrade would do to a warehouse, from its tables alone. Nothing is changed.

Belongs here: what is looked at, and when a warehouse cannot be upgraded. Does not belong here: doing it (`operation`).
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc
from deltalake import DeltaTable

from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE
from telecom_assets.intake.journal import DISPLACED, read_state
from telecom_assets.intake.tables import LANDING_DECISIONS, LANDING_RANGES, RAW_CDRS
from telecom_assets.mediation.stale_days import days_with_new_rows
from telecom_assets.mediation.tables import MEDIATED_DAYS
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import PeriodError
from telecom_assets.rating.rules import MissingVolumePolicy
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS
from telecom_assets.reference.tables import BILLING_TERMS, RATE_PLANS
from telecom_assets.tables import TABLES
from telecom_assets.upgrade.raw_rows import Doubled, Range, behind, elsewhere, find_doubled, rows_of
from telecom_assets.upgrade.shapes import SOURCE, Shape, shape_of

RAW, LEDGER, MEDIATED = RAW_CDRS.name, LANDING_RANGES.name, MEDIATED_DAYS.name
#: Name of a transaction version of a table: its number is the version that the upgrade has made.
UPGRADED = "telecom.upgraded"
#: The order of the commits. raw_cdrs comes first, since all others follow from it; mediated_days comes after cleaned and rejected
#: rows, whose versions it names; the ledger comes last: without it nothing lands and nothing is billed, so a warehouse that is
#: half upgraded is refused as a whole.
ORDER = (RAW, *(name for name in TABLES if name not in (RAW, MEDIATED, LEDGER)), MEDIATED, LEDGER)


#: Tables that a former version did not have, each with tables that tell that it is expected.
_BESIDE = {
    PERIOD_CHARGES.name: [RATED_CDRS.name],
    BILLING_TERMS.name: [RATE_PLANS.name, FACTURATION_COMPLETE.name],
    BILL_LINES.name: [FACTURATION_COMPLETE.name],
}


@dataclass(frozen=True)
class Plan:
    """The tables to change, and what is known before they are changed."""

    #: Tables that are to be rewritten, in the order of their commits.
    shapes: Sequence[Shape]
    #: The source that all rows came from.
    source_id: str | None
    topic: str | None
    #: Next position of each partition.
    ends: Mapping[int, int] = field(default_factory=dict)
    #: Positions that the ledger does not know.
    missing: Sequence[Range] = ()
    doubled: Doubled = field(default_factory=Doubled)
    #: Months opened by name that become decisions of the warehouse, each with the number of rows that move to their own days.
    months: Mapping[str, int] = field(default_factory=dict)
    #: Days that are to be mediated again afterwards.
    days: Collection[dt.date] = ()
    #: Tables that the former version did not have. They are made empty, since checks expect them.
    added: Sequence[str] = ()
    #: Months to rate again: in the former version their days charged sessions that their month charges now.
    months_to_rate: Sequence[str] = ()
    #: Months to bill again: the former version made their bills without lines.
    months_to_bill: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        return not self.shapes and not self.months and not self.added


def plan_upgrade(
    warehouse: Warehouse,
    months: Sequence[str],
    calendar_start: dt.date,
    missing_volume: MissingVolumePolicy = "customer_min",
) -> Plan:
    """Look at every table there is. months: those that the former version has opened by name, in this home.

    missing_volume: the policy that the warehouse is worked with. Raises WarehouseError for a warehouse that is not there, or
    cannot be upgraded, PeriodError where rows of an approved or closed period would change.
    """
    found = [shape for name in ORDER if (shape := shape_of(warehouse, name)) is not None]
    if not found:
        raise WarehouseError(
            f"no warehouse at {warehouse.root}: none of its tables is there, so nothing is to be upgraded; `telecom run` "
            "makes one, or set TELECOM_WAREHOUSE to yours"
        )
    shapes = {shape.name: shape for shape in found}
    added = [name for name, beside in _BESIDE.items() if any(each in shapes for each in beside) and name not in shapes]
    to_bill = _billed_without_lines(warehouse, shapes)
    to_rate = _imputed_by_day(warehouse, shapes) if missing_volume == "customer_min" else []
    due = [shape for shape in found if not shape.is_new]
    _assert_open(warehouse, due)
    ledger = former_rows(warehouse, shapes[LEDGER]) if LEDGER in shapes else []
    source_id, topic = _source(warehouse, due, ledger)
    opened = _opened(warehouse, shapes)
    raw = shapes.get(RAW)
    if raw is None:
        moves = dict.fromkeys(sorted(set(months) - opened), 0)
        return Plan(due, source_id, topic, months=moves, added=added, months_to_rate=to_rate, months_to_bill=to_bill)
    ends: dict[int, int] = {}
    for row in ledger:
        ends[row["source_part"]] = max(row["to_position"], ends.get(row["source_part"], 0))
    missing: list[Range] = []
    doubled = Doubled()
    if SOURCE in raw.added and raw.rows:
        rows = rows_of(warehouse, raw, source_id)
        missing, doubled = behind(rows, ends), find_doubled(rows)
        ends |= {each.part: each.end for each in missing}
    days, moves = set(doubled.days), {}
    for month in sorted(set(months) - opened):
        moves[month], touched = (
            elsewhere(rows_of(warehouse, raw, source_id), month, calendar_start) if raw.rows else (0, set())
        )
        days |= touched
    if MEDIATED in shapes and (due or moves):
        days |= _stale(warehouse, raw, shapes[MEDIATED])
    return Plan(due, source_id, topic, ends, missing, doubled, moves, days, added, to_rate, to_bill)


def former_rows(warehouse: Warehouse, shape: Shape) -> list[dict[str, Any]]:
    """All rows of a small table, under the names of its contract; what it does not have is left out."""
    table = warehouse.pin(shape.name, version=shape.version, was=shape.was).arrow()
    named = table.rename_columns([name for name in shape.contract.column_names if name not in shape.added])
    rows: list[dict[str, Any]] = named.to_pylist()
    return rows


def upgraded_version(warehouse: Warehouse, name: str) -> int:
    """The version of a table that the upgrade has made, even when newer ones exist; the newest version when it has made none."""
    return warehouse.log(name).position(UPGRADED) or warehouse.version(name)


def _assert_open(warehouse: Warehouse, due: Sequence[Shape]) -> None:
    """Raise PeriodError where a table would be rewritten that has rows of an approved or closed period."""
    periods = read_periods(warehouse)
    for shape in due:
        if shape.contract.closes and not shape.only_grows and periods.frozen:
            values = warehouse.pin(shape.name, version=shape.version, was=shape.was).rows_by_partition()
            months = {f"{value}"[: len("yyyy-MM")] for value, rows in values.items() if rows}
            if frozen := sorted(months & set(periods.frozen)):
                raise PeriodError(
                    f"table {shape.name} was not upgraded: it is of an earlier version, and has rows of {frozen[0]}, which would "
                    f"change: {periods.says(frozen[0])}. Restore {shape.name} from a backup of after {frozen[0]} became "
                    f"{periods.state(frozen[0])}; nothing was changed"
                )


def _source(
    warehouse: Warehouse, due: Sequence[Shape], ledger: Sequence[Mapping[str, Any]]
) -> tuple[str | None, str | None]:
    """The source of rows without one. Raises WarehouseError where the tables do not say which it was."""
    without = [shape for shape in due if SOURCE in shape.added or (shape.name == LEDGER and shape.renamed)]
    if not without:
        return None, None
    topics = {row["source_id"]: row["kafka_topic"] for row in ledger}
    if len(topics) > 1:
        named = ", ".join(f"{topic} ({source_id})" for source_id, topic in sorted(topics.items()))
        raise WarehouseError(
            f"warehouse {warehouse.root} was filled from several topics, {named}; expected one, since rows do not say from "
            "which of them they came: set TELECOM_WAREHOUSE to a new folder and land the topics or their archives again"
        )
    if not topics and (with_rows := [shape.name for shape in without if shape.rows]):
        raise WarehouseError(
            f"warehouse {warehouse.root}: {', '.join(with_rows)} have rows, and {LEDGER} does not say from which topic; "
            f"restore {LEDGER} from a backup, or set TELECOM_WAREHOUSE to a new folder and land the topic or its archives "
            "again"
        )
    return next(iter(topics.items()), (None, None))


def _imputed_by_day(warehouse: Warehouse, shapes: Mapping[str, Shape]) -> list[str]:
    """Months of rated_cdrs with imputed volumes, which under the policy customer_min the month imputes now, not the day.

    Their amounts are right, and are added to those of period_charges, so they are not split here. To rate the month again gives
    the same charges, and `telecom run` does so anyway, since the rules have changed.
    """
    if RATED_CDRS.name not in shapes:
        return []
    shape = shapes[RATED_CDRS.name]
    table = DeltaTable(warehouse.path(shape.name), version=shape.version, storage_options=warehouse.storage_options)
    found = table.to_pyarrow_dataset().to_table(columns=["billing_period"], filter=pc.field("imputed"))
    return sorted(found["billing_period"].unique().to_pylist())


def _billed_without_lines(warehouse: Warehouse, shapes: Mapping[str, Shape]) -> list[str]:
    """Months with bills, where the warehouse has no lines of bills yet. The same charges give the same figures."""
    if FACTURATION_COMPLETE.name not in shapes or BILL_LINES.name in shapes:
        return []
    shape = shapes[FACTURATION_COMPLETE.name]
    bills = warehouse.pin(shape.name, version=shape.version, was=shape.was)
    return sorted(period for period, rows in bills.rows_by_partition().items() if rows)


def _opened(warehouse: Warehouse, shapes: Mapping[str, Shape]) -> set[str]:
    """Months that the warehouse has decided to open."""
    asked = {RAW, LEDGER}
    if any(name not in shapes or not shapes[name].is_new for name in asked) or LANDING_DECISIONS.name not in shapes:
        return set()
    return set(read_state(warehouse).opened_months)


def _stale(warehouse: Warehouse, raw: Shape, mediated: Shape) -> set[dt.date]:
    """Days that were stale before the upgrade: their rows are not the mediated ones, or the former version marked them."""
    landed = warehouse.pin(RAW, version=raw.version, was=raw.was).rows_by_partition()
    counted = {row["event_date"]: row["raw_rows"] for row in former_rows(warehouse, mediated)}
    return days_with_new_rows(landed, counted) | _displaced(warehouse, raw)


def _displaced(warehouse: Warehouse, raw: Shape) -> set[dt.date]:
    """Displaced days in the commit of raw_cdrs by an upgrade that died afterwards."""
    version = warehouse.log(RAW).position(UPGRADED) if raw.is_new else None
    for action in warehouse.log(RAW).entry(version) or () if version is not None else ():
        if days := action.get("commitInfo", {}).get(DISPLACED):
            return {dt.date.fromisoformat(day) for day in days}
    return set()
