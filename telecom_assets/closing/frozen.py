"""Frozen periods are as they were: by the logs of their tables, and by the digest of their rows.

Belongs here: both identities. Nothing of ours writes these rows, for the warehouse refuses; this finds what others did, and what was
restored from an older copy. Does not belong here: which periods a check is about (`checks`).
"""

import datetime as dt
import json
from collections.abc import Sequence

from resources.warehouse import Warehouse, committed_at
from telecom_assets.books.verdict import Verdict
from telecom_assets.periods.digest import differing_tables, digest_of, digested_tables
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import APPROVED, CLOSED, CLOSING, Change, Periods

#: A commit has its time in milliseconds, and says it a moment before or after the change of state that it belongs to.
_A_MOMENT = dt.timedelta(seconds=1)


def frozen_rows_are_unwritten(warehouse: Warehouse, months: Sequence[str]) -> Verdict:
    """No commit has changed rows of frozen periods since their approval but those of their close.

    Periods that were never approved are asked about from their close on. Compaction changes no row. Entries that maintenance has
    removed say nothing: the digest does.
    """
    periods = read_periods(warehouse)
    differs = [
        {"billing_period": month, "table": contract.name, "version": version}
        for month in months
        for contract in digested_tables(warehouse)
        for version in _written(warehouse, contract.name, periods, month)
    ]
    return Verdict(
        "no commit has changed rows of a frozen period",
        [
            f"{row['billing_period']}: version {row['version']} of {row['table']} has changed its rows"
            for row in differs
        ],
        {"periods": len(months)},
        differs,
        otherwise="commits have changed rows of frozen periods",
    )


def frozen_rows_have_their_digest(warehouse: Warehouse, months: Sequence[str]) -> Verdict:
    """The rows of frozen periods are those of their digest. All rows of each period are read, without the engine."""
    periods = read_periods(warehouse)
    differs = []
    for month in months:
        last = periods.last(month)
        if last is not None and last.digest is not None:
            tables = differing_tables(last.digest, digest_of(warehouse, month))
            differs += [{"billing_period": month, "table": table, "state": last.state} for table in tables]
    return Verdict(
        "the rows of frozen periods are those of their digest",
        [
            f"{row['billing_period']}: {row['table']} is not as it was when the period became {row['state']}"
            for row in differs
        ],
        {"periods": ", ".join(months) or "none"},
        differs,
        otherwise="rows of frozen periods are not those of their digest",
    )


def _written(warehouse: Warehouse, name: str, periods: Periods, month: str) -> set[int]:
    """The newest versions of a table that have changed rows of a frozen period, unless its close did."""
    approved, closing, closed = (_since(periods, month, state) for state in (APPROVED, CLOSING, CLOSED))
    kept = next((each.closed_with for each in (approved, closing) if each is not None), None)
    versions = json.loads(kept)["versions"] if kept else {}
    found = warehouse.log(name).last_changed(versions.get(name, 0))
    newest = {version for value, version in found.items() if f"{value}".startswith(month)}

    def is_of_the_close(version: int) -> bool:
        at = committed_at(warehouse, name, version)
        if at is None or closing is None:
            return at is None
        begun = approved is None or closing.changed_at - _A_MOMENT <= at
        return begun and (closed is None or at <= closed.changed_at + _A_MOMENT)

    return {version for version in newest if not is_of_the_close(version)}


def _since(periods: Periods, month: str, state: str) -> Change | None:
    """The last change of a period to a state; None where it had none, or was withdrawn since."""
    for change in reversed(periods.changes):
        if change.billing_period == month:
            if change.state == state:
                return change
            if change.state not in (APPROVED, CLOSING, CLOSED):
                return None
    return None
