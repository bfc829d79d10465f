"""What every command gets: the settings and the ways out, made when they are asked for."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from telecom_assets.home.settings import Settings
from telecom_assets.tables import TABLES

if TYPE_CHECKING:
    import dagster as dg

    from resources.kafka import KafkaConnection
    from resources.postgres import PostgresConnection
    from telecom_assets.home.connections import Connections


@dataclass
class AppContext:
    """`ctx.obj` of every command. Heavy imports happen in the methods: `telecom --help` answers at once."""

    settings: Settings

    @cached_property
    def connections(self) -> "Connections":
        from telecom_assets.home.connections import Connections  # noqa: PLC0415

        return Connections(self.settings, TABLES)

    def kafka(self) -> "KafkaConnection":
        return self.connections.kafka()

    def postgres(self) -> "PostgresConnection":
        return self.connections.postgres()

    @cached_property
    def instance(self) -> "dg.DagsterInstance":
        from telecom_assets.home.instance import open_instance  # noqa: PLC0415

        return open_instance(self.settings)

    def open_month(self, month: str) -> None:
        """Accept CDRs of this month, however old. Raises MonthError for a month that cannot be billed."""
        from telecom_assets.intake.decisions import open_month  # noqa: PLC0415
        from telecom_assets.lineage.partitions import check_month  # noqa: PLC0415

        settings = self.settings
        open_month(
            self.connections.warehouse,
            check_month(month, settings.partitions_start),
            calendar_start=settings.partitions_start,
            dedupe_days=settings.dedupe_days,
        )
