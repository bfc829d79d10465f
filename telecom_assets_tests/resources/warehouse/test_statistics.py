"""What is known of rows without reading them, and sums of money: of the pinned partitions, exactly."""

import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from resources.warehouse import Partitions, Warehouse, as_first_seen, statistics, sum_exactly, went_back
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import MEDIATED_DAYS
from telecom_assets_tests.resources.warehouse.tables import (
    DAYS,
    FLOORS,
    JULY,
    JUNE,
    MAY,
    day_rows,
    floors,
    floors_table,
    received,
)
from telecom_assets_tests.sample_tables import TABLES


def test_missing_values_are_known_without_reading_them(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the partitions that are asked for; columns without statistics are counted, and say the same."""
    rows = floors(warehouse, ("a", "1", MAY), ("b", "2", MAY), ("c", "3", JUNE), ("d", "4", JULY))
    holes = rows.withColumn("floor_mb", F.when(F.col("customer_id") == "a", F.col("floor_mb")))
    warehouse.overwrite(FLOORS, holes, Partitions(MAY, JULY))
    columns = ("customer_id", "floor_mb", "billing_period")
    some, every = warehouse.pin(FLOORS, Partitions(MAY, JUNE)), warehouse.pin(FLOORS)
    with monkeypatch.context() as patch:
        patch.setattr("resources.warehouse.pinned_table.read_frame", None)
        assert some.missing_values(columns) == {"customer_id": 0, "floor_mb": 2, "billing_period": 0}
        assert every.missing_values(columns) == {"customer_id": 0, "floor_mb": 3, "billing_period": 0}
        assert warehouse.pin(DAYS).missing_values(["raw_rows", "event_date"]) == {"raw_rows": 0, "event_date": 0}

    moments = [datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)]
    warehouse.append_arrow(RAW_CDRS.name, received(*moments))
    assert "null_count.kafka_topic" not in statistics.files_of(warehouse.pin(RAW_CDRS.name, version=1)).column_names
    of_raw = ["source_position", "kafka_topic", "value"]
    expected = {"source_position": 0, "kafka_topic": 0, "value": 2}
    raw = warehouse.pin(RAW_CDRS.name)
    with monkeypatch.context() as patch:
        patch.setattr("resources.warehouse.pinned_table.read_frame", None)
        assert raw.missing_values(of_raw) == expected  # from the footers of the files
    with monkeypatch.context() as patch:
        patch.setattr("resources.warehouse.statistics.column_facts", lambda *_: None)  # footers that do not tell
        assert raw.missing_values(of_raw) == expected


def test_values_that_a_file_has_one_of_are_known_without_reading_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [date(2026, 6, number) for number in range(1, 5)]
    versions = dict(zip(days, (7, 7, 8, 7), strict=True))
    rows = pa.Table.from_pylist(
        [{**row, "raw_version": versions[row["event_date"]]} for row in day_rows(*days).to_pylist()],
        schema=MEDIATED_DAYS.arrow_schema(),
    )
    warehouse.overwrite(DAYS, warehouse.engine.spark_session.createDataFrame(rows), Partitions(days[0], days[-1]))
    columns = ["raw_version", "raw_rows"]
    with monkeypatch.context() as patch:
        patch.setattr("resources.warehouse.pinned_table.read_frame", None)
        found = warehouse.pin(DAYS, Partitions(days[1], days[3])).constants(columns)
        assert found is not None
        assert sorted(found) == [(days[1], (7, 1)), (days[2], (8, 1)), (days[3], (7, 1))]
        assert warehouse.pin(DAYS, Partitions(date(2026, 7, 1), date(2026, 7, 2))).constants(columns) == []
        assert warehouse.pin(DAYS, None, 0).constants(columns) == []

    # One value after another in a file, and a value that is missing somewhere, are no constants.
    two = pa.Table.from_pylist(
        [{**day_rows(days[0]).to_pylist()[0], "raw_version": version} for version in (1, 2)],
        schema=MEDIATED_DAYS.arrow_schema(),
    )
    warehouse.overwrite_arrow(DAYS, two, Partitions(days[0], days[0]))
    assert warehouse.pin(DAYS).constants(["raw_version"]) is None
    assert warehouse.pin(DAYS, Partitions(days[1], days[3])).constants(["raw_version"]) is not None
    hole = pa.Table.from_pylist(
        [{**day_rows(days[0]).to_pylist()[0], "raw_version": version} for version in (1, None)],
        schema=MEDIATED_DAYS.arrow_schema(),
    )
    warehouse.overwrite_arrow(DAYS, hole, Partitions(days[0], days[0]))
    assert warehouse.pin(DAYS).constants(["raw_version"]) is None
    # Texts are not told of: their statistics may be shortened.
    warehouse.overwrite(FLOORS, floors(warehouse, ("a", "1", MAY)), Partitions(MAY, MAY))
    assert warehouse.pin(FLOORS).constants(["customer_id"]) is None


@pytest.mark.parametrize("few_rows", [0, 1000], ids=["asked", "read"])
def test_totals_are_of_the_pinned_partitions(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    """The money columns of a contract, exactly; no rows are zero. The engine adds up, or a small table is read without it."""
    monkeypatch.setattr("resources.warehouse.pinned_table.FEW_ROWS", few_rows)
    contract = TABLES["daily_revenue"]
    amounts = [(date(2026, 5, 1), "0.1", MAY), (date(2026, 5, 2), "0.2", MAY), (date(2026, 6, 1), "5", JUNE)]
    rows = [
        {"billing_date": day, "revenue": Decimal(amount), "billing_period": month} for day, amount, month in amounts
    ]
    warehouse.append_arrow(contract.name, pa.Table.from_pylist(rows, schema=contract.arrow_schema()))
    pinned = warehouse.pin(contract.name, Partitions(MAY, MAY))
    assert pinned.totals() == {"revenue": Decimal("0.3")}
    assert warehouse.pin(contract.name, Partitions(JULY, JULY)).totals() == {"revenue": Decimal(0)}
    assert warehouse.pin(DAYS).totals() == {}
    # Each partition its own; one without rows has none.
    all_of_it = warehouse.pin(contract.name, Partitions(MAY, JULY))
    assert all_of_it.totals_by_partition() == {
        MAY: {"revenue": Decimal("0.3")},
        JUNE: {"revenue": Decimal(5)},
    }
    assert all_of_it.totals() == {"revenue": Decimal("5.3")}


def test_a_sum_of_amounts_keeps_every_digit() -> None:
    """31 digits before the point and 6 behind it: Python's own sum rounds at 28."""
    large = Decimal("1" + "0" * 30)
    assert sum_exactly([large, Decimal("0.000001"), -large, large]) == Decimal("1" + "0" * 30 + ".000001")
    assert sum_exactly([]) == 0


def test_sums_of_a_table_that_is_gone_are_not_those_of_another(plain: Warehouse, tmp_path: Path) -> None:
    contract = TABLES["daily_revenue"]

    def revenue(amount: int) -> pa.Table:
        row = {"billing_date": date(2026, 5, 1), "revenue": Decimal(amount), "billing_period": MAY}
        return pa.Table.from_pylist([row], schema=contract.arrow_schema())

    plain.append_arrow(contract.name, revenue(1))
    before = plain.pin(contract.name)
    assert before.totals() == {"revenue": Decimal(1)}
    Path(plain.path(contract.name)).rename(tmp_path / "gone")
    plain.append_arrow(contract.name, revenue(7))
    after = plain.pin(contract.name)
    assert after.version == before.version
    assert after.totals() == {"revenue": Decimal(7)}


@pytest.mark.parametrize("few_rows", [0, 1000], ids=["asked", "read"])
def test_repeated_keys_are_of_the_pinned_partitions(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    monkeypatch.setattr("resources.warehouse.pinned_table.FEW_ROWS", few_rows)
    rows = [("a", "1", MAY), ("a", "2", MAY), ("b", "1", MAY), ("a", "1", JUNE), ("c", "1", JULY), ("c", "1", JULY)]
    warehouse.append_arrow(FLOORS, floors_table([*rows, ("c", "3", JULY)]))
    may, every = warehouse.pin(FLOORS, Partitions(MAY, MAY)), warehouse.pin(FLOORS)
    assert may.repeated_keys(limit=10) == [((MAY, "a"), 2)]
    assert sorted(every.repeated_keys(limit=10)) == [((MAY, "a"), 2), ((JULY, "c"), 3)]
    assert len(every.repeated_keys(limit=1)) == 1
    assert warehouse.pin(FLOORS, Partitions(JUNE, JUNE)).repeated_keys(limit=10) == []
    assert warehouse.pin(FLOORS, Partitions("2020-01", "2020-01")).repeated_keys(limit=10) == []


def test_whether_a_version_went_back_in_time(plain: Warehouse) -> None:
    """Told from file statistics: the least of what came, when anything older reaches as far."""
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    second = timedelta(seconds=1)
    versions = [
        (received(noon, noon + 2 * second), None),  # the first
        (received(noon + 3 * second, noon + 9 * second), None),  # later than all
        (received(noon + 8 * second, noon + 20 * second), noon + 8 * second),  # before 12:00:09
        (received(noon + 20 * second), noon + 20 * second),  # at the same moment
        (received(noon + 21 * second), None),
    ]
    for version, (rows, expected) in enumerate(versions):
        files = plain.stage_arrow(RAW_CDRS.name, rows)
        assert went_back(plain.pin(RAW_CDRS.name, version=version), files, "received_at") == expected
        plain.commit(RAW_CDRS.name, files, version)


def test_partitions_hold_and_name_both_ends() -> None:
    days = Partitions(date(2026, 5, 30), date(2026, 6, 2))
    assert date(2026, 5, 30) in days
    assert date(2026, 6, 2) in days
    assert date(2026, 6, 3) not in days
    assert days.filters("event_date") == [("event_date", ">=", "2026-05-30"), ("event_date", "<=", "2026-06-02")]
    assert str(days) == "2026-05-30…2026-06-02"


def test_a_version_is_known_by_the_first_whose_files_hold_the_same_rows(warehouse: Warehouse) -> None:
    """What was found out of some partitions need not be asked again because others were written."""
    first, second, third = (date(2026, 6, number) for number in (1, 2, 3))
    warehouse.overwrite_arrow(DAYS, day_rows(first, second, third), Partitions(first, third))
    asked = warehouse.pin(DAYS, Partitions(first, first))
    assert as_first_seen(asked) == asked

    warehouse.overwrite_arrow(DAYS, day_rows(second), Partitions(second, second))
    later = warehouse.pin(DAYS, Partitions(first, first))
    assert later.version > asked.version
    assert as_first_seen(later) == asked
    # Another range of days is another question.
    assert as_first_seen(warehouse.pin(DAYS)) == warehouse.pin(DAYS)
    # The days around the pinned one count where what is asked looks at them too.
    assert as_first_seen(later, Partitions(first, second)) == later
    assert as_first_seen(later, Partitions(first, second)).partitions == later.partitions

    warehouse.overwrite_arrow(DAYS, day_rows(first), Partitions(first, first))
    rewritten = warehouse.pin(DAYS, Partitions(first, first))
    assert as_first_seen(rewritten) == rewritten


def test_versions_of_a_table_that_was_made_again_are_not_those_of_the_one_before(warehouse: Warehouse) -> None:
    day = date(2026, 6, 1)
    warehouse.overwrite_arrow(DAYS, day_rows(day), Partitions(day, day))
    before = warehouse.pin(DAYS, Partitions(day, day))
    assert as_first_seen(before) == before
    shutil.rmtree(warehouse.path(DAYS))
    warehouse.overwrite_arrow(DAYS, day_rows(day), Partitions(day, day))
    again = warehouse.pin(DAYS, Partitions(day, day))
    assert as_first_seen(again) == again != before
