"""The warehouse on both engines: whole partitions replaced or nothing, versions that stay, tables anybody can read.

Belongs here: paths, versions, commits and errors of `resources.delta`. Does not belong here: Dagster (`test_io_manager`).
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources import delta
from resources.delta import (
    Commit,
    MissingTable,
    Overtaken,
    Partitions,
    Refused,
    Warehouse,
    WarehouseError,
    stream_batches,
    sum_exactly,
)
from resources.engine import SparkEngine
from resources.staging import Staged
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import MEDIATED_DAYS
from telecom_assets.reference.tables import PRODUCT_CATALOG
from telecom_assets_tests.sample_tables import MONTHLY_SAMPLE, TABLES

#: A small table by months and one by days.
FLOORS, DAYS = MONTHLY_SAMPLE.name, MEDIATED_DAYS.name
CATALOGUE = PRODUCT_CATALOG.name
MAY, JUNE, JULY = "2026-05", "2026-06", "2026-07"

Floor = tuple[str, str, str]


def floors_table(floors: Iterable[Floor]) -> pa.Table:
    rows = [{"customer_id": who, "floor_mb": Decimal(mb), "billing_period": month} for who, mb, month in floors]
    return pa.Table.from_pylist(rows, schema=MONTHLY_SAMPLE.arrow_schema())


def floors(warehouse: Warehouse, *rows: Floor) -> DataFrame:
    """(customer, megabytes, month) as a DataFrame, without rows too."""
    table = floors_table(rows or [("nobody", "0", MAY)])
    return warehouse.engine.spark_session.createDataFrame(table).where(F.lit(bool(rows)))


def held(found: DataFrame | pa.Table) -> set[tuple[str, str, str]]:
    table = found if isinstance(found, pa.Table) else found.toArrow()
    rows = [(row["customer_id"], str(row["floor_mb"]), row["billing_period"]) for row in table.to_pylist()]
    assert len(set(rows)) == len(rows)
    return set(rows)


def day_rows(*days: date) -> pa.Table:
    rows = [
        {
            "raw_rows": 1,
            "raw_positions": Decimal(0),
            "raw_version": 1,
            "product_catalog_version": 1,
            "dedupe_days": 31,
            "event_date": day,
        }
        for day in days
    ]
    return pa.Table.from_pylist(rows, schema=MEDIATED_DAYS.arrow_schema())


def catalogue_rows(*codes: str) -> pa.Table:
    rows = [dict.fromkeys(PRODUCT_CATALOG.column_names, code) for code in codes]
    return pa.Table.from_pylist(rows, schema=PRODUCT_CATALOG.arrow_schema())


# ------------------------------------------------------------------------------------------- whole partitions, replaced


def test_a_table_that_is_not_there_is_empty(warehouse):
    assert not warehouse.exists(FLOORS)
    pinned = warehouse.pin(FLOORS)
    assert (pinned.version, pinned.rows_by_partition(), held(pinned.arrow())) == (0, {}, set())
    assert warehouse.exists(FLOORS)
    assert held(pinned.all()) == set()
    assert [(field.name, field.dataType.simpleString()) for field in pinned.all().schema] == [
        (column.name, column.type) for column in MONTHLY_SAMPLE.columns
    ]
    assert warehouse.stored_schema(MONTHLY_SAMPLE, 0).names == MONTHLY_SAMPLE.column_names


def test_partitions_are_replaced_whole_and_alone(warehouse):
    """One partition, then several with one of them empty, then all of them by nothing; old versions stay as they were."""
    everything = Partitions(MAY, JULY)
    first = warehouse.overwrite(
        FLOORS, floors(warehouse, ("a", "1.5", MAY), ("b", "2", MAY), ("a", "3", JUNE), ("c", "4", JULY)), everything
    )
    assert first == Commit(1, {MAY: 2, JUNE: 1, JULY: 1})
    before = warehouse.pin(FLOORS, everything)

    second = warehouse.overwrite(FLOORS, floors(warehouse, ("d", "5", JUNE)), Partitions(JUNE, JUNE))
    assert second == Commit(2, {JUNE: 1})
    third = warehouse.overwrite(FLOORS, floors(warehouse, ("e", "6", MAY)), Partitions(MAY, JUNE))
    assert third == Commit(3, {MAY: 1})
    assert held(warehouse.pin(FLOORS).all()) == {("e", "6.000000", MAY), ("c", "4.000000", JULY)}
    assert warehouse.pin(FLOORS).rows_by_partition() == {MAY: 1, JULY: 1}

    now = warehouse.pin(FLOORS)
    fourth = warehouse.overwrite(FLOORS, floors(warehouse), everything)
    assert (fourth.version, fourth.rows) == (4, {})
    assert held(warehouse.pin(FLOORS).arrow()) == set()

    old = {("a", "1.500000", MAY), ("b", "2.000000", MAY), ("a", "3.000000", JUNE), ("c", "4.000000", JULY)}
    assert held(before.df) == held(before.arrow()) == old
    assert held(now.between(Partitions(MAY, MAY))) == {("e", "6.000000", MAY)}
    assert before.rows_by_partition() == {MAY: 2, JUNE: 1, JULY: 1}
    assert [warehouse.pin(FLOORS, Partitions(JUNE, end), 2).share_of(everything) for end in (JUNE, JULY)] == [0.25, 0.5]


def test_missing_values_are_known_without_reading_them(warehouse, monkeypatch):
    """Of the partitions that are asked for; columns without statistics are counted, and say the same."""
    rows = floors(warehouse, ("a", "1", MAY), ("b", "2", MAY), ("c", "3", JUNE), ("d", "4", JULY))
    holes = rows.withColumn("floor_mb", F.when(F.col("customer_id") == "a", F.col("floor_mb")))
    warehouse.overwrite(FLOORS, holes, Partitions(MAY, JULY))
    columns = ("customer_id", "floor_mb", "billing_period")
    some, every = warehouse.pin(FLOORS, Partitions(MAY, JUNE)), warehouse.pin(FLOORS)
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "read", None)
        assert some.missing_values(columns) == {"customer_id": 0, "floor_mb": 2, "billing_period": 0}
        assert every.missing_values(columns) == {"customer_id": 0, "floor_mb": 3, "billing_period": 0}
        assert warehouse.pin(DAYS).missing_values(["raw_rows", "event_date"]) == {"raw_rows": 0, "event_date": 0}

    moments = [datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)]
    warehouse.append_arrow(RAW_CDRS.name, received(*moments))
    assert "null_count.kafka_topic" not in warehouse._files(RAW_CDRS, 1).column_names
    columns, expected = (
        ["source_position", "kafka_topic", "value"],
        {"source_position": 0, "kafka_topic": 0, "value": 2},
    )
    raw = warehouse.pin(RAW_CDRS.name)
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "read", None)
        assert raw.missing_values(columns) == expected  # from the footers of the files
    with monkeypatch.context() as patch:
        patch.setattr("resources.delta.column_facts", lambda *_: None)  # footers that do not tell
        assert raw.missing_values(columns) == expected


def test_values_that_a_file_has_one_of_are_known_without_reading_it(warehouse, monkeypatch):
    days = [date(2026, 6, number) for number in range(1, 5)]
    versions = dict(zip(days, (7, 7, 8, 7), strict=True))
    rows = pa.Table.from_pylist(
        [{**row, "raw_version": versions[row["event_date"]]} for row in day_rows(*days).to_pylist()],
        schema=MEDIATED_DAYS.arrow_schema(),
    )
    warehouse.overwrite(DAYS, warehouse.engine.spark_session.createDataFrame(rows), Partitions(days[0], days[-1]))
    columns = ["raw_version", "raw_rows"]
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "read", None)
        found = warehouse.pin(DAYS, Partitions(days[1], days[3])).constants(columns)
        assert sorted(found) == [(days[1], (7, 1)), (days[2], (8, 1)), (days[3], (7, 1))]
        assert warehouse.pin(DAYS, Partitions(date(2026, 7, 1), date(2026, 7, 2))).constants(columns) == []
        assert warehouse.pin(DAYS, None, 0).constants(columns) == []

    # One value after another in a file, and a value that is missing somewhere, are no constants.
    two = pa.Table.from_pylist(
        [{**day_rows(days[0]).to_pylist()[0], "raw_version": version} for version in (1, 2)],
        schema=MEDIATED_DAYS.arrow_schema(),
    )
    warehouse.overwrite_arrow(DAYS, two, Partitions(days[0], days[0]))
    assert warehouse.pin(DAYS).constants(["raw_version"]) is None
    assert warehouse.pin(DAYS, Partitions(days[1], days[3])).constants(["raw_version"]) is not None
    hole = pa.Table.from_pylist(
        [{**day_rows(days[0]).to_pylist()[0], "raw_version": version} for version in (1, None)],
        schema=MEDIATED_DAYS.arrow_schema(),
    )
    warehouse.overwrite_arrow(DAYS, hole, Partitions(days[0], days[0]))
    assert warehouse.pin(DAYS).constants(["raw_version"]) is None
    # Texts are not told of: their statistics may be shortened.
    warehouse.overwrite(FLOORS, floors(warehouse, ("a", "1", MAY)), Partitions(MAY, MAY))
    assert warehouse.pin(FLOORS).constants(["customer_id"]) is None


def test_nothing_replaced_by_nothing_is_no_error(warehouse):
    warehouse.version(FLOORS)
    commit = warehouse.overwrite(FLOORS, floors(warehouse), Partitions(JUNE, JUNE))
    assert commit.rows == {}
    assert commit.version == warehouse.version(FLOORS)
    assert warehouse.pin(FLOORS).rows_by_partition() == {}


@pytest.mark.parametrize("partitions", [Partitions(JUNE, JUNE), Partitions(MAY, JUNE)], ids=str)
def test_a_row_outside_the_partitions_fails_the_write(warehouse, partitions):
    """On either engine, and nothing of it is there afterwards."""
    warehouse.append_arrow(FLOORS, floors_table([("a", "1", JUNE)]))
    with pytest.raises(WarehouseError, match="a row lies outside the partitions that are being written"):
        warehouse.overwrite(FLOORS, floors(warehouse, ("b", "2", JUNE), ("c", "3", JULY)), partitions)
    assert warehouse.version(FLOORS) == 1
    assert held(warehouse.pin(FLOORS).all()) == {("a", "1.000000", JUNE)}


def test_days_are_partitions_too(warehouse):
    first, last = date(2026, 6, 29), date(2026, 7, 2)
    days = [first + timedelta(days=number) for number in range(4)]
    rows = warehouse.engine.spark_session.createDataFrame(day_rows(*days))
    commit = warehouse.overwrite(DAYS, rows, Partitions(first, last))
    assert commit.rows == dict.fromkeys(days, 1)
    middle = warehouse.pin(DAYS, Partitions(days[1], days[2]))
    assert [row["event_date"] for row in middle.df.orderBy("event_date").collect()] == days[1:3]
    assert sorted(row["event_date"] for row in middle.arrow().to_pylist()) == days[1:3]
    assert middle.rows_by_partition() == {days[1]: 1, days[2]: 1}
    june = warehouse.pin_period(DAYS, JUNE)
    assert june.partitions == Partitions(date(2026, 6, 1), date(2026, 6, 30))
    assert june.rows_by_partition() == {days[0]: 1, days[1]: 1}


def test_an_unpartitioned_table_is_replaced_whole(warehouse):
    spark = warehouse.engine.spark_session
    warehouse.overwrite(CATALOGUE, spark.createDataFrame(catalogue_rows("A", "B")), None)
    commit = warehouse.overwrite(CATALOGUE, spark.createDataFrame(catalogue_rows("C")), None)
    assert commit == Commit(2, {None: 1})
    assert [row["product_code"] for row in warehouse.pin(CATALOGUE).all().collect()] == ["C"]


def test_append_adds_and_says_what(warehouse):
    """Twice the same rows are there twice: who appends sees to it that it is done once."""
    rows = floors(warehouse, ("a", "1", MAY), ("b", "2", MAY), ("a", "3", JUNE))
    assert warehouse.append(FLOORS, rows) == Commit(1, {MAY: 2, JUNE: 1})
    assert warehouse.append(FLOORS, floors(warehouse, ("z", "9", MAY))) == Commit(2, {MAY: 1})
    assert warehouse.pin(FLOORS).rows_by_partition() == {MAY: 3, JUNE: 1}
    # 1 + 2 + 9
    assert warehouse.pin(FLOORS, Partitions(MAY, MAY)).df.agg(F.sum("floor_mb")).collect()[0][0] == 12


@pytest.mark.parametrize("few_rows", [0, 1000], ids=["asked", "read"])
def test_totals_are_of_the_pinned_partitions(warehouse, monkeypatch, few_rows):
    """The money columns of a contract, exactly; no rows are zero. The engine adds up, or a small table is read without it."""
    monkeypatch.setattr(delta, "_FEW_ROWS", few_rows)
    delta._totals.cache_clear()
    contract = TABLES["daily_revenue"]
    amounts = [(date(2026, 5, 1), "0.1", MAY), (date(2026, 5, 2), "0.2", MAY), (date(2026, 6, 1), "5", JUNE)]
    rows = [
        {"billing_date": day, "revenue": Decimal(amount), "billing_period": month} for day, amount, month in amounts
    ]
    warehouse.append_arrow(contract.name, pa.Table.from_pylist(rows, schema=contract.arrow_schema()))
    pinned = warehouse.pin(contract.name, Partitions(MAY, MAY))
    assert warehouse.totals(pinned) == {"revenue": Decimal("0.3")}
    assert warehouse.totals(warehouse.pin(contract.name, Partitions(JULY, JULY))) == {"revenue": Decimal(0)}
    assert warehouse.totals(warehouse.pin(DAYS)) == {}
    # Each partition its own; one without rows has none.
    all_of_it = warehouse.pin(contract.name, Partitions(MAY, JULY))
    assert warehouse.totals_by_partition(all_of_it) == {
        MAY: {"revenue": Decimal("0.3")},
        JUNE: {"revenue": Decimal(5)},
    }
    assert warehouse.totals(all_of_it) == {"revenue": Decimal("5.3")}


def test_a_sum_of_amounts_keeps_every_digit():
    """31 digits before the point and 6 behind it: Python's own sum rounds at 28."""
    large = Decimal("1" + "0" * 30)
    assert sum_exactly([large, Decimal("0.000001"), -large, large]) == Decimal("1" + "0" * 30 + ".000001")
    assert sum_exactly([]) == 0


