"""Which closed months are looked at again, and for whom: on tables of the embedded engine.

Belongs here: digests, scopes, what is due. Does not belong here: reasons and amounts of differences (`test_rules`).
"""

import hashlib
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from resources.warehouse import Warehouse, notebook
from telecom_assets.books.verdict import Verdict
from telecom_assets.corrections.identities import right_is_settled_and_adjusted
from telecom_assets.corrections.inputs import (
    EVERYBODY,
    NOBODY,
    Affected,
    _Hashed,
    _in_force,
    month_inputs,
    one_by_one,
    those_of,
)
from telecom_assets.corrections.looking_back import Journals, why_due
from telecom_assets.corrections.tables import ADJUSTED_MONTHS, ADJUSTMENTS
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.corrections.closed_june import AUGUST, JULY, JUNE, Books, inputs_closed_with
from telecom_assets_tests.corrections.test_rules import AT_CLOSE, A, B, C, told, with_plan, with_price
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.rating.test_rules import event

pytestmark = pytest.mark.thorough


@pytest.fixture
def books(plain: Warehouse) -> Books:
    """June is closed as it was, nothing has changed since."""
    return closed(plain)


def closed(warehouse: Warehouse) -> Books:
    """June in a warehouse, closed with what there is of it."""
    books = Books(warehouse)
    books.refer()
    books.mediate(AT_CLOSE)
    books.close(JUNE, inputs_closed_with(books))
    return books


def test_a_closed_month_is_quiet_until_it_differs(books: Books) -> None:
    """A name, a customer from July on and a price from July on change nothing in June; a plan of June does."""
    assert books.look().affected == NOBODY
    assert books.adjust() == []
    later = {"valid_from": date(2026, 7, 1), "rate_plan_id": "PLAN_B"}
    ended = [{**row, "valid_to": date(2026, 7, 1)} if row["customer_id"] == A else row for row in cdrs.CUSTOMERS]
    renamed = [{**row, "customer_name": "Another"} if row["customer_id"] == B else row for row in ended]
    next_price = {**cdrs.RATE_PLANS[0], "unit_price": "0.5", "valid_from": date(2026, 7, 1)}
    prices = [{**row, "valid_to": date(2026, 7, 1)} if row is cdrs.RATE_PLANS[0] else row for row in cdrs.RATE_PLANS]
    books.refer([*renamed, {**cdrs.CUSTOMERS[0], **later}], [*prices, next_price])
    assert books.look().affected == NOBODY
    assert why_due(books.warehouse, JULY, 12) is None
    books.refer(with_plan(B, "PLAN_A"))
    assert books.look().affected == Affected(frozenset({B}))
    books.refer(rate_plans=with_price("PLAN_B", "SMS_INT", "0.1"))
    assert books.look().affected == EVERYBODY


def test_a_late_record_rates_its_customer_again(books: Books) -> None:
    """His alone; what was made so is not due again, and is made again the same."""
    books.mediate([late_call()])
    assert books.look().affected == Affected(frozenset({A}))
    assert "2026-06" in str(why_due(books.warehouse, JULY, 12))
    found = books.adjust()
    assert told(found) == [("late", "charged", "billed", "late_usage", "rated", 1, 3, Decimal("0.02"))]
    assert why_due(books.warehouse, JULY, 12) is None
    assert books.adjust() == found


def test_customers_are_told_apart_one_by_one_while_their_version_can_be_read(books: Books) -> None:
    """Another with the same ending stays quiet; where the version of the close is not kept, or is another, all with the ending are looked at."""
    neighbour = "212699999902"
    assert neighbour[-2:] == B[-2:]
    books.refer([*cdrs.CUSTOMERS, {**cdrs.CUSTOMERS[0], "customer_id": neighbour}])
    assert books.look().affected == Affected(frozenset({neighbour}))
    books.refer(with_plan(B, "PLAN_A"))
    assert books.look().affected == Affected(frozenset({B}))
    then = Journals.of(books.warehouse).settled_from(JUNE)
    assert then is not None
    assert then.customers_version is not None
    ending = Affected(frozenset({B[-2:]}))
    for version in (None, then.customers_version + 1, then.customers_version + 99):
        assert one_by_one(books.warehouse, JUNE, replace(then, customers_version=version), ending) == ending


def test_of_another_copy_with_another_number_both_are_rated(books: Books) -> None:
    """120 s of A were 0.01; of B, at 0.005 a minute, they are 0.01 too."""
    books.mediate([late_call(), event("voice", "120", record_id="copy", subscriber_id=B, source_position=91)])
    assert [(row["record_id"], row["customer_id"], row["reason"], row["amount"]) for row in books.adjust()] == [
        ("copy", B, "customer_corrected", Decimal("0.01")),
        ("copy", A, "customer_corrected", Decimal("-0.01")),
        ("late", A, "late_usage", Decimal("0.02")),
    ]
    [noted] = books.warehouse.pin(ADJUSTED_MONTHS.name).arrow().to_pylist()
    assert json.loads(noted["scope"]) == [A, B]


