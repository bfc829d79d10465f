"""The IO manager alone, with built contexts: which table, which partitions, what the UI is told.

Belongs here: Dagster's side of a read or a write. Does not belong here: how tables are written (`warehouse/test_writing`).
"""

from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from pyspark.sql.connect.dataframe import DataFrame

from resources.engine import SparkEngine
from resources.io_manager import DeltaIOManager, plain
from resources.warehouse import Partitions, PinnedTable, Warehouse, partition_value
from telecom_assets.lineage.partitions import DAILY, MONTHLY
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.reference.tables import PRODUCT_CATALOG
from telecom_assets.reports.tables import DAILY_REVENUE
from telecom_assets_tests.sample_tables import MONTHLY_SAMPLE, TABLES

MAY, JUNE, JULY = "2026-05", "2026-06", "2026-07"


@pytest.fixture
def plain_warehouse(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"), sail, TABLES)


def revenue(*rows: tuple[date, str]) -> pa.Table:
    listed = [
        {"billing_date": day, "revenue": Decimal(amount), "billing_period": f"{day:%Y-%m}"} for day, amount in rows
    ]
    return pa.Table.from_pylist(listed, schema=DAILY_REVENUE.arrow_schema())


def rated(*rows: tuple[date, str]) -> pa.Table:
    listed = [{"record_id": f"{day}-{amount}", "amount": Decimal(amount), "event_date": day} for day, amount in rows]
    return pa.Table.from_pylist(listed, schema=RATED_CDRS.arrow_schema())


def output(name: str, **partitions: Any) -> dg.OutputContext:
    return dg.build_output_context(asset_key=dg.AssetKey(name), **partitions)


def months(first: str, last: str) -> dict[str, Any]:
    """The partitions of a run over a range of months."""
    return {"asset_partitions_def": MONTHLY, "asset_partition_key_range": dg.PartitionKeyRange(first, last)}


def days(first: str, last: str) -> dict[str, Any]:
    return {"asset_partitions_def": DAILY, "asset_partition_key_range": dg.PartitionKeyRange(first, last)}


def shown_in_ui(context: dg.OutputContext) -> dict[str, Any]:
    """The metadata that the UI shows of a write, as plain values."""
    return {name: getattr(value, "value", value) for name, value in context.get_logged_metadata().items()}


# --------------------------------------------------------------------------------------------------------------- writing


def run_over(
    warehouse: Warehouse,
    name: str,
    partitions: dg.PartitionsDefinition,
    first: str,
    last: str,
    rows: Any,
    io_manager: DeltaIOManager | None = None,
) -> dict[str, dict[str, Any]]:
    """Have Dagster make an asset over a range of partitions in one run; what its page says of each of them."""

    @dg.multi_asset(
        outs={name: dg.AssetOut(dagster_type=dg.Any)},
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def made() -> Any:
        return rows

    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    with dg.DagsterInstance.ephemeral() as instance:
        manager = io_manager or DeltaIOManager(warehouse)
        result = dg.materialize([made], instance=instance, tags=tags, resources={"io_manager": manager})
    events = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return {
        str(event.partition): {key: getattr(value, "value", value) for key, value in event.metadata.items()}
        for event in events
    }


@pytest.mark.parametrize("few", [False, True], ids=["a DataFrame", "an Arrow table"])
def test_every_day_of_a_range_shows_its_own_rows_and_money(warehouse: Warehouse, *, few: bool) -> None:
    """Three days in one run: two calls, none, one call. A day that stands beside them is in no figure."""
    warehouse.append_arrow(RATED_CDRS.name, rated((date(2026, 5, 31), "100"), (date(2026, 6, 1), "50")))
    rows = rated((date(2026, 6, 1), "1.10"), (date(2026, 6, 1), "2.20"), (date(2026, 6, 3), "0.000001"))
    frame = rows if few else warehouse.engine.spark_session.createDataFrame(rows)
    of_run = {"table_version": 2, "dagster/uri": warehouse.path(RATED_CDRS.name)}
    assert run_over(warehouse, RATED_CDRS.name, DAILY, "2026-06-01", "2026-06-03", frame) == {
        "2026-06-01": {**of_run, "dagster/row_count": 2, "total_amount": "3.300000", "plot/amount": 3.3},
        "2026-06-02": {**of_run, "dagster/row_count": 0, "total_amount": "0", "plot/amount": 0.0},
        "2026-06-03": {**of_run, "dagster/row_count": 1, "total_amount": "0.000001", "plot/amount": 0.000001},
    }


def test_every_month_of_a_range_shows_its_own_rows_and_money(warehouse: Warehouse) -> None:
    rows = revenue((date(2026, 6, 2), "0.1"), (date(2026, 6, 3), "0.2"), (date(2026, 7, 1), "4"))
    shown = run_over(warehouse, DAILY_REVENUE.name, MONTHLY, MAY, JULY, rows)
    figures = {key: (said["dagster/row_count"], said["total_revenue"]) for key, said in shown.items()}
    assert figures == {MAY: (0, "0"), JUNE: (2, "0.300000"), JULY: (1, "4.000000")}
    assert [said["plot/revenue"] for said in shown.values()] == [0.0, 0.3, 4.0]


def test_a_run_of_months_replaces_them_and_leaves_the_others(warehouse: Warehouse) -> None:
    warehouse.append_arrow(
        DAILY_REVENUE.name, revenue((date(2026, 5, 1), "1"), (date(2026, 6, 1), "2"), (date(2026, 7, 1), "4"))
    )
    run_over(warehouse, DAILY_REVENUE.name, MONTHLY, JUNE, JULY, revenue((date(2026, 6, 2), "0.1")))
    assert warehouse.pin(DAILY_REVENUE.name).rows_by_partition() == {MAY: 1, JUNE: 1}


@pytest.mark.thorough
def test_the_money_of_all_days_is_one_question(plain_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many days a run has."""
    asked: list[str] = []

    def df(table: PinnedTable) -> object:
        asked.append(table.name)
        assert table.partitions is not None
        return table.between(table.partitions)

    monkeypatch.setattr(PinnedTable, "is_small", False)
    monkeypatch.setattr(PinnedTable, "df", property(df))
    rows = rated(*((date(2026, 6, day), "1") for day in range(1, 31)))
    shown = run_over(plain_warehouse, RATED_CDRS.name, DAILY, "2026-06-01", "2026-06-30", rows)
    assert {said["total_amount"] for said in shown.values()} == {"1.000000"}
    assert asked == [RATED_CDRS.name]


def test_one_day(warehouse: Warehouse) -> None:
    manager, spark = DeltaIOManager(warehouse), warehouse.engine.spark_session
    first, second = date(2026, 6, 1), date(2026, 6, 2)
    warehouse.append_arrow(RATED_CDRS.name, rated((first, "1"), (second, "2")))
    context = output(RATED_CDRS.name, asset_partitions_def=DAILY, partition_key="2026-06-01")
    manager.handle_output(context, spark.createDataFrame(rated((first, "7"))))
    assert shown_in_ui(context)["dagster/row_count"] == 1
    assert (shown_in_ui(context)["total_amount"], shown_in_ui(context)["plot/amount"]) == ("7.000000", 7.0)
    assert {row["amount"] for row in warehouse.pin(RATED_CDRS.name).arrow().to_pylist()} == {Decimal(7), Decimal(2)}


def test_an_arrow_table_that_changes_nothing_keeps_its_version(plain_warehouse: Warehouse) -> None:
    manager = DeltaIOManager(plain_warehouse)
    rows = pa.Table.from_pylist([dict.fromkeys(PRODUCT_CATALOG.required_names, "x")], PRODUCT_CATALOG.arrow_schema())
    versions = []
    for _ in range(2):
        context = output(PRODUCT_CATALOG.name)
        manager.handle_output(context, rows)
        versions.append((shown_in_ui(context)["table_version"], shown_in_ui(context)["dagster/row_count"]))
    assert versions == [(1, 1), (1, 1)]
    assert not [name for name in shown_in_ui(context) if name.startswith("total_")]


def test_an_asset_that_wrote_its_table_itself_is_left_alone(plain_warehouse: Warehouse) -> None:
    context = output(RATED_CDRS.name, asset_partitions_def=DAILY, partition_key="2026-06-01")
    DeltaIOManager(plain_warehouse).handle_output(context, None)
    assert shown_in_ui(context) == {}
    assert not plain_warehouse.exists(RATED_CDRS.name)


# --------------------------------------------------------------------------------------------------------------- reading


def loaded(warehouse: Warehouse, name: str, kind: type = PinnedTable, **partitions: Any) -> Any:
    context = dg.build_input_context(
        asset_key=dg.AssetKey(name), dagster_type=dg.PythonObjectDagsterType(kind), **partitions
    )
    return DeltaIOManager(warehouse).load_input(context)


def test_a_range_of_days_is_pinned(plain_warehouse: Warehouse) -> None:
    """What is written afterwards is not seen, and neither are other days."""
    known = [date(2026, 5, 31), date(2026, 6, 1), date(2026, 6, 30), date(2026, 7, 1)]
    plain_warehouse.append_arrow(RATED_CDRS.name, rated(*((day, "1") for day in known)))
    june = loaded(plain_warehouse, RATED_CDRS.name, **days("2026-06-01", "2026-06-30"))
    assert june.partitions == Partitions(date(2026, 6, 1), date(2026, 6, 30))
    plain_warehouse.append_arrow(RATED_CDRS.name, rated((date(2026, 6, 15), "99")))
    assert june.version == 1
    assert june.df.count() == june.arrow().num_rows == 2
    assert loaded(plain_warehouse, RATED_CDRS.name, **days("2026-06-01", "2026-06-30")).df.count() == 3


def test_a_month_and_an_unpartitioned_table(plain_warehouse: Warehouse) -> None:
    floors = pa.Table.from_pylist(
        [{"customer_id": "a", "floor_mb": Decimal(1), "billing_period": month} for month in (MAY, JUNE, JULY)],
        schema=MONTHLY_SAMPLE.arrow_schema(),
    )
    plain_warehouse.append_arrow(MONTHLY_SAMPLE.name, floors)
    one = loaded(plain_warehouse, MONTHLY_SAMPLE.name, asset_partitions_def=MONTHLY, partition_key=JUNE)
    assert [row["billing_period"] for row in one.arrow().to_pylist()] == [JUNE]
    assert loaded(plain_warehouse, MONTHLY_SAMPLE.name, **months(JUNE, JULY)).df.count() == 2
    # A daily run reads customers, which have no partitions: all of them.
    whole = loaded(plain_warehouse, PRODUCT_CATALOG.name)
    assert (whole.partitions, whole.arrow().num_rows) == (None, 0)


def test_an_input_annotated_as_a_dataframe_is_one(plain_warehouse: Warehouse) -> None:
    plain_warehouse.append_arrow(RATED_CDRS.name, rated((date(2026, 6, 1), "1"), (date(2026, 6, 2), "2")))
    frame = loaded(plain_warehouse, RATED_CDRS.name, DataFrame, **days("2026-06-02", "2026-06-03"))
    assert isinstance(frame, DataFrame)
    assert [row["amount"] for row in frame.collect()] == [2]


# ----------------------------------------------------------------------------------------------------------- partitions


class Gaps(SimpleNamespace):
    """A context of a run over partitions with gaps, as Dagster's own refuse to be."""

    has_asset_partitions = True

    def __init__(self, name: str, keys: list[str]) -> None:
        super().__init__(
            asset_key=dg.AssetKey(name),
            asset_partition_keys=keys,
            dagster_type=SimpleNamespace(typing_type=PinnedTable),
        )


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (RATED_CDRS.name, ["2026-06-01", "2026-06-03"]),
        (RATED_CDRS.name, ["2026-06-30", "2026-06-29", "2026-07-02"]),
        (DAILY_REVENUE.name, ["2026-05", "2026-07"]),
        (DAILY_REVENUE.name, ["2025-12", "2026-02"]),
    ],
)
def test_partitions_with_gaps_are_refused(plain_warehouse: Warehouse, name: str, keys: list[str]) -> None:
    """Otherwise what lies between would be emptied by a write that does not know it."""
    manager = DeltaIOManager(plain_warehouse)
    with pytest.raises(dg.DagsterInvariantViolationError, match=rf"{name}: .*gaps"):
        manager.load_input(Gaps(name, keys))  # type: ignore[arg-type]
    with pytest.raises(dg.DagsterInvariantViolationError, match=rf"{name}: .*gaps"):
        manager.handle_output(Gaps(name, keys), "rows")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "keys", "expected"),
    [
        (RATED_CDRS.name, ["2026-07-01", "2026-06-30"], Partitions(date(2026, 6, 30), date(2026, 7, 1))),
        (DAILY_REVENUE.name, ["2026-01", "2025-12"], Partitions("2025-12", "2026-01")),
    ],
)
def test_partitions_may_come_in_any_order(
    plain_warehouse: Warehouse, name: str, keys: list[str], expected: Partitions
) -> None:
    assert DeltaIOManager(plain_warehouse).load_input(Gaps(name, keys)).partitions == expected  # type: ignore[arg-type]


def test_partition_values_and_plain_amounts() -> None:
    assert partition_value("2026-06-01", RATED_CDRS) == date(2026, 6, 1)
    assert partition_value("2026-06", DAILY_REVENUE) == "2026-06"
    assert plain(Decimal("0E-6")) == "0.000000"
    assert plain(Decimal("1E+3")) == "1000"
