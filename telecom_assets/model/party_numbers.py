"""Telephone numbers as people and switches write them, brought to one form: E.164 without +.

Belongs here: the rule, as the regular expressions of its steps, for the engines (`telecom_assets.mediation.parties`) and for Python
alike; which numbers are a Moroccan party's, a foreign one's, a subscriber's. Does not belong here: what an event with such
a party is (`telecom_assets.mediation.rules`).
"""

import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from telecom_assets.model.calling_codes import CALLING_CODES

#: Characters that people put between digits: blanks (no-break ones too), parentheses, points, hyphens.
_BETWEEN = " \t\u00a0\u202f().-"
#: The steps from a text to a number, in their order: pattern and replacement. Nine digits that begin with 5 to 8 are a
#: Moroccan number only where no prefix says otherwise: +61… is Australian.
STEPS = (
    (f"[{_BETWEEN}]", ""),
    (r"\A([5-8][0-9]{8})\z", "212$1"),
    (r"\A(?:\+|00)", ""),
    (r"\A0([0-9]{9})\z", "212$1"),
)
MOROCCO = "212"

#: Texts that may become a number at all.
CANDIDATE = rf"\A[0-9+{_BETWEEN}]*\z"

#: Morocco mobile, and the foreign numbers that subscribe: calling code and the count of digits after it.
MOBILE = "212[67][0-9]{8}"
_FOREIGN = {"1": 10, "33": 9, "44": 10, "49": 11, "34": 9, "39": 10, "7": 10, "81": 10, "971": 9, "966": 9}
_FOREIGN_NUMBER = "|".join(f"{code}[0-9]{{{digits}}}" for code, digits in _FOREIGN.items())
SUBSCRIBER = rf"\A(?:{MOBILE}|{_FOREIGN_NUMBER})\z"
#: The form of most parties, which no step changes: a shortcut, since each is a PARTY.
USUAL_PARTY = rf"\A(?:212[0-9]{{9}}|{_FOREIGN_NUMBER})\z"


def _digits(lengths: tuple[int, ...]) -> str:
    """A pattern of as many digits as one of the lengths."""
    runs: list[list[int]] = []
    for length in lengths:
        if runs and length == runs[-1][1] + 1:
            runs[-1][1] = length
        else:
            runs.append([length, length])
    return "|".join(f"[0-9]{{{first},{last}}}" for first, last in runs)


def _tree(endings: Mapping[str, str]) -> str:
    """A pattern of each key followed by its value, that looks at every digit once. No key begins another."""
    if "" in endings:
        return endings[""]
    branches: dict[str, dict[str, str]] = {}
    for key, value in endings.items():
        branches.setdefault(key[0], {})[key[1:]] = value
    first_digits: dict[str, str] = {}
    for digit, rest in sorted(branches.items()):
        pattern = _tree(rest)
        first_digits[pattern] = first_digits.get(pattern, "") + digit
    return "|".join(f"[{digits}](?:{pattern})" for pattern, digits in first_digits.items())


#: A party in some country: a Moroccan number, or one with a possible length for its calling code.
PARTY = r"\A(?:" + _tree({code: _digits(lengths) for code, lengths in CALLING_CODES.items()}) + r")\z"
_IN_PYTHON = [(re.compile(pattern.replace(r"\z", r"\Z")), after.replace("$1", r"\1")) for pattern, after in STEPS]
_FINAL = re.compile("[0-9]+")
#: Texts that no step changes.
_SURELY_FINAL = "^[1-9][0-9]{9,}$"


def normalised(text: str) -> str:
    """The number in its one form; a text that is no number stays as it is."""
    number = text
    for pattern, after in _IN_PYTHON:
        number = pattern.sub(after, number)
    return number if _FINAL.fullmatch(number) else text


def with_normalised(table: pa.Table, column: str) -> pa.Table:
    """The table with the numbers of a text column in their one form."""
    texts = table[column].combine_chunks()
    others = pc.fill_null(pc.invert(pc.match_substring_regex(texts, _SURELY_FINAL)), False)
    changed = pa.array([normalised(text) for text in texts.filter(others).to_pylist()], texts.type)
    numbers = pc.replace_with_mask(texts, others, changed)
    return table.set_column(table.schema.get_field_index(column), table.schema.field(column), numbers)
