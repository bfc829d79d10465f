"""Differences of a closed month, on both engines: what is right minus what is settled, and why.

Belongs here: rows, reasons and dispositions of single months. Amounts are worked out by hand, in comments, from the prices of
`strategies.RATE_PLANS`.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from resources.engine import SparkEngine
from telecom_assets.corrections.rules import Settled, differences, records, right, with_terms
from telecom_assets.corrections.tables import ACCEPTED_DIFFERENCES, ADJUSTMENTS
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.rating.rules import ReferenceData, rate
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.rating.test_rules import event
from telecom_assets_tests.stages.chain import (
    assert_schema,
    contract_frame,
    imputed,
    reference_data,
    rows_of,
    stored,
)

A, B, C, D = "212600000001", "212600000002", "212700000003", "212700000009"
NOBODY = "33612345678"
CLOSED_WITH = ClosedWith("MAD", Decimal(5), Decimal(20), "S", None, 30, "customer_min", 31)


class Month:
    """June 2026 as it was closed, with these events and reference data."""

    def __init__(self, engine: SparkEngine, events: Sequence[Row], reference: ReferenceData) -> None:
        self.engine = engine
        ratings = rate(contract_frame(engine, CLEANED_CDRS, events), reference, missing_volume="customer_min")
        self.rated = rows_of(ratings.rated)
        self.suspended = rows_of(ratings.suspended)
        self.imputed = rows_of(imputed(engine, ratings.rated, ratings.suspended, reference))

    def corrected(
        self,
        events: Sequence[Row],
        reference: ReferenceData,
        *,
        period: str = "2026-07",
        before: Sequence[Row] = (),
        accepted: Sequence[Row] = (),
    ) -> list[Row]:
        """Rows of adjustments on a period, with the events and reference data as they are now. before: rows of closed periods."""
        engine = self.engine
        frozen = records(
            contract_frame(engine, RATED_CDRS, self.rated),
            contract_frame(engine, SUSPENDED_CDRS, self.suspended),
            contract_frame(engine, PERIOD_CHARGES, self.imputed),
        )
        found = differences(
            stored(engine, right(contract_frame(engine, CLEANED_CDRS, events), reference, CLOSED_WITH)),
            Settled(stored(engine, frozen), contract_frame(engine, ADJUSTMENTS, before)),
            reference,
            contract_frame(engine, ACCEPTED_DIFFERENCES, accepted),
        )
        rows = with_terms(found, period, "2026-06", CLOSED_WITH)
        assert_schema(ADJUSTMENTS, rows)
        return sorted(rows_of(rows), key=lambda row: (row["record_id"], row["side"]))


def told(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """What the tests compare of each row: record, side, disposition, reason, outcome, events, units, amount."""
    names = ("record_id", "side", "disposition", "reason", "outcome")
    return [(*(row[name] for name in names), row["events"], row["units"], row["amount"]) for row in rows]


def events_of(*given: tuple[str, str, str, object, dict[str, Any]]) -> list[Row]:
    """Cleaned events of (record, number, kind, quantity, what else differs), each at a position of its own."""
    return [
        event(kind, quantity, **{"record_id": name, "subscriber_id": who, "source_position": n, **changed})
        for n, (name, who, kind, quantity, changed) in enumerate(given)
    ]


def with_price(plan: str, product: str, unit_price: str) -> list[Row]:
    """The prices of the tests, one of them another."""
    of = {"rate_plan_id": plan, "product_code": product}
    return [{**row, "unit_price": unit_price} if of.items() <= row.items() else row for row in cdrs.RATE_PLANS]


def with_plan(number: str, plan: str) -> list[Row]:
    """The customers of the tests, one of them in another plan."""
    return [{**row, "rate_plan_id": plan} if row["customer_id"] == number else row for row in cdrs.CUSTOMERS]


AT_CLOSE = events_of(
    ("copy", A, "voice", "120", {}),
    ("customer", C, "sms", None, {}),
    ("gone", A, "sms", None, {}),
    ("imputed", D, "data", None, {}),
    ("known", D, "data", "10", {}),
    ("price", B, "voice", "120", {}),
    ("rules", A, "voice", "180", {}),
    ("same", A, "voice", "600", {}),
    ("foreign", NOBODY, "sms", None, {}),
)
_NOW = [row for row in AT_CLOSE if row["record_id"] not in ("gone", "copy")]
LATE = [
    event("voice", "300", record_id="copy", subscriber_id=A, source_position=90),
    event("voice", "180", record_id="late", subscriber_id=A, source_position=91),
    event("sms", None, record_id="late foreign", subscriber_id=NOBODY, source_position=92),
    event("sms", None, record_id="late prepaid", subscriber_id="212600000004", source_position=93),
    event("data", "4", record_id="smaller", subscriber_id=D, source_position=94, event_date=date(2026, 6, 30)),
]
NOW = [*_NOW, *LATE]

#: Worked out by hand. A call of PLAN_A has one free minute at 0.010; of PLAN_B none, at 0.005, corrected to 0.007.
EXPECTED = [
    # 120 s were 2 minutes, 0.01; 300 s are 5, 0.04
    ("copy", "charged", "billed", "record_changed", "rated", 0, 3, Decimal("0.03")),
    # a message of PLAN_A is 0.045; the first of PLAN_B is free
    ("customer", "charged", "billed", "customer_corrected", "rated", 1, 1, 0),
    ("customer", "taken_back", "billed", "customer_corrected", "rated", -1, -1, Decimal("-0.045")),
    ("gone", "taken_back", "billed", "record_gone", "gone", -1, -1, Decimal("-0.045")),
    # (10 − 0.1) × 0.012345 = 0.1222155 → 0.122216; (4 − 0.1) × 0.012345 = 0.0481455 → 0.048146
    ("imputed", "charged", "billed", "recomputed", "rated", 0, -6, Decimal("-0.07407")),
    # 180 s are 3 minutes, 2 of them charged
    ("late", "charged", "billed", "late_usage", "rated", 1, 3, Decimal("0.02")),
    ("late foreign", "charged", "uncharged", "late_usage", "suspended", 0, 0, 0),
    ("late prepaid", "charged", "uncharged", "late_usage", "excluded", 0, 0, 0),
    # 2 minutes × 0.002
    ("price", "charged", "billed", "rerated", "rated", 0, 0, Decimal("0.004")),
    # settled were 2 minutes, 0.01, by other rules; 3 are right, 0.02
    ("rules", "charged", "awaiting_acceptance", "rules_changed", "rated", 0, 1, Decimal("0.01")),
    ("smaller", "charged", "billed", "late_usage", "rated", 1, 4, Decimal("0.048146")),
]


#: What one query of differences shows on both engines is asked once more on the faster one.
on_the_embedded_engine = pytest.mark.parametrize("engine", ["sail"], indirect=True)


@pytest.fixture(scope="module")
def june(engine: SparkEngine) -> Month:
    """June as it was closed; one call was counted by rules that are others now."""
    month = Month(engine, AT_CLOSE, reference_data(engine))
    [call] = [row for row in month.rated if row["record_id"] == "rules"]
    call.update(billable_units=Decimal(2), amount=Decimal("0.01"))
    return month


@pytest.fixture(scope="module")
def now(engine: SparkEngine) -> ReferenceData:
    """One price of PLAN_B is another one, and C was in PLAN_B."""
    return reference_data(engine, with_plan(C, "PLAN_B"), with_price("PLAN_B", "VOICE_NAT", "0.007"))


@pytest.fixture(scope="module")
def first(june: Month, now: ReferenceData) -> list[Row]:
    """The adjustments of July."""
    return june.corrected(NOW, now)


@pytest.mark.thorough
def test_every_difference_has_its_reason(first: list[Row]) -> None:
    assert told(first) == EXPECTED
    by_record = {(row["record_id"], row["side"]): row for row in first}
    assert {side: by_record["customer", side]["rate_plan_id"] for side in ("charged", "taken_back")} == {
        "charged": "PLAN_B",
        "taken_back": "PLAN_A",
    }
    assert by_record["late foreign", "charged"]["outcome_reason"] == "unknown_customer"
    assert {(row["tax_pct"], row["discount_pct"], row["tax_category"], row["original_period"]) for row in first} == {
        (Decimal(20), Decimal(5), "S", "2026-06")
    }


@pytest.mark.thorough
@on_the_embedded_engine
def test_what_was_settled_is_no_difference_again(june: Month, now: ReferenceData, first: list[Row]) -> None:
    """Only what awaits acceptance comes again, and is billed once somebody has accepted it."""
    [awaiting] = june.corrected(NOW, now, period="2026-08", before=first)
    assert told([awaiting]) == [EXPECTED[9]]
    [billed] = june.corrected(NOW, now, period="2026-08", before=first, accepted=[awaiting])
    assert (billed["disposition"], billed["amount"]) == ("billed", Decimal("0.01"))
    other = {**awaiting, "amount": Decimal("0.02")}
    [still] = june.corrected(NOW, now, period="2026-08", before=first, accepted=[other])
    assert still["disposition"] == "awaiting_acceptance"


@pytest.mark.thorough
@on_the_embedded_engine
def test_a_correction_of_a_correction_is_the_next_difference(
    engine: SparkEngine, june: Month, now: ReferenceData, first: list[Row]
) -> None:
    """The price of the call was 0.005, then 0.007, and is 0.006: 2 × −0.001. C is in PLAN_A again. What was gone is here again."""
    prices = reference_data(engine, rate_plans=with_price("PLAN_B", "VOICE_NAT", "0.006"))
    events = [*NOW, AT_CLOSE[2]]
    settled = [row for row in first if row["reason"] != "rules_changed"]
    found = june.corrected(events, prices, period="2026-08", before=settled)
    assert told(found) == [
        ("customer", "charged", "billed", "customer_corrected", "rated", 1, 1, Decimal("0.045")),
        ("customer", "taken_back", "billed", "customer_corrected", "rated", -1, -1, 0),
        ("gone", "charged", "billed", "record_changed", "rated", 1, 1, Decimal("0.045")),
        ("price", "charged", "billed", "rerated", "rated", 0, 0, Decimal("-0.002")),
        EXPECTED[9],
    ]
    # Of all periods together the call costs what it costs now: 2 × 0.006.
    total = sum(row["amount"] for row in [*june.rated, *settled, *found] if row["record_id"] == "price")
    assert total == Decimal("0.012")


@pytest.mark.thorough
@on_the_embedded_engine
def test_written_off_is_settled_and_late_usage_of_nobody_is_told_once(
    june: Month, now: ReferenceData, first: list[Row]
) -> None:
    before = [{**row, "disposition": "written_off"} if row["record_id"] == "late" else row for row in first]
    assert [row["record_id"] for row in june.corrected(NOW, now, period="2026-08", before=before)] == ["rules"]
