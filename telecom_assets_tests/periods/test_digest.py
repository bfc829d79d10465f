"""The digest of a period: the same for the same rows however they lie, another for other rows."""

import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.contract import Column as C
from resources.contract import TableContract
from resources.warehouse import Partitions, Warehouse
from telecom_assets.periods.digest import Digested, differing_tables, digest_of, digested
from telecom_assets_tests.examples import examples
from telecom_assets_tests.sample_tables import TABLES

_COLUMNS = (
    C("id", "string", "Text."),
    C("number", "bigint", "Whole number."),
    C("amount", "decimal(18,6)", "Money."),
    C("day", "date", "Day."),
    C("at", "timestamp", "Instant."),
    C("sure", "boolean", "Yes or no."),
    C("status", "string", "What the close changes."),
)
_KEPT = TableContract("kept", "A row.", _COLUMNS, ("id",), money=("amount",), closes=True)
#: Of the next version, which knows more.
_WIDER = TableContract(
    "kept", "A row.", (*_COLUMNS, C("later", "string", "New.")), ("id",), money=("amount",), closes=True
)

Row = dict[str, Any]
_UTC = dt.UTC
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | st.text("aé\0", max_size=3),
            "number": st.none() | st.integers(-(2**63), 2**63 - 1),
            "amount": st.none() | st.decimals(-(10**12) + 1, 10**12 - 1, places=6),
            "day": st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2199, 12, 31)),
            "at": st.none() | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2199, 1, 1), timezones=st.just(_UTC)),
            "sure": st.none() | st.booleans(),
            "status": st.sampled_from(["draft", "closed"]),
        }
    ),
    max_size=8,
)


def _batches(rows: list[Row], contract: TableContract = _KEPT, size: int = 100) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = pa.Table.from_pylist(rows, schema=contract.arrow_schema()).to_batches(
        max_chunksize=size
    )
    return batches


def _of(rows: list[Row]) -> Digested:
    return digested(_KEPT, _batches(rows))


@given(rows=_ROWS, size=st.integers(1, 8), data=st.data())
@settings(max_examples=examples(100))
def test_order_files_and_a_later_column_do_not_matter(rows: list[Row], size: int, data: st.DataObject) -> None:
    """Nor does the status, which the close changes. The money is that of the rows, exactly."""
    found = _of(rows)
    shuffled = data.draw(st.permutations(rows))
    assert digested(_KEPT, _batches([{**row, "status": "closed"} for row in shuffled], size=size)) == found
    assert digested(_WIDER, _batches(rows, _WIDER)) == found
    assert found.money == {"amount": sum((row["amount"] or Decimal(0) for row in rows), Decimal(0))}


@given(rows=_ROWS.filter(bool), other=_ROWS.filter(bool), name=st.sampled_from([c.name for c in _COLUMNS[:-1]]))
@settings(max_examples=examples(200))
def test_another_value_is_another_digest(rows: list[Row], other: list[Row], name: str) -> None:
    """In any column, NULL too; and a row less, or twice."""
    changed = [{**rows[0], name: other[0][name]}, *rows[1:]]
    assert (_of(changed) == _of(rows)) == (other[0][name] == rows[0][name])
    assert _of(rows[1:]) != _of(rows) != _of([*rows, rows[0]])


def test_values_that_change_places_are_another_digest() -> None:
    """Between rows, where the columns' sums stay; and between columns of one row."""
    assert _of([{"id": "a", "number": 1}, {"id": "b", "number": 2}]) != _of(
        [{"id": "a", "number": 2}, {"id": "b", "number": 1}]
    )
    two = TableContract("two", "A row.", (C("a", "int", "A."), C("b", "int", "B.")), ("a",))
    assert digested(two, _batches([{"a": 1, "b": 2}], two)) != digested(two, _batches([{"a": 2, "b": 1}], two))


def _by_hand(text: str, amount: int) -> int:
    """The hash of a row with a text and an amount (in millionths): splitmix64's finaliser in whole numbers."""

    def of_text(value: str) -> int:
        return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")

    def mixed(number: int) -> int:
        number %= 2**64
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
        return number ^ number >> 31

    low, high = amount % 2**64, (amount >> 64) % 2**64
    columns = {"id": of_text(text), "amount": low + mixed(high)}
    return mixed(sum(mixed(value + of_text(f"column {name}")) for name, value in columns.items()))


def test_a_digest_stays_what_it_was_in_an_earlier_version() -> None:
    """What was approved years ago is compared with what is there now, so the recipe is fixed: here it is worked out apart."""
    rows = [{"id": "é", "amount": Decimal("-1.500000")}, {"id": "", "amount": Decimal("999999999999.999999")}]
    expected = _by_hand("é", -1_500_000) + _by_hand("", 999_999_999_999_999_999)
    found = _of(rows)
    assert (found.rows, found.hashes) == (2, expected)
    assert found.said() == {"rows": 2, "hash": str(expected), "money": {"amount": "999999999998.499999"}}


def test_the_digest_of_a_period_is_of_its_tables(warehouse: Warehouse) -> None:
    """Written by either engine or by none: rows of the month alone, and tables without any of it are not named."""
    schema = TABLES["period_charges"].arrow_schema()
    rows = [
        {"record_id": each, "customer_id": "c", "amount": Decimal("0.250000"), "billing_period": month}
        for each, month in (("a", "2026-10"), ("b", "2026-10"), ("c", "2026-11"))
    ]
    october, november = Partitions("2026-10", "2026-10"), Partitions("2026-11", "2026-11")
    made = warehouse.engine.spark_session.createDataFrame(pa.Table.from_pylist(rows[:2], schema=schema))
    warehouse.overwrite("period_charges", made, october)
    by_the_engine = digest_of(warehouse, "2026-10")
    warehouse.overwrite_arrow("period_charges", pa.Table.from_pylist(rows[1::-1], schema=schema), october)
    warehouse.overwrite_arrow("period_charges", pa.Table.from_pylist(rows[2:], schema=schema), november)
    assert digest_of(warehouse, "2026-10") == by_the_engine
    said = json.loads(by_the_engine)
    assert {name: (each["rows"], each["money"]) for name, each in said.items()} == {
        "period_charges": (2, {"amount": "0.500000"})
    }
    assert differing_tables(by_the_engine, digest_of(warehouse, "2026-11")) == ["period_charges"]
    assert differing_tables(by_the_engine, by_the_engine) == []
