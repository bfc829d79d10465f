"""Explanations for machines: every dataclass as an object, every row with all its columns."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from telecom_assets.explain.bills import Line
from telecom_assets.explain.records import Event, Message, OnBill
from telecom_assets.model.text import plain


def as_json(value: Any) -> Any:
    """What JSON has for a value that it has no form of, one level deep: the `default` of the json module.

    Decimals and times as text. A message has its `text` and not its bytes, an event its month and formula. Raises TypeError.
    """
    if isinstance(value, Message):
        row = {name: of for name, of in value.row.items() if name != "value"}
        said = {name: getattr(value, name) for name in ("outcome", "reason", "detail", "corrects", "corrected")}
        return {**row, "text": value.text, **said}
    if dataclasses.is_dataclass(value):
        found = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        if isinstance(value, Event):
            found |= {"month": value.month, "formula": value.formula, "is_written_off": value.written_off is not None}
        if isinstance(value, OnBill):
            found |= {"rounding": value.rounding}
        if isinstance(value, Line):
            found |= {"exact_sum": value.exact_sum, "rounding": value.rounding}
        return found
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def json_pieces(value: Any) -> Iterator[str]:
    """The value as JSON, piece by piece: the events of a bill stand in memory once, and their text not at all."""
    return json.JSONEncoder(default=as_json).iterencode(value)