def test_both_engines_look_at_the_same_customers_and_read_what_was_written_down(warehouse: Warehouse) -> None:
    """By whole numbers or their last two digits; rows that are kept, also none, are as they were, and leave no file behind."""
    session = warehouse.engine.spark_session
    numbers = session.createDataFrame([(A,), (B,), ("7",), (None,)], "number string")

    def held(*ends: str) -> list[str]:
        return sorted(
            row["number"] for row in numbers.where(Affected(frozenset(ends)).holds(F.col("number"))).collect()
        )

    assert (held(A), held(A, "02"), held("02"), held(A[:-1])) == ([A], [A, B], [B], [])
    assert those_of(numbers) == Affected(frozenset({A, B, "7"}))
    many = session.createDataFrame([(f"21260000{n:04d}",) for n in range(0, 2020, 20)], "number string")
    assert those_of(many) == Affected(frozenset({"00", "20", "40", "60", "80"}))
    affected = Affected(frozenset({"01", "7"}))
    with notebook(warehouse, ADJUSTMENTS.name) as keep:
        kept = keep(numbers.where(affected.holds(F.col("number"))))
        none = keep(kept.where(F.col("number") == B))
        assert sorted(row["number"] for row in kept.collect()) == [A, "7"]
        assert none.count() == 0
    assert [each.name for each in Path(warehouse.path(ADJUSTMENTS.name)).iterdir()] == ["_delta_log"]


def late_call() -> Row:
    """A call of A, 180 s, on the last day of June."""
    return event("voice", "180", record_id="late", subscriber_id=A, source_position=90, event_date=date(2026, 6, 30))


def test_whose_bill_nobody_can_explain_is_not_corrected(plain: Warehouse) -> None:
    """June was closed as it stood, and A's lines did not give his bill: what comes for him is told, on no bill, with each period."""
    books = Books(plain)
    books.refer()
    books.mediate(AT_CLOSE)
    books.close(JUNE, replace(inputs_closed_with(books), not_corrected=((A, 1),)))
    late = {"source_position": 90, "event_date": date(2026, 6, 30)}
    of_both = [event("voice", "180", record_id=f"late of {name}", subscriber_id=name, **late) for name in (A, B)]
    books.mediate(of_both, gone=["gone"])
    # 180 s are three minutes: two of A at 0.010, three of B at 0.005.
    of_a = [
        ("gone", "taken_back", "refused", "record_gone", "gone", -1, -1, Decimal("-0.045")),
        (f"late of {A}", "charged", "refused", "late_usage", "rated", 1, 3, Decimal("0.02")),
    ]
    of_b = (f"late of {B}", "charged", "billed", "late_usage", "rated", 1, 3, Decimal("0.015"))
    assert told(books.adjust()) == [*of_a, of_b]
    assert right_is_settled_and_adjusted(Journals.of(plain), JULY, 12).passed
    books.close_empty(JULY, replace(inputs_closed_with(books, JULY)))
    assert told(books.adjust(AUGUST)) == of_a


def test_what_is_not_given_back_to_one_is_not_charged_to_another(plain: Warehouse) -> None:
    """A call of A was B's: A keeps paying for it, so B does not. A call of B was A's: B gets it back, and A is told of."""
    books = Books(plain)
    books.refer()
    books.mediate([*AT_CLOSE, event("voice", "120", record_id="of B", subscriber_id=B, source_position=92)])
    books.close(JUNE, replace(inputs_closed_with(books), not_corrected=((A, 1),)))
    books.mediate(
        [
            event("voice", "120", record_id="copy", subscriber_id=B, source_position=91),
            event("voice", "120", record_id="of B", subscriber_id=A, source_position=93),
        ]
    )
    # Two minutes are one of A at 0.010, two of B at 0.005.
    assert [
        (row["record_id"], row["customer_id"], row["side"], row["disposition"], row["amount"]) for row in books.adjust()
    ] == [
        ("copy", B, "charged", "refused", Decimal("0.01")),
        ("copy", A, "taken_back", "refused", Decimal("-0.01")),
        ("of B", A, "charged", "refused", Decimal("0.01")),
        ("of B", B, "taken_back", "billed", Decimal("-0.01")),
    ]
    assert right_is_settled_and_adjusted(Journals.of(plain), JULY, 12).passed


