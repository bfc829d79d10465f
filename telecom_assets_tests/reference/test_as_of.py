"""Rows with dates: the join by the day, the judge, the days on which two versions differ. Expected values come from counting days."""

import datetime as dt
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.contract import Column as C
from resources.contract import TableContract
from resources.engine import SparkEngine
from telecom_assets.model.columns import VALIDITY
from telecom_assets.model.stretches import Stretch
from telecom_assets.reference.as_of import (
    both_in_force,
    differing_days,
    entity,
    has_dates,
    join_as_of,
    rows_in_force,
    validity_findings,
    with_validity,
)
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import contract_frame, drawn, rows_of

PRICES = TableContract(
    name="prices",
    grain="One row per product and stretch of days.",
    key=("product", "valid_from"),
    columns=(C("product", "string", "Product."), C("price", "string", "Price.", required=False), *VALIDITY),
)
FIRST = dt.date(2026, 3, 1)
#: Ten days; rows with dates begin and end among them.
DAYS = [FIRST + dt.timedelta(days=number) for number in range(10)]
EVENTS = TableContract(
    name="events",
    grain="One row per event.",
    key=("what", "event_date"),
    columns=(C("what", "string", "Product of the event."), C("event_date", "date", "Day of the event.")),
)


def day(number: int) -> dt.date:
    return dt.date(2026, 3, number)


def row(product: str | None, price: str | None, valid_from: dt.date | None, valid_to: dt.date | None) -> Row:
    return {"product": product, "price": price, "valid_from": valid_from, "valid_to": valid_to}


def table(*rows: Row) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PRICES.arrow_schema())


