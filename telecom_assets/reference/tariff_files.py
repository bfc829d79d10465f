"""Tariffs and catalogue as files: CSV, with or without dates.

Belongs here: reading, and refusing what cannot be a value of its column (`InputFileError`: file, line, column, value, expected).
Does not belong here: what values may mean together (`judging`), what a file changes of what is stored (`tariff_history`).
"""

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import pyarrow as pa

from resources.contract import Column, TableContract
from telecom_assets.model.columns import VALIDITY
from telecom_assets.reference.csv_files import InputFileError, read_csv_header, read_csv_rows, read_day
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_DATES = tuple(column.name for column in VALIDITY)
_PACKAGED = {RATE_PLANS.name: "rate_plans.csv", PRODUCT_CATALOG.name: "product_catalog.csv"}


@dataclass(frozen=True, eq=False)
class TariffFile:
    """The rows of a file in the schema of its table.

    `is_dated`: the file says when its rows are in force, so it is the whole history; otherwise it is what is to be in force from
    some day on, and its rows are without bounds.
    """

    path: Path | Traversable
    contract: TableContract
    rows: pa.Table
    is_dated: bool


def read_rate_plans(path: Path | None = None) -> pa.Table:
    """The tariffs in the RATE_PLANS schema, from a file or the packaged one. Raises InputFileError."""
    return read_tariff_file(RATE_PLANS, path).rows


def read_product_catalog(path: Path | None = None) -> pa.Table:
    """The catalogue in the PRODUCT_CATALOG schema, from a file or the packaged one. Raises InputFileError."""
    return read_tariff_file(PRODUCT_CATALOG, path).rows


def read_tariff_file(contract: TableContract, path: Path | None = None) -> TariffFile:
    """A file of tariffs or of products, or the packaged one. It has the columns of the contract; those of VALIDITY may be left out.

    Raises InputFileError.
    """
    source = path or files("telecom_assets").joinpath("data", _PACKAGED[contract.name])
    needed = [name for name in contract.column_names if name not in _DATES]
    ordered = [contract.column(name) for name in (*needed, *_DATES)]
    header = read_csv_header(source, needed)
    rows = []
    for row in read_csv_rows(source, needed, optional=_DATES):
        where = f"{source}: line {row.line}"
        if row.values is None:
            raise InputFileError(f"{where}: has {row.found} values, expected {len(header)}")
        rows.append(
            {column.name: _value(where, column, text) for column, text in zip(ordered, row.values, strict=True)}
        )
    if not rows:
        raise InputFileError(f"{source}: has no rows; expected at least one of {contract.name}")
    table = pa.Table.from_pylist(rows, schema=contract.arrow_schema())
    return TariffFile(source, contract, table, is_dated=any(name in _DATES for name in header))


def contract_of(path: Path) -> TableContract:
    """What a file is about, by its header: tariffs or the catalogue. Raises InputFileError where it is neither."""
    header = set(read_csv_header(path, RATE_PLANS.column_names))
    for contract in (RATE_PLANS, PRODUCT_CATALOG):
        if {name for name in contract.column_names if name not in _DATES} <= header:
            return contract
    expected = " or ".join(_listed(contract) for contract in (RATE_PLANS, PRODUCT_CATALOG))
    raise InputFileError(f"{path}: is neither a file of tariffs nor a catalogue; expected the columns {expected}")


def _listed(contract: TableContract) -> str:
    return f"{','.join(name for name in contract.column_names if name not in _DATES)} ({contract.name})"


def _value(where: str, column: Column, text: str) -> str | Decimal | dt.date | None:
    """The value of a cell, exactly as written: a number that its column cannot hold is refused, never rounded."""
    if not text.strip():
        if column.required:
            raise InputFileError(f"{where}: {column.name} is missing; expected {_expected(column)}")
        return None
    value: str | Decimal | dt.date | None = text
    if pa.types.is_decimal(column.arrow_type):
        value = _exact(text, column.arrow_type.precision, column.arrow_type.scale)
    elif pa.types.is_date(column.arrow_type):
        value = read_day(text)
    if value is None:
        raise InputFileError(f"{where}: {column.name} is {text!r}; expected {_expected(column)}")
    return value


def _exact(text: str, precision: int, scale: int) -> Decimal | None:
    """The number with no more decimals than `scale`; None when there is none or digits would be lost.

    Works on the digits, so that no decimal context can round.
    """
    if not _NUMBER.fullmatch(text):
        return None
    sign, digits, exponent = Decimal(text).as_tuple()
    surplus = max(0, -int(exponent) - scale)
    cut = max(0, len(digits) - surplus)
    kept, lost = digits[:cut], digits[cut:]
    number = Decimal((sign, kept or (0,), int(exponent) + surplus))
    return None if any(lost) or abs(number) >= 10 ** (precision - scale) else number


def _expected(column: Column) -> str:
    if pa.types.is_date(column.arrow_type):
        return "a day such as 2026-11-01, or nothing where there is no bound"
    if not pa.types.is_decimal(column.arrow_type):
        return "a text"
    precision, scale = column.arrow_type.precision, column.arrow_type.scale
    return f"a number such as 0.015, at most {precision - scale} digits before the point and {scale} after it"
