"""What every case of the bench gets."""

from dataclasses import dataclass, field
from typing import Any

from bench.dataset import DataSpec
from bench.workplace import Say, Workplace, Workplaces


@dataclass(frozen=True)
class Options:
    """What was asked for. bills, invoices, commits: the sizes of the cases `publish`, `invoices` and `old-table`."""

    spec: DataSpec
    engine: str
    repeats: int
    cores: int
    bills: int
    invoices: int
    commits: int


@dataclass
class Bench:
    """One bench: what was asked for, where to work, and what the cases have found so far.

    `results` is what goes into the file, by case; each case adds its own.
    """

    options: Options
    workplaces: Workplaces
    say: Say
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def cores(self) -> int:
        return self.options.cores

    @property
    def workplace(self) -> Workplace:
        """On the month that was asked for."""
        return self.workplaces.at(self.options.spec)

    def repetitions(self) -> range:
        return range(1, self.options.repeats + 1)

    def say_repetition(self, what: str, number: int, found: str) -> None:
        """Say what one repetition found."""
        self.say(f"{what}, {number} of {self.options.repeats}: {found}")
