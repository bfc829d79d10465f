"""Writing: whole partitions replaced or nothing, commits that follow the version that was read or are refused."""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Commit, Overtaken, Partitions, Refused, Staged, Warehouse, WarehouseError
from telecom_assets.reference.tables import PRODUCT_CATALOG
from telecom_assets_tests.resources.warehouse.tables import (
    CATALOGUE,
    DAYS,
    FLOORS,
    JULY,
    JUNE,
    MAY,
    catalogue_rows,
    day_rows,
    floors,
    floors_table,
    rows_in,
)


def test_partitions_are_replaced_whole_and_alone(warehouse: Warehouse) -> None:
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
    assert rows_in(warehouse.pin(FLOORS).all()) == {("e", "6.000000", MAY), ("c", "4.000000", JULY)}
    assert warehouse.pin(FLOORS).rows_by_partition() == {MAY: 1, JULY: 1}

    now = warehouse.pin(FLOORS)
    fourth = warehouse.overwrite(FLOORS, floors(warehouse), everything)
    assert (fourth.version, fourth.rows) == (4, {})
    assert rows_in(warehouse.pin(FLOORS).arrow()) == set()

    old = {("a", "1.500000", MAY), ("b", "2.000000", MAY), ("a", "3.000000", JUNE), ("c", "4.000000", JULY)}
    assert rows_in(before.df) == rows_in(before.arrow()) == old
    assert rows_in(now.between(Partitions(MAY, MAY))) == {("e", "6.000000", MAY)}
    assert before.rows_by_partition() == {MAY: 2, JUNE: 1, JULY: 1}
    assert [warehouse.pin(FLOORS, Partitions(JUNE, end), 2).share_of(everything) for end in (JUNE, JULY)] == [0.25, 0.5]


def test_nothing_replaced_by_nothing_is_no_error(warehouse: Warehouse) -> None:
    warehouse.version(FLOORS)
    commit = warehouse.overwrite(FLOORS, floors(warehouse), Partitions(JUNE, JUNE))
    assert commit.rows == {}
    assert commit.version == warehouse.version(FLOORS)
    assert warehouse.pin(FLOORS).rows_by_partition() == {}


@pytest.mark.parametrize("partitions", [Partitions(JUNE, JUNE), Partitions(MAY, JUNE)], ids=str)
def test_a_row_outside_the_partitions_fails_the_write(warehouse: Warehouse, partitions: Partitions) -> None:
    """On either engine, and nothing of it is there afterwards."""
    warehouse.append_arrow(FLOORS, floors_table([("a", "1", JUNE)]))
    with pytest.raises(WarehouseError, match="a row lies outside the partitions that are being written"):
        warehouse.overwrite(FLOORS, floors(warehouse, ("b", "2", JUNE), ("c", "3", JULY)), partitions)
    assert warehouse.version(FLOORS) == 1
    assert rows_in(warehouse.pin(FLOORS).all()) == {("a", "1.000000", JUNE)}


def test_days_are_partitions_too(warehouse: Warehouse) -> None:
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


def test_an_unpartitioned_table_is_replaced_whole(warehouse: Warehouse) -> None:
    spark = warehouse.engine.spark_session
    warehouse.overwrite(CATALOGUE, spark.createDataFrame(catalogue_rows("A", "B")), None)
    commit = warehouse.overwrite(CATALOGUE, spark.createDataFrame(catalogue_rows("C")), None)
    assert commit == Commit(2, {None: 1})
    assert [row["product_code"] for row in warehouse.pin(CATALOGUE).all().collect()] == ["C"]


def test_append_adds_and_says_what(warehouse: Warehouse) -> None:
    """Twice the same rows are there twice: who appends sees to it that it is done once."""
    rows = floors(warehouse, ("a", "1", MAY), ("b", "2", MAY), ("a", "3", JUNE))
    assert warehouse.append(FLOORS, rows) == Commit(1, {MAY: 2, JUNE: 1})
    assert warehouse.append(FLOORS, floors(warehouse, ("z", "9", MAY))) == Commit(2, {MAY: 1})
    assert warehouse.pin(FLOORS).rows_by_partition() == {MAY: 3, JUNE: 1}
    # 1 + 2 + 9
    assert warehouse.pin(FLOORS, Partitions(MAY, MAY)).df.agg(F.sum("floor_mb")).collect()[0][0] == 12


def test_few_rows_replace_exactly_their_partitions(warehouse: Warehouse) -> None:
    """Written without the engine, read by it: by days, by months, empty days included; a row outside is refused."""
    may = [date(2026, 5, day) for day in (1, 2, 3, 4)]
    warehouse.overwrite_arrow(DAYS, day_rows(*may), Partitions(may[0], may[-1]))
    assert warehouse.overwrite_arrow(DAYS, day_rows(may[2]), Partitions(may[1], may[2])).rows == {may[2]: 1}
    kept = [row["event_date"] for row in warehouse.pin(DAYS).df.orderBy("event_date").collect()]
    assert kept == [may[0], may[2], may[3]]
    warehouse.overwrite_arrow(FLOORS, floors_table([("a", "1", MAY), ("b", "2", JUNE)]), Partitions(MAY, JUNE))
    warehouse.overwrite_arrow(FLOORS, floors_table([]), Partitions(MAY, MAY))
    assert rows_in(warehouse.pin(FLOORS).df) == {("b", "2.000000", JUNE)}
    before = warehouse.version(FLOORS)
    with pytest.raises(WarehouseError, match="outside the partitions"):
        warehouse.overwrite_arrow(FLOORS, floors_table([("c", "3", JULY)]), Partitions(MAY, JUNE))
    assert warehouse.version(FLOORS) == before


