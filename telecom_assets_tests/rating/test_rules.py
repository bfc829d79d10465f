"""Rating on both engines: the price of one event, and the reason why one has none.

Belongs here: units, allowances, tiers, policies for a missing volume. Prices are worked out by hand, in comments. What a
month prices is in `test_month_rules`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from resources.engine import SparkEngine
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.rating.rules import EXCLUDED_REASONS, SUSPENSION_REASONS, MissingVolumePolicy, Ratings, rate
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import VERSIONS, assert_schema, contract_frame, reference_data, rows_of

DAY = date(2026, 6, 15)
POLICIES: tuple[MissingVolumePolicy, ...] = ("customer_min", "zero", "suspend")


def event(kind: str, quantity: object, **changed: Any) -> Row:
    """A cleaned event: seconds of a call, a message (None), megabytes of a session (None: unknown)."""
    return {
        "record_id": "id",
        "subscriber_id": "212600000001",
        "record_type": kind,
        "event_ts": datetime(2026, 6, 15, 8, tzinfo=UTC),
        "cell_id": "C1",
        "technology": "4G",
        "duration_sec": quantity if kind == "voice" else None,
        "data_volume_mb": quantity if kind == "data" else None,
        "product_code": {"voice": "VOICE_NAT", "sms": "SMS_NAT", "data": "DATA_BASIC"}[kind],
        "rating_status": "ready",
        "received_at": datetime(2026, 6, 15, 12, tzinfo=UTC),
        "source_id": "topic-1",
        "source_part": 0,
        "source_position": 0,
        "event_date": DAY,
        **changed,
    }


def price(product: str, unit_price: object, free: object = "0", threshold: object = "", tier_price: object = "") -> Row:
    service = product.split("_", maxsplit=1)[0].lower()
    figures = {"unit_price": unit_price, "free_units": free, "tier_threshold": threshold, "tier_price": tier_price}
    return {"product_code": product, "service_type": service, **figures}


# ------------------------------------------------------------------------------------------------------ what it costs

FLAT, CALL, TEXT = "DATA_BASIC", "VOICE_NAT", "SMS_NAT"
TIERED = "DATA_PREMIUM"

#: (event, its price, billable units, free units applied, amount); the arithmetic beside it.
COSTS: dict[str, tuple[Row, Row, str, str, str]] = {
    # started minutes
    "0.001 s are a minute": (event("voice", "0.001"), price(CALL, "0.01"), "1", "0", "0.01"),
    "59.999 s are a minute": (event("voice", "59.999"), price(CALL, "0.01"), "1", "0", "0.01"),
    "60 s are a minute": (event("voice", "60"), price(CALL, "0.01"), "1", "0", "0.01"),
    "60.001 s are two": (event("voice", "60.001"), price(CALL, "0.01"), "2", "0", "0.02"),
    "119.999 s are two": (event("voice", "119.999"), price(CALL, "0.01"), "2", "0", "0.02"),
    "120 s are two": (event("voice", "120"), price(CALL, "0.01"), "2", "0", "0.02"),
    # 10,000,000 / 60 = 166,666.67
    "the longest call": (event("voice", "10000000"), price(CALL, "0.01"), "166667", "0", "1666.67"),
    # 16440.001 / 60 = 274.0000166…
    "a thousandth more than 274 minutes": (event("voice", "16440.001"), price(CALL, "0.01"), "275", "0", "2.75"),
    # messages
    "a message is one unit": (event("sms", None), price(TEXT, "0.045"), "1", "0", "0.045"),
    "half a message is free": (event("sms", None), price(TEXT, "0.085", "0.5"), "1", "0.5", "0.0425"),  # 0.5 × 0.085
    "a free message": (event("sms", None), price(TEXT, "0.04", "5"), "1", "1", "0"),
    # flat, around the allowance of each event
    "below the allowance": (event("voice", "60"), price(CALL, "0.01", "5"), "1", "1", "0"),
    "at the allowance": (event("voice", "300"), price(CALL, "0.01", "5"), "5", "5", "0"),
    "one above the allowance": (event("voice", "300.001"), price(CALL, "0.01", "5"), "6", "5", "0.01"),
    "a little above": (event("data", "20.000001"), price(FLAT, "0.02", "20"), "20.000001", "20", "0"),  # 0.00000002
    "half a millionth": (event("data", "20.000025"), price(FLAT, "0.02", "20"), "20.000025", "20", "0.000001"),
    "just less": (event("data", "20.000024"), price(FLAT, "0.02", "20"), "20.000024", "20", "0"),  # 0.00000048
    "no volume at all": (event("data", "0"), price(FLAT, "0.02"), "0", "0", "0"),
    "a free product": (event("data", "814.13"), price(FLAT, "0"), "814.13", "0", "0"),
    # 0.333333 × 12.345678 = 4.115221884774
    "rounded once": (event("data", "12.345678"), price(FLAT, "0.333333"), "12.345678", "0", "4.115222"),
    # 0.5 × 0.000001 = 0.0000005 exactly: half up
    "a tie": (event("data", "0.5"), price(FLAT, "0.000001"), "0.5", "0", "0.000001"),
    "below a tie": (event("data", "0.499999"), price(FLAT, "0.000001"), "0.499999", "0", "0"),
    "the most": (event("data", "10000000"), price(FLAT, "99999.999999"), "10000000", "0", "999999999990"),
    # as much as an amount holds: 999,999,999,999 + 0.999999
    "the most of all": (
        event("data", "1000000.999999"),
        price(TIERED, "999999.999999", "0", "1000000", "1"),
        "1000000.999999",
        "0",
        "999999999999.999999",
    ),
    "what is left of the allowance": (
        event("data", "10000000"),
        price(FLAT, "999999.999999", "9999999"),
        "10000000",
        "9999999",
        "999999.999999",
    ),
    # tiered: free up to 50, 0.015 up to 1024 (counted from zero), 0.05 above
    "tier: free": (event("data", "50"), price(TIERED, "0.015", "50", "1024", "0.05"), "50", "50", "0"),
    "tier: first": (event("data", "51"), price(TIERED, "0.015", "50", "1024", "0.05"), "51", "50", "0.015"),
    # 974 × 0.015
    "tier: at the threshold": (
        event("data", "1024"),
        price(TIERED, "0.015", "50", "1024", "0.05"),
        "1024",
        "50",
        "14.61",
    ),
    # 14.61 + 1 × 0.05
    "tier: above": (event("data", "1025"), price(TIERED, "0.015", "50", "1024", "0.05"), "1025", "50", "14.66"),
    # 14.61 + 0.000010 × 0.05 = 14.6100005: half up
    "tier: a tie": (
        event("data", "1024.00001"),
        price(TIERED, "0.015", "50", "1024", "0.05"),
        "1024.00001",
        "50",
        "14.610001",
    ),
    # 0.5 × 0.000001 in each tier: 0.0000005 + 0.0000005, rounded together, not each
    "tier: rounded together": (
        event("data", "1"),
        price(TIERED, "0.000001", "0", "0.5", "0.000001"),
        "1",
        "0",
        "0.000001",
    ),
    "tier: all of the first is free": (event("data", "3"), price(TIERED, "0.5", "2", "2", "0.1"), "3", "2", "0.1"),
    "tier: from zero": (event("data", "3"), price(TIERED, "0.5", "0", "0", "0.1"), "3", "0", "0.3"),
    "tier: a free second tier": (event("data", "3"), price(TIERED, "0.5", "1", "2", "0"), "3", "1", "0.5"),
    "tier: none given": (event("data", "1025"), price(TIERED, "0.015", "50"), "1025", "50", "14.625"),  # 975 × 0.015
}


#: What costs 10^12 or more, which no amount holds: event and price.
TOO_MUCH: dict[str, tuple[Row, Row]] = {
    # 9,999,999,999,990
    "the most at the highest price": (event("data", "10000000"), price(FLAT, "999999.999999")),
    # 1000000.000001 × 999999.999999 = 999,999,999,999.999999999999: half up
    "by its last rounding": (event("data", "1000000.000001"), price(FLAT, "999999.999999")),
    # 999,999,999,999 + 1
    "both tiers together": (event("data", "1000001"), price(TIERED, "999999.999999", "0", "1000000", "1")),
    # 5,000,000 × 999,999.999999 above a free tier
    "the upper tier alone": (event("data", "10000000"), price(TIERED, "0", "0", "5000000", "999999.999999")),
}


def priced(engine: SparkEngine, costs: Sequence[tuple[Row, Row]]) -> Ratings:
    """All the events rated at once, each for its own customer with a plan of one price; positions count them."""
    customers, plans, events = [], [], []
    for number, (usage, line) in enumerate(costs):
        customer, plan = f"2126000{number:05d}", f"PLAN_{number}"
        customers.append({**cdrs.CUSTOMERS[0], "customer_id": customer, "rate_plan_id": plan})
        plans.append({**line, "rate_plan_id": plan})
        own = {"subscriber_id": customer, "source_position": number, "product_code": line["product_code"]}
        events.append({**usage, **own})
    return rate(
        contract_frame(engine, CLEANED_CDRS, events),
        reference_data(engine, customers, plans),
        missing_volume="customer_min",
    )


@pytest.fixture(scope="module")
def costs(engine: SparkEngine) -> dict[str, Row]:
    names = list(COSTS)
    rated = rows_of(priced(engine, [(usage, line) for usage, line, *_ in COSTS.values()]).rated)
    return {names[row["source_position"]]: row for row in rated}


@pytest.mark.parametrize("title", COSTS)
def test_what_an_event_costs(costs: dict[str, Row], title: str) -> None:
    _, line, units, free, amount = COSTS[title]
    row = costs[title]
    assert (row["billable_units"], row["free_units_applied"], row["amount"]) == (
        Decimal(units),
        Decimal(free),
        Decimal(amount),
    )
    assert row["unit_price"] == Decimal(line["unit_price"])
    assert row["tier_threshold"] == (Decimal(line["tier_threshold"]) if line["tier_threshold"] else None)
    assert row["tier_price"] == (Decimal(line["tier_price"]) if line["tier_price"] else None)
    assert row["imputed"] is False


def test_what_costs_more_than_an_amount_holds_is_suspended(engine: SparkEngine) -> None:
    """The events beside it are rated: one price that is wrong does not stop a month."""
    sound = (event("data", "10000000"), price(FLAT, "99999.999999"))
    ratings = priced(engine, [*TOO_MUCH.values(), sound])
    assert [row["amount"] for row in rows_of(ratings.rated)] == [Decimal(999_999_999_990)]
    found = sorted(rows_of(ratings.suspended), key=lambda row: row["source_position"])
    assert {(row["reason"], row["disposition"]) for row in found} == {("amount_out_of_range", "suspended")}
    units = [Decimal(usage["data_volume_mb"]) for usage, _ in TOO_MUCH.values()]
    assert [row["billable_units"] for row in found] == units
    assert_schema(RATED_CDRS, ratings.rated)
    assert_schema(SUSPENDED_CDRS, ratings.suspended)


#: A message costs 1 until 14 June, 2 from the 15th to the 19th, nothing is said of the 20th to the 24th, 3 from the 25th on; the
#: catalogue has it from 1 June on, and describes it otherwise from the 16th. Day -> amount, first day of the plan's and of the
#: catalogue's row.
BY_DAY: dict[int, tuple[int, int | None, int] | None] = {
    1: (1, None, 1),
    14: (1, None, 1),
    15: (2, 15, 1),
    16: (2, 15, 16),
    19: (2, 15, 16),
    20: None,
    24: None,
    25: (3, 25, 16),
}


def test_an_event_has_the_price_of_its_day(engine: SparkEngine) -> None:
    def june(day: int | None) -> date | None:
        return date(2026, 6, day) if day else None

    line = {**price("SMS_NAT", "1"), "rate_plan_id": "PLAN_A"}
    plans = [
        {**line, "unit_price": amount, "valid_from": june(first), "valid_to": june(end)}
        for amount, first, end in (("1", None, 15), ("2", 15, 20), ("3", 25, None))
    ]
    product = next(each for each in cdrs.CATALOGUE if each["product_code"] == "SMS_NAT")
    catalogue = [
        {**product, "valid_from": june(1), "valid_to": june(16)},
        {**product, "description": "a text", "valid_from": june(16)},
    ]
    days = [date(2026, 5, 31), *(date(2026, 6, day) for day in BY_DAY)]
    events = [event("sms", None, event_date=day, source_position=number) for number, day in enumerate(days)]
    ratings = rate(
        contract_frame(engine, CLEANED_CDRS, events),
        reference_data(engine, rate_plans=plans, catalogue=catalogue),
        missing_volume="customer_min",
    )
    rated = {row["event_date"]: row for row in rows_of(ratings.rated)}
    found = {day: (row["amount"], row["plan_valid_from"], row["product_valid_from"]) for day, row in rated.items()}
    assert found == {
        date(2026, 6, day): (Decimal(costs[0]), june(costs[1]), june(costs[2]))
        for day, costs in BY_DAY.items()
        if costs
    }
    suspended = {(row["event_date"], row["reason"], row["plan_valid_from"]) for row in rows_of(ratings.suspended)}
    assert suspended == {(day, "no_price", None) for day in (days[0], date(2026, 6, 20), date(2026, 6, 24))}


@given(
    units=st.decimals(min_value=0, max_value=10_000_000, places=6),
    prices=st.tuples(*[st.one_of(st.just(Decimal("999999.999999")), st.decimals(0, 999_999, places=6))] * 2),
    free=st.one_of(st.just(Decimal(0)), st.decimals(0, 10_000_000, places=6)),
    threshold=st.one_of(st.none(), st.decimals(0, 10_000_000, places=6)),
)
@settings(max_examples=examples(25), derandomize=True, database=None, deadline=None)
def test_whatever_it_costs_it_is_rated_or_suspended(
    sail: SparkEngine, units: Decimal, prices: tuple[Decimal, Decimal], free: Decimal, threshold: Decimal | None
) -> None:
    unit_price, tier_price = prices if threshold is not None else (prices[0], None)
    line = price(FLAT if threshold is None else TIERED, unit_price, min(free, threshold or free), threshold, tier_price)
    with localcontext(prec=60):
        cost = oracle.Price(unit_price, line["free_units"], threshold, tier_price).cost(units)
    ratings = priced(sail, [(event("data", units), line)])
    rated, suspended = rows_of(ratings.rated), rows_of(ratings.suspended)
    assert [row["amount"] for row in rated] == ([cost] if cost < 10**12 else [])
    assert [row["reason"] for row in suspended] == ([] if cost < 10**12 else ["amount_out_of_range"])


# --------------------------------------------------------------------------------------------- who is charged, and why

A = "212600000001"

#: Changes to a session of 10 MB of customer …01 (PLAN_A, DATA_BASIC: 0.1 MB free) beside the reason, by CUSTOMERS.
FATES: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"subscriber_id": "212600000010"}, "unknown_customer"),
    ({"subscriber_id": "33612345678"}, "unknown_customer"),
    ({"subscriber_id": "212600000004"}, "prepaid_customer"),
    ({"subscriber_id": "212600000005"}, "inactive_customer"),  # postpaid, suspended
    (
        {"subscriber_id": "212600000006"},
        "prepaid_customer",
    ),  # prepaid, terminated and without a plan: the first applies
    ({"subscriber_id": "212600000007"}, "unknown_plan"),
    ({"subscriber_id": "212700000008"}, "no_price"),  # PLAN_VOICE has no price for data
]
DISPOSITIONS = {"prepaid_customer": "excluded", "inactive_customer": "excluded"}


def fates() -> list[Row]:
    """Each fate with a known volume and, at the offsets from 100, without one."""
    known = [
        event("data", "10", record_id=f"k{n}", source_position=n, **changed) for n, (changed, _) in enumerate(FATES)
    ]
    unknown = [
        event("data", None, record_id=f"u{n}", source_position=100 + n, rating_status="needs_review", **changed)
        for n, (changed, _) in enumerate(FATES)
    ]
    return [*known, *unknown]


@pytest.fixture(scope="module")
def outcomes(engine: SparkEngine) -> dict[str, dict[int, Row]]:
    """By policy and offset: rows of rated_cdrs and of suspended_cdrs."""
    cleaned = contract_frame(engine, CLEANED_CDRS, fates())
    found: dict[str, dict[int, Row]] = {}
    for policy in POLICIES:
        ratings = rate(cleaned, reference_data(engine), missing_volume=policy)
        rows = [*rows_of(ratings.rated), *rows_of(ratings.suspended)]
        found[policy] = {row["source_position"]: row for row in rows}
        assert len(rows) == len(found[policy]) == 2 * len(FATES)
    return found


def test_the_reasons_are_the_contracts() -> None:
    assert tuple(oracle.SUSPENSION_REASONS) == SUSPENSION_REASONS
    assert {reason for reason, fate in oracle.SUSPENSION_REASONS.items() if fate == "excluded"} == set(EXCLUDED_REASONS)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_reason_that_applies(outcomes: dict[str, dict[int, Row]], policy: str) -> None:
    for number, (_, reason) in enumerate(FATES):
        for offset in (number, 100 + number):
            waits = reason is None and policy != "zero" and offset >= 100
            expected = "missing_volume" if waits else reason
            row = outcomes[policy][offset]
            assert row.get("reason") == expected
            fate = "deferred" if waits and policy == "customer_min" else DISPOSITIONS.get(str(expected), "suspended")
            assert row.get("disposition") == (fate if expected else None)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_suspended_row_keeps_what_is_known(outcomes: dict[str, dict[int, Row]], policy: str) -> None:
    for number, (changed, reason) in enumerate(FATES):
        for offset in (number, 100 + number):
            row = outcomes[policy][offset]
            subscriber = changed.get("subscriber_id", A)
            assert (row["customer_id"], row["event_date"], row["billing_period"]) == (subscriber, DAY, "2026-06")
            assert row["rating_status"] == ("ready" if offset < 100 else "needs_review")
            if "reason" in row:
                # A volume that is not known stays unknown: no policy fills it in for an event that is not charged.
                assert row["billable_units"] == (Decimal(10) if offset < 100 else None)
            customer = next((each for each in cdrs.CUSTOMERS if each["customer_id"] == subscriber), {})
            assert (row["rate_plan_id"], row["region"]) == (customer.get("rate_plan_id"), customer.get("region"))
            assert {name: row[f"{name}_version"] for name in VERSIONS} == VERSIONS
            assert reason is None or "amount" not in row


def test_a_missing_volume_by_policy(outcomes: dict[str, dict[int, Row]]) -> None:
    """PLAN_A's DATA_BASIC: 0.012345 a megabyte above 0.1."""
    known = {policy: outcomes[policy][0] for policy in POLICIES}
    # 9.9 × 0.012345 = 0.1222155: half up
    assert {(row["billable_units"], row["amount"], row["imputed"]) for row in known.values()} == {
        (Decimal(10), Decimal("0.122216"), False)
    }
    nothing = outcomes["zero"][100]
    assert (nothing["billable_units"], nothing["free_units_applied"], nothing["amount"]) == (0, 0, 0)
    assert nothing["imputed"] is True
    fates_by_policy = {policy: outcomes[policy][100].get("disposition") for policy in POLICIES}
    assert fates_by_policy == {"customer_min": "deferred", "zero": None, "suspend": "suspended"}