def test_who_only_reads_makes_no_table(plain):
    with plain.only_reading(), pytest.raises(MissingTable, match=f"table {FLOORS} is not there .*/{FLOORS}"):
        plain.pin(FLOORS)
    assert not plain.exists(FLOORS)
    assert plain.pin(FLOORS).rows_by_partition() == {}
    assert plain.exists(FLOORS)
    with plain.only_reading():
        assert plain.pin(FLOORS).version == 0


@pytest.mark.parametrize("few_rows", [0, 1000], ids=["asked", "read"])
def test_repeated_keys_are_of_the_pinned_partitions(warehouse, monkeypatch, few_rows):
    monkeypatch.setattr(delta, "_FEW_ROWS", few_rows)
    rows = [("a", "1", MAY), ("a", "2", MAY), ("b", "1", MAY), ("a", "1", JUNE), ("c", "1", JULY), ("c", "1", JULY)]
    warehouse.append_arrow(FLOORS, floors_table([*rows, ("c", "3", JULY)]))
    may, every = warehouse.pin(FLOORS, Partitions(MAY, MAY)), warehouse.pin(FLOORS)
    assert may.repeated_keys(limit=10) == [((MAY, "a"), 2)]
    assert sorted(every.repeated_keys(limit=10)) == [((MAY, "a"), 2), ((JULY, "c"), 3)]
    assert len(every.repeated_keys(limit=1)) == 1
    assert warehouse.pin(FLOORS, Partitions(JUNE, JUNE)).repeated_keys(limit=10) == []
    assert warehouse.pin(FLOORS, Partitions("2020-01", "2020-01")).repeated_keys(limit=10) == []


