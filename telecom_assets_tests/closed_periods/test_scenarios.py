"""Worked scenarios of months that close, on the model and on the project's tables: figures by hand.

Belongs here: what the rules of closed periods give for a few records. Random steps are in `test_machine`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from resources.engine import SparkEngine
from telecom_assets_tests.closed_periods.machine import by_holder
from telecom_assets_tests.closed_periods.model import Model
from telecom_assets_tests.closed_periods.project import Project
from telecom_assets_tests.closed_periods.system import Holder, House, MonthTerms, Price, Refused, System, Usage, Version

JANUARY, FEBRUARY, MARCH, APRIL = "2026-01", "2026-02", "2026-03", "2026-04"
NUMBER, OTHER = "212600000001", "212600000002"
C, D = (NUMBER, 1), (OTHER, 1)

Build = Callable[..., "Town"]


@pytest.fixture(params=["model", pytest.param("project", marks=pytest.mark.thorough)])
def build(request: pytest.FixtureRequest, sail: SparkEngine, tmp_path: Path) -> Build:
    """Makes a town (what a message costs in PLAN_A, and the house) on the model, and on the project's tables."""

    def make(sms: str = "1", house: House | None = None) -> Town:
        house = house or House({})
        return Town(Model(house) if request.param == "model" else Project(house, tmp_path / "warehouse", sail), sms)

    return make


@pytest.fixture
def modelled() -> Build:
    """The same on the model alone: roundings and states of the project have tests of their own."""
    return lambda sms="1", house=None: Town(Model(house or House({})), sms)


class Town:
    """A system with two customers, and words for what the tests do often."""

    def __init__(self, system: System, sms: str = "1") -> None:
        self.system = system
        self.records: list[Usage] = []
        self.run, self.approve, self.close = system.run, system.approve, system.close
        self.set_customer, self.set_price = system.set_customer, system.set_price
        self.set_customer(NUMBER, [Version()])
        self.set_customer(OTHER, [Version()])
        self.set_price("PLAN_A", "sms", [Price(Decimal(sms))])
        self.set_price("PLAN_B", "sms", [Price(Decimal("1.5"))])
        self.set_price("PLAN_A", "data", [Price(Decimal(1))])

    def receive(self, usage: Usage) -> None:
        self.records.append(usage)
        self.system.receive(usage)

    def totals(self) -> dict[Holder, Decimal]:
        return by_holder(self.system.documents())

    def sms(self, month: str, *days: int, customer: str = NUMBER) -> None:
        """One message on each of these days."""
        for day in days:
            number = len(self.records)
            self.receive(Usage(f"r{number}", customer, date.fromisoformat(f"{month}-{day:02}"), "sms", number))

    def session(self, month: str, megabytes: str | None) -> None:
        number = len(self.records)
        volume = None if megabytes is None else Decimal(megabytes)
        self.receive(Usage(f"r{number}", NUMBER, date.fromisoformat(f"{month}-10"), "data", number, volume))

    def prepaid_until(self, day: str) -> None:
        """The usage of before is withdrawn: it was not the customer's to pay."""
        change = date.fromisoformat(day)
        self.set_customer(NUMBER, [Version(postpaid=False, valid_to=change), Version(valid_from=change)])

    def out(self, month: str) -> dict[tuple[tuple[str, int], str], Decimal]:
        """The month is run, approved and closed: its documents' amounts due by holder and name."""
        self.run(month)
        self.approve(month)
        self.close(month)
        return {
            (holder, name): due
            for (holder, period, name), due in self.system.documents().items()
            if period == month and due
        }


def due(amount: str, document: str = "bill", holder: tuple[str, int] = C) -> dict[tuple[tuple[str, int], str], Decimal]:
    return {(holder, document): Decimal(amount)}


def test_a_withdrawal_in_three_parts_gives_back_exactly_the_bill(modelled: Build) -> None:
    """0.99 + 0.198 → 1.19. What remains: 0.66 + 0.132 → 0.79; 0.33 + 0.066 → 0.40; nothing."""
    town = modelled("0.33")
    town.sms(JANUARY, 5, 15, 25)
    assert town.out(JANUARY) == due("1.19")
    for until, month, back in (
        ("2026-01-10", FEBRUARY, "-0.40"),
        ("2026-01-20", MARCH, "-0.39"),
        ("2026-02-01", APRIL, "-0.40"),
    ):
        town.prepaid_until(until)
        assert town.out(month) == due(back, JANUARY)
    assert town.totals() == {}


