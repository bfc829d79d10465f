"""`resources` serves any tables: it knows the name of no table and of no column of the project's."""

import ast
from collections.abc import Iterator
from pathlib import Path

import resources
from telecom_assets.tables import TABLES

#: Names that the reader of topics gives its own columns.
OF_THE_READER = {("kafka_source.py", "kafka_topic")}


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the code, with the name of its file; comments and docstrings hold none that is a name alone."""
    for path in Path(resources.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value


def test_no_name_of_a_table_or_a_column() -> None:
    """Names of one plain word (`value`, `reason`) may be anybody's."""
    ours = {name for table in TABLES.values() for name in (table.name, *table.column_names) if "_" in name}
    assert {"billing_period", "event_date", "raw_cdrs"} <= ours
    assert {(file, text) for file, text in texts() if text in ours} == OF_THE_READER
