"""From the topic to raw_cdrs: the identity that landing keeps."""

from typing import Any

import pyarrow.compute as pc
from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.books.verdict import Verdict
from telecom_assets.intake.journal import read_state
from telecom_assets.intake.tables import LANDING_RANGES, RAW_CDRS

LANDED_IDENTITY = "offsets landed = offsets consumed"
#: The most times that the ledger is compared with raw_cdrs while other homes land.
_LOOKS = 20
#: A part of a source: its identity and number.
_Part = tuple[str, int]


def landed_equals_consumed(warehouse: Warehouse) -> Verdict:
    """Positions landed = positions consumed: every range of the ledger is in raw_cdrs once and whole, nothing else is.

    Another home may land between the two reads: an identity that does not hold is computed again while either table changes.
    """
    for _ in range(_LOOKS):
        ledger, raw = warehouse.pin(LANDING_RANGES.name), warehouse.pin(RAW_CDRS.name)
        verdict = _landed_equals_consumed(ledger, raw)
        newest = (warehouse.version(LANDING_RANGES.name), warehouse.version(RAW_CDRS.name))
        if verdict.passed or newest == (ledger.version, raw.version):
            break
    return verdict


def _landed_equals_consumed(landing_ranges: PinnedTable, raw: PinnedTable) -> Verdict:
    ledger = landing_ranges.arrow().to_pylist()
    findings: list[str] = []
    consumed: dict[_Part, int] = {}
    ends: dict[_Part, int] = {}
    broken: set[_Part] = set()
    for row in sorted(ledger, key=lambda row: (*_part(row), row["from_position"], row["to_position"])):
        part = _part(row)
        if part in ends and row["from_position"] != ends[part]:
            findings.append(f"{_named(part)}: ranges do not meet at offset {row['from_position']} ({ends[part]})")
            broken.add(part)
        ends[part] = row["to_position"]
        consumed[part] = consumed.get(part, 0) + row["records"]
    # Distinct positions are counted as bits, 64 positions to a group: exact, and in little memory for a table of any size.
    sets = (
        raw.all()
        .groupBy("source_id", "source_part", F.expr("source_position div 64").alias("word"))
        .agg(
            F.count("*").alias("rows"),
            F.expr("bit_or(shiftleft(1L, cast(source_position % 64 as int)))").alias("bits"),
            F.max("source_position").alias("last"),
        )
    )
    counted = sets.groupBy("source_id", "source_part").agg(
        F.sum("rows").alias("rows"), F.sum(F.bit_count("bits")).alias("positions"), F.max("last").alias("last")
    )
    landed = {_part(row): row for row in counted.collect()}
    differs = []
    for part in sorted(set(landed) | set(consumed)):
        row = landed.get(part)
        rows, positions, last = (row["rows"], row["positions"], row["last"]) if row else (0, 0, -1)
        expected, end = consumed.get(part, 0), ends.get(part, 0)
        problems = []
        if rows != positions:
            problems.append(f"{rows - positions} rows stand twice")
        if positions != expected:
            problems.append(f"{expected} messages consumed, {positions} landed")
        if last >= end:
            problems.append(f"offset {last} landed, the ledger ends at {end}")
        findings += [f"{_named(part)}: {what}" for what in problems]
        if problems or part in broken:
            names = ("source", "partition", "consumed", "landed", "rows twice", "last offset landed", "ledger ends at")
            values = (*part, expected, positions, rows - positions, last, end)
            differs.append(dict(zip(names, values, strict=True)))
    figures = {
        "consumed": sum(consumed.values()),
        "landed": sum(row["rows"] for row in landed.values()),
        "raw_version": raw.version,
    }
    return Verdict(LANDED_IDENTITY, findings, figures, differs)


def landed_rows_are_consumed(warehouse: Warehouse) -> Verdict:
    """The same identity by totals, without reading rows. Every stage that writes money asserts it first.

    The rows of raw_cdrs by its files' statistics equal the consumed messages by the ledger, together with those of the commits
    that the ledger does not have yet.
    """
    state = read_state(warehouse)
    ledger = warehouse.pin(LANDING_RANGES.name, version=state.ledger_version).arrow()
    consumed = (pc.sum(ledger["records"]).as_py() or 0) + sum(
        count for entry in state.unsettled for *_, count in entry.ranges
    )
    landed = sum(warehouse.pin(RAW_CDRS.name, version=state.raw_version).rows_by_partition().values())
    findings = [] if landed == consumed else [f"{consumed} messages consumed, {landed} rows in raw_cdrs"]
    figures = {"consumed": consumed, "landed": landed}
    return Verdict(LANDED_IDENTITY, findings, figures, [figures] if findings else [])


def _part(row: Any) -> _Part:
    return (row["source_id"], row["source_part"])


def _named(part: _Part) -> str:
    return f"source {part[0]} partition {part[1]}"
