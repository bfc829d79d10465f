"""A closed month is corrected by the runs of the next one: a late call, through the real graph.

One small month is billed and closed once; the tests go on from there in their order.
"""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal

import pytest

from telecom_assets.runs.evaluation import check_month
from telecom_assets_tests.graph.conftest import close_month_and_run_next, customers
from telecom_assets_tests.graph.project import MONTH, NEXT_MONTH, Project
from telecom_assets_tests.graph.test_cli_month import Finished, one_line, typed
from telecom_assets_tests.graph.test_sensor import sms

__all__ = ["typed"]

CALLER = "212600000001"
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
    close_month_and_run_next(made)
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


def test_what_is_corrected_stands_on_the_next_bill(project: Project) -> None:
    """0.048 → 0.05 of another month: nothing off (5 % = 0.0025), tax 20 % = 0.01, due 0.06. July's own message is free."""
    [bill] = [row for row in project.rows("facturation_complete") if row["customer_id"] == CALLER and of_july(row)]
    assert [str(bill[name]) for name in ("sms_total", "adjustments_total", "discount", "tax", "amount_due")] == [
        "0.00",
        "0.05",
        "0.00",
        "0.01",
        "0.06",
    ]
    [adjustment] = [row for row in project.rows("bill_lines") if row["kind"] == "adjustment"]
    assert (adjustment["document"], adjustment["original_period"], adjustment["line_no"]) == ("bill", MONTH, 2)
    assert project.rows("correction_documents") == []


def test_what_a_person_charges_has_a_document_of_its_own(project: Project, typed: Callable[..., Finished]) -> None:
    """1.50 at 20 %: 1.80, in the table and in PostgreSQL. More than the 1.55 that June comes to is not credited: one sentence."""
    said = ("--customer", CALLER, "--month", MONTH, "--tax-pct", "20", "--by", "Anna", "--why", "a lost phone")
    charged = typed(project, "charge", *said, "--amount", "1.50", "--document", "--json")
    assert charged.status == 0, charged.stderr
    assert json.loads(charged.stdout)["document"] == "manual-1"
    refused = typed(project, "credit", *said, "--amount", "1.56")
    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"telecom: credit of 1.56 for {MONTH}: customer {CALLER} has 1.55 left of that month at S 20 % before tax, and no more than "
        "that can be credited; nothing was changed\n"
    )
    for wrong, expected in (
        (("--amount", "0"), "an amount above 0"),
        (("--amount", "1", "--tax-pct", "101"), "0 to 100"),
    ):
        one_line(typed(project, "charge", *said, *wrong), 2, f"expected {expected}")
    assert len(project.rows("manual_lines")) == 1
    assert not next(each for each in project.run_month(NEXT_MONTH) if each.step.job == "billing_job").up_to_date
    [document] = project.rows("correction_documents")
    assert (document["kind"], document["original_period"], str(document["amount_due"])) == (
        "supplementary",
        MONTH,
        "1.80",
    )
    published = "SELECT customer_id, holder_no, document, kind, amount_due::text FROM correction_documents"
    assert project.postgres(published) == [(CALLER, 1, "manual-1", "supplementary", "1.80")]
    assert [each.name for each in check_month(project.deployment, NEXT_MONTH, ()) if each.stops] == []
    # All that is billed is in the reports: 0.06 and 1.80.
    plans = [row["revenue_incl_tax"] for row in project.rows("revenue_by_plan") if of_july(row)]
    assert sum(plans) == Decimal("1.86")


def of_july(row: dict[str, object]) -> bool:
    return row["billing_period"] == NEXT_MONTH
