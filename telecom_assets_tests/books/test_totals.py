"""Control totals: noted with what a stage has written, read for a version, worked out where they are missing."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.billing.tables import BILL_LINES
from telecom_assets.books.tables import CONTROL_TOTALS
from telecom_assets.books.totals import amounts_of, note_all_totals, note_totals, totals_of
from telecom_assets.lineage.io_manager import ProjectIOManager
from telecom_assets.lineage.partitions import DAILY
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.tables import TABLES
from telecom_assets_tests.billing.corrected import line
from telecom_assets_tests.resources.test_io_manager import run_over
from telecom_assets_tests.stages.chain import contract_table

pytestmark = pytest.mark.thorough

FIRST, SECOND = date(2026, 6, 1), date(2026, 6, 2)
JUNE = Partitions(date(2026, 6, 1), date(2026, 6, 30))


@pytest.fixture
def warehouse(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    return Warehouse(str(tmp_path), sail, TABLES)


def rated(*rows: tuple[date, str, str]) -> pa.Table:
    """Rows of rated_cdrs: day, record type, amount; a unit each."""
    listed = [
        {
            "record_id": f"{number}",
            "record_type": record_type,
            "amount": Decimal(amount),
            "billable_units": Decimal(1),
            "source_position": number,
            "event_date": day,
        }
        for number, (day, record_type, amount) in enumerate(rows)
    ]
    return pa.Table.from_pylist(listed, schema=RATED_CDRS.arrow_schema())


def written(warehouse: Warehouse, *rows: tuple[date, str, str]) -> None:
    days = [row[0] for row in rows]
    warehouse.overwrite_arrow(RATED_CDRS.name, rated(*rows), Partitions(min(days), max(days)))


def money(warehouse: Warehouse) -> dict[tuple[date, str], Decimal | None]:
    found = totals_of(warehouse.pin(RATED_CDRS.name, JUNE))
    assert len({(each.value, each.record_type) for each in found}) == len(found)
    return {(each.value, each.record_type): each.money for each in found}


def noted(warehouse: Warehouse) -> int:
    return sum(warehouse.pin(CONTROL_TOTALS.name).rows_by_partition().values())


def make(warehouse: Warehouse, first: date, last: date, *rows: tuple[date, str, str]) -> None:
    """Make rated_cdrs of some days as a run does."""
    manager = ProjectIOManager(warehouse, committed=note_totals)
    run_over(warehouse, RATED_CDRS.name, DAILY, f"{first}", f"{last}", rated(*rows), manager)


def test_a_run_notes_what_it_has_written(warehouse: Warehouse) -> None:
    make(
        warehouse,
        FIRST,
        SECOND,
        (FIRST, "voice", "1.5"),
        (FIRST, "voice", "2"),
        (FIRST, "fax", "4"),
        (SECOND, "sms", "8"),
    )
    rows = warehouse.pin(CONTROL_TOTALS.name).arrow().to_pylist()
    said = ("day_or_period", "record_type", "stage", "outcome", "reason", "records", "positions", "seconds", "money")
    assert sorted(tuple(row[name] for name in said) for row in rows) == [
        ("2026-06-01", "other", "rating", "rated", "", 1, 2, None, 4),
        ("2026-06-01", "voice", "rating", "rated", "", 2, 1, 120, Decimal("3.5")),
        ("2026-06-02", "sms", "rating", "rated", "", 1, 3, None, 8),
    ]
    assert {(row["counted_table"], row["counted_version"], row["billing_period"]) for row in rows} == {
        ("rated_cdrs", 1, "2026-06")
    }


def test_only_totals_of_what_is_there_count(warehouse: Warehouse) -> None:
    """A day is rated again: as many rows, another amount. The other day keeps what was noted of it."""
    make(warehouse, FIRST, SECOND, (FIRST, "voice", "1"), (SECOND, "voice", "2"))
    before = warehouse.pin(RATED_CDRS.name, JUNE)
    make(warehouse, FIRST, FIRST, (FIRST, "voice", "5"))
    assert noted(warehouse) == 3
    assert money(warehouse) == {(FIRST, "voice"): 5, (SECOND, "voice"): 2}
    assert sum(each.money or 0 for each in totals_of(before)) == 3  # the version of before still has its own


def test_a_kill_between_rows_and_totals_loses_nothing(warehouse: Warehouse) -> None:
    make(warehouse, FIRST, SECOND, (FIRST, "voice", "1"), (SECOND, "voice", "2"))

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    manager = ProjectIOManager(warehouse, committed=killed)
    with pytest.raises(KeyboardInterrupt):
        run_over(warehouse, RATED_CDRS.name, DAILY, f"{FIRST}", f"{FIRST}", rated((FIRST, "voice", "5")), manager)
    assert noted(warehouse) == 2
    assert money(warehouse) == {(FIRST, "voice"): 5, (SECOND, "voice"): 2}
    assert noted(warehouse) == 2  # reading writes nothing
    assert note_all_totals(warehouse) == 1
    assert (noted(warehouse), note_all_totals(warehouse)) == (3, 0)
    assert money(warehouse) == {(FIRST, "voice"): 5, (SECOND, "voice"): 2}


def test_what_two_have_noted_counts_once(warehouse: Warehouse) -> None:
    make(warehouse, FIRST, FIRST, (FIRST, "voice", "1"), (FIRST, "sms", "2"))
    warehouse.append_arrow(CONTROL_TOTALS.name, warehouse.pin(CONTROL_TOTALS.name).arrow())
    assert noted(warehouse) == 4
    assert money(warehouse) == {(FIRST, "voice"): 1, (FIRST, "sms"): 2}


def test_totals_of_a_lost_future_count_no_more(warehouse: Warehouse) -> None:
    """rated_cdrs is put back by a version and rated otherwise: the same version, other rows. The totals were not put back."""
    make(warehouse, FIRST, FIRST, (FIRST, "voice", "1"))
    make(warehouse, FIRST, FIRST, (FIRST, "voice", "2"))
    (Path(warehouse.path(RATED_CDRS.name)) / "_delta_log" / f"{2:020d}.json").unlink()
    restored = Warehouse(warehouse.root, warehouse.engine, TABLES)
    written(restored, (FIRST, "voice", "7"))
    assert restored.version(RATED_CDRS.name) == 2
    assert money(restored) == {(FIRST, "voice"): 7}


def test_totals_outlive_the_commit_that_they_name(warehouse: Warehouse) -> None:
    """Maintenance removes old entries of the log; what was noted before still counts, and is not worked out again."""
    make(warehouse, FIRST, FIRST, (FIRST, "voice", "1"))
    make(warehouse, SECOND, SECOND, (SECOND, "voice", "2"))
    warehouse.log(RATED_CDRS.name).checkpoint(2)
    for version in (0, 1):
        (Path(warehouse.path(RATED_CDRS.name)) / "_delta_log" / f"{version:020d}.json").unlink()
    later = Warehouse(warehouse.root, warehouse.engine, TABLES)
    assert money(later) == {(FIRST, "voice"): 1, (SECOND, "voice"): 2}
    assert note_all_totals(later) == 0


def test_a_table_whose_rows_have_several_amounts(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each amount is a total under its name, and the sums that pages show are no further query; an amount not noted is worked out."""
    lines = [line("c", "2026-06", "1.004", "1.00"), line("d", "2026-06", "2.006", "2.01")]
    warehouse.overwrite_arrow(BILL_LINES.name, contract_table(BILL_LINES, lines), Partitions("2026-06", "2026-06"))
    pinned = warehouse.pin_period(BILL_LINES.name, "2026-06")
    assert note_totals(pinned) == 1
    with monkeypatch.context() as patch:
        patch.setattr("resources.warehouse.statistics._totals_by_partition", None)
        assert pinned.totals() == {"exact_amount": Decimal("3.01"), "amount": Decimal("3.01")}
    assert {name: str(each) for name, each in amounts_of(pinned).items()} == {
        "exact_amount": "3.010000",
        "amount": "3.01",
    }
    rows = [row for row in warehouse.pin(CONTROL_TOTALS.name).arrow().to_pylist() if row["outcome"] == "exact_amount"]
    noted_less = pa.Table.from_pylist(rows, schema=CONTROL_TOTALS.arrow_schema())
    warehouse.overwrite_arrow(CONTROL_TOTALS.name, noted_less, Partitions("2026-06", "2026-06"))
    assert amounts_of(pinned)["amount"] == Decimal("3.01")
    assert note_totals(pinned) == 1
