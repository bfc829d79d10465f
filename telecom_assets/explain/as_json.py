"""Explanations for machines: every dataclass as an object, every row with all its columns."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from telecom_assets.explain.bills import Line
from telecom_assets.explain.records import Event, Message, OnBill
from telecom_assets.model.text import plain


def as_json(value: Any) -> Any:
    """The value for JSON: decimals and times as text. A message has its `text` and not its bytes, an event its month and formula."""
    if isinstance(value, Message):
        row = {name: of for name, of in value.row.items() if name != "value"}
        said = {name: getattr(value, name) for name in ("outcome", "reason", "detail", "corrects", "corrected")}
        return as_json({**row, "text": value.text, **said})
    if dataclasses.is_dataclass(value):
        found = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        if isinstance(value, Event):
            found |= {"month": value.month, "formula": value.formula, "is_written_off": value.written_off is not None}
        if isinstance(value, OnBill):
            found |= {"rounding": value.rounding}
        if isinstance(value, Line):
            found |= {"exact_sum": value.exact_sum, "rounding": value.rounding}
        return as_json(found)
    if isinstance(value, Mapping):
        return {name: as_json(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return _text(value)


def _text(value: Any) -> Any:
    """A single value: numbers, booleans and None stay."""
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, dt.date) else value
