"""A warehouse of the version before becomes one of this version: every row, every position, every day that waits.

Belongs here: what is there afterwards, whatever the runs of that version had left, and whatever shape it was in.
Does not belong here: what is printed (`test_cli_warehouse`), a bucket (`cluster/test_upgrade`).
"""

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from resources.warehouse import Partitions, Warehouse, WarehouseError, went_back
from telecom_assets.intake.identities import landed_equals_consumed, landed_rows_are_consumed
from telecom_assets.intake.journal import read_state
from telecom_assets.mediation.identities import raw_equals_outcomes
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.states import APPROVED, DRAFTED, PeriodError
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.identities import missing_volumes_follow
from telecom_assets.rating.rules import rate
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets.tables import TABLES, tables_of
from telecom_assets.upgrade import Done, Plan, plan_upgrade, upgrade
from telecom_assets.upgrade import raw_rows as raw_rows_module
from telecom_assets.upgrade.raw_rows import Conflict, Range
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Message, Parameters, Row
from telecom_assets_tests.stages.chain import (
    CALENDAR_START,
    VERSIONS,
    assert_rows,
    imputed,
    raw_row,
    reference_data,
    rejections,
)
from telecom_assets_tests.upgrade.former import (
    LANDED_AT,
    MESSAGES,
    TOPIC_ID,
    A,
    B,
    C,
    FormerWarehouse,
    message,
    of_days,
    under_former_names,
)

pytestmark = pytest.mark.thorough

RAW, LEDGER, CLEANED, REJECTED, MEDIATED = (
    "raw_cdrs",
    "landing_ranges",
    "cleaned_cdrs",
    "rejected_cdrs",
    "mediated_days",
)


def planned(warehouse: Warehouse, *months: str) -> Plan:
    return plan_upgrade(warehouse, months, CALENDAR_START)


def upgraded(warehouse: Warehouse, *months: str) -> tuple[Plan, Done]:
    plan = planned(warehouse, *months)
    return plan, upgrade(warehouse, plan, calendar_start=CALENDAR_START, dedupe_days=31)


def rows(warehouse: Warehouse, name: str) -> list[Row]:
    found: list[Row] = warehouse.pin(name).arrow().to_pylist()
    return found


def raw_rows(messages: Sequence[Message], **changed: Any) -> list[Row]:
    return [{**raw_row(each, Parameters()), **changed} for each in messages]


def ranges(warehouse: Warehouse) -> list[tuple[int, int, int, int]]:
    """(partition, from, to, records) of the ledger, in order."""
    names = ("source_part", "from_position", "to_position", "records")
    return sorted(tuple(row[name] for name in names) for row in rows(warehouse, LEDGER))


def assert_sound(warehouse: Warehouse) -> None:
    """The books of landing balance, by a look at every row and by the totals, and mediation's for its own days."""
    for verdict in (landed_equals_consumed(warehouse), landed_rows_are_consumed(warehouse)):
        assert verdict.passed, verdict.summary


def logs(root: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(root).rglob("*") if path.is_file()}


# ---------------------------------------------------------------------------------------------------------- every table


def test_every_row_keeps_its_values_and_gets_its_source(former: FormerWarehouse, warehouse: Warehouse) -> None:
    """On each engine, which reads the table as well as delta-rs does, behind a checkpoint of the old shape too."""
    DeltaTable(former.path(RAW)).create_checkpoint()
    plan, done = upgraded(warehouse)
    assert [shape.name for shape in plan.shapes] == [
        RAW,
        CLEANED,
        REJECTED,
        "rated_cdrs",
        "suspended_cdrs",
        MEDIATED,
        LEDGER,
    ]
    outcomes = [each for each in oracle.mediate(MESSAGES, cdrs.CATALOGUE, Parameters()) if each.home_day in (A, B)]
    for read in (lambda name: rows(warehouse, name), lambda name: warehouse.pin(name).all().toArrow().to_pylist()):
        assert_rows(TABLES[RAW], read(RAW), raw_rows(MESSAGES))
        assert_rows(TABLES[CLEANED], read(CLEANED), [each.row for each in outcomes if each.reason is None])
        assert_rows(TABLES[REJECTED], read(REJECTED), rejections(outcomes))
    assert {each.reason for each in outcomes} == {None, "invalid_subscriber", "duplicate_conflict"}
    [rated], [suspended] = rows(warehouse, "rated_cdrs"), rows(warehouse, "suspended_cdrs")
    assert (rated["source_id"], rated["source_part"], rated["source_position"]) == (TOPIC_ID, 1, 7)
    assert (rated["amount"], rated["event_date"], rated["imputed"]) == (Decimal("0.123456"), A, False)
    assert (suspended["source_id"], suspended["source_position"], suspended["reason"]) == (TOPIC_ID, 8, "no_price")
    assert not done.findings
    assert_sound(warehouse)


