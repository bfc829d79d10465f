"""Small queries at once: each is one or two that cannot fill all cores by itself."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 4
_Answer = TypeVar("_Answer")


def side_by_side(questions: Iterable[Callable[[], _Answer]]) -> list[_Answer]:
    """The answers in the order of the questions. Raises what the first that failed did."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [asked.result() for asked in [pool.submit(question) for question in questions]]
