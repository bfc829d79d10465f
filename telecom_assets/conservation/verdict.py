"""What is said of an identity: whether it holds, what is wrong, what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 5


class ConservationError(Exception):
    """An identity between two stages does not hold; nothing was written."""


@dataclass(frozen=True)
class Verdict:
    """Whether an identity holds: what is wrong, one line each, and the figures that were compared.

    differs: what differs as rows of a table, one for each thing that does (a day, a customer, a partition of the topic).
    failed: the days or billing periods that do not hold; None where the verdict is of the table as a whole.
    """

    identity: str
    findings: Sequence[str]
    figures: Mapping[str, Any] = field(default_factory=dict)
    differs: Sequence[Mapping[str, Any]] = ()
    failed: frozenset[Any] | None = None

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def summary(self) -> str:
        if self.passed:
            return f"{self.identity}: holds"
        more = len(self.findings) - SHOWN
        shown = "; ".join(self.findings[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return f"{self.identity}: does not hold: {shown}"


def require(*verdicts: Verdict, before: str) -> None:
    """Raise ConservationError with every identity that does not hold."""
    failed = [verdict.summary for verdict in verdicts if not verdict.passed]
    if failed:
        raise ConservationError(f"{before} refused. " + ". ".join(failed))


def together(identity: str, by_period: Mapping[str, Verdict], figures: Mapping[str, Any]) -> Verdict:
    """The verdicts of several billing periods as one; a row of what differs names its period."""
    return Verdict(
        identity,
        [finding for verdict in by_period.values() for finding in verdict.findings],
        figures,
        [{"billing_period": period, **row} for period, verdict in by_period.items() for row in verdict.differs],
        frozenset(period for period, verdict in by_period.items() if not verdict.passed),
    )
