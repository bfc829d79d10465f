"""A warehouse that was restored from a backup, after months were landed, billed and published from what came later."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resources.postgres import entries_ahead, publish_period
from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.billing.restored import assert_tables_agree
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import MONTH, Project, cdr, month_tag, ordered
from telecom_assets_tests.graph.test_cli_month import Finished, typed

__all__ = ["typed"]

NEXT = "2025-07"
CALLER = "212799999999"
WHO = ("--by", "A. Analyst", "--why", "the disk [of /data] died")
BILLS = "SELECT * FROM facturation_complete ORDER BY billing_period, customer_id"
LEDGER = "SELECT period, delta_version FROM publish_ledger ORDER BY period"


def call(day: int, record: str, month: str = MONTH) -> bytes:
    made = cdr("voice", day, record, caller_id=CALLER, callee_id="33612345678", duration_sec=61)
    return made.replace(MONTH.encode(), month.encode())


@dataclass
class Restored:
    """A project whose warehouse lies behind what was published, and what had been published."""

    project: Project
    backup: Path
    bills: list[Any]
    raw: list[dict[str, Any]]

    def restore(self) -> None:
        """Put the backup in the place of the warehouse, as a user does, and open it anew."""
        root = Path(self.project.settings.warehouse_uri)
        shutil.rmtree(root)
        shutil.copytree(self.backup, root)
        vars(self.project).pop("deployment", None)
        vars(self.project).pop("defs", None)


@pytest.fixture(scope="module")
def lost(new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """A month billed, a backup; then late records, the month again, and the next month."""
    project = new_project(partitions=2)
    project.store_customers(customers())
    for month in (MONTH, NEXT):
        project.open_month(month)
    project.produce([call(1, "a"), call(2, "b"), call(2, "c")])
    project.run_month()
    backup = tmp_path_factory.mktemp("backup") / "warehouse"
    shutil.copytree(project.settings.warehouse_uri, backup)
    project.produce([call(2, "late"), call(3, "d", NEXT), call(4, "e", NEXT)])
    project.run_month()
    project.produce([call(5, "f", NEXT), call(5, "f", NEXT)])
    project.run_month(NEXT)
    found = Restored(project, backup, project.postgres(BILLS), project.rows("raw_cdrs"))
    found.restore()
    return found


def test_a_run_refuses_and_names_the_command(lost: Restored, typed: Callable[..., Finished]) -> None:
    """Before anything is landed, mediated or billed."""
    versions = lost.project.versions(TABLES)
    finished = typed(lost.project, "run", "--month", MONTH)
    assert (finished.status, finished.stdout, finished.stderr.count("\n")) == (1, "", 1), finished.stderr
    assert "table facturation_complete" in finished.stderr
    assert f"{MONTH} (version 2), {NEXT} (version 3)" in finished.stderr
    assert "restored from a backup" in finished.stderr
    assert "`telecom warehouse adopt --by NAME --why REASON`" in finished.stderr
    assert lost.project.versions(TABLES) == versions
    assert lost.project.postgres(BILLS) == lost.bills


@pytest.mark.parametrize("asset", ["bill_lines", "facturation_complete", "published_bills"])
def test_a_step_from_the_ui_refuses_too(lost: Restored, asset: str) -> None:
    """A bill more would make a version more, and three of them would hide what had happened."""
    version = lost.project.version("facturation_complete")
    result = lost.project.materialise(asset, month_tag())
    assert not result.success
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert any(error and "telecom warehouse adopt" in error.to_string() for error in errors)
    assert lost.project.version("facturation_complete") == version
    assert lost.project.postgres(BILLS) == lost.bills


def test_a_dry_run_changes_nothing(lost: Restored, typed: Callable[..., Finished]) -> None:
    versions, ledger = lost.project.versions(TABLES), lost.project.postgres(LEDGER)
    finished = typed(lost.project, "warehouse", "adopt", *WHO, "--dry-run", "--json")
    assert (finished.status, finished.stderr) == (0, "")
    assert json.loads(finished.stdout) == {
        "dry_run": True,
        "version": 1,
        "published": {MONTH: 2, NEXT: 3},
        "decision": None,
    }
    shown = typed(lost.project, "warehouse", "adopt", *WHO, "--dry-run").stdout
    assert "would follow facturation_complete at version 1" in shown
    assert "PostgreSQL has published later ones" in typed(lost.project, "status").stderr
    assert lost.project.versions(TABLES) == versions
    assert lost.project.postgres(LEDGER) == ledger


def test_an_adopted_warehouse_is_the_truth(lost: Restored, typed: Callable[..., Finished]) -> None:
    """What came after the backup is landed, mediated, billed and published once more: all is as it was, nothing doubled."""
    project = lost.project
    adopted = typed(project, "warehouse", "adopt", *WHO)
    assert (adopted.status, adopted.stderr) == (0, "")
    assert f"`telecom run --month {NEXT}`" in adopted.stdout
    assert project.postgres(LEDGER) == [(MONTH, 1), (NEXT, 1)]
    assert project.postgres(BILLS) == lost.bills, "readers keep what was published until it is made again"

    # The month that was billed last, first: its versions are those that the other month's records name.
    for month in (NEXT, MONTH):
        finished = typed(project, "run", "--month", month, "--json")
        assert finished.status == 0, finished.stderr
        [decision] = json.loads(finished.stdout)["source_decisions"]
        assert (decision["kind"], decision["decided_by"], decision["why"]) == ("warehouse_adopted", WHO[1], WHO[3])
    assert project.postgres(BILLS) == lost.bills
    columns = ("source_part", "source_position", "value")
    landed = [[row[name] for name in columns] for row in ordered(project.rows("raw_cdrs"), *columns[:2])]
    assert landed == [[row[name] for name in columns] for row in ordered(lost.raw, *columns[:2])]
    bills = {
        (row["billing_period"], row["customer_id"]): row["amount_due"]
        for row in project.rows(FACTURATION_COMPLETE.name)
    }
    for month in (MONTH, NEXT):
        assert {row["customer_id"]: row["amount_due"] for row in project.expected().bills(month)} == {
            customer: due for (period, customer), due in bills.items() if period == month
        }
    for command in (["status"], ["funnel", "--month", MONTH]):
        shown = typed(project, *command).stdout
        assert "restored warehouse adopted; facturation_complete goes on from version 1" in shown
        assert all(text in shown for text in (WHO[1], WHO[3]))

    again = typed(project, "warehouse", "adopt", *WHO)
    assert (again.status, again.stdout, again.stderr.count("\n")) == (1, "", 1)
    assert "nothing to adopt" in again.stderr


def test_what_was_up_to_date_is_not_so_when_other_commits_have_reached_its_versions(
    lost: Restored, typed: Callable[..., Finished]
) -> None:
    """Versions alone say nothing: after a restore the same numbers are reached again, by other commits."""
    project = lost.project
    project.run_month()
    assert project.run_month()[-1].up_to_date
    lost.restore()
    typed(project, "warehouse", "adopt", *WHO)
    target = project.versions(TABLES)
    project.run_month(NEXT)
    project.run_month(NEXT, force=True)
    project.run_month(NEXT, force=True)
    assert project.version("facturation_complete") > target["facturation_complete"] + 2
    results = {result.step.job: result for result in project.run_month()}
    assert not results["billing_job"].up_to_date
    assert project.postgres(BILLS) == lost.bills


def test_nothing_published_is_nothing_ahead(lost: Restored, new_project: Callable[..., Project]) -> None:
    assert entries_ahead(new_project().deployment.postgres(), "facturation_complete", "another table", 0) == {}


def test_a_slow_publisher_is_no_restored_warehouse(lost: Restored) -> None:
    """An older version of a table that has the newer one changes nothing, as ever."""
    project = lost.project
    postgres, before = project.deployment.postgres(), project.postgres(LEDGER)
    bills = project.warehouse.pin_period("facturation_complete", MONTH)
    result = publish_period(
        postgres,
        FACTURATION_COMPLETE,
        MONTH,
        bills.batches(),
        delta_table_id=bills.table_id,
        delta_version=0,
        expected_rows=sum(bills.rows_by_partition().values()),
        expected_sums=bills.totals(),
    )
    assert result.outcome == "stale"
    assert project.postgres(LEDGER) == before
    assert entries_ahead(postgres, "facturation_complete", bills.table_id, bills.version) == {}


# -- a table whose newest commits are gone ---------------------------------------------------------------------------------


def cut(project: Project, name: str) -> int:
    """Take the newest entry out of a table's log; returns its version."""
    version = project.version(name)
    Path(project.warehouse.path(name), "_delta_log", f"{version:020d}.json").unlink()
    return version


