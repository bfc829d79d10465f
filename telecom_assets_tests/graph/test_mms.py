"""A record type that the product does not know is defined here, and its records become rated events and money on a bill.

Belongs here: that nothing of the product has to change for it, from the topic to the invoice, on both engines. What a
record type may be is in `record_types/test_record_types.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import strategies as st
from lxml import etree
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse, WarehouseError
from telecom_assets.billing.identities import rated_equals_billed
from telecom_assets.billing.left_aside import NO_HOLDERS
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE
from telecom_assets.definitions import build_defs
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.output_files import invoice_directory
from telecom_assets.intake.admission import admit
from telecom_assets.mediation.rules import Outcomes, mediate
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.mediation.tables import REJECTED_CDRS
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.rules import rate
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import Quantity, RecordType, Units
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMERS
from telecom_assets.reports.rules import BilledMonth, report
from telecom_assets.reports.tables import MIX_BY_REGION
from telecom_assets.runs.month_runner import MonthRunner
from telecom_assets.tables import TABLES, tables_of
from telecom_assets.upgrade import plan_upgrade, upgrade
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.graph.project import DATA, MONTH, Project, Row, cdr, ordered, with_single_jobs, without
from telecom_assets_tests.oracle import KINDS, Kind, Message, Parameters
from telecom_assets_tests.stages.chain import (
    CALENDAR_START,
    assert_rows,
    billed,
    contract_frame,
    contract_table,
    drawn,
    imputed,
    messages_frame,
    raw_row,
    reference_data,
    rejections,
    rows_of,
    side_by_side,
    stored,
)

pytestmark = pytest.mark.thorough

# ------------------------------------------------------------------------------------------- the record type, twice

SIZE = Quantity(
    field="size_kb", noun="size", unit="kilobytes", scale=3, doc="Size of a multimedia message, kB.", judged=False
)
MMS = RecordType(
    name="mms",
    events="multimedia messages",
    subscriber="sender_id",
    other_party="receiver_id",
    quantities=(SIZE,),
    units=Units("event"),
)
TYPES = RecordTypes((*RECORD_TYPES, MMS))
TABLES_WITH_MMS = tables_of(TYPES)
RAW, CLEANED = TABLES_WITH_MMS["raw_cdrs"], TABLES_WITH_MMS["cleaned_cdrs"]


def read_size(text: str | None) -> Decimal | None:
    """Kilobytes to three decimals; None when missing or unusable."""
    number = oracle.read_number(text)
    return None if number is None or not 0 <= number <= 10_000_000 else oracle.typed(number, 3)


OF_ORACLE = Kind(
    "mms",
    ("sender_id", "receiver_id", "size_kb"),
    oracle.product_by_other_party("MMS", "receiver_id"),
    oracle.one_event,
    {"size_kb": read_size},
    other_party="receiver_id",
    forgiven=frozenset({"size_kb"}),
    on_bill=False,
)
PARAMETERS = Parameters(kinds={**KINDS, "mms": OF_ORACLE})
_SIZES = ("1", "300.0005", "300.0004", "0", "1e3", "null", '"big"', "-1", "10000000", "10000000.0001")
DRAWN = (
    *cdrs.DRAWN,
    cdrs.Drawn(OF_ORACLE, weight=4, percent=40, sound={}, tokens={"size_kb": st.sampled_from(_SIZES)}),
)

# ------------------------------------------------------------------------------------------------ what it costs here


def catalogue(code: str) -> Row:
    return {"product_code": code, "service_type": "mms", "unit": "event", "rate_type": "flat", "description": code}


def price(plan: str, code: str, unit_price: str) -> Row:
    return {
        "rate_plan_id": plan,
        "product_code": code,
        "service_type": "mms",
        "unit_price": unit_price,
        "free_units": "0",
        "tier_threshold": None,
        "tier_price": None,
    }


CATALOGUE = [*cdrs.CATALOGUE, catalogue("MMS_NAT"), catalogue("MMS_INT")]
#: PLAN_B has no price for one at home, PLAN_VOICE has none for any.
RATE_PLANS = [
    *cdrs.RATE_PLANS,
    price("PLAN_A", "MMS_NAT", "0.333335"),
    price("PLAN_A", "MMS_INT", "1.5"),
    price("PLAN_B", "MMS_INT", "0.25"),
]
PERIOD = "2026-03"


def landed(engine: SparkEngine, messages: list[Message]) -> DataFrame:
    """raw_cdrs of the messages with mms in force."""
    rows = admit(
        messages_frame(engine, messages),
        max_age_days=62,
        accept_months=set(),
        calendar_start=CALENDAR_START,
        now=datetime(2026, 12, 1, tzinfo=UTC),
        record_types=TYPES,
    )
    return stored(engine, rows)


def mediated(engine: SparkEngine, messages: list[Message]) -> Outcomes:
    raw = landed(engine, messages)
    products = contract_frame(engine, TABLES["product_catalog"], CATALOGUE)
    return mediate(raw, raw, products, dedupe_days=31, record_types=TYPES)


def message(record_id: str, **fields: str) -> bytes:
    """A sound mms of 2026-03-31 as a message, with other tokens as given."""
    sound = {
        "record_ID": f'"{record_id}"',
        "record_type": '"mms"',
        "timestamp": '"2026-03-31T12:00:00"',
        "sender_id": '"212600000001"',
        "receiver_id": '"212700000003"',
        "size_kb": "300",
    }
    return cdrs.object_text({**sound, **fields}).encode()


# ------------------------------------------------------------------------------------------------------ the transforms


@pytest.fixture(scope="module")
def batch() -> list[Message]:
    return side_by_side(drawn(cdrs.cdr_messages(min_size=5, max_size=25, drawn=DRAWN), 50))


@pytest.fixture(scope="module")
def expected(batch: list[Message]) -> oracle.Result:
    return oracle.run(batch, cdrs.CUSTOMERS, RATE_PLANS, CATALOGUE, PARAMETERS)


def test_the_batch_is_worth_it(expected: oracle.Result) -> None:
    """Otherwise what follows would prove little."""
    of_mms = [row for row in expected.rated if row["record_type"] == "mms"]
    assert {row["product_code"] for row in of_mms} == {"MMS_NAT", "MMS_INT"}
    assert {row["record_type"] for row in expected.rated} == {"voice", "sms", "data", "mms"}
    assert "no_price" in {row["reason"] for row in expected.suspended if row["record_type"] == "mms"}
    copies = {item.reason for item in expected.outcomes if item.original and b'"mms"' in (item.message.value or b"")}
    assert copies == {"duplicate", "duplicate_conflict"}
    cleaned = [row for row in expected.cleaned if row["record_type"] == "mms"]
    assert {row["rating_status"] for row in cleaned} == {"ready", "needs_review"}


def test_its_records_become_events_charges_and_bills_as_the_oracle_says(
    engine: SparkEngine, batch: list[Message], expected: oracle.Result
) -> None:
    outcomes = mediated(engine, batch)
    cleaned = stored(engine, outcomes.cleaned)
    assert_rows(CLEANED, rows_of(cleaned), expected.cleaned)
    assert_rows(REJECTED_CDRS, rows_of(outcomes.rejected), rejections(expected.outcomes))

    prices = reference_data(engine, rate_plans=RATE_PLANS, catalogue=CATALOGUE)
    ratings = rate(cleaned, prices, missing_volume="customer_min", record_types=TYPES)
    rated, suspended = stored(engine, ratings.rated), stored(engine, ratings.suspended)
    assert_rows(RATED_CDRS, rows_of(rated), expected.rated)
    assert_rows(SUSPENDED_CDRS, rows_of(suspended), expected.suspended)

    charged, deferred = (rows.where(F.col("billing_period") == PERIOD) for rows in (rated, suspended))
    late = stored(engine, imputed(engine, charged, deferred, prices, TYPES))
    assert_rows(PERIOD_CHARGES, rows_of(late), [row for row in expected.imputed if row["billing_period"] == PERIOD])
    both = (rated.where(F.col("billing_period") == PERIOD), late.where(F.col("amount").isNotNull()))
    of_month = stored(engine, reduce(DataFrame.unionByName, (rows.select(RATED_CDRS.column_names) for rows in both)))
    lines, made = billed(engine, of_month, contract_frame(engine, CUSTOMERS, cdrs.CUSTOMERS), PERIOD)
    bills = stored(engine, made)
    assert_rows(BILL_LINES, rows_of(lines), expected.lines(PERIOD))
    assert_rows(FACTURATION_COMPLETE, rows_of(bills), expected.bills(PERIOD))
    mix = rows_of(report(MIX_BY_REGION, BilledMonth(of_month, lines, bills, types=TYPES), PERIOD))
    assert_rows(MIX_BY_REGION, mix, expected.reports(PERIOD)["mix_by_region"])
    assert "mms" in {row["record_type"] for row in mix}


def test_a_message_has_its_text_in_a_column_of_its_own(engine: SparkEngine) -> None:
    values = [message("a"), message("b", size_kb="[1]"), message("c", size_kb='"1 MB"')]
    messages = [Message(0, place, cdrs.FIRST_RECEIPT, value) for place, value in enumerate(values)]
    raw = rows_of(landed(engine, messages))
    assert [row["size_kb"] for row in raw] == ["300", None, "1 MB"]
    wanted = [raw_row(each, Parameters()) for each in messages]
    assert_rows(TABLES["raw_cdrs"], raw, wanted)


def test_its_sums_on_a_bill_by_hand(engine: SparkEngine) -> None:
    """0.333335 + 0.333335 + 1.5 = 2.166670, which is 2.17 in other_total; discount 0.11, tax 0.41."""
    values = [message("a"), message("b"), message("c", receiver_id='"33612345678"')]
    messages = [Message(0, place, cdrs.FIRST_RECEIPT, value) for place, value in enumerate(values)]
    cleaned = stored(engine, mediated(engine, messages).cleaned)
    prices = reference_data(engine, rate_plans=RATE_PLANS, catalogue=CATALOGUE)
    rated = stored(engine, rate(cleaned, prices, missing_volume="customer_min", record_types=TYPES).rated)
    assert sorted(row["amount"] for row in rows_of(rated)) == [
        Decimal("0.333335"),
        Decimal("0.333335"),
        Decimal("1.500000"),
    ]
    lines, bills = billed(engine, rated, contract_frame(engine, CUSTOMERS, cdrs.CUSTOMERS[:1]), PERIOD)
    [made], [of_mms] = rows_of(bills), rows_of(lines)
    assert (of_mms["service"], of_mms["events"], of_mms["units"], of_mms["amount"]) == ("mms", 3, 3, Decimal("2.17"))
    assert {name: made[name] for name in ("voice_total", "sms_total", "data_total")} == dict.fromkeys(
        ("voice_total", "sms_total", "data_total"), Decimal("0.00")
    )
    assert [made[f"{name}_count"] for name in ("voice", "sms", "data")] == [0, 0, 0]
    assert (made["other_total"], made["amount_before_tax"]) == (Decimal("2.17"), Decimal("2.17"))
    assert made["rounding_difference"] == Decimal("0.003330")
    assert (made["discount"], made["tax"], made["amount_due"]) == (Decimal("0.11"), Decimal("0.41"), Decimal("2.47"))


def test_what_nothing_prices_is_suspended_and_taken_for_nothing_else(engine: SparkEngine) -> None:
    """A plan without a price for it; and a rating that knows no such type, although its product has a price."""
    values = [message("a"), message("b", sender_id='"212700000008"')]
    messages = [Message(0, place, cdrs.FIRST_RECEIPT, value) for place, value in enumerate(values)]
    cleaned = stored(engine, mediated(engine, messages).cleaned)
    prices = reference_data(engine, rate_plans=RATE_PLANS, catalogue=CATALOGUE)
    for record_types, reasons in ((TYPES, {"b": "no_price"}), (RECORD_TYPES, {"a": "no_price", "b": "no_price"})):
        found = rate(cleaned, prices, missing_volume="customer_min", record_types=record_types)
        suspended = rows_of(found.suspended)
        assert {row["record_id"]: row["reason"] for row in suspended} == reasons
        assert {row["disposition"] for row in suspended} == {"suspended"}
        # It is one unit to the type that counts it, and nothing to a rating that knows no such type.
        assert {row["billable_units"] for row in suspended} == {Decimal(1) if record_types is TYPES else None}
        assert {row["record_id"] for row in rows_of(found.rated)} == {"a", "b"} - set(reasons)


def test_without_it_in_force_its_records_are_unknown(sail: SparkEngine) -> None:
    messages = [Message(0, 0, cdrs.FIRST_RECEIPT, message("a"))]
    products = contract_frame(sail, TABLES["product_catalog"], CATALOGUE)
    raw = landed(sail, messages)
    [row] = rows_of(mediate(raw, raw, products, dedupe_days=31).rejected)
    assert (row["reason"], row["detail"]) == ("unknown_record_type", "mms")


@pytest.mark.parametrize("lost", ["mms", "voice"])
def test_the_identity_sees_an_event_that_no_bill_has(sail: SparkEngine, tmp_path: Path, lost: str) -> None:
    """An mms counts by its amount, a call by its count as well: one of nothing is seen too."""
    warehouse = Warehouse(str(tmp_path), sail, TABLES_WITH_MMS)

    def event(kind: str, offset: int, amount: str) -> Row:
        own = {"record_id": f"{offset}", "record_type": kind, "amount": amount, "source_position": offset}
        return {**own, "customer_id": "212600000001", "billing_period": PERIOD, "event_date": date(2026, 3, 31)}

    kept = [event("voice", 0, "1.5"), event("mms", 1, "0.25")]
    gone = event("mms", 2, "0.000001") if lost == "mms" else event("voice", 2, "0")
    known = contract_frame(sail, CUSTOMERS, cdrs.CUSTOMERS[:1])
    _, made = billed(sail, contract_frame(sail, RATED_CDRS, kept), known, PERIOD)
    month = Partitions(PERIOD, PERIOD)
    warehouse.overwrite(FACTURATION_COMPLETE.name, made, month)
    for rows, passed in ((kept, True), ([*kept, gone], False)):
        day = Partitions(date(2026, 3, 31), date(2026, 3, 31))
        warehouse.overwrite_arrow(RATED_CDRS.name, contract_table(RATED_CDRS, rows), day)
        charges = charges_of_month(warehouse, PERIOD)
        verdict = rated_equals_billed(
            charges, warehouse.pin_period(FACTURATION_COMPLETE.name, PERIOD), None, NO_HOLDERS
        )
        assert verdict.passed is passed, verdict.findings


# --------------------------------------------------------------------------------------------------- the whole graph


def tariff_files(folder: Path) -> dict[str, Path]:
    """The packaged tariffs with the two products: 0.25 at home and 0.755 abroad in every plan."""
    plans = (DATA / "rate_plans.csv").read_text()
    names = sorted({line.split(",")[0] for line in plans.splitlines()[1:] if line})
    lines = [f"{name},MMS_{end},mms,{cost},0,," for name in names for end, cost in (("NAT", "0.25"), ("INT", "0.755"))]
    products = (DATA / "product_catalog.csv").read_text()
    (folder / "plans.csv").write_text(plans.rstrip("\n") + "\n" + "\n".join(lines) + "\n")
    (folder / "catalogue.csv").write_text(
        products.rstrip("\n") + "\nMMS_NAT,mms,event,flat,At home\nMMS_INT,mms,event,flat,Abroad\n"
    )
    return {"rate_plans": folder / "plans.csv", "product_catalog": folder / "catalogue.csv"}


CALLER = "212600000001"
#: Three at home and one abroad, a call of two started minutes abroad, a session of 22.5 MB and one of unknown volume; one of an
#: unknown type, one without a sender.
SENT = [
    *(cdr("mms", day, f"mms-{day}", sender_id=CALLER, receiver_id="212700000002", size_kb=300) for day in (2, 3, 4)),
    cdr("mms", 4, "mms-abroad", sender_id=CALLER, receiver_id="33612345678", size_kb="0.0005"),
    cdr("voice", 3, "call-1", caller_id=CALLER, callee_id="33612345678", duration_sec=61),
    cdr("data", 3, "data-1", user_id=CALLER, data_volume_mb=22.5),
    cdr("data", 2, "data-late", user_id=CALLER),
    cdr("video", 3, "video-1", sender_id=CALLER, receiver_id="212700000002", size_kb=300),
    cdr("mms", 3, "mms-nobody", receiver_id="212700000002", size_kb=300),
]


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A month with multimedia messages from the topic to the dashboard, by definitions that were given the type."""
    made = new_project(partitions=1, **tariff_files(tmp_path_factory.mktemp("mms")))
    definitions = build_defs(made.settings, record_types=TYPES)
    assert definitions.resources is not None
    deployment = Deployment(made.settings, TABLES_WITH_MMS, TYPES)
    vars(deployment).update(warehouse=definitions.resources["warehouse"])
    vars(made).update(deployment=deployment, defs=with_single_jobs(definitions))
    made.store_customers(contract_table(CUSTOMER_LIST, cdrs.CUSTOMERS[:1]))
    made.produce(SENT)
    made.open_month()
    results = made.run_month()
    assert [name for result in results for name, passed, _ in result.checks if not passed] == []
    return made


