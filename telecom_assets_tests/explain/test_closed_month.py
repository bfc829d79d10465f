"""Records and bills of two months on the embedded engine, one of them closed: figures by hand."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.billing.tables import BILL_LINES
from telecom_assets.cli.show_explained import print_record, print_records
from telecom_assets.cli.show_explained_bill import print_bill
from telecom_assets.corrections.suspense import write_off
from telecom_assets.explain.as_json import json_pieces
from telecom_assets.explain.bills import Bill, _rates_by_the_rule, explain_bill
from telecom_assets.explain.reading import ExplainError
from telecom_assets.explain.records import Event, explain_record
from telecom_assets.explain.usage import Span, TimeError, explain_usage
from telecom_assets_tests.closed_periods.project import Project
from telecom_assets_tests.closed_periods.system import House, MonthTerms, Price, Usage, Version

pytestmark = pytest.mark.thorough

JANUARY, FEBRUARY = "2026-01", "2026-02"
NUMBER, PREPAID, UNPRICED, OTHER = "212600000001", "212600000002", "212600000003", "212600000004"


@pytest.fixture(scope="module")
def warehouse(sail: SparkEngine, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A message costs 1.004, a megabyte 2. January is closed; then one message more comes for it, and two equal credits."""
    terms = MonthTerms(discount_pct=Decimal(5), tax_pct=Decimal(20))
    house = House({JANUARY: terms, FEBRUARY: terms}, threshold=Decimal("0.5"))
    project = Project(house, tmp_path_factory.mktemp("explained"), sail)
    project.set_customer(NUMBER, [Version()])
    project.set_customer(OTHER, [Version()])
    project.set_customer(PREPAID, [Version(postpaid=False)])
    project.set_customer(UNPRICED, [Version("PLAN_B")])
    project.set_price("PLAN_A", "sms", [Price(Decimal("1.004"))])
    for plan in ("PLAN_A", "PLAN_B"):
        project.set_price(plan, "data", [Price(Decimal(2))])
    first, second = date(2026, 1, 5), date(2026, 1, 6)
    project.receive(Usage("one", NUMBER, first, "sms", 1))
    project.receive(Usage("two", NUMBER, second, "sms", 2))
    project.receive(Usage("volume", NUMBER, second, "data", 3, Decimal(3)))
    project.receive(Usage("no volume", NUMBER, second, "data", 4))
    project.receive(Usage("not ours", PREPAID, second, "sms", 5))
    project.receive(Usage("no price", UNPRICED, second, "sms", 7))
    project.receive(Usage("nobody's", "212600000009", second, "sms", 8))
    project.run(JANUARY)
    for reason, undo in (("no_price", False), ("unknown_customer", False), ("unknown_customer", True)):
        write_off(project.warehouse, {JANUARY}, reason, by="Ben", why="a [test] number", undo=undo)
    project.approve(JANUARY)
    project.close(JANUARY)
    project.receive(Usage("late", NUMBER, second, "sms", 9))
    project.receive(Usage("little", UNPRICED, second, "data", 10, Decimal("0.1")))
    for _ in range(2):
        project.add_line((NUMBER, 1), JANUARY, Decimal("-0.10"), Decimal(20))
    project.receive(Usage("february", OTHER, date(2026, 2, 3), "sms", 6))
    project.add_line((OTHER, 1), JANUARY, Decimal("0.50"), Decimal(10))
    project.run(FEBRUARY)
    return project.warehouse


def told(value: object) -> Any:
    """What `telecom explain --json` says of it."""
    return json.loads("".join(json_pieces(value)))


@pytest.fixture
def event(warehouse: Warehouse) -> Callable[[str], Event]:
    """The one event of a record."""

    def explained(record_id: str) -> Event:
        (found,) = explain_record(warehouse, record_id).events
        return found

    return explained


def test_a_rated_record_is_followed_to_its_line(event: Callable[[str], Event]) -> None:
    """Two messages at 1.004 are 2.008 on their line, which is rounded to 2.01."""
    found = event("one")
    assert (found.outcome, found.reason, found.month_state) == ("rated", None, "closed")
    assert found.formula == "(1 − 0 free) × 1.004 = 1.004000"
    assert found.customer is not None
    assert (found.customer["customer_id"], found.price is not None, found.product is not None) == (NUMBER, True, True)
    assert found.on_bill is not None
    line = found.on_bill.line
    assert (line["service"], line["events"], line["exact_amount"], line["amount"]) == (
        "sms",
        2,
        Decimal("2.008"),
        Decimal("2.01"),
    )
    assert found.on_bill.rounding == Decimal("0.002")
    assert found.adjustments == ()


