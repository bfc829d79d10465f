"""Which rows of a customers file are good, and what is wrong with the others.

Belongs here: the rules for a row of `telecom customers import`. Does not belong here: writing rows
(`resources.postgres`), the messages for the user (`telecom_assets.cli.customers`).
"""

import datetime as dt
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from telecom_assets.model.columns import VALID_FROM
from telecom_assets.model.party_numbers import MOBILE, normalised
from telecom_assets.model.text import visible
from telecom_assets.reference.csv_files import InputFileError, read_csv_header, read_csv_rows, read_day
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMER_STATUSES, NEW_HOLDER, SUBSCRIPTION_TYPES

#: A customer's number: Morocco mobile, E.164 without +. The whole value, for Python and PostgreSQL alike.
CUSTOMER_ID_PATTERN = MOBILE
#: Columns with a closed list of values.
ALLOWED_VALUES = {"subscription_type": SUBSCRIPTION_TYPES, "status": CUSTOMER_STATUSES}

#: Columns that a file may have besides: the first day of a row, and whether it begins a new holder of the number.
OPTIONAL_COLUMNS = (VALID_FROM, NEW_HOLDER)
#: The rows of a file as they are imported.
FILE_SCHEMA = pa.schema([*CUSTOMER_LIST.arrow_schema(), (VALID_FROM, pa.date32()), (NEW_HOLDER, pa.bool_())])

_CUSTOMER_ID = re.compile(CUSTOMER_ID_PATTERN)
# Characters that XML 1.0 forbids: no invoice could be written. PostgreSQL refuses U+0000 as well.
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be imported: the line on which it begins, and everything that is wrong with it."""

    line: int
    reason: str


@dataclass(frozen=True)
class CustomerFile:
    """The content of a customers file: the good rows (columns of FILE_SCHEMA), the bad ones in file order."""

    rows: pa.Table
    bad_rows: tuple[BadRow, ...]


def read_customer_file(
    path: Path, known_plans: Collection[str], today: dt.date, valid_from: dt.date | None = None
) -> CustomerFile:
    """Read and judge a customers file. `known_plans` are the rate plans that exist, `today` is the local day.

    valid_from: the day of rows without one. A customer_id may be written as people do (+212 6 …, 06…); it is stored in its one form.
    Of several rows with one customer_id and one day the first counts, the others are bad. Raises InputFileError when the file as a
    whole cannot be read (encoding, header, quotes) or has no rows.
    """
    good: list[tuple[Any, ...]] = []
    bad: list[BadRow] = []
    lines: dict[tuple[str, str], int] = {}
    judges = _judges(frozenset(known_plans), today)
    always, width = valid_from.isoformat() if valid_from else "", 0
    for row in read_csv_rows(path, CUSTOMER_LIST.column_names, OPTIONAL_COLUMNS):
        if row.values is None:
            width = width or len(read_csv_header(path, FILE_SCHEMA.names))
            bad.append(BadRow(row.line, f"has {row.found} values, expected {width}"))
            continue
        reasons = [reason for judge, value in zip(judges, row.values, strict=True) if (reason := judge(value))]
        written, *others, day, new_holder = row.values
        customer_id, day = normalised(written), day.strip() or always
        if (first := lines.setdefault((customer_id, day), row.line)) != row.line:
            of_day = f" of {day}" if day else ""
            reasons.append(f"customer_id {written!r}{of_day} is already on line {first}")
        if reasons:
            bad.append(BadRow(row.line, "; ".join(reasons)))
        else:
            good.append((customer_id, *others, day or None, new_holder.strip() == "true"))
    if not good and not bad:
        raise InputFileError(f"{path}: has no rows; expected at least one of {CUSTOMER_LIST.name}")
    return CustomerFile(_table(good), tuple(bad))


def _judges(known_plans: Collection[str], today: dt.date) -> list[Callable[[str], str | None]]:
    """For each column of a file a function that says what is wrong with a value; None when nothing is.

    Except number and name, columns have few different values in a file of millions, so their verdicts are cached.
    """
    judges: list[Callable[[str], str | None]] = []
    for name in CUSTOMER_LIST.column_names:
        judge = partial(_problem, name, known_plans)
        judges.append(judge if name in ("customer_id", "customer_name") else lru_cache(maxsize=10_000)(judge))
    return [*judges, lru_cache(maxsize=10_000)(partial(_day_problem, today)), _mark_problem]


def _problem(name: str, known_plans: Collection[str], value: str) -> str | None:
    if not value.strip():
        return f"{name} is missing"
    if match := _UNPRINTABLE.search(value):
        return f"{name} holds the control character U+{ord(match[0]):04X}"
    expected = _expected(name, known_plans, value)
    return f"{name} is {value!r}; expected {expected}" if expected else None


def _day_problem(today: dt.date, value: str) -> str | None:
    """What is wrong with the day from which a row holds. A day to come would be undone by the next read of the table."""
    day = read_day(value.strip())
    if not value.strip() or (day is not None and day <= today):
        return None
    return f"{VALID_FROM} is {value!r}; expected a date up to today, {today}, YYYY-MM-DD, or nothing"


def _mark_problem(value: str) -> str | None:
    if value.strip() in ("", "true", "false"):
        return None
    return f"{NEW_HOLDER} is {value!r}; expected true, false or nothing"


def _expected(name: str, known_plans: Collection[str], value: str) -> str | None:
    """What the column expects instead of this value; None when the value is good."""
    if name == "customer_id":
        return (
            None if _CUSTOMER_ID.fullmatch(normalised(value)) else "a Morocco mobile number: 2126 or 2127 and 8 digits"
        )
    if name == "activation_date":
        return "a date, YYYY-MM-DD" if read_day(value) is None else None
    known = known_plans if name == "rate_plan_id" else ALLOWED_VALUES.get(name)
    return None if known is None or value in known else f"one of {', '.join(map(visible, sorted(known)))}"


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(FILE_SCHEMA)
    arrays = []
    for values, field in zip(columns, FILE_SCHEMA, strict=True):
        texts = pa.array(values, pa.bool_() if field.name == NEW_HOLDER else pa.string())
        arrays.append(texts.cast(field.type))
    return pa.table(arrays, schema=FILE_SCHEMA)