def test_its_records_go_through_the_graph(project: Project) -> None:
    assert {row["record_id"]: row["size_kb"] for row in project.rows("raw_cdrs")}["mms-2"] == "300"
    cleaned = {row["record_id"]: row for row in project.rows("cleaned_cdrs")}
    assert {name: row["size_kb"] for name, row in cleaned.items()} == {
        **{f"mms-{day}": Decimal("300.000") for day in (2, 3, 4)},
        "mms-abroad": Decimal("0.001"),
        **dict.fromkeys(("call-1", "data-1", "data-late")),
    }
    assert {row["record_id"]: row["reason"] for row in project.rows("rejected_cdrs")} == {
        "video-1": "unknown_record_type",
        "mms-nobody": "missing_subscriber",
    }
    rated, late = (
        {row["record_id"]: (row["product_code"], row["billable_units"], row["amount"]) for row in project.rows(name)}
        for name in ("rated_cdrs", "period_charges")
    )
    one = Decimal("1.000000")
    session = ("DATA_BASIC", Decimal("22.500000"), Decimal("0.050000"))  # 20 are free, 2.5 × 0.02
    assert rated == {
        **{f"mms-{day}": ("MMS_NAT", one, Decimal("0.250000")) for day in (2, 3, 4)},
        "mms-abroad": ("MMS_INT", one, Decimal("0.755000")),
        "call-1": ("VOICE_INT", Decimal("2.000000"), Decimal("0.040000")),
        "data-1": session,
    }
    assert late == {"data-late": session}


