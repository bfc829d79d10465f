"""How a verdict is shown: what differs, and the days or months that were looked at, as tables of a bounded size.

Belongs here: which rows of a verdict people see, in the UI, in a terminal and in a file.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg

from resources.io_manager import plain
from resources.warehouse import Partitions
from telecom_assets.books.verdict import Verdict
from telecom_assets.model.months import days_between, months_between

#: Rows of what differs, and days or months, that are shown.
DIFFERING, LOOKED_AT = 20, 100

#: The most characters of a text that are shown: a record id has any length.
_CELL = 200

Cell = str | int


def differing(verdict: Verdict) -> list[dict[str, Cell]]:
    """The first rows of what differs, all with the same columns; where there are none, the findings themselves."""
    rows = verdict.differs or [{"finding": finding} for finding in verdict.findings]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: _cell(row.get(name)) for name in columns} for row in rows[:DIFFERING]]


def differing_not_shown(verdict: Verdict) -> int:
    return max(len(verdict.differs or verdict.findings) - DIFFERING, 0)


def looked_at(
    verdict: Verdict, counts: Mapping[Any, int], partitions: Partitions | None, column: str
) -> tuple[list[dict[str, Cell]], int]:
    """The days or months that a verdict is about, each with its rows and verdict, and how many are not shown.

    Failed ones come first. Where there are more than are shown, the newest are. counts: rows of the table by day or month.
    partitions: those of the run; None: all that the table has. column: "day" or "month".
    """
    present = [value for value in counts if value is not None]
    values = sorted(present) if partitions is None else _between(partitions)
    all_of_it = verdict.failed is None and not verdict.passed
    broken = frozenset(values) if all_of_it else verdict.failed or frozenset()
    failed = [value for value in values if value in broken]
    passed = [value for value in values if value not in broken]
    bad = failed[-LOOKED_AT:]
    good = passed[max(len(passed) - (LOOKED_AT - len(bad)), 0) :]
    rows: list[dict[str, Cell]] = [
        {column: str(value), "rows": counts.get(value, 0), "verdict": said}
        for said, some in (("failed", bad), ("passed", good))
        for value in some
    ]
    return rows, len(values) - len(rows)


def as_table(rows: Sequence[Mapping[str, Cell]]) -> dg.TableMetadataValue:
    """Rows with the same columns, for the UI."""
    numbers = {name for name in rows[0] if all(isinstance(row[name], int) for row in rows)} if rows else set()
    columns = [dg.TableColumn(name, "int" if name in numbers else "string") for name in (rows[0] if rows else ())]
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], dg.TableSchema(columns))


def _cell(value: object) -> Cell:
    """A value for people, exact: a decimal with all its digits, an empty text for None. A long text is cut."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = "" if value is None else str(value)
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _between(partitions: Partitions) -> list[Any]:
    if isinstance(partitions.first, dt.date):
        return days_between(partitions.first, partitions.last)
    return months_between(partitions.first, partitions.last)
