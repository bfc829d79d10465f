"""The past stays as it is: what is refused of a change to reference rows, once periods are frozen.

Belongs here: which rows that were in force on days of frozen periods a new version would change, and the refusal. Does not belong
here: when a period is frozen (`telecom_assets.periods`), what follows from a change that a person wants (corrections).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from resources.contract import TableContract
from resources.expected_errors import ExpectedError
from resources.warehouse import PinnedTable
from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.model.months import month_days
from telecom_assets.model.stretches import stretch_of_key
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import Periods
from telecom_assets.reference.as_of import differing_days, differing_on, named, rows_in_force
from telecom_assets.reference.change_log import Origin
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

#: The lines of all bills, of which a refusal adds up the money.
_LINES = "bill_lines"
_SHOWN = 5


class PastChanged(ExpectedError):
    """A change would alter what was in force in a frozen period. Nothing was stored. The message says what to do."""


@dataclass(frozen=True)
class NewVersion:
    """A reference table as it is stored, and the rows that are to take their place."""

    stored: PinnedTable
    rows: pa.Table


def assert_past_stays(versions: Iterable[NewVersion], origin: Origin, command: str) -> list[str]:
    """The frozen periods that new versions of customers, tariffs or catalogue change, where a person corrects the past.

    Raises PastChanged where nobody said so: with the periods, the rows and what was billed for them. command: what stores them all
    the same, without its options.
    """
    found: list[tuple[NewVersion, list[str]]] = []
    for each in versions:
        if each.stored.version and (months := _changed_months(each)):
            found.append((each, months))
    corrected = sorted({month for _, months in found for month in months})
    if not corrected or origin.corrects_past:
        return corrected
    periods = read_periods(found[0][0].stored.warehouse)
    rows = "; ".join(_changed_rows(each, months) for each, months in found)
    money = sum((_billed(each, months) for each, months in found), Decimal(0))
    states = ", ".join(f"{month} ({periods.state(month)})" for month in corrected)
    raise PastChanged(
        f"{origin.source}: would change what was in force in {states}: {rows}. Their lines there add up to {money:f}"
        f"{_currency(periods, corrected)} before tax, of which a part may change. Nothing was stored. If the past was wrong, "
        f"`{command} --correct-past --by NAME --why REASON` stores it, and the differences come on a later bill"
    )


def assert_terms_stay(new: NewVersion, source: str) -> None:
    """Raise PastChanged where the terms of a frozen period, those in force on its last day, would be others. Nothing lets them."""
    if not new.stored.version:
        return
    then = new.stored.arrow()
    periods = read_periods(new.stored.warehouse)
    changed = [month for month in periods.frozen if _terms(then, month) != _terms(new.rows, month)]
    if changed:
        states = ", ".join(f"{month} ({periods.state(month)})" for month in changed)
        raise PastChanged(
            f"{source}: would change the terms of {states}; nothing was stored. Terms of a period that is approved or closed stay: let "
            "TELECOM_BILLING_TERMS name a file in which they hold until then, and others from a later day on. A bill that is wrong is "
            "put right by `telecom credit` or `telecom charge`"
        )


def _changed_months(new: NewVersion) -> list[str]:
    """The frozen periods on some day of which other rows are in force."""
    frozen = read_periods(new.stored.warehouse).frozen
    if not frozen:
        return []
    days = differing_days(new.stored.arrow(), new.rows)
    return [month for month in frozen if any(stretch_of_key(month).meets(each) for each in days)]


def _changed_entities(new: NewVersion, months: Sequence[str]) -> pa.Table:
    return differing_on(new.stored.arrow(), new.rows, map(stretch_of_key, months))


def _changed_rows(new: NewVersion, months: Sequence[str]) -> str:
    contract: TableContract = new.stored.contract
    names = sorted({named(row, contract) for row in _changed_entities(new, months).to_pylist()})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{contract.name} {', '.join(names[:_SHOWN])}{more}"


def _billed(new: NewVersion, months: Sequence[str]) -> Decimal:
    """What the lines of these periods add up to that rest on changed rows: of the customers, plans or services concerned."""
    columns = _COLUMNS_OF_LINES[new.stored.name]
    keys = _changed_entities(new, months).select(list(columns)).rename_columns(list(columns.values()))
    keys = keys.group_by(keys.column_names).aggregate([])
    warehouse, total = new.stored.warehouse, Decimal(0)
    for month in months:
        for batch in warehouse.pin_period(_LINES, month).batches():
            lines = pa.Table.from_batches([batch]).select([*columns.values(), "amount"])
            amount = pc.sum(lines.join(keys, keys.column_names, join_type="left semi")["amount"]).as_py()
            total += amount or Decimal(0)
    return total


#: By which columns a line rests on rows of a table: column of the table -> column of bill_lines.
_COLUMNS_OF_LINES: Mapping[str, Mapping[str, str]] = {
    CUSTOMERS.name: {"customer_id": "customer_id"},
    RATE_PLANS.name: {"rate_plan_id": "rate_plan_id", "service_type": "service"},
    PRODUCT_CATALOG.name: {"service_type": "service"},
}


def _terms(terms: pa.Table, month: str) -> list[dict[str, object]]:
    """The terms of a period, without their days."""
    last = month_days(month)[-1]
    content = [name for name in BILLING_TERMS.column_names if name not in (VALID_FROM, VALID_TO)]
    rows: list[dict[str, object]] = rows_in_force(terms, last).select(content).to_pylist()
    return rows


def _currency(periods: Periods, months: Iterable[str]) -> str:
    """The currency that a period was closed with, after a blank; empty where that was not kept."""
    kept = (change.closed_with for month in months if (change := periods.last(month)) is not None)
    return next((f" {ClosedWith.read(each).currency}" for each in kept if each), "")
