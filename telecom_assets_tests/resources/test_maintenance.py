"""Maintenance of tables: fewer files, the same rows, and every version of the retention as it was.

Belongs here: what `resources.warehouse` does to a table, and what it leaves. Does not belong here: when it is done
(`graph/test_maintenance`), writers that a compaction overtakes (`warehouse/test_writing`).
"""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from resources.engine import SparkEngine
from resources.warehouse import (
    EVERYTHING,
    Maintained,
    Partitions,
    Warehouse,
    WarehouseError,
    maintain,
    maintenance,
    went_back,
)
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets_tests.resources.warehouse.tables import (
    CATALOGUE,
    FLOORS,
    JUNE,
    MAY,
    Floor,
    catalogue_rows,
    floors_table,
    received,
    rows_in,
)
from telecom_assets_tests.sample_tables import TABLES

NOW = datetime.now(UTC)


@pytest.fixture
def plain(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    """A warehouse where the engine does not matter, with a retention of 35 days."""
    return Warehouse(str(tmp_path / "ware house"), sail, TABLES, retention_days=35)


def keep(warehouse: Warehouse, **options: Any) -> dict[str, Maintained]:
    """Maintain everything now, or as said; returns what was done by table."""
    given: dict[str, Any] = {"target_file_bytes": 100_000_000, "now": NOW, **options}
    return {done.table: done for done in maintain(warehouse, **given)}


def append(warehouse: Warehouse, *floors: Floor) -> None:
    warehouse.append_arrow(FLOORS, floors_table(floors))


def replace(warehouse: Warehouse, *floors: Floor) -> None:
    """Put these in place of everything, in one commit, without an engine."""
    files = warehouse.stage_arrow(FLOORS, floors_table(floors))
    warehouse.commit(FLOORS, files, warehouse.version(FLOORS), replace=EVERYTHING)


def in_log(warehouse: Warehouse, name: str = FLOORS) -> set[str]:
    return {path.name for path in Path(warehouse.path(name), "_delta_log").iterdir()}


def on_disk(warehouse: Warehouse, name: str = FLOORS) -> set[Path]:
    """Files of rows."""
    return {path for path in Path(warehouse.path(name)).rglob("*.parquet") if "_delta_log" not in path.parts}


def files_of(warehouse: Warehouse, *versions: int) -> set[Path]:
    """Files that versions are made of."""
    folder = Path(warehouse.path(FLOORS))
    tables = (DeltaTable(str(folder), version=version) for version in versions)
    return {folder / path for table in tables for path in pa.table(table.get_add_actions())["path"].to_pylist()}


def age(warehouse: Warehouse, days: Iterable[float]) -> None:
    """Make the versions of a table so many days old, from version 0 on, and the files that each added with it."""
    folder = Path(warehouse.path(FLOORS))
    for version, distance in enumerate(days):
        moment = (NOW - timedelta(days=distance)).timestamp()
        added = [action["add"]["path"] for action in warehouse.log(FLOORS).entry(version) or [] if "add" in action]
        for path in [*added, f"_delta_log/{version:020d}.json"]:
            os.utime(folder / path, (moment, moment))


# ---------------------------------------------------------------------------------------------------------- compaction


def test_compaction_keeps_rows_counts_and_pinned_versions(warehouse: Warehouse) -> None:
    """On both engines: what was pinned before is read after it, from its own files."""
    for number in range(3):
        append(warehouse, (f"a{number}", "1.5", MAY), (f"b{number}", "2", JUNE))
    before = warehouse.pin(FLOORS, Partitions(MAY, MAY))
    rows = rows_in(before.arrow())
    done = keep(warehouse)[FLOORS]
    # Two partitions of three files each are one file each, in a commit each.
    assert (done.files_before, done.files_compacted, done.files_after, done.version) == (6, 6, 2, 5)
    assert (done.versions, done.files_removed, done.bytes_removed, done.note) == (6, 0, 0, "")
    after = warehouse.pin(FLOORS, Partitions(MAY, MAY))
    assert rows_in(before.df) == rows_in(after.df) == rows_in(after.arrow()) == rows
    assert before.rows_by_partition() == after.rows_by_partition() == {MAY: 3}
    assert not warehouse.log(FLOORS).rows_changed(before.version, after.version)

    again = keep(warehouse)[FLOORS]
    assert (again.files_before, again.files_compacted, again.version) == (2, 0, 5)


def test_files_are_merged_up_to_the_target_size(plain: Warehouse) -> None:
    for code in "ABC":
        plain.append_arrow(CATALOGUE, catalogue_rows(code))
    size = max(pa.table(DeltaTable(plain.path(CATALOGUE)).get_add_actions())["size_bytes"].to_pylist())
    assert keep(plain, target_file_bytes=size // 2)[CATALOGUE].files_after == 3
    assert keep(plain, target_file_bytes=10 * size)[CATALOGUE].files_after == 1
    assert sorted(plain.pin(CATALOGUE).arrow()["product_code"].to_pylist()) == list("ABC")


def test_tables_that_are_not_there_stay_so(plain: Warehouse) -> None:
    append(plain, ("a", "1", MAY))
    assert list(keep(plain)) == [FLOORS]
    assert [path.name for path in Path(plain.root).iterdir()] == [FLOORS]


def test_whether_rows_went_back_is_told_after_a_compaction(plain: Warehouse) -> None:
    """To the millisecond, as Kafka tells times: the compacted file's statistics say what those of its parts did."""
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    last = noon + timedelta(seconds=9, milliseconds=123)
    for moment in (noon, last):
        plain.append_arrow(RAW_CDRS.name, received(moment))
    assert keep(plain)[RAW_CDRS.name].files_after == 1
    for moment, back in [(last, last), (last + timedelta(milliseconds=1), None)]:
        files = plain.stage_arrow(RAW_CDRS.name, received(moment))
        assert went_back(plain.pin(RAW_CDRS.name), files, "received_at") == back


# -------------------------------------------------------------------------------------------------- beside the writers


def test_a_table_that_is_being_written_is_left_for_the_next_time(plain: Warehouse) -> None:
    """The others are compacted; and so is the rest of the table once its writer is done."""
    for number in range(2):
        append(plain, (f"a{number}", "1", MAY), (f"b{number}", "1", JUNE))
        plain.append_arrow(CATALOGUE, catalogue_rows(f"{number}"))
    writing = iter([None, "a landing is at work"])
    done = keep(plain, busy=lambda name: next(writing) if name == FLOORS else None)
    assert done[CATALOGUE].files_after == 1
    assert (done[FLOORS].files_compacted, done[FLOORS].files_after) == (2, 3)
    assert done[FLOORS].note == "not compacted: a landing is at work"
    assert keep(plain)[FLOORS].files_after == 2


def other_overwrite(warehouse: Warehouse) -> None:
    replace(warehouse, ("z", "9", MAY))


def other_append(warehouse: Warehouse) -> None:
    append(warehouse, ("z", "9", MAY))


LOST = "not all compacted: somebody wrote the table at the same time"


@pytest.mark.parametrize(("other", "compacted", "note"), [(other_overwrite, 0, LOST), (other_append, 2, "")])
def test_a_commit_that_comes_first(
    plain: Warehouse, monkeypatch: pytest.MonkeyPatch, other: Callable[[Warehouse], None], compacted: int, note: str
) -> None:
    """A compaction whose files were replaced meanwhile is dropped, one beside an append is not; no row is lost or doubled."""
    for number in range(2):
        append(plain, (f"a{number}", "1", MAY))
    opened = maintenance._Upkeep._open
    times: list[object] = []

    def open_then_be_overtaken(self: Any, version: int | None = None) -> DeltaTable:
        table = opened(self, version)
        times.append(version)
        if len(times) == 2:  # the first is looked at, the second is compacted
            other(plain)
            times.append(rows_in(plain.pin(FLOORS).arrow()))
        return table

    monkeypatch.setattr(maintenance._Upkeep, "_open", open_then_be_overtaken)
    done = keep(plain)[FLOORS]
    assert (done.files_compacted, done.note) == (compacted, note)
    assert rows_in(plain.pin(FLOORS).arrow()) == times[2]


def test_a_damaged_table_is_named_after_the_others_are_done(plain: Warehouse) -> None:
    for number in range(2):
        plain.append_arrow(CATALOGUE, catalogue_rows(f"{number}"))
        append(plain, (f"a{number}", "1", MAY))
    Path(plain.path(CATALOGUE), "_delta_log", f"{1:020d}.json").write_text("{not JSON", encoding="utf-8")
    with pytest.raises(WarehouseError, match=f"table {CATALOGUE} at .*ware house"):
        keep(plain)
    assert len(files_of(plain, plain.version(FLOORS))) == 1


# ----------------------------------------------------------------------------------------------------------- retention


def test_a_version_stays_for_the_retention_after_it_was_replaced(warehouse: Warehouse) -> None:
    """35 days: what was the newest 35 days ago is the oldest that is kept, with its files and nothing else's.

    On both engines, which then read it from the checkpoint that stands for all versions before.
    """
    warehouse.retention_days = 35
    for number in range(5):
        replace(warehouse, (f"v{number + 1}", "1", MAY), ("all", "1", JUNE))
    age(warehouse, [90, 60, 50, 40, 30, 1])  # version 3 was replaced 30 days ago, version 2 40 days ago
    failed, running = (Path(warehouse.path(FLOORS), folder, f"billing_period={MAY}", "x") for folder in ("old", "new"))
    for path in (failed, running):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"a write that was not committed")
    os.utime(failed, ((NOW - timedelta(days=36)).timestamp(),) * 2)
    pinned = {version: warehouse.pin(FLOORS, version=version) for version in range(1, 6)}
    expected, size = (
        files_of(warehouse, 3, 4, 5),
        sum(path.stat().st_size for path in [*files_of(warehouse, 1, 2), failed]),
    )

    done = keep(warehouse)[FLOORS]
    assert (done.version, done.versions) == (5, 3)
    assert on_disk(warehouse) == expected
    # A folder that nothing is left in goes with its files.
    assert (failed.parent.parent.exists(), running.exists()) == (False, True)
    assert in_log(warehouse) == {
        f"{3:020d}.checkpoint.parquet",
        f"{5:020d}.checkpoint.parquet",
        *(f"{number:020d}.json" for number in (3, 4, 5)),
    }
    # Two files of each version that went, the failed write, and commits 0 to 2.
    assert done.files_removed == 4 + 1 + 3
    assert done.bytes_removed > size
    for version in (3, 4, 5):
        assert {name for name, _, _ in rows_in(pinned[version].df)} == {f"v{version}", "all"}
    for version in (1, 2):
        with pytest.raises(WarehouseError, match=f"at version {version} .*was vacuumed"):
            warehouse.pin(FLOORS, version=version).arrow()
    assert keep(warehouse)[FLOORS].files_removed == 0
    append(warehouse, ("later", "1", MAY))
    assert len(rows_in(warehouse.pin(FLOORS).arrow())) == 3


def test_an_opened_version_whose_files_are_gone_is_named(plain: Warehouse) -> None:
    """Somebody had pinned and read a version before it went, and asks for it again in the same process."""
    replace(plain, ("a", "1", MAY))
    replace(plain, ("b", "1", MAY))
    old = plain.pin(FLOORS, version=1)
    assert old.arrow().num_rows == 1
    age(plain, [50, 50, 40])
    keep(plain)
    with pytest.raises(WarehouseError, match="at version 1 .*was vacuumed"):
        old.arrow()


def test_the_last_change_of_rows_stays_in_the_log(plain: Warehouse) -> None:
    """However old: landing asks what came after the version that its ledger knows."""
    for number in range(3):
        append(plain, (f"a{number}", "1", MAY))
    keep(plain)
    age(plain, [90, 80, 70, 60, 50])
    done = keep(plain)[FLOORS]
    assert (done.version, done.versions) == (4, 2)
    assert not plain.log(FLOORS).rows_changed(3, 4)
    assert plain.pin(FLOORS).rows_by_partition() == {MAY: 3}


def test_a_longer_retention_is_told_to_the_engines(plain: Warehouse) -> None:
    """They clean the log themselves, at their checkpoints. A table that keeps more is left as it is."""
    append(plain, ("a", "1", MAY))
    longer = Warehouse(plain.root, plain.engine, TABLES, retention_days=90)
    for retention, version, days in ((plain, 1, 35), (longer, 2, 90), (plain, 2, 90)):
        assert keep(retention)[FLOORS].version == version
        stored = DeltaTable(plain.path(FLOORS)).metadata().configuration
        assert stored["delta.logRetentionDuration"] == stored["delta.deletedFileRetentionDuration"]
        assert stored["delta.logRetentionDuration"] == f"interval {days} days"


def test_a_dry_run_says_what_would_be_done_and_does_nothing(plain: Warehouse) -> None:
    replace(plain, ("a", "1", MAY))
    replace(plain, ("b", "1", MAY))
    append(plain, ("c", "1", MAY))
    age(plain, [90, 80, 70, 60])

    def everything() -> dict[Path, tuple[int, int]]:
        paths = (path for path in Path(plain.root).rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = everything()
    would = keep(plain, dry_run=True)[FLOORS]
    assert everything() == before
    assert (would.files_before, would.files_compacted, would.versions) == (2, 2, 1)
    # The file of version 1, and commits 0 to 2.
    assert would.files_removed == 4
