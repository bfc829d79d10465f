"""The project's IO manager: `resources.io_manager` inside the steps of a run.

Belongs here: what Dagster is told of a read or a write besides its metadata: expected errors as those of the steps are,
and the data version of a table that is read again and again. What a commit says of how it was made.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from resources.io_manager import DeltaIOManager, versions_of
from resources.provenance import how_made
from resources.warehouse import Partitions, Warehouse
from telecom_assets.lineage.failures import expected_errors_as_failures, partitions_as_metadata


class ProjectIOManager(DeltaIOManager):
    """A table that cannot be read or written fails its step with our sentence, the table and the partitions.

    A table without partitions, which is replaced whole, has the version that last changed its rows as data version: what
    was made from the rows is stale when they are others, not whenever they were read again. Tables with partitions have
    none: Dagster would give one to all days of a run.

    The commit of a partitioned table says by which rules, over which partitions and from which versions it was made
    (`resources.provenance`). What an output names as `asserted/<table>` was looked at for it, and counts as read.
    """

    def __init__(self, warehouse: Warehouse, rules_of: Callable[[str], str | None] = lambda _: None) -> None:
        """rules_of: the rules by which a table is made, as a text that differs when they do; None: the commit says nothing."""
        super().__init__(warehouse)
        self.rules_of = rules_of

    def said(self, context: dg.OutputContext, partitions: Partitions | None) -> Mapping[str, Any]:
        rules = self.rules_of(context.asset_key.path[-1]) if partitions is not None else None
        if rules is None:
            return {}
        metadata = context.output_metadata
        reads = {**versions_of(metadata, "asserted/"), **versions_of(metadata, "read/")}
        return how_made(self.warehouse, rules, partitions, reads)

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        with expected_errors_as_failures(lambda: _about(context)):
            super().handle_output(context, obj)
            name = context.asset_key.path[-1]
            if obj is not None and self.warehouse.contracts[name].partition_by is None:
                dg.OpExecutionContext.get().set_data_version(context.asset_key, self.data_version(name))

    def load_input(self, context: dg.InputContext) -> Any:
        with expected_errors_as_failures(lambda: _about(context)):
            return super().load_input(context)

    def data_version(self, name: str) -> dg.DataVersion:
        """Version of a table that last changed its rows: compaction changes none. The identity tells it from another table."""
        table = self.warehouse.pin(name)
        version, table_id = table.version, table.table_id
        while version > 0 and not self.warehouse.log(name).rows_changed(version - 1, version):
            version -= 1
        return dg.DataVersion(f"{version} of {table_id.partition('-')[0]}")


def _about(context: dg.InputContext | dg.OutputContext) -> dict[str, str]:
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    return {**partitions_as_metadata(keys), "table": context.asset_key.path[-1]}
