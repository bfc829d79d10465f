"""A warehouse, or a table of it, that went back behind what was made from it: restored from a backup, or its log cut short.

Belongs here: how that is noticed, what is said, what follows when a restored warehouse is made the truth. Does not belong
here: the ledger of published bills itself (`resources.postgres.publishing`), logs that cannot be read
(`resources.warehouse.log_repair`).

The tables of a backup agree with each other: the next positions on the topic, the days that were mediated, the versions that
rows were made from all go back with them, so `telecom run` lands, mediates and bills again what came later. What lies outside
does not go back. Reports, invoices and dashboards are replaced by the next run of their month: they are not what `billed_months`
says of them. PostgreSQL's ledger alone says no: it takes the restored bills for those of a publisher that comes too late. Until
its version is reached again, by commits that have nothing to do with it, nothing would be published; so nothing is billed before
somebody has decided.

A log whose newest entries are gone can be read, and is whole to all that can be seen of it. What was made from the later
versions names them: the commits of other tables, and mediated_days. Where nothing does, it cannot be known.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from resources.postgres import PostgresConnection, PostgresUnavailable, entries_ahead, follow_version
from resources.warehouse import READS, Warehouse, WarehouseError, commit_info, entry_path
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.home.deployment import OnDemand
from telecom_assets.intake.decisions import note_adoption
from telecom_assets.intake.journal import Decision
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS, REJECTED_CDRS

_BILLS = FACTURATION_COMPLETE.name
#: Commits of a table that are asked what they were made from; the newest may be compactions.
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
    """What was published from versions that the warehouse does not have."""

    #: Newest version of the bills in the warehouse.
    newest: int
    #: Version that the ledger names, by billing period.
    versions: Mapping[str, int]

    def __str__(self) -> str:
        return ", ".join(f"{period} (version {version})" for period, version in self.versions.items())


def published_ahead(warehouse: Warehouse, postgres: PostgresConnection) -> Published:
    """What PostgreSQL's ledger has of versions of the bills that the warehouse lacks. Raises PostgresError."""
    if not warehouse.exists(_BILLS):
        return Published(-1, {})  # a table that is made anew has another identity, and takes the place of what is there
    bills = warehouse.pin(_BILLS)
    return Published(bills.version, entries_ahead(postgres, _BILLS, bills.table_id, bills.version))


def assert_nothing_went_back(warehouse: Warehouse, postgres: OnDemand[PostgresConnection]) -> None:
    """Raise WarehouseError where the warehouse, or a table of it, lies behind what was made from it."""
    assert_tables_agree(warehouse)
    assert_not_restored(warehouse, postgres)


def assert_not_restored(warehouse: Warehouse, postgres: OnDemand[PostgresConnection]) -> None:
    """Raise RestoredWarehouse where PostgreSQL is ahead of the warehouse. A server that does not answer says so itself, later."""
    with suppress(PostgresUnavailable):
        ahead = published_ahead(warehouse, postgres.connect())
        if ahead.versions:
            raise RestoredWarehouse(
                f"table {_BILLS} at {warehouse.path(_BILLS)} is at version {ahead.newest}, and PostgreSQL has "
                f"published later ones: {ahead}; the warehouse was restored from a backup, or the newest entries of its log "
                "are gone. Nothing was changed. Restore what is newer, or make this warehouse the truth with `telecom "
                "warehouse adopt --by NAME --why REASON` (--dry-run says what it would do)"
            )


def assert_tables_agree(warehouse: Warehouse) -> None:
    """Raise WarehouseError where a table lacks a version that another was made from."""
    present = [name for name in warehouse.contracts if warehouse.exists(name)]
    named = [*_versions_read(warehouse, present), *_versions_mediated(warehouse, present)]
    # They were read first: a version that another process makes meanwhile is newer than what was named.
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


#: A table, one that it was made from with the version, and when (milliseconds since 1970).
_Fact = tuple[str, str, int, float]


def _versions_read(warehouse: Warehouse, names: Sequence[str]) -> Iterator[_Fact]:
    """What the newest commits of tables say that they were made from."""
    for name in names:
        newest = warehouse.version(name)
        for version in range(newest, max(newest - _COMMITS_BACK, -1), -1):
            said = commit_info(warehouse, name, version)
            for other, read in said.get(READS, {}).items():
                yield name, other, int(read), float(said.get("timestamp", 0))


def _versions_mediated(warehouse: Warehouse, names: Sequence[str]) -> Iterator[_Fact]:
    """What mediated_days says of the tables that mediation read and wrote."""
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
    WarehouseError where there is nothing to adopt, and PostgresError.
    """
    ahead = published_ahead(warehouse, postgres)
    if not ahead.versions:
        raise WarehouseError(
            f"warehouse {warehouse.root}: PostgreSQL has published no later bills than it holds; nothing to adopt"
        )
    detail = f"{_BILLS} goes on from version {ahead.newest}; published were {ahead}"
    decision = note_adoption(warehouse, detail, by=by, why=why)
    follow_version(postgres, _BILLS, warehouse.pin(_BILLS).table_id, ahead.newest)
    return ahead, decision
