"""Telephone numbers in a DataFrame: from how they are written to E.164 without +.

Belongs here: the rule of `telecom_assets.model.party_numbers` as expressions. Most numbers come in their final form: one look at
the text finds those, and only what is left goes through the steps.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from telecom_assets.model.party_numbers import CANDIDATE, PARTY, STEPS, SUBSCRIBER, USUAL_PARTY


def party(text: Column) -> Column:
    """The number of a called or receiving party, NULL when the text is none that can be somewhere."""
    return _number(text, USUAL_PARTY, PARTY)


def subscriber(text: Column) -> Column:
    """The number of a subscriber, NULL when the text is none."""
    return _number(text, SUBSCRIBER, SUBSCRIBER)


def _number(text: Column, usual: str, valid: str) -> Column:
    """The text where it is a usual number, else what its steps make of it, if that is a valid one.

    Nested, not one long CASE, and the steps stand there once: what is asked of few rows should cost the others nothing.
    """
    number = text
    for pattern, after in STEPS:
        number = F.regexp_replace(number, pattern, after)
    found = F.nullif(F.regexp_extract(number, valid, 0), F.lit(""))
    given = F.when(text.rlike(usual), text).otherwise(F.when(text.rlike(CANDIDATE), found))
    return F.when(text.isNotNull(), given)
