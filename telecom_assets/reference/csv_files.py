"""CSV files from people: one way to read them and one error.

Belongs here: encoding, header, line numbers, quoting. Does not belong here: what a value may be
(`customer_import`, `judging`).
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from operator import itemgetter
from pathlib import Path

from resources.expected_errors import ExpectedError


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


def read_csv_rows(path: Path | Traversable, columns: Sequence[str]) -> Iterator[CsvRow]:
    """The rows of a comma-separated UTF-8 file whose header has exactly these columns, in any order.

    Tolerates a byte order mark, CRLF and blank lines. Values are as written, quotes resolved. Raises InputFileError
    when the file cannot be read as such a table.
    """
    reader = csv.reader(io.StringIO(_text(path, columns), newline=""), strict=True)
    pick: Callable[[list[str]], tuple[str, ...]] | None = None
    line = 1
    try:
        for cells in reader:
            first, line = line, reader.line_num + 1
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue
            if pick is None:
                pick = itemgetter(*_order(path, first, cells, columns))
            elif len(cells) == len(columns):
                yield CsvRow(first, pick(cells), len(cells))
            else:
                yield CsvRow(first, None, len(cells))
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


def _order(path: Path | Traversable, line: int, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    """The place of each expected column in the header."""
    missing = [name for name in columns if name not in header]
    unknown = [name for name in header if name not in columns]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if not (missing or unknown or repeated):
        return [header.index(name) for name in columns]
    problems = [
        f"{what} {', '.join(map(repr, names))}"
        for what, names in (("no column", missing), ("unknown column", unknown), ("repeated column", repeated))
        if names
    ]
    hint = "; values are to be separated by commas" if len(header) == 1 and any(c in header[0] for c in ";\t|") else ""
    raise InputFileError(
        f"{path}: line {line}: {'; '.join(problems)}; expected exactly the columns {','.join(columns)}{hint}"
    )
