"""Currencies: how many decimals an amount of money has.

Belongs here: ISO 4217, by the package iso4217. Does not belong here: which currency is billed in (`home.settings`).
"""

import re
from functools import cache

#: Decimals of the default currency, which most processes need and nothing else of the table: it takes 30 ms to read.
DEFAULT_CURRENCY, _DEFAULT_SCALE = "MAD", 2
#: A rated amount has six decimals, and what is worked out from a billed amount and percentages of four fits 38 digits with these.
_MOST_DECIMALS = 4


@cache
def currency_scale(code: str) -> int:
    """Decimals of an amount in a currency by ISO 4217: JPY 0, MAD 2, TND 3. Raises ValueError for a code without any."""
    if code == DEFAULT_CURRENCY:
        return _DEFAULT_SCALE
    if not re.match(r"\A[A-Z]{3}\Z", code):
        raise ValueError("expected three capital letters, a code of ISO 4217 such as MAD")
    from iso4217 import Currency  # noqa: PLC0415  (reads its table for 30 ms)

    try:
        exponent = Currency(code).exponent
    except ValueError:
        raise ValueError("expected a code of ISO 4217, such as MAD") from None
    if exponent is None or not 0 <= exponent <= _MOST_DECIMALS:
        found = "no decimals" if exponent is None else f"{exponent} decimals"
        raise ValueError(
            f"the code {code} has {found} in ISO 4217; expected a currency of 0 to {_MOST_DECIMALS} decimals"
        )
    return int(exponent)
