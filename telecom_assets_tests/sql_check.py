"""The same sums once more, in SQL on DuckDB: a third computation beside the engines and the oracle.

Belongs here: giving CDRs to the bench's scripts (`bench.duckdb_pipeline.script`; they are the one copy of the rules in SQL and share no
code with `oracle` nor with the project), and what is compared of their tables: JSON Lines files and messages that look like
CDRs (the generator's, the sample's).

Does not belong here: hostile input. DuckDB's JSON reader takes NaN, rewrites the text of numbers (1.50 becomes 1.5), keeps the
first of duplicate keys, and a string that is the text of an array is one; those cases are the oracle's.

By hand, for the sample::

    python -m telecom_assets_tests.sql_check cdr.jsonl customers.csv rate_plans.csv product_catalog.csv 2025-05 \\
        --received-at 2026-11-23T12:00:00Z --accept-month 2025-05
"""

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from bench.duckdb_pipeline import FIRST_DAY_OF_LISTED, REFERENCES, STAGES, ScriptSettings, script, set_settings

#: The rules have no calendar here: every day has a partition.
_CALENDAR_START = date(1, 1, 1)


class _Message(Protocol):
    """What is read of a message; `oracle.Message` is one."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def received_at(self) -> datetime: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True)
class SqlTotals:
    """What SQL makes of a file: outcomes of every record by home month, and the rating and bills of one month."""

    month: str
    #: Records by (home month, 'cleaned' or the reason of rejection).
    outcomes: dict[tuple[str, str], int]
    #: Cleaned records of the month by 'rated', 'imputed' (deferred by its day, priced by the month) or the reason of suspension.
    rating: dict[str, int]
    #: Exact sum of the charged amounts of the month, for every customer with charged usage.
    rated_by_customer: dict[str, Decimal]
    #: Amounts of the month for every active postpaid customer.
    before_tax_by_customer: dict[str, Decimal]
    amount_due_by_customer: dict[str, Decimal]
    #: Charged amounts of the month by day and by (region, record_type).
    revenue_by_day: dict[Any, Decimal]
    revenue_by_region_and_type: dict[tuple[str, str], Decimal]
    #: Amounts of the bills' lines by (customer, holder, number of the line).
    lines: dict[tuple[str, int, int], Decimal]
    #: Amounts due by (region, plan) of the lines.
    due_by_region_and_plan: dict[tuple[str, str], Decimal]

    def outcomes_of_month(self) -> dict[str, int]:
        return {outcome: count for (month, outcome), count in self.outcomes.items() if month == self.month}

    @property
    def rated_amount(self) -> Decimal:
        return sum(self.rated_by_customer.values(), Decimal(0))

    @property
    def amount_due(self) -> Decimal:
        return sum(self.amount_due_by_customer.values(), Decimal(0))


def _reference_table(name: str, source: Path | Iterable[Mapping[str, Any]]) -> pa.Table:
    """The columns of a CSV file or of rows, as texts; what is missing becomes None, or '' where the column is a text."""
    if isinstance(source, Path):
        with source.open(newline="", encoding="utf-8") as lines:
            rows: list[Mapping[str, Any]] = list(csv.DictReader(lines))
        if name == "customers":
            rows = [{"valid_from": row[FIRST_DAY_OF_LISTED], "holder_no": 1, **row} for row in rows]
    else:
        rows = list(source)
    columns: dict[str, pa.Array] = {}
    for column, kind in REFERENCES[name].items():
        nothing = "" if kind == "VARCHAR" else None
        texts = [nothing if row.get(column) in {None, ""} else str(row[column]) for row in rows]
        columns[column] = pa.array(texts, pa.string())
    return pa.table(columns)


def _raw_table(source: Path | Iterable[_Message], received_at: datetime | None) -> pa.Table:
    """Values and times of messages, with their ranks in the order of receipt."""
    if isinstance(source, Path):
        if received_at is None:
            raise ValueError(f"{source} does not say when its records were received: give received_at")
        values: list[str | None] = list(source.read_text(encoding="utf-8").splitlines())
        times = [received_at] * len(values)
    else:
        messages = _in_order(source)
        values = [None if message.value is None else message.value.decode("utf-8") for message in messages]
        times = [message.received_at for message in messages]
    return pa.table(
        {
            "value": pa.array(values, pa.string()),
            "received_at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "place": pa.array(range(len(values)), pa.int64()),
        }
    )


def _in_order(messages: Iterable[_Message]) -> list[_Message]:
    return sorted(messages, key=lambda message: (message.received_at, message.partition, message.offset))


def _places(messages: Iterable[_Message], chosen: Sequence[tuple[str, int, int]]) -> list[int]:
    """The ranks of chosen messages; of one that was chosen twice the last choice counts."""
    ranks = {(each.partition, each.offset): rank for rank, each in enumerate(_in_order(messages))}
    last = dict.fromkeys(reversed([ranks[part, position] for _, part, position in chosen]))
    return list(reversed(last))


def sql_totals(
    source: Path | Iterable[_Message],
    customers: Path | Iterable[Mapping[str, Any]],
    rate_plans: Path | Iterable[Mapping[str, Any]],
    catalogue: Path | Iterable[Mapping[str, Any]],
    month: str,
    *,
    received_at: datetime | None = None,
    max_age_days: int = 62,
    dedupe_days: int = 31,
    accept_months: Iterable[str] = (),
    missing_volume_policy: str = "customer_min",
    discount_pct: Decimal | int = 5,
    tax_pct: Decimal | int = 20,
    currency: str = "MAD",
    scale: int = 2,
    chosen: Sequence[tuple[str, int, int]] = (),
) -> SqlTotals:
    """Counts and money of one month from CDRs (a JSON Lines file, or messages whose values are UTF-8 or None).

    chosen: source, partition and offset of the copies that people have chosen, the last choice last.

    A file's records get partition 0, offsets from 0 in its order, and all the same `received_at`.
    """
    settings = ScriptSettings(
        month=month,
        accept_months=set(accept_months),
        max_age_days=max_age_days,
        dedupe_days=dedupe_days,
        calendar_start=_CALENDAR_START,
        missing_volume_policy=missing_volume_policy,
        discount_pct=Decimal(discount_pct),
        tax_pct=Decimal(tax_pct),
        currency=currency,
        scale=scale,
        chosen=[] if isinstance(source, Path) else _places(source := list(source), chosen),
    )
    references = {"customers": customers, "rate_plans": rate_plans, "product_catalog": catalogue}
    with duckdb.connect() as connection:
        set_settings(connection, settings)
        connection.execute("SET VARIABLE received_at = NULL::TIMESTAMPTZ")
        connection.register("raw", _raw_table(source, received_at))
        for name, reference in references.items():
            connection.register(f"given_{name}", _reference_table(name, reference))
            typed = ", ".join(f"{column}::{kind} AS {column}" for column, kind in REFERENCES[name].items())
            connection.execute(f"CREATE TABLE {name} AS SELECT {typed} FROM given_{name}")
        for name in ("message_lines", *STAGES):
            connection.execute(script(name))

        def asked(query: str) -> dict[Any, Any]:
            rows = connection.execute(f"{query} ORDER BY ALL").fetchall()
            return {row[0] if len(row) == 2 else row[:-1]: row[-1] for row in rows}

        return SqlTotals(
            month=month,
            outcomes=asked(
                "SELECT strftime(event_date, '%Y-%m'), reason, count(*) FROM (SELECT event_date, 'cleaned' AS reason "
                "FROM cleaned_cdrs UNION ALL SELECT event_date, reason FROM rejected_cdrs) GROUP BY ALL"
            ),
            rating=asked(
                "SELECT outcome, count(*) FROM (SELECT 'rated' AS outcome FROM rated_cdrs UNION ALL SELECT reason FROM "
                "suspended_cdrs WHERE disposition <> 'deferred' UNION ALL SELECT CASE WHEN amount IS NULL THEN "
                "'amount_out_of_range' ELSE 'imputed' END FROM period_charges) GROUP BY ALL"
            ),
            rated_by_customer=asked("SELECT customer_id, sum(amount) FROM charges GROUP BY ALL"),
            before_tax_by_customer=asked(
                "SELECT customer_id, sum(amount_before_tax) FROM facturation_complete GROUP BY ALL"
            ),
            amount_due_by_customer=asked("SELECT customer_id, sum(amount_due) FROM facturation_complete GROUP BY ALL"),
            revenue_by_day=asked("SELECT billing_date, revenue FROM daily_revenue"),
            revenue_by_region_and_type=asked("SELECT region, record_type, revenue FROM mix_by_region"),
            lines=asked("SELECT customer_id, holder_no, line_no, amount FROM bill_lines"),
            due_by_region_and_plan=asked("SELECT region, rate_plan_id, revenue_incl_tax FROM plan_by_region"),
        )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Totals of one month of a JSON Lines file of CDRs, by SQL.")
    for name in ("cdrs", "customers", "rate_plans", "catalogue"):
        parser.add_argument(name, type=Path)
    parser.add_argument("month")
    parser.add_argument("--received-at", type=datetime.fromisoformat, required=True)
    parser.add_argument("--accept-month", action="append", default=[])
    given = parser.parse_args()
    totals = sql_totals(
        given.cdrs,
        given.customers,
        given.rate_plans,
        given.catalogue,
        given.month,
        received_at=given.received_at,
        accept_months=given.accept_month,
    )
    for (month, outcome), count in totals.outcomes.items():
        print(f"{month}  {outcome:28} {count:>9}")
    for outcome, count in totals.rating.items():
        print(f"{totals.month}  {outcome:28} {count:>9}")
    print(f"{totals.month}  rated amount {totals.rated_amount}, bills {len(totals.amount_due_by_customer)}")
    print(f"{totals.month}  before tax {sum(totals.before_tax_by_customer.values())}, due {totals.amount_due}")


if __name__ == "__main__":
    _main()
