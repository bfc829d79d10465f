"""What the warehouse asks before a commit: whether it would change rows of a frozen period.

Belongs here: the refusal, and the one way around it, for the close and for what gives a table another shape. Compaction, which
changes no row, is not asked. Does not belong here: which tables have periods that close (`TableContract.closes`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from resources.contract import TableContract
from resources.warehouse import Partitions, Warehouse, of_month
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import PeriodError

_permitted: ContextVar[frozenset[str]] = ContextVar("permitted", default=frozenset())


@contextmanager
def may_write(*months: str) -> Iterator[None]:
    """Within it, this thread's commits may change rows of these frozen periods: for the close of a period alone."""
    token = _permitted.set(_permitted.get() | set(months))
    try:
        yield
    finally:
        _permitted.reset(token)


def refuse_frozen(warehouse: Warehouse, contract: TableContract, changed: Sequence[Partitions] | None) -> None:
    """Raise PeriodError where a commit would change rows of a frozen period. changed: the partitions of these rows; None: all."""
    if not contract.closes:
        return
    periods = read_periods(warehouse)
    for month in periods.frozen:
        if month not in _permitted.get() and (
            changed is None or any(of_month(contract, month).meets(each) for each in changed)
        ):
            raise PeriodError(f"table {contract.name} was not changed: {periods.says(month)}")
