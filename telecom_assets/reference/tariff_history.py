"""What a file of tariffs or products makes of those that are stored: the next version of the table.

Belongs here: the rules, on Arrow tables of a few thousand rows. Does not belong here: reading files (`tariff_files`), judging
(`judging`), storing (`tariffs`).

A file with dates is the whole history, and takes the place of what is stored. A file without dates says what is to be in force
from some day on: what is stored is in force until then, so it needs that day as soon as it differs from what is stored.
"""

import datetime as dt
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from resources.contract import TableContract
from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.reference.as_of import entity, named, stretch_of
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.tariff_files import TariffFile

_SHOWN = 3
_Row = Mapping[str, Any]


def next_version(stored: pa.Table, file: TariffFile, valid_from: dt.date | None = None) -> pa.Table:
    """The rows of the table after a file was read. valid_from: the first day of a file without dates.

    The first file without dates is in force on all days, unless it is given one. Raises InputFileError for a file without dates that
    differs from what is stored and is given no day, and for one with dates that is given one.
    """
    if file.is_dated:
        if valid_from is not None:
            raise InputFileError(
                f"{file.path}: has dates of its own; leave --valid-from out, or its columns valid_from and valid_to"
            )
        return file.rows
    if valid_from is not None:
        return changed_from(stored, file.rows, file.contract, valid_from)
    if changes := changes_without_a_day(stored, file):
        raise needs_a_day({file: changes})
    return stored if stored.num_rows else file.rows


def changes_without_a_day(stored: pa.Table, file: TariffFile) -> list[str]:
    """What a file without dates changes of what is stored, in words: it needs a day then. Empty where it needs none."""
    return differences(stored, file.rows, file.contract) if stored.num_rows and not file.is_dated else []


def needs_a_day(changed: Mapping[TariffFile, Sequence[str]]) -> InputFileError:
    """The refusal of files without dates that change what is stored, with the command that says from which day they hold."""
    told = "; ".join(
        f"{file.path}: has no dates and differs from the stored {file.contract.name} ({'; '.join(changes)})"
        for file, changes in changed.items()
    )
    command = shlex.join(["telecom", "tariff", "import", *(str(file.path) for file in changed)])
    return InputFileError(
        f"{told}; what is stored stays as it is; say from which day it holds: {command} --valid-from yyyy-MM-dd"
    )


def changed_from(stored: pa.Table, read: pa.Table, contract: TableContract, day: dt.date) -> pa.Table:
    """The history in which the rows of `read` are in force from a day on, and until then what is stored.

    Stored rows that begin on that day or later are replaced. A row that is the same before and after goes on: it is not ended and
    begun anew, so nothing that was priced by it changes. What `read` lacks is in force until that day.
    """
    ended = [row for each in stored.to_pylist() if (row := _until(each, day)) is not None]
    before = {named(row, contract): row for row in ended if row[VALID_TO] == day}
    begun = []
    for row in read.to_pylist():
        running = before.get(named(row, contract))
        if running is not None and _content(running) == _content(row):
            running[VALID_TO] = None
        else:
            begun.append({**row, VALID_FROM: day, VALID_TO: None})
    return pa.Table.from_pylist([*ended, *begun], schema=contract.arrow_schema())


def differences(stored: pa.Table, read: pa.Table, contract: TableContract) -> list[str]:
    """What differs between the stored rows that have no end and those of a file without dates, in words; empty where nothing does."""
    old = {named(row, contract): _content(row) for row in stored.to_pylist() if row[VALID_TO] is None}
    new = {named(row, contract): _content(row) for row in read.to_pylist()}
    found = {
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
    }
    repeated = read.num_rows - len(new)
    return [
        *(f"{what}: {_some(names)}" for what, names in found.items() if names),
        *([f"{repeated} of its rows stand twice in {', '.join(entity(contract))}"] if repeated else []),
    ]


def _until(row: _Row, day: dt.date) -> dict[str, Any] | None:
    """The row as far as it is in force before a day; None where it is not."""
    days = stretch_of(row)
    if days.first is not None and days.first >= day:
        return None
    return {**row, VALID_TO: day if days.end is None or days.end > day else days.end}


def _content(row: _Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in (VALID_FROM, VALID_TO)}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
