"""Real processes that do one thing to a warehouse, and may be stopped and killed at it.

Belongs here: starting such a process cheaply, halting it at a named place, signals, its answer. Does not belong here: what
it does (`work`).

A server process that has imported everything, and started nothing (no engine, no client, no thread), forks one process for
each thing to do: that takes a hundredth of a second, where Python and its imports take seconds.
"""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["telecom_assets_tests.faults.work"])

#: Seconds that a process may take before the test fails. On a busy machine.
PATIENCE = 120.0

#: Where a process halts until it is told to go on.
Halt = Callable[[str], None]


class WentWrong(Exception):
    """The process ended with an error. `kind` is the name of its class."""

    def __init__(self, kind: str, said: str, trace: str) -> None:
        super().__init__(f"{kind}: {said}\n{trace}")
        self.kind, self.said = kind, said


class Died(Exception):
    """The process ended without an answer: it was killed, or crashed."""


class Running:
    """One process at its work: `work(halt, *arguments)`."""

    def __init__(self, work: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self._ours, theirs = _forks.Pipe()
        self._process = _forks.Process(target=_carry_out, args=(theirs, work, arguments, options), daemon=True)
        self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._kept: tuple[Any, ...] | None = None

    def halted(self, place: str) -> None:
        """Wait until it halts at a place."""
        found = self._said()
        assert found == ("at", place), found

    def halted_or_done(self, place: str) -> bool:
        """Wait until it halts at a place, or has its answer; whether it halts."""
        self._kept = self._said()
        if self._kept != ("at", place):
            return False
        self._kept = None
        return True

    def goes_on(self) -> None:
        """Let it go on from where it halts."""
        self._ours.send("go on")

    def answer(self) -> Any:
        """What it returns. Raises WentWrong, or Died."""
        said = self._said()
        assert said[0] in ("done", "failed"), f"expected an answer: {said}"
        self._process.join(PATIENCE)
        if said[0] == "failed":
            raise WentWrong(*said[1:])
        return said[1]

    def kill(self) -> None:
        """SIGKILL; returns when it has ended."""
        self.signal(signal.SIGKILL)
        self._process.join(PATIENCE)
        assert self._process.exitcode is not None

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self, within: float) -> bool:
        """Whether it ends, or says something, within so many seconds."""
        return self._ours.poll(within)

    def _said(self) -> tuple[Any, ...]:
        if self._kept is not None:
            said, self._kept = self._kept, None
            return said
        if not self._ours.poll(PATIENCE):
            self.kill()
            raise AssertionError(f"process {self.pid} has said nothing for {PATIENCE} s")
        try:
            said = tuple(self._ours.recv())
        except (EOFError, ConnectionResetError):
            self._process.join(PATIENCE)
            raise Died(f"process {self.pid} ended with {self._process.exitcode}") from None
        return said


def barrier(parties: int) -> Any:
    """A place at which processes wait for each other."""
    return _forks.Barrier(parties, timeout=PATIENCE)


def _carry_out(theirs: Connection, work: Callable[..., Any], arguments: Any, options: Any) -> None:
    def halt(place: str) -> None:
        theirs.send(("at", place))
        theirs.recv()

    try:
        said: tuple[Any, ...] = ("done", work(halt, *arguments, **options))
    except BaseException as error:
        said = ("failed", type(error).__name__, str(error), traceback.format_exc())
    theirs.send(said)
