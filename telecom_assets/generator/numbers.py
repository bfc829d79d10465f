"""Telephone numbers: Moroccan mobiles, foreign numbers, and what is neither. E.164 without +.

Belongs here: which numbers the input contract calls valid, and drawing them. Does not belong here: who has them.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: 212, then 6 or 7, then 8 digits.
FIRST_MOROCCAN = 212_600_000_000
MOROCCAN_NUMBERS = 2 * 10**8

#: Prefix, digits after it, relative traffic from Morocco.
FOREIGN = (
    ("1", 10, 6),
    ("33", 9, 34),
    ("44", 10, 7),
    ("49", 11, 7),
    ("34", 9, 20),
    ("39", 10, 11),
    ("7", 10, 2),
    ("81", 10, 1),
    ("971", 9, 7),
    ("966", 9, 5),
)
_PREFIX = np.array([int(prefix) * 10**digits for prefix, digits, _ in FOREIGN], dtype=np.int64)
# The digits after the prefix begin with 2 to 9: a national number does not begin with a trunk prefix.
_LOWEST = np.array([2 * 10 ** (digits - 1) for _, digits, _ in FOREIGN], dtype=np.int64)
_HIGHEST = np.array([10**digits for _, digits, _ in FOREIGN], dtype=np.int64)
_SHARE = np.cumsum([weight for *_, weight in FOREIGN]) / sum(weight for *_, weight in FOREIGN)

_RANDOM_CHARACTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", dtype=np.uint8)
_RANDOM_LENGTH = 12

Int64Array = npt.NDArray[np.int64]


def moroccan_numbers(rng: np.random.Generator, size: int) -> Int64Array:
    """Valid Moroccan mobile numbers, any of them."""
    return FIRST_MOROCCAN + rng.integers(0, MOROCCAN_NUMBERS, size=size)


def unique_moroccan_numbers(rng: np.random.Generator, size: int) -> Int64Array:
    """That many different Moroccan mobile numbers, ascending."""
    found = np.empty(0, dtype=np.int64)
    while found.size < size:
        found = np.unique(np.concatenate([found, moroccan_numbers(rng, size - found.size + 16)]))
    return np.sort(rng.choice(found, size=size, replace=False))


def foreign_numbers(rng: np.random.Generator, size: int) -> Int64Array:
    """Valid foreign numbers, in the countries that Moroccans call most."""
    country = np.searchsorted(_SHARE, rng.random(size), side="right")
    return _PREFIX[country] + rng.integers(_LOWEST[country], _HIGHEST[country])


def random_characters(rng: np.random.Generator, size: int) -> pa.Array:
    """Texts of 12 letters and digits in double quotes, as JSON has them."""
    text = np.full((size, _RANDOM_LENGTH + 2), ord('"'), dtype=np.uint8)
    text[:, 1:-1] = _RANDOM_CHARACTERS[rng.integers(0, _RANDOM_CHARACTERS.size, size=(size, _RANDOM_LENGTH))]
    return fixed_width_text(text)


def fixed_width_text(characters: npt.NDArray[np.uint8]) -> pa.Array:
    """A string array of the rows of a matrix of ASCII characters, without a copy."""
    rows, width = characters.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(characters)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data))
