"""The second rating in SQL: it agrees with the project, and finds a figure that is another, whatever part of a document it is in.

Belongs here: corrections, lines by hand, documents of their own, record types that the script does not name. It is also asked in each
scenario of `closed_periods`, and in `graph.test_review` of a month of the project.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.rules import bill
from telecom_assets.closing.rerating.comparison import Compared, Inputs, compared
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.rating.rules import ReferenceData, rate
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import Quantity, RecordType, Units
from telecom_assets.tables import tables_of
from telecom_assets_tests.closed_periods.project import Project
from telecom_assets_tests.closed_periods.system import House, MonthTerms, Price, Usage, Version
from telecom_assets_tests.stages.chain import TERMS, contract_table

pytestmark = pytest.mark.thorough

JANUARY, FEBRUARY = "2026-01", "2026-02"
ONE, TWO = "212600000001", "212600000002"

Row = dict[str, Any]


@pytest.fixture(scope="module", params=[False, True], ids=["on the bill", "separate"])
def corrected(request: pytest.FixtureRequest, sail: SparkEngine, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """January is closed; February has late messages of January, a credit of a person, and usage of its own.

    What a test changes it puts back.
    """
    house = House({JANUARY: MonthTerms(Decimal(10), Decimal(7))}, separate=request.param)
    project = Project(house, tmp_path_factory.mktemp("corrected"), sail)
    for number in (ONE, TWO):
        project.set_customer(number, [Version()])
    project.set_price("PLAN_A", "sms", [Price(Decimal("0.333"))])
    received = 0

    def sms(number: str, day: str) -> None:
        nonlocal received
        received += 1
        project.receive(Usage(f"r{received}", number, date.fromisoformat(day), "sms", received))

    for number in (ONE, TWO):
        sms(number, f"{JANUARY}-05")
    project.run(JANUARY)
    project.approve(JANUARY)
    project.close(JANUARY)
    project.add_line((ONE, 1), JANUARY, Decimal("-0.10"), Decimal(7))
    for number, day in ((ONE, f"{JANUARY}-06"), (ONE, f"{JANUARY}-07"), (ONE, f"{FEBRUARY}-01")):
        sms(number, day)
    project.run(FEBRUARY)
    return project


@contextmanager
def changed(
    project: Project, table: str, which: Callable[[Row], bool], **values: Callable[[Any], Any]
) -> Iterator[None]:
    """Meanwhile figures of the February rows of a table that are meant are others: of one row at least."""
    warehouse, month = project.warehouse, Partitions(FEBRUARY, FEBRUARY)
    as_made = warehouse.pin(table, month).arrow()
    rows = as_made.to_pylist()
    meant = [row for row in rows if which(row)]
    assert meant
    for row in meant:
        row |= {name: change(row[name]) for name, change in values.items()}
    warehouse.overwrite_arrow(table, contract_table(warehouse.contracts[table], rows), month)
    try:
        yield
    finally:
        warehouse.overwrite_arrow(table, as_made, month)


def found(result: Compared) -> set[tuple[str, str, str]]:
    """Of each difference: who, which kind of row, and which column."""
    return {(row["customer_id"], row["what"], row["column"]) for row in result.differs}


def more(value: Decimal) -> Decimal:
    return value + Decimal("0.01")


def a_little_more(value: Decimal) -> Decimal:
    return value + Decimal("0.000001")


def test_corrections_and_what_people_add_are_added_up_again(corrected: Project) -> None:
    assert corrected.rated_again(FEBRUARY).findings == []
    adjusted = [row for row in corrected.warehouse.pin("bill_lines").arrow().to_pylist() if row["kind"] == "adjustment"]
    # January had 0.333 → 0.33. With two more 0.999 → 1.00: 0.67 more.
    assert [(row["customer_id"], row["exact_amount"], row["amount"]) for row in adjusted] == [
        (ONE, Decimal("0.666000"), Decimal("0.67"))
    ]


@pytest.mark.parametrize(
    ("kind", "column", "change", "what"),
    [
        ("usage", "amount", more, "lines of usage"),
        ("adjustment", "amount", more, "lines of corrections"),
        ("adjustment", "exact_amount", a_little_more, "lines of corrections"),
        ("manual", "amount", more, "lines by hand"),
    ],
)
def test_a_line_that_is_another_is_found(
    corrected: Project, kind: str, column: str, change: Callable[[Any], Any], what: str
) -> None:
    with changed(corrected, "bill_lines", lambda row: row["kind"] == kind, **{column: change}):
        assert found(corrected.rated_again(FEBRUARY)) == {(ONE, what, column)}


@pytest.mark.parametrize("column", ["discount", "tax", "amount_due", "adjustments_total"])
def test_a_total_that_is_another_is_found(corrected: Project, column: str) -> None:
    """On the bill, and on a document of its own."""
    table, what = ("correction_documents", "document") if corrected.house.separate else ("facturation_complete", "bill")
    with changed(corrected, table, lambda row: row["customer_id"] == ONE, **{column: more}):
        assert found(corrected.rated_again(FEBRUARY)) == {(ONE, what, column)}


def test_a_difference_that_no_line_bills_is_found(corrected: Project) -> None:
    """A row of adjustments is on a line; of one that is written off it must not be."""
    written_off = {"disposition": lambda _: "written_off"}
    with changed(corrected, "adjustments", lambda row: row["record_id"] == "r3", **written_off):
        result = corrected.rated_again(FEBRUARY)
    assert (ONE, "lines of corrections", "exact_amount") in found(result)
    assert (
        f"customer {ONE}: lines of corrections (sms, PLAN_A, R1, {JANUARY}, usage): exact_amount is 0.666000, and 0.333000"
    ) in "; ".join(result.findings)


# ------------------------------------------------------------------------------------- record types that are not named

#: Charged by the message; by the started minute; by what is measured.
MMS = RecordType("mms", "multimedia messages", "sender_id", Units("event"), other_party="receiver_id")
VIDEO = RecordType(
    "video",
    "films",
    "user_id",
    Units("minute", "watched_sec", 60),
    quantities=(Quantity("watched_sec", "time", "seconds", 3, "Seconds.", required=True, positive=True),),
    product_field="product_code",
)
CLOUD = RecordType(
    "cloud",
    "backups",
    "user_id",
    Units("MB", "stored_mb"),
    quantities=(Quantity("stored_mb", "size", "megabytes", 6, "Megabytes.", required=True),),
    product_field="product_code",
)
TYPES = RecordTypes((*RECORD_TYPES, MMS, VIDEO, CLOUD))
TABLES = tables_of(TYPES, "MAD")
PRICES = {"mms": "0.333335", "video": "0.5", "cloud": "0.25"}


def event(record_id: str, kind: str, **measured: str) -> Mapping[str, Any]:
    return {
        "record_id": record_id,
        "record_type": kind,
        "subscriber_id": ONE,
        "event_ts": None,
        "product_code": kind.upper(),
        "rating_status": "ready",
        "source_id": "s",
        "source_part": 0,
        "source_position": 1,
        "event_date": date(2026, 2, 3),
        **measured,
    }


@pytest.fixture
def of_other_types(plain: Warehouse, sail: SparkEngine, tmp_path: Path) -> Callable[[str], Compared]:
    """A customer with a message, a film of so many seconds and a backup, billed; the second rating of the month is asked."""
    warehouse = Warehouse(str(tmp_path / "others"), sail, TABLES)
    warehouse.make_tables()

    def store(name: str, rows: list[Mapping[str, Any]], partitions: Partitions | None = None) -> None:
        warehouse.overwrite_arrow(name, contract_table(TABLES[name], rows), partitions)

    def events(watched: str) -> None:
        cleaned = [event("a", "mms"), event("b", "video", watched_sec=watched), event("c", "cloud", stored_mb="1.5")]
        store(CLEANED_CDRS.name, cleaned, Partitions(date(2026, 2, 3), date(2026, 2, 3)))

    customer = {"customer_id": ONE, "subscription_type": "postpaid", "rate_plan_id": "P", "status": "active"}
    store("customers", [customer | {"customer_name": "C", "region": "R", "holder_no": 1}])
    catalogue = {"unit": "event", "rate_type": "flat", "description": ""}
    store("product_catalog", [catalogue | {"product_code": each.upper(), "service_type": each} for each in PRICES])
    price = {"rate_plan_id": "P", "free_units": "0"}
    store(
        "rate_plans",
        [price | {"product_code": kind.upper(), "service_type": kind, "unit_price": of} for kind, of in PRICES.items()],
    )
    events("61")
    customers, plans, products = (warehouse.pin(name).all() for name in ("customers", "rate_plans", "product_catalog"))
    reference = ReferenceData(
        customers, plans, products, dict.fromkeys(("customers", "rate_plans", "product_catalog"), 1)
    )
    of_month = partial(warehouse.pin_period, period=FEBRUARY)
    rated = rate(of_month(CLEANED_CDRS.name).df, reference, missing_volume="customer_min", record_types=TYPES).rated
    month = Partitions(FEBRUARY, FEBRUARY)
    warehouse.overwrite("bill_lines", usage_lines(rated, FEBRUARY, TERMS), month)
    warehouse.overwrite("facturation_complete", bill(of_month("bill_lines").df, customers, FEBRUARY, TERMS), month)

    def again(watched: str) -> Compared:
        events(watched)
        of_bills = ("cleaned_cdrs", "adjustments", "manual_lines", "bill_lines", "facturation_complete")
        cleaned, adjustments, by_hand, lines, bills = (of_month(name) for name in of_bills)
        named = ("customers", "rate_plans", "product_catalog")
        customers, plans, products = (warehouse.pin(name) for name in named)
        documents = of_month("correction_documents")
        inputs = Inputs(
            month=FEBRUARY,
            cleaned=cleaned,
            customers=customers,
            rate_plans=plans,
            product_catalog=products,
            adjustments=adjustments,
            manual_lines=by_hand,
            closed_lines=None,
            lines=lines,
            bills=bills,
            correction_documents=documents,
            terms=TERMS,
            missing_volume_policy="customer_min",
            record_types=TYPES,
        )
        return compared(inputs, 10)

    return again


def test_record_types_that_the_script_does_not_name_are_rated_by_what_they_say(
    of_other_types: Callable[[str], Compared],
) -> None:
    """61 seconds are two minutes, 120 as well; 121 are three, at 0.5 each."""
    assert [(result.customers, list(result.findings)) for result in map(of_other_types, ("61", "120"))] == [(1, [])] * 2
    units = [row for row in of_other_types("121").differs if row["column"] == "units"]
    assert [(row["service"], row["stored"], row["again"]) for row in units] == [("video", Decimal(2), Decimal(3))]
