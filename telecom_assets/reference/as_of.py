"""Rows with dates: which of them are in force on a local day.

Belongs here: what validity means for every table with dates, and the only ways to use it: the join by the day of an event, the
judge, the days on which two versions of a table differ. Does not belong here: how a table gets its history, what a
price or a customer is.

A row is in force from `valid_from`, up to and without `valid_to`; NULL is without that bound. Days are local calendar days, as
`event_date` is: the day on which an event began. Of the rows of one key no two are in force on one day.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import and_

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.contract import TableContract
from telecom_assets.model.columns import VALID_FROM, VALID_TO, VALIDITY
from telecom_assets.model.stretches import Stretch, union
from telecom_assets.model.text import visible

#: Days as numbers (since 1970) for the bounds that a row does not have.
_BEFORE_ALL, _AFTER_ALL = -(2**31), 2**31 - 1
_EPOCH = dt.date(1970, 1, 1)
#: The same for the engines, whose dates end with the year 9999.
_FIRST_DAY, _LAST_DAY = dt.date(1, 1, 1), dt.date(9999, 12, 31)
_SHOWN = 5


def has_dates(contract: TableContract) -> bool:
    """Whether the rows of a table have dates."""
    return {VALID_FROM, VALID_TO} <= set(contract.column_names)


def entity(contract: TableContract) -> list[str]:
    """The columns that name what a row of a table with dates is about: its key without the day from which it holds."""
    return [name for name in contract.key if name != VALID_FROM]


def with_validity(table: pa.Table) -> pa.Table:
    """The table with the columns of VALIDITY; where it has none, all its rows are without bounds."""
    for column in VALIDITY:
        if column.name not in table.column_names:
            table = table.append_column(column.name, pa.nulls(table.num_rows, column.arrow_type))
    return table


# ------------------------------------------------------------------------------------------------------------ joining


def join_as_of(
    events: DataFrame, dated: DataFrame, on: Mapping[str, str], *, valid_from: str | None, day: str = "event_date"
) -> DataFrame:
    """Each event with the row that is in force on its day; the columns of that row are NULL where none is.

    events: any rows with a local day in the column `day`. dated: rows with VALID_FROM and VALID_TO, of which no two with the same
    key are in force on one day. on: column of the events -> column of `dated` that is equal to it. All columns of `dated` but the
    validity are added, so it has other names for them than the events; its VALID_FROM is added as `valid_from` (None: it is not).

    A key has few rows, so the engine joins by the key and looks at the days of the pairs it finds.
    """
    bounded = dated.select(
        *(name for name in dated.columns if name not in (VALID_FROM, VALID_TO)),
        *([F.col(VALID_FROM).alias(valid_from)] if valid_from else []),
        *_bounds("as_of"),
    )
    same = [F.col(left) == F.col(right) for left, right in on.items()]
    in_force = (F.col("as_of_first") <= F.col(day)) & (F.col(day) < F.col("as_of_end"))
    return events.join(bounded, on=reduce(and_, [*same, in_force]), how="left").drop("as_of_first", "as_of_end")


def both_in_force(
    left: DataFrame, right: DataFrame, on: Mapping[str, str], *, left_from: str, right_from: str
) -> DataFrame:
    """The pairs of rows of two tables with dates that are in force on some day together, and when they are.

    on: column of `left` -> column of `right` that is equal to it; all other columns have different names. Of each pair VALID_FROM and
    VALID_TO are the days of both; `left_from` and `right_from` are what each row has itself for VALID_FROM.
    """
    first, second = _renamed(left, "left", left_from), _renamed(right, "right", right_from)
    same = [F.col(one) == F.col(other) for one, other in on.items()]
    meet = (F.col("left_first") < F.col("right_end")) & (F.col("right_first") < F.col("left_end"))
    pairs = first.join(second, on=reduce(and_, [*same, meet]), how="inner")
    # `greatest` and `least` pass over NULL, which is the bound that a row does not have.
    return (
        pairs.withColumn(VALID_FROM, F.greatest(left_from, right_from))
        .withColumn(VALID_TO, F.least("left_to", "right_to"))
        .drop("left_first", "left_end", "left_to", "right_first", "right_end", "right_to")
    )


def _bounds(prefix: str) -> tuple[Column, Column]:
    """The validity of a row without NULL, as <prefix>_first and <prefix>_end."""
    return (
        F.coalesce(F.col(VALID_FROM), F.lit(_FIRST_DAY)).alias(f"{prefix}_first"),
        F.coalesce(F.col(VALID_TO), F.lit(_LAST_DAY)).alias(f"{prefix}_end"),
    )


def _renamed(dated: DataFrame, side: str, valid_from: str) -> DataFrame:
    return dated.select(
        *(name for name in dated.columns if name not in (VALID_FROM, VALID_TO)),
        F.col(VALID_FROM).alias(valid_from),
        F.col(VALID_TO).alias(f"{side}_to"),
        *_bounds(side),
    )


# ------------------------------------------------------------------------------------------------------------ reading


def rows_in_force(table: pa.Table, day: dt.date) -> pa.Table:
    """The rows that are in force on a day."""
    first, end = day_numbers(table)
    number = (day - _EPOCH).days
    return table.filter(pc.and_(pc.less_equal(first, number), pc.greater(end, number)))


def stretch_of(row: Mapping[str, dt.date | None]) -> Stretch:
    """The days on which a row is in force."""
    return Stretch(row[VALID_FROM], row[VALID_TO])


# ------------------------------------------------------------------------------------------------------------ judging


def validity_findings(table: pa.Table, contract: TableContract) -> list[str]:
    """What is wrong with the dates of a table: rows without a day, and keys with two rows in force on one day."""
    return [*_empty_rows(table, contract), *_overlaps(table, contract)]


def _empty_rows(table: pa.Table, contract: TableContract) -> Iterator[str]:
    first, end = day_numbers(table)
    empty = table.filter(pc.less_equal(end, first)).select([*entity(contract), VALID_FROM, VALID_TO])
    shown = [
        f"{contract.name} {named(row, contract)}: valid_from is {row[VALID_FROM]} and valid_to {row[VALID_TO]}, so it is in force on "
        "no day; expected a later valid_to"
        for row in empty.slice(0, _SHOWN).to_pylist()
    ]
    yield from shown
    if empty.num_rows > len(shown):
        yield f"{contract.name}: {empty.num_rows - len(shown)} more rows that are in force on no day"


def _overlaps(table: pa.Table, contract: TableContract) -> Iterator[str]:
    """Keys with two rows in force on one day: each row is compared with the one before it, by key and first day."""
    first, end = day_numbers(table)
    keys = entity(contract)
    bounded = table.select(keys).append_column("first", first).append_column("end", end)
    bounded = bounded.filter(pc.less(bounded["first"], bounded["end"]))
    bounded = bounded.sort_by([(name, "ascending") for name in [*keys, "first", "end"]]).combine_chunks()
    before, after = bounded.slice(0, max(bounded.num_rows - 1, 0)), bounded.slice(1)
    if not after.num_rows:
        return
    clash = pc.less(after["first"], before["end"])
    for name in keys:
        clash = pc.and_(clash, pc.equal(after[name], before[name]))
    # A key without a value is another finding.
    clash = pc.fill_null(clash, False)
    pairs = zip(before.filter(clash).to_pylist(), after.filter(clash).to_pylist(), strict=True)
    common: dict[str, list[Stretch]] = {}
    for one, other in pairs:
        days = Stretch(_day(max(one["first"], other["first"])), _day(min(one["end"], other["end"])))
        common.setdefault(named(one, contract), []).append(days)
    first_ones = list(common.items())[:_SHOWN]
    if first_ones:
        shown = ", ".join(f"{name} ({', '.join(map(str, union(days)))})" for name, days in first_ones)
        more = f" and {len(common) - _SHOWN} more" if len(common) > _SHOWN else ""
        yield f"{contract.name}: {', '.join(keys)} more than once on a day: {shown}{more}"


def named(row: Mapping[str, object], contract: TableContract) -> str:
    """What a row is about, as its key without the day: PLAN_A/SMS_NAT."""
    return "/".join(visible(row[name]) for name in entity(contract))


# ---------------------------------------------------------------------------------------------------------- comparing


def differing_days(then: pa.Table, now: pa.Table) -> list[Stretch]:
    """The days on which the rows in force differ between two versions of a table, as the fewest stretches, in order.

    A row is another one when any value differs, VALID_FROM included, since whoever was priced by it names that. Its VALID_TO alone
    changes no day that both versions have: a price that ends tomorrow is the same price today. So a new row from some day on, and the
    end of the old one on that day, concern the days from then on. Columns that `then` lacks count as NULL there.

    Exact where each version keeps the rule that no two rows of one key are in force on one day. No row is looked at in Python.
    """
    distinct = _differing(then, now).group_by(["begins", "ends"]).aggregate([]).to_pylist()
    return union(Stretch(_day(each["begins"]), _day(each["ends"])) for each in distinct)


def differing_on(then: pa.Table, now: pa.Table, days: Iterable[Stretch]) -> pa.Table:
    """The rows of two versions of a table that are in force in one of them alone on some of these days: `now`'s columns without the
    validity, each once. A change of a row is two rows, as it was and as it is.
    """
    found = _differing(then, now)
    wanted = pa.repeat(False, found.num_rows)
    for each in days:
        begins, ends = _bound(each.first, _BEFORE_ALL), _bound(each.end, _AFTER_ALL)
        meets = pc.and_(pc.less(found["begins"], ends), pc.greater(found["ends"], begins))
        wanted = pc.or_(wanted, meets)
    content = [name for name in now.column_names if name not in (VALID_FROM, VALID_TO)]
    return found.filter(wanted).select(content).group_by(content).aggregate([]).select(content)


def _differing(then: pa.Table, now: pa.Table) -> pa.Table:
    """The rows that are in force in one version alone, and when: from `begins` up to and without `ends`, days as numbers."""
    content = pa.schema([field for field in now.schema if field.name not in (VALID_FROM, VALID_TO)])
    sides = pa.concat_tables([_side(then, content, 0), _side(now, content, 1)])
    same = ["first", *content.names]
    grouped = sides.group_by(same).aggregate(
        [("side", "min"), ("side", "max"), ("end", "min"), ("end", "max"), ([], "count_all")]
    )
    in_both = pc.and_(pc.not_equal(grouped["side_min"], grouped["side_max"]), pc.equal(grouped["count_all"], 2))
    # In both versions: they differ between the two ends. In one alone: they differ wherever it is in force.
    begins = pc.if_else(in_both, grouped["end_min"], grouped["first"])
    rows = grouped.select(content.names).append_column("begins", begins).append_column("ends", grouped["end_max"])
    return rows.filter(pc.less(rows["begins"], rows["ends"]))


def _side(table: pa.Table, content: pa.Schema, side: int) -> pa.Table:
    """The columns that are compared, the bounds as numbers, and which of the two versions it is."""
    first, end = day_numbers(with_validity(table))
    for field in content:
        if field.name not in table.column_names:
            table = table.append_column(field.name, pa.nulls(table.num_rows, field.type))
    compared = table.select(content.names).cast(content)
    sides = pa.repeat(side, table.num_rows)
    return compared.append_column("first", first).append_column("end", end).append_column("side", sides)


def day_numbers(table: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The first day of each row and the day on which it ends, as numbers without NULL."""
    first, end = (table[name].cast(pa.date32()).cast(pa.int32()) for name in (VALID_FROM, VALID_TO))
    return pc.fill_null(first, _BEFORE_ALL), pc.fill_null(end, _AFTER_ALL)


def _bound(day: dt.date | None, without: int) -> int:
    return without if day is None else (day - _EPOCH).days


def _day(number: int) -> dt.date | None:
    return None if number in (_BEFORE_ALL, _AFTER_ALL) else _EPOCH + dt.timedelta(days=number)