# ------------------------------------------------------------------------------------------ a commit that comes between


def meddling(warehouse: Warehouse, rows: DataFrame, done: Path) -> DataFrame:
    """Rows that another process does not let be written in peace: while they are, it compacts the table, once."""
    path = warehouse.path(FLOORS)

    def compact(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        from deltalake import DeltaTable  # noqa: PLC0415  (runs in a process of the engine)

        for batch in batches:
            if not done.exists():
                metrics = DeltaTable(path).optimize.compact()
                done.write_text(str(metrics["numFilesRemoved"]), encoding="utf-8")
            yield batch

    return rows.mapInArrow(compact, rows.schema)


def test_writes_and_compactions_at_once(warehouse, tmp_path):
    """An append and a compaction both stand. An overwrite that a compaction overtook is written again: what that made of
    the old rows must not stay beside the new ones. Each write says what itself has done, and pinned rows stay."""
    for month in (MAY, MAY, JUNE):
        warehouse.append_arrow(FLOORS, floors_table([("a", "1", month), ("b", "2", month)]))
    before = warehouse.pin(FLOORS)
    rows = meddling(warehouse, floors(warehouse, ("c", "3", MAY)), tmp_path / "first")
    assert warehouse.append(FLOORS, rows) == Commit(5, {MAY: 1})
    assert warehouse.pin(FLOORS).rows_by_partition() == {MAY: 5, JUNE: 2}

    rows = meddling(warehouse, floors(warehouse, ("d", "4", MAY)), tmp_path / "second")
    assert warehouse.overwrite(FLOORS, rows, Partitions(MAY, MAY)) == Commit(7, {MAY: 1})
    now = {("d", "4.000000", MAY), ("a", "1.000000", JUNE), ("b", "2.000000", JUNE)}
    assert held(warehouse.pin(FLOORS).arrow()) == now
    assert before.df.count() == before.arrow().num_rows == 6
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in ("first", "second")] == ["2", "2"]