def test_its_money_is_on_the_bill_and_in_the_reports(project: Project) -> None:
    """3 × 0.25 + 0.755 = 1.505, rounded 1.51; with the call of 0.04 and two sessions of 0.05 it is 1.65 before tax."""
    [made] = project.rows("facturation_complete")
    figures = {
        "voice_total": "0.04",
        "sms_total": "0.00",
        "data_total": "0.10",
        "amount_before_tax": "1.65",
        "rounding_difference": "0.005000",
        "discount": "0.08",
        "after_discount": "1.57",
        "tax": "0.31",
        "amount_due": "1.88",
    }
    assert {name: made[name] for name in figures} == {name: Decimal(text) for name, text in figures.items()}
    assert [made[f"{name}_count"] for name in ("voice", "sms", "data")] == [1, 0, 2]
    mix = {row["record_type"]: row["revenue"] for row in project.rows("mix_by_region")}
    assert mix == {"mms": Decimal("1.505000"), "voice": Decimal("0.040000"), "data": Decimal("0.100000")}
    [invoice] = invoice_directory(project.settings, MONTH).resolve().glob("*.xml")
    namespace = "{urn:telecom-assets:invoice:2}"
    assert (
        etree.parse(invoice).getroot().findtext(f"{namespace}UsageLines/{namespace}OtherUsage/{namespace}Amount")
        == "1.51"
    )