def test_landing_and_mediation_stand_where_they_stood(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    _, done = upgraded(opened())
    warehouse = opened()
    state = read_state(warehouse)
    assert (state.source_id, state.topic, dict(state.ends)) == (TOPIC_ID, former.topic, {0: 7, 1: 5})
    assert (state.unsettled, state.settled, state.decisions) == ([], state.raw_version, [])
    assert ranges(warehouse) == [
        (0, 0, 0, 0),
        (0, 0, 3, 3),
        (0, 3, 5, 2),
        (0, 5, 7, 2),
        (1, 0, 0, 0),
        (1, 0, 2, 2),
        (1, 2, 5, 3),
    ]
    assert set(stale_days(warehouse)) == done.days == {C}
    mediated = {row["event_date"]: row for row in rows(warehouse, MEDIATED)}
    assert {day: (row["raw_rows"], row["raw_positions"]) for day, row in mediated.items()} == {A: (5, 4), B: (5, 16)}
    assert {(row["cleaned_version"], row["rejected_version"]) for row in mediated.values()} == {
        (warehouse.version(CLEANED), warehouse.version(REJECTED))
    }
    verdict = raw_equals_outcomes(warehouse.pin(MEDIATED), warehouse.pin(CLEANED), warehouse.pin(REJECTED))
    assert verdict.passed, verdict.summary


def test_the_log_has_statistics_of_the_new_columns(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    """Landing asks them how far back the times of receipt go."""
    upgraded(opened())
    warehouse = opened()
    files = pa.table(DeltaTable(former.path(RAW)).get_add_actions(flatten=True)).to_pylist()
    assert {(each["min.source_id"], each["null_count.source_part"]) for each in files} == {(TOPIC_ID, 0)}
    assert max(each["max.received_at"] for each in files) == max(each.received_at for each in MESSAGES)
    late = warehouse.stage_arrow(RAW, pa.Table.from_pylist(raw_rows(of_days(A)[:1]), TABLES[RAW].arrow_schema()))
    assert went_back(warehouse.pin(RAW), late, "received_at") == of_days(A)[0].received_at


def test_a_plan_changes_nothing_and_a_second_upgrade_has_nothing_to_do(
    former: FormerWarehouse, root: str, opened: Callable[[], Warehouse]
) -> None:
    before = logs(root)
    plan = planned(opened(), "2026-05")
    assert logs(root) == before
    assert (plan.days, plan.months, plan.ends, plan.is_empty) == ({C}, {"2026-05": 0}, {0: 7, 1: 5}, False)
    upgraded(opened(), "2026-05")
    after = logs(root)
    assert planned(opened(), "2026-05").is_empty
    assert logs(root) == after


def test_an_empty_warehouse_gets_its_columns(root: str, opened: Callable[[], Warehouse]) -> None:
    """Made, and never landed into; then watched."""
    made = FormerWarehouse(root)
    plan, done = upgraded(opened())
    assert (len(plan.shapes), done.days, read_state(opened()).source_id) == (7, set(), None)
    assert planned(opened()).is_empty
    made = FormerWarehouse(root + "2")
    made.watch([0, 1])
    warehouse = Warehouse(root + "2", opened().engine, TABLES)
    upgraded(warehouse)
    assert dict(read_state(warehouse).ends) == {0: 0, 1: 0}
    assert_sound(warehouse)


def test_numbers_get_the_room_of_their_contract(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    """A table whose columns are all there, one of them with fewer digits."""
    name, schema = "revenue_by_plan", TABLES["revenue_by_plan"].arrow_schema()
    narrow = pa.schema(
        [pa.field(each.name, pa.decimal128(9, 2) if each.name == "revenue_incl_tax" else each.type) for each in schema]
    )
    rows_then = [{"rate_plan_id": "p", "revenue_incl_tax": Decimal("12.34"), "billing_period": "2026-06"}]
    write_deltalake(former.path(name), pa.Table.from_pylist(rows_then, narrow), partition_by=["billing_period"])
    with pytest.raises(
        WarehouseError, match=r"has revenue_incl_tax as decimal128\(9, 2\).* `telecom warehouse upgrade`"
    ):
        opened().pin(name)
    plan, _ = upgraded(opened())
    [shape] = [shape for shape in plan.shapes if shape.name == name]
    assert shape.changes == ["revenue_incl_tax: decimal(9,2) becomes decimal(28,2)"]
    assert rows(opened(), name) == rows_then


def before_lines(rows_then: Sequence[Row]) -> pa.Table:
    """Rows of facturation_complete as the version without lines had them."""
    schema = TABLES["facturation_complete"].arrow_schema()
    new = ("adjustments_total", "other_total", "status")
    schema = pa.schema([field for field in schema if field.name not in new])
    whole = {name: Decimal(0) if pa.types.is_decimal(schema.field(name).type) else None for name in schema.names}
    return pa.Table.from_pylist([{**whole, **row} for row in rows_then], schema)


def test_bills_of_a_version_without_lines_get_their_columns(root: str, opened: Callable[[], Warehouse]) -> None:
    """1.00 + 0.14 + 0.12 are voice, sms and data; 0.25 of 1.51 were of other services. Lines come when the month is billed again."""
    Warehouse(root, opened().engine, TABLES).make_tables(
        [name for name in TABLES if name not in ("bill_lines", "billing_terms", "facturation_complete")]
    )
    common = {"region": "R", "rate_plan_id": "P", "currency": "MAD", "billing_period": "2026-06"}
    services = {"voice_total": Decimal("1.00"), "sms_total": Decimal("0.14"), "data_total": Decimal("0.12")}
    then = [
        {**common, **services, "customer_id": "with", "amount_before_tax": Decimal("1.51")},
        {**common, **services, "customer_id": "without", "amount_before_tax": Decimal("1.26")},
    ]
    write_deltalake(f"{root}/facturation_complete", before_lines(then), partition_by=["billing_period"])
    with pytest.raises(
        WarehouseError, match="lacks adjustments_total, other_total, status; .*`telecom warehouse upgrade`"
    ):
        opened().pin("facturation_complete")
    plan, done = upgraded(opened())
    assert [shape.name for shape in plan.shapes] == ["facturation_complete"]
    assert (sorted(plan.added), plan.months_to_bill) == (["bill_lines", "billing_terms"], ["2026-06"])
    found = {row["customer_id"]: row for row in rows(opened(), "facturation_complete")}
    new = ("adjustments_total", "other_total", "status")
    assert {name: tuple(row[column] for column in new) for name, row in found.items()} == {
        "with": (Decimal("0.00"), Decimal("0.25"), "draft"),
        "without": (Decimal("0.00"), Decimal("0.00"), "draft"),
    }
    for row in then:
        assert found[row["customer_id"]].items() >= row.items()
    assert rows(opened(), "bill_lines") == []
    assert planned(opened()).is_empty
    assert planned(opened()).months_to_bill == []
    assert not done.findings


def test_another_currency_is_no_new_shape(root: str, opened: Callable[[], Warehouse]) -> None:
    """Bills in dirhams would lose their decimals as yen. A table without rows is made anew."""
    in_yen = tables_of(RECORD_TYPES, "JPY")
    opened().make_tables()
    empty = Warehouse(root, opened().engine, in_yen)
    with pytest.raises(
        WarehouseError, match="its amounts have another number of decimals than the currency in force has"
    ):
        empty.pin("facturation_complete")
    plan, _ = upgraded(empty)
    assert {shape.name for shape in plan.shapes} == {
        *("bill_lines", "facturation_complete", "correction_documents", "manual_lines", "documents"),
        *("revenue_by_plan", "plan_by_region", "top10_consumers"),
    }
    assert Warehouse(root, opened().engine, in_yen).pin("facturation_complete").rows_by_partition() == {}

    billed = {"customer_id": "c", "amount_due": Decimal(1234), "currency": "JPY", "billing_period": "2026-06"}
    schema = in_yen["facturation_complete"].arrow_schema()
    yen = Warehouse(root, opened().engine, in_yen)
    yen.overwrite_arrow(
        "facturation_complete", pa.Table.from_pylist([billed], schema), Partitions("2026-06", "2026-06")
    )
    before = logs(root)
    with pytest.raises(
        WarehouseError, match="facturation_complete .* another number of decimals .*TELECOM_CURRENCY.*nothing was"
    ):
        planned(opened())
    assert logs(root) == before


def test_what_days_have_imputed_is_charged_until_the_month_charges_it(
    former: FormerWarehouse, opened: Callable[[], Warehouse]
) -> None:
    """Nothing of the figures changes, neither by the upgrade nor when the month is rated again."""
    values = [session(0, 5), session(1, None), session(2, "2.5"), session(3, None, day=2)]
    messages = [Message(3, offset, LANDED_AT, value, TOPIC_ID) for offset, value in enumerate(values)]
    former.land(messages)
    former.mediate(A, B)
    result = oracle.run(messages, cdrs.CUSTOMERS, cdrs.RATE_PLANS, cdrs.CATALOGUE)
    assert len(result.rated) == len(result.imputed) == 2
    former.write("rated_cdrs", [under_former_names(row) for row in result.charges])
    plan, _ = upgraded(opened())
    assert (plan.added, plan.months_to_rate) == (["period_charges"], ["2026-06"])

    warehouse = opened()
    assert rows(warehouse, "period_charges") == []
    places = [("source_part", "ascending"), ("source_position", "ascending")]

    def charged() -> list[Row]:
        found = charges_of_month(warehouse, "2026-06").df.where("source_part = 3").toArrow()
        rows: list[Row] = found.drop_columns([f"{name}_version" for name in VERSIONS]).sort_by(places).to_pylist()
        return rows

    before = charged()
    # 4.9, twice 2.4 and 2.4 megabytes of PLAN_A's DATA_BASIC at 0.012345: 0.0604905, 0.029628
    assert [row["amount"] for row in before] == [Decimal(each) for each in ("0.060491", *["0.029628"] * 3)]
    follow = partial(missing_volumes_follow, "customer_min")
    verdict = follow(*map(warehouse.pin, ("rated_cdrs", "suspended_cdrs")))
    assert [finding.split(",")[0] for finding in verdict.findings] == [
        f"{day}: 1 events have an imputed volume" for day in (A, B)
    ]

    june = Partitions(A, date(2026, 6, 30))
    cleaned = warehouse.pin(CLEANED, june)
    ratings = rate(cleaned.df.where("source_part = 3"), reference_data(warehouse.engine), missing_volume="customer_min")
    warehouse.overwrite("rated_cdrs", ratings.rated, june)
    warehouse.overwrite("suspended_cdrs", ratings.suspended, june)
    suspended = warehouse.pin("suspended_cdrs", june)
    month = Partitions("2026-06", "2026-06")
    warehouse.overwrite(
        "period_charges", imputed(warehouse.engine, warehouse.pin("rated_cdrs", june).df, suspended.df), month
    )
    assert charged() == before
    assert follow(warehouse.pin("rated_cdrs"), suspended).passed
    assert planned(opened()).months_to_rate == []


def session(number: int, volume: object, day: int = 1) -> bytes:
    """A data session of a customer of PLAN_A."""
    fields = {
        "record_ID": f"s{number}",
        "record_type": "data",
        "timestamp": f"2026-06-0{day}T12:00:00",
        "user_id": "212600000001",
    }
    return json.dumps(
        {**fields, "data_volume_mb": volume, "product_code": "DATA_BASIC", "cell_id": "C", "technology": "4G"}
    ).encode()


# -------------------------------------------------------------------------------------------- what runs had left behind


def test_rows_of_a_run_that_died_before_its_ledger_get_a_row_there(
    former: FormerWarehouse, opened: Callable[[], Warehouse]
) -> None:
    """Behind the end of one partition, and in one that nobody has landed from; offset 8 holds no message."""
    former.land([message(C, 0, 7), message(C, 0, 9), message(C, 2, 0)], dies=True)
    plan, _ = upgraded(opened())
    assert list(plan.missing) == [Range(0, 7, 10, 2), Range(2, 0, 1, 1)]
    warehouse = opened()
    assert dict(read_state(warehouse).ends) == {0: 10, 1: 5, 2: 1}
    assert {(0, 7, 10, 2), (2, 0, 1, 1)} <= set(ranges(warehouse))
    assert set(stale_days(warehouse)) == {C}
    assert_sound(warehouse)


def test_what_two_homes_landed_twice_stays_once(former: FormerWarehouse, warehouse: Warehouse) -> None:
    """Day A was mediated with all of its rows twice; day B before the second home came; the second home wrote a longer range."""
    former.land(of_days(A))
    former.mediate(A, rows_twice=True)
    former.land([*of_days(B, C), message(C, 0, 7)])
    plan, done = upgraded(warehouse)
    assert plan.doubled.rows == len(MESSAGES)
    assert (plan.doubled.conflicts, plan.doubled.days) == (0, {A, B, C})
    assert_rows(TABLES[RAW], rows(warehouse, RAW), raw_rows([*MESSAGES, message(C, 0, 7)]))
    # The second home's ranges: 0 to 3 and 0 to 2 again; of 3 to 8 what is new; 2 to 5 again.
    assert ranges(warehouse) == [
        *[(0, 0, 0, 0), (0, 0, 3, 3), (0, 3, 5, 2), (0, 5, 7, 2), (0, 7, 8, 1)],
        *[(1, 0, 0, 0), (1, 0, 2, 2), (1, 2, 5, 3)],
    ]
    assert set(stale_days(warehouse)) == done.days == {A, B, C}
    assert_sound(warehouse)


def test_the_row_that_was_received_first_stays(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    """A topic without broker time: each home wrote when it had read. The other home's row lies on another day as well."""
    [first] = [each for each in MESSAGES if (each.partition, each.offset) == (0, 5)]
    earlier = first.received_at - timedelta(minutes=5)
    former.append([first], received_at=earlier, event_date=B)
    plan, _ = upgraded(opened())
    assert (plan.doubled.rows, plan.doubled.days) == (1, {B, C})
    others = [each for each in MESSAGES if each != first]
    expected = [*raw_rows(others), *raw_rows([first], received_at=earlier, event_date=B)]
    assert_rows(TABLES[RAW], rows(opened(), RAW), expected)
    assert set(stale_days(opened())) == {B, C}
    assert_sound(opened())


def test_a_day_that_loses_all_of_its_rows_is_mediated_again(
    former: FormerWarehouse, opened: Callable[[], Warehouse]
) -> None:
    """Its rows are of messages that lie elsewhere; nothing of it is left in raw_cdrs, and its outcomes are still there."""
    other = date(2026, 5, 20)
    former.append(of_days(A), event_date=other)
    former.parameters = Parameters()
    former.write(
        MEDIATED, [{"raw_rows": 5, "raw_offsets": Decimal(4), "raw_version": former.version(RAW), "event_date": other}]
    )
    # Of equal times the earlier day's row stays: those of day A go.
    plan, _ = upgraded(opened())
    assert (plan.doubled.rows, plan.doubled.days) == (5, {other, A, B}), "B holds a copy of one of them"
    assert set(stale_days(opened())) == {other, A, B, C}


def test_positions_with_other_bytes_are_told_and_left(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    """Of the topic that was made again in the middle of a landing. One of them landed twice besides."""
    strangers = [message(B, 0, offset, f"new-{offset}") for offset in (3, 4)]
    former.append(strangers)
    former.append(strangers[:1])
    plan, done = upgraded(opened())
    assert plan.doubled.rows == 1
    assert plan.doubled.conflicts == 2
    assert list(plan.doubled.first_conflicts) == [Conflict(0, 3, 3), Conflict(0, 4, 2)]
    found = sorted(rows(opened(), RAW), key=lambda row: (row["source_part"], row["source_position"], row["record_id"]))
    expected = sorted(
        raw_rows([*MESSAGES, *strangers]),
        key=lambda row: (row["source_part"], row["source_position"], row["record_id"]),
    )
    assert [row["value"] for row in found] == [row["value"] for row in expected]
    assert done.findings == (["12 messages consumed, 14 rows in raw_cdrs"])
    assert "2 rows stand twice" in landed_equals_consumed(opened()).summary


def test_the_first_positions_with_other_bytes_are_named(
    root: str, opened: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 24, in three blocks of two partitions, and among them rows that stand twice."""
    monkeypatch.setattr(raw_rows_module, "_BLOCK", 64)
    made = FormerWarehouse(root)
    made.watch([0, 1])
    made.land([message(A, part, offset) for part in (0, 1) for offset in range(100)])
    places = [(part, offset) for part in (0, 1) for offset in range(8, 100, 8)]
    assert len(places) == 24
    made.append([message(A, *place, "another") for place in places])
    made.append([message(A, part, 63) for part in (0, 1)])
    plan = planned(opened())
    assert (plan.doubled.rows, plan.doubled.conflicts, plan.doubled.days) == (2, 24, {A})
    assert list(plan.doubled.first_conflicts) == [Conflict(*place, 2) for place in places[:20]]


def test_marked_days_wait_for_their_mediation_as_before(
    former: FormerWarehouse, opened: Callable[[], Warehouse]
) -> None:
    """A was mediated before; C, marked too, never was."""
    former.mark(A)
    former.mark(C)
    plan, done = upgraded(opened())
    warehouse = opened()
    assert plan.days == done.days == set(stale_days(warehouse)) == {A, C}
    mediated = {row["event_date"]: row["raw_rows"] for row in rows(warehouse, MEDIATED)}
    assert mediated == {A: 5, B: 5}, "as many as came out of A"


def test_opened_months_are_decisions_afterwards(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    """A call of March that landed before its month was opened moves to its own day; the second time nothing is to do."""
    march = message(date(2026, 3, 5), 0, 7, hours=24 * 90)
    former.land([march])
    home = oracle.home_day(march)
    assert home == date(2026, 6, 3)
    plan = planned(opened(), "2026-03", "2026-06")
    assert plan.months == {"2026-03": 1, "2026-06": 0}
    assert plan.days == {C, date(2026, 3, 5)}
    _, done = upgraded(opened(), "2026-03", "2026-06")
    warehouse = opened()
    assert done.moved == {"2026-03": 1, "2026-06": 0}
    assert read_state(warehouse).opened_months == ["2026-03", "2026-06"]
    assert_rows(
        TABLES[RAW], rows(warehouse, RAW), [*raw_rows(MESSAGES), *raw_rows([march], event_date=date(2026, 3, 5))]
    )
    assert done.days == plan.days
    assert planned(opened(), "2026-03").is_empty
    assert planned(opened(), "2026-04").months == {"2026-04": 0}, "the other home's"
    assert_sound(warehouse)


def test_rows_of_an_approved_month_are_not_rewritten(former: FormerWarehouse, opened: Callable[[], Warehouse]) -> None:
    """A table of before, put beside the states of now: it is refused before anything is changed."""
    warehouse = opened()
    for state in (DRAFTED, APPROVED):
        change_state(warehouse, lambda _, to=state: changed_now(f"{A:%Y-%m}", to, by="Anna"))  # type: ignore[misc]
    files = sorted(Path(former.root).rglob("*"))
    with pytest.raises(PeriodError, match=f"table rated_cdrs was not upgraded: .* {A:%Y-%m} is approved by Anna"):
        plan_upgrade(warehouse, [], CALENDAR_START)
    assert sorted(Path(former.root).rglob("*")) == files
