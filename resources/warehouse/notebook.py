"""Rows that are written down for the queries that follow, and are gone afterwards.

Belongs here: rows of any columns and number that several queries read, which an engine would otherwise work out each time. Does not
belong here: rows that a commit makes a part of a table (`staged_files`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame

from resources.warehouse.staged_files import new_folder
from resources.warehouse.warehouse import Warehouse


@contextmanager
def notebook(warehouse: Warehouse, name: str) -> Iterator[Callable[[DataFrame], DataFrame]]:
    """Within it, a function that has the engine write rows to files below a table and gives them back as they were written.

    The files belong to no version of the table. Maintenance removes those of a process that was killed.
    """
    warehouse.tables.for_writing(warehouse.contracts[name])
    folders: list[str] = []

    def keep(rows: DataFrame) -> DataFrame:
        folders.append(new_folder())
        path = f"{warehouse.place.engine_path(name)}/{folders[-1]}"
        # No `_SUCCESS` file, as everywhere.
        writer = rows.write.format("parquet").mode("error")
        writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false").save(path)
        return rows.sparkSession.read.schema(rows.schema).parquet(path)

    try:
        yield keep
    finally:
        for folder in folders:
            warehouse.drop(name, folder)
