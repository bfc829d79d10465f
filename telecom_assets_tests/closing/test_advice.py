"""What a review finds in the tables of a month, on small tables; figures by hand."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.closing import advice
from telecom_assets.closing.findings import Finding, Reviewed
from telecom_assets.closing.review import _below_zero
from telecom_assets.home.settings import Settings
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets_tests.sample_tables import TABLES

MONTH = "2026-10"


@pytest.fixture(scope="module")
def tables(engine: SparkEngine, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """October with three months before it. May to August are closed."""
    made = Warehouse(str(tmp_path_factory.mktemp("review")), engine, TABLES)
    for month in ("2026-05", "2026-06", "2026-07", "2026-08"):
        for state in ("drafted", "approved", "closing", "closed"):
            change_state(made, lambda _, of=month, to=state: changed_now(of, to))  # type: ignore[misc]
    return made


@pytest.fixture
def ask(tables: Warehouse) -> Callable[..., list[Finding]]:
    """Ask a question about October."""

    def asked(question: Callable[[Reviewed], Iterator[Finding]], **settings: Any) -> list[Finding]:
        about = Reviewed(MONTH, Settings(home=Path("nowhere"), **settings), tables, RECORD_TYPES, read_periods(tables))
        return list(question(about))

    return asked


def put(warehouse: Warehouse, name: str, rows: Iterable[dict[str, Any]]) -> None:
    """Store rows of a table as Arrow, each partition replaced; values of other columns are NULL."""
    schema, by = warehouse.contracts[name].arrow_schema(), warehouse.contracts[name].partition_by
    of: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        typed = {key: pa.scalar(value).cast(schema.field(key).type).as_py() for key, value in row.items()}
        of.setdefault(typed[by] if by else None, []).append(typed)
    for value, some in of.items():
        within = Partitions(value, value) if by else None
        warehouse.overwrite_arrow(name, pa.Table.from_pylist(some, schema=schema), within)


def bill(customer: str, month: str, due: str, holder: int = 1) -> dict[str, Any]:
    return {"customer_id": customer, "holder_no": holder, "rate_plan_id": "P", "billing_period": month, "amount_due": Decimal(due)}  # fmt: skip


def test_bills_are_compared_with_the_mean_of_the_last_three(
    tables: Warehouse, ask: Callable[..., list[Finding]]
) -> None:
    """A: mean 10, 30.00 is three times that, which is within; B: 30.01. C: a third and less. Another holder has no bills before.

    June is too long ago. D has one bill before.
    """
    before = [bill("A", "2026-07", "5"), bill("A", "2026-08", "10"), bill("A", "2026-09", "15")]
    before += [
        bill("B", "2026-07", "5"),
        bill("B", "2026-08", "10"),
        bill("B", "2026-09", "15"),
        bill("A", "2026-06", "9999"),
    ]
    before += [
        bill("C", "2026-07", "9.03"),
        bill("C", "2026-08", "9.03"),
        bill("C", "2026-09", "9.03"),
        bill("D", "2026-09", "0"),
    ]
    now = [
        bill("A", MONTH, "30.00"),
        bill("A", MONTH, "400", 2),
        bill("B", MONTH, "30.01"),
        bill("C", MONTH, "3.00"),
        bill("D", MONTH, "0"),
    ]
    put(tables, "facturation_complete", [*before, *now])
    [found] = ask(advice.unusual_bills)
    assert [(row["customer_id"], f"{row['amount_due']:.2f}", f"{row['due_before']:.2f}") for row in found.rows] == [
        ("B", "30.01", "30.00"),
        ("C", "3.00", "27.09"),
    ]
    assert found.text.startswith(
        "2 bills differ from the mean of the last three by more than a factor of 3: B (30.01, before 30.00 in 3)"
    )
    [wider] = ask(advice.unusual_bills, review_factor=Decimal("3.005"))
    assert [row["customer_id"] for row in wider.rows] == ["C"]
    [zero] = ask(advice.zero_bills)
    assert zero.text == "1 bills are 0: D"


def price(product: str, unit_price: str) -> dict[str, Any]:
    service = {"SMS_INT": "sms", "VOICE_NAT": "voice"}[product]
    return {"rate_plan_id": "P", "product_code": product, "service_type": service, "unit_price": Decimal(unit_price), "free_units": Decimal(1)}  # fmt: skip


def test_unrated_usage_has_its_value_where_a_price_is_known(
    tables: Warehouse, ask: Callable[..., list[Finding]]
) -> None:
    """Five minutes at 0.2 with one free: 0.8; the price came later. August is closed, what is excluded is nobody's to work."""
    put(tables, "rate_plans", [price("VOICE_NAT", "0.2")])
    put(tables, "product_catalog", [{"product_code": "VOICE_NAT", "service_type": "voice", "unit": "minute", "rate_type": "flat"}])  # fmt: skip
    usage = [
        (MONTH, "no_price", "suspended", "P", 5),
        (MONTH, "no_price", "suspended", "Q", 5),
        (MONTH, "unknown_customer", "suspended", None, 5),
        (MONTH, "prepaid_customer", "excluded", "P", 5),
        ("2026-09", "unknown_plan", "suspended", "R", 5),
        ("2026-08", "no_price", "suspended", "P", 5),
        ("2026-11", "no_price", "suspended", "P", 5),
    ]
    rows = [
        {"record_id": f"r{number}", "record_type": "voice", "product_code": "VOICE_NAT", "billing_period": month, "event_date": dt.date.fromisoformat(f"{month}-05"), "reason": reason, "disposition": disposition, "rate_plan_id": plan, "billable_units": Decimal(units)}
        for number, (month, reason, disposition, plan, units) in enumerate(usage)
    ]  # fmt: skip
    put(tables, "suspended_cdrs", [{key: value for key, value in row.items() if value is not None} for row in rows])
    assert [each.text for each in ask(advice.unrated_usage)] == [
        "2026-09: 1 events are not rated: unknown_plan, without a known price",
        "2026-10: 2 events are not rated: no_price, 1 of them worth 0.800000 at their prices",
        "2026-10: 1 events are not rated: unknown_customer, without a known price",
    ]


