"""What commits say of how they were made, and when that does not hold any more. Without an engine."""

import datetime as dt
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.provenance import Look, how_made
from resources.warehouse import Partitions, PinnedTable, Warehouse, paths_of
from telecom_assets.tables import TABLES
from telecom_assets_tests.stages.chain import contract_table

RAW, CLEANED, RATED, BILLS, CUSTOMERS = (
    "raw_cdrs",
    "cleaned_cdrs",
    "rated_cdrs",
    "facturation_complete",
    "customers",
)
A, B, C = (dt.date(2026, 6, number) for number in (1, 2, 3))
JUNE, JULY = "2026-06", "2026-07"
TODAY = ["2026-06-01", "2026-06-02", "2026-06-03"]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path), SparkEngine(kind="sail"), TABLES)


def rows(name: str, partitions: Iterable[Any], **columns: Any) -> pa.Table:
    """One row on each of some partitions."""
    by = TABLES[name].partition_by
    return contract_table(TABLES[name], [{str(by): value, **columns} for value in partitions])


def make(
    warehouse: Warehouse,
    name: str,
    over: tuple[Any, Any],
    on: Iterable[Any],
    reads: Iterable[str] = (),
    rules: str = "of now",
    **columns: Any,
) -> None:
    """A run over some partitions, with a row on some of them, from the newest versions of some tables."""
    partitions = Partitions(*over)
    read = {each: warehouse.version(each) for each in reads}
    said = how_made(warehouse, rules, partitions, read)
    warehouse.overwrite_arrow(name, rows(name, on, **columns), partitions, read, said)


def look(warehouse: Warehouse, name: str, partitions: Iterable[str], reads: Iterable[str] = ()) -> dict[str, str]:
    opened_anew = Warehouse(warehouse.root, warehouse.engine, TABLES)
    return Look(opened_anew, append_only=[RAW]).not_as_made(name, list(partitions), "of now", set(reads))


def replace_customers(warehouse: Warehouse, name: str) -> None:
    warehouse.overwrite_arrow(CUSTOMERS, contract_table(TABLES[CUSTOMERS], [{"customer_id": name}]))


def test_what_was_made_holds_for_all_its_partitions_those_without_rows_too(warehouse: Warehouse) -> None:
    replace_customers(warehouse, "1")
    make(warehouse, CLEANED, (A, C), [A, B])
    make(warehouse, RATED, (A, C), [A], [CLEANED, CUSTOMERS])
    assert look(warehouse, RATED, TODAY, [CLEANED, CUSTOMERS]) == {}
    assert look(warehouse, RATED, ["2026-06-04"]) == {"2026-06-04": "rated_cdrs was never made"}


def test_rows_may_tell_which_partitions_read_others(warehouse: Warehouse) -> None:
    """A newer version of a table without partitions is out of date for those days alone of which it is said."""
    replace_customers(warehouse, "1")
    make(warehouse, RATED, (A, C), [A], [CUSTOMERS])
    replace_customers(warehouse, "2")
    asked = []

    def reads_others(table: str, partition: str, then: PinnedTable, now: PinnedTable) -> bool:
        asked.append((table, partition, then.version, now.version))
        return partition == "2026-06-02"

    found = Look(warehouse, reads_others=reads_others).not_as_made(RATED, TODAY, "of now", {CUSTOMERS})
    assert found == {"2026-06-02": "customers has changed"}
    assert asked == [(RATED, day, 1, 2) for day in TODAY]
    assert look(warehouse, RATED, TODAY, [CUSTOMERS]) == dict.fromkeys(TODAY, "customers has changed")


def test_no_rows_in_place_of_no_rows_are_known_to_have_been_made(warehouse: Warehouse) -> None:
    make(warehouse, CLEANED, (A, C), [])
    make(warehouse, RATED, (A, C), [], [CLEANED])
    assert warehouse.version(RATED) == 1
    assert look(warehouse, RATED, TODAY, [CLEANED]) == {}
    make(warehouse, CLEANED, (B, B), [B])
    assert look(warehouse, RATED, TODAY, [CLEANED]) == {"2026-06-02": "cleaned_cdrs has changed"}


def test_nothing_was_ever_made(warehouse: Warehouse) -> None:
    assert look(warehouse, RATED, TODAY[:1]) == {"2026-06-01": "rated_cdrs was never made"}
    found = Look(Warehouse(warehouse.root + "/other", warehouse.engine, TABLES))
    assert found.not_as_made(RATED, TODAY[:1], "of now", ()) == {"2026-06-01": "rated_cdrs was never made"}
    assert not Path(found.warehouse.path(RATED)).exists()


def test_other_rules_make_all_of_it_due(warehouse: Warehouse) -> None:
    make(warehouse, RATED, (A, B), [A])
    make(warehouse, RATED, (B, B), [B], rules="of then")
    assert look(warehouse, RATED, TODAY[:2]) == {"2026-06-02": "other rules or settings"}


def test_a_table_that_the_commit_does_not_name_is_not_told(warehouse: Warehouse) -> None:
    make(warehouse, RATED, (A, A), [A], [CLEANED])
    assert look(warehouse, RATED, TODAY[:1], [CLEANED, CUSTOMERS]) == {
        "2026-06-01": "not told which customers was read"
    }


