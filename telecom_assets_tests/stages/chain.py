"""The chain on an engine, as plain rows: messages in, rows of the contracts out, and what the oracle says beside them.

Belongs here: the way into DataFrames and out of them, and the one comparison with the oracle. Does not belong here:
rules, expected values.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame

from resources.contract import TableContract
from resources.engine import SparkEngine
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.rules import bill
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.intake.admission import admit
from telecom_assets.mediation.rules import Outcomes, mediate
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.rating.month_rules import impute
from telecom_assets.rating.rules import ReferenceData, price_list
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.tables import TABLES
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Message, Parameters, Row

CALENDAR_START = date(2010, 1, 1)
TERMS = BillingTerms(Decimal(5), Decimal(20), "MAD")
#: Versions of the reference tables that the rated rows of these tests name.
VERSIONS = {"customers": 7, "rate_plans": 8, "product_catalog": 9}
#: Spark SQL type of every Arrow type of the contracts.
_DDL = {column.arrow_type: column.type for contract in TABLES.values() for column in contract.columns}
#: Free text and table versions: the oracle knows neither.
_NOT_COMPARED = {"detail", *(f"{name}_version" for name in VERSIONS)}
#: Tables of events are compared by where the message lay: that is unique whatever the rules say.
_IDENTITY = ("source_part", "source_position", "source_id")


# ------------------------------------------------------------------------------------------------------ into the engine


def messages_frame(engine: SparkEngine, messages: Sequence[Message]) -> DataFrame:
    """Messages as `admit` wants them. `received_at` None stands for a topic that carries producer time."""
    columns = {
        "kafka_topic": pa.array(["cdr_topic"] * len(messages), pa.string()),
        "source_id": pa.array([message.source_id for message in messages], pa.string()),
        "source_part": pa.array([message.partition for message in messages], pa.int32()),
        "source_position": pa.array([message.offset for message in messages], pa.int64()),
        "received_at": pa.array([message.received_at for message in messages], pa.timestamp("us", tz="UTC")),
        "value": pa.array([message.value for message in messages], pa.binary()),
    }
    return _frame(engine, pa.table(columns))


def contract_table(contract: TableContract, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows (figures as Decimal, int or text; what is missing or '' is NULL) as an Arrow table of the contract."""

    def cell(row: Mapping[str, Any], name: str, kind: pa.DataType) -> Any:
        value = row.get(name)
        if value is None or value == "":
            return None
        return Decimal(str(value)) if pa.types.is_decimal(kind) else value

    schema = contract.arrow_schema()
    given_rows = list(rows)
    return pa.table(
        {
            field.name: pa.array([cell(row, field.name, field.type) for row in given_rows], field.type)
            for field in schema
        }
    )


