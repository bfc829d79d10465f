"""A process is killed while it approves or closes a month: whoever repeats the command ends as if nobody had been killed.

Belongs here: a real SIGKILL at each named phase of the two commands. Does not belong here: what documents hold (`closing/test_closing`).
"""

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from telecom_assets.closing import approving, closing
from telecom_assets.closing.document_files import digests_of
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.invoices.stored_set import invoice_set_problems, read_invoice_totals
from telecom_assets.periods.journal import read_periods
from telecom_assets_tests.faults import work
from telecom_assets_tests.faults.processes import Died, Running
from telecom_assets_tests.graph.conftest import copy_of, customers, new_project
from telecom_assets_tests.graph.project import MONTH, Project, cdr

__all__ = ["copy_of", "new_project"]

ISSUED = dt.date(2025, 7, 3)
#: What differs between two runs: the moment of a change.
WHEN = ("changed_at",)


def command(project: Project, decision: str, *options: str, dies_at: str | None = None) -> int:
    """`telecom bill approve` or `close` in a process of its own; its exit status."""
    assert project.settings.postgres_dsn is not None
    given = {"home": project.settings.home, "postgres_dsn": project.settings.postgres_dsn.get_secret_value()}
    typed = ("bill", decision, "--month", MONTH, "--by", "Ben", *options)
    status: int = Running(work.typed, given, *typed, today=ISSUED, dies_at=dies_at).answer()
    return status


def kept(project: Project) -> list[Path]:
    """The PDFs that a close has made and not shown yet."""
    return list(invoice_directory(project.settings, MONTH).parent.glob(f".{MONTH}.pdfs/*/*/*.pdf"))


@dataclass(frozen=True)
class Ending:
    """All that a closed month leaves: states, documents, files by name and digest, PostgreSQL's rows."""

    states: list[dict[str, Any]]
    documents: list[dict[str, Any]]
    files: dict[str, str]
    published: list[tuple[Any, ...]]

    @classmethod
    def of(cls, project: Project) -> "Ending":
        directory = invoice_directory(project.settings, MONTH)
        assert invoice_set_problems(directory) == []
        assert len(list(directory.parent.glob(f".{MONTH}.versions/v*"))) == 1, "nothing of the dead process is left"
        assert not kept(project), "nor of the PDFs that it made"
        changes = [asdict(each) for each in read_periods(project.warehouse).changes]
        assert project.settings.postgres_dsn is not None
        with psycopg.connect(project.settings.postgres_dsn.get_secret_value()) as session:
            published = session.execute("SELECT * FROM facturation_complete ORDER BY customer_id").fetchall()
            assert session.execute("SELECT DISTINCT status FROM facturation_complete").fetchall() == [("closed",)]
        return cls(
            [{name: value for name, value in each.items() if name not in WHEN} for each in changes],
            sorted(project.rows("documents"), key=lambda row: row["number"]),
            {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in directory.iterdir()},
            published,
        )


@pytest.fixture(scope="module")
def drafted(new_project: Callable[..., Project]) -> Project:
    """June with two calls, billed. Not to be changed."""
    made = new_project(partitions=1)
    listed = customers()
    few = pc.is_in(listed["customer_id"], pa.array(["212600000001", "212600000004", "212600009999"]))
    made.store_customers(listed.filter(few))
    parties = {"caller_id": "212600000001", "callee_id": "212600000004"}
    made.produce(cdr("voice", day, f"{day}", duration_sec=3000 * day, **parties) for day in (1, 2))
    made.open_month(MONTH)
    made.run_month()
    return made


@pytest.fixture(scope="module")
def approved(drafted: Project, copy_of: Callable[..., Project]) -> Project:
    """The same, approved. Not to be changed."""
    made = copy_of(drafted)
    assert command(made, "approve") == 0
    return made


