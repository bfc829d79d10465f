"""Sums of a period that was closed as it stood: of the bills that a former version made, and the lines that were made for them since.

Belongs here: which of the two says what. Does not belong here: entries (`entries`), sums that all periods have (`close_journal`).

Documents of such a period are not in this warehouse; its bills say what was asked for. Lines say the same, but for the holders that the
close has listed (`ClosedWith.not_corrected`): of these the bills count, and what they ask for beside their lines is a sum of its own.
So lines and bills are two sources for the amounts of everybody else, and the journal compares them.
"""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.warehouse import Warehouse
from telecom_assets.billing.lines import totals_by_rate
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE
from telecom_assets.corrections.rules import is_not_corrected
from telecom_assets.periods.closed_with import ClosedWith, category_of

_NOTHING = Decimal(0)


@dataclass(frozen=True)
class FormerBills:
    """What the bills of a period come to: discount, tax by (tax_category, tax_pct), amount due by kind of document.

    billed_otherwise: what bills of listed holders ask for beside their lines, before discount and tax.
    """

    discount: Decimal
    taxes: dict[tuple[str, Decimal], Decimal]
    due: dict[str, Decimal]
    billed_otherwise: Decimal


def former_bills(warehouse: Warehouse, period: str, closed_with: ClosedWith, scale: int) -> FormerBills:
    """The sums of a period (yyyy-MM) that was closed as it stood. scale: decimals of the currency."""
    stored = warehouse.pin_period(FACTURATION_COMPLETE.name, period).df
    bills = stored.withColumn("holder_no", F.coalesce("holder_no", F.lit(1)))
    lines = warehouse.pin_period(BILL_LINES.name, period).df
    listed = is_not_corrected(closed_with.not_corrected)
    of_lines = (
        totals_by_rate(lines.where(~listed), scale)
        .groupBy("tax_category", "tax_pct")
        .agg(*(F.sum(name).alias(name) for name in ("discount", "tax", "due")))
    )
    of_bills = (
        bills.where(listed)
        .groupBy("tax_pct")
        .agg(*(F.sum(name).alias(of) for name, of in (("discount", "discount"), ("tax", "tax"), ("amount_due", "due"))))
    )
    rates: list[tuple[tuple[str, Decimal], dict[str, Any]]] = [
        *(((row["tax_category"], row["tax_pct"]), row) for row in _rows(of_lines)),
        *(((category_of(row["tax_pct"], closed_with), row["tax_pct"]), row) for row in _rows(of_bills)),
    ]
    taxes: defaultdict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
    for rate, row in rates:
        taxes[rate] += row["tax"] or _NOTHING
    return FormerBills(
        sum((row["discount"] or _NOTHING for _, row in rates), _NOTHING),
        taxes,
        {"invoice": sum((row["due"] or _NOTHING for _, row in rates), _NOTHING)},
        _sum(bills.where(listed), "amount_before_tax") - _sum(lines.where(listed), "amount"),
    )


def _rows(sums: DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sums.toArrow().to_pylist()
    return found


def _sum(rows: DataFrame, name: str) -> Decimal:
    found: Decimal | None = rows.agg(F.sum(name).alias(name)).toArrow().to_pylist()[0][name]
    return found if found is not None else _NOTHING