def contract_frame(engine: SparkEngine, contract: TableContract, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    return _frame(engine, contract_table(contract, rows))


def _frame(engine: SparkEngine, table: pa.Table) -> DataFrame:
    """An Arrow table as a DataFrame, without rows too."""
    session = engine.spark_session
    if table.num_rows:
        return session.createDataFrame(table)
    return session.createDataFrame([], ", ".join(f"`{field.name}` {_ddl(field.type)}" for field in table.schema))


def _ddl(kind: pa.DataType) -> str:
    """The Spark SQL name of a type; amounts have the decimals of any currency."""
    return f"decimal({kind.precision},{kind.scale})" if pa.types.is_decimal(kind) else _DDL[kind]


def catalogue_frame(engine: SparkEngine) -> DataFrame:
    return contract_frame(engine, PRODUCT_CATALOG, cdrs.CATALOGUE)


def reference_data(
    engine: SparkEngine,
    customers: Iterable[Row] = cdrs.CUSTOMERS,
    rate_plans: Iterable[Row] = cdrs.RATE_PLANS,
    catalogue: Iterable[Row] = cdrs.CATALOGUE,
) -> ReferenceData:
    return ReferenceData(
        contract_frame(engine, CUSTOMERS, customers),
        contract_frame(engine, RATE_PLANS, rate_plans),
        contract_frame(engine, PRODUCT_CATALOG, catalogue),
        VERSIONS,
    )


def admitted(engine: SparkEngine, messages: Sequence[Message], parameters: Parameters) -> DataFrame:
    """raw_cdrs of the messages, landed after the last of them was received."""
    landing_time = max((message.received_at for message in messages), default=datetime(2026, 1, 1, tzinfo=UTC))
    return admit(
        messages_frame(engine, messages),
        max_age_days=parameters.max_age_days,
        accept_months=parameters.accept_months,
        calendar_start=CALENDAR_START,
        now=landing_time + timedelta(days=1),
    )


def imputed(
    engine: SparkEngine,
    rated: DataFrame,
    suspended: DataFrame,
    of_month: ReferenceData | None = None,
    record_types: RecordTypes = RECORD_TYPES,
) -> DataFrame:
    """Rows of period_charges of one month, with the reference data of `reference_data` unless there is another."""
    of_month = of_month or reference_data(engine)
    prices = price_list(of_month.rate_plans, of_month.product_catalog, record_types)
    return impute(rated, suspended, prices, record_types)


def stored(engine: SparkEngine, rows: DataFrame) -> DataFrame:
    """The rows computed once, as they would be read from a table: what follows does not compute them again."""
    return _frame(engine, rows.toArrow())


def mediated(engine: SparkEngine, messages: Sequence[Message], parameters: Parameters) -> Outcomes:
    """The outcomes of all messages at once: every day is its own neighbourhood's part."""
    raw = stored(engine, admitted(engine, messages, parameters))
    return mediate(raw, raw, catalogue_frame(engine), dedupe_days=parameters.dedupe_days)


# ---------------------------------------------------------------------------------------------------- out of the engine


def rows_of(frame: DataFrame) -> list[Row]:
    rows: list[Row] = frame.toArrow().to_pylist()
    return rows


def billed(
    engine: SparkEngine, charges: DataFrame, customers: DataFrame, period: str, terms: BillingTerms = TERMS
) -> tuple[DataFrame, DataFrame]:
    """Rows of bill_lines and of facturation_complete of a month; the lines are written before the bills are made of them."""
    lines = stored(engine, usage_lines(charges, period, terms))
    return lines, bill(lines, customers, period, terms)


def schema_of(frame: DataFrame) -> list[tuple[str, str]]:
    """Names and Spark SQL types of the columns, in order."""
    return [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]


def assert_schema(contract: TableContract, frame: DataFrame) -> None:
    assert schema_of(frame) == [(column.name, column.type) for column in contract.columns]


# ------------------------------------------------------------------------------------------------------- the comparison


def assert_rows(contract: TableContract, found: Iterable[Row], expected: Iterable[Row]) -> None:
    """Both hold the same rows, each once, alike in every column of the contract that the oracle knows."""
    key = _IDENTITY if set(_IDENTITY) <= set(contract.column_names) else contract.key
    compared = [name for name in contract.column_names if name not in _NOT_COMPARED]

    def by_key(rows: Iterable[Row]) -> dict[tuple[Any, ...], Row]:
        listed = list(rows)
        indexed = {tuple(row[name] for name in key): {name: row[name] for name in compared} for row in listed}
        assert len(indexed) == len(listed), f"{contract.name}: a key stands twice"
        return indexed

    got, want = by_key(found), by_key(expected)
    missing, surplus = sorted(want.keys() - got.keys()), sorted(got.keys() - want.keys())
    assert not missing, f"{contract.name}: {len(missing)} rows are missing, the first is {want[missing[0]]!s:.600}"
    assert not surplus, f"{contract.name}: {len(surplus)} rows too many, the first is {got[surplus[0]]!s:.600}"
    different = [where for where in want if got[where] != want[where]]
    assert not different, f"{contract.name}: {len(different)} rows differ, the first is {different[0]}: " + "; ".join(
        f"{name} {got[different[0]][name]!r:.300}, expected {want[different[0]][name]!r:.300}"
        for name in compared
        if got[different[0]][name] != want[different[0]][name]
    )


def collected(outcomes: Outcomes) -> tuple[list[Row], list[Row]]:
    """Cleaned and rejected rows in one query: an engine takes its time for each."""
    names = {*CLEANED_CDRS.column_names, *REJECTED_CDRS.column_names}
    rows = rows_of(outcomes.rows.select(*sorted(names)))
    return [row for row in rows if row["reason"] is None], [row for row in rows if row["reason"] is not None]


def assert_outcomes(found: Outcomes, expected: Sequence[oracle.Outcome]) -> None:
    """Cleaned and rejected rows are the oracle's, and what a copy was compared with is named."""
    cleaned, rejected = collected(found)
    assert_rows(CLEANED_CDRS, cleaned, [item.row for item in expected if item.reason is None])
    assert_rows(REJECTED_CDRS, rejected, rejections(expected))
    copy_of = {
        (
            item.message.partition,
            item.message.offset,
        ): f"copy of: partition {item.original.partition} offset {item.original.offset}"
        for item in expected
        if item.original
    }
    details = {
        (row["source_part"], row["source_position"]): row["detail"]
        for row in rejected
        if row["reason"] in {"duplicate", "duplicate_conflict"}
    }
    assert details == copy_of


def rejections(outcomes: Iterable[oracle.Outcome]) -> list[Row]:
    """The oracle's rejected rows as a table can hold them: instants outside 1900 to 2199 are NULL."""
    return [item.row | {"event_ts": holdable(item.row["event_ts"])} for item in outcomes if item.reason is not None]


def holdable(instant: datetime | None) -> datetime | None:
    return instant if instant and 1900 <= instant.year < 2200 else None


def raw_row(message: Message, parameters: Parameters) -> Row:
    """The row of raw_cdrs of a message, from the oracle's reading of it."""
    fields, error = oracle.admit(message.value)
    timestamp = oracle.read_timestamp(fields["timestamp"]) if "timestamp" in fields else None
    renamed = {"record_ID": "record_id", "timestamp": "timestamp_text"}
    names = {name for each in oracle.FIELDS_OF_TYPE.values() for name in each}
    return {renamed.get(name, name): fields.get(name) for name in names} | {
        "kafka_topic": "cdr_topic",
        "source_id": message.source_id,
        "source_part": message.partition,
        "source_position": message.offset,
        "received_at": message.received_at,
        "value": message.value,
        "admission_error": error,
        "event_ts": holdable(timestamp.utc if timestamp else None),
        "event_date": oracle.home_day(message, parameters),
    }


# -------------------------------------------------------------------------------------------------------- many examples


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """`count` examples of a strategy, the same at every run.

    An engine takes as long for one message as for a thousand: examples are drawn first and judged together. What fails
    is named by its row; nothing shrinks.
    """
    examples: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Any) -> None:
        examples.append(example)

    collect()
    return examples


def side_by_side(collections: Iterable[Sequence[Message]]) -> list[Message]:
    """Collections of `strategies.cdr_messages` as one: own partitions and own record_IDs, so that none meets another."""
    together: list[Message] = []
    for number, messages in enumerate(collections):
        own_id = b'"%08x-' % (number + 1)
        together += [
            Message(
                2 * number + message.partition,
                message.offset,
                message.received_at,
                (message.value or b"").replace(b'"00000000-', own_id),
            )
            for message in messages
        ]
    return together
