"""What footers of Parquet files tell of a column, and what they do not.

Belongs here: `resources.warehouse.parquet_footers` on files as different writers make them.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from resources.warehouse.parquet_footers import ColumnFacts, column_facts


@pytest.fixture
def folder(tmp_path: Path) -> pafs.FileSystem:
    return pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())


def write(folder: pafs.FileSystem, name: str, columns: dict[str, list[Any]], **how: Any) -> str:
    with folder.open_output_stream(name) as file:
        pq.write_table(pa.table(columns), file, **how)
    return name


def test_nulls_and_constants_over_row_groups(folder: pafs.FileSystem) -> None:
    name = write(
        folder,
        "groups.parquet",
        {
            "same": [5] * 10,
            "one changes": [5] * 9 + [6],
            "one missing": [5] * 9 + [None],
            "text": ["a"] * 10,
            "yes": [True] * 10,
            "none": pa.nulls(10, pa.int64()),
        },
        row_group_size=4,
    )
    facts = column_facts(folder, [name], ["same", "one changes", "one missing", "text", "yes", "none", "no column"])
    assert facts == {
        "same": [ColumnFacts(10, 0, 5)],
        "one changes": [ColumnFacts(10, 0, None)],
        "one missing": [ColumnFacts(10, 1, None)],
        "text": [ColumnFacts(10, 0, None)],
        "yes": [ColumnFacts(10, 0, None)],
        "none": [ColumnFacts(10, 10, None)],
        "no column": [ColumnFacts(10, 10, None)],
    }


def test_each_file_in_its_place(folder: pafs.FileSystem) -> None:
    names = [write(folder, f"{number}.parquet", {"n": [number] * (number + 1)}) for number in range(20)]
    facts = column_facts(folder, names, ["n"])
    assert facts == {"n": [ColumnFacts(number + 1, 0, number) for number in range(20)]}


def test_a_writer_that_counted_nothing_is_not_taken_for_one_that_found_none(folder: pafs.FileSystem) -> None:
    name = write(folder, "silent.parquet", {"n": [1, None]}, write_statistics=False)
    assert column_facts(folder, [name], ["n"]) == {"n": [ColumnFacts(2, None, None)]}


def test_a_file_without_rows(folder: pafs.FileSystem) -> None:
    name = write(folder, "empty.parquet", {"n": pa.array([], pa.int64())})
    assert column_facts(folder, [name], ["n"]) == {"n": [ColumnFacts(0, 0, None)]}


def test_a_file_that_is_gone_or_damaged_tells_nothing(folder: pafs.FileSystem) -> None:
    name = write(folder, "there.parquet", {"n": [1]})
    assert column_facts(folder, [name, "gone.parquet"], ["n"]) is None
    with folder.open_output_stream("damaged.parquet") as file:
        file.write(b"PAR1 is how it should end as well")
    assert column_facts(folder, [name, "damaged.parquet"], ["n"]) is None


def test_a_path_as_the_log_writes_it(folder: pafs.FileSystem) -> None:
    folder.create_dir("region=Fès Meknès")
    write(folder, "region=Fès Meknès/a.parquet", {"n": [1]})
    assert column_facts(folder, ["region=F%C3%A8s%20Mekn%C3%A8s/a.parquet"], ["n"]) == {"n": [ColumnFacts(1, 0, 1)]}
