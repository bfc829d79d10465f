"""Customers as PostgreSQL has them become the next version of their history, or are refused.

Belongs here: what a read must keep before it is stored. Does not belong here: the rule of the history (`history`), reading the
table (`resources.postgres`), which values a customer may have (`judging`).
"""

import datetime as dt
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from resources.expected_errors import ExpectedError
from resources.warehouse import Warehouse
from telecom_assets.model.columns import VALID_FROM
from telecom_assets.model.party_numbers import with_normalised
from telecom_assets.model.stretches import Stretch
from telecom_assets.reference.as_of import differing_days
from telecom_assets.reference.history import (
    Ended,
    after_import,
    after_read,
    as_history,
    ended_active,
    with_ends,
)
from telecom_assets.reference.judging import customer_findings, known_plans, repeated_customers
from telecom_assets.reference.tables import NEW_HOLDER, RATE_PLANS
from telecom_assets.reference.tariff_files import read_rate_plans


class CustomersRefused(ExpectedError):
    """The customers that were read, or imported, are not stored; those that are stay. The message says why and what to do."""


def next_history(
    stored: pa.Table, read: pa.Table, plans: Collection[str], day: dt.date, gone_share: Decimal
) -> pa.Table:
    """The history (CUSTOMERS) after the customers table of PostgreSQL was read on a local day.

    read: CUSTOMER_LIST as PostgreSQL writes it; with VALID_FROM and VALID_TO it is the history itself. plans: the rate plans that
    there are. Raises CustomersRefused where a customer is not valid, and where the read would end more than `gone_share` of the
    active ones.
    """
    read = with_normalised(read, "customer_id")
    if VALID_FROM in read.column_names:
        new = as_history(read)
    else:
        require_valid(repeated_customers(read))
        new = after_read(stored, read, day)
    require_valid(customer_findings(new, plans))
    require_few_gone(ended_active(stored, new, day), gone_share)
    return new


def require_valid(findings: list[str]) -> None:
    """Raise CustomersRefused with the findings, if there are any."""
    if findings:
        raise CustomersRefused(f"customers are not stored, those of before stay: {'; '.join(findings)}")


def require_few_gone(gone: Ended, gone_share: Decimal) -> None:
    """Raise CustomersRefused where more than this share of the active customers would be ended: the table may be half filled."""
    if gone.ended > gone_share * gone.active:
        more = f" and {gone.ended - len(gone.first)} more" if gone.ended > len(gone.first) else ""
        raise CustomersRefused(
            f"customers are not stored, those of before stay: {gone.ended} of {gone.active} active customers are in the table no "
            f"more ({', '.join(gone.first)}{more}), expected {gone_share} of them at most; put them back, or, if they have all gone, "
            "read once with TELECOM_CUSTOMERS_GONE_SHARE=1 `telecom customers read`"
        )


def imported_history(stored: pa.Table, file: pa.Table, plans: Collection[str], day: dt.date) -> pa.Table:
    """The history (CUSTOMERS) after rows of a file (FILE_SCHEMA) were imported on a local day. Raises CustomersRefused.

    A history that was never read stays empty while no row has a day or a new holder: the first read knows as much.
    """
    says_more = pc.any(pc.or_(pc.is_valid(file[VALID_FROM]), file[NEW_HOLDER])).as_py()
    if not stored.num_rows and not says_more:
        return stored
    new = after_import(stored, file, day)
    require_valid(customer_findings(new, plans))
    return new


def plans_of(warehouse: Warehouse, file: Path | None) -> list[str]:
    """The rate plans that there are: the stored ones, and those of the tariffs file (default: the packaged one), which may be read
    after the customers.
    """
    stored = warehouse.pin(RATE_PLANS.name).arrow()
    return sorted({*known_plans(stored), *known_plans(read_rate_plans(file))})


def changed_days(then: pa.Table, now: pa.Table) -> list[Stretch]:
    """The days on which another version of some customer is in force, or one is over that was not."""
    return differing_days(with_ends(then), with_ends(now))
