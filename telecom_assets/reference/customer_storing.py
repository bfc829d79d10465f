"""Customers of a file into PostgreSQL and into their history.

Belongs here: the order of both writes, and what is refused before the first. Does not belong here: which rows are good
(`customer_import`), what becomes of the history (`history`), how rows are written (`resources.postgres`).
"""

import datetime as dt
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from resources.expected_errors import UsageError
from resources.postgres import (
    PostgresConnection,
    PostgresError,
    UpsertCounts,
    create_customers_table,
    dated_columns,
    upsert_customers,
)
from resources.warehouse import Warehouse
from telecom_assets.model.columns import VALIDITY
from telecom_assets.model.stretches import Stretch
from telecom_assets.reference.change_log import Origin, record_changes
from telecom_assets.reference.customer_import import ALLOWED_VALUES, CUSTOMER_ID_PATTERN, BadRow, read_customer_file
from telecom_assets.reference.customer_reading import changed_days, imported_history, plans_of
from telecom_assets.reference.history import present
from telecom_assets.reference.past import NewVersion, assert_past_stays
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMERS


@dataclass(frozen=True)
class ImportOutcome:
    """The result of an import. `counts` is None when bad rows kept it from writing anything.

    changed: the days on which other versions of customers are in force than before.
    """

    good_rows: int
    bad_rows: tuple[BadRow, ...]
    counts: UpsertCounts | None
    changed: Sequence[Stretch] = ()

    @property
    def refused(self) -> bool:
        return self.counts is None

    def as_json(self) -> dict[str, Any]:
        counts = self.counts or UpsertCounts(0, 0, 0)
        return {
            "written": not self.refused,
            "good_rows": self.good_rows,
            **asdict(counts),
            "changed_days": [each.as_json() for each in self.changed],
            "bad_rows": [asdict(row) for row in self.bad_rows],
        }


def import_customers(
    postgres: PostgresConnection,
    warehouse: Warehouse,
    file: Path,
    today: dt.date,
    *,
    origin: Origin,
    valid_from: dt.date | None = None,
    rate_plans: Path | None = None,
    skip_bad: bool = False,
) -> ImportOutcome:
    """Read a customers file, upsert how its customers are now, the table created when it is missing, and change their history.

    today: the local day. origin: who imports it. valid_from: the first day of rows without one. `rate_plans` is the tariffs file, by
    default the packaged one. With bad rows nothing is written, unless `skip_bad`, which writes the good ones if there are any. Raises
    UsageError for a day to come, InputFileError, CustomersRefused, PastChanged, PostgresError and WarehouseError; where the last two
    came between both writes, the import is made again.
    """
    if valid_from and valid_from > today:
        raise UsageError(f"--valid-from {valid_from} is after today, {today}; import the file on that day")
    plans = plans_of(warehouse, rate_plans)
    found = read_customer_file(file, plans, today, valid_from)
    if found.bad_rows and not (skip_bad and found.rows.num_rows):
        return ImportOutcome(found.rows.num_rows, found.bad_rows, None)
    if dated_columns(postgres, CUSTOMER_LIST, VALIDITY):
        raise PostgresError(
            f"table {CUSTOMER_LIST.name} at {postgres.address} has valid_from and valid_to, so it is the history of its customers "
            "itself; change its rows, then run `telecom customers read`"
        )
    stored = warehouse.pin(CUSTOMERS.name)
    new = imported_history(stored.arrow(), found.rows, plans, today)
    day = ["--valid-from", valid_from.isoformat()] if valid_from else []
    command = shlex.join(["telecom", "customers", "import", str(file), *day])
    corrected = assert_past_stays([NewVersion(stored, new)], origin, command)
    # First how customers are now: where the second write fails, the same import makes it.
    counts = store_customers(postgres, present(found.rows, new))
    if not new.num_rows:
        return ImportOutcome(found.rows.num_rows, found.bad_rows, counts)
    reads = {CUSTOMERS.name: stored.version}
    warehouse.overwrite_arrow(CUSTOMERS.name, new, reads=reads, info=origin.said(corrected))
    record_changes(warehouse)
    return ImportOutcome(found.rows.num_rows, found.bad_rows, counts, changed_days(stored.arrow(), new))


def store_customers(postgres: PostgresConnection, rows: pa.Table) -> UpsertCounts:
    """Upsert customers that are known to be good (CUSTOMER_LIST rows), the table created when it is missing."""
    create_customers_table(
        postgres, CUSTOMER_LIST, allowed=ALLOWED_VALUES, patterns={"customer_id": CUSTOMER_ID_PATTERN}
    )
    return upsert_customers(postgres, CUSTOMER_LIST, rows)
