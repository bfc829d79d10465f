"""The verdict on an identity: whether it holds, what is wrong, what differs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from resources.expected_errors import ExpectedError

SHOWN = 5
#: How many questions are asked at once: each is one query or two, and no single query can fill all cores.
_AT_ONCE = 4
_Answer = TypeVar("_Answer")


class ConservationError(ExpectedError):
    """An identity between two stages does not hold; nothing was written."""


@dataclass(frozen=True)
class Verdict:
    """Whether an identity holds: what is wrong, one line each, and the figures that were compared.

    identity: an equation (raw = cleaned + rejected), or a statement (the month 2026-11 is over). `otherwise` is the statement
    that is true when the identity does not hold, so that people read a sentence in both cases.
    differs: rows of a table, one for each thing that differs (a day, a customer, a partition of the topic).
    failed: the days or billing periods for which the identity does not hold; None where the verdict is on a whole table.
    """

    identity: str
    findings: Sequence[str]
    figures: Mapping[str, Any] = field(default_factory=dict)
    differs: Sequence[Mapping[str, Any]] = ()
    failed: frozenset[Any] | None = None
    otherwise: str | None = None

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def summary(self) -> str:
        if self.passed:
            return self.identity if self.otherwise else f"{self.identity} holds"
        more = len(self.findings) - SHOWN
        shown = "; ".join(self.findings[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return f"{self.otherwise or f'{self.identity} does not hold'}: {shown}"


def asked(questions: Iterable[Callable[[], _Answer]]) -> list[_Answer]:
    """Ask some questions at once; returns the answers in the order of the questions. Raises the error of the first that failed."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [answer.result() for answer in [pool.submit(question) for question in questions]]


def require(*verdicts: Verdict, before: str) -> None:
    """Raise ConservationError that names every identity that does not hold."""
    failed = [verdict.summary for verdict in verdicts if not verdict.passed]
    if failed:
        raise ConservationError(f"{before} is refused: " + ". Also: ".join(failed))


def together(
    identity: str, by_period: Mapping[str, Verdict], figures: Mapping[str, Any], otherwise: str | None = None
) -> Verdict:
    """The verdicts of several billing periods as one; a row of what differs names its period."""
    return Verdict(
        identity,
        [finding for verdict in by_period.values() for finding in verdict.findings],
        figures,
        [{"billing_period": period, **row} for period, verdict in by_period.items() for row in verdict.differs],
        frozenset(period for period, verdict in by_period.items() if not verdict.passed),
        otherwise,
    )
