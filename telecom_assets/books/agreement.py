"""Two sides of one fact agree: totals by name, or small tables row by row."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from telecom_assets.books.verdict import Verdict
from telecom_assets.model.text import visible


def totals_agree(identity: str, left: Mapping[str, Any], right: Mapping[str, Any], names: tuple[str, str]) -> Verdict:
    """Two sets of totals by name are equal."""
    differs = [
        {"figure": key, names[0]: left.get(key), names[1]: right.get(key)}
        for key in sorted(set(left) | set(right))
        if left.get(key) != right.get(key)
    ]
    findings = [f"{row['figure']}: {names[0]} {row[names[0]]}, {names[1]} {row[names[1]]}" for row in differs]
    return Verdict(identity, findings, {f"{names[0]} {key}": value for key, value in left.items()}, differs)


def rows_agree(identity: str, left: pa.Table, right: pa.Table, names: tuple[str, str]) -> Verdict:
    """Two small tables hold the same rows, each as often."""
    columns = left.column_names
    surplus = Counter(_rows_of(left, columns))
    surplus.subtract(_rows_of(right, columns))
    other = [(names[0] if times > 0 else names[1], row) for row, times in surplus.items() if times][:100]
    findings = [f"only in {name}: {', '.join(map(visible, row))}" for name, row in other]
    differs = [{"only in": name, **dict(zip(columns, row, strict=True))} for name, row in other]
    return Verdict(identity, findings, differs=differs)


def _rows_of(table: pa.Table, columns: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


def labelled(period: str, rows: int, sums: Mapping[str, Decimal]) -> dict[str, object]:
    """Rows and sums of a period as totals by name."""
    return {f"{period} rows": rows, **{f"{period} {name}": value for name, value in sums.items()}}