def test_days_and_shares_out_of_line(tables: Warehouse, ask: Callable[..., list[Finding]]) -> None:
    """September: 1 of 10 rejected, none malformed; October: 4 of 10 rejected, one of them malformed, on the 1st, 2nd and 31st."""

    def records(name: str, day: str, *reasons: str) -> list[dict[str, Any]]:
        return [{"event_date": dt.date.fromisoformat(day), **({"reason": each} if name == "rejected_cdrs" else {})} for each in reasons]  # fmt: skip

    put(tables, "cleaned_cdrs", [*records("cleaned_cdrs", "2026-09-30", *"123456789")])
    put(tables, "rejected_cdrs", records("rejected_cdrs", "2026-09-30", "duplicate"))
    for day, count in (("2026-10-01", 2), ("2026-10-02", 3), ("2026-10-31", 1)):
        put(tables, "cleaned_cdrs", records("cleaned_cdrs", day, *["x"] * count))
    reasons = ("duplicate", "duplicate", "invalid_volume", "malformed_json")
    put(tables, "rejected_cdrs", records("rejected_cdrs", "2026-10-02", *reasons))
    [days] = ask(advice.days_without_usage)
    assert days.text.startswith("28 days have no usage: 2026-10-03")
    assert [each.text for each in ask(advice.shares_out_of_line)] == [
        "4 of 10 records are rejected (40.00%), in 2026-07 to 2026-09 10.00%",
        "1 of 10 records are malformed (10.00%), in 2026-07 to 2026-09 0.00%",
    ]
    assert [
        each.name for each in ask(advice.shares_out_of_line, review_factor=Decimal(4), malformed_share=Decimal("0.09"))
    ] == [
        "malformed_share",
        "malformed_share",
    ]


def line(
    customer: str, kind: str, amount: str, original: str | None = None, month: str = MONTH, tax: int = 20
) -> dict[str, Any]:
    known = {"original_period": original} if original else {}
    return {"customer_id": customer, "holder_no": 1, "document": "bill", "kind": kind, "amount": Decimal(amount), "tax_category": "S", "tax_pct": Decimal(tax), "billing_period": month, **known}  # fmt: skip


def test_corrections_that_are_old_or_take_too_much_back(tables: Warehouse, ask: Callable[..., list[Finding]]) -> None:
    """A: 10 charged in July and 10.01 taken back, in August and October. B: as much as was charged; the rate matters.

    Charges for May and June are older than three months; July is not, and what is taken back is no charge.
    """
    put(tables, "bill_lines", [
        line("A", "usage", "10", month="2026-07"), line("B", "usage", "10", month="2026-07"), line("C", "usage", "5", month="2026-07", tax=10),
        line("A", "adjustment", "-4", "2026-07", month="2026-08"),
        line("A", "adjustment", "-6.01", "2026-07"), line("B", "adjustment", "-10", "2026-07"), line("C", "manual", "-1", "2026-07"),
        line("A", "usage", "100"), line("B", "adjustment", "2", "2026-06"), line("B", "adjustment", "3", "2026-05"), line("A", "adjustment", "4", "2026-07", tax=10),
    ])  # fmt: skip
    [found] = ask(_below_zero)
    assert found.blocking
    assert [
        (row["customer_id"], row["month"], f"{row['tax_pct']:.0f}", f"{row['remains']:.2f}") for row in found.rows
    ] == [
        ("A", "2026-07", "20", "-0.01"),
        ("C", "2026-07", "20", "-1.00"),
    ]
    [old] = ask(advice.old_back_charges)
    assert old.text == "charges older than 3 months, before tax: 3.00 of 2026-05 on 1 bills, 2.00 of 2026-06 on 1 bills"
    assert ask(advice.old_back_charges, back_charge_months=5) == []


@pytest.mark.parametrize(
    ("read_at", "finding"),
    [
        (None, "customers were read never"),
        (dt.datetime(2026, 10, 31, 22, 59, tzinfo=dt.UTC), "customers were read last at 2026-10-31 23:59"),
        (dt.datetime(2026, 10, 31, 23, 0, tzinfo=dt.UTC), None),
    ],
)
def test_customers_are_read_when_the_month_is_over(
    plain: Warehouse, read_at: dt.datetime | None, finding: str | None
) -> None:
    """By the local day: in Casablanca 23:00 UTC is the first of November."""
    about = Reviewed(MONTH, Settings(home=Path("nowhere")), plain, RECORD_TYPES, read_periods(plain))
    found = [each.text for each in advice.customers_read(about, read_at)]
    assert [each.split(",")[0] for each in found] == ([finding] if finding else [])
