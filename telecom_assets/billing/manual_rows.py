"""Lines that a person adds: rows of manual_lines as lines of a bill, and what is left of a month to be credited.

Belongs here: pure rules. Does not belong here: noting a row (`manual`).
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from telecom_assets.billing.tables import ADJUSTMENT, BILL, MANUAL, USAGE, bill_lines
from telecom_assets.model.numbers import RATED_SCALE

_NONE = Decimal(0)


def as_lines(rows: pa.Table, scale: int) -> pa.Table:
    """Rows of manual_lines as rows of bill_lines, not numbered yet. They have no events and no discount."""
    same = ("customer_id", "holder_no", "document", "rate_plan_id", "region", "tax_category", "tax_pct")
    lines = [
        {
            **{name: row[name] for name in (*same, "original_period", "billing_period", "amount")},
            "line_no": 0,
            "kind": MANUAL,
            "events": 0,
            "units": _NONE,
            "discount_pct": _NONE,
            "exact_amount": row["amount"].quantize(Decimal(1).scaleb(-RATED_SCALE)),
        }
        for row in rows.sort_by("manual_no").to_pylist()
    ]
    return pa.Table.from_pylist(lines, schema=bill_lines(scale).arrow_schema())


def room_for_credit(
    lines: Iterable[Mapping[str, Any]],
    by_hand: Iterable[Mapping[str, Any]],
    original_period: str,
    rate: tuple[str, Decimal],
) -> Decimal:
    """What may be credited of a holder's month at a tax rate (category, percent): the sum of all its lines so far.

    lines: bill_lines of the holder, of that month and all later ones. by_hand: his rows of manual_lines. Counted are the usage of the
    month, the adjustments of it, and what people have credited and charged for it. Below 0 where more was credited than there
    is left.
    """
    own, corrects = _NONE, _NONE
    for line in lines:
        if (line["tax_category"], line["tax_pct"]) != rate:
            continue
        if line["kind"] == USAGE and line["billing_period"] == original_period and line["document"] == BILL:
            own += line["amount"]
        elif line["kind"] == ADJUSTMENT and line["original_period"] == original_period:
            corrects += line["amount"]
    added = (
        row["amount"]
        for row in by_hand
        if row["original_period"] == original_period and (row["tax_category"], row["tax_pct"]) == rate
    )
    return sum(added, own + corrects)
