"""The object that every command gets: settings, deployment and instance, each made on first use."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from telecom_assets.home.settings import Settings
from telecom_assets.model.calendar import check_month
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets.tables import tables_of

if TYPE_CHECKING:
    import dagster as dg

    from resources.kafka import KafkaConnection
    from resources.postgres import PostgresConnection
    from telecom_assets.home.deployment import Deployment


@dataclass
class AppContext:
    """`ctx.obj` of every command. Heavy modules are imported in the methods, so that `telecom --help` is quick."""

    settings: Settings

    @cached_property
    def deployment(self) -> "Deployment":
        from telecom_assets.home.deployment import Deployment  # noqa: PLC0415

        return Deployment(self.settings, tables_of(RECORD_TYPES, self.settings.currency))

    def kafka(self) -> "KafkaConnection":
        return self.deployment.kafka()

    def postgres(self) -> "PostgresConnection":
        return self.deployment.postgres()

    @cached_property
    def instance(self) -> "dg.DagsterInstance":
        from telecom_assets.home.instance import open_instance  # noqa: PLC0415

        return open_instance(self.settings)

    def open_month(self, month: str) -> None:
        """Accept CDRs of this month, however old. Raises MonthError for a month that cannot be billed."""
        from telecom_assets.intake.decisions import open_month  # noqa: PLC0415

        settings = self.settings
        open_month(
            self.deployment.warehouse,
            check_month(month, settings.partitions_start),
            calendar_start=settings.partitions_start,
            dedupe_days=settings.dedupe_days,
        )
