"""The states of a billing period, and the changes between them: pure rules.

Belongs here: what a change may follow, which period is corrected into. Does not belong here: the table (`journal`), what is
checked before a change (approving, closing).
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from resources.expected_errors import ExpectedError
from telecom_assets.model.months import month_days

State = Literal["drafted", "approved", "withdrawn", "closing", "closed"]
Way = Literal["bills", "empty", "as_it_stands"]

DRAFTED: State = "drafted"
APPROVED: State = "approved"
WITHDRAWN: State = "withdrawn"
CLOSING: State = "closing"
CLOSED: State = "closed"
STATES: tuple[State, ...] = get_args(State)

#: The states in which the rows of a period are as they are: nothing but its close writes them.
FROZEN = (APPROVED, CLOSING, CLOSED)
#: The states that each state may follow. None: no row yet.
_MAY_FOLLOW: dict[State, tuple[State | None, ...]] = {
    DRAFTED: (None, DRAFTED, WITHDRAWN),
    APPROVED: (DRAFTED,),
    WITHDRAWN: (APPROVED,),
    CLOSING: (APPROVED,),
    CLOSED: (CLOSING,),
}
#: A period that is closed without bills, or as it stands, was never approved.
_CLOSES_OPEN: tuple[State | None, ...] = (None, DRAFTED, WITHDRAWN, APPROVED)
#: The command that leads on from a state.
_TO_DO: dict[State | None, str] = {
    None: "`telecom run --month {month}` makes its bills",
    DRAFTED: "`telecom bill approve --month {month} --by NAME` approves its bills",
    WITHDRAWN: "`telecom run --month {month}` makes its bills again",
    APPROVED: "`telecom bill close --month {month} --by NAME` closes it, "
    "`telecom bill withdraw --month {month} --by NAME --why …` opens it again",
    CLOSING: "`telecom bill close --month {month} --by NAME` goes on with the close",
    CLOSED: "what comes later is a difference on a later bill",
}


class PeriodError(ExpectedError):
    """A billing period is not in the state that a command needs, or is frozen. Nothing was changed. The message says what to do."""


@dataclass(frozen=True)
class Change:
    """A row of billing_periods: a change of a period's state. Without its number, which is its place in the table."""

    billing_period: str
    state: State
    changed_at: dt.datetime
    system_user: str
    changed_by: str | None = None
    why: str | None = None
    way: Way | None = None
    issue_date: dt.date | None = None
    digest: str | None = None
    closed_with: str | None = None


@dataclass(frozen=True)
class Periods:
    """All changes, in their order, and the states that follow from them. `version`: that of billing_periods."""

    changes: Sequence[Change] = ()
    version: int = 0
    _last: dict[str, Change] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._last.update({change.billing_period: change for change in self.changes})

    def last(self, month: str) -> Change | None:
        """The last change of a period (yyyy-MM); None for a period without any."""
        return self._last.get(month)

    def state(self, month: str) -> State | None:
        """The state of a period; None while nothing was drafted."""
        change = self.last(month)
        return change.state if change is not None else None

    def is_frozen(self, month: str) -> bool:
        """Whether nothing but its close may write the period's rows."""
        return self.state(month) in FROZEN

    @cached_property
    def frozen(self) -> list[str]:
        """The frozen periods, in order."""
        return sorted(month for month in self._last if self.is_frozen(month))

    @cached_property
    def closed(self) -> list[str]:
        """The periods that are closed for good, in order; `closing` counts, since no way leads back from it."""
        return sorted(month for month, change in self._last.items() if change.state in (CLOSING, CLOSED))

    @property
    def corrects(self) -> str | None:
        """The period P whose bills correct closed ones: the one after every closed one. None while none is closed."""
        if not self.closed:
            return None
        return f"{month_days(self.closed[-1])[-1] + dt.timedelta(days=1):%Y-%m}"

    def why_drafted_again(self, month: str) -> str | None:
        """Why the bills of a period that is not frozen must be made before they can be approved; None where they need not."""
        state = self.state(month)
        if state is None:
            return "it has no draft"
        if state == WITHDRAWN:
            return "its approval was withdrawn"
        last = self._place(lambda change: change.state == CLOSED)
        if state == DRAFTED and self._place(lambda change: change.billing_period == month) < last:
            return f"{self.changes[last].billing_period} was closed after its draft"
        return None

    def _place(self, is_it: Callable[[Change], bool]) -> int:
        """The place of the last change that is meant; -1 where there is none."""
        return max((place for place, change in enumerate(self.changes) if is_it(change)), default=-1)

    def assert_open(self, month: str, doing: str) -> None:
        """Raise PeriodError where a period is frozen. doing: what was to be done, such as "billing"."""
        if self.is_frozen(month):
            raise PeriodError(f"{doing}: {self.says(month)}")

    def says(self, month: str) -> str:
        """The state of a period in words, with what to do about it."""
        state = self.state(month)
        by = f" by {change.changed_by}" if (change := self.last(month)) and change.changed_by else ""
        shown = f"is {state}{by}" if state is not None else "has no bills"
        return f"{month} {shown}; {_TO_DO[state].format(month=month)}"

    def with_change(self, change: Change) -> "Periods":
        """The periods after a change, or PeriodError where it may not follow."""
        now = self.state(change.billing_period)
        closes_open = change.state == CLOSING and change.way in ("empty", "as_it_stands")
        if now not in (_CLOSES_OPEN if closes_open else _MAY_FOLLOW[change.state]):
            raise PeriodError(
                f"{change.billing_period} cannot become {change.state}: {self.says(change.billing_period)}"
            )
        return Periods((*self.changes, change), self.version + 1)
