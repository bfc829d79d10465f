"""A warehouse as the version before made it, with the marks that its runs left when they died or met each other.

Belongs here: the columns and table properties of that version, stated once more, and what its runs wrote in which order.
Does not belong here: anything of the upgrade. Rows are the oracle's, under the names of that time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Message, Parameters, Row
from telecom_assets_tests.stages.chain import holdable, raw_row

TOPIC, TOPIC_ID = "cdr_topic", "topic-1"
LANDED_AT = datetime(2026, 6, 10, 12, tzinfo=UTC)

_INSTANT = pa.timestamp("us", tz="UTC")
_PLACE = [("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())]
_DAY = [("event_date", pa.date32())]
_TEXTS = (
    *("cell_id", "technology", "caller_id", "callee_id", "duration_sec", "sender_id", "receiver_id", "user_id"),
    *("data_volume_mb", "session_duration_sec", "product_code"),
)
_VERSIONS = [(f"{name}_version", pa.int64()) for name in ("customers", "rate_plans", "product_catalog")]


def _text(*names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.string()) for name in names]


def _decimal(precision: int, scale: int, *names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, pa.decimal128(precision, scale)) for name in names]


#: Columns of the tables that were different, as the log had them.
SCHEMAS: Mapping[str, pa.Schema] = {
    "raw_cdrs": pa.schema(
        [
            *_PLACE,
            ("received_at", _INSTANT),
            ("kafka_topic", pa.string()),
            ("value", pa.binary()),
            *_text("admission_error", "record_id", "record_type", "timestamp_text"),
            ("event_ts", _INSTANT),
            *_text(*_TEXTS),
            *_DAY,
        ]
    ),
    "landing_ranges": pa.schema(
        [
            *_text("topic_id", "kafka_topic"),
            ("kafka_partition", pa.int32()),
            *[(name, pa.int64()) for name in ("from_offset", "to_offset", "records", "raw_version")],
            *_text("run_id"),
            ("landed_at", _INSTANT),
        ]
    ),
    "cleaned_cdrs": pa.schema(
        [
            *_text("record_id", "subscriber_id", "record_type"),
            ("event_ts", _INSTANT),
            *_text("other_party", "cell_id", "technology"),
            *_decimal(18, 3, "duration_sec"),
            *_decimal(18, 6, "data_volume_mb"),
            *_decimal(18, 3, "session_duration_sec"),
            *_text("product_code", "rating_status"),
            ("received_at", _INSTANT),
            *_PLACE,
            *_DAY,
        ]
    ),
    "rejected_cdrs": pa.schema(
        [
            *_text("record_id", "reason", "detail", "record_type"),
            ("event_ts", _INSTANT),
            ("received_at", _INSTANT),
            *_PLACE,
            *_DAY,
        ]
    ),
    "mediated_days": pa.schema(
        [
            ("raw_rows", pa.int64()),
            *_decimal(38, 0, "raw_offsets"),
            ("raw_version", pa.int64()),
            ("product_catalog_version", pa.int64()),
            ("dedupe_days", pa.int32()),
            *_DAY,
        ]
    ),
    "rated_cdrs": pa.schema(
        [
            *_text("record_id", "customer_id", "record_type"),
            ("event_ts", _INSTANT),
            *_text("rate_plan_id", "region", "product_code"),
            *_decimal(18, 6, "billable_units", "free_units_applied"),
            *_decimal(12, 6, "unit_price"),
            *_decimal(18, 6, "tier_threshold"),
            *_decimal(12, 6, "tier_price"),
            *_decimal(18, 6, "amount"),
            *_text("rating_status"),
            ("imputed", pa.bool_()),
            *_text("billing_period"),
            *_PLACE,
            *_VERSIONS,
            *_DAY,
        ]
    ),
    "suspended_cdrs": pa.schema(
        [
            *_text("record_id", "customer_id", "record_type"),
            ("event_ts", _INSTANT),
            *_text("reason", "disposition", "product_code", "rate_plan_id", "region"),
            *_decimal(18, 6, "billable_units"),
            *_text("rating_status", "billing_period"),
            *_PLACE,
            *_VERSIONS,
            *_DAY,
        ]
    ),
}
_PROPERTIES = {
    "delta.enableDeletionVectors": "false",
    "delta.checkpointInterval": "1000000",
    "delta.logRetentionDuration": "interval 35 days",
    "delta.deletedFileRetentionDuration": "interval 35 days",
}


def under_former_names(row: Row) -> Row:
    """A row with the names of that time; what it had not is left out."""
    former = {"source_part": "kafka_partition", "source_position": "kafka_offset"}
    later = ("source_id", "holder_no", "customer_valid_from", "plan_valid_from", "product_valid_from")
    return {former.get(name, name): value for name, value in row.items() if name not in later}


@dataclass
class FormerWarehouse:
    """All tables that were different, empty at first; `land`, `mediate` and the rest do what its runs did."""

    root: str
    storage_options: dict[str, str] | None = None
    parameters: Parameters = field(default_factory=Parameters)
    topic: str = TOPIC
    topic_id: str = TOPIC_ID
    #: Everything that has landed, each message once.
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, schema in SCHEMAS.items():
            indexed = 3 if name == "raw_cdrs" else 4
            DeltaTable.create(
                self.path(name),
                schema=schema,
                name=name,
                partition_by=["event_date"] if "event_date" in schema.names else None,
                configuration={**_PROPERTIES, "delta.dataSkippingNumIndexedCols": str(indexed)},
                storage_options=self.storage_options,
            )

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def version(self, name: str) -> int:
        return DeltaTable(self.path(name), storage_options=self.storage_options).version()

    def write(self, name: str, rows: Iterable[Row], where: str | None = None) -> int:
        """Append rows, or replace those of a predicate; returns the version."""
        table = pa.Table.from_pylist([_whole(SCHEMAS[name], row) for row in rows], schema=SCHEMAS[name])
        how: dict[str, Any] = {"mode": "overwrite", "predicate": where} if where else {"mode": "append"}
        write_deltalake(self.path(name), table, storage_options=self.storage_options, **how)
        return self.version(name)

    # -- landing -----------------------------------------------------------------------------------------------------

    def watch(self, partitions: Sequence[int]) -> None:
        """The first landing of all: every partition is watched from its earliest offset on."""
        self._record([(part, 0, 0, 0) for part in partitions], self.version("raw_cdrs"))

    def append(self, messages: Sequence[Message], **changed: Any) -> int:
        """Rows of messages, on the days the oracle says unless told otherwise."""
        rows = [{**raw_row(message, self.parameters), "kafka_topic": self.topic, **changed} for message in messages]
        self.messages += [message for message in messages if message not in self.messages]
        return self.write("raw_cdrs", map(under_former_names, rows))

    def land(self, messages: Sequence[Message], *, dies: bool = False, **changed: Any) -> None:
        """Rows, then the ledger. dies: before the ledger."""
        version = self.append(messages, **changed)
        if dies:
            return
        parts = sorted({message.partition for message in messages})
        offsets = {part: [message.offset for message in messages if message.partition == part] for part in parts}
        self._record([(part, min(found), max(found) + 1, len(found)) for part, found in offsets.items()], version)

    def _record(self, ranges: Sequence[tuple[int, int, int, int]], version: int) -> None:
        names = ("kafka_partition", "from_offset", "to_offset", "records")
        about = {
            "topic_id": self.topic_id,
            "kafka_topic": self.topic,
            "raw_version": version,
            "run_id": "run",
            "landed_at": LANDED_AT,
        }
        self.write("landing_ranges", [{**about, **dict(zip(names, each, strict=True))} for each in ranges])

    # -- mediation and rating ----------------------------------------------------------------------------------------

    def mediate(self, *days: date, rows_twice: bool = False) -> None:
        """Outcomes of days as the oracle has them, and their rows in mediated_days.

        rows_twice: every message of the days stands twice in raw_cdrs; the second is a duplicate of the first where that
        is cleaned, and is refused for the same reason where it is not.
        """
        outcomes = [
            each for each in oracle.mediate(self.messages, cdrs.CATALOGUE, self.parameters) if each.home_day in days
        ]
        cleaned = [each.row for each in outcomes if each.reason is None]
        rejected = [{**each.row, "event_ts": holdable(each.row["event_ts"])} for each in outcomes if each.reason]
        if rows_twice:
            columns = (
                "record_id",
                "record_type",
                "event_ts",
                "received_at",
                "source_part",
                "source_position",
                "event_date",
            )
            copies = [{name: row[name] for name in columns} | {"reason": "duplicate"} for row in cleaned]
            rejected += rejected + copies
        for day in days:
            where = f"event_date = '{day}'"
            for name, rows in (("cleaned_cdrs", cleaned), ("rejected_cdrs", rejected)):
                self.write(name, [under_former_names(row) for row in rows if row["event_date"] == day], where)
            landed = [row for row in (*cleaned, *rejected) if row["event_date"] == day]
            ledger = {
                "raw_rows": len(landed),
                "raw_offsets": Decimal(sum(row["source_position"] for row in landed)),
                "raw_version": self.version("raw_cdrs"),
                "product_catalog_version": 1,
                "dedupe_days": self.parameters.dedupe_days,
                "event_date": day,
            }
            self.write("mediated_days", [ledger], where)

    def mark(self, day: date) -> None:
        """A landing has found that a copy came before one that the day keeps, or may keep: -1, the rest as it was."""
        table = DeltaTable(self.path("mediated_days"), storage_options=self.storage_options).to_pyarrow_table()
        never = {"raw_offsets": Decimal(0), "product_catalog_version": 0, "dedupe_days": self.parameters.dedupe_days}
        known = {row["event_date"]: row for row in table.to_pylist()}
        row = {**known.get(day, never), "event_date": day, "raw_rows": -1, "raw_version": self.version("raw_cdrs")}
        self.write("mediated_days", [row], f"event_date = '{day}'")

    def rate(self, day: date) -> None:
        """A rated and a suspended event."""
        common = {"record_id": "r", "customer_id": "212600000001", "event_date": day, "kafka_partition": 1}
        self.write("rated_cdrs", [{**common, "kafka_offset": 7, "amount": Decimal("0.123456"), "imputed": False}])
        self.write("suspended_cdrs", [{**common, "kafka_offset": 8, "reason": "no_price"}])


def _whole(schema: pa.Schema, row: Row) -> Row:
    unknown = set(row) - set(schema.names)
    assert not unknown, f"the former table has no {unknown}"
    return {name: row.get(name) for name in schema.names}


# ------------------------------------------------------------------------------------------ a small one, written in a few minutes

A, B, C = (date(2026, 6, number) for number in (1, 2, 3))


def message(
    day: date, part: int, offset: int, record: str = "", *, hours: int = 1, caller: str = "212600000001"
) -> Message:
    """A call of noon on a day, received so many hours later."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    value = (
        f'{{"record_ID": "{record or f"{part}-{offset}"}", "record_type": "voice", "timestamp": "{noon:%Y-%m-%dT%H:%M:%S}", '
        f'"cell_id": "RABAT_01", "technology": "4G", "caller_id": "{caller}", "callee_id": "212600000002", '
        '"duration_sec": 60}'
    )
    return Message(part, offset, noon + timedelta(hours=hours), value.encode(), TOPIC_ID)


#: Two calls a day in each of two partitions; one of day A has no caller, and one of day B is a copy of one of day A.
MESSAGES = [
    *(message(A, part, offset) for part in (0, 1) for offset in (0, 1)),
    message(A, 0, 2, caller="nobody"),
    *(message(B, 0, offset) for offset in (3, 4)),
    *(message(B, 1, offset) for offset in (2, 3)),
    message(B, 1, 4, "0-0", hours=2),
    *(message(C, 0, offset) for offset in (5, 6)),
]


def of_days(*days: date) -> list[Message]:
    return [each for each in MESSAGES if oracle.home_day(each) in days]


def filled(made: FormerWarehouse) -> FormerWarehouse:
    """Days A and B landed and mediated, a rated and a suspended event; day C landed."""
    made.watch([0, 1])
    made.land(of_days(A))
    made.land(of_days(B))
    made.mediate(A, B)
    made.rate(A)
    made.land(of_days(C))
    return made
