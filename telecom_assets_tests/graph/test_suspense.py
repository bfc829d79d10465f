"""Suspended usage that a person works: listed, written off, rated again in an open and in a closed month, through the real graph.

One small story; the tests go on from each other in their order.
"""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from telecom_assets.closing.approving import Books, approve
from telecom_assets.closing.review import review
from telecom_assets_tests.graph.conftest import close_month_and_run_next, customers
from telecom_assets_tests.graph.project import MONTH, NEXT_MONTH, Project
from telecom_assets_tests.graph.test_cli_month import Finished, one_line, typed
from telecom_assets_tests.graph.test_sensor import sms

__all__ = ["typed"]

LAST, NEXT = dt.date(2025, 6, 30), dt.date(2025, 7, 1)
#: Two numbers that nobody has at first, and a third that nobody ever has.
FOUND, LOST = "212655555501", "212655555502"
#: Ten minutes at PLAN_B: 0.012 for those after the sixth.
TEN_MINUTES = "0.048000"


def call(day: dt.date, record_id: str, caller: str) -> bytes:
    """A call of ten minutes within Morocco, at noon."""
    record = {
        "record_ID": record_id,
        "record_type": "voice",
        "timestamp": f"{day}T12:00:00",
        "caller_id": caller,
        "callee_id": "212600000004",
        "duration_sec": 600,
    }
    return json.dumps(record).encode()


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project]) -> Project:
    """June is closed with two suspended calls; July is billed with three."""
    made = new_project(partitions=1)
    made.store_customers(customers())
    made.produce([sms(LAST, "a"), call(LAST, "june found", FOUND), call(LAST, "june lost", LOST)])
    made.produce([call(NEXT, "july found", FOUND), call(NEXT, "july lost", LOST)])
    close_month_and_run_next(made)
    return made


def listed(project: Project, typed: Callable[..., Finished], *arguments: str) -> list[tuple[Any, ...]]:
    rows = typed(project, "suspense", "list", *arguments, "--json").json["suspense"]
    return [(row["billing_period"], row["reason"], row["written_off"], row["events"], row["amount"]) for row in rows]


def recycled(finished: Finished) -> list[tuple[Any, ...]]:
    assert finished.status == 0, finished.stderr
    names = ("billing_period", "events", "rated", "amount", "left", "billed_in")
    return [tuple(row[name] for name in names) for row in finished.json["recycled"]]


def findings(project: Project) -> dict[str, str]:
    """The findings of a review of July about usage without a price."""
    found = review(
        project.settings,
        project.warehouse,
        project.deployment.record_types,
        NEXT_MONTH,
        customers_read_at=None,
        sample=0,
    )
    return {each.name: each.text for each in found.findings if "usage" in each.name and each.rows}


def test_what_is_suspended_is_listed(project: Project, typed: Callable[..., Finished]) -> None:
    assert listed(project, typed) == [
        (MONTH, "unknown_customer", False, 2, None),
        (NEXT_MONTH, "unknown_customer", False, 2, None),
    ]
    assert listed(project, typed, "--month", MONTH, "--reason", "no_price") == []
    shown = typed(project, "suspense", "list", "--month", NEXT_MONTH)
    assert (shown.status, shown.stderr) == (0, "")
    assert "unknown_customer" in shown.stdout
    assert typed(project, "suspense", "list", "--reason", "no_price").stdout == "No usage is suspended.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("list", "--reason", "odd"), 2, "reason 'odd': expected one of unknown_customer, prepaid_customer"),
        (("recycle", "--month", "July"), 2, "expected yyyy-MM"),
        (
            ("write-off", "--reason", "no_price", "--by", "Anna", "--why", "old", "--month", NEXT_MONTH),
            1,
            f"no usage of {NEXT_MONTH} with reason no_price is to be worked; nothing was changed",
        ),
        (
            ("write-off", "--reason", "unknown_customer", "--by", "Anna", "--why", "old", "--month", MONTH),
            1,
            f"writing off in {MONTH}: {MONTH} is closed",
        ),
        (
            ("write-off", "--reason", "unknown_customer", "--by", "Anna", "--why", "old", "--undo"),
            1,
            f"no usage of {NEXT_MONTH} with reason unknown_customer is written off; nothing was changed",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    project: Project, typed: Callable[..., Finished], arguments: tuple[str, ...], status: int, said: str
) -> None:
    one_line(typed(project, "suspense", *arguments), status, said)
    assert not project.warehouse.pin("suspense_decisions").rows_by_partition()