def test_a_call_and_a_message_miss_no_volume(sail: SparkEngine) -> None:
    cleaned = contract_frame(sail, CLEANED_CDRS, [event("voice", "61"), event("sms", None, source_position=1)])
    ratings = rate(cleaned, reference_data(sail), missing_volume="suspend")
    rows = sorted(rows_of(ratings.rated), key=lambda row: row["record_type"])
    assert [(row["billable_units"], row["imputed"]) for row in rows] == [(1, False), (2, False)]


def test_the_columns_are_those_of_the_contract(engine: SparkEngine) -> None:
    cleaned = contract_frame(engine, CLEANED_CDRS, fates())
    ratings: Ratings = rate(cleaned, reference_data(engine), missing_volume="customer_min")
    assert_schema(RATED_CDRS, ratings.rated)
    assert_schema(SUSPENDED_CDRS, ratings.suspended)


def test_every_row_of_the_cleaned_events_comes_out_once(sail: SparkEngine) -> None:
    """The product's rows of plans do not multiply an event."""
    events = [event("data", "10", source_position=n, record_id=f"r{n}") for n in range(50)]
    ratings = rate(
        contract_frame(sail, CLEANED_CDRS, events),
        reference_data(sail),
        missing_volume="customer_min",
    )
    counted = ratings.rows.agg(F.count("*").alias("rows"), F.count_distinct("record_id").alias("ids"))
    assert rows_of(counted) == [{"rows": 50, "ids": 50}]


