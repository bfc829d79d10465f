"""The opponent: the same month by hand, in SQL on DuckDB, from the CDR file to Parquet tables.

Belongs here: reading cdr.jsonl, customers.csv and the tariffs, the order of the scripts in `duckdb_sql`, writing the
tables. It is written to be fast, it is given every core, and it never imports the project, so that its results are a
second opinion as well as a time to beat. The tests ask the same scripts about messages (`telecom_assets_tests.sql_check`).

Does not belong here: the other work of the project: Kafka, landing, Dagster, versions, checks, PostgreSQL, documents,
months that are already there, lines that are not JSON objects (they end the script).

A file has no Kafka coordinates: all lines have the same `received_at`, partition 0 and their line number as offset.
Tables are partitioned as the project's are, by event_date or billing_period (`--layout partitioned`), or one file each
(`flat`).
"""

import argparse
import csv
import datetime as dt
import json
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

_PROCESS_BEGAN = time.time()

import duckdb  # noqa: E402  (its import is timed apart)

SQL = Path(__file__).with_name("duckdb_sql")
#: The rules of rating and billing in SQL: `telecom bill review` asks the same scripts. They are read, the project is not imported.
_RERATING = Path(__file__).parents[1] / "telecom_assets" / "closing" / "rerating"
ZONE = ZoneInfo("Africa/Casablanca")

#: The tables of each stage, in the order in which they are written.
STAGES: Mapping[str, tuple[str, ...]] = {
    "mediation": ("cleaned_cdrs", "rejected_cdrs"),
    "rating": ("rated_cdrs", "suspended_cdrs"),
    "billing": ("period_charges", "bill_lines", "facturation_complete"),
    "reports": (
        "daily_revenue",
        "mix_by_region",
        "revenue_by_plan",
        "plan_by_region",
        "top10_consumers",
        "traffic_hourly",
    ),
}
DAILY_TABLES = ("cleaned_cdrs", "rejected_cdrs", "rated_cdrs", "suspended_cdrs")
TABLES = tuple(table for tables in STAGES.values() for table in tables)

