"""Numbers and money: text to DECIMAL, rounding.

Belongs here: the one rounding policy (half up, away from zero, as on an EN 16931 invoice) and the only conversion from
text to number. No DOUBLE stands anywhere: a number is what its digits say.
"""

from decimal import Decimal

from pyspark.sql import Column
from pyspark.sql import functions as F

_NUMBER = r"\A-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z"
#: What is read as it stands: smaller than 10^11, without exponent, and short enough for an exact cast. Up to 77 characters
#: both engines round a text half up to the scale of its DECIMAL; of longer ones they make different things.
_PLAIN = r"\A-?[0-9]{1,11}(?:\.[0-9]{1,60})?\z"
_ALL_BUT_DIGITS = r"[eE].*\z|[.-]"
#: Sign and leading digits of the exponent, where `e0` was added to the text: one that has more digits is larger than any
#: text is long.
_EXPONENT = r"\A[^eE]*[eE]\+?(-?)0*(0|[1-9][0-9]{0,17})[0-9]*(?:e0)?\z"
#: So far right of the point that no scale in use rounds it up; and so far left of it that no quantity is as large.
_NEAR_ZERO, _FAR = 13, 12
_TOO_LARGE = r"\A0*[1-9][0-9]{11,}\..*\z"
#: 10^11 is larger than any quantity, and small enough for DECIMAL(18, 6).
_HUGE = "100000000000"
#: Whole part, 60 decimals, and the first of the digits after them that is not zero.
_CUT = r"\A0*([0-9]*)\.([0-9]{0,60})0*([1-9]?)[0-9]*\z"

#: Scale of a rated amount, and of a bill's amounts.
RATED_SCALE = 6
BILL_SCALE = 2
#: Types with room for sums of as many rows as there may ever be: of rated amounts, of bills, of megabytes.
RATED_SUM, BILL_SUM, VOLUME_SUM = "decimal(28,6)", "decimal(28,2)", "decimal(24,6)"


def plain_number(text: Column) -> Column:
    """A number's text without exponent, at most 77 characters; NULL when the text is not a number.

    Its value is the text's own, with two exceptions that no quantity sees: from ±10^11 on it is ±10^11, and what differs
    after the 60th decimal or is nearer to zero than 10^-13 is told from nothing, but not by how much.
    """
    odd = F.when(text.rlike(_NUMBER), _with_moved_point(text))
    return F.when(text.isNotNull(), F.when(text.rlike(_PLAIN), text).otherwise(odd))


def to_decimal(plain: Column, scale: int) -> Column:
    """DECIMAL(18, scale) of a `plain_number`, half up. `scale` is at most 6.

    In one step: by way of a wider DECIMAL 60.0004999…9 would become 60.0005 and then 60.001.
    """
    return plain.try_cast(f"decimal(18,{scale})")


def is_negative(plain: Column, rounded: Column) -> Column:
    """Whether the number as it is written is less than zero, however little. `rounded`: its `to_decimal`."""
    return F.when(rounded <= 0, plain.rlike(r"\A-[0.]*[1-9]")).otherwise(F.lit(False))


def exceeds(plain: Column, rounded: Column, limit: int) -> Column:
    """Whether the number as it is written is more than `limit`, however little. `rounded`: its `to_decimal`."""
    at_most = rf"\A0*(?:{limit}(?:\.0*)?|{limit - 1}\.[0-9]*)\z"
    return F.when(rounded >= limit, ~plain.rlike(at_most)).otherwise(F.lit(False))


def _with_moved_point(text: Column) -> Column:
    """A `plain_number` of any number: the exponent moves the point among its digits.

    One chain, in which nothing comes twice: an engine plans for half a second over an expression that is spelt out.
    """
    sign = F.regexp_extract(text, r"\A-?", 0)
    digits = F.regexp_replace(text, _ALL_BUT_DIGITS, "")
    padded = F.concat(F.lit("0" * _NEAR_ZERO), digits, F.lit("0" * _FAR))
    exponent = F.regexp_replace(F.concat(text, F.lit("e0")), _EXPONENT, "$1$2").try_cast("bigint")
    point = F.length(F.regexp_extract(text, r"[0-9]+", 0)) + exponent + _NEAR_ZERO + 1
    within = F.greatest(F.least(point, F.lit(2**31 - 1)), F.lit(1)).cast("int")
    moved = F.overlay(padded, F.lit("."), within, F.lit(0))
    # What is cut off is told by one more digit, so that more than a limit stays more than it.
    return F.concat(sign, F.regexp_replace(F.regexp_replace(moved, _TOO_LARGE, _HUGE), _CUT, "0$1.$2$3"))


def round_half_up(amount: Column, scale: int) -> Column:
    """The one rounding of money: DECIMAL to `scale` places, half away from zero, as DECIMAL(18, scale)."""
    return F.round(amount, scale).cast(f"decimal(18,{scale})")


def round_half_up_or_null(amount: Column, scale: int) -> Column:
    """The same, NULL where DECIMAL(18, scale) has not the digits."""
    return F.round(amount, scale).try_cast(f"decimal(18,{scale})")


def percent_of(amount: Column, pct: Column) -> Column:
    """`pct` percent of an amount, rounded to the centime. Multiplies by 0.01: nothing divides money."""
    return round_half_up(amount * pct * F.lit(Decimal("0.01")).cast("decimal(3,2)"), BILL_SCALE)


def zero_if_null(amount: Column) -> Column:
    return F.coalesce(amount, F.lit(Decimal(0)))
