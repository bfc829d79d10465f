"""Checks of bills of a month that was closed as it stood: those whose bills are not their lines are left aside, nobody else."""

import datetime as dt
from decimal import Decimal
from typing import Any

from resources.warehouse import Partitions
from telecom_assets.billing.checks import GUARD
from telecom_assets.books.factory import CheckInputs, verdict_of
from telecom_assets.books.verdict import Verdict
from telecom_assets.closing.approving import Books
from telecom_assets.closing.checks import GUARD as FROZEN_GUARD
from telecom_assets.periods.guard import may_write
from telecom_assets.rating.tables import PERIOD_CHARGES
from telecom_assets_tests.accounting.test_as_it_stood import of, store
from telecom_assets_tests.closing.months import MONTH, rows

__all__ = ["of"]

COMPARED = ("rated_equals_billed", "bills_equal_lines", "bills_add_up")
DIGEST = "frozen_rows_have_their_digest"


def verdicts(of: Books) -> dict[str, Verdict]:
    """What `telecom check` of the month finds of bills and of frozen rows."""
    of.warehouse.make_tables([PERIOD_CHARGES.name])
    month = Partitions(MONTH, MONTH)
    now = lambda: dt.datetime.now(dt.UTC)  # noqa: E731
    inputs = CheckInputs(of.settings, of.warehouse, of.postgres, now, of.record_types, months=month)
    checks = {check.name: check for guard in (GUARD, FROZEN_GUARD) for each in guard.checks.values() for check in each}
    return {name: verdict_of(checks[name], inputs) for name in (*COMPARED, DIGEST)}


def changed(of: Books, bills: list[dict[str, Any]], customer_id: str, **amounts: str) -> dict[str, Verdict]:
    """The verdicts when a stranger has given the bill of a customer other amounts."""
    new: dict[str, Any] = {name: Decimal(amount) for name, amount in amounts.items()}
    with may_write(MONTH):
        store(of.warehouse, [{**row, **(new if row["customer_id"] == customer_id else {})} for row in bills])
    return verdicts(of)


def failed(found: dict[str, Verdict]) -> list[str]:
    return [name for name, each in found.items() if not each.passed]


def test_the_holders_that_its_close_has_listed_are_left_aside_and_nobody_else(of: Books) -> None:
    """2126 was billed 0.01 more than his lines, 2128 nothing for 3.00; 2129's 2.00 and 2127's 0 are compared."""
    found, bills = verdicts(of), rows(of, "facturation_complete")
    assert failed(found) == []
    assert {found[name].figures["holders_left_aside"] for name in COMPARED} == {2}
    assert found["rated_equals_billed"].figures["billed"] == Decimal("2.00")

    found = changed(of, bills, "2129", amount_before_tax="2.01", amount_due="2.29")
    assert failed(found) == [*COMPARED, DIGEST]
    assert [row["customer_id"] for row in found["bills_equal_lines"].differs] == ["2129"]
    found = changed(of, bills, "2129", tax="0.39", amount_due="2.29")
    assert failed(found) == ["bills_equal_lines", DIGEST]
    assert [row["customer_id"] for row in found["bills_equal_lines"].differs] == ["2129"]

    # The bill of one who is listed must still be the stored one, which the digest asks.
    assert failed(changed(of, bills, "2126", amount_before_tax="1.16", amount_due="1.32")) == [DIGEST]
    assert failed(changed(of, bills, "2126")) == []
