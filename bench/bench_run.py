"""The object that every case of the bench gets: options, workplaces, results."""

from dataclasses import dataclass, field
from typing import Any

from bench.dataset import DataSpec
from bench.workplace import Say, Workplace, Workplaces


@dataclass(frozen=True)
class Options:
    """The options of a bench. bills, invoices, commits: the sizes of the cases `publish`, `invoices` and `old-table`."""

    spec: DataSpec
    engine: str
    repeats: int
    cores: int
    bills: int
    invoices: int
    commits: int


@dataclass
class Bench:
    """One bench: its options, its workplaces, and the results of the cases so far.

    `results` goes into the result file: each case adds its own by its name.
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
        """The workplace of the month in the options."""
        return self.workplaces.at(self.options.spec)

    def repetitions(self) -> range:
        return range(1, self.options.repeats + 1)

    def say_repetition(self, what: str, number: int, found: str) -> None:
        """Print the finding of one repetition."""
        self.say(f"{what}, {number} of {self.options.repeats}: {found}")
