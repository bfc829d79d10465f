"""The entries of a close journal: what a period comes to, debits and credits. Pure.

Belongs here: which entries there are, on which side and in which account, and their rounding to the currency's smallest unit. Does not
belong here: the sums that they are made of (`close_journal`).

The ledger is what documents say. Revenue and corrections are what was rated, to the smallest unit; what rounding each line once has
added or taken away is an entry of its own. Amounts that no document asks for are no revenue and no receivable: they stand in two
sections outside of the ledger, what happened in the period (`memorandum`) and what stands at its end (`balance`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from telecom_assets.accounting.accounts import Accounts
from telecom_assets.billing.tables import ADJUSTMENT, MANUAL, USAGE
from telecom_assets.corrections.tables import AWAITING, REFUSED, WRITTEN_OFF
from telecom_assets.model.text import percentage

Section = Literal["ledger", "memorandum", "balance"]
_NOTHING = Decimal(0)


@dataclass(frozen=True)
class Lines:
    """Lines of a period's documents together: kind as in bill_lines; service of usage, original_period of others."""

    kind: str
    service: str | None
    original_period: str | None
    events: int
    exact_amount: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Outside:
    """Amounts that no document asks for. name: a disposition of adjustments, or unbilled_open, unbilled_suspended.

    detail: why usage is suspended. original_period: the period whose usage it is.
    """

    name: str
    original_period: str
    events: int
    exact_amount: Decimal
    detail: str | None = None


@dataclass(frozen=True)
class Sums:
    """What the entries of a period are made of, of all its documents.

    discounts: by the original period of corrections; None: of own lines. taxes: by (tax_category, tax_pct). due: amount due by kind of
    document. outside: what happened in the period. balances: what stands at its end. billed_otherwise: what bills of a former version
    ask for beside their lines, before discount and tax.
    """

    lines: Sequence[Lines] = ()
    discounts: dict[str | None, Decimal] = field(default_factory=dict)
    taxes: dict[tuple[str, Decimal], Decimal] = field(default_factory=dict)
    due: dict[str, Decimal] = field(default_factory=dict)
    outside: Sequence[Outside] = ()
    balances: Sequence[Outside] = ()
    billed_otherwise: Decimal = _NOTHING


@dataclass(frozen=True)
class Entry:
    """A row of the close journal; debit and credit in the currency's decimals, one of them 0, none below 0.

    detail: the kind of document, service, tax rate or reason. exact_amount, events: what an entry adds up, where it is usage.
    """

    section: Section
    entry: str
    detail: str | None
    original_period: str | None
    account: str
    events: int | None
    exact_amount: Decimal | None
    debit: Decimal
    credit: Decimal


def close_entries(sums: Sums, accounts: Accounts, scale: int) -> list[Entry]:
    """The entries of a period: the ledger, then what is outside of it. Entries of nothing are left out.

    Raises AccountsError for an entry without an account.
    """
    smallest = Decimal(1).scaleb(-scale)
    return [
        *_with_sides(_ledger(sums, accounts, smallest)),
        *_memorandum("memorandum", sums.outside, accounts, smallest),
        *_memorandum("balance", sums.balances, accounts, smallest),
    ]


def balance(entries: Iterable[Entry], section: Section) -> tuple[Decimal, Decimal]:
    """Debits and credits of a section."""
    rows = [each for each in entries if each.section == section]
    return sum((each.debit for each in rows), _NOTHING), sum((each.credit for each in rows), _NOTHING)


@dataclass(frozen=True)
class _Signed:
    """An entry before it has sides: above 0 a debit."""

    section: Section
    entry: str
    account: str
    debit: Decimal
    detail: str | None = None
    original_period: str | None = None
    events: int | None = None
    exact_amount: Decimal | None = None


def _ledger(sums: Sums, accounts: Accounts, smallest: Decimal) -> Iterator[_Signed]:
    for kind, due in sorted(sums.due.items()):
        yield _Signed("ledger", "receivables", accounts.receivables, due, kind)
    for period, discount in sorted(sums.discounts.items(), key=lambda each: each[0] or ""):
        if discount:
            yield _Signed("ledger", "discounts", accounts.discounts, discount, original_period=period)
    rounding = _NOTHING
    for line in sorted(sums.lines, key=_place):
        rated = _rounded(line.exact_amount, smallest)
        rounding += line.amount - rated
        entry, account = _of_line(line, accounts)
        stands_for = (line.service, line.original_period, line.events, line.exact_amount)
        yield _Signed("ledger", entry, account, -rated, *stands_for)
    yield _Signed("ledger", "rounding", accounts.rounding, -rounding)
    yield _Signed("ledger", "billed_otherwise", accounts.rounding, -sums.billed_otherwise)
    for (category, pct), tax in sorted(sums.taxes.items()):
        if tax:
            yield _Signed("ledger", "vat", accounts.of_tax(category, pct), -tax, f"{category} {percentage(pct)} %")


def _place(line: Lines) -> tuple[int, str, str]:
    return (USAGE, ADJUSTMENT, MANUAL).index(line.kind), line.service or "", line.original_period or ""


def _of_line(line: Lines, accounts: Accounts) -> tuple[str, str]:
    """Entry and account of lines."""
    if line.kind == USAGE:
        return "revenue", accounts.of_service(line.service or "")
    return ("adjustments", accounts.adjustments) if line.kind == ADJUSTMENT else ("manual", accounts.manual)


def _memorandum(section: Section, outside: Iterable[Outside], accounts: Accounts, smallest: Decimal) -> Iterator[Entry]:
    """Entries outside of the ledger, and the other side of all of them."""
    of = accounts.memorandum
    account = {
        WRITTEN_OFF: of.write_offs,
        AWAITING: of.awaiting_acceptance,
        REFUSED: of.refused,
        "unbilled_open": of.unbilled_open,
        "unbilled_suspended": of.unbilled_suspended,
    }
    made = [
        _Signed(
            section,
            each.name,
            account[each.name],
            _rounded(each.exact_amount, smallest),
            each.detail,
            each.original_period,
            each.events,
            each.exact_amount,
        )
        for each in sorted(
            outside, key=lambda each: (list(account).index(each.name), each.original_period, each.detail or "")
        )
    ]
    contra = -sum((each.debit for each in made), _NOTHING)
    yield from _with_sides([*made, _Signed(section, "contra", of.contra, contra)])


def _with_sides(entries: Iterable[_Signed]) -> Iterator[Entry]:
    for each in entries:
        if each.debit or each.exact_amount or each.events:
            nothing = abs(each.debit) * 0
            yield Entry(
                each.section,
                each.entry,
                each.detail,
                each.original_period,
                each.account,
                each.events,
                each.exact_amount,
                each.debit if each.debit > 0 else nothing,
                -each.debit if each.debit < 0 else nothing,
            )


def _rounded(exact: Decimal, smallest: Decimal) -> Decimal:
    return exact.quantize(smallest, rounding=ROUND_HALF_UP)