# ------------------------------------------------------------------------------------------------ who has the number, by day


def _of_days(engine: SparkEngine, customers: list[Row], *days: int) -> list[tuple[Any, ...]]:
    """What becomes of a call on each of some days of June: reason and disposition, holder, day of the version, plan."""
    events = [event("voice", "60", event_date=date(2026, 6, day), source_position=day) for day in days]
    ratings = rate(
        contract_frame(engine, CLEANED_CDRS, events), reference_data(engine, customers), missing_volume="zero"
    )
    rows = sorted([*rows_of(ratings.rated), *rows_of(ratings.suspended)], key=lambda row: row["source_position"])
    columns = ("reason", "disposition", "holder_no", "customer_valid_from", "rate_plan_id")
    return [tuple(row.get(name) for name in columns) for row in rows]


def _versions(*versions: tuple[int | None, int | None, int, str]) -> list[Row]:
    """Versions of the first customer: first day of June, end, holder, plan."""
    return [
        {
            **cdrs.CUSTOMERS[0],
            "valid_from": date(2026, 6, first) if first else None,
            "valid_to": date(2026, 6, end) if end else None,
            "holder_no": holder,
            "rate_plan_id": plan,
        }
        for first, end, holder, plan in versions
    ]


def test_an_event_is_of_the_version_of_its_own_day(engine: SparkEngine) -> None:
    """PLAN_A until June 9, PLAN_B from June 10 on; his number and his holder stay."""
    changes = _versions((None, 10, 1, "PLAN_A"), (10, None, 1, "PLAN_B"))
    assert _of_days(engine, changes, 9, 10, 11) == [
        (None, None, 1, None, "PLAN_A"),
        (None, None, 1, date(2026, 6, 10), "PLAN_B"),
        (None, None, 1, date(2026, 6, 10), "PLAN_B"),
    ]


