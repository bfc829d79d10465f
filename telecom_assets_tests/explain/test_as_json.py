"""Explanations as JSON: what each value becomes, and that the text is made while it is written."""

import datetime as dt
from decimal import Decimal

import pytest

from telecom_assets.explain.as_json import json_pieces
from telecom_assets.explain.bills import Corrections, Line


def test_rows_and_figures_as_json() -> None:
    line = Line({"amount": Decimal("0.14"), "exact_amount": Decimal("0.135")}, ({"amount": Decimal("0.1350")},))
    corrections = Corrections("2026-11", "2026-10", "late", "billed", 2, Decimal("-1.50"))
    found = {"lines": (line,), "corrects": corrections, "day": dt.date(2026, 10, 1), "known": None}
    assert "".join(json_pieces(found)) == (
        '{"lines": [{"row": {"amount": "0.14", "exact_amount": "0.135"}, "rows": [{"amount": "0.1350"}], "exact_sum": "0.1350", '
        '"rounding": "0.005"}], "corrects": {"billing_period": "2026-11", "original_period": "2026-10", "reason": "late", '
        '"disposition": "billed", "records": 2, "amount": "-1.50"}, "day": "2026-10-01", "known": null}'
    )


def test_the_text_is_made_while_it_is_written() -> None:
    """What comes first is there before what comes last is looked at."""
    written: list[str] = []
    with pytest.raises(TypeError, match="object has no form in JSON"):
        written.extend(json_pieces([{"amount": Decimal("1.50")}, object()]))
    assert "".join(written).startswith('[{"amount": "1.50"}')