def test_a_missing_volume_is_charged_by_the_month(event: Callable[[str], Event]) -> None:
    """The least volume of the customer: 3 MB at 2."""
    found = event("no volume")
    assert (found.outcome, found.reason) == ("imputed", "missing_volume")
    assert found.formula == "(3 − 0 free) × 2 = 6.000000"
    assert found.on_bill is not None
    assert (found.on_bill.line["service"], found.on_bill.line["amount"]) == ("data", Decimal(12))


@pytest.mark.parametrize(
    ("record_id", "outcome", "reason"),
    [
        ("not ours", "excluded", "prepaid_customer"),
        ("no price", "suspended", "no_price"),
        ("nobody's", "suspended", "unknown_customer"),
    ],
)
def test_a_record_that_is_not_charged_says_why(
    event: Callable[[str], Event], record_id: str, outcome: str, reason: str
) -> None:
    found = event(record_id)
    assert (found.outcome, found.reason, found.charge, found.on_bill) == (outcome, reason, None, None)
    assert (found.customer is None) == (record_id == "nobody's")


def test_a_record_for_a_closed_month_is_late_and_corrected_later(event: Callable[[str], Event]) -> None:
    """3.012 are 3.01 together with January's two messages, of which 2.01 were billed: its line is 1.00."""
    found = event("late")
    assert (found.outcome, found.charge) == ("late", None)
    (adjustment,) = found.adjustments
    row = adjustment.row
    assert (row["billing_period"], row["reason"], row["disposition"]) == (FEBRUARY, "late_usage", "billed")
    assert adjustment.on_bill is not None
    assert (adjustment.on_bill.line["kind"], adjustment.on_bill.line["amount"]) == ("adjustment", Decimal(1))


