"""The IO manager: Dagster assets in and out of the warehouse.

Belongs here: which table and partitions an asset run means, and what the UI is told about a read or a write.
Does not belong here: how a table is read or written (`resources.warehouse`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from resources.contract import TableContract
from resources.warehouse import Partitions, PinnedTable, Warehouse, partition_value


class DeltaIOManager(dg.IOManager):
    """Stores each asset in the Delta table of its name.

    Output: a DataFrame replaces exactly the partitions of the run (an unpartitioned asset replaces its table); so does a
    pyarrow Table, without the engine: for few rows. None means the asset wrote its table itself.
    Input: annotated `PinnedTable` gives the handle of one pinned version, annotated `DataFrame` its rows.

    Example::

        @dg.asset(partitions_def=DAILY, io_manager_key="io_manager")
        def cleaned_cdrs(raw_cdrs: PinnedTable) -> DataFrame:
            return clean(raw_cdrs.df)
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if obj is None:
            return
        name = context.asset_key.path[-1]
        contract = self.warehouse.contracts[name]
        partitions, version = _partitions(contract, context), None
        for part in self.written_parts(contract, partitions):
            reads, info = versions_of(context.output_metadata, "read/"), self.said(context, part)
            rows = obj if part is None or part == partitions else _within(obj, contract, part)
            if isinstance(rows, pa.Table):
                version = self.warehouse.overwrite_arrow(name, rows, part, reads, info).version
            else:
                version = self.warehouse.overwrite(name, rows, part, reads, info).version
        self.describe(context, self.warehouse.pin(name, partitions, version))

    def written_parts(self, contract: TableContract, partitions: Partitions | None) -> Sequence[Partitions | None]:  # noqa: ARG002
        """The partitions that an output replaces, as ranges: those of the run. Overridden by who leaves some as they are."""
        return [partitions]

    def said(self, context: dg.OutputContext, partitions: Partitions | None) -> Mapping[str, Any]:  # noqa: ARG002
        """What the commit of an output says of itself, besides the versions that it read. Overridden by who knows more."""
        return {}

    def load_input(self, context: dg.InputContext) -> Any:
        name = context.asset_key.path[-1]
        contract = self.warehouse.contracts[name]
        partitions = _partitions(contract, context) if context.has_asset_partitions else None
        pinned = self.warehouse.pin(name, partitions)
        from pyspark.sql.connect.dataframe import DataFrame  # noqa: PLC0415  (imports pandas; not for loading the code)

        return pinned.df if context.dagster_type.typing_type is DataFrame else pinned

    def describe(self, context: dg.OutputContext, written: PinnedTable) -> None:
        """Tell the UI what a run wrote: of each partition its own row count and money, of the whole run version and place.

        Row counts are from file statistics, money from one aggregate over all partitions of the run.
        """
        context.add_output_metadata(
            {"table_version": written.version, "dagster/uri": dg.MetadataValue.path(self.warehouse.path(written.name))}
        )
        keys = context.asset_partition_keys if written.partitions is not None else []
        if len(keys) <= 1:
            rows = sum(written.rows_by_partition().values())
            context.add_output_metadata(figures(rows, written.totals()))
            return
        # What a partition without rows says; the others say their own.
        context.add_output_metadata(figures(0, dict.fromkeys(written.contract.money, Decimal(0))))
        totals, step = written.totals_by_partition(), dg.AssetExecutionContext.get()
        counts = {str(value): (rows, totals.get(value, {})) for value, rows in written.rows_by_partition().items()}
        for key in keys:
            if key in counts:
                step.add_asset_metadata(figures(*counts[key]), context.asset_key, key)


def figures(rows: int, money: Mapping[str, Decimal]) -> dict[str, Any]:
    """Metadata of some rows: how many, and what each money column of theirs adds up to."""
    return {"dagster/row_count": rows, **totals_metadata(money)}


def totals_metadata(money: Mapping[str, Decimal]) -> dict[str, Any]:
    """Amounts by name as metadata: exact as text (`total_amount`), and as a number for Dagster's plots (`plot/amount`)."""
    metadata: dict[str, Any] = {}
    for name, amount in money.items():
        metadata[f"total_{name}"] = dg.MetadataValue.text(plain(amount))
        metadata[f"plot/{name}"] = dg.MetadataValue.float(float(amount))  # a picture: it may lose digits
    return metadata


def versions_of(metadata: Mapping[str, Any], prefix: str) -> dict[str, int]:
    """Versions of tables that an output names in its metadata under a prefix, such as `read/<table>`: what it was made from."""
    values = {key: getattr(value, "value", value) for key, value in metadata.items() if key.startswith(prefix)}
    return {key.removeprefix(prefix): int(value) for key, value in values.items()}


def plain(amount: Decimal) -> str:
    """An exact amount for people and machines: never a float, never an exponent."""
    return f"{amount:f}"


def _partitions(contract: TableContract, context: dg.OutputContext | dg.InputContext) -> Partitions | None:
    """The partition values that a run is about. Raises when they are not contiguous."""
    if contract.partition_by is None or not context.has_asset_partitions:
        return None
    keys = sorted(context.asset_partition_keys)
    first, last = partition_value(keys[0], contract), partition_value(keys[-1], contract)
    if _distance(first, last) + 1 != len(keys):
        raise dg.DagsterInvariantViolationError(
            f"{contract.name}: {keys[0]} to {keys[-1]} of this run have gaps; run each contiguous range by itself"
        )
    return Partitions(first, last)


def _within(rows: Any, contract: TableContract, part: Partitions) -> Any:
    """The rows of some partitions, as a DataFrame or a pyarrow Table."""
    assert contract.partition_by is not None
    if isinstance(rows, pa.Table):
        column = pc.field(contract.partition_by)
        return rows.filter((column >= part.first) & (column <= part.last))
    from pyspark.sql import functions as F  # noqa: PLC0415  (imports pandas; not for loading the code)

    return rows.where(part.holds(F.col(contract.partition_by)))


def _distance(first: dt.date | str, last: dt.date | str) -> int:
    """Days between two days, months between two billing periods."""
    if isinstance(first, dt.date) and isinstance(last, dt.date):
        return (last - first).days
    (first_year, first_month), (last_year, last_month) = (map(int, str(month).split("-")) for month in (first, last))
    return (last_year - first_year) * 12 + last_month - first_month