# ---------------------------------------------------------------------------------------- without an engine, any engine


@pytest.fixture
def plain(tmp_path, sail) -> Warehouse:
    """A warehouse where the engine does not matter."""
    return Warehouse(str(tmp_path / "warehouse"), sail, TABLES)


def test_the_same_rows_again_make_no_version(plain):
    """In any order; other rows do, and the table without rows is one of them."""
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("A", "B")) == Commit(1, {None: 2})
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("B", "A")) == Commit(1, {None: 2})
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("A", "C")) == Commit(2, {None: 2})
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("A", "C", "C")).version == 3
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows()) == Commit(4, {})
    assert plain.pin(CATALOGUE).arrow().num_rows == 0
    assert [plain.pin(CATALOGUE, version=number).arrow().num_rows for number in range(5)] == [0, 2, 2, 3, 0]


def test_the_first_write_is_a_version_even_without_rows(plain):
    """Who reads the table later can tell that somebody wrote it: version 0 is the table that was made by a look."""
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows()).version == 1


def test_columns_are_taken_by_name_and_cast(plain):
    columns = {name: pa.array(["x"], pa.large_string()) for name in reversed(PRODUCT_CATALOG.column_names)}
    plain.overwrite_arrow(CATALOGUE, pa.table(columns))
    assert plain.pin(CATALOGUE).arrow().schema == PRODUCT_CATALOG.arrow_schema()


