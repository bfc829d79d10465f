"""CSV files from people: one way to read them and one error.

Belongs here: encoding, header, line numbers, quoting, how a day is written. Does not belong here: what a value may be
(`customer_import`, `tariff_files`, `billing_terms`, `judging`).
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from operator import itemgetter
from pathlib import Path

from resources.expected_errors import ExpectedError

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class InputFileError(ExpectedError):
    """A file cannot be used. The message names the file, the line where there is one, and what was expected."""


@dataclass(frozen=True)
class CsvRow:
    """A row: the line of the file on which it begins, and its values in the order of the expected columns.

    `values` is None when the row has another number of values than the header; `found` is that number.
    """

    line: int
    values: tuple[str, ...] | None
    found: int


def read_csv_rows(path: Path | Traversable, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[CsvRow]:
    """The rows of a comma-separated UTF-8 file whose header has these columns, in any order; the optional ones may be left out.

    Tolerates a byte order mark, CRLF and blank lines. Values are as written, quotes resolved, in the order of `columns` and then of
    `optional`; those of a column that was left out are empty. Raises InputFileError when the file cannot be read as such a table.
    """
    lines = _lines(path, columns)
    first, header = next(lines)
    pick = _picker(path, first, header, columns, optional)
    for line, cells in lines:
        yield CsvRow(line, pick(cells) if len(cells) == len(header) else None, len(cells))


def read_csv_header(path: Path | Traversable, columns: Sequence[str]) -> list[str]:
    """The names in the header of a file, whatever they are. columns: those that an error says are expected."""
    return next(_lines(path, columns))[1]


def read_day(text: str) -> dt.date | None:
    """The day that a cell names as yyyy-MM-dd; None where it names none."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _lines(path: Path | Traversable, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines of a file that are not blank, the header first, each with its number and its values."""
    reader = csv.reader(io.StringIO(_text(path, columns), newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            first, line = line, reader.line_num + 1
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield first, cells
    except csv.Error as error:
        raise InputFileError(
            f'{path}: line {line}: the quotes of the row that begins here are wrong ({error}); expected "…" around the '
            'whole value and "" for a quote inside'
        ) from None


def _text(path: Path | Traversable, columns: Sequence[str]) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror or error}); expected a CSV file") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputFileError(
            f"{path}: line {line}: byte 0x{data[error.start]:02x} is not UTF-8; expected UTF-8 text: save the file as "
            '"CSV UTF-8"'
        ) from None
    if not text.strip():
        raise InputFileError(f"{path}: is empty; expected a header line: {','.join(columns)}")
    return text


def _picker(
    path: Path | Traversable, line: int, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]
) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Takes the values of a row in the order of the expected columns, with an empty one for each that the header lacks."""
    missing = [name for name in columns if name not in header]
    unknown = [name for name in header if name not in (*columns, *optional)]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if missing or unknown or repeated:
        problems = [
            f"{what} {', '.join(map(repr, names))}"
            for what, names in (("no column", missing), ("unknown column", unknown), ("repeated column", repeated))
            if names
        ]
        separated = len(header) == 1 and any(each in header[0] for each in ";\t|")
        hint = "; values are to be separated by commas" if separated else ""
        also = f", and if need be {','.join(optional)}" if optional else ""
        raise InputFileError(
            f"{path}: line {line}: {'; '.join(problems)}; expected exactly the columns {','.join(columns)}{also}{hint}"
        )
    given = itemgetter(*(header.index(name) for name in columns))
    others = [header.index(name) if name in header else None for name in optional]
    if not others:
        return given
    return lambda cells: (*given(cells), *("" if place is None else cells[place] for place in others))