def test_the_graph_is_the_oracles(project: Project) -> None:
    """The same messages as the broker had them, judged by the requirements with this type among them."""
    assert project.settings.rate_plans is not None
    assert project.settings.product_catalog is not None
    plans = oracle.read_csv(project.settings.rate_plans)
    products = oracle.read_csv(project.settings.product_catalog)
    parameters = Parameters(accept_months={MONTH}, kinds=PARAMETERS.kinds)
    # Seen for the first time: valid from the activation date on.
    customers = [{**each, "valid_from": each["activation_date"]} for each in cdrs.CUSTOMERS[:1]]
    result = oracle.run(project.messages(), customers, plans, products, parameters)
    versions = ("detail", "customers_version", "rate_plans_version", "product_catalog_version")
    for name, rows in (
        ("cleaned_cdrs", result.cleaned),
        ("rejected_cdrs", result.rejected),
        ("rated_cdrs", result.rated),
        ("suspended_cdrs", result.suspended),
        ("period_charges", result.imputed),
    ):
        found = ordered(without(project.rows(name), *versions), "source_position")
        assert found == ordered(rows, "source_position"), name
    assert project.rows("facturation_complete") == result.bills(MONTH)


def test_the_page_of_a_table_has_its_column(project: Project) -> None:
    graph = build_defs(project.settings, record_types=TYPES).resolve_asset_graph()
    for name in ("raw_cdrs", "cleaned_cdrs"):
        [node] = [graph.get(key) for key in graph.get_all_asset_keys() if key.path[-1] == name]
        columns = {column.name for column in node.metadata["dagster/column_schema"].columns}
        assert "size_kb" in columns


