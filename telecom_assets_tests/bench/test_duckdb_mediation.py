"""The DuckDB script's mediation, line by line as the oracle has it: nested values, and timestamps in every form.

Belongs here: lines that no generator writes. Does not belong here: what DuckDB's reader of JSON cannot tell (it rewrites the
text of numbers and keeps the first of two values of one name), and the whole month (`test_compare`).
"""

import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bench.duckdb_pipeline import Job, run
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.graph.project import DATA
from telecom_assets_tests.oracle import Message, Parameters

pytestmark = pytest.mark.thorough

#: The open month reaches beyond the day of receipt: a record of its later days is from the future all the same.
MONTH = "2026-06"
CALL: dict[str, Any] = {
    "record_type": "data",
    "timestamp": "2026-06-15T09:00:00",
    "cell_id": "RABAT_01",
    "technology": "5G",
    "user_id": "212600000001",
    "data_volume_mb": 12,
    "session_duration_sec": 30,
    "product_code": "DATA_BASIC",
}


def lines() -> list[bytes]:
    """The corpus's timestamps, each as written, and nested values in every field; a record_ID is of one line."""
    fields = [oracle.admit(value)[0] for value in cdrs.HOSTILE_CORPUS]
    texts = {found["timestamp"] for found in fields if "timestamp" in found} | set(cdrs.EDGE_TIMESTAMPS)
    texts |= {f"2026-06-{day}T00:00:00" for day in ("01", "16", "17", "30")}
    records = [CALL | {"timestamp": text} for text in sorted(texts)]
    nested: list[object] = [[], {}, ["a]"], {"}": [{"b": '"'}]}]
    records += [CALL | {name: value} for name in (*CALL, "tags") for value in nested]
    records += [CALL | {"cell_id": "[not JSON"}, CALL | {"technology": "{"}]
    messages = [{"record_ID": f"id-{number}"} | record for number, record in enumerate(records)]
    messages += [CALL | {"record_ID": value} for value in nested]
    # Two copies whose nested values differ: both are missing, so it is a duplicate.
    messages += [CALL | {"record_ID": "copy", "session_duration_sec": value} for value in nested]
    # Other words for the same values are a duplicate; another value is a conflict. (Which of them is kept is not told by order here.)
    alike: list[dict[str, object]] = [
        {},
        {"data_volume_mb": "12.000"},
        {"timestamp": "20260615T080000Z", "technology": "NR", "user_id": "+212 600 000 001"},
        {"session_duration_sec": "3e1"},
    ]
    messages += [CALL | {"record_ID": "words"} | changed for changed in alike]
    messages += [CALL | {"record_ID": "values", "data_volume_mb": value} for value in (12, 12.000001)]
    return [json.dumps(record, ensure_ascii=False).encode() for record in messages]


@pytest.fixture(scope="module")
def mediated(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[oracle.Outcome], Path]:
    folder = tmp_path_factory.mktemp("lines")
    values = lines()
    (folder / "cdr.jsonl").write_bytes(b"\n".join(values) + b"\n")
    header = "customer_id,customer_name,subscription_type,rate_plan_id,activation_date,status,region"
    (folder / "customers.csv").write_text(f"{header}\n212600000001,A,postpaid,PLAN_A,2020-01-01,active,Oriental\n")
    at = datetime(2026, 6, 15, 12, tzinfo=UTC)
    job = Job(
        cdrs=[folder / "cdr.jsonl"],
        customers=folder / "customers.csv",
        rate_plans=DATA / "rate_plans.csv",
        product_catalog=DATA / "product_catalog.csv",
        out=folder / "out",
        month=MONTH,
        received_at=at,
        threads=1,
        calendar_start=date(2000, 1, 1),
    )
    run(job)
    messages = [Message(0, number, at, value) for number, value in enumerate(values)]
    catalogue = oracle.read_csv(DATA / "product_catalog.csv")
    return oracle.mediate(messages, catalogue, Parameters(accept_months={MONTH})), job.out


def test_every_line_has_the_oracles_outcome(mediated: tuple[list[oracle.Outcome], Path]) -> None:
    """By record_ID: a script that joins few lines with many days does not keep their order."""
    outcomes, out = mediated
    names = ("event_ts", "cell_id", "technology", "session_duration_sec")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(
            f"SELECT record_id, event_date, NULL AS reason, {', '.join(names)} "
            f"FROM read_parquet('{out}/cleaned_cdrs/*/*.parquet') UNION ALL "
            "SELECT record_id, event_date, reason, NULL, NULL, NULL, NULL "
            f"FROM read_parquet('{out}/rejected_cdrs/*/*.parquet')"
        ).fetchall()
    expected = [
        (
            item.row["record_id"],
            item.home_day,
            item.reason,
            *(item.row[name] if item.reason is None else None for name in names),
        )
        for item in outcomes
    ]
    assert Counter(found) == Counter(expected)
    assert {item.reason for item in outcomes} > {None, "invalid_timestamp", "missing_record_id", "duplicate"}
    assert [item.reason for item in outcomes[-6:]] == [None, *["duplicate"] * 3, None, "duplicate_conflict"]
