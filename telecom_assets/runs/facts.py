"""The facts for the plan of a month: from the tables and their logs, the topic, PostgreSQL and the documents.

Belongs here: finding the facts, and the reasons in words. Does not belong here: the steps that follow from them (`plan`).

The asset graph says which tables a stage reads; the commits of its tables say how they were made (`resources.provenance`).
"""

from collections.abc import Callable, Collection, Mapping

import dagster as dg

from resources.kafka import KafkaUnavailable
from resources.postgres import published_digest
from resources.provenance import Look
from resources.warehouse import PinnedTable, Warehouse
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.corrections.looking_back import why_due
from telecom_assets.home.deployment import Deployment
from telecom_assets.intake.journal import DECIDED, LANDED
from telecom_assets.intake.landing import position
from telecom_assets.intake.plan import LandingError, lag
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.model.stretches import stretch_of_key
from telecom_assets.periods.journal import read_periods
from telecom_assets.reference.changes import days_that_differ, known_products_differ
from telecom_assets.reports.documents import documents_digest
from telecom_assets.reports.tables import BILLED_MONTHS
from telecom_assets.runs.month_run import existing_days
from telecom_assets.runs.plan import ALWAYS_READ, Facts
from telecom_assets.runs.stages import BILLING, LANDING, MEDIATION, STAGES, Stage, stage_of_table
from telecom_assets.tables import TABLES

A_CHECK_FAILED = "a check failed"


class Looker:
    """Finds the facts of a month, for some definitions on one instance."""

    def __init__(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        deployment: Deployment,
        rules_of: Callable[[str], str | None],
    ) -> None:
        """rules_of: digest of the current rules of a table, as its commits name it; None: the rules cannot be read."""
        self.instance = instance
        self.deployment = deployment
        self.rules_of = rules_of
        self._graph = definitions.resolve_asset_graph()

    def facts(self, month: str, stages: Collection[Stage] = STAGES, *, everything: bool = False) -> Facts:
        """The facts about some stages of a month (default: all). `everything`: nothing is looked up, every stage is due.

        Stale days of all months are among them.
        """
        warehouse, days = self.deployment.warehouse, existing_days(month)
        stale = {day: found.reason for day, found in stale_days(warehouse).items()} if MEDIATION in stages else {}
        if everything:
            return Facts(days, stale=stale, everything=True)
        look = Look(warehouse, [RAW_CDRS.name], _reads_other_rows)
        keys = [day.isoformat() for day in days]
        due_days = {}
        for stage in stages:
            if stage.grain == "day":
                due = self._due(look, stage, keys)
                due_days[stage.name] = {day: due[day.isoformat()] for day in days if day.isoformat() in due}
        due_month = {}
        for stage in stages:
            if stage.grain == "month":
                reason = self._due(look, stage, [month]).get(month)
                if reason is None and stage == BILLING:
                    reason = self._due_beside_tables(month)
                if reason:
                    due_month[stage.name] = reason
        landing = self._landing() if LANDING in stages else None
        return Facts(days, ALWAYS_READ, landing, stale, due_days, due_month)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _due(self, look: Look, stage: Stage, partitions: Collection[str]) -> dict[str, str]:
        """The partitions that a stage has to make, each with the reason."""
        if self._a_check_failed(stage):
            return dict.fromkeys(partitions, A_CHECK_FAILED)
        due: dict[str, str] = {}
        for table in (each for each in stage.assets if each in TABLES):
            rules = self.rules_of(table)
            left = [each for each in partitions if each not in due]
            if rules is None:
                return dict.fromkeys(partitions, "it cannot be told by which rules it is made")
            due |= look.not_as_made(table, left, rules, self._read_by(table))
        return due

    def _read_by(self, table: str) -> set[str]:
        """The tables that the asset of a table reads."""
        parents = self._graph.get(dg.AssetKey(table)).parent_keys
        return {key.path[-1] for key in parents} & set(TABLES)

    def _a_check_failed(self, stage: Stage) -> bool:
        """Whether the newest outcome of one of a stage's checks, of any run, is not good."""
        keys = [key for asset in stage.assets for key in self._graph.get(dg.AssetKey(asset)).check_keys]
        latest = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys) if keys else {}
        return any(each.status.value != "SUCCEEDED" for each in latest.values())

    def _due_beside_tables(self, month: str) -> str | None:
        """Why bills are due although nothing has changed that they read: periods, closed months, published bills, documents."""
        warehouse, months_back = self.deployment.warehouse, self.deployment.settings.adjustment_months
        return (
            read_periods(warehouse).why_drafted_again(month)
            or why_due(warehouse, month, months_back)
            or self._changed_beside(month)
        )

    def _changed_beside(self, month: str) -> str | None:
        """Whether published bills and documents have changed since billing made them. Looked up last: it reads all documents."""
        warehouse, settings = self.deployment.warehouse, self.deployment.settings
        left: Mapping[str, str] = next(iter(warehouse.pin_period(BILLED_MONTHS.name, month).arrow().to_pylist()), {})
        published = published_digest(self.deployment.postgres(), FACTURATION_COMPLETE, month)
        if left.get("published") != published:
            return "the published bills are not as they were"
        return None if left["documents"] == documents_digest(settings, month) else "documents are not as they were"

    def _landing(self) -> str | None:
        """Why landing is due. A landing that will refuse is due too, since its error says what is wrong."""
        warehouse = self.deployment.warehouse
        try:
            here, state = position(warehouse, self.deployment.kafka())
        except (KafkaUnavailable, LandingError) as error:
            return str(error)
        waiting = lag(state, here.ends_on(state))
        if here.source_id is None or any(waiting.values()):
            return f"{sum(waiting.values()):,} messages wait on the topic"
        if here.unsettled:
            return "rows have landed that the ledger does not know"
        if self._a_check_failed(LANDING):
            return A_CHECK_FAILED
        return None if _left_by_landing(warehouse) else f"{RAW_CDRS.name} was changed by another hand"


def _reads_other_rows(table: str, partition: str, then: PinnedTable, now: PinnedTable) -> bool:
    """Whether a day or month of a table reads other reference rows in the version `now` than in the one it was made from.

    What is mediated asks the catalogue for products, not for prices of a day. Everything else reads the rows in force on its days.
    """
    if stage_of_table(table) == MEDIATION:
        return known_products_differ(then, now)
    days = stretch_of_key(partition)
    return any(days.meets(each) for each in days_that_differ(then, now))


def _left_by_landing(warehouse: Warehouse) -> bool:
    """Whether the newest commit that changed rows of raw_cdrs was a landing or a decision."""
    version, log = warehouse.version(RAW_CDRS.name), warehouse.log(RAW_CDRS.name)
    while version > 0 and not log.rows_changed(version - 1, version):
        version -= 1
    actions = log.entry(version) or ()
    return version == 0 or any({LANDED, DECIDED} & set(action.get("commitInfo", {})) for action in actions)
