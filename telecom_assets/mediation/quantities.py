"""The quantities of a record in a DataFrame: from text to number, and the reasons to reject a record for one.

Belongs here: the rules of `telecom_assets.record_types.record_type.Quantity` as expressions. Does not belong here: the
order in which reasons are tried.
"""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from pyspark.sql import Column
from pyspark.sql import functions as F

from telecom_assets.model.numbers import exceeds, is_negative, plain_number, to_decimal
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.record_types.record_type import Quantity, RecordType


def any_of(conditions: Iterable[Column]) -> Column:
    """Whether one of the conditions holds; false without conditions."""
    given = list(conditions)
    return reduce(or_, given) if given else F.lit(False)


def is_one_of(names: Iterable[str]) -> Column:
    """Whether a record is of one of these types."""
    return any_of(F.col("record_type") == name for name in names)


def text_of(quantity: Quantity) -> str:
    """Name of the column with the text of a quantity, NULL in records of other types. It begins with _, as no field does."""
    return f"_{quantity.field}_text"


def written_column(quantity: Quantity) -> Column:
    """What `typed_columns` reads besides the text: the `plain_number` of it.

    A column of its own, since it is read up to five times: spelt out at each of them, it is half of what planning takes.
    """
    return plain_number(F.col(text_of(quantity))).alias(_written_of(quantity))


def _written_of(quantity: Quantity) -> str:
    return f"_{quantity.field}_written"


def typed_columns(quantity: Quantity) -> list[Column]:
    """Columns of a quantity: its text, its number, and whether the written number is negative or too large.

    A quantity is judged as it is written and stored rounded. One that must be positive is judged after rounding.
    The rows have the columns `text_of` and `written_column`.
    """
    text, as_written = F.col(text_of(quantity)), F.col(_written_of(quantity))
    value = to_decimal(as_written, quantity.scale)
    negative, excessive = is_negative(as_written, value), exceeds(as_written, value, quantity.most)
    if not quantity.judged:
        return [F.when(~negative & ~excessive, value).alias(quantity.field)]
    if quantity.positive:
        return [text, value.alias(quantity.field)]
    return [
        text,
        value.alias(quantity.field),
        negative.alias(f"_{quantity.field}_negative"),
        excessive.alias(f"_{quantity.field}_excessive"),
    ]


def objections(quantity: Quantity, record_types: RecordTypes) -> dict[str, Column]:
    """The conditions under which one quantity rejects a record, by reason."""
    text, value = F.col(text_of(quantity)), F.col(quantity.field)
    found = {}
    if quantity.required:
        asked = is_one_of(each.name for each in record_types if quantity in each.quantities)
        found[f"missing_{quantity.noun}"] = asked & text.isNull()
    if quantity.judged:
        unreadable = text.isNotNull() & value.isNull()
        negative = F.col(f"_{quantity.field}_negative")
        found[f"invalid_{quantity.noun}"] = unreadable if quantity.positive else unreadable | negative
    if quantity.positive:
        found[f"non_positive_{quantity.noun}"] = value <= 0
    return found


def out_of_range(quantity: Quantity) -> Column:
    """Whether a judged quantity is more than an event can have."""
    return F.col(quantity.field) > quantity.most if quantity.positive else F.col(f"_{quantity.field}_excessive")


def lacks_quantity(record_type: RecordType) -> Column:
    """Whether an event of the type lacks a quantity that it can do without."""
    optional = (quantity.field for quantity in record_type.quantities if not quantity.required)
    return (F.col("record_type") == record_type.name) & any_of(F.col(field).isNull() for field in optional)