def test_the_same_rows_again_make_no_version(plain: Warehouse) -> None:
    """In any order; other rows do, and the table without rows is one of them."""
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("A", "B")) == Commit(1, {None: 2})
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("B", "A")) == Commit(1, {None: 2})
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("A", "C")) == Commit(2, {None: 2})
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows("A", "C", "C")).version == 3
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows()) == Commit(4, {})
    assert plain.pin(CATALOGUE).arrow().num_rows == 0
    assert [plain.pin(CATALOGUE, version=number).arrow().num_rows for number in range(5)] == [0, 2, 2, 3, 0]


def test_the_first_write_is_a_version_even_without_rows(plain: Warehouse) -> None:
    """Who reads the table later can tell that somebody wrote it: version 0 is the empty table."""
    assert plain.overwrite_arrow(CATALOGUE, catalogue_rows()).version == 1


def test_columns_are_taken_by_name_and_cast(plain: Warehouse) -> None:
    schema = PRODUCT_CATALOG.arrow_schema()
    kinds = {field.name: pa.large_string() if pa.types.is_string(field.type) else field.type for field in schema}
    columns = {
        name: pa.array(["x"] if name in PRODUCT_CATALOG.required_names else [None], kind)
        for name, kind in reversed(kinds.items())
    }
    plain.overwrite_arrow(CATALOGUE, pa.table(columns))
    assert plain.pin(CATALOGUE).arrow().schema == PRODUCT_CATALOG.arrow_schema()


def test_append_arrow(plain: Warehouse) -> None:
    assert plain.append_arrow(DAYS, day_rows(date(2026, 6, 1))).version == 1
    assert plain.append_arrow(DAYS, day_rows(date(2026, 6, 1), date(2026, 6, 2))).version == 2
    assert plain.pin(DAYS).rows_by_partition() == {date(2026, 6, 1): 2, date(2026, 6, 2): 1}
    assert sum(batch.num_rows for batch in plain.pin(DAYS).batches()) == 3


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


def test_writes_and_compactions_at_once(warehouse: Warehouse, tmp_path: Path) -> None:
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
    assert rows_in(warehouse.pin(FLOORS).arrow()) == now
    assert before.df.count() == before.arrow().num_rows == 6
    assert [(tmp_path / name).read_text(encoding="utf-8") for name in ("first", "second")] == ["2", "2"]


def test_a_small_table_that_a_compaction_overtakes(plain: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_answer_that_was_lost_is_no_second_append(
    plain: Warehouse, monkeypatch: pytest.MonkeyPatch, error: CommitFailedError | OSError
) -> None:
    """The commit was made, and the writer was told that it was not: it looks before it tries again."""
    commit = DeltaTable.create_write_transaction

    def told_otherwise(*arguments: Any, **options: Any) -> None:
        commit(*arguments, **options)
        raise error

    monkeypatch.setattr(DeltaTable, "create_write_transaction", told_otherwise)
    assert plain.append_arrow(CATALOGUE, catalogue_rows("A")) == Commit(1, {None: 1})
    assert plain.pin(CATALOGUE).arrow().num_rows == 1


def test_a_commit_follows_the_version_that_was_read_or_is_refused(plain: Warehouse) -> None:
    """Whatever the other commit did: a write to other partitions, a compaction. The refused one has changed nothing."""
    plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    files = plain.stage_arrow(FLOORS, floors_table([("b", "2", JUNE)]))
    plain.append_arrow(FLOORS, floors_table([("c", "3", JULY)]))
    with pytest.raises(Refused, match=f"table {FLOORS}: another commit came after version 1"):
        plain.commit(FLOORS, files, 1)
    assert rows_in(plain.pin(FLOORS).arrow()) == {("a", "1.000000", MAY), ("c", "3.000000", JULY)}
    assert plain.commit(FLOORS, files, 2, positions={"topic/0": 7}) == Commit(3, {JUNE: 1})
    assert [plain.log(FLOORS).position("topic/0", version) for version in (2, 3)] == [None, 7]
    # Asked again, since the answer was lost: it is there, once.
    assert plain.commit(FLOORS, files, 2) == Commit(3, {JUNE: 1})
    assert plain.version(FLOORS) == 3


def test_older_rows_never_take_the_place_of_newer_ones(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert rows_in(warehouse.pin(FLOORS).arrow()) == {("new", "2.000000", MAY)}
    folder = Path(warehouse.path(FLOORS))
    assert len([path for path in folder.iterdir() if path.name.startswith("rows-")]) == 1


def test_a_write_beside_other_partitions_and_from_the_newest_goes_on(
    plain: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert rows_in(plain.pin(FLOORS).arrow()) == {("mine", "1.000000", MAY), ("june", "1.000000", JUNE)}
