"""A warehouse that went back behind what it has published: it was restored from a backup.

Belongs here: how that is noticed, what is said, what follows when the restored warehouse is made the truth. Does not belong
here: the ledger of published bills itself (`resources.postgres.publishing`).

The tables of a backup agree with each other: the next positions on the topic, the days that were mediated, the versions that
rows were made from all go back with them, so `telecom run` lands, mediates and bills again what came later. What lies outside
does not go back. Reports, invoices and dashboards are replaced by the next run of their month; the records of steps that went
well name commits that are not there any more, and count as nothing (`telecom_assets.up_to_date`). PostgreSQL's ledger alone
says no: it takes the restored bills for those of a publisher that comes too late. Until its version is reached again, by
commits that have nothing to do with it, nothing would be published; so nothing is billed before somebody has decided.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from resources.delta import Warehouse, WarehouseError
from resources.postgres import PostgresConnection, PostgresUnavailable, entries_ahead, follow_version
from telecom_assets.connections import Connections
from telecom_assets.landing.decisions import note_adoption
from telecom_assets.landing.journal import Decision
from telecom_assets.schemas.billing import FACTURATION_COMPLETE

_BILLS = FACTURATION_COMPLETE.name


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
    """What PostgreSQL's ledger has of versions of the bills that the warehouse lacks. Makes no table. Raises PostgresError."""
    if not warehouse.exists(_BILLS):
        return Published(-1, {})  # a table that is made anew has another identity, and takes the place of what is there
    newest = warehouse.version(_BILLS)
    return Published(newest, entries_ahead(postgres, _BILLS, warehouse.table_id(_BILLS), newest))


def assert_not_restored(connections: Connections) -> None:
    """Raise RestoredWarehouse where PostgreSQL is ahead of the warehouse. A server that does not answer says so itself, later."""
    with suppress(PostgresUnavailable):
        ahead = published_ahead(connections.warehouse, connections.postgres())
        if ahead.versions:
            raise RestoredWarehouse(
                f"table {_BILLS} at {connections.warehouse.path(_BILLS)} is at version {ahead.newest}, and PostgreSQL has "
                f"published later ones: {ahead}; the warehouse was restored from a backup, or the newest entries of its log "
                "are gone. Nothing was changed. Restore what is newer, or make this warehouse the truth with `telecom "
                "warehouse adopt --by NAME --why REASON` (--dry-run says what it would do)"
            )


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
    follow_version(postgres, _BILLS, warehouse.table_id(_BILLS), ahead.newest)
    return ahead, decision
