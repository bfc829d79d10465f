"""The project's IO manager: of days in approved months nothing is written, whatever a run gives."""

from datetime import date
from pathlib import Path

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.lineage.io_manager import ProjectIOManager
from telecom_assets.lineage.partitions import DAILY
from telecom_assets.periods.guard import refuse_frozen
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets_tests.resources.test_io_manager import rated, run_over
from telecom_assets_tests.sample_tables import TABLES

JUNE, JULY, AUGUST = date(2026, 6, 30), date(2026, 7, 15), date(2026, 8, 1)


@pytest.fixture
def approved(tmp_path: Path, engine: SparkEngine) -> Warehouse:
    """A guarded warehouse on each engine, with an amount of 1 on each of three days; July is approved."""
    warehouse = Warehouse(str(tmp_path), engine, TABLES, guard=refuse_frozen)
    warehouse.append_arrow(RATED_CDRS.name, rated((JUNE, "1"), (JULY, "1"), (AUGUST, "1")))
    for state in ("drafted", "approved"):
        change_state(warehouse, lambda _, to=state: changed_now("2026-07", to))  # type: ignore[misc]
    return warehouse


def amounts(warehouse: Warehouse) -> dict[date, int]:
    rows = warehouse.pin(RATED_CDRS.name).arrow().to_pylist()
    return {row["event_date"]: int(row["amount"]) for row in rows}


@pytest.mark.parametrize("few", [False, True], ids=["a DataFrame", "an Arrow table"])
def test_a_run_over_a_frozen_month_writes_the_days_around_it(approved: Warehouse, *, few: bool) -> None:
    """A commit for the days before and one for those after; the page says of July what it holds."""
    rows = rated((JUNE, "2"), (JULY, "2"), (AUGUST, "2"))
    given = rows if few else approved.engine.spark_session.createDataFrame(rows)
    manager = ProjectIOManager(approved)
    shown = run_over(approved, RATED_CDRS.name, DAILY, f"{JUNE}", f"{AUGUST}", given, manager)
    assert amounts(approved) == {JUNE: 2, JULY: 1, AUGUST: 2}
    assert [shown[f"{day}"]["total_amount"] for day in (JUNE, JULY, AUGUST)] == ["2.000000", "1.000000", "2.000000"]


def test_a_run_over_frozen_days_alone_writes_nothing(approved: Warehouse) -> None:
    """It is no error: what is late for them is mediated, and rated by no run."""
    version = approved.version(RATED_CDRS.name)
    run_over(approved, RATED_CDRS.name, DAILY, f"{JULY}", f"{JULY}", rated((JULY, "2")), ProjectIOManager(approved))
    assert (approved.version(RATED_CDRS.name), amounts(approved)[JULY]) == (version, 1)
