"""The interface of a server of the local stack; `stack` uses servers through it alone."""

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import Signals
from typing import ClassVar

from pydantic import BaseModel

from telecom_assets.local_stack.layout import Kept, Layout
from telecom_assets.local_stack.processes import Command, ServerProcess, roll_log, run_tool, tail

Report = Callable[[str], None]


class NotReady(Exception):
    """The server does not answer yet; the text says why."""


class Service(ABC):
    """One server: how it is prepared, started, asked and ended."""

    name: ClassVar[str]
    title: ClassVar[str]
    packages: ClassVar[Sequence[str]]
    """What it is started with of the extra `local`."""
    ready_seconds: ClassVar[float]
    """How long it may take to answer. Generous: a server that fails ends at once, this is for a slow machine."""
    stop_signals: ClassVar[Sequence[tuple[Signals, float]]]
    """Signals that end it, each with its seconds of grace, the orderly one first."""

    def __init__(self, layout: Layout, kept: Kept) -> None:
        self.layout = layout
        self.kept = kept
        self.folder: Path = layout.data(self.name)
        self.log: Path = layout.log(self.name)
        self.record: Path = layout.process_file(self.name)

    @property
    def port(self) -> int:
        return self.kept.port(f"{self.name}_port")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def helper_records(self) -> list[Path]:
        """The record files of the server's further processes, last started first, those of an earlier start included."""
        return sorted(self.record.parent.glob(f"{self.name}-*.json"), reverse=True)

    def processes(self) -> list[ServerProcess]:
        """The server's recorded processes that are alive: the one that answers, then its helpers."""
        known = (ServerProcess.read(record) for record in (self.record, *self.helper_records()))
        return [process for process in known if process is not None and process.alive()]

    def prepare_folder(self) -> None:
        """The part of `prepare` that is the same for all servers."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        roll_log(self.log)
        self.kept.choose_port(f"{self.name}_port")

    @abstractmethod
    def prepare(self, report: Report) -> None:
        """Prepare a start, in the caller's thread: check and fetch programs, make credentials, choose ports."""

    @abstractmethod
    def launch(self, cancel: threading.Event) -> ServerProcess:
        """Start the server on its data, which are made at the first start."""

    @abstractmethod
    def ask(self) -> None:
        """Talk to the server in its own protocol. Raises NotReady when it does not answer."""

    @abstractmethod
    def furnish(self) -> None:
        """Make the databases or topics that users of the server expect, unless they exist."""

    @abstractmethod
    def entry(self) -> BaseModel:
        """The server's part of stack.json."""

    def last_words(self, since: int = 0) -> str:
        """The end of the server's log after a mark, for an error message."""
        return tail(self.log, since)

    def run_tool(self, command: Command, cancel: threading.Event) -> None:
        """Run one of the server's own tools; its output goes to the server's log."""
        run_tool(command, self.log, cancel)

    def check_port_answers(self) -> None:
        """Raise NotReady when nothing listens on the port; so the clients' own slow retries are avoided."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError as error:
            raise NotReady(f"nothing listens at {self.address}") from error
