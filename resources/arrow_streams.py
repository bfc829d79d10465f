"""Tables of other Arrow libraries as tables of pyarrow, without a copy (Arrow's PyCapsule interface).

`pyarrow.table` does the same, and loads pandas first: a quarter of a second, which a command that asks one thing would wait for.
"""

from typing import Any

import pyarrow as pa


def read_stream(table: Any) -> pa.Table:
    """The whole table. table: an object with `__arrow_c_stream__`, as delta-rs returns them."""
    return pa.RecordBatchReader.from_stream(table).read_all()
