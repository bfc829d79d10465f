"""What people see of a verdict: tables of a bounded size, the failed days first."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.warehouse import Partitions
from telecom_assets.books.shown import DIFFERING, LOOKED_AT, as_table, differing, differing_not_shown, looked_at
from telecom_assets.books.verdict import Verdict

FIRST = dt.date(2026, 10, 1)


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def test_days_of_a_run_failed_first_and_empty_ones_too() -> None:
    verdict = Verdict("an identity", ["the 3rd"], failed=frozenset([day(2), day(40)]))
    rows, more = looked_at(verdict, {day(0): 7, day(2): 5, day(9): 9}, Partitions(day(0), day(3)), "day")
    assert more == 0
    assert rows == [
        {"day": "2026-10-03", "rows": 5, "verdict": "failed"},
        {"day": "2026-10-01", "rows": 7, "verdict": "passed"},
        {"day": "2026-10-02", "rows": 0, "verdict": "passed"},
        {"day": "2026-10-04", "rows": 0, "verdict": "passed"},
    ]


def test_months_and_a_verdict_of_the_table_as_a_whole() -> None:
    """A column of another type: no month is right."""
    verdict = Verdict("the columns are as declared", ["column tax: expected decimal"])
    rows, more = looked_at(verdict, {"2026-09": 3}, Partitions("2026-08", "2026-09"), "month")
    assert (rows, more) == (
        [{"month": "2026-08", "rows": 0, "verdict": "failed"}, {"month": "2026-09", "rows": 3, "verdict": "failed"}],
        0,
    )


@given(total=st.integers(0, 300), failed=st.sets(st.integers(0, 299)))
def test_of_many_days_the_failed_and_then_the_newest_are_shown(total: int, failed: set[int]) -> None:
    counts = {day(number): number + 1 for number in range(total)}
    bad = sorted(number for number in failed if number < total)
    verdict = Verdict("an identity", ["a finding"] if bad else [], failed=frozenset(map(day, bad)))
    rows, more = looked_at(verdict, counts, None, "day")
    assert len(rows) == min(total, LOOKED_AT)
    assert more == total - len(rows)
    shown_bad = bad[max(len(bad) - LOOKED_AT, 0) :]
    good = [number for number in range(total) if number not in failed]
    room = LOOKED_AT - len(shown_bad)
    expected = shown_bad + good[max(len(good) - room, 0) :]
    assert [row["day"] for row in rows] == [str(day(number)) for number in expected]
    assert [row["verdict"] for row in rows] == ["failed"] * len(shown_bad) + ["passed"] * (len(rows) - len(shown_bad))


@pytest.mark.parametrize(("rows", "shown", "more"), [(1, 1, 0), (20, 20, 0), (21, 20, 1), (1000, 20, 980)])
def test_the_first_rows_of_what_differs(rows: int, shown: int, more: int) -> None:
    verdict = Verdict("an identity", ["x"] * rows, differs=[{"day": day(0), "rows": number} for number in range(rows)])
    assert [row["rows"] for row in differing(verdict)] == list(range(shown))
    assert differing_not_shown(verdict) == more
    assert shown <= DIFFERING


def test_what_differs_is_exact_and_its_rows_have_the_same_columns() -> None:
    verdict = Verdict(
        "an identity", ["x"], differs=[{"amount": Decimal("1E+3"), "day": day(0)}, {"day": None, "rows": 2, "is": True}]
    )
    assert differing(verdict) == [
        {"amount": "1000", "day": "2026-10-01", "rows": "", "is": ""},
        {"amount": "", "day": "", "rows": 2, "is": "True"},
    ]


def test_a_long_text_is_cut() -> None:
    (row,) = differing(Verdict("an identity", ["x"], differs=[{"record_id": "9" * 100_000, "kept": "9" * 200}]))
    assert row == {"record_id": "9" * 199 + "…", "kept": "9" * 200}


def test_findings_stand_for_what_differs_where_there_is_nothing_else() -> None:
    assert differing(Verdict("an identity", ["a", "b"])) == [{"finding": "a"}, {"finding": "b"}]


def test_a_table_of_the_ui_has_numbers_where_all_are() -> None:
    table = as_table([{"day": "2026-10-01", "rows": 1, "mixed": 1}, {"day": "2026-10-02", "rows": 2, "mixed": ""}])
    assert [(column.name, column.type) for column in table.schema.columns] == [
        ("day", "string"),
        ("rows", "int"),
        ("mixed", "string"),
    ]
    assert [record.data["rows"] for record in table.records] == [1, 2]
    assert as_table([]).records == []
