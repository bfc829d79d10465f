"""The DuckDB script makes the project's tables, and the comparison that says so notices what it should."""

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.compare import LEFT_OUT, Compared, TablesDiffer, compare_tables
from bench.duckdb_pipeline import DAILY_TABLES, TABLES
from telecom_assets.tables import TABLES as CONTRACTS
from telecom_assets_tests.bench.conftest import SPEC, BothSides
from telecom_assets_tests.graph.project import MONTH


@pytest.fixture(scope="module")
def compared(both: BothSides) -> dict[str, Compared]:
    return compare_tables(both.warehouse, both.script, MONTH)


def test_every_table_equals_the_scripts_row_for_row(compared: dict[str, Compared]) -> None:
    assert set(compared) == set(TABLES)
    assert compared["cleaned_cdrs"].rows + compared["rejected_cdrs"].rows == SPEC.cdrs
    assert compared["rated_cdrs"].rows > 1_000
    assert compared["suspended_cdrs"].rows > 100
    assert compared["facturation_complete"].rows > 40


def test_all_columns_but_those_that_a_file_cannot_tell_are_compared(compared: dict[str, Compared]) -> None:
    for name, table in compared.items():
        assert set(table.columns) == set(CONTRACTS[name].column_names) - set(LEFT_OUT)


def test_the_month_holds_what_is_hard(both: BothSides) -> None:
    """The comparison would prove little about rows that are not there."""
    rejected, rated = both.project.rows("rejected_cdrs"), both.project.rows("rated_cdrs")
    assert {row["reason"] for row in rejected} >= {"duplicate", "missing_timestamp", "outside_acceptance_window"}
    assert any(row["billable_units"] for row in both.project.rows("period_charges"))
    assert any(row["tier_threshold"] and row["billable_units"] > row["tier_threshold"] for row in rated)


def test_one_file_a_table_holds_the_same_rows(both: BothSides, flat: Path) -> None:
    for name in TABLES:
        parts = pq.read_table(both.script / name, partitioning=None)
        whole = pq.read_table(flat / f"{name}.parquet")
        partition = "event_date" if name in DAILY_TABLES else "billing_period"
        assert whole.num_rows == parts.num_rows
        assert set(whole.column_names) == {*parts.column_names, partition}


def test_instants_as_apache_spark_writes_them_are_equal(both: BothSides, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(both.warehouse / "rated_cdrs", tmp_path / "rated_cdrs"))
    for path in copy.rglob("*.parquet"):
        pq.write_table(pq.read_table(path, partitioning=None), path, use_deprecated_int96_timestamps=True)
    assert pq.read_metadata(path).schema.column(3).physical_type == "INT96"
    assert compare_tables(tmp_path, both.script, MONTH, ["rated_cdrs"])["rated_cdrs"].rows > 1_000


Damage = Callable[[pa.Table], pa.Table]


def one_centime_more(rows: pa.Table) -> pa.Table:
    dearer = [rows["amount_due"][0].as_py() + Decimal("0.01"), *rows["amount_due"].to_pylist()[1:]]
    column = pa.array(dearer, rows.schema.field("amount_due").type)
    return rows.set_column(rows.column_names.index("amount_due"), "amount_due", column)


def without_a_row(rows: pa.Table) -> pa.Table:
    return rows.slice(1)


def with_a_row_twice(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows.slice(0, 1)])


def without_detail(rows: pa.Table) -> pa.Table:
    nothing = pa.nulls(rows.num_rows, rows.schema.field("detail").type)
    return rows.set_column(rows.column_names.index("detail"), "detail", nothing)


def without_region(rows: pa.Table) -> pa.Table:
    return rows.drop_columns(["region"])


@pytest.mark.parametrize(
    ("table", "damage", "difference"),
    [
        ("facturation_complete", one_centime_more, "rows that only the project has"),
        ("top10_consumers", one_centime_more, "rows that only the project has"),
        ("rated_cdrs", without_a_row, "rows that only the project has"),
        ("cleaned_cdrs", with_a_row_twice, "rows that only the script has"),
        ("rejected_cdrs", without_detail, "rows that only the project has"),
        ("suspended_cdrs", without_region, "columns differ"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_difference_is_noticed(
    both: BothSides, script_copy: Path, table: str, damage: Damage, difference: str
) -> None:
    path = max((script_copy / table).rglob("*.parquet"), key=lambda path: pq.read_metadata(path).num_rows)
    pq.write_table(damage(pq.read_table(path, partitioning=None)), path)
    with pytest.raises(TablesDiffer, match=f"{table}: .*{difference}"):
        compare_tables(both.warehouse, script_copy, MONTH, [table])


def test_a_day_that_one_side_lacks_is_noticed(both: BothSides, script_copy: Path) -> None:
    for path in (script_copy / "rated_cdrs" / f"event_date={MONTH}-17").iterdir():
        path.unlink()
    (script_copy / "rated_cdrs" / f"event_date={MONTH}-17").rmdir()
    with pytest.raises(TablesDiffer, match=f"rated_cdrs: {MONTH}-17: .* rows on the project's side, none on the other"):
        compare_tables(both.warehouse, script_copy, MONTH, ["rated_cdrs"])
