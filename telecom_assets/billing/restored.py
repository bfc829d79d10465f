"""A warehouse or table that is older than tables or bills made from it: restored from a backup, or its log cut short.

Belongs here: how that is noticed, the error, and what changes when a restored warehouse is made the truth. Does not belong
here: the ledger of published bills itself (`resources.postgres.publishing`), logs that cannot be read
(`resources.warehouse.log_repair`).

The tables of a backup agree with each other: the next positions on the topic, the days that were mediated, the versions that
rows were made from all go back with them, so `telecom run` lands, mediates and bills again what came later. What lies outside
does not go back. Reports, invoices and dashboards are replaced by the next run of their month, since they differ from the digest
in `billed_months`. PostgreSQL's ledger would refuse the restored bills: it takes them for those of a publisher that comes too
late. Nothing would be published until unrelated commits had raised the version of the bills that far; so nothing is billed
before a person has decided.

A log that has lost its newest entries can be read, and looks whole. The lost versions are named by whatever was made from them:
the commits of other tables, and mediated_days. A lost version that nothing names cannot be noticed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from resources.postgres import PostgresConnection, PostgresUnavailable, closed_periods, entries_ahead, follow_version
from resources.warehouse import READS, Warehouse, WarehouseError, commit_info, entry_path
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.home.deployment import OnDemand
from telecom_assets.intake.decisions import note_adoption
from telecom_assets.intake.journal import Decision
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.tables import BILLING_PERIODS

_BILLS = FACTURATION_COMPLETE.name
#: The table of issued documents, which closing writes.
_DOCUMENTS = "documents"
#: How many commits of a table are read for the versions that they were made from; the newest may be compactions.
_COMMITS_BACK = 5
#: Columns of mediated_days that name versions.
_OF_MEDIATION = {
    "raw_version": RAW_CDRS.name,
    "cleaned_version": CLEANED_CDRS.name,
    "rejected_version": REJECTED_CDRS.name,
}


class RestoredWarehouse(WarehouseError):
    """Bills were published from later versions than the warehouse has."""


@dataclass(frozen=True)
class Published:
    """The bills that were published from versions that the warehouse does not have."""

    #: Newest version of the bills in the warehouse.
    newest: int
    #: Version that the ledger names, by billing period.
    versions: Mapping[str, int]

    def __str__(self) -> str:
        return ", ".join(f"{period} (version {version})" for period, version in self.versions.items())


def published_ahead(warehouse: Warehouse, postgres: PostgresConnection) -> Published:
    """The versions of bills that PostgreSQL's ledger names and the warehouse lacks. Raises PostgresError."""
    if not warehouse.exists(_BILLS):
        return Published(
            -1, {}
        )  # a table that was made anew has another id, and replaces published bills whatever their version
    bills = warehouse.pin(_BILLS)
    return Published(bills.version, entries_ahead(postgres, _BILLS, bills.table_id, bills.version))


def assert_nothing_went_back(warehouse: Warehouse, postgres: OnDemand[PostgresConnection]) -> None:
    """Raise WarehouseError, or RestoredWarehouse, where the warehouse or a table is older than tables or bills made from it."""
    assert_tables_agree(warehouse)
    assert_not_restored(warehouse, postgres)


def assert_not_restored(warehouse: Warehouse, postgres: OnDemand[PostgresConnection]) -> None:
    """Raise RestoredWarehouse where PostgreSQL is ahead of the warehouse. A server that does not answer says so itself, later."""
    with suppress(PostgresUnavailable):
        connection = postgres.connect()
        assert_none_is_opened_again(warehouse, connection)
        ahead = published_ahead(warehouse, connection)
        if ahead.versions:
            raise RestoredWarehouse(
                f"table {_BILLS} at {warehouse.path(_BILLS)} is at version {ahead.newest}, and PostgreSQL has "
                f"published later ones: {ahead}; the warehouse was restored from a backup, or the newest entries of its log "
                "are gone. Nothing was changed. Restore what is newer, or make this warehouse the truth with `telecom "
                "warehouse adopt --by NAME --why REASON` (--dry-run says what it would do)"
            )


