"""What a month prices, on both engines: the smallest known volume of a number, at the tariff of the session's day.

Belongs here: whose volumes count, what deferred sessions cost, that none is lost or invented. Amounts are worked out by hand.
"""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.books.verdict import Verdict
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.identities import imputed_are_the_smallest
from telecom_assets.rating.month_rules import smallest_volumes
from telecom_assets.rating.rules import MissingVolumePolicy, Ratings, rate
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.record_types.record_type import Quantity, RecordType, Units
from telecom_assets.record_types.sms import SMS
from telecom_assets.record_types.voice import VOICE
from telecom_assets.tables import TABLES, tables_of
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.rating.test_rules import DAY, FLAT, TIERED, event, price
from telecom_assets_tests.stages.chain import VERSIONS, assert_schema, contract_frame, imputed, reference_data, rows_of

A, B = "212600000001", "212600000002"


def month_of(
    engine: SparkEngine,
    events: list[Row],
    rate_plans: list[Row] = cdrs.RATE_PLANS,
    customers: list[Row] = cdrs.CUSTOMERS,
) -> list[Row]:
    """Rows of period_charges of some cleaned events of a month, in the order of their positions."""
    cleaned = contract_frame(engine, CLEANED_CDRS, events)
    of_month = reference_data(engine, customers, rate_plans)
    ratings = rate(cleaned, of_month, missing_volume="customer_min")
    rows = imputed(engine, ratings.rated, ratings.suspended, of_month)
    assert_schema(PERIOD_CHARGES, rows)
    return sorted(rows_of(rows), key=lambda row: row["source_position"])


def sessions(*volumes: tuple[str, object, dict[str, Any]]) -> list[Row]:
    """Sessions of (number, megabytes or None, what else is different), at positions from 0."""
    return [
        event("data", volume, subscriber_id=who, source_position=n, record_id=f"r{n}", **changed)
        for n, (who, volume, changed) in enumerate(volumes)
    ]


def test_the_smallest_is_the_smallest_number_of_each_holder(engine: SparkEngine) -> None:
    """9 is less than 10, whatever their texts say; zero is a volume; calls have none."""
    events = sessions(
        (A, "10", {}),
        (A, "9", {}),
        (A, None, {}),
        (A, "100", {"event_date": date(2026, 6, 1)}),
        (B, "0", {}),
        (B, "5", {}),
        ("212700000003", None, {}),
        ("212600000004", "3", {}),  # prepaid: who is charged is not asked here
        ("33612345678", "4", {}),  # nobody's
    )
    events.append(event("voice", "1", subscriber_id="212700000008", source_position=99))
    ratings = rate(contract_frame(engine, CLEANED_CDRS, events), reference_data(engine), missing_volume="customer_min")
    found = rows_of(smallest_volumes(ratings.rated, ratings.suspended))
    volumes = {(row["subscriber"], row["holder"]): row["smallest"] for row in found}
    assert volumes == {(A, 1): 9, (B, 1): 0, ("212600000004", 1): 3, ("33612345678", None): 4}
    assert len(found) == 4


def test_a_deferred_session_costs_what_the_smallest_volume_costs(engine: SparkEngine) -> None:
    """PLAN_A's DATA_BASIC: 0.012345 a megabyte above 0.1."""
    first = date(2026, 6, 1)
    charges = month_of(
        engine,
        sessions(
            (A, "10", {}),
            (A, None, {"event_date": first, "rating_status": "needs_review"}),
            (A, "2.5", {"event_date": date(2026, 6, 30)}),  # a later day's volume counts for an earlier day's session
            (B, "1", {}),  # another's does not
            (A, None, {}),
        ),
    )
    # 2.4 × 0.012345 = 0.029628
    figures = (Decimal("2.5"), Decimal("0.1"), Decimal("0.029628"), Decimal("0.012345"))
    columns = ("billable_units", "free_units_applied", "amount", "unit_price")
    assert [tuple(row[name] for name in columns) for row in charges] == [figures, figures]
    assert [(row["record_id"], row["event_date"], row["billing_period"]) for row in charges] == [
        ("r1", first, "2026-06"),
        ("r4", DAY, "2026-06"),
    ]
    assert {row["imputed"] for row in charges} == {True}
    assert [row["rating_status"] for row in charges] == ["needs_review", "ready"]
    kept = {"customer_id": A, "rate_plan_id": "PLAN_A", "record_type": "data", "product_code": "DATA_BASIC"}
    assert all(kept.items() <= row.items() for row in charges)
    assert {name: charges[0][f"{name}_version"] for name in VERSIONS} == VERSIONS
    assert (charges[0]["region"], charges[0]["source_id"], charges[0]["source_part"]) == (
        cdrs.CUSTOMERS[0]["region"],
        "topic-1",
        0,
    )