def test_append_arrow(plain):
    assert plain.append_arrow(DAYS, day_rows(date(2026, 6, 1))).version == 1
    assert plain.append_arrow(DAYS, day_rows(date(2026, 6, 1), date(2026, 6, 2))).version == 2
    assert plain.pin(DAYS).rows_by_partition() == {date(2026, 6, 1): 2, date(2026, 6, 2): 1}
    assert sum(batch.num_rows for batch in plain.pin(DAYS).batches()) == 3


def test_a_table_made_again_has_another_identity(plain, tmp_path):
    before = plain.table_id(FLOORS)
    assert plain.table_id(FLOORS) == before
    (tmp_path / "warehouse" / FLOORS).rename(tmp_path / "gone")
    assert plain.table_id(FLOORS) != before


def test_a_new_table_has_plain_features_only(plain):
    """What both engines and delta-rs write and read: no deletion vectors, no column mapping."""
    plain.version(RAW_CDRS.name)
    table = DeltaTable(plain.path(RAW_CDRS.name))
    assert table.metadata().partition_columns == ["event_date"]
    assert table.metadata().configuration["delta.enableDeletionVectors"] == "false"
    assert table.metadata().configuration["delta.dataSkippingNumIndexedCols"] == str(RAW_CDRS.indexed)
    assert table.protocol().min_reader_version == 1


def received(*moments: datetime) -> pa.Table:
    rows = [
        {
            "source_id": "topic-1",
            "source_part": 0,
            "source_position": 0,
            "received_at": moment,
            "kafka_topic": "t",
            "event_date": date(2026, 6, 1),
        }
        for moment in moments
    ]
    return pa.Table.from_pylist(rows, schema=RAW_CDRS.arrow_schema())


def test_a_small_table_that_a_compaction_overtakes(plain, monkeypatch):
    """The table is compacted between the rows' files and their commit: nothing of the old rows stays beside the new."""
    for code in ("A", "B"):
        plain.append_arrow(CATALOGUE, catalogue_rows(code))
    stage = plain.stage_arrow

    def overtaken(name: str, rows: pa.Table) -> Staged:
        files = stage(name, rows)
        assert DeltaTable(plain.path(CATALOGUE)).optimize.compact()["numFilesRemoved"] == 2
        return files

    monkeypatch.setattr(plain, "stage_arrow", overtaken)
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("C", "D")) == Commit(4, {None: 2})
    assert plain.pin(CATALOGUE).arrow()["product_code"].to_pylist() == ["C", "D"]


@pytest.mark.parametrize("error", [CommitFailedError("the connection was lost"), OSError("the connection was lost")])
def test_an_answer_that_was_lost_is_no_second_append(plain, monkeypatch, error):
    """The commit was made, and the writer was told that it was not: it looks before it tries again."""
    commit = DeltaTable.create_write_transaction

    def told_otherwise(*arguments: Any, **options: Any) -> None:
        commit(*arguments, **options)
        raise error

    monkeypatch.setattr(DeltaTable, "create_write_transaction", told_otherwise)
    assert plain.append_arrow(CATALOGUE, catalogue_rows("A")) == Commit(1, {None: 1})
    assert plain.pin(CATALOGUE).arrow().num_rows == 1


def test_a_commit_follows_the_version_that_was_read_or_is_refused(plain):
    """Whatever the other commit did: a write to other partitions, a compaction. The refused one has changed nothing."""
    plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    files = plain.stage_arrow(FLOORS, floors_table([("b", "2", JUNE)]))
    plain.append_arrow(FLOORS, floors_table([("c", "3", JULY)]))
    with pytest.raises(Refused, match=f"table {FLOORS}: another commit came after version 1"):
        plain.commit(FLOORS, files, 1)
    assert held(plain.pin(FLOORS).arrow()) == {("a", "1.000000", MAY), ("c", "3.000000", JULY)}
    assert plain.commit(FLOORS, files, 2, positions={"topic/0": 7}) == Commit(3, {JUNE: 1})
    assert [plain.position(FLOORS, "topic/0", version) for version in (2, 3)] == [None, 7]
    # Asked again, since the answer was lost: it is there, once.
    assert plain.commit(FLOORS, files, 2) == Commit(3, {JUNE: 1})
    assert plain.version(FLOORS) == 3


