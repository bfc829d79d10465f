"""The digest of a period's rows: equal for equal rows, whatever their order, files, versions and engine.

Belongs here: what is digested of a row, and adding up. For each table of the period: how many rows, the sum of their hashes (which
DECIMAL(38,0) holds), the sum of each money column. Rows are read without the engine, so no engine's hash or text of a value counts.
Does not belong here: when a digest is made and compared (approving, closing, the nightly check).

A row's hash is made of its columns by their names. A NULL adds nothing, so a column that a later version adds, empty in the rows
that are there, leaves the digests of closed periods as they are; so does a table that has no rows of the period.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.contract import TableContract
from resources.warehouse import Warehouse

_Hashes: TypeAlias = "np.ndarray[Any, np.dtype[np.uint64]]"

#: What the close itself changes of a bill.
_LEFT_OUT = frozenset({"status"})
#: A table with a row about the period, of what lies outside of the warehouse, and the documents, which the close makes.
_BESIDE = frozenset({"billed_months", "documents"})
#: The two halves of a 64-bit number are added up apart: a sum of halves does not overflow.
_HALF = np.uint64(32)
_LOW = np.uint64(2**32 - 1)


@dataclass
class Digested:
    """What was added up of a table's rows: their number, their hashes, their money columns by name."""

    rows: int = 0
    hashes: int = 0
    money: dict[str, Decimal] = field(default_factory=dict)

    def said(self) -> dict[str, Any]:
        """For JSON: numbers that are large or exact are texts."""
        return {
            "rows": self.rows,
            "hash": str(self.hashes),
            "money": {name: f"{amount:f}" for name, amount in self.money.items()},
        }


def digest_of(warehouse: Warehouse, month: str) -> str:
    """The digest of a period (yyyy-MM) by its tables, as JSON, from their newest versions."""
    said = {}
    for contract in digested_tables(warehouse):
        found = digested(contract, warehouse.pin_period(contract.name, month).batches())
        if found.rows:
            said[contract.name] = found.said()
    return json.dumps(said, sort_keys=True)


def digested_tables(warehouse: Warehouse) -> list[TableContract]:
    """The tables whose rows of a period are in its digest."""
    return [each for each in warehouse.contracts.values() if each.closes and each.name not in _BESIDE]


def differing_tables(one: str, other: str) -> list[str]:
    """The tables in which two digests differ."""
    left, right = json.loads(one), json.loads(other)
    return sorted(name for name in {*left, *right} if left.get(name) != right.get(name))


def digested(contract: TableContract, batches: Iterable[pa.RecordBatch]) -> Digested:
    """Add up the rows of a table, which have the columns of its contract."""
    found = Digested(money=dict.fromkeys(contract.money, Decimal(0)))
    for batch in (each for each in batches if each.num_rows):
        hashes = _row_hashes(contract, batch)
        found.rows += batch.num_rows
        found.hashes += (int((hashes >> _HALF).sum()) << 32) + int((hashes & _LOW).sum())
        for name in contract.money:
            found.money[name] += pc.sum(batch[name]).as_py() or Decimal(0)
    return found


def _row_hashes(contract: TableContract, batch: pa.RecordBatch) -> _Hashes:
    """A hash for each row: of the sum of its columns' hashes."""
    total = np.zeros(batch.num_rows, np.uint64)
    for column in contract.columns:
        if column.name not in _LEFT_OUT:
            values = batch[column.name]
            hashes = _mixed(_numbers(values) + _salt(column.name))
            total += np.where(values.is_valid().to_numpy(zero_copy_only=False), hashes, np.uint64(0))
    return _mixed(total)


def _numbers(values: pa.Array) -> _Hashes:
    """A number for each value, equal for equal values and spread over 64 bits where texts are concerned; any number for NULL."""
    kind = values.type
    if pa.types.is_decimal(kind):
        halves = np.frombuffer(values.buffers()[1], np.uint64).reshape(-1, 2)
        halves = halves[values.offset : values.offset + len(values)]
        return halves[:, 0] + _mixed(halves[:, 1])
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        encoded = values.dictionary_encode()
        known = np.array([_of_text(each) for each in encoded.dictionary.to_pylist()] or [0], np.uint64)
        of_texts: _Hashes = known[encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)]
        return of_texts
    if pa.types.is_date(kind):
        values = values.cast(pa.int32())
    whole: _Hashes = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    return whole


def _of_text(value: str | bytes) -> int:
    content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


@lru_cache(maxsize=1024)
def _salt(name: str) -> np.uint64:
    """A number for each column name, so that two columns that change places change the row's hash."""
    return np.uint64(_of_text(f"column {name}"))


def _mixed(numbers: _Hashes) -> _Hashes:
    """Each number spread over 64 bits (the finaliser of splitmix64); overflow is meant."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    spread: _Hashes = mixed ^ (mixed >> np.uint64(31))
    return spread