def test_tiers_hold_for_the_volume_of_the_month(engine: SparkEngine) -> None:
    """Free up to 50, 0.015 up to 1024 (counted from zero), 0.05 above: 974 × 0.015 + 1 × 0.05 = 14.66."""
    plans = [{**price(TIERED, "0.015", "50", "1024", "0.05"), "rate_plan_id": "PLAN_A"}]
    product = {"product_code": TIERED}
    [charge] = month_of(engine, sessions((A, "1025", product), (A, None, product)), plans)
    assert (charge["billable_units"], charge["free_units_applied"], charge["amount"]) == (
        1025,
        50,
        Decimal("14.66"),
    )
    assert (charge["tier_threshold"], charge["tier_price"]) == (1024, Decimal("0.05"))


def test_without_a_known_volume_it_used_none(engine: SparkEngine) -> None:
    [charge] = month_of(engine, sessions((B, None, {}), (A, "4", {})))
    assert (charge["billable_units"], charge["free_units_applied"], charge["amount"]) == (0, 0, 0)


def test_no_volume_is_imputed_from_another_holder(engine: SparkEngine) -> None:
    """A number with a holder until June 9 and another one from June 12 on, and sessions of nobody between them."""
    one, two = [
        {**cdrs.CUSTOMERS[0], "holder_no": number, "valid_from": first, "valid_to": end}
        for number, first, end in ((1, None, date(2026, 6, 10)), (2, date(2026, 6, 12), None))
    ]
    days = [{"event_date": date(2026, 6, number)} for number in (9, 9, 11, 11, 12, 12)]
    volumes = ("10", None, "1", None, "5", None)
    events = sessions(*((A, volume, day) for volume, day in zip(volumes, days, strict=True)))
    charges = month_of(engine, events, customers=[one, two])
    found = [
        (row["source_position"], row["holder_no"], row["customer_valid_from"], row["billable_units"]) for row in charges
    ]
    assert found == [(1, 1, None, 10), (5, 2, date(2026, 6, 12), 5)]


def test_an_event_has_the_price_of_its_own_day(engine: SparkEngine) -> None:
    """1 a megabyte until the 20th, 2 from then on; the smallest volume is that of the whole month: 3 × 1 and 3 × 2."""
    before, after = date(2026, 6, 19), date(2026, 6, 20)
    events = sessions(
        (A, "3", {"event_date": before}), (A, None, {"event_date": before}), (A, None, {"event_date": after})
    )
    plans: list[Row] = [
        {**price(FLAT, "1"), "rate_plan_id": "PLAN_A", "valid_to": after},
        {**price(FLAT, "2"), "rate_plan_id": "PLAN_A", "valid_from": after},
    ]
    rows = month_of(engine, events, plans)
    assert [(row["source_position"], row["plan_valid_from"], row["unit_price"], row["amount"]) for row in rows] == [
        (1, None, Decimal(1), Decimal(3)),
        (2, after, Decimal(2), Decimal(6)),
    ]


