"""One version of one table, with the partitions that a run is about. All code that reads a table gets this object.

Belongs here: its methods. How rows are read is in `reading`, how figures are taken from statistics in `statistics`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from resources.contract import TableContract
from resources.warehouse import statistics
from resources.warehouse.errors import MissingTable
from resources.warehouse.partitions import Partitions
from resources.warehouse.reading import read_batches, read_frame

if TYPE_CHECKING:
    from resources.warehouse.warehouse import Warehouse

#: Up to so many rows are read into memory instead of being queried: a query takes the embedded engine some 15 ms and Apache
#: Spark half a second, however few the rows.
FEW_ROWS = 50_000


@dataclass(frozen=True)
class PinnedTable:
    """One version of one table. Reading it twice gives the same rows; reading it writes nothing.

    A missing table is an empty table of its contract at version 0, which is what it will be when it is made.
    """

    warehouse: "Warehouse" = field(repr=False)
    contract: TableContract = field(repr=False)
    version: int
    partitions: Partitions | None = None
    #: Id of the table: a table that was dropped and made again has another id, and begins at version 0. Empty for a missing table.
    table_id: str = ""

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def df(self) -> DataFrame:
        """The rows of the run's partitions."""
        return self.between(self.partitions) if self.partitions else self.all()

    def between(self, partitions: Partitions) -> DataFrame:
        """The rows of other partitions, same version."""
        assert self.contract.partition_by is not None
        return self.all().where(partitions.holds(F.col(self.contract.partition_by)))

    def all(self) -> DataFrame:
        """The rows of all partitions."""
        return read_frame(self)

    def arrow(self) -> pa.Table:
        """The rows of the run's partitions as Arrow, read without the engine: for small tables."""
        return pa.Table.from_batches(self.batches(), self.contract.arrow_schema())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The same rows as a stream of batches: for tables of any size."""
        return read_batches(self)

    def stored_schema(self) -> pa.Schema:
        """Columns and types as the table's log has them."""
        try:
            table = self.warehouse.tables.at(self.contract, self.version)
        except MissingTable:
            return self.contract.arrow_schema()
        return pa.schema(table.schema().to_arrow())

    def rows_by_partition(self) -> dict[Any, int]:
        """Rows per partition value of the run's partitions, from file statistics."""
        counts = statistics.rows_by_partition(self)
        return {key: rows for key, rows in counts.items() if self.partitions is None or key in self.partitions}

    @property
    def is_small(self) -> bool:
        """Whether the rows of the run's partitions are so few that reading them is faster than a query."""
        return sum(self.rows_by_partition().values()) <= FEW_ROWS

    def repeated_keys(self, limit: int) -> list[tuple[tuple[Any, ...], int]]:
        """Values of the contract's key that several rows have, with the number of these rows; at most `limit` values."""
        key = list(self.contract.key)
        if self.is_small:
            counted = self.arrow().group_by(key).aggregate([([], "count_all")])
            found = counted.filter(pc.field("count_all") > 1).slice(0, limit)
        else:
            counts = self.df.groupBy(*key).agg(F.count("*").alias("count_all"))
            found = counts.where("count_all > 1").limit(limit).toArrow()
        keys = zip(*(found[name].to_pylist() for name in key), strict=True)
        return list(zip(keys, found["count_all"].to_pylist(), strict=True))

    def share_of(self, around: Partitions) -> float:
        """Rows of the run's partitions over those of a wider range, from file statistics."""
        whole = sum(rows for key, rows in statistics.rows_by_partition(self).items() if key in around)
        return sum(self.rows_by_partition().values()) / max(whole, 1)

    def missing_values(self, columns: Collection[str]) -> dict[str, int]:
        """Number of rows of the run's partitions without a value, by column: from file statistics where they have it."""
        return statistics.missing_values(self, columns)

    def constants(self, columns: Sequence[str]) -> list[tuple[Any, tuple[int, ...]]] | None:
        """For each file of the run's partitions: its partition value, and the values of columns that have a single value in it.

        From file statistics; None where a file has several values, or no statistics.
        """
        return statistics.constants(self, columns)

    def totals(self) -> dict[str, Decimal]:
        """Sums of the money columns over the run's partitions, exact."""
        sums = statistics.totals_by_partition(self).values()
        return {name: statistics.sum_exactly(of[name] for of in sums) for name in self.contract.money}

    def totals_by_partition(self) -> dict[Any, dict[str, Decimal]]:
        """The same sums by partition value, in one aggregate; a partition without rows is left out."""
        return {value: dict(of) for value, of in statistics.totals_by_partition(self).items()}
