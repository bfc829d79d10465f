"""What the right charges of a month are made from, as digests: a closed month that has the same ones as before costs no query.

Belongs here: the digests of a month, and what of it may differ when they are others. Does not belong here: rating it again
(`rules`), which digests a month is compared with (`looking_back`).

Cleaned days are told by the ledger of mediation, which compaction leaves alone. Reference rows are told by their content, so that a
new version of a table with the same rows on the days of a month is the same. Code and settings are in no digest: a new
version of the code makes no closed month differ.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse, WarehouseError
from telecom_assets.mediation.stale_days import mediated_rows
from telecom_assets.mediation.tables import MEDIATED_DAYS
from telecom_assets.model.columns import VALID_TO
from telecom_assets.model.months import month_days
from telecom_assets.reference.as_of import day_numbers
from telecom_assets.reference.changes import as_asked
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

#: The digests of a month tell numbers apart by so many last digits.
_DIGITS = 2
#: So many customers are named one by one; more of them by the last digits of their numbers, with all that end so.
_FEW = 100
_EPOCH = dt.date(1970, 1, 1)
_HASH = np.dtype("uint64")
#: Columns of reference rows that no charge depends on, and the end of a row, which counts by itself.
_NOT_HASHED = {"customer_name", "activation_date", "description", VALID_TO}


@dataclass(frozen=True)
class Affected:
    """The customers of a month who are rated again, by whole numbers or by their last digits. None: all of them."""

    endings: frozenset[str] | None = frozenset()

    @property
    def is_empty(self) -> bool:
        return self.endings is not None and not self.endings

    def holds(self, number: Column) -> Column:
        """Whether a number is one of theirs."""
        if self.endings is None:
            return F.lit(True)
        whole = sorted(each for each in self.endings if len(each) > _DIGITS)
        last_digits = sorted(self.endings - set(whole))
        # Each part alone where there is no other: the engine skips what cannot hold a whole number.
        if not last_digits:
            return number.isin(*whole)
        by_ending = ending(number).isin(*last_digits)
        return by_ending | number.isin(*whole) if whole else by_ending

    def __or__(self, other: "Affected") -> "Affected":
        return EVERYBODY if None in (self.endings, other.endings) else Affected(self.endings | other.endings)  # type: ignore[operator]

    def __str__(self) -> str:
        """As adjusted_months has it: all, none, or a list."""
        if self.endings is None:
            return "all"
        return json.dumps(sorted(self.endings)) if self.endings else "none"

    @classmethod
    def read(cls, text: str) -> "Affected":
        """Those whom the text names, as `str` gives it."""
        return EVERYBODY if text == "all" else cls(frozenset() if text == "none" else frozenset(json.loads(text)))


EVERYBODY, NOBODY = Affected(None), Affected()


def those_of(numbers: DataFrame) -> Affected:
    """The customers of the numbers in the one column of these rows; NULL is nobody's."""
    [name] = numbers.columns
    distinct = numbers.where(F.col(name).isNotNull()).distinct()
    found = distinct.limit(_FEW + 1).collect()
    if len(found) > _FEW:
        found = distinct.select(ending(F.col(name))).distinct().collect()
    return Affected(frozenset(row[0] for row in found))


def ending(number: Column) -> Column:
    """The last digits of a number, by which numbers are told apart."""
    return F.substring(number, -_DIGITS, _DIGITS)


