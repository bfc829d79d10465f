"""Numbers and money: text to DECIMAL, rounding.

Belongs here: the one rounding policy (half up, away from zero, as on an EN 16931 invoice) and the only conversion from
text to number. No DOUBLE stands anywhere: a number is what its digits say.
"""

from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

_NUMBER = r"\A-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z"
#: Numbers that are cast as they are written: smaller than 10^11, without exponent, and short enough for an exact cast. Up to 77
#: characters both engines round a text half up to the scale of its DECIMAL; for longer texts their results differ.
_PLAIN = r"\A-?[0-9]{1,11}(?:\.[0-9]{1,60})?\z"
_ALL_BUT_DIGITS = r"[eE].*\z|[.-]"
#: Sign and leading digits of the exponent, after `e0` was added to the text. An exponent with more digits than these is larger
#: than any text is long.
_EXPONENT = r"\A[^eE]*[eE]\+?(-?)0*(0|[1-9][0-9]{0,17})[0-9]*(?:e0)?\z"
#: So many places right of the point no scale in use rounds a digit up; so many left of it no quantity is as large.
_NEAR_ZERO, _FAR = 13, 12
_TOO_LARGE = r"\A0*[1-9][0-9]{11,}\..*\z"
#: 10^11 is larger than any quantity, and small enough for DECIMAL(18, 6).
_HUGE = "100000000000"
#: Whole part, 60 decimals, and the first of the digits after them that is not zero.
_CUT = r"\A0*([0-9]*)\.([0-9]{0,60})0*([1-9]?)[0-9]*\z"

#: Scale of a rated amount. A bill's amounts have the scale of their currency.
RATED_SCALE = 6
#: Types with room for sums of as many rows as there may ever be: of rated amounts, of megabytes.
RATED_SUM, VOLUME_SUM = "decimal(28,6)", "decimal(24,6)"
#: Type of discount and tax: percent, 0 to 100, exactly as set.
PERCENT = "decimal(7,4)"


def bill_amount(scale: int) -> str:
    """Type of a billed amount with the decimals of its currency."""
    return f"decimal(18,{scale})"


def bill_sum(scale: int) -> str:
    """Type with room for the sum of as many billed amounts as there may ever be."""
    return f"decimal(28,{scale})"


def plain_number(text: Column) -> Column:
    """A number's text without exponent, at most 77 characters; NULL when the text is not a number.

    Its value is that of the text, with two exceptions that make no difference for quantities: from ±10^11 on it is ±10^11, and
    beyond the 60th decimal, or nearer to zero than 10^-13, it only shows that there is more than nothing.
    """
    odd = F.when(text.rlike(_NUMBER), _with_moved_point(text))
    return F.when(text.isNotNull(), F.when(text.rlike(_PLAIN), text).otherwise(odd))


def to_decimal(plain: Column, scale: int) -> Column:
    """DECIMAL(18, scale) of a `plain_number`, half up. `scale` is at most 6.

    In one step: by way of a wider DECIMAL 60.0004999…9 would become 60.0005 and then 60.001.
    """
    return plain.try_cast(f"decimal(18,{scale})")


def is_negative(plain: Column, rounded: Column) -> Column:
    """Whether the written number is less than zero, even by less than rounding keeps. `rounded`: its `to_decimal`."""
    return F.when(rounded <= 0, plain.rlike(r"\A-[0.]*[1-9]")).otherwise(F.lit(False))


def exceeds(plain: Column, rounded: Column, limit: int) -> Column:
    """Whether the written number is more than `limit`, even by less than rounding keeps. `rounded`: its `to_decimal`."""
    at_most = rf"\A0*(?:{limit}(?:\.0*)?|{limit - 1}\.[0-9]*)\z"
    return F.when(rounded >= limit, ~plain.rlike(at_most)).otherwise(F.lit(False))


def _with_moved_point(text: Column) -> Column:
    """A `plain_number` of any number: the exponent moves the point among its digits.

    One chain in which no part is repeated: over the repeated expression an engine plans for half a second.
    """
    sign = F.regexp_extract(text, r"\A-?", 0)
    digits = F.regexp_replace(text, _ALL_BUT_DIGITS, "")
    padded = F.concat(F.lit("0" * _NEAR_ZERO), digits, F.lit("0" * _FAR))
    exponent = F.regexp_replace(F.concat(text, F.lit("e0")), _EXPONENT, "$1$2").try_cast("bigint")
    point = F.length(F.regexp_extract(text, r"[0-9]+", 0)) + exponent + _NEAR_ZERO + 1
    within = F.greatest(F.least(point, F.lit(2**31 - 1)), F.lit(1)).cast("int")
    moved = F.overlay(padded, F.lit("."), within, F.lit(0))
    # Cut digits leave one digit behind, so that a number above a limit stays above it.
    return F.concat(sign, F.regexp_replace(F.regexp_replace(moved, _TOO_LARGE, _HUGE), _CUT, "0$1.$2$3"))


def round_half_up(amount: Column, scale: int) -> Column:
    """The one rounding of money: DECIMAL to `scale` places, half away from zero, as DECIMAL(18, scale)."""
    return F.round(amount, scale).cast(f"decimal(18,{scale})")


def round_half_up_or_null(amount: Column, scale: int) -> Column:
    """As `round_half_up`, but NULL where the amount has too many digits for DECIMAL(18, scale)."""
    return F.round(amount, scale).try_cast(f"decimal(18,{scale})")


def percent_of(amount: Column, pct: Column, scale: int) -> Column:
    """`pct` percent of an amount of DECIMAL(18, scale), rounded to `scale` places. Multiplies by 0.01: nothing divides money."""
    return round_half_up(amount * pct * F.lit(Decimal("0.01")).cast("decimal(3,2)"), scale)


def zero_if_null(amount: Column) -> Column:
    return F.coalesce(amount, F.lit(Decimal(0)))