def test_older_rows_never_take_the_place_of_newer_ones(warehouse, monkeypatch):
    """A slow run's rows were made from version 1 of another table; meanwhile a run has written the same month from 2."""
    warehouse.append_arrow(CATALOGUE, catalogue_rows("A"))
    stage = warehouse.stage

    def slow(name: str, rows: DataFrame) -> Staged:
        files = stage(name, rows)
        monkeypatch.setattr(warehouse, "stage", stage)
        warehouse.append_arrow(CATALOGUE, catalogue_rows("B"))
        warehouse.overwrite(FLOORS, floors(warehouse, ("new", "2", MAY)), Partitions(MAY, MAY), {CATALOGUE: 2})
        return files

    monkeypatch.setattr(warehouse, "stage", slow)
    with pytest.raises(Overtaken, match=f"{FLOORS}: while these rows were made from {CATALOGUE} 1"):
        warehouse.overwrite(FLOORS, floors(warehouse, ("old", "1", MAY)), Partitions(MAY, MAY), {CATALOGUE: 1})
    assert held(warehouse.pin(FLOORS).arrow()) == {("new", "2.000000", MAY)}
    folder = Path(warehouse.path(FLOORS))
    assert len([path for path in folder.iterdir() if path.name.startswith("rows-")]) == 1


def test_a_write_beside_other_partitions_and_from_the_newest_goes_on(plain, monkeypatch):
    """Another month's rows came first, then the same month's from the same inputs: neither is a reason to give up."""
    plain.append_arrow(CATALOGUE, catalogue_rows("A"))
    stage = plain.stage_arrow
    others = [(JUNE, "june"), (MAY, "other")]

    def slow(name: str, rows: pa.Table) -> Staged:
        files = stage(name, rows)
        monkeypatch.setattr(plain, "stage_arrow", stage)
        for month, who in others:
            plain.overwrite_arrow(FLOORS, floors_table([(who, "1", month)]), Partitions(month, month), {CATALOGUE: 1})
        return files

    monkeypatch.setattr(plain, "stage_arrow", slow)
    plain.overwrite_arrow(FLOORS, floors_table([("mine", "1", MAY)]), Partitions(MAY, MAY), {CATALOGUE: 1})
    assert held(plain.pin(FLOORS).arrow()) == {("mine", "1.000000", MAY), ("june", "1.000000", JUNE)}


def test_compaction_changes_no_rows(plain):
    """Told from the log; a log that does not tell any more may have held anything."""
    for code in ("A", "B"):
        plain.append_arrow(CATALOGUE, catalogue_rows(code))
    assert DeltaTable(plain.path(CATALOGUE)).optimize.compact()["numFilesRemoved"] == 2
    assert not plain.rows_changed(CATALOGUE, 2, 3)
    assert plain.rows_changed(CATALOGUE, 1, 3)
    plain.append_arrow(CATALOGUE, catalogue_rows("C"))
    assert plain.rows_changed(CATALOGUE, 2, 4)
    assert not plain.rows_changed(CATALOGUE, 4, 4)
    Path(plain.path(CATALOGUE), "_delta_log", f"{3:020d}.json").unlink()
    assert plain.rows_changed(CATALOGUE, 2, 3)


def test_a_table_that_was_made_again_is_another(plain, tmp_path):
    """No version of the one that is gone is taken for one of its own."""
    plain.append_arrow(CATALOGUE, catalogue_rows("A"))
    assert plain.pin(CATALOGUE).arrow()["product_code"].to_pylist() == ["A"]
    Path(plain.path(CATALOGUE)).rename(tmp_path / "gone")
    for code in ("B", "C"):
        plain.append_arrow(CATALOGUE, catalogue_rows(code))
    assert plain.pin(CATALOGUE, version=1).arrow()["product_code"].to_pylist() == ["B"]


def test_sums_of_a_table_that_is_gone_are_not_those_of_another(plain, tmp_path):
    contract = TABLES["daily_revenue"]

    def revenue(amount: int) -> pa.Table:
        row = {"billing_date": date(2026, 5, 1), "revenue": Decimal(amount), "billing_period": MAY}
        return pa.Table.from_pylist([row], schema=contract.arrow_schema())

    plain.append_arrow(contract.name, revenue(1))
    before = plain.pin(contract.name)
    assert plain.totals(before) == {"revenue": Decimal(1)}
    Path(plain.path(contract.name)).rename(tmp_path / "gone")
    plain.append_arrow(contract.name, revenue(7))
    after = plain.pin(contract.name)
    assert after.version == before.version
    assert plain.totals(after) == {"revenue": Decimal(7)}


def test_what_was_pinned_is_read_beside_newer_checkpoints(plain, monkeypatch):
    """By the embedded engine, which looks for the checkpoint before a version only from `_last_checkpoint` on.

    Every version is read: those between two checkpoints too, and also once one that is older than any run is named there.
    """
    monkeypatch.setattr("resources.delta._CHECKPOINT_INTERVAL", 3)
    log = Path(plain.path(FLOORS), "_delta_log")
    pinned = []
    for number in range(8):
        pinned.append(plain.pin(FLOORS))
        row = (f"{number}", "1", MAY)
        if number % 2:
            plain.append(FLOORS, floors(plain, row))
        else:
            plain.append_arrow(FLOORS, floors_table([row]))
    checkpoints = sorted(int(path.name[:20]) for path in log.glob("*.checkpoint.parquet"))
    assert checkpoints == [3, 6]
    assert not (log / "_last_checkpoint").exists()
    assert [each.df.count() for each in pinned] == list(range(8))

    earlier = datetime.now(UTC).timestamp() - 7 * 3600
    os.utime(log / f"{checkpoints[0]:020d}.checkpoint.parquet", (earlier, earlier))
    DeltaTable(plain.path(FLOORS)).create_checkpoint()
    plain.keep_readable(FLOORS)
    assert json.loads((log / "_last_checkpoint").read_text(encoding="utf-8"))["version"] == checkpoints[0]
    assert [plain.pin(FLOORS, version=version).df.count() for version in range(9)] == list(range(9))
    assert plain.version(FLOORS) == 8


