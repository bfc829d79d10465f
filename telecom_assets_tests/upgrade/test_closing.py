"""A warehouse and PostgreSQL of the first shape, with a billed month: upgraded, closed as it stands, and followed by another month.

Belongs here: that no figure changes on that way, typed as a user types it. Does not belong here: what an upgrade makes of each table
(`test_upgrade`, `test_dates`).
"""

import datetime as dt
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from deltalake import write_deltalake

from telecom_assets.tables import TABLES
from telecom_assets_tests.graph.conftest import customers, new_project
from telecom_assets_tests.graph.project import MONTH, Project, cdr, open_project
from telecom_assets_tests.graph.test_cli_month import Finished, typed
from telecom_assets_tests.graph.test_sensor import sms
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.upgrade.former import SCHEMAS, FormerWarehouse
from telecom_assets_tests.upgrade.test_cli_warehouse import open_formerly
from telecom_assets_tests.upgrade.test_dates import before_dates

__all__ = ["new_project", "typed"]

NEXT_MONTH = "2025-07"
#: What columns were called in the first shape, by what they are called now.
FORMERLY = {
    **{"source_part": "kafka_partition", "source_position": "kafka_offset", "raw_positions": "raw_offsets"},
    **{"source_id": "topic_id", "from_position": "from_offset", "to_position": "to_offset"},
}
LATER = ("holder_no", "adjustments_total", "other_total", "status")
REPORTS = ("daily_revenue", "mix_by_region", "traffic_hourly", "revenue_by_plan", "plan_by_region", "top10_consumers")
BILLS = "facturation_complete"


def put_back(project: Project) -> None:
    """Give the warehouse and the database the first shape, with the same rows."""
    warehouse, root = project.warehouse, Path(project.warehouse.root)
    was = {name: warehouse.pin(name).arrow() for name in TABLES if warehouse.exists(name)}
    kept = (BILLS, *REPORTS)
    for name in was:
        if name not in kept:
            shutil.rmtree(root / name)
    former = FormerWarehouse(str(root), topic=str(project.settings.kafka_topic))
    for name, schema in SCHEMAS.items():
        rows = [{FORMERLY.get(column, column): value for column, value in row.items()} for row in was[name].to_pylist()]
        about = {"raw_version": 1} if "raw_version" in schema.names else {}
        former.write(name, [{each: row.get(each) for each in schema.names} | about for row in rows])
    for name in ("customers", "rate_plans", "product_catalog"):
        names = [each.name for each in before_dates(name).columns]
        write_deltalake(str(root / name), was[name].select(names))
    bills = was[BILLS].drop_columns(list(LATER))
    write_deltalake(
        str(root / BILLS), bills, mode="overwrite", schema_mode="overwrite", partition_by=["billing_period"]
    )
    with session_of(project) as session:
        session.execute(f"ALTER TABLE {BILLS} {', '.join(f'DROP COLUMN {name} CASCADE' for name in LATER)}")
        session.execute(f"ALTER TABLE {BILLS} ADD PRIMARY KEY (billing_period, customer_id)")
        session.execute("DROP TABLE IF EXISTS correction_documents")
        session.execute("UPDATE publish_ledger SET delta_version = delta_version + 1")
    for month in (MONTH, NEXT_MONTH):
        open_formerly(project.settings.home_path, month)


def call(day: int, record_id: str, seconds: int) -> bytes:
    """A national call of a day of June."""
    return cdr("voice", day, record_id, caller_id="212600000001", callee_id="212600000004", duration_sec=seconds)


def session_of(project: Project) -> psycopg.Connection[Any]:
    assert project.settings.postgres_dsn is not None
    return psycopg.connect(project.settings.postgres_dsn.get_secret_value(), autocommit=True)


def figures(project: Project) -> tuple[list[Row], list[tuple[Any, ...]]]:
    """The bills of the month in the warehouse and in PostgreSQL, in the columns of the first shape."""
    names = [each.name for each in TABLES[BILLS].columns if each.name not in LATER]
    table = pa.Table.from_pylist(project.rows(BILLS))
    stored = table.select(names).sort_by("customer_id").to_pylist()
    with session_of(project) as session:
        statement = f"SELECT {', '.join(names)} FROM {BILLS} WHERE billing_period = '{MONTH}' ORDER BY customer_id"
        published = session.execute(statement).fetchall()
    return [row for row in stored if row["billing_period"] == MONTH], published


def test_a_month_of_the_first_shape_is_closed_as_it_stands_and_the_next_one_with_numbers(
    new_project: Callable[..., Project], typed: Callable[..., Finished]
) -> None:
    billed = new_project(partitions=1)
    billed.store_customers(customers())
    billed.produce(call(30, f"{number}", 3000 * number) for number in (1, 2, 3))
    billed.open_month(MONTH)
    billed.run_month()
    before = figures(billed)
    assert sum(row["amount_due"] for row in before[0]) > 0
    put_back(billed)
    project = open_project(billed.settings, billed.instance)

    assert typed(project, "warehouse", "upgrade").status == 0
    assert figures(project) == before
    closed = typed(project, "bill", "close", "--month", MONTH, "--as-it-stands", "--by", "Ben")
    assert (closed.status, "are not what the lines" in closed.stdout) == (0, False)
    assert figures(project) == before
    assert {row["status"] for row in project.rows(BILLS)} == {"closed"}
    with session_of(project) as session:
        assert session.execute(f"SELECT DISTINCT status FROM {BILLS}").fetchall() == [("closed",)]
    assert not project.warehouse.exists("documents")
    exact = sum(row["exact_amount"] for row in project.rows("bill_lines"))
    assert exact == sum((row["amount"] for row in project.rows("rated_cdrs")), Decimal(0)) > 0

    project.produce([sms(dt.date(2025, 7, 1), "july")])
    project.run_month(NEXT_MONTH)
    for decision in ("approve", "close"):
        assert typed(project, "bill", decision, "--month", NEXT_MONTH, "--by", "Ben").status == 0
    numbers = sorted(row["number"] for row in project.rows("documents"))
    bills = [row for row in project.rows(BILLS) if row["billing_period"] == NEXT_MONTH]
    assert [number.split("-")[2] for number in numbers] == [f"{each:06}" for each in range(1, len(bills) + 1)]
    assert figures(project) == before
    assert project.rows("adjustments") == []
