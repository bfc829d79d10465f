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
from telecom_assets.billing.tables import ADJUSTMENT, MANUAL, USAGE
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.model.months import month_days
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.record_types.record_type import RecordType

if TYPE_CHECKING:
    import duckdb

#: So many of the largest bills are rated again, besides those that are chosen by hash.
LARGEST = 10
#: The record types that the script names. How others are charged is given to it.
_NAMED = ("voice", "sms", "data")
_EVENT = (
    *("record_id", "subscriber_id", "record_type", "event_ts", "event_date", "product_code", "rating_status"),
    *("duration_sec", "data_volume_mb", "source_id", "source_part", "source_position"),
)
_HOLDER = ("customer_id", "holder_no")
_LINE = (*_HOLDER, "service", "rate_plan_id", "region")
_OF_LINE = ("events", "units", "exact_amount", "amount", "discount_pct", "tax_pct")
_CORRECTION = (*_LINE, "original_period", "line_kind", "tax_category", "tax_pct", "discount_pct")
_OF_CORRECTION = ("events", "units", "exact_amount", "amount")
_BY_HAND = (*_HOLDER, "document", "original_period", "tax_category", "tax_pct")
_TOTALS = (
    "adjustments_total",
    "amount_before_tax",
    "rounding_difference",
    "discount",
    "after_discount",
    "tax",
    "amount_due",
)
_OF_BILL = (
    *("voice_total", "sms_total", "data_total", "other_total", "voice_count", "sms_count", "data_count"),
    *("discount_pct", "tax_pct", "currency", *_TOTALS),
)


