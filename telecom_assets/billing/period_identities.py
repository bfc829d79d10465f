"""What the control totals of a period add up to, from its charges to its bills and separate documents: counts and money.

Belongs here: equations of whole periods, which cost no look at the rows. Does not belong here: what holds of each day, holder or
document (`identities` and `correction_identities` here, `identities` of rating), the numbered documents (`telecom_assets.closing`).
Suspended usage that a person has written off has an estimate in the control totals, and is in none of these.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, sum_exactly
from telecom_assets.billing.corrections import closed_lines
from telecom_assets.billing.left_aside import Holders, without_them
from telecom_assets.billing.tables import ADJUSTMENT, BILL, OF_ITS_OWN, ON_BILL, USAGE
from telecom_assets.books.agreement import totals_agree
from telecom_assets.books.totals import Total, amounts_of, by_outcome, totals_of
from telecom_assets.books.verdict import Verdict
from telecom_assets.corrections.rules import is_not_corrected
from telecom_assets.corrections.tables import ADJUSTMENTS, UNSETTLED, WRITTEN_OFF
from telecom_assets.rating.charges import Charges
from telecom_assets.rating.rules import DEFERRED
from telecom_assets.rating.tables import SUSPENDED_CDRS

#: An equation: what it says, its left side, its right side.
_Equation: TypeAlias = tuple[str, Decimal | int, Decimal | int]
#: What each identity says. Its check says the same.
BILLS_ADD_UP = (
    "deferred = imputed, charges = usage lines, adjustments = their lines + written off, lines = bills before tax, "
    "before tax − discount + tax = due, by the control totals"
)
DOCUMENTS_ADD_UP = (
    "lines on documents of corrections = these before tax, before tax − discount + tax = due, by the control totals"
)


def bills_add_up(charges: Charges, lines: PinnedTable, bills: PinnedTable, aside: Holders) -> Verdict:
    """Of the period of some bills: deferred = imputed; charges = usage lines; adjustments = their lines + written off; lines = bills.

    All tables are pinned to the period. Adjustments that await acceptance, or are refused, are in neither side; before a period was
    closed none are asked for. Lines are those on bills, and their amount is the bills' before tax.
    aside: see `left_aside`; what their lines and bills come to is taken off both sides.
    """
    warehouse, period = bills.warehouse, _period(bills)
    deferred = [
        each for each in totals_of(warehouse.pin_period(SUSPENDED_CDRS.name, period)) if each.outcome == DEFERRED
    ]
    imputed = totals_of(charges.imputed)
    on_bills = _amount(lines, ON_BILL) - _of(aside, lines, "amount", document=BILL)
    billed = {name: amount - _of(aside, bills, name) for name, amount in amounts_of(bills).items()}
    equations: list[_Equation] = [
        ("deferred = imputed", _records(deferred), _records(imputed)),
        ("sum of positions, deferred = imputed", _positions(deferred), _positions(imputed)),
        ("rated + imputed amount = exact amount of usage lines", charges.total(), _exact(lines, USAGE)),
        ("amount of lines on bills = amount before tax", on_bills, billed["amount_before_tax"]),
        _due_of(billed),
    ]
    if closed_lines(warehouse, period) is not None:
        rows = by_outcome(totals_of(warehouse.pin_period(ADJUSTMENTS.name, period))).items()
        settled = sum_exactly(money for (disposition, _), (_, money) in rows if disposition not in UNSETTLED)
        written_off = sum_exactly(money for (disposition, _), (_, money) in rows if disposition == WRITTEN_OFF)
        lined = _exact(lines, ADJUSTMENT) + written_off
        equations.append(("adjustments = exact amount of adjustment lines + written off", settled, lined))
    return _holding(without_them(BILLS_ADD_UP, aside), period, equations)


def documents_add_up(lines: PinnedTable, documents: PinnedTable) -> Verdict:
    """Of the period of some documents of corrections: the lines on documents of their own = their amount before tax; and their due.

    Both tables are pinned to the period.
    """
    sums, lined = amounts_of(documents), _amount(lines, OF_ITS_OWN)
    rule = "amount of lines on documents of their own = amount before tax"
    return _holding(DOCUMENTS_ADD_UP, _period(documents), [(rule, lined, sums["amount_before_tax"]), _due_of(sums)])


def _of(holders: Holders, table: PinnedTable, name: str, document: str | None = None) -> Decimal:
    """What a column comes to in the rows of some holders, of one document where it is named. Without holders no row is read."""
    if not holders:
        return Decimal(0)
    rows = table.df if document is None else table.df.where(F.col("document") == document)
    of_them = rows.where(is_not_corrected(holders)).agg(F.sum(name).alias(name))
    return of_them.toArrow().to_pylist()[0][name] or Decimal(0)


def _due_of(sums: Mapping[str, Decimal]) -> _Equation:
    rule = "amount before tax − discount + tax = amount due"
    return rule, sums["amount_before_tax"] - sums["discount"] + sums["tax"], sums["amount_due"]


def _holding(identity: str, period: str, equations: Sequence[_Equation]) -> Verdict:
    left, right = ({f"{period}: {rule}": sides[side] for rule, *sides in equations} for side in (0, 1))
    return totals_agree(identity, left, right, ("left side", "right side"))


def _amount(lines: PinnedTable, placed: str) -> Decimal:
    """What the lines on bills, or on documents of their own, come to, rounded as they are."""
    found = by_outcome(totals_of(lines)).items()
    amount = sum_exactly(money for (name, where), (_, money) in found if name == "amount" and where.endswith(placed))
    scale: int = lines.contract.column("amount").arrow_type.scale
    return round(amount, scale)


def _exact(lines: PinnedTable, kind: str) -> Decimal:
    found = by_outcome(totals_of(lines)).items()
    return sum_exactly(
        money for (name, where), (_, money) in found if name == "exact_amount" and where.startswith(kind)
    )


def _records(totals: Iterable[Total]) -> int:
    return sum(each.records for each in totals)


def _positions(totals: Iterable[Total]) -> int:
    return sum(int(each.positions or 0) for each in totals)


def _period(pinned: PinnedTable) -> str:
    assert pinned.partitions is not None
    return str(pinned.partitions.first)