def test_whether_a_version_went_back_in_time(plain):
    """Told from file statistics: the least of what came, when anything older reaches as far."""
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    second = timedelta(seconds=1)
    versions = [
        (received(noon, noon + 2 * second), None),  # the first
        (received(noon + 3 * second, noon + 9 * second), None),  # later than all
        (received(noon + 8 * second, noon + 20 * second), noon + 8 * second),  # before 12:00:09
        (received(noon + 20 * second), noon + 20 * second),  # at the same moment
        (received(noon + 21 * second), None),
    ]
    for version, (rows, expected) in enumerate(versions):
        files = plain.stage_arrow(RAW_CDRS.name, rows)
        assert plain.went_back(RAW_CDRS.name, files, version, "received_at") == expected
        plain.commit(RAW_CDRS.name, files, version)


def test_partitions_hold_and_name_both_ends():
    days = Partitions(date(2026, 5, 30), date(2026, 6, 2))
    assert date(2026, 5, 30) in days
    assert date(2026, 6, 2) in days
    assert date(2026, 6, 3) not in days
    assert days.filters("event_date") == [("event_date", ">=", "2026-05-30"), ("event_date", "<=", "2026-06-02")]
    assert str(days) == "2026-05-30…2026-06-02"


def test_a_stream_holds_every_row_once(engine):
    rows = engine.spark_session.range(12_345).select(F.col("id"), F.col("id").cast("string").alias("text"))
    streamed = pa.Table.from_batches(stream_batches(rows))
    assert sorted(streamed["id"].to_pylist()) == list(range(12_345))


# --------------------------------------------------------------------------------------------------- any other's tables


def make_engine(name: str, spark_remote: str) -> SparkEngine:
    return SparkEngine(kind="sail") if name == "sail" else SparkEngine(kind="spark", remote=spark_remote)


@pytest.mark.parametrize(("writer", "reader"), [("sail", "spark"), ("spark", "sail")])
def test_what_one_engine_writes_the_others_read(tmp_path, spark_remote, writer, reader):
    """By turns into one table, in a path with a space and accents; delta-rs and DuckDB read the same."""
    root = tmp_path / "entrepôt des données été"
    first, second = (Warehouse(str(root), make_engine(name, spark_remote), TABLES) for name in (writer, reader))
    first.overwrite(
        FLOORS, floors(first, ("a", "0.000001", MAY), ("Fès", "999999999999.999999", JUNE)), Partitions(MAY, JUNE)
    )
    second.overwrite(FLOORS, floors(second, ("b", "2.5", JUNE)), Partitions(JUNE, JULY))
    expected = {("a", "0.000001", MAY), ("b", "2.500000", JUNE)}
    assert held(first.pin(FLOORS).all()) == held(second.pin(FLOORS).all()) == expected
    assert held(second.pin(FLOORS, version=1).all()) == {("a", "0.000001", MAY), ("Fès", "999999999999.999999", JUNE)}
    assert [path.name for path in root.iterdir()] == [FLOORS]
    table = DeltaTable(str(root / FLOORS))
    assert held(pa.table(table.to_pyarrow_table().select(MONTHLY_SAMPLE.column_names))) == expected
    with duckdb.connect() as connection:
        files = [str(root / FLOORS / name) for name in pa.table(table.get_add_actions())["path"].to_pylist()]
        total = connection.execute("SELECT sum(floor_mb) FROM read_parquet($files)", {"files": files}).fetchall()
    assert total == [(Decimal("2.500001"),)]


# ---------------------------------------------------------------------------------------------------------------- errors


def corrupt(log: Path) -> None:
    (log / f"{1:020d}.json").write_text("{not JSON", encoding="utf-8")


def lose_a_version(log: Path) -> None:
    (log / f"{0:020d}.json").unlink()


@pytest.mark.parametrize("damage", [corrupt, lose_a_version])
def test_a_damaged_table_is_named(plain, damage: Callable[[Path], None]):
    plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    damage(Path(plain.path(FLOORS), "_delta_log"))
    reads: list[Callable[[], Any]] = [
        lambda: plain.pin(FLOORS),
        lambda: plain.pin(FLOORS, version=1).arrow(),
        lambda: plain.append_arrow(FLOORS, floors_table([("b", "1", MAY)])),
        lambda: plain.overwrite(FLOORS, floors(plain), Partitions(MAY, MAY)),
    ]
    for read in reads:
        with pytest.raises(WarehouseError, match=rf"table {FLOORS} at .*warehouse"):
            read()


