"""The history of customers: which version of a customer holds on which days, and which holder of a number he is.

Belongs here: what becomes of the stored history with a list that was read, or with a file. Pure, and without a clock. Does not
belong here: who reads and stores (`assets`, `customer_storing`), what a row of a file may say (`customer_import`), what
validity means (`as_of`).

The rules work on the moments of a customer: a day from which a version of him holds, or from which none does. The end of a version
is the next moment. So a row that goes in between, a correction and an end are each one moment more, or another one in its place.
No row is looked at in Python: there may be millions.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.reference.as_of import rows_in_force
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMERS, NEW_HOLDER

_ID, _HOLDER = "customer_id", "holder_no"
_DAY, _LIVE = "day", "live"
_SCHEMA = CUSTOMERS.arrow_schema()
#: What a version says of its customer.
_CONTENT = [name for name in CUSTOMER_LIST.column_names if name != _ID]
_MOMENTS = pa.schema(
    [
        *(field for field in CUSTOMER_LIST.arrow_schema()),
        (_DAY, pa.int32()),
        (_LIVE, pa.bool_()),
        (_HOLDER, _SCHEMA.field(_HOLDER).type),
    ]
)
_EPOCH = dt.date(1970, 1, 1)
#: Days as numbers (since 1970) for bounds that a version does not have.
_BEFORE_ALL, _AFTER_ALL = -(2**31), 2**31 - 1
_SHOWN = 5

_Days = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ended:
    """How many customers were active before, and how many of them are in force no more; `first` are a few of those."""

    active: int
    ended: int
    first: tuple[str, ...]


def after_read(stored: pa.Table, read: pa.Table, day: dt.date) -> pa.Table:
    """The history (CUSTOMERS) after the list of all customers (CUSTOMER_LIST, each number once) was read on a local day.

    Who is seen first is valid from his activation_date, without bound where that is empty. What changed holds from `day`; who is
    gone from the list is ended on it. Who comes again after that day is the next holder of the number, from his activation_date
    or, where that is before the end of the last holder, from `day`. A version that would hold on no day is left out.
    """
    moments = _moments(stored)
    last = moments.filter(pa.array(_is_last(moments)))
    gone = last.filter(pc.and_not(last[_LIVE], pc.is_in(last[_ID], value_set=read[_ID].combine_chunks())))
    ends = _as_moments(gone, np.full(gone.num_rows, _number(day)), live=False, holders=_numbers(gone[_HOLDER]))
    changes = _changes(last, read, np.zeros(read.num_rows, bool), day)
    return _history(_instead(moments, pa.concat_tables([ends, changes]), day))


def after_import(stored: pa.Table, file: pa.Table, day: dt.date) -> pa.Table:
    """The history (CUSTOMERS) after some rows about customers were imported on a local day. Who is not among them stays as he is.

    file: the columns of CUSTOMER_LIST, VALID_FROM and NEW_HOLDER (boolean); each (customer_id, VALID_FROM) once. A row with a day
    corrects the version that begins on it, or goes in between: it holds up to the next moment of its customer. What differs in a row
    without a day holds from `day`, as in `after_read`. A row after a gap or marked as NEW_HOLDER begins a new holder; one within a
    gap belongs to the holder after it.
    """
    dated = file.filter(pc.is_valid(file[VALID_FROM]))
    undated = file.filter(pc.is_null(file[VALID_FROM]))
    moments = _moments(stored)
    if dated.num_rows:
        moments = _moments(_history(_put_in(moments, dated)))
    last = moments.filter(pa.array(_is_last(moments)))
    changes = _changes(last, undated, _mask(undated[NEW_HOLDER]), day)
    return _history(_instead(moments, changes, day))


def as_history(read: pa.Table) -> pa.Table:
    """The history (CUSTOMERS) of a table that has the dates itself (CUSTOMER_LIST with VALID_FROM and VALID_TO).

    Its rows stay as they are. A version after a gap begins a new holder of the number. The dates are not judged here (`as_of`).
    """
    ordered = _sorted(read.append_column(_DAY, _from(read[VALID_FROM], _BEFORE_ALL)))
    ends = _numbers(_from(ordered[VALID_TO], _AFTER_ALL))
    begins = _is_first(ordered)
    begins[1:] |= ends[:-1] < _numbers(ordered[_DAY])[1:]
    return (
        ordered.append_column(_HOLDER, pa.array(_counted(ordered, begins), pa.int32()))
        .select(_SCHEMA.names)
        .cast(_SCHEMA)
    )


def ended_active(stored: pa.Table, new: pa.Table, day: dt.date) -> Ended:
    """The active customers of a day by the stored history, and those of them who by the new one are not in force on that day."""
    was = rows_in_force(stored, day)
    active = was.filter(pc.equal(was["status"], "active"))[_ID]
    gone = active.filter(pc.invert(pc.is_in(active, value_set=rows_in_force(new, day)[_ID].combine_chunks())))
    return Ended(len(active), len(gone), tuple(sorted(gone.slice(0, _SHOWN).to_pylist())))


def present(file: pa.Table, new: pa.Table) -> pa.Table:
    """Of the imported rows those (CUSTOMER_LIST) that say how their customer is now, by the new history: one a customer."""
    latest = _moments(new)
    latest = latest.filter(pa.array(_is_last(latest)))
    begun = latest[_DAY].take(pc.index_in(file[_ID], value_set=latest[_ID].combine_chunks()))
    rows = _sorted(file.append_column(_DAY, _from(file[VALID_FROM], _AFTER_ALL)).append_column("begun", begun))
    newest = pa.array(_is_last(rows))
    is_now = pc.and_(newest, pc.fill_null(pc.greater_equal(rows[_DAY], rows["begun"]), True))
    return rows.filter(is_now).select(CUSTOMER_LIST.column_names)


def with_ends(history: pa.Table) -> pa.Table:
    """The history, and for each customer who is ended a row without content from that end on.

    Rating asks for it too: usage after an end is another outcome than usage in a gap, behind which the next holder comes.
    """
    ends = history.group_by([_ID]).aggregate([(VALID_TO, "max"), (VALID_TO, "count"), ([], "count_all")])
    ended = ends.filter(pc.equal(ends[f"{VALID_TO}_count"], ends["count_all"]))
    rows = {name: pa.nulls(ended.num_rows, _SCHEMA.field(name).type) for name in _SCHEMA.names}
    rows |= {_ID: ended[_ID], VALID_FROM: ended[f"{VALID_TO}_max"]}
    return pa.concat_tables([history, pa.table(rows, _SCHEMA)])


# ------------------------------------------------------------------------------------------------------------ moments


def _moments(history: pa.Table) -> pa.Table:
    """The moments of a history, by customer and day: where versions begin, and where one ends that no other follows."""
    starts = _as_moments(
        history, _numbers(_from(history[VALID_FROM], _BEFORE_ALL)), live=True, holders=_numbers(history[_HOLDER])
    )
    ended = history.filter(pc.is_valid(history[VALID_TO]))
    ends = _as_moments(
        ended, _numbers(_from(ended[VALID_TO], _AFTER_ALL)), live=False, holders=_numbers(ended[_HOLDER])
    )
    both = _sorted(pa.concat_tables([starts, ends]), then=[(_LIVE, "ascending")])
    # Where a version follows on the day on which another ends, the moment is the beginning of that one.
    followed = np.zeros(both.num_rows, bool)
    followed[:-1] = _same_customer(both) & (_numbers(both[_DAY])[1:] == _numbers(both[_DAY])[:-1])
    return both.filter(pa.array(~followed))


def _history(moments: pa.Table) -> pa.Table:
    """The history of some moments, with as few versions as say the same."""
    moments = _sorted(moments)
    live = _mask(moments[_LIVE])
    nothing_new = np.zeros(moments.num_rows, bool)
    nothing_new[1:] = _same_customer(moments) & (
        (~live[1:] & ~live[:-1])
        | (live[1:] & live[:-1] & _equal(moments.slice(1), moments.slice(0, live.size - 1), [*_CONTENT, _HOLDER]))
    )
    moments = moments.filter(pa.array(~nothing_new))
    days = _numbers(moments[_DAY])
    ends = np.full(days.size, _AFTER_ALL)
    ends[:-1] = np.where(_same_customer(moments), days[1:], _AFTER_ALL)
    bounds = {VALID_FROM: _dates(days, _BEFORE_ALL), VALID_TO: _dates(ends, _AFTER_ALL)}
    versions = pa.table({**{name: moments[name] for name in [_ID, *_CONTENT, _HOLDER]}, **bounds})
    return versions.select(_SCHEMA.names).cast(_SCHEMA).filter(moments[_LIVE])


def _changes(last: pa.Table, listed: pa.Table, marked: _Mask, day: dt.date) -> pa.Table:
    """The moments from which customers are as a list says, where they are not so already.

    last: the last moment of each customer. listed: rows of CUSTOMER_LIST; marked: those that begin a new holder.
    """
    before, today = last.take(pc.index_in(listed[_ID], value_set=last[_ID].combine_chunks())), _number(day)
    seen, live, since = _mask(pc.is_valid(before[_DAY])), _mask(before[_LIVE]), _numbers(before[_DAY])
    activated = _numbers(_from(listed["activation_date"], _BEFORE_ALL))
    # Who is gone and comes back on the same day was never away.
    returns = seen & ~live & (since < today)
    next_holder = returns | (seen & marked)
    # A version that has not begun yet was never in force: its customer is as if he were seen first, from now on.
    to_come = live & (since > today)
    days = np.select(
        [~seen, returns & (activated >= since), to_come],
        [activated, activated, np.maximum(activated, today)],
        today,
    )
    holders = np.where(seen, _numbers(before[_HOLDER]) + next_holder, 1)
    differs = ~live | next_holder | ~_equal(before, listed, _CONTENT)
    return _as_moments(listed, days, live=True, holders=holders).filter(pa.array(differs))


def _instead(moments: pa.Table, changes: pa.Table, day: dt.date) -> pa.Table:
    """Moments with the changes of some customers (one each), in place of theirs from then on and of those still to come."""
    place = pc.index_in(moments[_ID], value_set=changes[_ID].combine_chunks())
    changed = _numbers(changes[_DAY].take(place))
    until = np.where(_mask(pc.is_valid(place)), np.minimum(changed, _number(day) + 1), _AFTER_ALL)
    return pa.concat_tables([moments.filter(pa.array(_numbers(moments[_DAY]) < until)), changes])


def _put_in(moments: pa.Table, dated: pa.Table) -> pa.Table:
    """Moments with those of dated rows among them, or in their place, and the holders of these customers counted anew."""
    concerned = pc.is_in(moments[_ID], value_set=dated[_ID].combine_chunks())
    others, stored = moments.filter(pc.invert(concerned)), _sorted(moments.filter(concerned))
    given = _as_moments(
        dated, _numbers(_from(dated[VALID_FROM], _BEFORE_ALL)), live=True, holders=np.ones(dated.num_rows, np.int64)
    )
    live, holders = _mask(stored[_LIVE]), _numbers(stored[_HOLDER])
    begins, after_gap = _is_first(stored), _is_first(stored)
    begins[1:] |= live[1:] & (holders[1:] != holders[:-1])
    after_gap[1:] |= live[1:] & ~live[:-1]
    both = pa.concat_tables(
        [
            _flagged(stored, begins=begins, after_gap=after_gap, is_new=np.zeros(live.size, bool)),
            _flagged(given, begins=_mask(dated[NEW_HOLDER]), after_gap=None, is_new=np.ones(given.num_rows, bool)),
        ]
    )
    return pa.concat_tables([others, _with_holders(_corrected(_sorted(both, then=[("is_new", "ascending")])))])


def _corrected(moments: pa.Table) -> pa.Table:
    """Moments, where two are of one day the new one alone. In the place of a version it begins a holder where that did."""
    replaced = np.zeros(moments.num_rows, bool)
    replaced[:-1] = _same_customer(moments) & (_numbers(moments[_DAY])[1:] == _numbers(moments[_DAY])[:-1])
    corrects = np.zeros(moments.num_rows, bool)
    corrects[1:] = replaced[:-1] & _mask(moments[_LIVE])[:-1]
    flags = {name: _mask(moments[name]) for name in ("begins", "after_gap", "is_new")}
    for name in ("begins", "after_gap"):
        flags[name][1:] |= corrects[1:] & flags[name][:-1]
    flags["is_new"] &= ~corrects
    return _flagged(moments.select(_MOMENTS.names), **flags).filter(pa.array(~replaced))


def _with_holders(moments: pa.Table) -> pa.Table:
    """Moments with their holders: the next one begins after a gap, and where it is said.

    A version that was behind a gap, or the first, belongs to the holder of new rows that were put right before it.
    """
    live, is_new, first = _mask(moments[_LIVE]), _mask(moments["is_new"]), _is_first(moments)
    places = np.arange(live.size)
    own_first = np.maximum.accumulate(np.where(first, places, 0))
    known = np.concatenate([[-1], np.maximum.accumulate(np.where(is_new, -1, places))[:-1]])
    behind_new = (known < places - 1) & ((known < own_first) | ~live[np.maximum(known, 0)]) & ~first & ~is_new
    in_gap = first.copy()
    in_gap[1:] |= ~live[:-1]
    begins = live & (in_gap | (_mask(moments["begins"]) & ~(_mask(moments["after_gap"]) & behind_new)))
    holders = np.maximum(_counted(moments, begins), 1)
    place = moments.schema.get_field_index(_HOLDER)
    return moments.set_column(place, _HOLDER, pa.array(holders, pa.int32())).select(_MOMENTS.names)


def _flagged(moments: pa.Table, **flags: _Mask | None) -> pa.Table:
    for name, flag in flags.items():
        moments = moments.append_column(name, pa.array(np.zeros(moments.num_rows, bool) if flag is None else flag))
    return moments


# -------------------------------------------------------------------------------------------------------------- arrow


def _as_moments(rows: pa.Table, days: _Days, *, live: bool, holders: _Days) -> pa.Table:
    """Rows about customers as moments."""
    columns = {name: rows[name] for name in CUSTOMER_LIST.column_names}
    moments = {_DAY: pa.array(days), _LIVE: pa.repeat(live, rows.num_rows), _HOLDER: pa.array(holders)}
    return pa.table({**columns, **moments}).select(_MOMENTS.names).cast(_MOMENTS)


def _sorted(moments: pa.Table, then: list[tuple[str, str]] | None = None) -> pa.Table:
    """By customer and day."""
    return moments.sort_by([(_ID, "ascending"), (_DAY, "ascending"), *(then or [])]).combine_chunks()


def _same_customer(ordered: pa.Table) -> _Mask:
    """For each row but the first: whether the row before it is of the same customer."""
    ids = ordered[_ID]
    return _mask(pc.equal(ids.slice(1), ids.slice(0, max(len(ids) - 1, 0))))


def _is_first(ordered: pa.Table) -> _Mask:
    """The first row of each customer."""
    first = np.ones(ordered.num_rows, bool)
    first[1:] = ~_same_customer(ordered)
    return first


def _is_last(ordered: pa.Table) -> _Mask:
    """The last row of each customer."""
    last = np.ones(ordered.num_rows, bool)
    last[:-1] = ~_same_customer(ordered)
    return last


def _counted(ordered: pa.Table, begins: _Mask) -> _Days:
    """How many have begun up to each row, counted from 1 within each customer."""
    count = np.cumsum(begins, dtype=np.int64)
    starts = np.maximum.accumulate(np.where(_is_first(ordered), np.arange(count.size), 0))
    return count - (count - begins)[starts] if count.size else count


def _equal(left: pa.Table, right: pa.Table, columns: list[str]) -> _Mask:
    """The rows of two tables of one length that are equal in all these columns; a missing value equals a missing value."""
    equal = np.ones(left.num_rows, bool)
    for name in columns:
        one, other = left[name], right[name]
        equal &= _mask(pc.equal(one, other)) | _mask(pc.and_(pc.is_null(one), pc.is_null(other)))
    return equal


def _mask(flags: Any) -> _Mask:
    """Flags of arrow, where nothing counts as no."""
    return np.array(pc.fill_null(flags, False), dtype=bool)


def _numbers(column: Any) -> _Days:
    return np.array(pc.fill_null(column, 0), dtype=np.int64)


def _number(day: dt.date) -> int:
    return (day - _EPOCH).days


def _from(days: pa.ChunkedArray, without: int) -> pa.ChunkedArray:
    """Days as numbers; `without` for an empty one."""
    return pc.fill_null(days.cast(pa.int32()), without)


def _dates(days: _Days, without: int) -> pa.Array:
    """Numbers as days; empty for `without`."""
    return pa.array(days, pa.int32(), mask=days == without).cast(pa.date32())