def test_late_usage_has_the_terms_of_its_month(build: Build) -> None:
    """Three messages of January at 20 %, 1.19; a late one: 1.32 + 0.264 → 1.58, so 0.39. One of February at 10 %: 0.36."""
    town = build("0.33", House({FEBRUARY: MonthTerms(tax_pct=Decimal(10))}))
    town.sms(JANUARY, 5, 15, 25)
    assert town.out(JANUARY) == due("1.19")
    town.sms(JANUARY, 28)
    town.sms(FEBRUARY, 3)
    assert town.out(FEBRUARY) == due("0.75")


def test_a_discount_is_of_what_remains_as_well(modelled: Build) -> None:
    """0.99 − 0.0495 → 0.94, tax 0.188 → 1.13. Then 1.32 − 0.066 → 1.25, tax 0.25 → 1.50: 0.37 more."""
    town = modelled("0.33", House({JANUARY: MonthTerms(Decimal(5), Decimal(20))}))
    town.sms(JANUARY, 5, 15, 25)
    assert town.out(JANUARY) == due("1.13")
    town.sms(JANUARY, 28)
    assert town.out(FEBRUARY) == due("0.37")


def test_lines_of_one_key_are_rounded_together(modelled: Build) -> None:
    """0.004 → 0.00; 0.008 → 0.01, no tax on it; 0.012 → 0.01, so nothing more; 0.016 → 0.02."""
    town = modelled("0.004")
    town.sms(JANUARY, 5)
    found = [town.out(JANUARY)]
    for month in (FEBRUARY, MARCH, APRIL):
        town.sms(JANUARY, 6)
        found.append(town.out(month))
    assert found == [{}, due("0.01"), {}, due("0.01")]


def test_a_small_charge_is_written_off_and_judged_anew_with_what_comes_later(modelled: Build) -> None:
    """0.30 + 0.06. A late 0.10 would be 0.12: written off. With four more 0.50, 0.60 due. All withdrawn: 0.80 + 0.16 back."""
    town = modelled("0.10", House({}, threshold=Decimal("0.5")))
    town.sms(JANUARY, 1, 2, 3)
    assert town.out(JANUARY) == due("0.36")
    town.sms(JANUARY, 4)
    assert town.out(FEBRUARY) == {}
    assert town.system.settled(JANUARY) == {C: Decimal("0.40")}
    town.sms(JANUARY, 5, 6, 7, 8)
    assert town.out(MARCH) == due("0.60")
    town.prepaid_until("2026-02-01")
    assert town.out(APRIL) == due("-0.96", JANUARY)
    assert town.totals() == {}


def test_what_was_written_off_is_not_given_back(modelled: Build) -> None:
    town = modelled("0.10", House({}, threshold=Decimal("0.5")))
    town.sms(JANUARY, 1, 2, 3)
    town.out(JANUARY)
    town.sms(JANUARY, 4)
    town.out(FEBRUARY)
    town.prepaid_until("2026-02-01")
    assert town.out(MARCH) == due("-0.36", JANUARY)


def test_a_late_smaller_volume_moves_what_was_imputed(build: Build) -> None:
    """3 MB and 3 imputed: 6.00, 7.20. 2 MB late: 3 + 2 + 2, 1.20 more. 0.5 MB late: 3 + 2 + 0.5 + 0.5, 1.20 back."""
    town = build()
    town.session(JANUARY, "3")
    town.session(JANUARY, None)
    assert town.out(JANUARY) == due("7.20")
    town.session(JANUARY, "2")
    assert town.out(FEBRUARY) == due("1.20")
    town.session(JANUARY, "0.5")
    assert town.out(MARCH) == due("-1.20", JANUARY)


