"""What every case of the bench gets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.dataset import FLOORS, MONTH, Dataset
from bench.homes import BILLED, EMPTY, LANDED, SETTLED, Homes
from bench.project_runs import Project


@dataclass
class Bench:
    """One bench: the data, the runs of the project on it, and what the cases have found so far.

    `results` is what goes into the file, by case; each case adds its own.
    """

    dataset: Dataset
    project: Project
    repeats: int
    cores: int
    say: Callable[[str], None]
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def homes(self) -> Homes:
        return self.project.homes

    def begin_from(self, state: str) -> None:
        """Restore a state; one that was not saved yet is made first, from the one before it."""
        if not self.homes.has(state):
            self._make(state)
        self.homes.restore(state)

    def _make(self, state: str) -> None:
        self.say(f"making the state {state!r}")
        if state == EMPTY:
            self.homes.clear()
            self.project.telecom("customers", "import", str(self.dataset.customers_file))
        else:
            before, what, upto = {
                LANDED: (EMPTY, "land", MONTH),
                BILLED: (LANDED, "month", MONTH),
                SETTLED: (BILLED, "all", FLOORS),
            }[state]
            self.begin_from(before)
            self.project.run(what, upto)
        self.homes.save(state)
