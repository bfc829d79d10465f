"""Any series of corrections ends at what is right: random months against a model in plain Python, on the embedded engine.

Belongs here: the model, which knows what each record costs now, and nothing of differences.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

import pytest

from resources.engine import SparkEngine
from telecom_assets.billing.tables import BILL_LINES
from telecom_assets.billing.write_off import disposed
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.corrections.test_rules import Month, events_of
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import contract_frame, reference_data, rows_of

NUMBERS = [str(row["customer_id"]) for row in cdrs.CUSTOMERS[:3]]
PLANS = ("PLAN_A", "PLAN_B")
PRODUCTS = {"voice": "VOICE_NAT", "sms": "SMS_NAT", "data": "DATA_BASIC"}
PERIODS = ("2026-07", "2026-08", "2026-09")
#: What is charged to whom for a record, in which plan.
Charges = Mapping[tuple[str, str, str], Decimal]


@dataclass(frozen=True)
class Record:
    """A record as it is kept now. quantity: seconds or megabytes; None for a message, and for an unknown volume."""

    name: str
    kind: str
    number: str
    quantity: str | None
    position: int


def drawn(rng: random.Random, name: str, kind: str, position: int) -> Record:
    """A record of any number and quantity; every third session has no volume."""
    seconds, megabytes = str(rng.randint(1, 900)), f"{rng.randint(0, 40)}.{rng.randint(0, 999999):06d}"
    volume = None if rng.random() < 1 / 3 else megabytes
    return Record(name, kind, rng.choice(NUMBERS), {"voice": seconds, "sms": None, "data": volume}[kind], position)


def changed(rng: random.Random, kept: Sequence[Record], number: int) -> list[Record]:
    """The records after something happened to some: gone, another copy, of another number; and late ones."""
    after = [record for record in kept if rng.random() > 0.1]
    after = [drawn(rng, r.name, r.kind, r.position + 1000) if rng.random() < 0.2 else r for r in after]
    moved = [
        replace(r, number=rng.choice(NUMBERS), position=r.position + 5000) if rng.random() < 0.1 else r for r in after
    ]
    return moved + [drawn(rng, f"late {number} {n}", rng.choice([*PRODUCTS]), 100 * number + n) for n in range(8)]


def tariff(rng: random.Random) -> tuple[list[Row], list[Row]]:
    """Customers with any plan, prices of which some are others."""
    customers = [{**row, "rate_plan_id": rng.choice(PLANS)} for row in cdrs.CUSTOMERS[:3]]
    prices = [
        {**row, "unit_price": f"0.{rng.randint(1, 999999):06d}"} if rng.random() < 0.3 else row
        for row in cdrs.RATE_PLANS
    ]
    return customers, prices


def units_of(record: Record, records: Sequence[Record]) -> Decimal:
    """Minutes that have begun, one message, megabytes. Without a volume: the smallest of the number, else none."""
    if record.kind == "sms":
        return Decimal(1)
    if record.quantity is not None:
        return Decimal(math.ceil(int(record.quantity) / 60)) if record.kind == "voice" else Decimal(record.quantity)
    of_number = (each.quantity for each in records if (each.kind, each.number) == ("data", record.number))
    return min((Decimal(volume) for volume in of_number if volume is not None), default=Decimal(0))


def right_charges(records: Sequence[Record], customers: Sequence[Row], prices: Sequence[Row]) -> Charges:
    """What each record costs whom."""
    plan_of = {str(row["customer_id"]): str(row["rate_plan_id"]) for row in customers}
    price_of = {(row["rate_plan_id"], row["product_code"]): row for row in prices}
    charged: dict[tuple[str, str, str], Decimal] = {}
    for record in records:
        units = units_of(record, records)
        price = price_of[plan_of[record.number], PRODUCTS[record.kind]]
        amount = max(Decimal(0), units - Decimal(str(price["free_units"]))) * Decimal(str(price["unit_price"]))
        rounded = amount.quantize(Decimal("0.000001"), ROUND_HALF_UP)
        charged[record.name, record.number, plan_of[record.number]] = rounded
    return charged


def events(records: Sequence[Record]) -> list[Row]:
    return events_of(*((r.name, r.number, r.kind, r.quantity, {"source_position": r.position}) for r in records))


def added_up(rows: Sequence[Row]) -> tuple[Charges, Mapping[tuple[str, str, str], int]]:
    """Amounts and events of charges and of differences together, without what comes to nothing."""
    amounts: dict[tuple[str, str, str], Decimal] = {}
    counts: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = str(row["record_id"]), str(row["customer_id"]), str(row["rate_plan_id"])
        amounts[key] = amounts.get(key, Decimal(0)) + row["amount"]
        counts[key] = counts.get(key, 0) + row["events"]
    return {key: amounts[key] for key, count in counts.items() if count}, counts


def judged(
    engine: SparkEngine, found: Sequence[Row], before: Sequence[Row], period: str, threshold: Decimal
) -> list[Row]:
    """The rows of a period, those written off that are too little; June has no bill, so all of it is to be asked for."""
    written_off = [row for row in before if row["disposition"] == "written_off"]
    now, settled = (contract_frame(engine, ADJUSTMENTS, rows) for rows in (found, written_off))
    return rows_of(disposed(now, settled, contract_frame(engine, BILL_LINES, []), period, threshold, 2))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("seed", "threshold"),
    [
        (1, Decimal(0)),
        (3, Decimal(40)),
    ],
)
def test_a_series_of_corrections_ends_at_what_is_right(sail: SparkEngine, seed: int, threshold: Decimal) -> None:
    """After each round what was ever charged for a record is what it costs then. None of it is laid to other rules.

    With a threshold some of it is written off, taken back when its holder has more, and judged once more: the sum is the same.
    """
    rng = random.Random(seed)
    kept = [drawn(rng, f"r{n}", rng.choice([*PRODUCTS]), n) for n in range(40)]
    month = Month(sail, events(kept), reference_data(sail, *tariff(rng)))
    charged: list[Row] = [{**row, "events": 1} for row in (*month.rated, *month.imputed)]
    before: list[Row] = []
    for number, period in enumerate(PERIODS, 1):
        kept = changed(rng, kept, number)
        customers, prices = tariff(rng)
        found = month.corrected(events(kept), reference_data(sail, customers, prices), period=period, before=before)
        if threshold:
            found = judged(sail, found, before, period, threshold)
        before += found
        assert len({tuple(row[name] for name in ADJUSTMENTS.key) for row in found}) == len(found)
        amounts, counts = added_up([*charged, *before])
        assert amounts == right_charges(kept, customers, prices)
        assert set(counts.values()) <= {0, 1}
        assert "rules_changed" not in {row["reason"] for row in found}
    assert {row["disposition"] for row in before} == ({"billed", "written_off"} if threshold else {"billed"})
