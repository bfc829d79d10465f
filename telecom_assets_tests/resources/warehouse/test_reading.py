"""Reading: versions that stay, tables that anybody can read."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse, committed_at, identity_of, partitions_changed
from telecom_assets_tests.resources.warehouse.conftest import everything_below
from telecom_assets_tests.resources.warehouse.tables import (
    CATALOGUE,
    DAYS,
    FLOORS,
    JULY,
    JUNE,
    MAY,
    floors,
    floors_table,
    rows_in,
)
from telecom_assets_tests.sample_tables import MONTHLY_SAMPLE, TABLES


def test_a_table_that_is_not_there_is_empty(warehouse: Warehouse) -> None:
    assert not warehouse.exists(FLOORS)
    pinned = warehouse.pin(FLOORS)
    assert (pinned.version, pinned.rows_by_partition(), rows_in(pinned.arrow())) == (0, {}, set())
    assert rows_in(pinned.all()) == rows_in(pinned.df) == set()
    assert [(field.name, field.dataType.simpleString()) for field in pinned.all().schema] == [
        (column.name, column.type) for column in MONTHLY_SAMPLE.columns
    ]
    assert pinned.stored_schema() == MONTHLY_SAMPLE.arrow_schema()
    assert not warehouse.exists(FLOORS)
    warehouse.make_tables([FLOORS])
    assert warehouse.exists(FLOORS)
    assert (rows_in(pinned.all()), rows_in(warehouse.pin(FLOORS).all())) == (set(), set())
    assert warehouse.version(FLOORS) == 0


@pytest.mark.thorough
def test_what_was_pinned_is_read_beside_newer_checkpoints(plain: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the embedded engine, which looks for the checkpoint before a version only from `_last_checkpoint` on.

    Every version is read: those between two checkpoints too, and also once one that is older than any run is named there.
    """
    monkeypatch.setattr("resources.warehouse.table_log.CHECKPOINT_INTERVAL", 3)
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
    plain.log(FLOORS).name_an_old_checkpoint()
    assert json.loads((log / "_last_checkpoint").read_text(encoding="utf-8"))["version"] == checkpoints[0]
    assert [plain.pin(FLOORS, version=version).df.count() for version in range(9)] == list(range(9))
    assert plain.version(FLOORS) == 8


def make_engine(name: str, spark_remote: str) -> SparkEngine:
    return SparkEngine(kind="sail") if name == "sail" else SparkEngine(kind="spark", remote=spark_remote)


@pytest.mark.parametrize(("writer", "reader"), [("sail", "spark"), ("spark", "sail")])
def test_what_one_engine_writes_the_others_read(tmp_path: Path, spark_remote: str, writer: str, reader: str) -> None:
    """By turns into one table, in a path with a space and accents; delta-rs and DuckDB read the same."""
    root = tmp_path / "entrepôt des données été"
    first, second = (Warehouse(str(root), make_engine(name, spark_remote), TABLES) for name in (writer, reader))
    first.overwrite(
        FLOORS, floors(first, ("a", "0.000001", MAY), ("Fès", "999999999999.999999", JUNE)), Partitions(MAY, JUNE)
    )
    second.overwrite(FLOORS, floors(second, ("b", "2.5", JUNE)), Partitions(JUNE, JULY))
    expected = {("a", "0.000001", MAY), ("b", "2.500000", JUNE)}
    assert rows_in(first.pin(FLOORS).all()) == rows_in(second.pin(FLOORS).all()) == expected
    assert rows_in(second.pin(FLOORS, version=1).all()) == {
        ("a", "0.000001", MAY),
        ("Fès", "999999999999.999999", JUNE),
    }
    assert [path.name for path in root.iterdir()] == [FLOORS]
    table = DeltaTable(str(root / FLOORS))
    assert rows_in(pa.table(table.to_pyarrow_table().select(MONTHLY_SAMPLE.column_names))) == expected
    with duckdb.connect() as connection:
        files = [str(root / FLOORS / name) for name in pa.table(table.get_add_actions())["path"].to_pylist()]
        total = connection.execute("SELECT sum(floor_mb) FROM read_parquet($files)", {"files": files}).fetchall()
    assert total == [(Decimal("2.500001"),)]


def test_reading_changes_no_file(engine: SparkEngine, tmp_path: Path) -> None:
    """Whatever is asked of a table that is there, of an old version of it, and of one that is not."""
    root = tmp_path / "ware house"
    writer = Warehouse(str(root), engine, TABLES)
    for number in range(4):
        writer.append_arrow(FLOORS, floors_table([(f"{number}", "1", MAY), (f"{number}", "2", JUNE)]))
    DeltaTable(writer.path(FLOORS)).create_checkpoint()  # and names it in `_last_checkpoint`
    before = everything_below(root)

    warehouse = Warehouse(str(root), engine, TABLES)
    for name, rows in ((FLOORS, 8), (DAYS, 0), (CATALOGUE, 0)):
        pinned = warehouse.pin(name)
        assert pinned.version == warehouse.version(name) == (4 if rows else 0)
        assert warehouse.exists(name) == bool(pinned.table_id) == bool(rows)
        assert pinned.all().count() == pinned.df.count() == pinned.arrow().num_rows == rows
        assert sum(batch.num_rows for batch in pinned.batches()) == sum(pinned.rows_by_partition().values()) == rows
        assert pinned.stored_schema() == pinned.contract.arrow_schema()
        assert (pinned.is_small, pinned.repeated_keys(1), pinned.totals()) == (True, [], {})
        assert pinned.missing_values(pinned.contract.column_names[:1]) == {pinned.contract.column_names[0]: 0}
        assert (pinned.totals_by_partition(), len(pinned.constants(["floor_mb"]) or [])) == ({}, 0)
        log = warehouse.log(name)
        assert (log.created_at() > 0) == bool(rows)
        assert (log.position("key"), set(log.last_changed(-1))) == (None, {MAY, JUNE} if rows else set())
        assert (log.entry(0) is None) == (not rows)
        assert (
            (identity_of(warehouse.log(name).entry(1)) == "")
            == (committed_at(warehouse, name, 1) is None)
            == (not rows)
        )
        assert partitions_changed(warehouse, name, pinned.table_id, pinned.version) == set()
    assert [warehouse.pin_period(name, MAY).df.count() for name in (FLOORS, DAYS)] == [4, 0]
    old = warehouse.pin(FLOORS, Partitions(MAY, MAY), version=2)
    assert (old.df.count(), old.arrow().num_rows, old.share_of(Partitions(MAY, JUNE))) == (2, 2, 0.5)
    assert everything_below(root) == before
