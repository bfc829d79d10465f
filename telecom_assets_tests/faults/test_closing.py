"""A process is killed while it closes a month: whoever closes it again finds its numbers, and ends as it would have ended."""

from pathlib import Path

import psycopg

from resources.engine import SparkEngine
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.invoices.files import invoice_set_problems
from telecom_assets.periods.journal import read_periods
from telecom_assets_tests.closing.months import MONTH, approved, billed, books, rated, rows
from telecom_assets_tests.faults import work
from telecom_assets_tests.faults.processes import Running


def test_a_process_that_dies_between_numbers_and_files_is_followed_by_one_that_goes_on(
    tmp_path: Path, sail: SparkEngine, postgres_dsn: str
) -> None:
    """The numbers are given, and no file can be seen; the next process needs no more than the command."""
    of = books(tmp_path, sail, postgres_dsn)
    rated(of)
    billed(of)
    approved(of)
    given = {"home": of.settings.home, "warehouse": of.warehouse.root, "postgres_dsn": postgres_dsn}
    dying = Running(work.month_closed, given, MONTH, halts="numbered")
    dying.halted("numbered")
    dying.kill()
    numbers = rows(of, "documents")
    directory = invoice_directory(of.settings, MONTH)
    assert (len(numbers), directory.exists(), read_periods(of.warehouse).state(MONTH)) == (2, False, "closing")

    issued = Running(work.month_closed, given, MONTH).answer()
    assert rows(of, "documents") == numbers
    assert {str(row["issue_date"]) for row in numbers} == {issued}
    assert read_periods(of.warehouse).state(MONTH) == "closed"
    assert (len(list(directory.glob("*.xml"))), invoice_set_problems(directory)) == (2, [])
    assert len(list(directory.parent.glob(f".{MONTH}.versions/v*"))) == 1, "what the dead process has written is gone"
    with psycopg.connect(postgres_dsn) as session:
        assert session.execute("SELECT count(*), min(status) FROM facturation_complete").fetchone() == (2, "closed")
