"""Logs that are damaged: what is made again, what is said of the rest, and that nothing else is written or lost."""

import datetime as dt
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.tables import TABLES

NAME = "displaced_days"
#: Versions of the table under test, one row each; checkpoints lie at 5 and 10, and the hint names the second.
NEWEST = 12


@pytest.fixture(scope="module")
def sound(sail: SparkEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of twelve rows in twelve commits."""
    root = tmp_path_factory.mktemp("ware house")
    made = Warehouse(str(root), sail, TABLES)
    for version in range(1, NEWEST + 1):
        day = {"event_date": dt.date(2025, 6, version), "raw_version": version}
        made.append_arrow(NAME, pa.Table.from_pylist([day], schema=TABLES[NAME].arrow_schema()))
        if version in (5, 10):
            made.log(NAME).checkpoint(version)
    (root / NAME / "_delta_log" / "_last_checkpoint").write_text('{"version":10,"size":12}')
    return root / NAME


@pytest.fixture
def table(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    shutil.copytree(sound, tmp_path / "ware house" / NAME)
    return tmp_path / "ware house" / NAME


def entry(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020d}.json"


def checkpoint(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020d}.checkpoint.parquet"


def hint(table: Path) -> Path:
    return table / "_delta_log" / "_last_checkpoint"


def tear(path: Path) -> bytes:
    """Leave the first half of a file; returns that."""
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(half)
    return half


def files_of(table: Path) -> dict[str, bytes]:
    return {str(path.relative_to(table)): path.read_bytes() for path in table.rglob("*") if path.is_file()}


def opened(table: Path, engine: SparkEngine) -> Warehouse:
    """The warehouse as a process that begins now sees it."""
    return Warehouse(str(table.parent), engine, TABLES)


def mended(table: Path, engine: SparkEngine) -> Warehouse:
    """The same once it is about to write the table."""
    warehouse = opened(table, engine)
    warehouse.make_tables([NAME])
    return warehouse


def versions_read(warehouse: Warehouse) -> list[int]:
    """Rows of the newest version, through the engine: the number of the commit that brought each."""
    return sorted(row["raw_version"] for row in warehouse.pin(NAME).df.collect())


ALL = list(range(1, NEWEST + 1))


# -- what is made again --------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("name", [5, 10], ids=["older", "newest"])
@pytest.mark.parametrize(
    "damage", [tear, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"\0" * 999)]
)
def test_a_torn_checkpoint_is_made_again(
    table: Path, engine: SparkEngine, damage: Callable[[Path], object], name: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its entries are there. What it was is kept, in a file that no reader of tables takes for one of its own."""
    hint(table).write_text(f'{{"version":{name},"size":12}}')
    if name == 5:
        checkpoint(table, 10).unlink()
    damage(checkpoint(table, name))
    torn, before = checkpoint(table, name).read_bytes(), files_of(table)
    assert versions_read(mended(table, engine)) == ALL
    after = files_of(table)
    [kept] = [path for path in after if "_torn-" in path]
    assert after.pop(kept) == torn
    changed = {path for path in before if before[path] != after.get(path)}
    assert changed == {f"_delta_log/{checkpoint(table, name).name}"}
    assert set(after) == set(before)
    [warning] = [record.getMessage() for record in caplog.records if record.name == "resources.warehouse.log_repair"]
    assert f"table {NAME} at {table}" in warning
    assert f"{checkpoint(table, name).name} was torn; it was made anew" in warning
    assert versions_read(mended(table, engine)) == ALL


def test_a_checkpoint_is_made_from_the_one_before_it(table: Path, engine: SparkEngine) -> None:
    """The entries before that have left the log."""
    for version in range(5):
        entry(table, version).unlink()
    tear(checkpoint(table, 10))
    assert versions_read(mended(table, engine)) == ALL


@pytest.mark.parametrize(
    "said", ['{"version":77,"size":12}', '{"version":7,"size":12}', '{"versi', "", "\0\0\0", "[]", '{"version":null}']
)
def test_a_hint_that_names_nothing_is_made_again(
    table: Path, engine: SparkEngine, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = files_of(table)
    hint(table).write_text(said)
    assert versions_read(mended(table, engine)) == ALL
    assert mended(table, engine).pin(NAME, version=11).all().count() == 11
    assert json.loads(hint(table).read_text())["version"] in (5, 10)
    assert {path for path, content in files_of(table).items() if before[path] != content} <= {
        "_delta_log/_last_checkpoint"
    }
    assert "_last_checkpoint was torn or named no checkpoint" in caplog.text


def test_a_hint_without_a_checkpoint_goes(table: Path, engine: SparkEngine) -> None:
    for version in (5, 10):
        checkpoint(table, version).unlink()
    assert versions_read(mended(table, engine)) == ALL
    assert not hint(table).exists()


def test_both_at_once(table: Path, engine: SparkEngine) -> None:
    """The only whole checkpoint is the older one, and the hint is torn."""
    tear(checkpoint(table, 10))
    tear(hint(table))
    assert versions_read(mended(table, engine)) == ALL


@pytest.mark.thorough
def test_several_may_mend_at_once(table: Path, sail: SparkEngine) -> None:
    """Each puts a whole file in its place; what was torn is kept once."""
    torn = tear(checkpoint(table, 10))
    barrier, found = threading.Barrier(4), []

    def look() -> None:
        warehouse = opened(table, sail)
        barrier.wait(60)
        warehouse.make_tables([NAME])
        found.append(warehouse.version(NAME))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [NEWEST] * 4
    [kept] = table.glob("_delta_log/_torn-*")
    assert kept.read_bytes() == torn
    assert versions_read(opened(table, sail)) == ALL


def test_a_sound_log_is_read_and_not_written(table: Path, engine: SparkEngine) -> None:
    before = files_of(table)
    assert versions_read(opened(table, engine)) == ALL
    assert files_of(table) == before


def tear_both(table: Path) -> None:
    tear(checkpoint(table, 10))
    tear(hint(table))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "damage",
    [
        lambda table: tear(checkpoint(table, 10)),
        lambda table: tear(hint(table)),
        lambda table: hint(table).write_text('{"version":77,"size":12}'),
        lambda table: hint(table).write_text('{"version":7,"size":12}'),
        lambda table: hint(table).write_text(""),
        tear_both,
    ],
    ids=["checkpoint", "hint", "hint to nothing", "hint between", "empty hint", "both"],
)
def test_who_only_reads_mends_nothing_and_reads_all(
    table: Path, sail: SparkEngine, damage: Callable[[Path], object]
) -> None:
    """The newest version and an older one, through the engine and without it. The next writer mends the log."""
    damage(table)
    before = files_of(table)
    warehouse = opened(table, sail)
    assert versions_read(warehouse) == ALL
    older = warehouse.pin(NAME, version=7)
    assert older.all().count() == older.arrow().num_rows == sum(older.rows_by_partition().values()) == 7
    assert files_of(table) == before
    row = {"event_date": dt.date(2025, 7, 1), "raw_version": 13}
    warehouse.append_arrow(NAME, pa.Table.from_pylist([row], schema=TABLES[NAME].arrow_schema()))
    assert versions_read(opened(table, sail)) == versions_read(warehouse) == [*ALL, 13]
    assert json.loads(hint(table).read_text())["version"] in (5, 10)
    assert all(pq.read_table(path).num_rows for path in table.glob("_delta_log/*.checkpoint.parquet"))


def test_spark_says_what_mends_a_torn_log(table: Path, spark_remote: str) -> None:
    """It reads the log itself, and nothing is mended for a reader."""
    tear(checkpoint(table, 10))
    before = files_of(table)
    spark = SparkEngine(kind="spark", remote=spark_remote)
    with pytest.raises(WarehouseError, match=f"table {NAME} at .*: its log is torn.*`telecom maintain` mends it"):
        versions_read(opened(table, spark))
    assert opened(table, spark).pin(NAME).arrow().num_rows == NEWEST
    assert files_of(table) == before


# -- what is said of the rest ---------------------------------------------------------------------------------------------


def refused(table: Path, engine: SparkEngine, *parts: str) -> None:
    """Nothing is read and nothing changed; one line says these things."""
    before = files_of(table)
    with pytest.raises(WarehouseError) as raised:
        opened(table, engine).version(NAME)
    said = str(raised.value)
    assert "\n" not in said
    for part in (f"table {NAME} at {table} cannot be read", *parts):
        assert part in said, said
    assert files_of(table) == before


def test_a_torn_newest_entry(table: Path, sail: SparkEngine) -> None:
    tear(entry(table, 12))
    refused(
        table,
        sail,
        f"_delta_log/{entry(table, 12).name} is torn (",
        "the last good version is 11",
        "from a backup",
        "move",
    )
    entry(table, 12).rename(table.parent / "aside")
    assert versions_read(opened(table, sail)) == ALL[:-1]


@pytest.mark.parametrize("content", [b"", b"\0" * 500])
def test_a_newest_entry_without_content(table: Path, sail: SparkEngine, content: bytes) -> None:
    """What a crash of the machine may leave of a file that was not synced. An empty one is no change to delta-rs."""
    entry(table, 12).write_bytes(content)
    refused(table, sail, f"_delta_log/{entry(table, 12).name} is ", "the last good version is 11")


@pytest.mark.parametrize("damage", [tear, Path.unlink])
def test_an_entry_in_the_middle(table: Path, sail: SparkEngine, damage: Callable[[Path], object]) -> None:
    """It is not the newest: nobody is told to move it away."""
    damage(entry(table, 11))
    before = files_of(table)
    with pytest.raises(WarehouseError) as raised:
        opened(table, sail).version(NAME)
    assert f"_delta_log/{entry(table, 11).name} is {'torn' if damage is tear else 'missing'}" in str(raised.value)
    assert "the last good version is 10" in str(raised.value)
    assert "move" not in str(raised.value)
    assert files_of(table) == before


def test_a_torn_checkpoint_whose_entries_are_gone(table: Path, sail: SparkEngine) -> None:
    for version in range(11):
        entry(table, version).unlink()
    checkpoint(table, 5).unlink()
    tear(checkpoint(table, 10))
    refused(
        table, sail, f"{checkpoint(table, 10).name} is torn", "entries that it was made from are gone", "no version"
    )


def test_a_torn_checkpoint_and_a_torn_entry(table: Path, sail: SparkEngine) -> None:
    """The checkpoint cannot be made, for its own entry is torn."""
    tear(checkpoint(table, 10))
    tear(entry(table, 10))
    refused(table, sail, f"{entry(table, 10).name} is torn", "the last good version is 9")


def test_a_log_that_is_gone_is_not_begun_anew(table: Path, sail: SparkEngine) -> None:
    """An empty table in its place would hide the rows."""
    shutil.rmtree(table / "_delta_log")
    refused(table, sail, "_delta_log is gone, and files of rows are there", "no version can be read")


def test_without_entries_a_checkpoint_is_a_table(table: Path, sail: SparkEngine) -> None:
    for version in range(NEWEST + 1):
        entry(table, version).unlink()
    try:
        assert versions_read(opened(table, sail)) == ALL[:10]
    except WarehouseError as error:
        assert f"table {NAME} at {table} cannot be read" in str(error)