@pytest.mark.parametrize(
    "name", ["raw_cdrs", "cleaned_cdrs", "rejected_cdrs", "product_catalog", "rated_cdrs", "facturation_complete"]
)
def test_a_table_that_lacks_what_another_was_made_from(damaged: Project, name: str) -> None:
    """Its log is whole to all that can be seen of it."""
    assert_tables_agree(damaged.warehouse)
    lost = cut(damaged, name)
    with pytest.raises(WarehouseError) as raised:
        assert_tables_agree(opened_anew(damaged))
    said = str(raised.value)
    assert f"table {name} at {damaged.warehouse.path(name)} is at version {lost - 1}, and " in said
    assert f"was made from version {lost}" in said
    assert f"_delta_log/{lost:020d}.json" in said


def test_a_run_says_so_before_it_does_anything(damaged_with_database: Project, typed: Callable[..., Finished]) -> None:
    project = damaged_with_database
    lost = cut(project, "cleaned_cdrs")
    before = project.versions(TABLES)
    finished = typed(project, "run", "--month", MONTH)
    assert (finished.status, finished.stdout, finished.stderr.count("\n")) == (1, "", 1), finished.stderr
    assert f"table cleaned_cdrs at {project.warehouse.path('cleaned_cdrs')} is at version {lost - 1}" in finished.stderr
    assert project.versions(TABLES) == before


def test_a_table_that_was_made_again_is_no_older_copy(damaged: Project) -> None:
    """Its versions begin anew; what was made from the one before says nothing of it."""
    shutil.rmtree(damaged.warehouse.path("product_catalog"))
    warehouse = opened_anew(damaged)
    assert warehouse.version("product_catalog") == 0
    assert_tables_agree(warehouse)


def opened_anew(project: Project) -> Warehouse:
    """As a process that begins now has it."""
    warehouse = project.warehouse
    return Warehouse(warehouse.root, warehouse.engine, TABLES)