def test_a_table_of_an_earlier_version_is_refused_in_a_sentence(plain):
    """It lacks a column that is asked of it: nothing is read as missing, nothing is written beside it."""
    schema = RAW_CDRS.arrow_schema().remove(0)
    DeltaTable.create(plain.path(RAW_CDRS.name), schema=schema, partition_by=["event_date"])
    for use in (lambda: plain.pin(RAW_CDRS.name), lambda: plain.append_arrow(RAW_CDRS.name, received())):
        with pytest.raises(
            WarehouseError, match="an earlier version and lacks source_id; .* `telecom warehouse upgrade`"
        ):
            use()


def test_a_table_with_narrower_numbers_is_refused_in_a_sentence(plain):
    """What is added to it would be cut, or fail in the middle of a month."""
    schema = pa.schema(
        [
            pa.field(f.name, pa.decimal128(5, 2) if f.name == "floor_mb" else f.type)
            for f in TABLES[FLOORS].arrow_schema()
        ]
    )
    DeltaTable.create(plain.path(FLOORS), schema=schema, partition_by=["billing_period"])
    said = r"has floor_mb as decimal128\(5, 2\), not decimal128\(18, 6\); .* `telecom warehouse upgrade`"
    with pytest.raises(WarehouseError, match=said):
        plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))


def test_a_version_that_is_not_there_is_named(plain):
    plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    with pytest.raises(WarehouseError, match=rf"table {FLOORS} at .* at version 7"):
        plain.pin(FLOORS, version=7).arrow()


def test_a_table_that_is_gone_is_not_made_again_silently(plain, tmp_path):
    """Who pinned a version and then finds nothing must not read an empty table."""
    plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    pinned = plain.pin(FLOORS)
    (tmp_path / "warehouse" / FLOORS).rename(tmp_path / "gone")
    with pytest.raises(WarehouseError, match=f"table {FLOORS} at .* is gone; expected version 1"):
        pinned.arrow()
    with pytest.raises((WarehouseError, PySparkException)):
        pinned.all().collect()


def test_few_rows_replace_exactly_their_partitions(warehouse):
    """Written without the engine, read by it: by days, by months, empty days included; a row outside is refused."""
    may = [date(2026, 5, day) for day in (1, 2, 3, 4)]
    warehouse.overwrite_arrow(DAYS, day_rows(*may), Partitions(may[0], may[-1]))
    assert warehouse.overwrite_arrow(DAYS, day_rows(may[2]), Partitions(may[1], may[2])).rows == {may[2]: 1}
    kept = [row["event_date"] for row in warehouse.pin(DAYS).df.orderBy("event_date").collect()]
    assert kept == [may[0], may[2], may[3]]
    warehouse.overwrite_arrow(FLOORS, floors_table([("a", "1", MAY), ("b", "2", JUNE)]), Partitions(MAY, JUNE))
    warehouse.overwrite_arrow(FLOORS, floors_table([]), Partitions(MAY, MAY))
    assert held(warehouse.pin(FLOORS).df) == {("b", "2.000000", JUNE)}
    before = warehouse.version(FLOORS)
    with pytest.raises(WarehouseError, match="outside the partitions"):
        warehouse.overwrite_arrow(FLOORS, floors_table([("c", "3", JULY)]), Partitions(MAY, JUNE))
    assert warehouse.version(FLOORS) == before


def test_the_newest_version_is_known_whoever_made_it(plain):
    """Which one is the newest is kept in mind between two questions, and yet never out of date."""
    warehouse, other = plain, Warehouse(plain.root, plain.engine, TABLES)
    warehouse.append_arrow(CATALOGUE, catalogue_rows("A"))
    assert (warehouse.version(CATALOGUE), other.version(CATALOGUE)) == (1, 1)
    other.append_arrow(CATALOGUE, catalogue_rows("B"))
    assert warehouse.version(CATALOGUE) == 2
    first_id = warehouse.table_id(CATALOGUE)
    shutil.rmtree(warehouse.path(CATALOGUE))
    other.append_arrow(CATALOGUE, catalogue_rows("C"))
    other.append_arrow(CATALOGUE, catalogue_rows("D"))
    assert warehouse.version(CATALOGUE) == 2
    assert warehouse.table_id(CATALOGUE) != first_id
    codes = warehouse.pin(CATALOGUE).arrow()["product_code"].to_pylist()
    assert sorted(codes) == ["C", "D"]


def test_a_root_that_cannot_be_a_folder_is_named(sail, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(WarehouseError, match=FLOORS):
        Warehouse(str(tmp_path / "file"), sail, TABLES).pin(FLOORS)
