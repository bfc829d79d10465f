"""The project's IO manager: `resources.io_manager` inside the steps of a run.

Belongs here: expected errors of reads and writes become failures as in the steps; the data version of a table that is replaced
as a whole; what a commit says of how its rows were made.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from resources.contract import TableContract
from resources.io_manager import DeltaIOManager, versions_of
from resources.provenance import how_made
from resources.warehouse import Partitions, PinnedTable, Warehouse, is_by_day
from telecom_assets.lineage.declaring import said_of_commit
from telecom_assets.lineage.failures import expected_errors_as_failures, partitions_as_metadata
from telecom_assets.periods.open_days import open_parts


class ProjectIOManager(DeltaIOManager):
    """A table that cannot be read or written fails its step with our sentence, the table and the partitions.

    The data version of a table without partitions, which is replaced as a whole, is the version that last changed its rows.
    So assets that are made from it become stale when its rows change, and not whenever it is read from its source again. A
    table with partitions has no data version: Dagster would give the same one to all days of a run.

    Of a table whose partitions stay as they are once their period is frozen, a run over days writes the open ones.

    The commit of a partitioned table says by which rules, over which partitions and from which versions it was made
    (`resources.provenance`). A table that the output's metadata name as `asserted/<table>` counts as read. What an asset wants its
    commit to say besides is metadata of `commit_says`.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        rules_of: Callable[[str], str | None] = lambda _: None,
        committed: Callable[[PinnedTable], object] = lambda _: None,
    ) -> None:
        """rules_of: a digest of the rules by which a table is made; None: the commit does not say how it was made.

        committed: told what a step has written, right after the commit.
        """
        super().__init__(warehouse)
        self.rules_of, self.committed = rules_of, committed

    def describe(self, context: dg.OutputContext, written: PinnedTable) -> None:
        self.committed(written)
        super().describe(context, written)

    def written_parts(self, contract: TableContract, partitions: Partitions | None) -> Sequence[Partitions | None]:
        """The days that are not frozen: what comes late for the others is mediated, and is rated by no run."""
        if contract.closes and partitions is not None and is_by_day(contract):
            return open_parts(self.warehouse, partitions)
        return [partitions]

    def said(self, context: dg.OutputContext, partitions: Partitions | None) -> Mapping[str, Any]:
        rules = self.rules_of(context.asset_key.path[-1]) if partitions is not None else None
        metadata = context.output_metadata
        said = said_of_commit(metadata)
        if rules is None:
            return said
        reads = {**versions_of(metadata, "asserted/"), **versions_of(metadata, "read/")}
        return {**said, **how_made(self.warehouse, rules, partitions, reads)}

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
        """The version that last changed the table's rows (compaction does not), with the table's id: a new table begins at 0 again."""
        table = self.warehouse.pin(name)
        version, table_id = table.version, table.table_id
        while version > 0 and not self.warehouse.log(name).rows_changed(version - 1, version):
            version -= 1
        return dg.DataVersion(f"{version} of {table_id.partition('-')[0]}")


def _about(context: dg.InputContext | dg.OutputContext) -> dict[str, str]:
    keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
    return {**partitions_as_metadata(keys), "table": context.asset_key.path[-1]}
