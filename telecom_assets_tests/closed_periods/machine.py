"""Random steps on months that close, on the model and on a system beside it.

Belongs here: which steps are tried, and what holds after each. Does not belong here: what a step does (`model`, and the system).

Most steps are on the oldest open month, the one that gets the adjustments; the one after it is drafted now and then. Where the model
refuses a step, the system has to as well. Figures are small, so that roundings, write-offs and bills below zero come often.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from operator import methodcaller
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from telecom_assets_tests.closed_periods.model import Key, Line, Model, due, half_up, month_after
from telecom_assets_tests.closed_periods.system import (
    Document,
    Holder,
    House,
    MonthTerms,
    Price,
    Refused,
    Service,
    System,
    Usage,
    Version,
)

FIRST_MONTH = "2026-01"
#: An engine takes as long for one customer as for some: each step concerns several.
CUSTOMERS = tuple(f"21260000000{number}" for number in range(1, 7))
PLANS = ("PLAN_A", "PLAN_B")
SERVICES: tuple[Service, ...] = ("sms", "data")
Named = TypeVar("Named")
Step = Callable[[System], None]
#: Months back, day, customer, service, megabytes: of records.
Arrivals = list[tuple[int, int, str, Service, Decimal | None]]

_of_month = st.sampled_from([1, 10, 20, 28])
_months_back = st.sampled_from([0, 0, 1, 1, 2, 3])
_volumes = st.sampled_from([None, None, "0.25", "0.5", "1", "1.333333", "4"]).map(lambda it: it and Decimal(it))
_prices = st.sampled_from(["0.004", "0.05", "0.33", "0.333333", "1", "1.2345"]).map(Decimal)
_arrivals = st.tuples(_months_back, _of_month, st.sampled_from(CUSTOMERS), st.sampled_from(SERVICES), _volumes)
_houses = st.builds(
    House,
    terms=st.fixed_dictionaries(
        {
            "2026-01": st.sampled_from([MonthTerms(), MonthTerms(Decimal(5))]),
            "2026-02": st.sampled_from([MonthTerms(), MonthTerms(Decimal("2.4375"), Decimal(10))]),
        }
    ),
    decimals=st.sampled_from([2, 2, 0, 3]),
    threshold=st.sampled_from(["0", "0.5", "2"]).map(Decimal),
    separate=st.booleans(),
)


@st.composite
def histories(draw: st.DrawFn, changes: st.SearchStrategy[date]) -> tuple[Version, ...]:
    """How a customer was: one version, or two with a change of plan, region, holder or payment, or a gap, between them."""
    plan = draw(st.sampled_from(PLANS))
    first, then = sorted([draw(changes), draw(changes)])
    before, after = Version(plan, valid_to=first), Version(plan, valid_from=first)
    of_change = {
        "plan": replace(after, plan=PLANS[1 - PLANS.index(plan)]),
        "region": replace(after, region="R2"),
        "holder": replace(after, holder_no=2),
        "gap": Version(plan, valid_from=then, holder_no=1 + (first < then)),
        "prepaid": replace(after, postpaid=False),
    }
    histories = [
        (Version(plan),),
        (before,),
        (after,),
        (replace(before, postpaid=False), after),
        *((before, change) for change in of_change.values()),
    ]
    return draw(st.sampled_from(histories))


class ClosedPeriods(RuleBasedStateMachine):
    """The steps. `beside` makes the system that is compared with the model; without it the model is tried by itself."""

    beside: Callable[[House], System] | None = None

    @initialize(house=_houses, arrivals=st.lists(_arrivals, min_size=8, max_size=20))
    def begin(self, house: House, arrivals: Arrivals) -> None:
        """Customers and prices without dates, and records of the first month, which is closed."""
        self.model = Model(house)
        self.systems: list[System] = [self.model]
        if self.beside is not None:
            self.systems.append(self.beside(house))
        self.frozen: dict[Document, Decimal] = {}
        for customer in CUSTOMERS:
            self._set_customer(customer, [Version()])
        for plan, price in zip(PLANS, ("0.33", "0.5"), strict=True):
            for service in SERVICES:
                self._set_price(plan, service, [Price(Decimal(price))])
        self.receive(arrivals)
        self.close()

    # ------------------------------------------------------------------------------------------- what comes from outside

    @rule(arrivals=st.lists(_arrivals, min_size=4, max_size=20))
    def receive(self, arrivals: Arrivals) -> None:
        """Records of the open month, and late ones."""
        for back, day, customer, service, volume in arrivals:
            number = len(self.model.records)
            megabytes = volume if service == "data" else None
            usage = Usage(f"record-{number}", customer, self._day(back, day), service, number, megabytes)
            self._receive(usage)

    @precondition(lambda self: self.model.records)
    @rule(
        which=st.integers(0),
        earlier=st.booleans(),
        back=st.one_of(st.none(), _months_back),
        day=_of_month,
        customer=st.sampled_from([None, *CUSTOMERS]),
        volume=st.one_of(st.none(), _volumes),
    )
    def receive_copy(
        self, which: int, earlier: bool, back: int | None, day: int, customer: str | None, volume: Decimal | None
    ) -> None:
        """A copy of a record, with the same or other content, that was received after all others, or before them."""
        records = self.model.records
        first = records[which % len(records)]
        number = len(records)
        copy = replace(
            first,
            received=-number if earlier else number,
            day=first.day if back is None else self._day(back, day),
            customer_id=customer or first.customer_id,
            megabytes=first.megabytes if volume is None or first.service == "sms" else volume,
        )
        self._receive(copy)

    @rule(data=st.data(), customers=st.sets(st.sampled_from(CUSTOMERS), min_size=1, max_size=3))
    def correct_customers(self, data: st.DataObject, customers: set[str]) -> None:
        for customer in sorted(customers):
            self._set_customer(customer, data.draw(histories(st.builds(self._day, _months_back, _of_month))))

    @rule(
        plan=st.sampled_from(PLANS),
        service=st.sampled_from(SERVICES),
        first=_prices,
        then=_prices,
        back=_months_back,
        day=_of_month,
    )
    def correct_price(self, plan: str, service: Service, first: Decimal, then: Decimal, back: int, day: int) -> None:
        change = self._day(back, day)
        self._set_price(plan, service, [Price(first, valid_to=change), Price(then, valid_from=change)])

    # ----------------------------------------------------------------------------------------------------------- periods

    @rule(again=st.sampled_from([False, False, False, True]))
    def run(self, again: bool) -> None:
        """Drafts of the month with the adjustments; then the books balance, and the same again gives the same."""
        if self._all(lambda system: system.run(self.period)):
            self._assert_balance()
            if again:
                before = [system.documents() for system in self.systems]
                self._all(lambda system: system.run(self.period, anew=True))
                assert [system.documents() for system in self.systems] == before

    @rule()
    def run_next_month(self) -> None:
        self._all(lambda system: system.run(month_after(self.period)))

    @rule()
    def approve(self) -> None:
        if self._all(lambda system: system.run(self.period)):
            self._assert_balance()
            self._all(lambda system: system.approve(self.period))

    @precondition(lambda self: self._state == "approved")
    @rule()
    def withdraw(self) -> None:
        self._all(lambda system: system.withdraw(self.period))

    @rule()
    def close(self) -> None:
        """What is approved is out; what is open is approved before."""
        period = self.period
        if self._state == "open":
            self.approve()
        if self._state == "approved":
            self._all(lambda system: system.close(period))
        self.frozen = {
            document: amount for document, amount in self.model.documents().items() if document[1] < self.period
        }

    @rule()
    def close_what_is_not_approved(self) -> None:
        """A month after the one that is due, or a closed one again."""
        for month in (month_after(self.period), *self.model.closed):
            assert_refused(methodcaller("close", month), self.systems)
        for month in self.model.closed:
            assert_refused(methodcaller("run", month), self.systems)
            assert_refused(methodcaller("withdraw", month), self.systems)

    @precondition(lambda self: self._state == "open" and len(self.model.closed) < 2)
    @rule()
    def close_empty(self) -> None:
        period = self.period
        self._all(lambda system: system.close_empty(period))

    @precondition(lambda self: self.model.closed)
    @rule(
        customer=st.sampled_from(CUSTOMERS),
        holder_no=st.sampled_from([1, 1, 1, 2]),
        back=st.integers(0),
        amount=st.sampled_from(["-5", "-1", "-0.33", "-0.05", "0.33", "2"]).map(Decimal),
        tax_pct=st.sampled_from([20, 20, 10]).map(Decimal),
        apart=st.sampled_from([False, False, True]),
    )
    def add_line(
        self, customer: str, holder_no: int, back: int, amount: Decimal, tax_pct: Decimal, *, apart: bool
    ) -> None:
        """An amount about a closed month that the holder has a bill of; one that the currency has, and is not 0."""
        closed, holder = self.model.closed, (customer, holder_no)
        month = closed[-1 - back % len(closed)]
        amount = half_up(amount, self.model.house.decimals)
        made = self.model.months[month].made
        if amount and made and any((line.holder, line.kind) == (holder, "usage") for line in made.lines):
            self._all(lambda system: system.add_line(holder, month, amount, tax_pct, own_document=apart))

    # -------------------------------------------------------------------------------------------------------- what holds

    @invariant()
    def what_is_out_stays_as_it_is(self) -> None:
        for system in getattr(self, "systems", []):
            documents = system.documents()
            assert {document: documents.get(document) for document in self.frozen} == self.frozen

    @invariant()
    def the_system_is_as_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        for system in self.systems[1:]:
            assert by_holder(system.documents()) == by_holder(self.model.documents())
            assert without_zero(system.documents()) == without_zero(self.model.documents())
            for month in self.model.closed:
                assert without_zero(system.settled(month)) == self.model.settled(month), month

    @invariant()
    def nobody_gets_back_more_than_he_paid(self) -> None:
        """Without manual lines no document but a credit note is below zero, and nobody's total is."""
        if hasattr(self, "model") and not self.model.manual_lines:
            assert not self.model.breaches()
            assert all(amount >= 0 for (_, period, name), amount in self.model.documents().items() if name == "bill")
            if self._state == "open" and self._is_current:
                assert all(amount >= 0 for amount in self.model.totals().values())

    def _assert_balance(self) -> None:
        """What is right of each closed month is settled, and what a holder owes over all documents is what his months come to."""
        for month in self.model.closed:
            right: defaultdict[Holder, Decimal] = defaultdict(Decimal)
            for (holder, _), exact in self.model.right(month).items():
                right[holder] += exact
            for system in self.systems:
                assert without_zero(system.settled(month)) == without_zero(right), month
        assert self.model.totals() == without_zero(self._ideal_totals())

    def _ideal_totals(self) -> Mapping[Holder, Decimal]:
        """What is due of each holder if each closed month were billed once and for all, without what is written off."""
        decimals = self.model.house.decimals
        lines: dict[str, list[Line]] = {}
        for month, each in self.model.months.items():
            made = each.made.lines if each.made else ()
            own = [line for line in made if line.kind != "adjustment"]
            lines[month] = own
            if each.state == "closed":
                lines[month] = [line for line in own if line.kind == "manual"] + [
                    Line(holder, month, "usage", key, exact, half_up(exact, decimals))
                    for (holder, key), exact in self._charged(month).items()
                ]
        found: defaultdict[Holder, Decimal] = defaultdict(Decimal)
        for own in lines.values():
            for holder, document in {(line.holder, line.document) for line in own}:
                of_document = [line for line in own if (line.holder, line.document) == (holder, document)]
                found[holder] += due(of_document, decimals)
        return found

    def _charged(self, month: str) -> Mapping[tuple[Holder, Key], Decimal]:
        """What is right of a closed month, without what is written off of it."""
        found = defaultdict(Decimal, self.model.right(month))
        for each in self.model.months.values():
            for (original, holder), amounts in each.made.written_off.items() if each.made else ():
                for key, exact in amounts.items() if original == month else ():
                    found[holder, key] -= exact
        return found

    # ------------------------------------------------------------------------------------------------------------- words

    @property
    def period(self) -> str:
        """The month that is due: the first one, or the one that gets the adjustments."""
        return self.model.correcting or FIRST_MONTH

    @property
    def _state(self) -> str:
        return self.model.months[self.period].state

    @property
    def _is_current(self) -> bool:
        made = self.model.months[self.period].made
        return made is not None and made == self.model.make(self.period)

    def _day(self, back: int, day: int) -> date:
        """A day of the month that is due, or of one so many months before it; not before the first."""
        months = [FIRST_MONTH]
        while months[-1] < self.period:
            months.append(month_after(months[-1]))
        return date.fromisoformat(f"{months[max(0, len(months) - 1 - back)]}-{day:02}")

    def _receive(self, usage: Usage) -> None:
        self._all(lambda system: system.receive(usage))

    def _set_customer(self, customer_id: str, versions: Sequence[Version]) -> None:
        self._all(lambda system: system.set_customer(customer_id, versions))

    def _set_price(self, plan: str, service: Service, prices: Sequence[Price]) -> None:
        self._all(lambda system: system.set_price(plan, service, prices))

    def _all(self, step: Step) -> bool:
        """The step on the model and on the system; whether it was done. If the model refuses it, the system has to."""
        model, *others = self.systems
        try:
            step(model)
        except Refused:
            assert_refused(step, others)
            return False
        for system in others:
            step(system)
        return True


def assert_refused(step: Step, systems: Sequence[System]) -> None:
    for system in systems:
        try:
            step(system)
        except Refused:
            continue
        raise AssertionError(f"{type(system).__name__} does what the state of the period does not allow")


def without_zero(amounts: Mapping[Named, Decimal]) -> dict[Named, Decimal]:
    return {name: amount for name, amount in amounts.items() if amount}


def by_holder(documents: Mapping[Document, Decimal]) -> dict[Holder, Decimal]:
    """What is due of each holder over all documents."""
    found: defaultdict[Holder, Decimal] = defaultdict(Decimal)
    for (holder, _, _), amount in documents.items():
        found[holder] += amount
    return without_zero(found)