#: Columns and types of the reference tables, which are input of the scripts.
REFERENCES = {
    "customers": {
        "customer_id": "VARCHAR",
        "customer_name": "VARCHAR",
        "subscription_type": "VARCHAR",
        "rate_plan_id": "VARCHAR",
        "activation_date": "DATE",
        "status": "VARCHAR",
        "region": "VARCHAR",
        "holder_no": "INTEGER",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
    "rate_plans": {
        "rate_plan_id": "VARCHAR",
        "product_code": "VARCHAR",
        "service_type": "VARCHAR",
        "unit_price": "DECIMAL(12,6)",
        "free_units": "DECIMAL(18,6)",
        "tier_threshold": "DECIMAL(18,6)",
        "tier_price": "DECIMAL(12,6)",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
    "product_catalog": {
        "product_code": "VARCHAR",
        "service_type": "VARCHAR",
        "unit": "VARCHAR",
        "rate_type": "VARCHAR",
        "description": "VARCHAR",
        "valid_from": "DATE",
        "valid_to": "DATE",
    },
}
#: Columns that a file may lack, and what they are then: without bounds, and with one holder.
_LACKING = {"valid_from": "NULL::DATE", "valid_to": "NULL::DATE", "holder_no": "1"}
#: A list of customers says from which day on each of them is one.
FIRST_DAY_OF_LISTED = "activation_date"


@dataclass(frozen=True, kw_only=True)
class ScriptSettings:
    """The month that is rated, and the settings in force. accept_months: opened by name; None for the month itself."""

    month: str
    accept_months: Collection[str] | None = None
    max_age_days: int = 62
    dedupe_days: int = 31
    calendar_start: dt.date = dt.date(2020, 1, 1)
    missing_volume_policy: str = "customer_min"
    discount_pct: Decimal = Decimal(5)
    tax_pct: Decimal = Decimal(20)
    currency: str = "MAD"
    #: Decimals of an amount in the currency.
    scale: int = 2
    #: Lines of the copies that people have chosen, the last choice last.
    chosen: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Job(ScriptSettings):
    """One run of the scripts: input files, time of receipt of their records, output and its form."""

    cdrs: Sequence[Path]
    customers: Path
    rate_plans: Path
    product_catalog: Path
    out: Path
    received_at: dt.datetime
    threads: int
    layout: str = "partitioned"
    compression: str = "snappy"


@dataclass(frozen=True)
class StageTime:
    """When a stage began and ended, in seconds since the epoch."""

    stage: str
    begin: float
    end: float


def run(job: Job) -> list[StageTime]:
    """Compute and write every table; the folder `job.out` is replaced."""
    times = []
    shutil.rmtree(job.out, ignore_errors=True)
    job.out.mkdir(parents=True)
    began = time.time()
    with duckdb.connect(config={"threads": job.threads}) as connection:
        set_settings(connection, job)
        _read_files(connection, job)
        for stage, tables in STAGES.items():
            connection.execute(script(stage))
            for table in tables:
                _write(connection, job, table)
            times.append(StageTime(stage, began, began := time.time()))
    return times


def script(name: str) -> str:
    """One of the scripts, by its name."""
    folder = SQL if (SQL / f"{name}.sql").exists() else _RERATING
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


def set_settings(connection: duckdb.DuckDBPyConnection, settings: ScriptSettings) -> None:
    """Set what the scripts read: settings as variables, the open months, the clock changes."""
    first, last = _days_of(settings.month)
    variables: dict[str, tuple[str, Any]] = {
        "calling_codes": ("VARCHAR", str(SQL / "calling_codes.csv")),
        "month": ("VARCHAR", settings.month),
        "month_first": ("DATE", first),
        "month_last": ("DATE", last),
        "calendar_start": ("DATE", settings.calendar_start),
        "max_age_days": ("INTEGER", settings.max_age_days),
        "dedupe_days": ("INTEGER", settings.dedupe_days),
        "missing_volume_policy": ("VARCHAR", settings.missing_volume_policy),
        "discount_pct": ("DECIMAL(7,4)", settings.discount_pct),
        "tax_pct": ("DECIMAL(7,4)", settings.tax_pct),
        "currency": ("VARCHAR", settings.currency),
        "scale": ("INTEGER", settings.scale),
        "chosen": ("BIGINT[]", list(settings.chosen)),
    }
    connection.execute("SET TimeZone = 'UTC'")
    _set(connection, variables)
    # A type cannot be a variable: what rounds to the decimals of the currency is a macro.
    for name, digits in (("billed", 18), ("billed_sum", 28)):
        kind = f"DECIMAL({digits},{settings.scale})"
        connection.execute(f"CREATE MACRO {name}(amount) AS round(amount, {settings.scale})::{kind}")
    smallest = Decimal(1).scaleb(-settings.scale)
    connection.execute(f"CREATE MACRO smallest() AS {smallest:f}::DECIMAL({settings.scale + 1},{settings.scale})")
    months = (settings.month,) if settings.accept_months is None else settings.accept_months
    spans = [f"day BETWEEN DATE '{begin}' AND DATE '{end}'" for begin, end in map(_days_of, months)]
    connection.execute(f"CREATE MACRO is_open(day) AS {' OR '.join(spans) or 'false'}")
    # One row a day with the last clock change up to its end, so that a join on the day finds the offset of a time.
    moments, before, after = zip(*offset_changes(), strict=True)
    connection.execute(
        """
        CREATE TABLE utc_offsets AS
        WITH changes AS (
            SELECT unnest(CAST($1 AS TIMESTAMP[])) AS changes_at, unnest(CAST($2 AS BIGINT[])) AS before_sec,
                   unnest(CAST($3 AS BIGINT[])) AS after_sec
        ), spans AS (
            SELECT *, greatest(changes_at::DATE, DATE '1899-12-30') AS first_day,
                   coalesce(lead(changes_at::DATE) OVER (ORDER BY changes_at) - 1, DATE '2200-01-02') AS last_day
            FROM changes
        )
        SELECT unnest(generate_series(first_day, last_day, INTERVAL 1 DAY))::DATE AS civil_day,
               changes_at, before_sec, after_sec
        FROM spans
        """,
        [list(moments), list(before), list(after)],
    )


def _read_files(connection: duckdb.DuckDBPyConnection, job: Job) -> None:
    """The files of a job: the reference tables, and the lines of the CDRs, which are read when they are asked for."""
    for name, columns in REFERENCES.items():
        path = str(getattr(job, name))
        with Path(path).open(encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines))
        given = {column: kind for column, kind in columns.items() if column in header or column not in _LACKING}
        values = _LACKING | ({"valid_from": FIRST_DAY_OF_LISTED} if name == "customers" else {})
        lacking = "".join(f", {values[column]} AS {column}" for column in columns if column not in given)
        connection.execute(
            f"CREATE TABLE {name} AS SELECT *{lacking} FROM read_csv(?, header = true, columns = {json.dumps(given)})",
            [path],
        )
    variables: dict[str, tuple[str, Any]] = {
        "cdrs": ("VARCHAR[]", [str(path) for path in job.cdrs]),
        "received_at": ("TIMESTAMPTZ", job.received_at),
        "received_day": ("DATE", job.received_at.astimezone(ZONE).date()),
    }
    _set(connection, variables)
    connection.execute(script("file_lines"))


def _set(connection: duckdb.DuckDBPyConnection, variables: Mapping[str, tuple[str, Any]]) -> None:
    for name, (kind, value) in variables.items():
        connection.execute(f"SET VARIABLE {name} = CAST(? AS {kind})", [value])


def _days_of(month: str) -> tuple[dt.date, dt.date]:
    """First and last day of a month."""
    first = dt.date.fromisoformat(f"{month}-01")
    return first, (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)


@cache
def offset_changes() -> list[tuple[dt.datetime, int, int]]:
    """When Morocco's clocks change, as the civil time from which the new offset holds, with the offsets around it.

    A civil time that a change skips has the old offset, which moves it on by the gap; one that comes twice has the old
    one too: it is the first.
    """
    week = 7 * 86_400
    at = int(dt.datetime(1899, 12, 25, tzinfo=dt.UTC).timestamp())
    end = int(dt.datetime(2200, 1, 8, tzinfo=dt.UTC).timestamp())
    offset = _offset(at)
    changes = [(dt.datetime(1, 1, 1), offset, offset)]
    while at < end:
        later = _offset(at + week)
        if later != offset:
            low, high = at, at + week
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(middle) == offset else (low, middle)
            civil = dt.datetime.fromtimestamp(high + max(offset, later), dt.UTC).replace(tzinfo=None)
            changes.append((civil, offset, later))
            offset = later
        at += week
    return changes


def _offset(instant: int) -> int:
    shift = dt.datetime.fromtimestamp(instant, ZONE).utcoffset()
    assert shift is not None
    return int(shift.total_seconds())


def _write(connection: duckdb.DuckDBPyConnection, job: Job, table: str) -> None:
    partition = "event_date" if table in DAILY_TABLES else "billing_period"
    # The number of a line says its order, so writing need not keep it.
    connection.execute("SET preserve_insertion_order = false")
    if job.layout == "partitioned":
        target, how = job.out / table, f", PARTITION_BY ({partition})"
    else:
        target, how = job.out / f"{table}.parquet", ""
    # Version 2 encodes in less time; zstd's first level takes a third less than its default for 4 % more bytes.
    how += ", PARQUET_VERSION v2" + (", COMPRESSION_LEVEL 1" if job.compression == "zstd" else "")
    quoted = str(target).replace("'", "''")
    connection.execute(f"COPY {table} TO '{quoted}' (FORMAT parquet, COMPRESSION {job.compression}{how})")
    connection.execute("SET preserve_insertion_order = true")


def _main() -> None:
    imported = time.time()
    parser = argparse.ArgumentParser(description="A month of CDRs in SQL on DuckDB, into Parquet tables.")
    parser.add_argument("--cdrs", type=Path, required=True, nargs="+", help="Files of CDRs, one after the other.")
    for name in ("customers", "rate-plans", "product-catalog", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--month", required=True)
    parser.add_argument("--received-at", type=dt.datetime.fromisoformat, required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--layout", choices=("partitioned", "flat"), default="partitioned")
    parser.add_argument("--compression", choices=("snappy", "zstd"), default="snappy")
    parser.add_argument("--report", type=Path, help="Where to write the times as JSON. Default: standard output.")
    given = vars(parser.parse_args())
    report = given.pop("report")
    times = run(Job(**given))
    text = json.dumps(
        {
            "process_began": _PROCESS_BEGAN,
            "imported": imported,
            "stages": [{"stage": item.stage, "begin": item.begin, "end": item.end} for item in times],
        }
    )
    if report is None:
        print(text)
    else:
        report.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _main()