def test_what_is_written_off_says_so(
    warehouse: Warehouse,
    event: Callable[[str], Event],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message without a price, by a person; 0.1 MB that came late, 0.20, by the threshold; one write-off was undone."""
    found = event("no price")
    assert found.written_off is not None
    assert (found.written_off["decided_by"], found.written_off["estimate"]) == ("Ben", None)
    undone = event("nobody's")
    assert (undone.written_off, [row["decision"] for row in undone.write_offs]) == (None, ["write_off", "undo"])
    (little,) = event("little").adjustments
    assert (little.row["disposition"], little.row["amount"], little.on_bill) == ("written_off", Decimal("0.2"), None)
    bill = explain_bill(warehouse, UNPRICED, JANUARY)
    (off,) = bill.written_off
    assert (off.reason, off.decided_by, off.why, off.records, off.estimate) == (
        "no_price",
        "Ben",
        "a [test] number",
        1,
        None,
    )
    assert explain_bill(warehouse, NUMBER, JANUARY).written_off == ()
    assert [each["is_written_off"] for each in told([found, undone])] == [True, False]
    assert told(bill)["written_off"][0]["why"] == "a [test] number"
    monkeypatch.setenv("COLUMNS", "160")
    for record_id in ("no price", "nobody's", "little"):
        print_record(explain_record(warehouse, record_id))
    print_bill(bill)
    printed = " ".join(capsys.readouterr().out.split())
    assert "by Ben: a [test] number (no_price)." in printed
    assert "Its write-off was undone" in printed
    assert "What to do: add a price" not in printed, "nothing is to be done of what is written off"
    for said in ("too little to be", "written_off", "Usage of 2026-01 that is written off, and on no bill"):
        assert said in printed


@pytest.mark.parametrize("day", [None, date(2026, 1, 6)])
def test_an_unknown_record_is_one_sentence(warehouse: Warehouse, day: date | None) -> None:
    with pytest.raises(ExplainError, match=r"^record 'one more': no .*; look .*--subscriber NUMBER --at TIME$"):
        explain_record(warehouse, "one more", day=day)


def test_the_day_narrows_the_search(warehouse: Warehouse) -> None:
    """Found on its day and on the days around it, on no other."""
    assert explain_record(warehouse, "one", day=date(2026, 1, 6), dedupe_days=1).events
    with pytest.raises(ExplainError, match="look without --day"):
        explain_record(warehouse, "one", day=date(2026, 1, 6))


def test_a_bill_tells_each_of_its_tax_rates(warehouse: Warehouse) -> None:
    """A message, 1.00 less 5 % and 20 % tax on 0.95; and 0.50 at 10 %, without a discount."""
    (bill,) = explain_bill(warehouse, OTHER, FEBRUARY).documents
    told = [tuple(rate[name] for name in ("tax_pct", "amount", "discount", "tax", "due")) for rate in bill.rates]
    assert told == [
        tuple(map(Decimal, rate)) for rate in (("10", "0.50", "0", "0.05", "0.55"), ("20", "1", "0.05", "0.19", "1.14"))
    ]


@pytest.mark.parametrize("month", [JANUARY, FEBRUARY])
def test_a_bill_is_its_lines_and_a_line_its_events(warehouse: Warehouse, month: str) -> None:
    """January: 2.01 and 12.00, less 5 % (0.70), 20 % tax (2.66). February: 1.00 more of January, two credits of 0.10."""
    found = explain_bill(warehouse, NUMBER, month)
    for document in found.documents:
        for line in document.lines:
            assert (line.exact_sum, len(line.rows)) == (line.row["exact_amount"], line.row["events"] or 1)
        for name, of in (
            ("amount", "amount_before_tax"),
            ("discount", "discount"),
            ("tax", "tax"),
            ("due", "amount_due"),
        ):
            assert sum(rate[name] for rate in document.rates) == document.totals[of]
    (bill,) = found.documents
    lines = warehouse.pin_period(BILL_LINES.name, month)
    (by_the_rule,) = _rates_by_the_rule(lines, NUMBER, bill.totals["currency"])
    assert [dict(rate) for rate in bill.rates] == [by_the_rule]
    figures = tuple(bill.totals[name] for name in ("amount_before_tax", "discount", "tax", "amount_due"))
    # Of January remains 15.01, less 0.75 is 14.26, with 2.85 tax: in February 1.00 − 0.05 + 0.19, and twice −0.10 with −0.04 of tax.
    right = {JANUARY: ("14.01", "0.70", "2.66", "15.97"), FEBRUARY: ("0.80", "0.05", "0.15", "0.90")}
    assert figures == tuple(map(Decimal, right[month]))
    (corrections,) = found.corrected if month == JANUARY else found.corrects
    assert (corrections.original_period, corrections.billing_period, corrections.reason) == (
        JANUARY,
        FEBRUARY,
        "late_usage",
    )
    assert (corrections.records, corrections.amount) == (1, Decimal("1.004"))


def test_a_customer_without_a_bill_is_one_sentence(warehouse: Warehouse) -> None:
    with pytest.raises(ExplainError, match=f"^customer {PREPAID}: no bill of {JANUARY}; expected"):
        explain_bill(warehouse, PREPAID, JANUARY)


def test_all_of_it_is_printed_and_told_to_machines(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    for record_id in ("one", "no volume", "not ours", "late"):
        found = explain_record(warehouse, record_id)
        assert told(found)["record_id"] == record_id
        print_record(found)
    bills: list[Bill] = [explain_bill(warehouse, NUMBER, month) for month in (JANUARY, FEBRUARY)]
    for bill in bills:
        print_bill(bill)
    printed = " ".join(capsys.readouterr().out.split())
    for said in ("(1 − 0 free) × 1.004 = 1.004000", "rounded once: +0.002", "late_usage", "prepaid_customer", "15.97"):
        assert said in printed
    # January was closed here without giving numbers.
    assert "none: the month was closed without one" in printed
    assert "once its month is closed" not in printed


@pytest.mark.parametrize(
    ("number", "at", "expected"),
    [
        (NUMBER, "2026-01-05", ["one"]),
        ("0600 000 001", "2026-01-06", ["late", "no volume", "two", "volume"]),
        (PREPAID, "2026-01-06", ["not ours"]),
    ],
)
def test_a_subscribers_records_of_a_day(warehouse: Warehouse, number: str, at: str, expected: list[str]) -> None:
    found = explain_usage(warehouse, number, at)
    assert [each.record_id for each in found] == expected
    print_records(found)


def test_a_time_without_a_record_is_one_sentence(warehouse: Warehouse) -> None:
    with pytest.raises(ExplainError, match=f"^subscriber {NUMBER}: no record that began at 2026-01-07; "):
        explain_usage(warehouse, NUMBER, "2026-01-07")


@pytest.mark.parametrize(
    ("text", "first", "seconds"),
    [
        # Morocco is an hour ahead of UTC, and not in Ramadan (18 February to 19 March 2026).
        ("2026-01-05", "2026-01-04T23:00:00+00:00", 86_400),
        ("2026-01-05T10:15", "2026-01-05T09:15:00+00:00", 60),
        ("2026-03-01 10:15:20", "2026-03-01T10:15:20+00:00", 1),
        ("2026-01-05T10:15:20.5Z", "2026-01-05T10:15:20+00:00", 1),
    ],
)
def test_a_time_is_what_was_written(text: str, first: str, seconds: int) -> None:
    span = Span.read(text)
    assert (span.first.isoformat(), (span.last - span.first).total_seconds()) == (first, seconds)


def test_what_is_no_time_is_one_sentence() -> None:
    with pytest.raises(TimeError, match=r"^time 'noon': expected a day, a minute or a second, e\.g\. "):
        Span.read("noon")


@pytest.mark.parametrize("text", ["2026-01-05T10", "20260105", "2026-W02-1", "9999-12-31"])
def test_forms_that_name_another_span_are_no_time(text: str) -> None:
    """Python reads them, as an instant that nobody means; the last has no next day."""
    with pytest.raises(TimeError, match=f"^time '{text}': expected"):
        Span.read(text)