def test_a_write_off_stands_apart_and_can_be_undone(project: Project, typed: Callable[..., Finished]) -> None:
    """Only of the open month; what is written off is not rated again."""
    billed = project.version("facturation_complete")
    said = ("write-off", "--reason", "unknown_customer", "--by", "Anna", "--why", "a test number")
    decided = typed(project, "suspense", *said, "--json").json
    assert [(each["billing_period"], each["events"]) for each in decided["decided"]] == [(NEXT_MONTH, 2)]
    assert listed(project, typed, "--month", NEXT_MONTH) == [(NEXT_MONTH, "unknown_customer", True, 2, None)]
    assert findings(project)["written_off_usage"] == (
        f"{NEXT_MONTH}: 2 events are written off: unknown_customer, without a known price"
    )
    assert "unrated_usage" not in findings(project)
    assert recycled(typed(project, "suspense", "recycle", "--month", NEXT_MONTH, "--json")) == []
    rows = project.rows("suspense_decisions")
    assert {(row["decision_no"], row["record_id"], row["decision"], row["decided_by"]) for row in rows} == {
        (1, "july found", "write_off", "Anna"),
        (1, "july lost", "write_off", "Anna"),
    }
    assert typed(project, "suspense", *said, "--undo").status == 0
    assert listed(project, typed, "--month", NEXT_MONTH) == [(NEXT_MONTH, "unknown_customer", False, 2, None)]
    assert [row["decision"] for row in project.rows("suspense_decisions")].count("undo") == 2
    assert "written_off_usage" not in findings(project)
    assert project.version("facturation_complete") == billed


def test_what_has_a_price_now_is_rated_again(project: Project, typed: Callable[..., Finished], tmp_path: Path) -> None:
    """Somebody had one of the numbers: July's call is rated, June's is a difference on July's bills; first it is only told."""
    imported = tmp_path / "found.csv"
    imported.write_text(
        "customer_id,customer_name,subscription_type,rate_plan_id,activation_date,status,region\n"
        f"{FOUND},Found,postpaid,PLAN_B,2025-01-01,active,Oriental\n"
    )
    by = ("--correct-past", "--by", "Anna", "--why", "a contract was found")
    told = typed(project, "customers", "import", str(imported), "--valid-from", "2025-01-01", *by)
    assert told.status == 0, told.stderr
    before = project.versions(("rated_cdrs", "suspended_cdrs", "adjustments"))
    expected = [
        (MONTH, 2, 1, TEN_MINUTES, 1, NEXT_MONTH),
        (NEXT_MONTH, 2, 1, TEN_MINUTES, 1, NEXT_MONTH),
    ]
    assert recycled(typed(project, "suspense", "recycle", "--dry-run", "--json")) == expected
    assert project.versions(before) == before
    assert recycled(typed(project, "suspense", "recycle", "--reason", "unknown_customer", "--json")) == expected
    [rated] = [row for row in project.rows("rated_cdrs") if row["record_id"] == "july found"]
    assert rated["amount"] == Decimal(TEN_MINUTES)
    [adjusted] = [row for row in project.rows("adjustments") if row["disposition"] == "billed"]
    assert (adjusted["record_id"], adjusted["amount"]) == ("june found", Decimal(TEN_MINUTES))
    assert listed(project, typed) == [
        (MONTH, "unknown_customer", False, 1, None),
        (NEXT_MONTH, "unknown_customer", False, 1, None),
    ]


def test_again_there_is_nothing_to_gain(project: Project, typed: Callable[..., Finished]) -> None:
    """The other number is nobody's still: no table is written."""
    before = project.versions(("rated_cdrs", "suspended_cdrs", "adjustments"))
    told = typed(project, "suspense", "recycle", "--json")
    assert recycled(told) == [
        (MONTH, 1, 0, "0", 1, NEXT_MONTH),
        (NEXT_MONTH, 1, 0, "0", 1, NEXT_MONTH),
    ]
    assert project.versions(before) == before


def test_an_approved_month_is_left_alone(project: Project, typed: Callable[..., Finished]) -> None:
    project.run_month(NEXT_MONTH)
    approve(Books.of(project.deployment), NEXT_MONTH, by="Anna")
    said = f"{NEXT_MONTH} is approved by Anna"
    one_line(typed(project, "suspense", "recycle", "--month", NEXT_MONTH), 1, said)
    assert said in typed(project, "suspense", "recycle", "--json").json["left_out"][NEXT_MONTH]
    undone = ("--reason", "unknown_customer", "--by", "Anna", "--why", "late", "--month", NEXT_MONTH)
    one_line(typed(project, "suspense", "write-off", *undone), 1, said)
