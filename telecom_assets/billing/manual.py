"""What a person credits or charges: checked, and noted as a row of manual_lines.

Belongs here: which month and holder it may be for, the room that there is for a credit, the commit. Does not belong here: what becomes
of it on a bill (`manual_rows`).

A row is a commit on the version of manual_lines that was read, so that of two credits at a time the second sees the first; and the
warehouse refuses it once the period that would bill it is approved. So no row is left out of the bills that were approved.
"""

import datetime as dt
import getpass
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc

from resources.expected_errors import ExpectedError, UsageError
from resources.warehouse import Decided, Partitions, PinnedTable, Warehouse, append_decided
from telecom_assets.billing.manual_rows import room_for_credit
from telecom_assets.billing.tables import BILL, BILL_LINES, FACTURATION_COMPLETE, MANUAL, MANUAL_LINES
from telecom_assets.model.text import visible
from telecom_assets.periods.closed_with import ClosedWith, category_of
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import CLOSED, PeriodError, Periods


class ManualLineError(ExpectedError):
    """An amount cannot be credited or charged. Nothing was changed. The message says why, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What a person wants to credit or to charge: a positive amount before tax. `holder_no` None: the only one of the month."""

    customer_id: str
    #: The closed month that it is about, yyyy-MM.
    month: str
    amount: Decimal
    tax_pct: Decimal
    by: str
    why: str
    is_credit: bool
    holder_no: int | None = None
    #: Whether it gets a document of its own, not a line on the bill.
    own_document: bool = False

    @property
    def verb(self) -> str:
        return "credit" if self.is_credit else "charge"


def note_line(warehouse: Warehouse, wanted: Wanted) -> dict[str, Any]:
    """Note an amount for the bills of the period after every closed one; returns its row of manual_lines.

    Raises UsageError for an amount or a rate that cannot be; ManualLineError for a customer or a holder without a bill, and for a
    credit that is more than there is left of the month at that rate; PeriodError unless the month is closed and the period that would
    bill it is open.
    """
    _check_figures(wanted, warehouse.contracts[MANUAL_LINES.name].column("amount").arrow_type.scale)
    warehouse.make_tables([MANUAL_LINES.name])

    def decided(noted: PinnedTable) -> Decided[dict[str, Any]]:
        periods = read_periods(warehouse)
        period = _billed_in(periods, wanted)
        bill = _bill_of(warehouse, wanted)
        rate = (_category(periods, wanted), wanted.tax_pct)
        if wanted.is_credit:
            _assert_room(warehouse, wanted, bill, rate, noted, period)
        row = _row(wanted, bill, rate, period, sum(noted.rows_by_partition().values()) + 1)
        return Decided(row, [row])

    return append_decided(warehouse, MANUAL_LINES.name, decided)


def _check_figures(wanted: Wanted, scale: int) -> None:
    smallest = Decimal(1).scaleb(-scale)
    if not wanted.amount.is_finite() or wanted.amount <= 0 or wanted.amount != wanted.amount.quantize(smallest):
        raise UsageError(
            f"{wanted.verb} of {wanted.amount}: expected an amount above 0 with up to {scale} decimals; nothing was changed"
        )
    if not 0 <= wanted.tax_pct <= 100 or wanted.tax_pct != wanted.tax_pct.quantize(Decimal("0.0001")):
        raise UsageError(f"tax of {wanted.tax_pct} %: expected 0 to 100 with up to 4 decimals; nothing was changed")


def _billed_in(periods: Periods, wanted: Wanted) -> str:
    """The period that bills what a person adds. Raises PeriodError."""
    period = periods.corrects
    if period is None or periods.state(wanted.month) != CLOSED:
        raise PeriodError(
            f"{wanted.verb} for {wanted.month}: expected a month that is closed, for until then its bills are made again; "
            f"{periods.says(wanted.month)}; nothing was changed"
        )
    periods.assert_open(period, f"{wanted.verb} on the bills of {period}")
    return period


def _bill_of(warehouse: Warehouse, wanted: Wanted) -> Mapping[str, Any]:
    """The bill of the month of the holder who is meant."""
    bills = list(_of_customer(warehouse.pin_period(FACTURATION_COMPLETE.name, wanted.month), wanted.customer_id))
    of_holder = [row for row in bills if wanted.holder_no in (None, row["holder_no"])]
    if len(of_holder) == 1:
        return of_holder[0]
    customer = f"customer {visible(wanted.customer_id)}"
    if not bills:
        raise ManualLineError(f"{customer} has no bill of {wanted.month}; nothing was changed")
    holders = ", ".join(str(row["holder_no"]) for row in sorted(bills, key=lambda row: row["holder_no"]))
    raise ManualLineError(
        f"{customer} has bills of {wanted.month} as holder {holders}; name one of them with --holder; nothing was changed"
    )


def _category(periods: Periods, wanted: Wanted) -> str:
    """The tax category of a rate: the month's own one for its own rate."""
    change = periods.last(wanted.month)
    closed_with = ClosedWith.read(change.closed_with) if change is not None and change.closed_with else None
    return category_of(wanted.tax_pct, closed_with)


def _assert_room(
    warehouse: Warehouse,
    wanted: Wanted,
    bill: Mapping[str, Any],
    rate: tuple[str, Decimal],
    noted: PinnedTable,
    period: str,
) -> None:
    """Raise ManualLineError where a credit is more than what is left of the month at its rate."""
    lines = warehouse.pin(BILL_LINES.name, Partitions(wanted.month, period))
    own, by_hand = (
        [row for row in _of_customer(table, wanted.customer_id) if row["holder_no"] == bill["holder_no"]]
        for table in (lines, noted)
    )
    room = room_for_credit(own, by_hand, wanted.month, rate)
    if wanted.amount > room:
        raise ManualLineError(
            f"credit of {wanted.amount} for {wanted.month}: customer {visible(wanted.customer_id)} has {max(room, Decimal(0))} left "
            f"of that month at {rate[0]} {wanted.tax_pct} % before tax, and no more than that can be credited; nothing was changed"
        )


def _row(
    wanted: Wanted, bill: Mapping[str, Any], rate: tuple[str, Decimal], period: str, number: int
) -> dict[str, Any]:
    return {
        "manual_no": number,
        "customer_id": wanted.customer_id,
        "holder_no": bill["holder_no"],
        "original_period": wanted.month,
        "document": f"{MANUAL}-{number}" if wanted.own_document else BILL,
        "rate_plan_id": bill["rate_plan_id"],
        "region": bill["region"],
        "tax_category": rate[0],
        "tax_pct": wanted.tax_pct,
        "amount": -wanted.amount if wanted.is_credit else wanted.amount,
        "noted_at": dt.datetime.now(dt.UTC),
        "noted_by": wanted.by,
        "system_user": getpass.getuser(),
        "why": wanted.why,
        "billing_period": period,
    }


def _of_customer(table: PinnedTable, customer_id: str) -> Iterator[dict[str, Any]]:
    """The rows of a customer, read without the engine."""
    for batch in table.batches():
        yield from batch.filter(pc.equal(batch["customer_id"], customer_id)).to_pylist()
