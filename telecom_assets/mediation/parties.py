"""Telephone numbers in a DataFrame: from how they are written to E.164 without +.

Belongs here: the rule of `telecom_assets.model.party_numbers` as expressions. Most numbers come in their final form and are found
by one pattern; only the other texts go through the steps.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from telecom_assets.model.party_numbers import CANDIDATE, PARTY, STEPS, SUBSCRIBER, USUAL_PARTY


def party(text: Column) -> Column:
    """The number of a called or receiving party; NULL when no country has such a number."""
    return _number(text, USUAL_PARTY, PARTY)


def subscriber(text: Column) -> Column:
    """The number of a subscriber; NULL when the text is no subscriber's number."""
    return _number(text, SUBSCRIBER, SUBSCRIBER)


def _number(text: Column, usual: str, valid: str) -> Column:
    """The text where it is a usual number, else the normalised number if that is valid; else NULL.

    Nested conditions instead of one long CASE, with the steps written once: work for few rows must not slow the others.
    """
    number = text
    for pattern, after in STEPS:
        number = F.regexp_replace(number, pattern, after)
    found = F.nullif(F.regexp_extract(number, valid, 0), F.lit(""))
    given = F.when(text.rlike(usual), text).otherwise(F.when(text.rlike(CANDIDATE), found))
    return F.when(text.isNotNull(), given)