def test_a_price_is_corrected_and_corrected_again(build: Build) -> None:
    """Two messages of 1.00, 2.40; at 1.25 from the 15th on 0.30 more; at 0.75 for all days 0.90 less than that."""
    town = build()
    town.sms(JANUARY, 10, 20)
    assert town.out(JANUARY) == due("2.40")
    middle = date(2026, 1, 15)
    town.set_price("PLAN_A", "sms", [Price(Decimal(1), valid_to=middle), Price(Decimal("1.25"), valid_from=middle)])
    assert town.out(FEBRUARY) == due("0.30")
    town.set_price("PLAN_A", "sms", [Price(Decimal("0.75"))])
    assert town.out(MARCH) == due("-0.90", JANUARY)


def test_late_usage_after_a_plan_change_and_a_change_of_plan_in_the_month(build: Build) -> None:
    """Days 10 and 20 in PLAN_A: 2.40. PLAN_B from the 15th on: day 20 costs 1.50, and a late day 25 as well: 2.00 + 0.40 more."""
    town = build()
    town.sms(JANUARY, 10, 20)
    town.out(JANUARY)
    change = date(2026, 1, 15)
    town.set_customer(NUMBER, [Version(valid_to=change), Version("PLAN_B", valid_from=change)])
    town.sms(JANUARY, 25)
    assert town.out(FEBRUARY) == due("2.40")


def test_who_had_ended_gets_back_what_came_after_his_end(build: Build) -> None:
    """Days 5 and 20, 2.40. He had ended on the 15th: day 20 is nobody's to pay, 1.00 + 0.20 back."""
    town = build()
    town.sms(JANUARY, 5, 20)
    assert town.out(JANUARY) == due("2.40")
    town.set_customer(NUMBER, [Version(valid_to=date(2026, 1, 15))])
    assert town.out(FEBRUARY) == due("-1.20", JANUARY)


def test_a_new_holder_pays_for_his_own_usage(build: Build) -> None:
    """Day 20 is of the second holder: 1.20 back to the first, who has no subscription in February, and on the second one's bill."""
    town = build()
    town.sms(JANUARY, 5, 20)
    assert town.out(JANUARY) == due("2.40")
    change = date(2026, 1, 15)
    town.set_customer(NUMBER, [Version(valid_to=change), Version(holder_no=2, valid_from=change)])
    assert town.out(FEBRUARY) == due("-1.20", JANUARY) | due("1.20", holder=(NUMBER, 2))


def test_an_earlier_copy_that_turns_up_later_counts(build: Build) -> None:
    town = build()
    town.sms(JANUARY, 5)
    [first] = town.records
    assert town.out(JANUARY) == due("1.20")
    town.receive(replace(first, received=first.received - 1, customer_id=OTHER))
    assert town.out(FEBRUARY) == due("-1.20", JANUARY) | due("1.20", holder=D)
    # One that was received later changes nothing; nor is a record so far away a copy.
    town.receive(replace(first, received=100))
    town.receive(replace(first, received=101, day=date(2026, 2, 6)))
    assert town.out(MARCH) == due("1.20")


def test_usage_of_a_month_that_was_skipped_is_charged_later(build: Build) -> None:
    town = build("0.33")
    town.sms(JANUARY, 5)
    town.run(JANUARY)
    town.run(FEBRUARY)
    with pytest.raises(Refused, match=JANUARY):
        town.approve(FEBRUARY)
    town.system.close_empty(JANUARY)
    assert town.out(FEBRUARY) == due("0.40")


@pytest.mark.parametrize("separate", [False, True])
def test_two_closed_months_are_corrected_at_once(modelled: Build, separate: bool) -> None:
    """Late messages of January (0.33, so 0.40) and February (0.66, so 0.79); one of March, 0.40."""
    town = modelled("0.33", House({}, separate=separate))
    town.out(JANUARY)
    town.out(FEBRUARY)
    town.sms(JANUARY, 5)
    town.sms(FEBRUARY, 5, 6)
    town.sms(MARCH, 1)
    apart = due("0.40", JANUARY) | due("0.79", FEBRUARY) | due("0.40")
    assert town.out(MARCH) == (apart if separate else due("1.59"))