def test_usage_of_nobody_is_unknown_and_usage_after_an_end_is_excluded(engine: SparkEngine) -> None:
    """A holder from June 5 to 9, another from June 12 to 14; nobody before, between and after them."""
    unknown = ("unknown_customer", "suspended", None, None, None)
    over = ("inactive_customer", "excluded", None, None, None)
    holders = _versions((5, 10, 1, "PLAN_A"), (12, 15, 2, "PLAN_B"))
    assert _of_days(engine, holders, 4, 5, 9, 10, 11, 12, 14, 15, 30) == [
        unknown,
        (None, None, 1, date(2026, 6, 5), "PLAN_A"),
        (None, None, 1, date(2026, 6, 5), "PLAN_A"),
        unknown,
        unknown,
        (None, None, 2, date(2026, 6, 12), "PLAN_B"),
        (None, None, 2, date(2026, 6, 12), "PLAN_B"),
        over,
        over,
    ]


def test_an_ended_customer_is_over_and_not_unknown(engine: SparkEngine) -> None:
    assert _of_days(engine, _versions((None, 10, 1, "PLAN_A")), 9, 10) == [
        (None, None, 1, None, "PLAN_A"),
        ("inactive_customer", "excluded", None, None, None),
    ]


def test_a_status_of_one_day_excludes_that_day(engine: SparkEngine) -> None:
    versions = _versions((None, 10, 1, "PLAN_A"), (10, 12, 1, "PLAN_A"), (12, None, 1, "PLAN_A"))
    versions[1]["status"] = "suspended"
    reasons = [each[0] for each in _of_days(engine, versions, 9, 10, 11, 12)]
    assert reasons == [None, "inactive_customer", "inactive_customer", None]