def test_rows_of_another_hand_are_due_on_their_days(warehouse: Warehouse) -> None:
    make(warehouse, RATED, (A, C), [A, B, C])
    warehouse.append_arrow(RATED, rows(RATED, [B]))
    assert look(warehouse, RATED, TODAY) == {"2026-06-02": "rated_cdrs was changed by another hand"}


def test_a_change_of_a_day_concerns_the_day_and_its_month(warehouse: Warehouse) -> None:
    make(warehouse, CLEANED, (A, C), [A, B, C])
    make(warehouse, RATED, (A, C), [A, B, C], [CLEANED])
    make(warehouse, BILLS, (JUNE, JUNE), [JUNE], [CLEANED])
    make(warehouse, BILLS, (JULY, JULY), [JULY], [CLEANED])
    make(warehouse, CLEANED, (B, B), [B])
    assert look(warehouse, RATED, TODAY, [CLEANED]) == {"2026-06-02": "cleaned_cdrs has changed"}
    assert look(warehouse, BILLS, [JUNE, JULY], [CLEANED]) == {JUNE: "cleaned_cdrs has changed"}


def test_any_version_more_of_a_table_without_partitions_counts(warehouse: Warehouse) -> None:
    replace_customers(warehouse, "1")
    make(warehouse, RATED, (A, A), [A], [CUSTOMERS])
    assert look(warehouse, RATED, TODAY[:1], [CUSTOMERS]) == {}
    replace_customers(warehouse, "2")
    assert look(warehouse, RATED, TODAY[:1], [CUSTOMERS]) == {"2026-06-01": "customers has changed"}


def test_rows_that_only_moved_to_other_files_change_nothing(warehouse: Warehouse) -> None:
    make(warehouse, CLEANED, (A, A), [A])
    make(warehouse, RATED, (A, A), [A], [CLEANED])
    for name in (CLEANED, RATED):
        files, version = warehouse.stage_arrow(name, rows(name, [A])), warehouse.version(name)
        warehouse.commit(name, files, version, remove=paths_of(warehouse.pin(name, version=version), {A}), moved=True)
    assert look(warehouse, RATED, TODAY[:1], [CLEANED]) == {}


def test_rows_taken_from_a_table_that_only_grows_may_concern_every_day(warehouse: Warehouse) -> None:
    """A copy that is gone makes a record of another day the first one."""
    warehouse.append_arrow(RAW, rows(RAW, [A, B]))
    make(warehouse, CLEANED, (A, C), [A, B, C], [RAW])
    warehouse.append_arrow(RAW, rows(RAW, [C]))
    assert look(warehouse, CLEANED, TODAY, [RAW]) == {"2026-06-03": "raw_cdrs has changed"}
    warehouse.overwrite_arrow(RAW, rows(RAW, []), Partitions(A, A))
    assert look(warehouse, CLEANED, TODAY, [RAW]) == dict.fromkeys(TODAY, "rows of raw_cdrs were taken away")


# -- what cannot be told ---------------------------------------------------------------------------------------------------


def entry(warehouse: Warehouse, name: str, version: int) -> Path:
    return Path(warehouse.path(name), "_delta_log", f"{version:020d}.json")


@pytest.fixture
def made(warehouse: Warehouse) -> Warehouse:
    """Cleaned rows that were made twice, and rated rows of them."""
    make(warehouse, CLEANED, (A, A), [A])
    make(warehouse, CLEANED, (B, B), [B])
    make(warehouse, RATED, (A, B), [A, B], [CLEANED])
    assert look(warehouse, RATED, TODAY[:2], [CLEANED]) == {}
    return warehouse


def test_a_table_that_was_made_again_is_another_one(made: Warehouse) -> None:
    shutil.rmtree(made.path(CLEANED))
    other = Warehouse(made.root, made.engine, TABLES)
    for day in (A, B):
        make(other, CLEANED, (day, day), [day])
    assert set(look(made, RATED, TODAY[:2], [CLEANED])) == set(TODAY[:2])


def test_a_version_that_other_commits_have_reached_is_another_one(made: Warehouse) -> None:
    """As after a restore from a backup: the same numbers again."""
    entry(made, CLEANED, 2).unlink()
    other = Warehouse(made.root, made.engine, TABLES)
    make(other, CLEANED, (B, B), [B])
    assert other.version(CLEANED) == 2
    reasons = "version 2 of cleaned_cdrs is gone, or another one"
    assert look(made, RATED, TODAY[:2], [CLEANED]) == dict.fromkeys(TODAY[:2], reasons)


def test_a_table_that_is_behind_what_was_read(made: Warehouse) -> None:
    entry(made, CLEANED, 2).unlink()
    reasons = "version 2 of cleaned_cdrs is gone, or another one"
    assert look(made, RATED, TODAY[:2], [CLEANED]) == dict.fromkeys(TODAY[:2], reasons)


@pytest.mark.parametrize("name", [CLEANED, RATED])
def test_entries_that_maintenance_has_removed_tell_nothing(made: Warehouse, name: str) -> None:
    version = made.version(name)
    make(made, name, (C, C), [C], [CLEANED] if name == RATED else [])
    made.log(name).checkpoint(version + 1)
    for number in range(version + 1):
        entry(made, name, number).unlink()
    reasons = {
        CLEANED: "version 2 of cleaned_cdrs is gone, or another one",
        RATED: "version 1 of rated_cdrs is gone",
    }
    assert look(made, RATED, TODAY[:2], [CLEANED]) == dict.fromkeys(TODAY[:2], reasons[name])
