"""billing_periods: reading the states, and the one way to change one.

Belongs here: the table. A change is a commit on the version that was read, as a landing is: of two at a time one is refused and
begins anew, from what the other has left. Does not belong here: which change may follow (`states`).
"""

import datetime as dt
import getpass
from collections.abc import Callable
from functools import lru_cache

from resources.warehouse import Decided, PinnedTable, Warehouse, append_decided, read_rows
from telecom_assets.periods.states import Change, Periods, State, Way
from telecom_assets.periods.tables import BILLING_PERIODS


def read_periods(warehouse: Warehouse) -> Periods:
    """The states of all periods, by the newest version of billing_periods."""
    if BILLING_PERIODS.name not in warehouse.contracts:
        return Periods()
    return _read(warehouse.pin(BILLING_PERIODS.name))


def change_state(warehouse: Warehouse, decide: Callable[[Periods], Change | None]) -> Periods:
    """Change the state of a period: `decide` gets the states and gives the change (None: none is needed), or raises.

    It is asked again when another change came first. Returns the states afterwards. Raises PeriodError for a change that
    may not follow.
    """

    def changed(pinned: PinnedTable) -> Decided[Periods]:
        periods = _read(pinned)
        change = decide(periods)
        if change is None:
            return Decided(periods, None)
        after = periods.with_change(change)
        return Decided(after, [{"change_no": len(after.changes), **vars(change)}])

    return append_decided(warehouse, BILLING_PERIODS.name, changed)


def changed_now(
    month: str,
    state: State,
    *,
    by: str | None = None,
    why: str | None = None,
    way: Way | None = None,
    issue_date: dt.date | None = None,
    digest: str | None = None,
    closed_with: str | None = None,
) -> Change:
    """A change that is made now, by the user of this process."""
    now = dt.datetime.now(dt.UTC)
    return Change(month, state, now, getpass.getuser(), by, why, way, issue_date, digest, closed_with)


@lru_cache(maxsize=16)
def _read(pinned: PinnedTable) -> Periods:
    rows = sorted(read_rows(pinned, None), key=lambda row: row["change_no"])
    changes = (Change(**{name: row[name] for name in Change.__dataclass_fields__}) for row in rows)
    return Periods(tuple(changes), pinned.version)