def test_what_would_bring_a_bill_below_zero_leaves_it(modelled: Build) -> None:
    """March 1.20, January 2.40 back, February 1.20 more: together 0. A second month back, and it would be −1.20."""
    town = modelled()
    town.sms(JANUARY, 5, 6)
    town.out(JANUARY)
    town.out(FEBRUARY)
    town.sms(MARCH, 5)
    town.sms(FEBRUARY, 20)
    town.prepaid_until("2026-02-10")
    assert town.out(MARCH) == {}
    assert town.totals() == {C: Decimal("2.40")}
    town.prepaid_until("2026-03-20")
    town.sms(APRIL, 1)
    assert town.out(APRIL) == due("1.20") | due("-1.20", FEBRUARY) | due("-1.20", MARCH)


def test_a_credit_is_under_the_cap(modelled: Build) -> None:
    """Of 0.99, 0.50 is given back: −0.50 − 0.10. Then 0.49 are left; when January is withdrawn, too much was given back."""
    town = modelled("0.33")
    town.sms(JANUARY, 5, 15, 25)
    town.out(JANUARY)
    town.system.add_line(C, JANUARY, Decimal("-0.50"), Decimal(20))
    with pytest.raises(Refused):
        town.system.add_line(C, JANUARY, Decimal("-0.50"), Decimal(20))
    with pytest.raises(Refused):
        town.system.add_line(C, JANUARY, Decimal("-0.10"), Decimal(10))
    assert town.out(FEBRUARY) == due("-0.60")
    town.prepaid_until("2026-02-01")
    town.run(MARCH)
    with pytest.raises(Refused):
        town.approve(MARCH)
    town.system.add_line(C, JANUARY, Decimal("0.50"), Decimal(20))
    assert town.out(MARCH) == due("0.60") | due("-1.19", JANUARY)
    assert town.totals() == {}


@pytest.mark.parametrize(("decimals", "first", "late"), [(0, "5", "1"), (2, "4.44", "1.49"), (3, "4.445", "1.481")])
def test_amounts_have_the_decimals_of_the_currency(modelled: Build, decimals: int, first: str, late: str) -> None:
    """3.7035: 4 + 1; 3.70 + 0.74; 3.704 + 0.741. Then 4.938: 5 + 1; 4.94 + 0.99; 4.938 + 0.988."""
    town = modelled("1.2345", House({}, decimals=decimals))
    town.sms(JANUARY, 1, 2, 3)
    assert town.out(JANUARY) == due(first)
    town.sms(JANUARY, 4)
    assert town.out(FEBRUARY) == due(late)


def test_late_records_wait_until_the_next_period(build: Build) -> None:
    """What lands after the approval is not of this month's bill, nor are there adjustments while a month is approved."""
    town = build()
    town.sms(JANUARY, 5)
    town.run(JANUARY)
    town.approve(JANUARY)
    town.sms(JANUARY, 6)
    with pytest.raises(Refused):
        town.run(JANUARY)
    town.close(JANUARY)
    assert town.totals() == {C: Decimal("1.20")}
    assert town.out(FEBRUARY) == due("1.20")


def _approve_undrafted(town: Town) -> None:
    town.approve(FEBRUARY)


def _approve_older_draft(town: Town) -> None:
    town.run(FEBRUARY)
    town.run(JANUARY)
    town.approve(JANUARY)
    town.close(JANUARY)
    town.approve(FEBRUARY)


def _close_open(town: Town) -> None:
    town.run(JANUARY)
    town.close(JANUARY)


def _withdraw_closed(town: Town) -> None:
    town.out(JANUARY)
    town.system.withdraw(JANUARY)


def _run_closed(town: Town) -> None:
    town.out(JANUARY)
    town.run(JANUARY)


@pytest.mark.parametrize("step", [_approve_undrafted, _approve_older_draft, _close_open, _withdraw_closed, _run_closed])
def test_a_step_that_the_state_does_not_allow_is_refused(modelled: Build, step: Callable[[Town], None]) -> None:
    with pytest.raises(Refused):
        step(modelled())


def test_a_withdrawn_approval_opens_the_month_again(modelled: Build) -> None:
    town = modelled()
    town.run(JANUARY)
    town.approve(JANUARY)
    town.system.withdraw(JANUARY)
    town.sms(JANUARY, 5)
    assert town.out(JANUARY) == due("1.20")
