"""How a CSV file of this project is written: RFC 4180 quoting, UTF-8, LF line ends, no formulas.

Belongs here: one field and one line. Does not belong here: tables (`reports.csv_files`) and the invoice index (`invoices`).

NULL is an empty field, empty text is `""`. In a report file all text stands in quotes and no number does: a program that
knows the difference keeps an id made of digits as text. A spreadsheet takes text that begins with = + - @ (also in their full-width
forms), a tab or a line end for a formula and would run it; such text, and text that begins with an apostrophe, gets an
apostrophe in front, which `unguarded` takes off again, so that nothing is lost. Numbers and dates are never guarded.
"""

from collections.abc import Iterable

_RUNS_AS_FORMULA = tuple("=+-@\t\r\n＝＋－＠'")
_NEEDS_QUOTES = frozenset(',"\r\n')


def guarded(text: str) -> str:
    """The text such that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_RUNS_AS_FORMULA) else text


def unguarded(text: str) -> str:
    """The inverse of `guarded`."""
    return text[1:] if text.startswith("'") else text


def text_field(text: str) -> str:
    """Text as it stands in a report file: guarded, and always in quotes."""
    return _in_quotes(guarded(text))


def quoted(field: str) -> str:
    """The field as it stands in the file."""
    if field and _NEEDS_QUOTES.isdisjoint(field) and field == field.strip():
        return field
    return _in_quotes(field)


def _in_quotes(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def csv_line(fields: Iterable[str | None]) -> bytes:
    """One line. The fields are text already, guarded where they come from data; None is NULL."""
    return (",".join("" if field is None else quoted(field) for field in fields) + "\n").encode()
