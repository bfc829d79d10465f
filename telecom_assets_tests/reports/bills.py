"""Bills for the tests of documents: rows of facturation_complete that add up, made without the project's billing."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa

from telecom_assets.billing.tables import FACTURATION_COMPLETE

PERIOD = "2025-05"
CENTIME = Decimal("0.01")
SCHEMA = FACTURATION_COMPLETE.arrow_schema().append(pa.field("customer_name", pa.string()))


def bill(
    customer_id: str = "212600000001", lines: Sequence[str] = ("12.34", "0.40", "100.01"), **others: Any
) -> dict[str, Any]:
    """One bill: 5 % discount, 20 % tax, and whatever columns are given."""
    voice, sms, data = (Decimal(line) for line in lines)
    before_tax = voice + sms + data
    discount = (before_tax * 5 / 100).quantize(CENTIME, ROUND_HALF_UP)
    after_discount = before_tax - discount
    tax = (after_discount * 20 / 100).quantize(CENTIME, ROUND_HALF_UP)
    return {
        "customer_id": customer_id,
        "holder_no": 1,
        "customer_name": "Amina El Idrissi",
        "region": "Rabat-Salé-Kénitra",
        "rate_plan_id": "PLAN_A",
        "voice_total": voice,
        "sms_total": sms,
        "data_total": data,
        "voice_count": 17,
        "sms_count": 0,
        "data_count": 3,
        "adjustments_total": Decimal("0.00"),
        "other_total": Decimal("0.00"),
        "amount_before_tax": before_tax,
        "discount_pct": Decimal("5.0000"),
        "discount": discount,
        "after_discount": after_discount,
        "tax_pct": Decimal("20.0000"),
        "tax": tax,
        "amount_due": after_discount + tax,
        "rounding_difference": Decimal("-0.001230"),
        "currency": "MAD",
        "status": "draft",
        "billing_period": PERIOD,
        **others,
    }


def bills(count: int) -> list[dict[str, Any]]:
    """Bills of so many customers, each with other amounts."""
    return [bill(f"2126{number:08d}", (f"{number % 97}.05", "1.00", f"{number % 13}.99")) for number in range(count)]


def batches(
    rows: Sequence[Mapping[str, Any]], size: int = 1_000, schema: pa.Schema = SCHEMA
) -> Iterator[pa.RecordBatch]:
    """The rows as a stream of record batches."""
    for start in range(0, len(rows), size):
        yield pa.RecordBatch.from_pylist(list(rows[start : start + size]), schema=schema)