def holds(each: Row, on: dt.date) -> bool:
    """Whether a row is in force on a day, as the rule says it."""
    return (each["valid_from"] is None or each["valid_from"] <= on) and (
        each["valid_to"] is None or on < each["valid_to"]
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Versions of two products, of which no two are in force on one day."""
    rows = []
    for product in ("a", "b"):
        between = sorted(draw(st.sets(st.sampled_from(DAYS[1:]), max_size=4)))
        before, after = draw(st.sampled_from([(0, 0), (1, 0), (0, 1), (1, 1)]))
        bounds: list[dt.date | None] = [*[None] * before, *between, *[None] * after]
        rows += [
            row(product, draw(st.sampled_from(["1", "2", None])), first, end)
            for first, end in pairwise(bounds)
            if draw(st.integers(0, 4)) or len(bounds) == 2
        ]
    return rows


# ---------------------------------------------------------------------------------------------------------- contracts


def test_a_table_with_dates_is_about_its_key_without_the_day() -> None:
    undated = TableContract(name="x", grain="-", key=("product",), columns=PRICES.columns[:2])

    assert entity(PRICES) == ["product"]
    assert has_dates(PRICES)
    assert not has_dates(undated)


def test_rows_without_dates_are_in_force_on_every_day() -> None:
    assert with_validity(table(row("a", "1", None, None)).select(["product", "price"])).equals(
        table(row("a", "1", None, None))
    )


# ------------------------------------------------------------------------------------------------------------ joining


def together(each_history: list[list[Row]]) -> list[Row]:
    """Many histories as one table, each of products of its own: an engine takes as long for one as for all."""
    return [
        {**each, "product": f"{number}{each['product']}"} for number, rows in enumerate(each_history) for each in rows
    ]


def test_an_event_gets_the_row_that_is_in_force_on_its_day(engine: SparkEngine) -> None:
    rows = together(drawn(histories(), examples(60)))
    products = sorted({each["product"] for each in rows} | {"unknown"})
    events: list[Row] = [{"what": product, "event_date": on} for product in products for on in DAYS]

    joined = join_as_of(
        contract_frame(engine, EVENTS, events),
        contract_frame(engine, PRICES, rows),
        {"what": "product"},
        valid_from="price_from",
    )

    expected = []
    for each in events:
        found = [other for other in rows if other["product"] == each["what"] and holds(other, each["event_date"])]
        of = found[0] if found else row(None, None, None, None)
        expected.append((each["what"], each["event_date"], of["product"], of["price"], of["valid_from"]))
    assert joined.columns == ["what", "event_date", "product", "price", "price_from"]
    assert sorted(map(tuple, joined.collect()), key=repr) == sorted(expected, key=repr)


def test_pairs_are_in_force_on_the_days_of_both(engine: SparkEngine) -> None:
    sides = drawn(st.tuples(histories(), histories()), examples(60))
    left, right = together([one for one, _ in sides]), together([other for _, other in sides])
    other = contract_frame(engine, PRICES, right).withColumnsRenamed({"product": "other", "price": "rate"})

    pairs = both_in_force(
        contract_frame(engine, PRICES, left), other, {"product": "other"}, left_from="plan_from", right_from="rate_from"
    )

    expected = {
        (on, one["product"], one["price"], one["valid_from"], two["price"], two["valid_from"])
        for on in DAYS
        for one in left
        for two in right
        if one["product"] == two["product"] and holds(one, on) and holds(two, on)
    }
    found = {
        (on, each["product"], each["price"], each["plan_from"], each["rate"], each["rate_from"])
        for each in rows_of(pairs)
        for on in DAYS
        if holds(each, on)
    }
    assert found == expected


# ------------------------------------------------------------------------------------------------------------ judging


@settings(deadline=None)
@given(rows=histories())
def test_a_history_without_overlaps_is_good(rows: list[Row]) -> None:
    assert validity_findings(table(*rows), PRICES) == []


@settings(deadline=None)
@given(rows=st.lists(st.builds(row, st.sampled_from("ab"), st.just("1"), *[st.none() | st.sampled_from(DAYS)] * 2)))
def test_a_key_with_two_rows_on_a_day_is_found_and_named(rows: list[Row]) -> None:
    before_all = FIRST - dt.timedelta(days=1)
    counted = {
        product: [sum(holds(each, on) for each in rows if each["product"] == product) for on in (before_all, *DAYS)]
        for product in "ab"
    }
    empty = [
        each for each in rows if each["valid_from"] and each["valid_to"] and each["valid_to"] <= each["valid_from"]
    ]

    findings = validity_findings(table(*rows), PRICES)

    assert {product for product in "ab" if max(counted[product]) > 1} == {
        product for product in "ab" for finding in findings if "more than once" in finding and f"{product} (" in finding
    }
    assert bool(empty) == any("on no day" in finding for finding in findings)


def test_the_days_of_an_overlap_are_named() -> None:
    rows = [row("a", "1", None, day(5)), row("a", "2", day(3), day(8)), row("b", "1", None, None)]

    assert validity_findings(table(*rows), PRICES) == [
        "prices: product more than once on a day: a (2026-03-03 to 2026-03-04)"
    ]


@pytest.mark.parametrize("end", [day(4), day(3)])
def test_a_row_that_ends_where_it_begins_or_before_is_named(end: dt.date) -> None:
    assert validity_findings(table(row("a", "1", day(4), end)), PRICES) == [
        f"prices a: valid_from is 2026-03-04 and valid_to {end}, so it is in force on no day; expected a later valid_to"
    ]


def test_many_findings_are_counted() -> None:
    rows = [row(f"p{number}", "1", day(4), day(4)) for number in range(7)]
    twice = [row(f"p{number}", price, None, None) for number in range(7) for price in ("1", "2")]

    assert validity_findings(table(*rows), PRICES)[5:] == ["prices: 2 more rows that are in force on no day"]
    assert validity_findings(table(*twice), PRICES) == [
        "prices: product more than once on a day: p0 (every day), p1 (every day), p2 (every day), p3 (every day), "
        "p4 (every day) and 2 more"
    ]


def test_a_missing_key_is_no_overlap() -> None:
    """Another rule names it."""
    assert validity_findings(table(row(None, "1", None, None), row(None, "2", None, None)), PRICES) == []


# ---------------------------------------------------------------------------------------------------------- comparing


@settings(deadline=None)
@given(then=histories(), now=histories())
def test_two_versions_differ_on_the_days_on_which_other_rows_are_in_force(then: list[Row], now: list[Row]) -> None:
    def on(rows: list[Row], when: dt.date) -> set[tuple[Any, ...]]:
        return {(each["product"], each["price"], each["valid_from"]) for each in rows if holds(each, when)}

    found = differing_days(table(*then), table(*now))

    assert {when for when in DAYS if any(when in each for each in found)} == {
        when for when in DAYS if on(then, when) != on(now, when)
    }


def test_a_price_from_some_day_on_changes_no_day_before() -> None:
    then = table(row("a", "1", None, None))
    now = table(row("a", "1", None, day(5)), row("a", "2", day(5), None))

    assert differing_days(then, now) == [Stretch(day(5), None)]
    assert differing_days(now, then) == [Stretch(day(5), None)]
    assert differing_days(now, now) == []


def test_a_version_of_before_there_were_dates_is_compared_too() -> None:
    before = table(row("a", "1", None, None)).select(["product", "price"])

    assert differing_days(before, table(row("a", "1", None, None))) == []
    assert differing_days(before, table(row("a", "2", None, None))) == [Stretch()]


def test_rows_in_force_on_a_day() -> None:
    rows = table(row("a", "1", None, day(5)), row("a", "2", day(5), None), row("b", "1", day(6), None))

    assert rows_in_force(rows, day(5)).to_pylist() == [row("a", "2", day(5), None)]
    assert rows_in_force(rows, day(4)).to_pylist() == [row("a", "1", None, day(5))]
