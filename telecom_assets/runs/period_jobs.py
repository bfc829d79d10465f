"""Jobs that change the state of a month's bills, the same as the commands of `telecom bill`. Their configuration is the decision.

Belongs here: the jobs, and the configuration that a person fills in. Does not belong here: what must hold before
(`telecom_assets.closing`).
"""

from collections.abc import Callable

import dagster as dg
from pydantic import Field

from resources.postgres import PostgresConnection
from resources.warehouse import Warehouse
from telecom_assets.closing.approving import Books, approve, withdraw
from telecom_assets.closing.closing import close
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.home.deployment import OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import SPARK_POOL
from telecom_assets.lineage.failures import with_expected_failures
from telecom_assets.lineage.period_events import documents_event, state_event
from telecom_assets.model.calendar import check_month
from telecom_assets.periods.states import Way
from telecom_assets.record_types.in_force import RecordTypes

#: After so many documents a close says how far it is.
_TOLD_EVERY = 1_000


class Decision(dg.Config):
    """Who decides about which month, and why."""

    month: str = Field(description="Month of the bills, yyyy-MM.")
    by: str = Field(min_length=1, description="Who decides; kept with the decision.")
    why: str | None = Field(default=None, description="Why; kept with the decision.")


class Withdrawal(Decision):
    """Who takes which approval back, and why, which has to be said."""

    why: str = Field(min_length=1, description="Why; kept with the decision.")


class Close(Decision):
    """Who closes which month, and how."""

    way: Way = Field(
        default="bills",
        description="bills: the approved bills become documents; empty: without bills; as_it_stands: as a former version billed it.",
    )


@dg.op(name="approve_bills")
@with_expected_failures
def _approve(
    context: dg.OpExecutionContext,
    config: Decision,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
    record_types: dg.ResourceParam[RecordTypes],
) -> None:
    month = check_month(config.month, settings.partitions_start)
    books = Books(settings, warehouse, postgres, record_types)
    context.log_event(state_event(approve(books, month, by=config.by, why=config.why)))


@dg.op(name="withdraw_bills")
@with_expected_failures
def _withdraw(
    context: dg.OpExecutionContext,
    config: Withdrawal,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
) -> None:
    month = check_month(config.month, settings.partitions_start)
    context.log_event(state_event(withdraw(warehouse, month, by=config.by, why=config.why)))


@dg.op(name="close_bills", pool=SPARK_POOL)
@with_expected_failures
def _close(
    context: dg.OpExecutionContext,
    config: Close,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
    record_types: dg.ResourceParam[RecordTypes],
) -> None:
    month = check_month(config.month, settings.partitions_start)
    books = Books(settings, warehouse, postgres, record_types)
    reached: Callable[[str], None] = lambda phase: context.log.info(f"closing {month}: {phase}")  # noqa: E731

    def written(done: int, of: int) -> None:
        if done % _TOLD_EVERY == 0 or done == of:
            context.log.info(f"closing {month}: {done:,} of {of:,} documents")

    closed = close(books, month, by=config.by, why=config.why, way=config.way, at_phase=reached, progress=written)
    context.log_event(state_event(closed))
    context.log_event(documents_event(warehouse.pin_period(DOCUMENTS.name, month), month))


@dg.job(
    description="Approves the bills of a month, which freezes its rows: what lands later is late. The same as `telecom bill approve`."
)
def approve_job() -> None:
    """One step."""
    _approve()


@dg.job(
    description="Takes the approval of a month back, so that a run makes its bills again. The same as `telecom bill withdraw`."
)
def withdraw_job() -> None:
    """One step."""
    _withdraw()


@dg.job(
    description="Closes a month whose bills are approved: they become documents with numbers, and nothing changes them any more. "
    "Run again after it was interrupted, it goes on. The same as `telecom bill close`."
)
def close_job() -> None:
    """One step."""
    _close()


PERIOD_JOBS = [approve_job, withdraw_job, close_job]
