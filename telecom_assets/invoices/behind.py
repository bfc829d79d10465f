"""Writing the files of a set in a second thread, while the first makes the next ones."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from telecom_assets.invoices.document import InvoiceError

_FILES_AT_A_TIME = 500


class BehindWriter:
    """Writes files in a second thread; holds few at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._collected: list[tuple[str, bytes]] = []
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None

    def __enter__(self) -> "BehindWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            if kind is None:
                self._pass_on()
                self._wait()

    def write(self, name: str, content: bytes) -> None:
        """Write a new file, soon. An error is raised by a later call or at the end of the block."""
        self._collected.append((name, content))
        if len(self._collected) >= _FILES_AT_A_TIME:
            self._pass_on()

    def _pass_on(self) -> None:
        self._wait()
        self._running = self._pool.submit(_write_files, self._directory, self._collected)
        self._collected = []

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()


def _write_files(directory: Path, files: list[tuple[str, bytes]]) -> None:
    """Names relative to an open directory: pathlib keeps every name it has seen (interned), which is not flat."""
    parent = os.open(directory, os.O_RDONLY)
    try:
        for name, content in files:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except FileExistsError as error:
        raise InvoiceError(f"{error.filename}: two customers have this file name on this file system") from None
    finally:
        os.close(parent)
