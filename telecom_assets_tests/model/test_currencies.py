"""Decimals of amounts, by ISO 4217."""

from decimal import Decimal

import pytest
from iso4217 import Currency

from telecom_assets.model.currencies import DEFAULT_CURRENCY, currency_scale
from telecom_assets.model.text import money


@pytest.mark.parametrize(
    ("code", "scale"), [("JPY", 0), ("XOF", 0), ("MAD", 2), ("EUR", 2), ("TND", 3), ("KWD", 3), ("CLF", 4)]
)
def test_a_currency_has_its_decimals(code: str, scale: int) -> None:
    assert currency_scale(code) == scale


def test_the_default_is_what_the_table_says() -> None:
    """It is known without reading the table."""
    assert currency_scale(DEFAULT_CURRENCY) == Currency(DEFAULT_CURRENCY).exponent


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("XAU", "the code XAU has no decimals in ISO 4217"),
        ("dirham", "expected three capital letters"),
        ("ABC", "a code of ISO 4217, such as MAD"),
    ],
)
def test_another_code_is_refused(code: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        currency_scale(code)


@pytest.mark.parametrize(
    ("currency", "shown"), [("JPY", "1,235"), ("MAD", "1,234.57"), ("TND", "1,234.568"), ("CLF", "1,234.5675")]
)
def test_an_amount_is_shown_with_the_decimals_of_its_currency(currency: str, shown: str) -> None:
    assert money(Decimal("1234.5675"), currency) == shown
