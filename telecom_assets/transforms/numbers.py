"""Numbers and money: text to number, number to DECIMAL, rounding.

Belongs here: the one rounding policy (half up, away from zero, as on an EN 16931 invoice) and the only conversions
from text to number. DOUBLE appears between a text and its DECIMAL, never in money.
"""

from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

_NUMBER = r"\A-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z"
#: Larger than any quantity that is accepted, and small enough for DECIMAL(18, 6).
_HUGE = 1e11

#: Scale of a rated amount, and of a bill's amounts.
RATED_SCALE = 6
BILL_SCALE = 2


def number(text: Column) -> Column:
    """DOUBLE of a number's text, NULL when it is not a number. Numbers beyond ±1e11 come back as ±1e11."""
    value = text.try_cast("double")
    return F.when(text.rlike(_NUMBER), F.greatest(F.least(value, F.lit(_HUGE)), F.lit(-_HUGE)))


def to_decimal(value: Column, scale: int) -> Column:
    """DOUBLE to DECIMAL(18, scale), half up. `value` comes from `number`; `scale` is at most 6.

    Not a cast: the engines disagree on ties. The product with a power of ten is exact on both.
    """
    shifted = F.floor(value * F.lit(float(10**scale)) + F.lit(0.5)).cast("bigint").cast("decimal(18,0)")
    return (shifted * F.lit(Decimal(1).scaleb(-scale)).cast(f"decimal({scale + 1},{scale})")).cast(
        f"decimal(18,{scale})"
    )


def round_half_up(amount: Column, scale: int) -> Column:
    """The one rounding of money: DECIMAL to `scale` places, half away from zero, as DECIMAL(18, scale)."""
    return F.round(amount, scale).cast(f"decimal(18,{scale})")


def percent_of(amount: Column, pct: Column) -> Column:
    """`pct` percent of an amount, rounded to the centime. Multiplies by 0.01: nothing divides money."""
    return round_half_up(amount * pct * F.lit(Decimal("0.01")).cast("decimal(3,2)"), BILL_SCALE)


def zero_if_null(amount: Column) -> Column:
    return F.coalesce(amount, F.lit(Decimal(0)))