def assert_none_is_opened_again(warehouse: Warehouse, postgres: PostgresConnection) -> None:
    """Raise RestoredWarehouse where a period is closed in PostgreSQL, or has documents, and billing_periods does not know it.

    The warehouse was restored from before its close, then. A person has to restore a later backup: documents that are out stay.
    """
    periods = read_periods(warehouse)
    by_documents = warehouse.pin(_DOCUMENTS).rows_by_partition() if _DOCUMENTS in warehouse.contracts else {}
    known = {
        "PostgreSQL": closed_periods(postgres, _BILLS),
        f"table {_DOCUMENTS}": sorted(period for period, rows in by_documents.items() if rows),
    }
    for where, months in known.items():
        if opened := [month for month in months if month not in periods.closed]:
            raise RestoredWarehouse(
                f"{', '.join(opened)} {'is' if len(opened) == 1 else 'are'} closed by {where}, and not by {BILLING_PERIODS.name} of "
                f"the warehouse at {warehouse.root}: it was restored from a backup of before the close. Nothing was changed. What is "
                "closed stays closed: restore a backup of after the close"
            )


def assert_tables_agree(warehouse: Warehouse) -> None:
    """Raise WarehouseError where a table lacks a version that another was made from."""
    present = [name for name in warehouse.contracts if warehouse.exists(name)]
    named = [*_versions_read(warehouse, present), *_versions_mediated(warehouse, present)]
    # The named versions were read first, so that a version that another process makes meanwhile can only be newer.
    for by, name, version, at in named:
        if name not in present:
            continue
        newest = warehouse.version(name)
        if version > newest and warehouse.log(name).created_at() <= at:
            entry = f"{warehouse.path(name)}/{entry_path(newest + 1)}"
            raise WarehouseError(
                f"table {name} at {warehouse.path(name)} is at version {newest}, and {by} was made from version {version}: "
                "the newest entries of its log are gone, or it was replaced by an older copy; nothing was changed. Restore "
                f"what lacks, from {entry} on, or the whole warehouse from one backup"
            )


#: Table, table that it was made from, version of that table, time of the commit (milliseconds since 1970).
_Fact = tuple[str, str, int, float]


def _versions_read(warehouse: Warehouse, names: Sequence[str]) -> Iterator[_Fact]:
    """The versions that the newest commits of tables say they were made from."""
    for name in names:
        newest = warehouse.version(name)
        for version in range(newest, max(newest - _COMMITS_BACK, -1), -1):
            said = commit_info(warehouse, name, version)
            for other, read in said.get(READS, {}).items():
                yield name, other, int(read), float(said.get("timestamp", 0))


def _versions_mediated(warehouse: Warehouse, names: Sequence[str]) -> Iterator[_Fact]:
    """The versions that mediation read and wrote, by mediated_days."""
    if MEDIATED_DAYS.name not in names:
        return
    rows = warehouse.pin(MEDIATED_DAYS.name).arrow()
    for column, name in _OF_MEDIATION.items():
        versions = [version for version in rows[column].to_pylist() if version is not None]
        if versions:
            yield MEDIATED_DAYS.name, name, max(versions), math.inf


def adopt(warehouse: Warehouse, postgres: PostgresConnection, *, by: str, why: str) -> tuple[Published, Decision]:
    """Make a restored warehouse the truth: PostgreSQL's ledger follows it, and the decision is kept in the warehouse.

    The decision comes first: killed between the two, the command finds the ledger as it was when it is run again. Raises
    WarehouseError where there is nothing to adopt or a closed period would be open again, and PostgresError.
    """
    assert_none_is_opened_again(warehouse, postgres)
    ahead = published_ahead(warehouse, postgres)
    if not ahead.versions:
        raise WarehouseError(
            f"warehouse {warehouse.root}: PostgreSQL has published no later bills than it holds; nothing to adopt"
        )
    detail = f"{_BILLS} goes on from version {ahead.newest}; published were {ahead}"
    decision = note_adoption(warehouse, detail, by=by, why=why)
    follow_version(postgres, _BILLS, warehouse.pin(_BILLS).table_id, ahead.newest)
    return ahead, decision
