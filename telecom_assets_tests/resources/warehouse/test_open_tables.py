"""Opening tables: which is the newest version, which table it is, and what is said of one that is not as it should be."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.errors import PySparkException

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse, WarehouseError
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets_tests.resources.warehouse.tables import (
    CATALOGUE,
    FLOORS,
    MAY,
    catalogue_rows,
    floors,
    floors_table,
    received,
)
from telecom_assets_tests.sample_tables import TABLES


def test_a_table_made_again_has_another_identity(plain: Warehouse, tmp_path: Path) -> None:
    plain.make_tables([FLOORS])
    before = plain.pin(FLOORS).table_id
    assert plain.pin(FLOORS).table_id == before
    (tmp_path / "warehouse" / FLOORS).rename(tmp_path / "gone")
    plain.make_tables([FLOORS])
    assert plain.pin(FLOORS).table_id not in ("", before)


def test_a_new_table_has_plain_features_only(plain: Warehouse) -> None:
    """What both engines and delta-rs write and read: no deletion vectors, no column mapping."""
    plain.make_tables([RAW_CDRS.name])
    table = DeltaTable(plain.path(RAW_CDRS.name))
    assert table.metadata().partition_columns == ["event_date"]
    assert table.metadata().configuration["delta.enableDeletionVectors"] == "false"
    assert table.metadata().configuration["delta.dataSkippingNumIndexedCols"] == str(RAW_CDRS.indexed)
    assert table.protocol().min_reader_version == 1


def test_a_table_that_was_made_again_is_another(plain: Warehouse, tmp_path: Path) -> None:
    """No version of the one that is gone is taken for one of its own."""
    plain.append_arrow(CATALOGUE, catalogue_rows("A"))
    assert plain.pin(CATALOGUE).arrow()["product_code"].to_pylist() == ["A"]
    Path(plain.path(CATALOGUE)).rename(tmp_path / "gone")
    for code in ("B", "C"):
        plain.append_arrow(CATALOGUE, catalogue_rows(code))
    assert plain.pin(CATALOGUE, version=1).arrow()["product_code"].to_pylist() == ["B"]


def test_the_newest_version_is_known_whoever_made_it(plain: Warehouse) -> None:
    """Which one is the newest is kept in mind between two questions, and yet never out of date."""
    warehouse, other = plain, Warehouse(plain.root, plain.engine, TABLES)
    warehouse.append_arrow(CATALOGUE, catalogue_rows("A"))
    assert (warehouse.version(CATALOGUE), other.version(CATALOGUE)) == (1, 1)
    other.append_arrow(CATALOGUE, catalogue_rows("B"))
    assert warehouse.version(CATALOGUE) == 2
    first_id = warehouse.pin(CATALOGUE).table_id
    shutil.rmtree(warehouse.path(CATALOGUE))
    other.append_arrow(CATALOGUE, catalogue_rows("C"))
    other.append_arrow(CATALOGUE, catalogue_rows("D"))
    assert warehouse.version(CATALOGUE) == 2
    assert warehouse.pin(CATALOGUE).table_id != first_id
    codes = warehouse.pin(CATALOGUE).arrow()["product_code"].to_pylist()
    assert sorted(codes) == ["C", "D"]


@pytest.mark.thorough
def test_the_newest_version_of_each_table_stays_open(plain: Warehouse) -> None:
    """A month looks at more tables than old versions stay open, and at each many times."""
    plain.make_tables()
    opened = {name: plain.tables.at(contract) for name, contract in TABLES.items()}
    assert [name for name, table in opened.items() if plain.tables.at(TABLES[name]) is not table] == []
    for number in range(20):
        plain.append_arrow(CATALOGUE, catalogue_rows(str(number)))
    assert plain.tables.at(TABLES[CATALOGUE], 0) is not opened[CATALOGUE]


def corrupt(log: Path) -> None:
    (log / f"{1:020d}.json").write_text("{not JSON", encoding="utf-8")


def lose_a_version(log: Path) -> None:
    (log / f"{0:020d}.json").unlink()


@pytest.mark.parametrize("damage", [corrupt, lose_a_version])
def test_a_damaged_table_is_named(plain: Warehouse, damage: Callable[[Path], None]) -> None:
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


def test_a_table_of_an_earlier_version_is_refused_in_a_sentence(plain: Warehouse) -> None:
    """It lacks a column that is asked of it: nothing is read as missing, nothing is written beside it."""
    schema = RAW_CDRS.arrow_schema().remove(0)
    DeltaTable.create(plain.path(RAW_CDRS.name), schema=schema, partition_by=["event_date"])
    for use in (lambda: plain.pin(RAW_CDRS.name), lambda: plain.append_arrow(RAW_CDRS.name, received())):
        with pytest.raises(
            WarehouseError, match="an earlier version and lacks source_id; .* `telecom warehouse upgrade`"
        ):
            use()


def test_a_table_with_narrower_numbers_is_refused_in_a_sentence(plain: Warehouse) -> None:
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


def test_a_version_that_is_not_there_is_named(plain: Warehouse) -> None:
    plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    with pytest.raises(WarehouseError, match=rf"table {FLOORS} at .* at version 7"):
        plain.pin(FLOORS, version=7).arrow()


def test_a_table_that_is_gone_is_not_made_again_silently(plain: Warehouse, tmp_path: Path) -> None:
    """Who pinned a version and then finds nothing must not read an empty table."""
    plain.append_arrow(FLOORS, floors_table([("a", "1", MAY)]))
    pinned = plain.pin(FLOORS)
    (tmp_path / "warehouse" / FLOORS).rename(tmp_path / "gone")
    with pytest.raises(WarehouseError, match=f"table {FLOORS} at .* is gone; expected version 1"):
        pinned.arrow()
    with pytest.raises((WarehouseError, PySparkException)):
        pinned.all().collect()


def test_a_root_that_cannot_be_a_folder_is_named(sail: SparkEngine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(WarehouseError, match=FLOORS):
        Warehouse(str(tmp_path / "file"), sail, TABLES).make_tables([FLOORS])


def test_a_file_in_the_place_of_a_table_is_named(plain: Warehouse, tmp_path: Path) -> None:
    """To whoever reads and to whoever writes."""
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / CATALOGUE).write_text("in the way", encoding="utf-8")
    for use in (lambda: plain.pin(CATALOGUE), lambda: plain.append_arrow(CATALOGUE, catalogue_rows("A"))):
        with pytest.raises(WarehouseError, match=f"table {CATALOGUE} at .*{CATALOGUE}"):
            use()
