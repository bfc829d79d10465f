"""Bills of some customers, made anew by the script, beside those that are stored.

Belongs here: which customers, what the script reads, what is compared. DuckDB is an extra (`pip install 'telecom_assets[review]'`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable
from telecom_assets.billing.tables import BILL, USAGE
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.model.months import month_days

if TYPE_CHECKING:
    import duckdb

#: So many of the largest bills are rated again, besides those that are chosen by hash.
LARGEST = 10
#: The record types that the script knows. A customer with events of others is left out.
_KNOWN = ("voice", "sms", "data")
_EVENT = (
    *("record_id", "subscriber_id", "record_type", "event_ts", "event_date", "product_code", "rating_status"),
    *("duration_sec", "data_volume_mb", "source_id", "source_part", "source_position"),
)
_LINE = ("customer_id", "holder_no", "service", "rate_plan_id", "region")
_OF_LINE = ("events", "units", "exact_amount", "amount", "discount_pct", "tax_pct")
_OF_USAGE = (
    *("voice_total", "sms_total", "data_total", "other_total", "voice_count", "sms_count", "data_count"),
    *("discount_pct", "tax_pct", "currency"),
)
#: What corrections and lines by hand are part of too: compared where a holder has none.
_OF_ALL_LINES = ("amount_before_tax", "rounding_difference", "discount", "after_discount", "tax", "amount_due")


@dataclass(frozen=True)
class Inputs:
    """What a month is rated from, pinned, and what it was billed as. cleaned, lines and bills are pinned to the month (yyyy-MM)."""

    month: str
    cleaned: PinnedTable
    customers: PinnedTable
    rate_plans: PinnedTable
    product_catalog: PinnedTable
    lines: PinnedTable
    bills: PinnedTable
    terms: BillingTerms
    missing_volume_policy: str


@dataclass(frozen=True)
class Compared:
    """How many customers were rated again, what differs in words, and the rows that differ."""

    customers: int
    findings: Sequence[str]
    differs: Sequence[Mapping[str, Any]]


def is_installed() -> bool:
    """Whether DuckDB is there."""
    try:
        import duckdb  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


def compared(inputs: Inputs, sample: int) -> Compared:
    """Rate and bill customers again, from their cleaned events to the last decimal of their bills. Needs DuckDB.

    sample: how many customers are chosen, by a hash of month and number, so that each month has others and a repetition the same.
    Those of the LARGEST bills come with them. A bill that one of both lacks is a difference.
    """
    import duckdb  # noqa: PLC0415

    with duckdb.connect() as session:
        session.execute("SET TimeZone = 'UTC'")
        bills, customers = inputs.bills.arrow(), inputs.customers.arrow()
        chosen = _chosen(session, inputs.month, bills, customers, sample)
        events = _events(inputs.cleaned, chosen)
        unknown = set(
            events.filter(pc.invert(pc.is_in(events["record_type"], pa.array(_KNOWN))))["subscriber_id"].to_pylist()
        )
        known = [each for each in chosen if each not in unknown]
        only = partial(_only, ids=known)
        _set(session, inputs)
        session.register("cleaned_cdrs", only(events, "subscriber_id"))
        session.register("customers", only(customers))
        session.register("rate_plans", inputs.rate_plans.arrow())
        session.register("product_catalog", inputs.product_catalog.arrow())
        for name in ("rating", "billing"):
            session.execute(files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8"))
        session.register("stored_bills", only(bills))
        session.register("stored_lines", pa.concat_tables(_lines(inputs.lines, known)))
        differs = [*_different_lines(session), *_different_bills(session)]
        return Compared(len(known), [_said(row) for row in differs], differs)


def _chosen(
    session: "duckdb.DuckDBPyConnection", month: str, bills: pa.Table, customers: pa.Table, sample: int
) -> list[str]:
    """The customers that are rated again: of those who have a bill, or were postpaid at any time."""
    session.register("billed", bills.select(["customer_id", "amount_due"]))
    session.register(
        "postpaid", customers.filter(pc.equal(customers["subscription_type"], "postpaid")).select(["customer_id"])
    )
    query = f"""
        WITH ids AS (SELECT customer_id FROM billed UNION SELECT customer_id FROM postpaid),
        by_hash AS (SELECT customer_id FROM ids ORDER BY md5($1 || customer_id), customer_id LIMIT $2),
        largest AS (SELECT customer_id FROM billed ORDER BY amount_due DESC, customer_id LIMIT {LARGEST})
        SELECT customer_id FROM by_hash UNION SELECT customer_id FROM largest ORDER BY customer_id
    """  # noqa: S608  (a constant)
    return [row[0] for row in session.execute(query, [month, sample]).fetchall()]


def _events(cleaned: PinnedTable, chosen: Sequence[str]) -> pa.Table:
    """The cleaned events of these customers, through the engine: a month has many files and rows."""
    return cleaned.df.where(F.col("subscriber_id").isin(*chosen)).select(*_EVENT).toArrow()


def _only(table: pa.Table, column: str = "customer_id", *, ids: Collection[str]) -> pa.Table:
    return table.filter(pc.is_in(table[column], pa.array(list(ids), pa.string())))


def _lines(lines: PinnedTable, ids: Collection[str]) -> list[pa.Table]:
    """The lines of these customers that are on their bills."""
    empty = lines.contract.arrow_schema().empty_table()
    on_bills = (pa.Table.from_batches([batch]).filter(pc.field("document") == BILL) for batch in lines.batches())
    return [empty, *(_only(each, ids=ids) for each in on_bills)]


def _set(session: "duckdb.DuckDBPyConnection", inputs: Inputs) -> None:
    """What the script reads besides tables."""
    days, terms = month_days(inputs.month), inputs.terms
    variables: dict[str, tuple[str, Any]] = {
        "month": ("VARCHAR", inputs.month),
        "month_first": ("DATE", days[0]),
        "month_last": ("DATE", days[-1]),
        "missing_volume_policy": ("VARCHAR", inputs.missing_volume_policy),
        "discount_pct": ("DECIMAL(7,4)", terms.discount_pct),
        "tax_pct": ("DECIMAL(7,4)", terms.tax_pct),
        "currency": ("VARCHAR", terms.currency),
        "scale": ("INTEGER", terms.scale),
    }
    for name, (kind, value) in variables.items():
        session.execute(f"SET VARIABLE {name} = CAST(? AS {kind})", [value])
    session.execute(f"CREATE MACRO billed(amount) AS round(amount, {terms.scale})::DECIMAL(18,{terms.scale})")


def _different_lines(session: "duckdb.DuckDBPyConnection") -> list[dict[str, Any]]:
    return _different(
        session, "lines of usage", f"(FROM stored_lines WHERE kind = '{USAGE}')", "bill_lines", _LINE, _OF_LINE
    )


def _different_bills(session: "duckdb.DuckDBPyConnection") -> list[dict[str, Any]]:
    """Bills that are others, or that one side lacks; of holders with corrections or lines by hand what their usage makes."""
    session.execute(
        "CREATE TEMP TABLE corrected AS SELECT DISTINCT customer_id, holder_no FROM stored_lines WHERE kind <> $1",
        [USAGE],
    )
    # Who has corrections alone has a bill that usage does not make.
    without_usage = "(FROM corrected ANTI JOIN facturation_complete USING (customer_id, holder_no))"
    stored = f"(FROM stored_bills ANTI JOIN {without_usage} USING (customer_id, holder_no))"
    of_usage = _different(session, "bill", stored, "facturation_complete", _LINE[:2], _OF_USAGE)
    alone = "(FROM stored_bills ANTI JOIN corrected USING (customer_id, holder_no))"
    again = "(FROM facturation_complete ANTI JOIN corrected USING (customer_id, holder_no))"
    return of_usage or _different(session, "bill", alone, again, _LINE[:2], _OF_ALL_LINES)


def _different(
    session: "duckdb.DuckDBPyConnection", what: str, stored: str, again: str, key: Sequence[str], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of two tables with one key that differ in some column, or that one of both lacks: a row for each such column."""
    sides = ", ".join(f"s.{name} AS stored_{name}, a.{name} AS again_{name}" for name in columns)
    differ = " OR ".join(f"s.{name} IS DISTINCT FROM a.{name}" for name in columns)
    query = f"""
        SELECT {", ".join(key)}, {sides} FROM {stored} s FULL JOIN {again} a USING ({", ".join(key)})
        WHERE {differ} ORDER BY {", ".join(key)}
    """  # noqa: S608  (constants)
    rows = session.sql(query).to_arrow_table().to_pylist()
    return [
        {
            "what": what,
            **{each: row[each] for each in key},
            "column": name,
            "stored": row[f"stored_{name}"],
            "again": row[f"again_{name}"],
        }
        for row in rows
        for name in columns
        if row[f"stored_{name}"] != row[f"again_{name}"]
    ]


def _said(row: Mapping[str, Any]) -> str:
    holder = f", holder {row['holder_no']}" if row["holder_no"] != 1 else ""
    line = f" ({row['service']}, {row['rate_plan_id']}, {row['region']})" if "service" in row else ""
    stored, again = (_value(row[side]) for side in ("stored", "again"))
    return f"customer {row['customer_id']}{holder}: {row['what']}{line}: {row['column']} is {stored}, and {again} when rated again"


def _value(value: object) -> str:
    return "not there" if value is None else f"{value}"
