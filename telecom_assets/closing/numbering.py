"""The numbers of documents: without a gap in each series and calendar year of the issue date. Pure.

Belongs here: the form of a number, and which comes next. Does not belong here: which documents there are (`issuing`).
"""

import re
from collections.abc import Iterable, Mapping

from telecom_assets.invoices.document import Kind

#: The series of each kind of document. A supplementary invoice is an invoice.
SERIES: Mapping[Kind, str] = {"invoice": "INV", "supplementary": "INV", "credit_note": "CRN"}
_NUMBER = re.compile(r"\A(INV|CRN)-([0-9]{4})-([0-9]{6}|[1-9][0-9]{6,})\Z")


def last_given(numbers: Iterable[str], year: int) -> dict[str, int]:
    """The last number that was given in each series of a year. Raises ValueError for what is no number of a document."""
    last: dict[str, int] = {}
    for number in numbers:
        match = _NUMBER.match(number)
        if match is None:
            raise ValueError(f"{number!r}: expected the number of a document, such as INV-{year}-000001")
        if int(match[2]) == year:
            last[match[1]] = max(last.get(match[1], 0), int(match[3]))
    return last


class Numbers:
    """Gives numbers of one year, each after the last of its series. Six digits, or as many more as it needs."""

    def __init__(self, year: int, last: Mapping[str, int]) -> None:
        """last: the last number that was given, by series."""
        self._year = year
        self._last = dict(last)

    def next(self, kind: Kind) -> str:
        """The next number for a document of a kind."""
        series = SERIES[kind]
        self._last[series] = self._last.get(series, 0) + 1
        return f"{series}-{self._year}-{self._last[series]:06d}"