@dataclass(frozen=True)
class Inputs:
    """Digests of a month: cleaned days; customers in force on them, by the ending of the number; prices and catalogue.

    customers_version: the version of customers with these digests, in which customers are looked up one by one; no input itself.
    """

    days: Mapping[str, str]
    customers: Mapping[str, str]
    prices: Mapping[str, str]
    customers_version: int | None = field(default=None, compare=False)

    def as_json(self) -> str:
        return json.dumps(vars(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def read(cls, text: str | None) -> "Inputs | None":
        """The value of `as_json`; None where nothing is known."""
        return None if text is None else cls(**json.loads(text))

    def changed_days(self, then: "Inputs") -> list[dt.date]:
        """The days whose cleaned rows may be others than then."""
        return [dt.date.fromisoformat(day) for day in _differing(then.days, self.days)]

    def changed_customers(self, then: "Inputs | None") -> Affected:
        """Whose right charges may be others than then because of reference data; changed prices concern everybody."""
        if then is None or then.prices != self.prices:
            return EVERYBODY
        return Affected(frozenset(_differing(then.customers, self.customers)))


def inputs_of(warehouse: Warehouse, month: str) -> str:
    """The digests of a month (yyyy-MM) by the newest tables, as text (`Inputs.as_json`): equal digests, equal right charges."""
    return month_inputs(warehouse, month).as_json()


def month_inputs(warehouse: Warehouse, month: str) -> Inputs:
    """The digests of a month by the newest tables."""
    mediated, customers = _mediated(warehouse.pin(MEDIATED_DAYS.name)), warehouse.pin(CUSTOMERS.name)
    of_prices = {
        contract.name: _in_month(_hashed(warehouse.pin(contract.name)), month).get("", "")
        for contract in (RATE_PLANS, PRODUCT_CATALOG)
    }
    return Inputs(
        {day.isoformat(): mediated[day] for day in month_days(month) if day in mediated},
        _in_month(_hashed(customers, "customer_id"), month),
        of_prices,
        customers.version,
    )


def one_by_one(warehouse: Warehouse, month: str, then: Inputs, affected: Affected) -> Affected:
    """Of the customers with these endings those whose rows in force in a month are others than `then`, by whole numbers.

    All with these endings where that cannot be told, or where they are many: the version of customers is not known or not kept.
    """
    if not affected.endings or then.customers_version is None:
        return affected
    try:
        was = as_asked(warehouse.pin(CUSTOMERS.name, version=then.customers_version))
    except WarehouseError:
        return affected
    ends = pa.array(sorted(affected.endings))
    rows_then, rows_now = (_ending_so(rows, ends) for rows in (was, as_asked(warehouse.pin(CUSTOMERS.name))))
    # The digests prove the version: a table that was restored may have another one of that number.
    noted = {end: digest for end, digest in then.customers.items() if end in affected.endings}
    if _in_month(_hashed_rows(rows_then, _endings(rows_then["customer_id"])), month) != noted:
        return affected
    by_number = [_in_month(_hashed_rows(rows, rows["customer_id"]), month) for rows in (rows_then, rows_now)]
    differing = _differing(*by_number)
    return Affected(frozenset(differing)) if len(differing) <= _FEW else affected


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(key for key in {*then, *now} if then.get(key) != now.get(key))


def _mediated(mediated: PinnedTable) -> Mapping[dt.date, str]:
    """What mediation read and wrote of each day that has raw rows."""
    names = ("raw_rows", "raw_positions", "cleaned_version")
    rows = mediated_rows(mediated)
    return {row["event_date"]: "/".join(str(row[name]) for name in names) for row in rows if row["raw_rows"]}


@dataclass(frozen=True)
class _Hashed:
    """The rows of a reference table: a hash of each but for its end, its first day and its end, the group it is in."""

    hashes: np.ndarray
    firsts: np.ndarray
    ends: np.ndarray
    group: np.ndarray
    groups: Sequence[str]


@lru_cache(maxsize=8)
def _hashed(table: PinnedTable, grouped_by: str | None = None) -> _Hashed:
    """The hashes of a version of a reference table, grouped by the ending of a number: made once a process."""
    rows = as_asked(table)
    return _hashed_rows(rows, pa.array([""] * rows.num_rows) if grouped_by is None else _endings(rows[grouped_by]))


def _hashed_rows(rows: pa.Table, groups: pa.Array | pa.ChunkedArray) -> _Hashed:
    """The hashes of rows of a reference table, with the group of each."""
    first, end = (each.combine_chunks().to_numpy(zero_copy_only=False).astype("int64") for each in day_numbers(rows))
    hashes = pd.util.hash_array(
        _as_text(rows, [name for name in rows.column_names if name not in _NOT_HASHED]), categorize=False
    )
    grouped = groups.combine_chunks() if isinstance(groups, pa.ChunkedArray) else groups
    encoded = grouped.dictionary_encode()
    return _Hashed(hashes.astype(_HASH), first, end, encoded.indices.to_numpy(), encoded.dictionary.to_pylist())


def _ending_so(customers: pa.Table, ends: pa.Array) -> pa.Table:
    """The rows of customers whose numbers have one of these endings."""
    return customers.filter(pc.is_in(_endings(customers["customer_id"]), ends))


def _endings(numbers: pa.ChunkedArray) -> pa.Array:
    """The last digits of each number."""
    reversed_ones = pc.utf8_slice_codeunits(pc.utf8_reverse(numbers.combine_chunks()), start=0, stop=_DIGITS)
    return pc.utf8_reverse(reversed_ones)


def _as_text(rows: pa.Table, names: Iterable[str]) -> np.ndarray:
    """Each row as one text, NULL told from an empty text."""
    texts = [rows[name].combine_chunks().cast(pa.string()) for name in names]
    joined = pc.binary_join_element_wise(*texts, "\x1f", null_handling="replace", null_replacement="\x1e")
    return np.asarray(joined.to_numpy(zero_copy_only=False), dtype=object)


def _in_month(hashed: _Hashed, month: str) -> dict[str, str]:
    """By group the digest of the rows in force on the days of a month."""
    days = month_days(month)
    return _in_force(hashed, (days[0] - _EPOCH).days, (days[-1] - _EPOCH).days + 1)


def _in_force(hashed: _Hashed, first: int, end: int) -> dict[str, str]:
    """By group the digest of the rows in force on the days from `first` up to `end`, as numbers: order-free, of their content.

    Of an end only counts what lies within the days: a price that ends next month is the same price this month.
    """
    on_them = (hashed.firsts < end) & (hashed.ends > np.maximum(first, hashed.firsts))
    last = np.minimum(hashed.ends[on_them], end).astype(_HASH)
    sums, rows = np.zeros(len(hashed.groups), _HASH), np.zeros(len(hashed.groups), "int64")
    np.add.at(sums, hashed.group[on_them], hashed.hashes[on_them] * (last * np.uint64(2) + np.uint64(1)))
    np.add.at(rows, hashed.group[on_them], 1)
    made = zip(hashed.groups, sums.tolist(), rows.tolist(), strict=True)
    return {group: f"{total:016x}" for group, total, count in made if count}
