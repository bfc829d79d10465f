"""Figures that people type."""

from decimal import Decimal

import pytest

from telecom_assets.model.text import figure


@pytest.mark.parametrize("text", ["12,50", "", "NaN", "sNaN", "Infinity", "-inf", "1e"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    """NaN and infinity are decimals, of which no tax can be told."""
    with pytest.raises(ValueError, match=rf"^'{text}': expected a number such as 12\.50$"):
        figure(text)


def test_a_figure_is_what_was_typed() -> None:
    assert [figure(text) for text in ("12.50", " 7 ", "-0.1")] == [Decimal("12.50"), Decimal(7), Decimal("-0.1")]
