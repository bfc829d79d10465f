"""Months are approved and closed in their order.

Belongs here: which earlier months stand in the way. Does not belong here: the states (`telecom_assets.periods`).
"""

from resources.warehouse import Warehouse
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.periods.states import CLOSED, PeriodError, Periods


def billed_months(warehouse: Warehouse) -> list[str]:
    """The months that have bills, whether they are drafts or closed; also those that a former version billed."""
    return sorted(warehouse.pin(FACTURATION_COMPLETE.name).rows_by_partition())


def open_drafts_before(warehouse: Warehouse, periods: Periods, month: str) -> list[str]:
    """The earlier months that have drafts, or an approval, and are not closed, in order."""
    begun = {change.billing_period for change in periods.changes} | set(billed_months(warehouse))
    return sorted(each for each in begun if each < month and periods.state(each) != CLOSED)


def assert_none_before(warehouse: Warehouse, periods: Periods, month: str, doing: str) -> None:
    """Raise PeriodError where an earlier month has drafts that are not closed. doing: "approving"."""
    if before := open_drafts_before(warehouse, periods, month):
        raise PeriodError(
            f"{doing} {month}: months close in order, and {before[0]} has drafts that are not closed: "
            f"{periods.says(before[0])}; or `telecom bill close --month {before[0]} --empty --by NAME` closes it without bills"
        )


def assert_in_order(warehouse: Warehouse, periods: Periods, month: str, doing: str) -> None:
    """Raise PeriodError where an earlier month has drafts that are not closed, or a later one is closed. doing: "approving"."""
    assert_none_before(warehouse, periods, month, doing)
    if periods.closed and month < periods.closed[-1]:
        raise PeriodError(
            f"{doing} {month}: months close in order, and {periods.closed[-1]} is closed already; "
            f"`telecom bill close --month {month} --empty --by NAME` closes it without bills, and its usage comes as late usage "
            f"on the bills of {periods.corrects}"
        )
