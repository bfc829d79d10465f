"""Months that close, in memory: bills, adjustments, write-offs and manual lines by the rules alone.

Belongs here: the rules of closed periods, written apart from the project, by line and not by row. What an event costs is the
oracle's answer (`telecom_assets_tests.oracle`). Does not belong here: random steps (`machine`).

A line is told from another by `Key`. What is settled of a closed month is the sum of its own lines, of all adjustment lines about
it in closed months, and of what was written off. What is right is what the month would cost now, with the terms it was closed with.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Literal

from telecom_assets_tests import oracle
from telecom_assets_tests.closed_periods.system import (
    BILL,
    Document,
    Holder,
    House,
    Price,
    Refused,
    Service,
    Usage,
    Version,
)
from telecom_assets_tests.oracle import Row

#: Records of one id that are at most so many days apart are copies of one record.
DEDUPE_DAYS = 31
PRODUCTS: dict[Service, str] = {"sms": "SMS_NAT", "data": "DATA_BASIC"}
ZERO = Decimal(0)

Amounts = Mapping["Key", Decimal]


# -------------------------------------------------------------------------------------------------------------- values


@dataclass(frozen=True, order=True)
class Key:
    """What tells a line of a bill from another one."""

    service: str
    plan: str
    region: str
    tax_pct: Decimal
    discount_pct: Decimal


@dataclass(frozen=True)
class Line:
    """A line of a document of `holder`. about: the month whose usage it charges, corrects or refers to.

    document: "bill", also of adjustments that leave it, or that of a manual line which has its own.
    """

    holder: Holder
    about: str
    kind: Literal["usage", "adjustment", "manual"]
    key: Key
    exact: Decimal
    amount: Decimal
    document: str = BILL


@dataclass(frozen=True)
class Total:
    """What lines of one tax rate come to: `base` is after discount."""

    base: Decimal = ZERO
    tax: Decimal = ZERO

    @property
    def due(self) -> Decimal:
        return self.base + self.tax


@dataclass(frozen=True)
class Correction:
    """The adjustment lines of a holder about one closed month, and what they add to that month at each tax rate."""

    lines: tuple[Line, ...]
    by_rate: Mapping[Decimal, Total]

    @property
    def due(self) -> Decimal:
        return sum((each.due for each in self.by_rate.values()), ZERO)


@dataclass(frozen=True)
class Made:
    """What a run has made of a month. closes: how many months were closed then; documents: amounts due."""

    lines: tuple[Line, ...] = ()
    written_off: Mapping[tuple[str, Holder], Amounts] = field(default_factory=dict)
    documents: Mapping[Document, Decimal] = field(default_factory=dict)
    closes: int = 0


@dataclass
class Month:
    state: Literal["open", "approved", "closed"] = "open"
    made: Made | None = None


def half_up(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def month_of(day: date) -> str:
    return day.isoformat()[:7]


def month_after(month: str) -> str:
    return month_of(date.fromisoformat(f"{month}-28") + timedelta(days=4))


def totals(lines: Iterable[Line], decimals: int) -> dict[Decimal, Total]:
    """By tax rate: one discount for each group of lines with equal terms, one tax for the rate."""
    groups: defaultdict[tuple[Decimal, Decimal], Decimal] = defaultdict(Decimal)
    for line in lines:
        groups[line.key.tax_pct, line.key.discount_pct] += line.amount
    bases: defaultdict[Decimal, Decimal] = defaultdict(Decimal)
    for (tax_pct, discount_pct), amount in groups.items():
        bases[tax_pct] += amount - half_up(amount * discount_pct / 100, decimals)
    return {tax_pct: Total(base, half_up(base * tax_pct / 100, decimals)) for tax_pct, base in bases.items()}


def due(lines: Iterable[Line], decimals: int) -> Decimal:
    return sum((each.due for each in totals(lines, decimals).values()), ZERO)


def kept_copies(records: Iterable[Usage]) -> list[Usage]:
    """The records that no earlier one of their id, on a day near by, makes copies."""
    by_id: defaultdict[str, list[Usage]] = defaultdict(list)
    for record in records:
        by_id[record.record_id].append(record)
    return [
        record
        for copies in by_id.values()
        for record in copies
        if not any(
            other.received < record.received and abs((other.day - record.day).days) <= DEDUPE_DAYS for other in copies
        )
    ]


def cleaned_row(usage: Usage) -> Row:
    """The row of cleaned_cdrs of a kept record."""
    return {
        "record_id": usage.record_id,
        "subscriber_id": usage.customer_id,
        "record_type": usage.service,
        "event_ts": datetime.combine(usage.day, time(12), UTC),
        "duration_sec": None,
        "data_volume_mb": usage.megabytes,
        "session_duration_sec": None,
        "product_code": PRODUCTS[usage.service],
        "rating_status": "needs_review" if usage.service == "data" and usage.megabytes is None else "ready",
        "received_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=usage.received),
        "source_id": "topic-1",
        "source_part": 0,
        "source_position": usage.received,
        "event_date": usage.day,
    }


def customer_rows(customer_id: str, versions: Iterable[Version]) -> list[Row]:
    """Rows of customers."""
    return [
        {
            "customer_id": customer_id,
            "customer_name": customer_id,
            "subscription_type": "postpaid" if each.postpaid else "prepaid",
            "rate_plan_id": each.plan,
            "activation_date": date(2020, 1, 1),
            "status": "active",
            "region": each.region,
            "holder_no": each.holder_no,
            "valid_from": each.valid_from,
            "valid_to": each.valid_to,
        }
        for each in versions
    ]


def price_rows(plan: str, service: Service, prices: Iterable[Price]) -> list[Row]:
    """Rows of rate_plans."""
    return [
        {
            "rate_plan_id": plan,
            "product_code": PRODUCTS[service],
            "service_type": service,
            "unit_price": each.unit_price,
            "free_units": ZERO,
            "tier_threshold": None,
            "tier_price": None,
            "valid_from": each.valid_from,
            "valid_to": each.valid_to,
        }
        for each in prices
    ]


@cache
def last_day(month: str) -> date:
    return date.fromisoformat(f"{month_after(month)}-01") - timedelta(days=1)


# --------------------------------------------------------------------------------------------------------------- model


class Model:
    """A `System` in memory."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.records: list[Usage] = []
        self.customers: dict[str, Sequence[Version]] = {}
        self.prices: dict[tuple[str, Service], Sequence[Price]] = {}
        self.manual_lines: list[tuple[str, Line]] = []
        self.months: defaultdict[str, Month] = defaultdict(Month)

    # ------------------------------------------------------------------------------------------------------------ steps

    def receive(self, usage: Usage) -> None:
        self.records.append(usage)

    def set_customer(self, customer_id: str, versions: Sequence[Version]) -> None:
        self.customers[customer_id] = versions

    def set_price(self, plan: str, service: Service, prices: Sequence[Price]) -> None:
        self.prices[plan, service] = prices

    def run(self, month: str, *, anew: bool = False) -> None:
        if self.months[month].state != "open":
            raise Refused(f"{month} is {self.months[month].state}")
        self.months[month].made = self.make(month)

    def approve(self, month: str) -> None:
        found = self.months[month]
        if found.state != "open" or found.made is None:
            raise Refused(f"{month} has no drafts, or they are frozen")
        if found.made.closes < len(self.closed):
            raise Refused(f"the drafts of {month} are older than the last close")
        if before := [
            name for name, each in self.months.items() if name < month and each.made and each.state != "closed"
        ]:
            raise Refused(f"{min(before)} has drafts, and is not closed")
        if self.breaches():
            raise Refused("a holder was given more back than he was charged")
        found.state = "approved"

    def withdraw(self, month: str) -> None:
        if self.months[month].state != "approved":
            raise Refused(f"{month} is not approved")
        self.months[month].state = "open"

    def close(self, month: str) -> None:
        if self.months[month].state != "approved":
            raise Refused(f"{month} is not approved")
        self.months[month].state = "closed"

    def close_empty(self, month: str) -> None:
        if self.months[month].state != "open" or any(period == month for period, _ in self.manual_lines):
            raise Refused(f"{month} is frozen, or has lines that would be lost")
        self.months[month] = Month("closed", Made())

    def add_line(
        self, holder: Holder, month: str, amount: Decimal, tax_pct: Decimal, *, own_document: bool = False
    ) -> None:
        period = self.correcting
        if period is None or self.months[period].state != "open" or self.months[month].state != "closed":
            raise Refused("there is no open month after closed ones, or the month is not closed")
        document = f"manual-{len(self.manual_lines) + 1}" if own_document else BILL
        line = Line(holder, month, "manual", Key("", "", "", tax_pct, ZERO), amount, amount, document)
        if amount < 0 and self._charged([*self._lines_now(), line])[holder, month, tax_pct] < 0:
            raise Refused("more would be given back than was charged")
        self.manual_lines.append((period, line))

    # -------------------------------------------------------------------------------------------------------- questions

    def documents(self) -> dict[Document, Decimal]:
        return {
            document: amount
            for each in self.months.values()
            if each.made
            for document, amount in each.made.documents.items()
            if amount
        }

    def totals(self) -> dict[Holder, Decimal]:
        """What is due of each holder, over all his documents."""
        found: defaultdict[Holder, Decimal] = defaultdict(Decimal)
        for (holder, _, _), amount in self.documents().items():
            found[holder] += amount
        return {holder: amount for holder, amount in found.items() if amount}

    def settled(self, month: str) -> dict[Holder, Decimal]:
        found: defaultdict[Holder, Decimal] = defaultdict(Decimal)
        for (holder, _), exact in self.settled_by_key(month, list(self.months)).items():
            found[holder] += exact
        return {holder: exact for holder, exact in found.items() if exact}

    @property
    def closed(self) -> list[str]:
        return sorted(name for name, each in self.months.items() if each.state == "closed")

    @property
    def correcting(self) -> str | None:
        """The one period that adjustments are made in: the oldest one after every closed month."""
        return month_after(self.closed[-1]) if self.closed else None

    def breaches(self) -> set[tuple[Holder, str, Decimal]]:
        """Where a holder was given back more of a month, at one tax rate, than he was charged for it."""
        return {of for of, amount in self._charged(self._lines_now()).items() if amount < 0}

    def right(self, month: str) -> dict[tuple[Holder, Key], Decimal]:
        """What a month costs, by holder and line, exact, as records, customers and prices are known now."""
        cleaned = [cleaned_row(each) for each in kept_copies(self.records) if month_of(each.day) == month]
        customers = [row for number, versions in self.customers.items() for row in customer_rows(number, versions)]
        prices = [row for (plan, service), own in self.prices.items() for row in price_rows(plan, service, own)]
        rated, suspended = oracle.rate(cleaned, customers, prices, oracle.Parameters())
        charges = [*rated, *oracle.impute(suspended, cleaned, customers, prices)]
        terms = self.house.of(month)
        found: defaultdict[tuple[Holder, Key], Decimal] = defaultdict(Decimal)
        for row in charges:
            key = Key(row["record_type"], row["rate_plan_id"], row["region"], terms.tax_pct, terms.discount_pct)
            found[(row["customer_id"], row["holder_no"]), key] += row["amount"]
        return dict(found)

    # ------------------------------------------------------------------------------------------------------------ rules

    def make(self, month: str) -> Made:
        """What a run would make of an open month now."""
        own = [
            Line(holder, month, "usage", key, exact, half_up(exact, self.house.decimals))
            for (holder, key), exact in self.right(month).items()
        ]
        own += [line for period, line in self.manual_lines if period == month]
        corrections: dict[tuple[str, Holder], Correction] = {}
        written_off: dict[tuple[str, Holder], Amounts] = {}
        for original in self.closed if month == self.correcting else ():
            for holder, differences in self._differences(original).items():
                correction, left = self._judge(original, holder, differences)
                if correction is not None:
                    corrections[original, holder] = correction
                written_off[original, holder] = left
        lines = (*own, *(line for each in corrections.values() for line in each.lines))
        return Made(lines, written_off, self._documents(month, own, corrections), len(self.closed))

    def settled_by_key(self, month: str, periods: Sequence[str]) -> dict[tuple[Holder, Key], Decimal]:
        """What is settled of a month by lines of these periods, and by what they wrote off."""
        found: defaultdict[tuple[Holder, Key], Decimal] = defaultdict(Decimal)
        for made in self._made(periods):
            for line in made.lines:
                if line.about == month and line.kind != "manual":
                    found[line.holder, line.key] += line.exact
            for (original, holder), amounts in made.written_off.items():
                for key, exact in amounts.items() if original == month else ():
                    found[holder, key] += exact
        return dict(found)

    def remains(self, month: str, holder: Holder) -> list[Line]:
        """What remains of a closed month's bill: its own lines, and all adjustment lines about it in closed months."""
        [own] = self._made([month])
        return [
            *(
                line
                for line in own.lines
                if (line.holder, line.document) == (holder, BILL) and line.kind != "adjustment"
            ),
            *(
                line
                for made in self._made(self.closed)
                for line in made.lines
                if (line.holder, line.about, line.kind) == (holder, month, "adjustment")
            ),
        ]

    def _made(self, periods: Sequence[str]) -> list[Made]:
        return [each.made for name, each in self.months.items() if name in periods and each.made]

    def _differences(self, original: str) -> dict[Holder, dict[Key, Decimal]]:
        """Where what is right of a closed month is not what is settled."""
        right, settled = self.right(original), self.settled_by_key(original, self.closed)
        found: defaultdict[Holder, dict[Key, Decimal]] = defaultdict(dict)
        for holder, key in sorted(right.keys() | settled.keys()):
            difference = right.get((holder, key), ZERO) - settled.get((holder, key), ZERO)
            if difference:
                found[holder][key] = difference
        return found

    def _judge(
        self, original: str, holder: Holder, differences: Mapping[Key, Decimal]
    ) -> tuple[Correction | None, Amounts]:
        """The correction that goes on a document, if any, and what is written off with it: all of before is judged anew."""
        before = self._written_off(original, holder)
        exact = {key: differences.get(key, ZERO) + before.get(key, ZERO) for key in differences.keys() | before.keys()}
        correction = self._correction(original, holder, exact)
        if 0 < correction.due < self.house.threshold:
            return None, differences
        return correction, {key: -amount for key, amount in before.items()}

    def _written_off(self, original: str, holder: Holder) -> dict[Key, Decimal]:
        found: defaultdict[Key, Decimal] = defaultdict(Decimal)
        for made in self._made(self.closed):
            for key, exact in made.written_off.get((original, holder), {}).items():
                found[key] += exact
        return {key: exact for key, exact in found.items() if exact}

    def _correction(self, original: str, holder: Holder, exact: Mapping[Key, Decimal]) -> Correction:
        """Lines of so much: each brings the sum of its key to what the exact sum rounds to."""
        before, decimals = self.remains(original, holder), self.house.decimals
        lines = []
        for key in sorted(exact):
            of_key = [line for line in before if line.key == key and line.kind != "manual"]
            so_far = sum((line.exact for line in of_key), exact[key])
            amount = half_up(so_far, decimals) - sum((line.amount for line in of_key), ZERO)
            lines.append(Line(holder, original, "adjustment", key, exact[key], amount))
        was, now = totals(before, decimals), totals([*before, *lines], decimals)
        by_rate = {
            rate: Total(total.base - was.get(rate, Total()).base, total.tax - was.get(rate, Total()).tax)
            for rate, total in now.items()
        }
        return Correction(tuple(lines), by_rate)

    def _documents(
        self, month: str, own: Sequence[Line], corrections: Mapping[tuple[str, Holder], Correction]
    ) -> dict[Document, Decimal]:
        """Amounts due of the month's documents by holder and name."""
        alone = [line for line in own if line.document != BILL]
        found = {(line.holder, month, line.document): due([line], self.house.decimals) for line in alone}
        on_bill = [line for line in own if line.document == BILL]
        for holder in {line.holder for line in on_bill} | {holder for _, holder in corrections}:
            of_holder = [line for line in on_bill if line.holder == holder]
            parts = {original: each for (original, who), each in corrections.items() if who == holder}
            apart = self._apart(of_holder, parts, on_invoice=self._is_invoiced(holder, month, of_holder))
            stay = sum((each.due for original, each in parts.items() if original not in apart), ZERO)
            found[holder, month, BILL] = due(of_holder, self.house.decimals) + stay
            found |= {(holder, month, original): parts[original].due for original in apart}
        return found

    def _is_invoiced(self, holder: Holder, month: str, own: Sequence[Line]) -> bool:
        """Whether a holder's adjustments go on his bill of the month: he has one without them, and nobody wants them apart.

        One has a bill who has own lines, or was an active postpaid customer on some day of the month.
        """
        first, last = date.fromisoformat(f"{month}-01"), last_day(month)
        subscribed = any(
            (each.holder_no, each.postpaid) == (holder[1], True)
            and (each.valid_from or first) <= last
            and (each.valid_to is None or each.valid_to > first)
            for each in self.customers.get(holder[0], ())
        )
        return not self.house.separate and (subscribed or bool(own))

    def _apart(self, own: Sequence[Line], parts: Mapping[str, Correction], *, on_invoice: bool) -> set[str]:
        """The original periods that have documents of their own: all, or those that would bring the bill below zero."""
        apart = set() if on_invoice else set(parts)
        while leaving := self._leaving(own, {name: each for name, each in parts.items() if name not in apart}):
            apart |= leaving
        return apart

    def _leaving(self, own: Sequence[Line], staying: Mapping[str, Correction]) -> set[str]:
        """The original periods that leave a bill together: first because of its amount due, then because of a rate's base."""
        bases = defaultdict(Decimal, {rate: each.base for rate, each in totals(own, self.house.decimals).items()})
        for each in staying.values():
            for rate, total in each.by_rate.items():
                bases[rate] += total.base
        owed = sum((each.due for each in staying.values()), due(own, self.house.decimals))
        given_back = {original for original, each in staying.items() if each.due < 0}
        if owed < 0 and given_back:
            return given_back
        return {
            original
            for original, each in staying.items()
            if any(bases[rate] < 0 and total.base < 0 for rate, total in each.by_rate.items())
        }

    def _lines_now(self) -> list[Line]:
        """All lines: those that were made, and manual ones that no run has seen yet."""
        made = [line for each in self._made(list(self.months)) for line in each.lines if line.kind != "manual"]
        return [*made, *(line for _, line in self.manual_lines)]

    def _charged(self, lines: Iterable[Line]) -> dict[tuple[Holder, str, Decimal], Decimal]:
        """Amounts by holder, month that they are about, and tax rate."""
        found: defaultdict[tuple[Holder, str, Decimal], Decimal] = defaultdict(Decimal)
        for line in lines:
            found[line.holder, line.about, line.key.tax_pct] += line.amount
        return found
