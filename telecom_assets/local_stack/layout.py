"""The files of the local stack in the home folder, and the values that it keeps between starts.

Belongs here: paths, private files, the lock, credentials and ports. Does not belong here: processes
(`processes`) and the content of a server's folder (`postgres`, `kafka`, `spark`).

    stack.json                 addresses of the servers, for the rest of the project (`resources.stack_state`)
    logs/<service>.log         output of the server
    run/<service>.json         its process: pid and start time
    run/lock                   held while servers are started or stopped
    services/kept.json         credentials and ports, made once
    services/<service>/        its data and configuration
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from telecom_assets.local_stack.errors import LocalStackError

_PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Layout:
    """The paths of one home folder."""

    home: Path

    @property
    def state_file(self) -> Path:
        return self.home / "stack.json"

    @property
    def kept_file(self) -> Path:
        return self.home / "services" / "kept.json"

    def data(self, service: str) -> Path:
        return self.home / "services" / service

    def log(self, service: str) -> Path:
        return self.home / "logs" / f"{service}.log"

    def process_file(self, service: str) -> Path:
        return self.home / "run" / f"{service}.json"

    def create(self) -> None:
        """Make the folders; a home that did not exist yet is closed to other users. Raises LocalStackError."""
        try:
            self.home.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.home.mkdir(mode=0o700)
            for folder in ("logs", "run", "services"):
                (self.home / folder).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise LocalStackError(
                f"{self.home}: cannot be used as the home folder ({error.strerror}); "
                "set TELECOM_HOME to a writable folder"
            ) from error

    @contextlib.contextmanager
    def locked(self, report: Callable[[str], None]) -> Iterator[None]:
        """Hold the home's lock: one start or stop at a time, over all processes."""
        path = self.home / "run" / "lock"
        try:
            file = path.open("w")
        except OSError as error:
            raise LocalStackError(
                f"{path}: cannot be written ({error.strerror}); the stack belongs to the user who started it"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("another `telecom up` or `telecom down` is at work in this home; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Kept:
    """Credentials and ports, made once and kept over restarts in a file that only its owner reads.

    Call `load()` first; making new entries needs the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, str | int] = {}

    def load(self) -> None:
        """Read the file; a missing one is empty. Raises LocalStackError when it is damaged."""
        try:
            self._entries = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._entries = {}
        except PermissionError:
            raise LocalStackError(f"{self.path}: belongs to another user; act as who started the stack") from None
        except (OSError, ValueError) as error:
            raise LocalStackError(
                f"{self.path}: cannot be read ({error}); it holds the servers' passwords: "
                f"restore it, or run `telecom down` and delete {self.path.parent} to begin anew without the data"
            ) from error

    def knows(self, service: str) -> bool:
        """Whether the service was ever prepared."""
        return f"{service}_port" in self._entries

    def value(self, name: str) -> str:
        """An entry that was made earlier."""
        return str(self._entries[name])

    def port(self, name: str) -> int:
        """A port that was chosen earlier."""
        return int(self._entries[name])

    def make(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(_PASSWORD_BYTES)) -> None:
        """Make an entry (a password unless told otherwise) unless there is one."""
        if name not in self._entries:
            self._entries[name] = make()
            self._save()

    def choose_port(self, name: str) -> None:
        """Keep the port of the last start when it is free, else choose another."""
        taken = {value for key, value in self._entries.items() if key != name and isinstance(value, int)}
        port = self._entries.get(name)
        if isinstance(port, int) and port not in taken and _is_free(port):
            return
        self._entries[name] = _free_port(taken)
        self._save()

    def _save(self) -> None:
        write_private(self.path, json.dumps(self._entries, indent=1))


def write_private(path: Path, text: str, owner: int | None = None) -> None:
    """Write a file that only its owner can read, whole or not at all. The caller holds the home's lock."""
    for left in path.parent.glob(f".{path.name}.????????"):  # left by a killed process; it may hold a password
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if owner is not None:
            os.chown(part, owner, -1)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT counts as free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(taken: set[int]) -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
