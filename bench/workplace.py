"""A place to work in: one dataset with its servers up, the project's homes on it, and the states that cases begin from.

Belongs here: which state is made from which other, and opening a dataset when a case first asks for it.
"""

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.dataset import MONTH, QUIET, SMALLEST, Dataset, DataSpec, bench_home, open_dataset, stack_of
from bench.errors import BenchError
from bench.homes import Homes
from bench.project_runs import Project

#: Customers are known, nothing has landed.
EMPTY = "empty"
#: The month is landed; reference data are read.
LANDED = "landed"
#: The month is billed and reported.
BILLED = "billed"
#: Late CDRs of one day have landed in a billed month: those that change no imputed volume; all of them.
QUIET_LANDED, SMALLEST_LANDED = "quiet-landed", "smallest-landed"
#: All that is on the topic is billed and reported: there is nothing to do.
SETTLED = "settled"
#: The month's bills are made, but neither published nor invoiced.
UNPUBLISHED = "unpublished"

#: How a state is made: from which state, by which run, with which parts of the topic.
_MADE_BY = {
    LANDED: (EMPTY, "land", MONTH),
    BILLED: (LANDED, "month", MONTH),
    QUIET_LANDED: (BILLED, "land", QUIET),
    SMALLEST_LANDED: (BILLED, "land", SMALLEST),
    SETTLED: (SMALLEST_LANDED, "month", SMALLEST),
    UNPUBLISHED: (LANDED, "bills", MONTH),
}

_SERVICES = {"sail": ("postgres", "kafka"), "spark": ("postgres", "kafka", "spark")}
ENGINES = tuple(_SERVICES)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Workplace:
    """The project on one dataset and one engine."""

    project: Project
    say: Say

    @property
    def dataset(self) -> Dataset:
        return self.project.dataset

    @property
    def homes(self) -> Homes:
        return self.project.homes

    def begin_from(self, state: str) -> None:
        """Restore a state. A state that was not saved by the current code is made first, from the state before it."""
        if not self.homes.has(state):
            self.say(f"making the state {state!r}")
            if state == EMPTY:
                self.homes.clear()
                self.project.telecom("customers", "import", str(self.dataset.customers_file))
            else:
                before, what, upto = _MADE_BY[state]
                self.begin_from(before)
                self.project.run(what, upto)
            self.homes.save(state)
        self.homes.restore(state)


@dataclass
class Workplaces:
    """Opens workplaces and, when it is left, stops the servers that it has started."""

    engine: str
    say: Say
    memory_limit: int | None = None
    keep_up: bool = False
    _open: dict[str, Workplace] = field(default_factory=dict)
    _closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> "Workplaces":
        return self

    def __exit__(self, *_failure: object) -> None:
        self._closing.close()

    def at(self, spec: DataSpec) -> Workplace:
        """The workplace of a dataset. Raises BenchError when another bench is at work there."""
        if spec.key not in self._open:
            self._closing.enter_context(_locked(spec))
            if not self.keep_up:
                self._closing.callback(stack_of(bench_home() / spec.key).down, self.say)
            dataset = open_dataset(spec, _SERVICES[self.engine], self.say)
            project = Project(Homes(dataset, self.engine), self.memory_limit)
            self._open[spec.key] = Workplace(project, self.say)
        return self._open[spec.key]


@contextlib.contextmanager
def _locked(spec: DataSpec) -> Iterator[None]:
    folder = bench_home() / spec.key
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(f"another bench is at work on {spec.key}; wait for it") from None
        yield