def test_a_month_is_made_again_when_another_type_comes_into_force(project: Project) -> None:
    """The code is the same, and no table lacks a column."""
    assert [planned.stage.name for planned in project.runner().plan_month(MONTH)] == ["reference"]
    types = RecordTypes((*TYPES, replace(MMS, name="fax", quantities=())))
    deployment = Deployment(project.settings, tables_of(types), types)
    definitions = build_defs(project.settings, deployment.resources())
    plan = MonthRunner(definitions, project.instance, deployment, lambda *_: None).plan_month(MONTH)
    assert [planned.stage.name for planned in plan] == ["reference", "mediation", "billing"]
    assert all("other rules or settings" in planned.why for planned in plan[1:])


# ------------------------------------------------------------------------------------- a warehouse from before the type


def test_a_warehouse_from_before_it_is_given_its_columns(warehouse: Warehouse) -> None:
    """Without a word of it no table is read; the upgrade adds columns, no file is written anew and no day is to be mediated."""
    day = date(2026, 3, 31)
    event = {"record_id": "a", "subscriber_id": CALLER, "record_type": "sms", "event_date": day}
    warehouse.append_arrow("raw_cdrs", contract_table(TABLES["raw_cdrs"], [{**event, "value": b"{}"}]))
    warehouse.append_arrow("cleaned_cdrs", contract_table(TABLES["cleaned_cdrs"], [event]))
    mediated_day = {"event_date": day, "raw_rows": 1, "raw_version": 1, "cleaned_version": 1, "rejected_version": 0}
    warehouse.append_arrow("mediated_days", contract_table(TABLES["mediated_days"], [mediated_day]))
    files = {name: DeltaTable(warehouse.path(name)).file_uris() for name in ("raw_cdrs", "cleaned_cdrs")}

    later = Warehouse(warehouse.root, warehouse.engine, TABLES_WITH_MMS)
    for name in files:
        with pytest.raises(WarehouseError, match=rf"table {name} .* lacks size_kb; .*`telecom warehouse upgrade`"):
            later.pin(name)
    plan = plan_upgrade(later, [], CALENDAR_START)
    assert {shape.name: shape.changes for shape in plan.shapes} == {name: ["size_kb is added"] for name in files}
    assert not plan.days
    done = upgrade(later, plan, calendar_start=CALENDAR_START, dedupe_days=31)

    later = Warehouse(warehouse.root, warehouse.engine, TABLES_WITH_MMS)
    assert plan_upgrade(later, [], CALENDAR_START).is_empty
    assert not done.days
    assert stale_days(later) == {}
    assert {name: DeltaTable(later.path(name)).file_uris() for name in files} == files
    for name in files:
        [row] = rows_of(later.pin(name).all())
        assert (row["record_id"], row["size_kb"]) == ("a", None)
    fresh = contract_frame(later.engine, CLEANED, [{**event, "record_id": "b", "record_type": "mms", "size_kb": "1.5"}])
    later.overwrite("cleaned_cdrs", fresh, Partitions(day, day))
    assert [(row["record_id"], row["size_kb"]) for row in rows_of(later.pin("cleaned_cdrs").all())] == [
        ("b", Decimal("1.500"))
    ]
