"""A closed month is corrected by the runs of the next one: a late call, through the real graph.

One small month is billed and closed once; the tests go on from there in their order.
"""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from telecom_assets.closing.approving import Books, approve
from telecom_assets.closing.closing import close
from telecom_assets.runs.evaluation import check_month
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import MONTH, Project
from telecom_assets_tests.graph.test_sensor import sms

NEXT_MONTH = "2025-07"
LAST, NEXT = dt.date(2025, 6, 30), dt.date(2025, 7, 1)


def call(day: dt.date, record_id: str, seconds: int) -> bytes:
    """A call within Morocco, at noon."""
    record = {
        "record_ID": record_id,
        "record_type": "voice",
        "timestamp": f"{day}T12:00:00",
        "caller_id": "212600000001",
        "callee_id": "212600000004",
        "duration_sec": seconds,
    }
    return json.dumps(record).encode()


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project]) -> Project:
    """June is closed with one message of it; July is billed as the next month."""
    made = new_project(partitions=1)
    made.store_customers(customers())
    made.produce([sms(LAST, "a"), sms(NEXT, "b")])
    for month in (MONTH, NEXT_MONTH):
        made.open_month(month)
    made.run_month()
    books = Books.of(made.deployment)
    approve(books, MONTH, by="Anna")
    close(books, MONTH, by="Bea")
    made.run_month(NEXT_MONTH)
    return made


def test_without_anything_late_nothing_is_corrected(project: Project) -> None:
    """The run of July has looked at June, and a second one has nothing to do."""
    assert project.rows("adjustments") == []
    [noted] = project.rows("adjusted_months")
    assert (noted["billing_period"], noted["original_period"], noted["scope"]) == (NEXT_MONTH, MONTH, "none")
    billing = next(each for each in reversed(project.run_month(NEXT_MONTH)) if each.step.job == "billing_job")
    assert billing.up_to_date


def test_a_late_call_makes_the_next_bills_due(project: Project) -> None:
    """The call has 10 minutes; PLAN_B takes 0.012 for those after the sixth. June stays as it is, every check of July holds."""
    rated = project.version("rated_cdrs")
    project.produce([call(LAST, "late", 600)])
    billing = next(each for each in project.run_month(NEXT_MONTH) if each.step.job == "billing_job")
    assert not billing.up_to_date
    [row] = project.rows("adjustments")
    assert (row["record_id"], row["reason"], row["disposition"], row["original_period"]) == (
        "late",
        "late_usage",
        "billed",
        MONTH,
    )
    assert (row["units"], row["amount"]) == (10, Decimal("0.048"))
    # Of June remained nothing: 0.05, with a discount of 0.0025 → 0.00 and a tax of 0.01.
    [bill] = [each for each in project.rows("facturation_complete") if each["adjustments_total"]]
    assert (bill["billing_period"], bill["customer_id"]) == (NEXT_MONTH, "212600000001")
    assert [bill[name] for name in ("adjustments_total", "discount", "tax", "amount_due")] == [
        Decimal("0.05"),
        Decimal("0.00"),
        Decimal("0.01"),
        Decimal("0.06"),
    ]
    assert project.version("rated_cdrs") == rated
    assert [each.name for each in check_month(project.deployment, NEXT_MONTH, ()) if each.stops] == []
    again = next(each for each in reversed(project.run_month(NEXT_MONTH)) if each.step.job == "billing_job")
    assert again.up_to_date
