"""Few rows of a table by conditions: the same on both engines, whatever the values hold."""

import datetime as dt
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse, WarehouseError, read_rows
from resources.warehouse.conditions import Condition, among, at_least, at_most, below, digits_end_with, equal
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets_tests.examples import examples
from telecom_assets_tests.sample_tables import TABLES
from telecom_assets_tests.stages.chain import contract_table

DAY = dt.date(2026, 10, 5)
NOON = dt.datetime(2026, 10, 5, 12, tzinfo=dt.UTC)
#: What SQL, patterns or escapes could take for something else.
HOSTILE = (
    "it's",
    "a\\'b",
    "\\",
    "\\n",
    "%",
    "_",
    '"',
    "''",
    "-- no",
    "';",
    "\u00e9\u0301",
    "\U0001f600",
    "\t",
    "${x}",
    "A",
    "a",
)


def _row(number: int, **values: object) -> dict[str, object]:
    places = {"source_id": "s", "source_part": 0, "source_position": number, "received_at": NOON, "kafka_topic": "t"}
    return {**places, "value": b"x", "event_date": DAY, **values}


def _stored(warehouse: Warehouse, rows: Iterable[dict[str, object]]) -> None:
    listed = list(rows)
    days = sorted({row["event_date"] for row in listed})  # type: ignore[type-var]
    warehouse.overwrite_arrow(RAW_CDRS.name, contract_table(RAW_CDRS, listed), Partitions(days[0], days[-1]))


def _found(warehouse: Warehouse, within: Partitions | None, *conditions: Condition) -> list[int]:
    found = read_rows(warehouse.pin(RAW_CDRS.name, within), ["source_position"], *conditions)
    return sorted(row["source_position"] for row in found)


def test_conditions_mean_the_same_on_both_engines(warehouse: Warehouse) -> None:
    later, numbers = (
        dt.timedelta(microseconds=1),
        ("+212 6-00 00 00 01", "0600000001", "600000001x", "1600000001a2", None),
    )
    _stored(
        warehouse,
        [
            *(_row(number, record_id=text) for number, text in enumerate(HOSTILE)),
            *(_row(100 + number, event_ts=NOON + number * later) for number in range(3)),
            *(_row(200 + number, caller_id=text) for number, text in enumerate(numbers)),
            *(_row(300 + number, user_id=text) for number, text in enumerate(numbers)),
            _row(400, event_date=DAY + dt.timedelta(days=1), record_id="A"),
        ],
    )
    find = partial(_found, warehouse)
    only = Partitions(DAY, DAY)
    for number, text in enumerate(HOSTILE):
        assert find(only, equal("record_id", text)) == [number]
    assert find(only, among("record_id", HOSTILE)) == list(range(len(HOSTILE)))
    assert find(None, equal("record_id", "A")) == [HOSTILE.index("A"), 400]
    assert find(None, among("record_id", [])) == []
    assert find(only, equal("record_id", None), equal("source_position", 102)) == [102]
    assert find(None, at_least("event_ts", NOON + later), below("event_ts", NOON + 2 * later)) == [101]
    assert find(None, at_most("event_ts", NOON + later)) == [100, 101]
    assert find(None, equal("event_date", DAY + dt.timedelta(days=1))) == [400]
    assert find(None, digits_end_with(["caller_id", "user_id"], "600000001")) == [200, 201, 202, 300, 301, 302]
    (row,) = read_rows(warehouse.pin(RAW_CDRS.name), None, equal("source_position", 400))
    assert list(row) == RAW_CDRS.column_names
    assert (row["value"], row["received_at"], row["event_date"]) == (b"x", NOON, DAY + dt.timedelta(days=1))
    assert len(read_rows(warehouse.pin(RAW_CDRS.name), ["record_id"])) == len(HOSTILE) + 14


@pytest.fixture(scope="module")
def some_texts(sail: SparkEngine, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("texts")), sail, TABLES)
    _stored(warehouse, [_row(number, record_id=text) for number, text in enumerate(HOSTILE)])
    return warehouse


@given(text=st.one_of(st.text(max_size=20), st.sampled_from(HOSTILE).flatmap(lambda text: st.just(text + "'"))))
@settings(max_examples=examples(50), deadline=None)
def test_no_text_is_taken_for_anything_else(some_texts: Warehouse, text: str) -> None:
    expected = [HOSTILE.index(text)] if text in HOSTILE else []
    assert _found(some_texts, None, equal("record_id", text)) == expected


def test_a_table_that_is_not_there_has_no_rows(plain: Warehouse) -> None:
    assert not read_rows(plain.pin(RAW_CDRS.name), ["record_id"], equal("record_id", "a"))
    assert not plain.exists(RAW_CDRS.name)


def test_a_version_whose_files_are_gone_is_named(plain: Warehouse) -> None:
    _stored(plain, [_row(0, record_id="a")])
    for path in Path(plain.path(RAW_CDRS.name)).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(WarehouseError, match=r"table raw_cdrs at .* cannot be read at version 1"):
        read_rows(plain.pin(RAW_CDRS.name), ["record_id"], equal("record_id", "a"))
