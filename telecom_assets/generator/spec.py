"""The request to the generator: sizes, month, seed, the error rates of the input contract.

Belongs here: the request and its validation, the random streams. Does not belong here: how a record is made.
"""

import datetime as dt
import re
from dataclasses import dataclass

import numpy as np

from resources.expected_errors import UsageError

#: The seed of a command without one: any constant, as long as it never changes.
DEFAULT_SEED = 1
#: "Random in 2010–now": the first day of that range, and so the first month that can be asked for.
FIRST_DAY = dt.date(2010, 1, 1)
LAST_YEAR = 2099
#: There are 2 × 10^8 Moroccan mobile numbers (212[67] + 8 digits); ids are drawn, so keep well below.
MAX_CUSTOMERS = 10_000_000
#: Lines of a chunk: about 12 MB of text, which stays near the processor's cache; with 200,000 it is a third slower.
DEFAULT_CHUNK_ROWS = 50_000
#: An Arrow string array ends at 2 GB.
MAX_CHUNK_ROWS = 2_000_000

_MONTH = re.compile(r"\A([0-9]{4})-(0[1-9]|1[0-2])\Z")


class SpecError(UsageError, ValueError):
    """The generator cannot make what was asked. The message is one line: the thing, the value, what is expected."""


def parse_month(text: str) -> dt.date:
    """First day of the month `YYYY-MM`. Raises SpecError for anything else."""
    match = _MONTH.match(text)
    if match is None or match[1] == "0000":
        raise SpecError(f"month {text!r}: expected YYYY-MM, for example 2025-05")
    return dt.date(int(match[1]), int(match[2]), 1)


@dataclass(frozen=True)
class GeneratorSpec:
    """A request: `cdrs` lines (duplicates included) of `customers` customers in the local days of `month`.

    The same spec gives the same bytes, whatever the day it runs on. `now` closes the range "random in 2010–now";
    its default is the first day after the month, so that a month never depends on today's date. `chunk_rows` is how
    many lines are made at once: it bounds memory, and is part of what the bytes depend on.
    Raises SpecError.
    """

    cdrs: int
    customers: int
    month: str
    seed: int = DEFAULT_SEED
    now: dt.date | None = None
    chunk_rows: int = DEFAULT_CHUNK_ROWS

    def __post_init__(self) -> None:
        first = parse_month(self.month)
        if not FIRST_DAY.year <= first.year <= LAST_YEAR:
            raise SpecError(f"month {self.month!r}: expected a month from {FIRST_DAY.year}-01 to {LAST_YEAR}-12")
        if self.cdrs < 0:
            raise SpecError(f"number of CDRs {self.cdrs}: expected 0 or more")
        check_customers(self.customers, self.seed)
        if self.now is not None and not FIRST_DAY < self.now <= dt.date(LAST_YEAR + 1, 1, 1):
            raise SpecError(f"now {self.now}: expected a day after {FIRST_DAY} and up to {LAST_YEAR + 1}-01-01")
        if not 1 <= self.chunk_rows <= MAX_CHUNK_ROWS:
            raise SpecError(f"chunk of {self.chunk_rows} lines: expected 1 to {MAX_CHUNK_ROWS}")

    @property
    def first_day(self) -> dt.date:
        """First local day of the month."""
        return parse_month(self.month)

    @property
    def end_day(self) -> dt.date:
        """First local day after the month."""
        return (self.first_day + dt.timedelta(days=31)).replace(day=1)

    @property
    def random_until(self) -> dt.date:
        """The day before which random timestamps lie."""
        return self.now or self.end_day


def check_customers(customers: int, seed: int) -> None:
    """Raises SpecError unless that many customers can be made from that seed."""
    if not 1 <= customers <= MAX_CUSTOMERS:
        raise SpecError(f"number of customers {customers}: expected 1 to {MAX_CUSTOMERS}")
    if seed < 0:
        raise SpecError(f"seed {seed}: expected 0 or more")


def random_stream(seed: int, purpose: str, *key: int) -> np.random.Generator:
    """An independent stream of random numbers for one purpose, e.g. `customers`, so that one never shifts another."""
    return np.random.Generator(np.random.PCG64([seed, *purpose.encode(), *key]))