def test_what_costs_more_than_an_amount_holds_has_its_row_without_an_amount(engine: SparkEngine) -> None:
    """10,000,000 × 999,999.999999 = 9,999,999,999,990; nothing of the sessions beside it is lost."""
    dear, sound = "212600000005", B
    customers = [{**cdrs.CUSTOMERS[0], "customer_id": who, "rate_plan_id": f"P{who}"} for who in (dear, sound)]
    plans = [
        {**price(FLAT, "999999.999999"), "rate_plan_id": f"P{dear}"},
        {**price(TIERED, "1"), "rate_plan_id": f"P{dear}"},
        {**price(FLAT, "1"), "rate_plan_id": f"P{sound}"},
    ]
    events = sessions(
        (dear, "10000000", {"product_code": TIERED}), (dear, None, {}), (sound, "2", {}), (sound, None, {})
    )
    cleaned, of_month = contract_frame(engine, CLEANED_CDRS, events), reference_data(engine, customers, plans)
    ratings = rate(cleaned, of_month, missing_volume="customer_min")
    rows = rows_of(imputed(engine, ratings.rated, ratings.suspended, of_month))
    assert {(row["source_position"], row["billable_units"], row["amount"]) for row in rows} == {
        (1, Decimal(10_000_000), None),
        (3, Decimal(2), Decimal(2)),
    }


# ------------------------------------------------------------------------------------------ another quantity than megabytes

PAYLOAD = Quantity("payload_kb", "payload", "kilobytes", 3, "Payload of a reading, kB.", imputed=True)
READING = RecordType(
    name="reading",
    events="readings",
    subscriber="device_id",
    quantities=(PAYLOAD,),
    units=Units("kB", PAYLOAD.field),
    product_field="product_code",
)
WITH_READINGS = RecordTypes((VOICE, SMS, READING))


def readings(*payloads: str | None) -> list[Row]:
    """Readings of one device, of kilobytes or None, at positions from 0."""
    sound = {"subscriber_id": A, "record_type": "reading", "product_code": "READING", "rating_status": "ready"}
    return [
        {**sound, "record_id": f"r{n}", "payload_kb": payload, "event_date": DAY, "source_position": n}
        for n, payload in enumerate(payloads)
    ]


@pytest.mark.thorough
def test_the_quantity_that_is_imputed_is_that_of_the_record_type_that_has_one(
    engine: SparkEngine, tmp_path: Path
) -> None:
    """Of 4 and 2.5 kB the smaller: one is free, 1.5 × 0.5 = 0.75. A call of the number has no payload."""
    warehouse = Warehouse(str(tmp_path), engine, tables_of(WITH_READINGS))
    call = {**event("voice", "1", subscriber_id=A, source_position=9, record_id="call"), "product_code": "VOICE_NAT"}
    events = [*readings("4", None, "2.5"), call]
    plans = [{**price("READING", "0.5", "1"), "rate_plan_id": "PLAN_A"}]
    products = [{"product_code": "READING", "service_type": "reading", "unit": "kB", "rate_type": "flat"}]
    of_month = reference_data(engine, rate_plans=plans, catalogue=products)
    day, month = Partitions(DAY, DAY), Partitions("2026-06", "2026-06")
    warehouse.overwrite(CLEANED_CDRS.name, contract_frame(engine, warehouse.contracts[CLEANED_CDRS.name], events), day)
    cleaned = warehouse.pin_period(CLEANED_CDRS.name, "2026-06")
    ratings = rate(cleaned.df, of_month, missing_volume="customer_min", record_types=WITH_READINGS)
    assert {(row["record_id"], row["reason"], row["disposition"]) for row in rows_of(ratings.suspended)} == {
        ("r1", "missing_volume", "deferred"),
        ("call", "no_price", "suspended"),
    }
    late = imputed(engine, ratings.rated, ratings.suspended, of_month, WITH_READINGS)
    [charge] = rows_of(late)
    found = tuple(charge[name] for name in ("record_id", "billable_units", "free_units_applied", "amount", "imputed"))
    assert found == ("r1", Decimal("2.5"), 1, Decimal("0.75"), True)

    warehouse.overwrite(PERIOD_CHARGES.name, late, month)
    usage = (RATED_CDRS.name, SUSPENDED_CDRS.name, PERIOD_CHARGES.name)

    def smallest_of(ratings: Ratings) -> Verdict:
        warehouse.overwrite(RATED_CDRS.name, ratings.rated, day)
        warehouse.overwrite(SUSPENDED_CDRS.name, ratings.suspended, day)
        charged, left, late = (warehouse.pin_period(name, "2026-06") for name in usage)
        return imputed_are_the_smallest(charged, left, late, WITH_READINGS)

    assert smallest_of(ratings).passed
    smaller = contract_frame(engine, cleaned.contract, [*events, {**readings("2.499")[0], "record_id": "late"}])
    verdict = smallest_of(rate(smaller, of_month, missing_volume="customer_min", record_types=WITH_READINGS))
    assert verdict.findings == [f"{DAY}: 1 imputed volumes are out of date; make period_charges of the month again"]


