"""Text and numbers as people and documents read them: characters that every reader accepts, decimals in plain notation.

Belongs here: forms that invoices, reports, the dashboard and messages share. Does not belong here: rounding of money (bills
are rounded before they get here) and the escaping of a format, which is the business of that format's library.
"""

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from telecom_assets.model.currencies import currency_scale

#: Everything that XML 1.0 does not allow in a document (its production 2, Char).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legible(text: str) -> str:
    """The text with every character that XML 1.0 forbids (control characters, U+FFFE, U+FFFF) shown as U+FFFD.

    Each is replaced by one character, so that a reader sees that something was there. All else is kept, right-to-left text included.
    """
    return _NOT_XML.sub("\ufffd", text)


def plain(value: Decimal) -> str:
    """The decimal with all its digits and never an exponent: `0.000001`, not `1E-6`."""
    if not value.is_finite():
        raise ValueError(f"{value}: expected a finite decimal")
    return f"{value:f}"


def figure(text: str) -> Decimal:
    """The decimal that a person has typed. Raises ValueError for what is no finite number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ValueError(f"{text!r}: expected a number such as 12.50")
    return value


def percentage(value: Decimal) -> str:
    """The percentage in full, with two decimals or as many more as it needs: `5.00`, `19.625`."""
    whole, _, decimals = plain(value).partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def for_people(value: Decimal | int, digits: int = 0) -> str:
    """The number with thousands separators, half up to `digits` decimals, with a real minus sign. For display only."""
    exact = Decimal(value)
    shown = f"{exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP):,f}"
    if shown.startswith("-"):
        return f"−{shown[1:]}" if shown.strip("-0.,") else shown[1:]
    return shown


def money(amount: Decimal, currency: str) -> str:
    """The amount for people, with the decimals of its currency: `1,234.50` in MAD, `1,235` in JPY. For display only."""
    return for_people(amount, currency_scale(currency))


def share(part: Decimal | int, whole: Decimal | int) -> str:
    """The part in percent of the whole, which is not 0: `12.3 %`."""
    return f"{for_people(Decimal(part) * 100 / Decimal(whole), 1)} %"


def visible(value: object) -> str:
    """The value as a message names it: in quotes when it is empty, or has blanks at its ends, which nobody would see."""
    text = str(value)
    return text if text and text == text.strip() else repr(text)


def counted(number: int, thing: str) -> str:
    """`1 minute`, `2 minutes`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
