"""Control totals: what each stage wrote, by day or period, record type, outcome and reason.

Belongs here: working them out from the rows, noting them, and reading those of a version. As what the rows of a table are counted
says its contract (`Counted`). Does not belong here: which totals must be equal (`identities.py` of each room).

A total names the commit that changed its day or period last. A reader takes only the totals of the commits that the pinned version
has, and works out what was not noted: after a kill between the commit of the rows and that of the totals, or of a former version.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, reduce
from operator import add
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as F

from resources.contract import Counted, TableContract
from resources.warehouse import (
    Partitions,
    PinnedTable,
    Warehouse,
    WarehouseError,
    as_first_seen,
    identity_of,
    partition_value,
    sum_exactly,
)
from telecom_assets.books.tables import CONTROL_TOTALS, OTHER
from telecom_assets.model.numbers import zero_if_null
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes


@dataclass(frozen=True)
class Total:
    """The rows of one day or period (`value`) of a table that have the same record type, outcome and reason. See CONTROL_TOTALS."""

    value: Any
    record_type: str
    outcome: str
    reason: str
    records: int
    positions: Decimal | None
    seconds: Decimal | None
    megabytes: Decimal | None
    money: Decimal | None


@dataclass(frozen=True)
class _State:
    """The commit that gave a day or period its rows. version -1: the log does not know it any more."""

    version: int
    commit: str = ""


def totals_of(pinned: PinnedTable, record_types: RecordTypes = RECORD_TYPES) -> list[Total]:
    """The totals of the pinned days or periods, as the pinned version has them. Reading writes nothing."""
    noted, missing = _noted_and_missing(pinned)
    return [*noted, *(_worked_out(as_first_seen(pinned), frozenset(missing), record_types) if missing else ())]


def note_totals(pinned: PinnedTable, record_types: RecordTypes = RECORD_TYPES) -> int:
    """Note the totals of the pinned days or periods that are not noted yet; returns how many days or periods these are.

    Two that do so at once note the same rows, which count once.
    """
    warehouse, contract = pinned.warehouse, pinned.contract
    if contract.counted is None or CONTROL_TOTALS.name not in warehouse.contracts:
        return 0
    noted, missing = _noted_and_missing(pinned)
    worked_out = _worked_out(as_first_seen(pinned), frozenset(missing), record_types) if missing else ()
    _tell_sums(pinned, [*noted, *worked_out])
    if not missing:
        return 0
    rows = []
    for total in worked_out:
        state = missing[total.value]
        rows.append(
            {
                **vars(total),
                "counted_table": pinned.name,
                "counted_id": pinned.table_id,
                "counted_version": pinned.version if state.version < 0 else state.version,
                "counted_commit": state.commit,
                "stage": contract.counted.stage,
                "day_or_period": str(total.value),
                "billing_period": _month(total.value),
            }
        )
    warehouse.append_arrow(CONTROL_TOTALS.name, pa.Table.from_pylist(rows, schema=CONTROL_TOTALS.arrow_schema()))
    return len(missing)


def _tell_sums(pinned: PinnedTable, totals: Iterable[Total]) -> None:
    """Let the pinned table know the sums of its money columns, so that no other aggregate is asked for them."""
    contract, counted, money = pinned.contract, pinned.contract.counted, pinned.contract.money
    if counted is None or money != (tuple(counted.amount_names) or (counted.money,)):
        return
    sums: dict[Any, dict[str, Decimal]] = {}
    for each in totals:
        of = sums.setdefault(each.value, dict.fromkeys(money, Decimal(0)))
        name = each.outcome if counted.amounts else counted.money
        amount = round(each.money or Decimal(0), contract.column(name).arrow_type.scale)
        of[name] = sum_exactly([of[name], amount])
    pinned.warehouse.sums[pinned] = sums


def by_outcome(totals: Iterable[Total]) -> dict[tuple[str, str], tuple[int, Decimal]]:
    """Of each outcome and reason: its records, and their money."""
    found: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for each in totals:
        records, money = found.get((each.outcome, each.reason), (0, Decimal(0)))
        found[each.outcome, each.reason] = (records + each.records, sum_exactly([money, each.money or Decimal(0)]))
    return found


def amounts_of(pinned: PinnedTable) -> dict[str, Decimal]:
    """What each amount of a table whose rows have several comes to, with the decimals that its money has there."""
    contract = pinned.contract
    assert contract.counted is not None
    found = dict.fromkeys(contract.counted.amount_names, Decimal(0))
    for (name, _), (_, money) in by_outcome(totals_of(pinned)).items():
        of = name if name in contract.money else contract.money[0]
        scale = contract.column(of).arrow_type.scale
        found[name] = sum_exactly([found[name], round(money, scale)])
    return found


def records_and_positions(totals: Iterable[Total]) -> dict[Any, tuple[int, int]]:
    """Of each day or period: its rows, and the sum of their positions."""
    found: dict[Any, tuple[int, int]] = {}
    for each in totals:
        records, positions = found.get(each.value, (0, 0))
        found[each.value] = (records + each.records, positions + int(each.positions or 0))
    return found


def _noted_and_missing(pinned: PinnedTable) -> tuple[list[Total], dict[Any, _State]]:
    """The totals that are noted, and the days or periods with rows of which none are, each with the state that it is in."""
    counts = {value: rows for value, rows in pinned.rows_by_partition().items() if rows and value is not None}
    if not counts:
        return [], {}
    states, noted = _states(pinned, counts), _noted(pinned, counts)
    found: list[Total] = []
    missing: dict[Any, _State] = {}
    for value, state in states.items():
        of_value = noted.get(value, {})
        # Where the log has lost the commit, nothing has changed the rows for as long as it reaches back: the newest totals are theirs.
        key = max(of_value, key=lambda each: each.version, default=state) if state.version < 0 else state
        totals = of_value.get(key, ())
        if _are_whole(totals, pinned.contract, counts[value]):
            found += totals
        else:
            missing[value] = state
    return found, missing


def _are_whole(totals: Collection[Total], contract: TableContract, rows: int) -> bool:
    """Whether totals count so many rows: under each of its amounts, where a row has several."""
    assert contract.counted is not None
    names = contract.counted.amount_names
    if not names:
        return sum(each.records for each in totals) == rows
    return all(sum(each.records for each in totals if each.outcome == name) == rows for name in names)


def _states(pinned: PinnedTable, values: Iterable[Any]) -> dict[Any, _State]:
    log = pinned.warehouse.log(pinned.name)
    changed = log.last_changed(-1, pinned.version)
    commits = {
        version: identity_of(log.entry(version)) for version in {changed[value] for value in values if value in changed}
    }
    return {
        value: _State(changed[value], commits[changed[value]]) if value in changed else _State(-1) for value in values
    }


def _noted(pinned: PinnedTable, values: Collection[Any]) -> Mapping[Any, Mapping[_State, Collection[Total]]]:
    warehouse = pinned.warehouse
    if CONTROL_TOTALS.name not in warehouse.contracts or not warehouse.exists(CONTROL_TOTALS.name):
        return {}
    months = sorted({_month(value) for value in values})
    return _read(
        warehouse.pin(CONTROL_TOTALS.name, Partitions(months[0], months[-1])), pinned.contract, pinned.table_id
    )


@lru_cache(maxsize=64)
def _read(
    noted: PinnedTable, contract: TableContract, table_id: str
) -> Mapping[Any, Mapping[_State, Collection[Total]]]:
    """Of each day or period and state of a table the totals that are noted, each once."""
    rows = _files_of(noted).filter((pc.field("counted_table") == contract.name) & (pc.field("counted_id") == table_id))
    found: dict[Any, dict[_State, dict[Total, None]]] = {}
    for row in rows.to_pylist():
        value = partition_value(row["day_or_period"], contract)
        total = Total(value, *(row[each] for each in list(Total.__dataclass_fields__)[1:]))
        found.setdefault(value, {}).setdefault(_State(row["counted_version"], row["counted_commit"]), {})[total] = None
    return found


@lru_cache(maxsize=8)
def _files_of(noted: PinnedTable) -> pa.Table:
    """The rows of control_totals: read once for all tables that they are about, since they lie in many small files."""
    return noted.arrow()


@lru_cache(maxsize=64)
def _worked_out(pinned: PinnedTable, values: frozenset[Any], record_types: RecordTypes) -> Collection[Total]:
    """The totals of some days or periods from the rows of the table, in one aggregate."""
    contract = pinned.contract
    assert contract.counted is not None and contract.partition_by is not None
    counted, by = contract.counted, contract.partition_by
    rows = pinned.all().where(Partitions(min(values), max(values)).holds(F.col(by)))
    if len(values) < len(pinned.rows_by_partition()):
        rows = rows.where(F.col(by).isin(sorted(values)))
    of = F.expr(counted.of).cast("string")
    keys = {
        "value": F.col(by),
        "record_type": F.when(of.isin(*record_types.names), of).otherwise(F.lit(OTHER)),
        "outcome": F.expr(counted.outcome).cast("string"),
        "reason": F.coalesce(F.expr(counted.reason).cast("string"), F.lit("")),
    }
    sums = {**_sums(contract, counted, record_types), **{name: F.expr(of) for name, of in counted.amounts}}
    sums["money"] = F.expr(counted.money)
    wide = {"positions": "decimal(20,0)", "seconds": "decimal(24,3)", "megabytes": "decimal(24,6)"}
    columns = [column.alias(name) for name, column in keys.items()]
    columns += [
        column.cast(wide.get(name, "decimal(28,6)")).alias(name if name not in counted.amount_names else f"of_{name}")
        for name, column in sums.items()
    ]
    names = [name if name not in counted.amount_names else f"of_{name}" for name in sums]
    found = (
        rows.select(columns)
        .groupBy(*keys)
        .agg(F.count("*").alias("records"), *(F.sum(name).alias(name) for name in names))
    )
    return tuple(
        Total(
            row["value"],
            row["record_type"],
            outcome,
            row["reason"],
            row["records"],
            row["positions"],
            row["seconds"],
            row["megabytes"],
            row[money],
        )
        for row in found.collect()
        for outcome, money in ([(each, f"of_{each}") for each in counted.amount_names] or [(row["outcome"], "money")])
    )


def _sums(contract: TableContract, counted: Counted, record_types: RecordTypes) -> dict[str, Column]:
    """Positions, seconds and megabytes of a row, NULL where the table does not have them."""
    nothing = F.lit(None)
    sums = {"positions": nothing, "seconds": nothing, "megabytes": nothing}
    if "source_position" in contract.column_names:
        sums["positions"] = F.col("source_position")
    if counted.measured == "quantities":
        for unit in ("seconds", "megabytes"):
            fields = [each.field for each in record_types.quantities.values() if each.unit == unit]
            if fields:
                known = reduce(lambda left, right: left | right, (F.col(field).isNotNull() for field in fields))
                sums[unit] = F.when(known, reduce(add, (zero_if_null(F.col(field)) for field in fields)))
    if counted.measured == "units":
        for each in record_types:
            charged = each.charged
            if charged is not None and charged.unit in sums:
                units = F.col("billable_units") * F.lit(each.units.started or 1)
                of_type = F.when(F.expr(counted.of) == each.name, units)
                sums[charged.unit] = F.coalesce(of_type, sums[charged.unit])
    return sums


def _month(value: Any) -> str:
    return f"{value:%Y-%m}" if isinstance(value, dt.date) else str(value)


def note_all_totals(warehouse: Warehouse, record_types: RecordTypes = RECORD_TYPES) -> int:
    """Note what is not noted yet of any table; returns how many days and periods these are.

    A table that cannot be read is left aside: it is an error of whoever needs it.
    """
    noted = 0
    for name, contract in warehouse.contracts.items():
        if contract.counted is not None:
            with suppress(WarehouseError):
                noted += note_totals(warehouse.pin(name), record_types)
    return noted