@pytest.mark.parametrize(
    ("policy", "rated", "suspended"),
    [("zero", [(0, 0, True)], []), ("suspend", [], [("missing_volume", "suspended", None)])],
)
def test_the_other_policies_hold_for_that_quantity_too(
    engine: SparkEngine,
    policy: MissingVolumePolicy,
    rated: list[tuple[int, int, bool]],
    suspended: list[tuple[str, str, None]],
) -> None:
    plans = [{**price("READING", "0.5", "1"), "rate_plan_id": "PLAN_A"}]
    products = [{"product_code": "READING", "service_type": "reading", "unit": "kB", "rate_type": "flat"}]
    cleaned = contract_frame(engine, tables_of(WITH_READINGS)[CLEANED_CDRS.name], readings(None, "3"))
    of_month = reference_data(engine, rate_plans=plans, catalogue=products)
    ratings = rate(cleaned, of_month, missing_volume=policy, record_types=WITH_READINGS)

    def of_it(table: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[name] for name in columns) for row in rows_of(table) if row["record_id"] == "r0"]

    assert of_it(ratings.rated, "billable_units", "amount", "imputed") == rated
    assert of_it(ratings.suspended, "reason", "disposition", "billable_units") == suspended


@pytest.mark.parametrize("imputed", [[], ["0.25"], ["0.25", None]], ids=str)
def test_the_charges_of_a_month_are_both(engine: SparkEngine, tmp_path: Path, imputed: list[str | None]) -> None:
    """1.5 + 2.5 of the days, 0.25 of the month; a row without an amount is no charge."""
    warehouse = Warehouse(str(tmp_path), engine, TABLES)
    rated = [{"record_id": f"d{n}", "amount": amount, "event_date": DAY} for n, amount in enumerate(("1.5", "2.5"))]
    rated.append({"record_id": "other", "amount": "8", "event_date": date(2026, 7, 1)})
    late = [
        {"record_id": f"m{n}", "amount": amount, "event_date": DAY, "billing_period": "2026-06"}
        for n, amount in enumerate(imputed)
    ]
    days, months = Partitions(date(2026, 6, 1), date(2026, 7, 31)), Partitions("2026-06", "2026-06")
    warehouse.overwrite(RATED_CDRS.name, contract_frame(engine, RATED_CDRS, rated), days)
    warehouse.overwrite(PERIOD_CHARGES.name, contract_frame(engine, PERIOD_CHARGES, late), months)
    charges = charges_of_month(warehouse, "2026-06")
    charged = ["d0", "d1", *(f"m{n}" for n, amount in enumerate(imputed) if amount)]
    assert sorted(row["record_id"] for row in rows_of(charges.df)) == charged
    assert charges.total() == Decimal(4) + sum(Decimal(amount) for amount in imputed if amount)
    assert_schema(RATED_CDRS, charges.df)
