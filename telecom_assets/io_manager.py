"""The project's IO manager: `resources.io_manager`, whose expected errors are told as those of the steps are.

Belongs here: nothing else.
"""

from typing import Any

import dagster as dg

from resources.io_manager import DeltaIOManager
from telecom_assets.failures import expected_errors_told, partitions_told


class TellingIOManager(DeltaIOManager):
    """A table that cannot be read or written fails its step with our sentence, the table and the partitions."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        with expected_errors_told(lambda: _about(context)):
            super().handle_output(context, obj)

    def load_input(self, context: dg.InputContext) -> Any:
        with expected_errors_told(lambda: _about(context)):
            return super().load_input(context)


def _about(context: dg.InputContext | dg.OutputContext) -> dict[str, str]:
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    return {**partitions_told(keys), "table": context.asset_key.path[-1]}