@dataclass(frozen=True)
class Inputs:
    """What a month is rated from, pinned, and what it was billed as.

    Tables by month or day are pinned to the month (yyyy-MM). closed_lines: bill_lines of the closed months before; None without one.
    """

    month: str
    cleaned: PinnedTable
    customers: PinnedTable
    rate_plans: PinnedTable
    product_catalog: PinnedTable
    adjustments: PinnedTable
    manual_lines: PinnedTable
    closed_lines: PinnedTable | None
    lines: PinnedTable
    bills: PinnedTable
    correction_documents: PinnedTable
    terms: BillingTerms
    missing_volume_policy: str
    record_types: RecordTypes


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
        only = partial(_only, ids=chosen)
        _set(session, inputs)
        session.register("cleaned_cdrs", _events(inputs, chosen))
        session.register("customers", only(customers))
        session.register("rate_plans", inputs.rate_plans.arrow())
        session.register("product_catalog", inputs.product_catalog.arrow())
        adjustments = only(inputs.adjustments.arrow())
        session.register("adjustments", adjustments)
        session.register("manual_lines", only(inputs.manual_lines.arrow()))
        session.register("closed_lines", _closed_lines(inputs, adjustments))
        session.register("stored_lines", _lines(inputs.lines, chosen))
        session.register("stored_bills", only(bills))
        session.register("stored_documents", only(inputs.correction_documents.arrow()))
        for name in ("rating", "billing", "corrections"):
            session.execute(files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8"))
        differs = [row for each in _COMPARED for row in _different(session, each)]
        return Compared(len(chosen), [_said(row) for row in differs], differs)


@dataclass(frozen=True)
class _Comparison:
    """What is compared: in words, as it is stored, as the script makes it, the columns that name a row, and the others."""

    what: str
    stored: str
    again: str
    key: Sequence[str]
    columns: Sequence[str]


def _by_hand(table: str) -> str:
    return f"(SELECT {', '.join(_BY_HAND)}, sum(amount) AS amount FROM {table} GROUP BY ALL)"  # noqa: S608  (constants)


_COMPARED = (
    _Comparison("lines of usage", f"(FROM stored_lines WHERE kind = '{USAGE}')", "bill_lines", _LINE, _OF_LINE),
    _Comparison(
        "lines of corrections",
        f"(FROM stored_lines WHERE kind = '{ADJUSTMENT}')",
        "(SELECT * RENAME (document AS original_period) FROM adjustment_lines)",
        _CORRECTION,
        _OF_CORRECTION,
    ),
    _Comparison(
        "lines by hand",
        _by_hand(f"(FROM stored_lines WHERE kind = '{MANUAL}')"),
        _by_hand("manual_lines"),
        _BY_HAND,
        ("amount",),
    ),
    _Comparison("bill", "stored_bills", "bills", _HOLDER, _OF_BILL),
    _Comparison("document", "stored_documents", "correction_documents", (*_HOLDER, "document"), ("kind", *_TOTALS)),
)


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


def _events(inputs: Inputs, chosen: Sequence[str]) -> pa.Table:
    """The cleaned events of these customers, through the engine: a month has many files and rows.

    What is measured of events of record types that the script does not name is their `other_quantity`.
    """
    measured = F.lit(None).cast("decimal(18,6)")
    for each in _others(inputs):
        if each.charged is not None:
            measured = F.when(F.col("record_type") == each.name, F.col(each.charged.field)).otherwise(measured)
    of_chosen = inputs.cleaned.df.where(F.col("subscriber_id").isin(*chosen))
    return of_chosen.select(*_EVENT, measured.cast("decimal(18,6)").alias("other_quantity")).toArrow()


def _others(inputs: Inputs) -> list[RecordType]:
    return [each for each in inputs.record_types if each.name not in _NAMED]


def _only(table: pa.Table, column: str = "customer_id", *, ids: Collection[str]) -> pa.Table:
    return table.filter(pc.is_in(table[column], pa.array(list(ids), pa.string())))


def _lines(lines: PinnedTable, ids: Collection[str]) -> pa.Table:
    """The lines of these customers."""
    empty = lines.contract.arrow_schema().empty_table()
    return pa.concat_tables([empty, *(_only(pa.Table.from_batches([batch]), ids=ids) for batch in lines.batches())])


def _closed_lines(inputs: Inputs, adjustments: pa.Table) -> pa.Table:
    """The lines of closed months of those customers whom the month corrects, through the engine: there are many months."""
    corrected = pc.unique(adjustments["customer_id"]).to_pylist()
    if inputs.closed_lines is None or not corrected:
        return inputs.lines.contract.arrow_schema().empty_table()
    return inputs.closed_lines.df.where(F.col("customer_id").isin(*corrected)).toArrow()


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
    session.execute(
        "CREATE TABLE other_types (record_type VARCHAR, is_measured BOOLEAN, started INTEGER, is_imputed BOOLEAN)"
    )
    for each in _others(inputs):
        charged = each.charged
        row = [each.name, charged is not None, each.units.started, charged is not None and charged.imputed]
        session.execute("INSERT INTO other_types VALUES (?, ?, ?, ?)", row)
    session.execute(f"CREATE MACRO billed(amount) AS round(amount, {terms.scale})::DECIMAL(18,{terms.scale})")


def _different(session: "duckdb.DuckDBPyConnection", each: _Comparison) -> list[dict[str, Any]]:
    """Rows of two tables with one key that differ in some column, or that one of both lacks: a row for each such column."""
    key = ", ".join(each.key)
    sides = ", ".join(f"s.{name} AS stored_{name}, a.{name} AS again_{name}" for name in each.columns)
    differ = " OR ".join(f"s.{name} IS DISTINCT FROM a.{name}" for name in each.columns)
    query = f"""
        SELECT {key}, {sides} FROM {each.stored} s FULL JOIN {each.again} a USING ({key}) WHERE {differ} ORDER BY {key}
    """  # noqa: S608  (constants)
    return [
        {
            "what": each.what,
            **{column: row[column] for column in each.key},
            "column": name,
            "stored": row[f"stored_{name}"],
            "again": row[f"again_{name}"],
        }
        for row in session.sql(query).to_arrow_table().to_pylist()
        for name in each.columns
        if row[f"stored_{name}"] != row[f"again_{name}"]
    ]


def _said(row: Mapping[str, Any]) -> str:
    holder = f", holder {row['holder_no']}" if row["holder_no"] != 1 else ""
    named = [row[name] for name in (*_CORRECTION[2:7], "document") if row.get(name) is not None]
    which = f" ({', '.join(named)})" if named else ""
    stored, again = (_value(row[side]) for side in ("stored", "again"))
    return f"customer {row['customer_id']}{holder}: {row['what']}{which}: {row['column']} is {stored}, and {again} when rated again"


def _value(value: object) -> str:
    return "not there" if value is None else f"{value}"
