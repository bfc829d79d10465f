"""Months drawn at random, with corrections: both journals are given, and come to the documents."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.engine import SparkEngine
from telecom_assets.accounting.accounts import read_accounts
from telecom_assets.accounting.close_journal import close_journal
from telecom_assets.accounting.entries import balance
from telecom_assets.accounting.vat import vat_journal
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets_tests.accounting.books import FEBRUARY, JANUARY, C, D, E, close
from telecom_assets_tests.closed_periods.project import CURRENCIES, Project
from telecom_assets_tests.closed_periods.system import House, MonthTerms, Price, Usage, Version
from telecom_assets_tests.examples import examples

USAGE = st.tuples(st.sampled_from((C, D, E)), st.sampled_from((None, "0.7", "3.33", "41")), st.integers(1, 28))
PERCENT = st.sampled_from((Decimal(0), Decimal("4.25"), Decimal(10), Decimal(20)))


@pytest.mark.thorough
@settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    decimals=st.sampled_from(sorted(CURRENCIES)),
    percentages=st.tuples(PERCENT, PERCENT, PERCENT),
    separate=st.booleans(),
    january=st.lists(USAGE, min_size=3, max_size=8),
    late=st.lists(USAGE, max_size=4),
    february=st.lists(USAGE, max_size=4),
    withdrawn=st.sampled_from((None, C, D)),
)
def test_the_journals_come_to_the_documents(
    sail: SparkEngine,
    decimals: int,
    percentages: tuple[Decimal, Decimal, Decimal],
    separate: bool,
    january: list[tuple[str, str | None, int]],
    late: list[tuple[str, str | None, int]],
    february: list[tuple[str, str | None, int]],
    withdrawn: str | None,
) -> None:
    """Usage of January and February, late usage of January, and a customer who was never to pay."""
    discount, *taxes = percentages
    terms = {month: MonthTerms(discount, tax) for month, tax in zip((JANUARY, FEBRUARY), taxes, strict=True)}
    house = House(terms, decimals=decimals, threshold=Decimal("0.5"), separate=separate)
    with TemporaryDirectory() as folder:
        project = Project(house, Path(folder) / "warehouse", sail)
        for customer in (C, D, E):
            project.set_customer(customer, [Version()])
        project.set_price("PLAN_A", "sms", [Price(Decimal("1.0047"))])
        project.set_price("PLAN_A", "data", [Price(Decimal("0.3331"))])
        received = 0
        for closed, issued, usage in (
            (JANUARY, dt.date(2026, 2, 3), [(JANUARY, each) for each in january]),
            (
                FEBRUARY,
                dt.date(2026, 3, 3),
                [(JANUARY, each) for each in late] + [(FEBRUARY, each) for each in february],
            ),
        ):
            for month, (customer, megabytes, day) in usage:
                received += 1
                at = dt.date.fromisoformat(f"{month}-{day:02}")
                volume = Decimal(megabytes) if megabytes else None
                project.receive(Usage(f"r{received}", customer, at, "data" if volume else "sms", received, volume))
            project.run(closed)
            project.approve(closed)
            close(project, Path(folder), closed, issued)
            _assert_journals_come_to_the_documents(project, closed, f"{issued:%Y-%m}")
            if withdrawn is not None:
                project.set_customer(withdrawn, [Version(postpaid=False)])


def _assert_journals_come_to_the_documents(project: Project, period: str, issued: str) -> None:
    due = [amount for (_, month, _), amount in project.documents().items() if month == period]
    vat = vat_journal(project.warehouse, issued, project.currency)
    assert (vat.documents, sum(vat.rows["amount_due"].to_pylist())) == (len(due), sum(due))
    accounts, types = read_accounts(None, ()), RecordTypes(RECORD_TYPES)
    entries = close_journal(project.warehouse, period, project.currency, accounts, types).entries
    debits, credits_ = balance(entries, "ledger")
    assert debits == credits_
    asked = (each.debit - each.credit for each in entries if each.entry == "receivables")
    assert sum(asked) == sum(due)
    taxed = (each.credit - each.debit for each in entries if each.entry == "vat")
    assert sum(taxed) == sum(vat.rows["tax"].to_pylist())
