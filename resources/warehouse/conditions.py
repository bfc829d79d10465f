"""Conditions on a few rows of a table, for readers with and without an engine.

Belongs here: one condition in the language of both readers. Does not belong here: reading (`reading`), transforms, whose conditions
are columns of the engine.
"""

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import reduce
from operator import or_

from pyspark.sql import Column
from pyspark.sql import functions as F

#: What columns are compared with. Instants have a zone.
Value = str | int | dt.date


@dataclass(frozen=True)
class Condition:
    """A condition. sql: for DataFusion, which delta-rs has. column: the same for an engine; made when asked for, since Spark
    Connect makes a column only beside a session.
    """

    sql: str
    column: Callable[[], Column]


def equal(name: str, value: Value | None) -> Condition:
    """A column has a value; None: it has none."""
    if value is None:
        return Condition(f"{quoted(name)} IS NULL", lambda: F.col(name).isNull())
    return Condition(f"{quoted(name)} = {_literal(value)}", lambda: F.col(name) == F.lit(value))


def among(name: str, values: Collection[str]) -> Condition:
    """A column has one of some values."""
    ordered = sorted(values)
    listed = ", ".join(_literal(value) for value in ordered)
    return Condition(f"{quoted(name)} IN ({listed})" if ordered else "FALSE", lambda: F.col(name).isin(ordered))


def at_least(name: str, value: Value) -> Condition:
    """A column has a value, or a greater one."""
    return Condition(f"{quoted(name)} >= {_literal(value)}", lambda: F.col(name) >= F.lit(value))


def at_most(name: str, value: Value) -> Condition:
    """A column has a value, or a smaller one."""
    return Condition(f"{quoted(name)} <= {_literal(value)}", lambda: F.col(name) <= F.lit(value))


def below(name: str, value: Value) -> Condition:
    """A column has a smaller value."""
    return Condition(f"{quoted(name)} < {_literal(value)}", lambda: F.col(name) < F.lit(value))


def digits_end_with(names: Collection[str], digits: str) -> Condition:
    """The digits of one of some text columns, without all else, end with some."""
    texts = [f"regexp_replace({quoted(name)}, '[^0-9]', '', 'g') LIKE {_literal('%' + digits)}" for name in names]
    return Condition(
        f"({' OR '.join(texts)})",
        lambda: reduce(or_, (F.regexp_replace(F.col(name), "[^0-9]", "").endswith(digits) for name in names)),
    )


def quoted(name: str) -> str:
    """The name of a column as SQL of DataFusion."""
    return f'"{name}"'


def _literal(value: Value) -> str:
    """A value as SQL of DataFusion, in whose texts a quote alone has a meaning of its own."""
    if isinstance(value, dt.datetime):
        return f"TIMESTAMP '{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}Z'"
    if isinstance(value, dt.date):
        return f"DATE '{value}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)
