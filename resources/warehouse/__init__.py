"""The warehouse of Delta tables. Other packages import from here, and only the names that stand here."""

from resources.private_members import stream_batches
from resources.warehouse.appending import Decided, append_decided
from resources.warehouse.commits import READS
from resources.warehouse.errors import MissingTable, Overtaken, Refused, WarehouseError
from resources.warehouse.history import (
    as_first_seen,
    commit_info,
    committed_at,
    identity_of,
    newest_change,
    partitions_changed,
)
from resources.warehouse.log_repair import entry_path
from resources.warehouse.maintenance import Maintained, maintain
from resources.warehouse.notebook import notebook
from resources.warehouse.partitions import EVERYTHING, Commit, Partitions, is_by_day, of_month, partition_value
from resources.warehouse.pinned_table import PinnedTable
from resources.warehouse.reading import read_rows, staged_arrow, staged_rows
from resources.warehouse.staged_files import NULL_PARTITION, Staged, new_folder, put, staged
from resources.warehouse.statistics import paths_of, sum_exactly, went_back
from resources.warehouse.table_log import TableLog, changed_files
from resources.warehouse.warehouse import Warehouse

__all__ = [
    "EVERYTHING",
    "NULL_PARTITION",
    "READS",
    "Commit",
    "Decided",
    "Maintained",
    "MissingTable",
    "Overtaken",
    "Partitions",
    "PinnedTable",
    "Refused",
    "Staged",
    "TableLog",
    "Warehouse",
    "WarehouseError",
    "append_decided",
    "as_first_seen",
    "changed_files",
    "commit_info",
    "committed_at",
    "entry_path",
    "identity_of",
    "is_by_day",
    "maintain",
    "new_folder",
    "newest_change",
    "notebook",
    "of_month",
    "partition_value",
    "partitions_changed",
    "paths_of",
    "put",
    "read_rows",
    "staged",
    "staged_arrow",
    "staged_rows",
    "stream_batches",
    "sum_exactly",
    "went_back",
]