@pytest.fixture(scope="module")
def undisturbed(approved: Project, copy_of: Callable[..., Project]) -> Ending:
    """How it ends where nobody is killed: numbers without a gap in the order of the customers."""
    made = copy_of(approved)
    assert command(made, "close") == 0
    ending = Ending.of(made)
    assert [each["state"] for each in ending.states] == ["drafted", "approved", "closing", "closed"]
    numbers = [f"INV-2025-{number:06}" for number in range(1, len(ending.published) + 1)]
    by_customer = sorted(ending.documents, key=lambda row: row["customer_id"])
    assert [row["number"] for row in by_customer] == numbers
    assert sum(row["amount_due"] for row in ending.documents) > 0
    digests = [digests_of(row) for row in ending.documents]
    assert [len(each) for each in digests] == [3] * len(numbers)
    assert all(ending.files[name] == sha256 for each in digests for name, sha256 in each.items())
    return ending


@pytest.mark.parametrize(
    ("decision", "phase"),
    [
        *(("approve", phase) for phase in approving.PHASES),
        *(("close", phase) for phase in (*closing.PHASES, "document 1")),
    ],
)
def test_a_command_whose_process_was_killed_is_repeated_and_ends_the_same(
    drafted: Project,
    approved: Project,
    undisturbed: Ending,
    copy_of: Callable[..., Project],
    decision: str,
    phase: str,
) -> None:
    """By a process of its own. What was done already is refused by the repeat: a month is approved once, and closed once."""
    project = copy_of(approved if decision == "close" else drafted)
    with pytest.raises(Died, match="ended with -9"):
        command(project, decision, dies_at=phase)
    drawn = {each.stat().st_ino for each in kept(project)}
    done = {"approve": "approved", "close": "closed"}[decision]
    assert command(project, decision) == (1 if phase == done else 0)
    if decision == "approve":
        assert command(project, "close") == 0
    assert Ending.of(project) == undisturbed
    shown = {each.stat().st_ino for each in invoice_directory(project.settings, MONTH).glob("*.pdf")}
    assert drawn <= shown, "the PDFs that were made are those that are shown"
    assert bool(drawn) == (phase in ("document 1", "numbered", "filed", "published"))


def die_at_each(project: Project, way: str, *phases: str) -> None:
    """One process after the other goes on with the close, each to the next phase; the last one ends it, and is the only one to."""
    for phase in phases:
        with pytest.raises(Died, match="ended with -9"):
            command(project, "close", way, dies_at=phase)
    assert command(project, "close", way) == 1
    states = [each.state for each in read_periods(project.warehouse).changes]
    assert states[-2:] == ["closing", "closed"]
    assert len(states) == len(set(states))


def published(project: Project) -> list[tuple[Any, ...]]:
    assert project.settings.postgres_dsn is not None
    with psycopg.connect(project.settings.postgres_dsn.get_secret_value()) as session:
        statement = "SELECT customer_id, amount_due, status FROM facturation_complete ORDER BY customer_id"
        return session.execute(statement).fetchall()


def test_a_close_without_bills_that_is_killed_at_each_phase_leaves_none(
    drafted: Project, copy_of: Callable[..., Project]
) -> None:
    project = copy_of(drafted)
    assert published(project) != []
    die_at_each(project, "--empty", "begun", "bills", "filed", "published", "closed")
    assert published(project) == []
    for table in ("rated_cdrs", "bill_lines", "facturation_complete"):
        assert project.rows(table) == []
    assert read_invoice_totals(invoice_directory(project.settings, MONTH)).invoices == 0


def test_a_close_of_former_bills_that_is_killed_at_each_phase_leaves_them(
    drafted: Project, copy_of: Callable[..., Project]
) -> None:
    """A month as a former version leaves it, without states and lines: the lines are made once, and the bills are as they were."""
    project = copy_of(drafted)
    lines, bills = (project.rows(table) for table in ("bill_lines", "facturation_complete"))
    for table in ("bill_lines", "billing_periods"):
        project.delete(table, "true")
    before = published(project)
    die_at_each(project, "--as-it-stands", "begun", "bills", "published", "closed")
    assert published(project) == [(customer, due, "closed") for customer, due, _ in before]
    assert project.rows("bill_lines") == lines
    assert project.rows("facturation_complete") == [{**row, "status": "closed"} for row in bills]
    assert not project.warehouse.exists("documents")
