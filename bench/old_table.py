"""A table that has been written to for long: making one, and planning a read of it, in a process of its own.

    python -m bench.old_table make --commits 2000
    python -m bench.old_table measure --report r.json

Settings come from the environment.
"""

import argparse
import contextlib
import datetime as dt
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from resources.warehouse import Partitions
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.settings import Settings
from telecom_assets.mediation.tables import CLEANED_CDRS
from telecom_assets.tables import TABLES

DAYS = 400
_FIRST_DAY = dt.date(2024, 1, 1)
_TIMES = 5
#: What is measured: the table's version and files; the engine's plan for one day; reading that day.
MEASURED = ("pin", "plan", "read")


def make(commits: int) -> None:
    """Write one row a commit, day after day, round and round."""
    deployment = Deployment(Settings.load(), TABLES)
    for number in range(commits):
        day = _FIRST_DAY + dt.timedelta(days=number % DAYS)
        frame = deployment.engine.spark_session.createDataFrame(_row(day, number))
        deployment.warehouse.overwrite(CLEANED_CDRS.name, frame, Partitions(day, day))


def measure() -> dict[str, list[float]]:
    """Seconds of each part of a read, several times in a row; the engine runs before the first."""
    deployment = Deployment(Settings.load(), TABLES)
    deployment.engine.spark_session.range(1).count()
    warehouse, times = deployment.warehouse, {name: list[float]() for name in MEASURED}
    for number in range(_TIMES):
        day = _FIRST_DAY + dt.timedelta(days=number)
        with _timed(times["pin"]):
            pinned = warehouse.pin(CLEANED_CDRS.name, Partitions(day, day))
            pinned.rows_by_partition()
        with _timed(times["plan"]), contextlib.redirect_stdout(io.StringIO()):
            pinned.df.explain(True)
        with _timed(times["read"]):
            rows = pinned.df.count()
        if rows != 1:
            raise RuntimeError(f"{day}: {rows} rows, expected 1")
    return times


@contextlib.contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    into.append(round(time.perf_counter() - begin, 4))


def _row(day: dt.date, number: int) -> pa.Table:
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    row = {
        "record_id": f"record-{number}",
        "subscriber_id": "212600000001",
        "record_type": "sms",
        "event_ts": noon,
        "other_party": "212600000002",
        "cell_id": "RABAT_01",
        "technology": "4G",
        "product_code": "SMS_NAT",
        "rating_status": "ready",
        "received_at": noon,
        "source_id": "topic",
        "source_part": 0,
        "source_position": number,
        "event_date": day,
    }
    return pa.Table.from_pylist([row], schema=CLEANED_CDRS.arrow_schema())


def _main() -> None:
    parser = argparse.ArgumentParser(description="A table that has been written to for long.")
    parser.add_argument("what", choices=("make", "measure"))
    parser.add_argument("--commits", type=int, default=2_000)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    if given.what == "make":
        make(given.commits)
    else:
        given.report.write_text(json.dumps(measure()), encoding="utf-8")


if __name__ == "__main__":
    _main()
