"""Copies with other values under one id: listed, and one of them chosen, in an open and in a closed month, through the real graph.

One small story; the tests go on from each other in their order.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.runs.evaluation import check_month
from telecom_assets_tests.graph.conftest import close_month_and_run_next, customers
from telecom_assets_tests.graph.project import MONTH, NEXT_MONTH, Project
from telecom_assets_tests.graph.test_cli_month import Finished, one_line, typed
from telecom_assets_tests.graph.test_corrections import call
from telecom_assets_tests.graph.test_sensor import sms

__all__ = ["typed"]

LAST, NEXT, LATER = dt.date(2025, 6, 30), dt.date(2025, 7, 1), dt.date(2025, 7, 3)
#: PLAN_B takes 0.012 a minute for those after the sixth: of calls of 10, 11 and 12 minutes.
TEN, ELEVEN, TWELVE = Decimal("0.048"), Decimal("0.060"), Decimal("0.072")


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project]) -> Project:
    """June is closed with a call that came twice; one of July came on two of its days."""
    made = new_project(partitions=1)
    made.store_customers(customers())
    made.produce(
        [
            sms(LAST, "a"),
            call(LAST, "june", 600),
            call(LAST, "june", 660),
            call(NEXT, "july", 600),
            call(LATER, "july", 720),
            call(NEXT, "same", 600),
            call(NEXT, "same", 600),
        ]
    )
    close_month_and_run_next(made)
    return made


def place(project: Project, offset: int) -> str:
    return f"{project.settings.kafka_topic}/0/{offset}"


def listed(project: Project, typed: Callable[..., Finished], *arguments: str) -> list[tuple[Any, ...]]:
    rows = typed(project, "conflicts", "list", *arguments, "--json").json["copies"]
    return [
        (each["record_id"], each["day"], int(each["copy"].rsplit("/")[-1]), each["outcome"], bool(each["chosen"]))
        for each in rows
    ]


def test_copies_with_other_values_are_listed(project: Project, typed: Callable[..., Finished]) -> None:
    """A duplicate is no conflict."""
    of_july = [
        ("july", f"{NEXT}", 3, "kept", False),
        ("july", f"{LATER}", 4, "duplicate_conflict", False),
    ]
    of_june = [("june", f"{LAST}", 1, "kept", False), ("june", f"{LAST}", 2, "duplicate_conflict", False)]
    assert listed(project, typed) == [*of_july, *of_june]
    assert listed(project, typed, "--month", MONTH) == of_june
    shown = typed(project, "conflicts", "list", "--month", NEXT_MONTH)
    assert (shown.status, shown.stderr) == (0, "")
    assert "duplicate_conflict" in shown.stdout


@pytest.mark.parametrize(
    ("record", "offset", "said"),
    [
        ("same", 6, "record 'same' has no copies with other values; nothing was changed"),
        ("none", 6, "record 'none' has no copies with other values; nothing was changed"),
        ("june", 3, "expected one of "),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_a_sentence(
    project: Project, typed: Callable[..., Finished], record: str, offset: int, said: str
) -> None:
    before = project.version("raw_cdrs")
    by = ("--by", "Anna", "--why", "the switch says so")
    one_line(typed(project, "conflicts", "choose", record, "--copy", place(project, offset), *by), 1, said)
    assert project.version("raw_cdrs") == before


def test_a_chosen_copy_is_kept_and_a_closed_month_is_corrected(
    project: Project, typed: Callable[..., Finished]
) -> None:
    """July's call moves to the other day; of June's the minute more is a difference on July's bills. The oracle agrees."""
    frozen = project.version("rated_cdrs")
    by = ("--by", "Anna", "--why", "the switch says so", "--json")
    told = typed(project, "conflicts", "choose", "june", "--copy", place(project, 2), *by).json
    assert told["days"] == [f"{LAST}"]
    told = typed(project, "conflicts", "choose", "july", "--copy", place(project, 4), *by).json
    assert told["days"] == [f"{NEXT}", f"{LATER}"]
    assert set(stale_days(project.warehouse)) == {LAST, NEXT, LATER}
    assert project.version("rated_cdrs") == frozen
    project.run_month(NEXT_MONTH)
    assert stale_days(project.warehouse) == {}
    assert listed(project, typed) == [
        ("july", f"{NEXT}", 3, "duplicate_conflict", False),
        ("july", f"{LATER}", 4, "kept", True),
        ("june", f"{LAST}", 1, "duplicate_conflict", False),
        ("june", f"{LAST}", 2, "kept", True),
    ]
    [adjusted] = project.rows("adjustments")
    assert (adjusted["record_id"], adjusted["reason"], adjusted["disposition"], adjusted["amount"]) == (
        "june",
        "record_changed",
        "billed",
        ELEVEN - TEN,
    )
    [rated] = [row for row in project.rows("rated_cdrs") if row["record_id"] == "july"]
    assert (rated["event_date"], rated["amount"]) == (LATER, TWELVE)
    outcomes = {row["source_position"]: row["reason"] for row in project.rows("rejected_cdrs")}
    assert outcomes == {row["source_position"]: row["reason"] for row in project.expected().rejected}
    assert [each.name for each in check_month(project.deployment, NEXT_MONTH, ()) if each.stops] == []


def test_the_other_copy_is_chosen_again(project: Project, typed: Callable[..., Finished]) -> None:
    """The last choice counts; both are kept in landing_decisions, and no funnel tells of them."""
    by = ("--by", "Bea", "--why", "it was right before")
    assert typed(project, "conflicts", "choose", "june", "--copy", place(project, 1), *by).status == 0
    project.run_month(NEXT_MONTH)
    assert project.rows("adjustments") == []
    chosen = [row for row in project.rows("landing_decisions") if row["kind"] == "copy_chosen"]
    chosen.sort(key=lambda row: row["raw_version"])
    assert [(row["detail"], row["from_position"], row["decided_by"]) for row in chosen] == [
        ("june", 2, "Anna"),
        ("july", 4, "Anna"),
        ("june", 1, "Bea"),
    ]
    assert typed(project, "sources", "list", "--json").json["decisions"] == []