def test_what_a_closed_period_has_corrected_is_settled(books: Books) -> None:
    """July is closed with its adjustments: August looks back from there, and only at what comes then."""
    late = event("voice", "180", record_id="late", subscriber_id=A, source_position=90)
    books.mediate([late])
    books.adjust(JULY)
    books.close(JULY, inputs_closed_with(books, JULY))
    assert books.look(AUGUST).affected == NOBODY
    assert books.adjust(AUGUST) == []
    books.mediate(gone=["late"])
    assert told(books.adjust(AUGUST)) == [
        ("late", "taken_back", "billed", "record_gone", "gone", -1, -3, Decimal("-0.02"))
    ]


def test_only_the_period_after_the_closed_ones_corrects_so_many_months(books: Books) -> None:
    books.mediate([event("voice", "180", record_id="late", subscriber_id=A, source_position=90)])
    assert books.adjust(AUGUST) == []
    assert why_due(books.warehouse, AUGUST, 12) is None
    books.close(JULY, inputs_closed_with(books, JULY))
    assert len(books.adjust(AUGUST)) == 1
    assert why_due(books.warehouse, AUGUST, 1) == "it corrects 2026-06 no more"


def test_a_month_of_unknown_inputs_is_rated_as_a_whole(plain: Warehouse) -> None:
    """A month that was closed as it stands names no digests; what it differs in then is noted, and it is quiet."""
    books = Books(plain)
    books.refer()
    books.mediate(AT_CLOSE)
    books.close(JUNE, replace(inputs_closed_with(books), inputs=None))
    assert books.look().affected == EVERYBODY
    assert books.adjust() == []
    assert why_due(plain, JULY, 12) is None


def test_usage_of_a_month_that_was_skipped_is_late(books: Books) -> None:
    """July was closed without bills: its message of C, 0.045 in PLAN_A, is on August, once. June stays quiet."""
    books.mediate(
        [event("sms", None, record_id="of July", subscriber_id=C, source_position=90, event_date=date(2026, 7, 9))]
    )
    books.close_empty(JULY, replace(inputs_closed_with(books, JULY), inputs=None))
    found = books.adjust(AUGUST)
    assert told(found) == [("of July", "charged", "billed", "late_usage", "rated", 1, 1, Decimal("0.045"))]
    assert found[0]["original_period"] == JULY
    assert books.look(AUGUST).affected == NOBODY


# ------------------------------------------------------------------------------------------------------------ digests

_ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 8), st.integers(1, 6)), max_size=4)


def _digest(rows: list[tuple[int, int, int]]) -> Any:
    import numpy as np  # noqa: PLC0415

    firsts, lengths = (np.array([row[n] for row in rows], "int64") for n in (1, 2))
    # Spread, as the hashes of rows are: the sum of hashes that follow a line does not tell (0, 2) and (2, 2) from twice (1, 2).
    spread = [hashlib.blake2b(repr(row[:2]).encode(), digest_size=8).digest() for row in rows]
    hashes = np.array([int.from_bytes(each, "little") for each in spread], "uint64")
    return _in_force(_Hashed(hashes, firsts, firsts + lengths, np.zeros(len(rows), "int64"), [""]), 0, 5)


@given(_ROWS, _ROWS)
@settings(max_examples=200, deadline=None)
def test_digests_are_equal_where_each_day_has_the_same_rows(one: list[Any], other: list[Any]) -> None:
    """A row is (content, first day, length); the month has the days 0 to 4."""

    def of_days(rows: list[Any]) -> list[list[Any]]:
        return [sorted(row[:2] for row in rows if row[1] <= day < row[1] + row[2]) for day in range(5)]

    assert (_digest(one) == _digest(other)) == (of_days(one) == of_days(other))


def test_the_digest_of_a_month_is_of_rows_not_of_versions(books: Books) -> None:
    before = month_inputs(books.warehouse, JUNE)
    turned: list[Row] = [*reversed(cdrs.CUSTOMERS)]
    books.refer([*turned, {**cdrs.CUSTOMERS[0], "customer_id": "212600000099", "valid_from": date(2026, 7, 1)}])
    assert month_inputs(books.warehouse, JUNE) == before


# ----------------------------------------------------------------------------------------------------------- identity


def test_a_row_that_is_lost_or_too_much_is_found(books: Books) -> None:
    """A has calls of 0.01, 0.02 and 0.09 and a message of 0.045, and a late call of 0.02. A draft that is out of date is told of."""
    books.mediate([event("voice", "180", record_id="late", subscriber_id=A, source_position=90)])

    def verdict() -> Verdict:
        return right_is_settled_and_adjusted(Journals.of(books.warehouse), JULY, 12)

    assert "out of date" in verdict().summary
    [row] = books.adjust()
    assert verdict().passed
    books.replace_adjustments([])
    assert verdict().findings == [
        f"2026-06, customer {A}, holder 1: 5 events of 0.185000 right, 4 events of 0.165000 settled, "
        "0 events of 0.000000 adjusted"
    ]
    books.replace_adjustments([row, {**row, "record_id": "another", "amount": Decimal("0.01"), "events": 0}])
    assert not verdict().passed
