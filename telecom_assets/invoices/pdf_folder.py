"""The PDFs of a period's documents, made on all cores, and kept in a folder until the period is closed.

A PDF costs thirty milliseconds, all else of a document one: whoever was killed while he made ten thousand does not begin anew. The
folder lies beside the set; a PDF has its name from all that it is made from, and from its own bytes:

    invoices/.2026-10.pdfs/<digest of what all are made with>/<first two letters>/<digest of the page>-<SHA-256>.pdf

So what is found is taken for the same page alone, and not where a crash of the machine has torn it. The set has links to these files,
or copies where the file system has no links, and the folder is removed when the period is closed (`remove_made_pdfs`): a close that
fails after its set stands finds them too. Until then it has at most one PDF for each document: documents of a close do not change, and
those that were made with another template, typesetter, logo or font are removed when the next try begins.

The typesetter holds the interpreter while it works, so threads do not help: each core has a process of its own.
"""

import hashlib
import multiprocessing
import os
import shutil
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from telecom_assets.invoices.document import InvoiceError, Issued
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.pdf import Content, PdfWriter

T = TypeVar("T")

#: So many are made before other processes would have started.
_FEW = 32
_AT_A_TIME = 16
_WAITING_FOR_EACH_CORE = 4


class Asked(NamedTuple):
    """One PDF that is asked for: the arguments of `PdfWriter.document`."""

    bill: Mapping[str, Any]
    content: Content
    issued: Issued


class Drawn(NamedTuple):
    """A PDF in the folder: where it lies, its SHA-256, its size in bytes."""

    path: str
    sha256: str
    size: int


def folder_of(directory: Path) -> Path:
    """The folder of the PDFs of a set, beside its directory."""
    return directory.with_name(f".{directory.name}.pdfs")


def remove_made_pdfs(directory: Path) -> None:
    """Remove the folder of the PDFs of a set: nobody makes the set again."""
    shutil.rmtree(folder_of(directory), ignore_errors=True)


class PdfFolder:
    """The folder of the PDFs of one period. `cores`: how many processes make them; None: one for each core."""

    def __init__(self, folder: Path, period: str, issuer: Issuer, cores: int | None = None) -> None:
        self._folder, self._period, self._issuer = folder, period, issuer
        self._cores = cores or _cores()

    def drawn(self, asked: Iterable[tuple[T, Asked]]) -> Iterator[tuple[T, Drawn]]:
        """Everything that came with a page, with its PDF, in the same order; memory does not grow with their number.

        Raises what `PdfWriter.document` raises, and InvoiceError where a process is ended, or the folder is removed meanwhile.
        """
        artist = _Artist(self._folder, self._period, self._issuer)
        self._remove_others(artist.folder.name)
        rest = iter(asked)
        first = list(islice(rest, _FEW + 1))
        if self._cores == 1 or len(first) <= _FEW:
            yield from ((item, artist.draw(each)) for item, each in chain(first, rest))
        else:
            yield from self._by_several(chain(first, rest))

    def _by_several(self, asked: Iterator[tuple[T, Asked]]) -> Iterator[tuple[T, Drawn]]:
        running: deque[tuple[list[T], Future[list[Drawn]]]] = deque()
        context = multiprocessing.get_context("spawn")  # the process that asks has threads of the engine's client
        pool = ProcessPoolExecutor(self._cores, context, _begin, (self._folder, self._period, self._issuer))
        try:
            while some := list(islice(asked, _AT_A_TIME)):
                running.append(([item for item, _ in some], pool.submit(_draw, [each for _, each in some])))
                if len(running) >= self._cores * _WAITING_FOR_EACH_CORE:
                    items, made = running.popleft()
                    yield from zip(items, made.result(), strict=True)
            for items, made in running:
                yield from zip(items, made.result(), strict=True)
        except BrokenProcessPool:
            raise InvoiceError(
                f"{self._period}: a process that makes PDFs was ended by the system (out of memory?); repeat the command: those that "
                "are made are kept"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)

    def _remove_others(self, name: str) -> None:
        """Remove what a former try has made with something else."""
        if self._folder.is_dir():
            for other in self._folder.iterdir():
                if other.name != name:
                    shutil.rmtree(other, ignore_errors=True)


class _Artist:
    """Makes the PDFs of one process, unless they are there."""

    def __init__(self, folder: Path, period: str, issuer: Issuer) -> None:
        self._writer = PdfWriter(period, issuer)
        self.folder = folder / self._writer.made_with[:32]

    def draw(self, asked: Asked) -> Drawn:
        text = self._writer.text(*asked)
        page = hashlib.sha256(text.encode()).hexdigest()
        shard = f"{self.folder}/{page[:2]}"
        os.makedirs(shard, exist_ok=True)  # noqa: PTH103  (pathlib keeps every name it has seen, interned)
        return _kept(shard, page) or _keep(shard, page, self._writer.typeset(text))


def _kept(shard: str, page: str) -> Drawn | None:
    """The PDF of a page, if it is there and whole."""
    for name in os.listdir(shard):  # noqa: PTH208
        if name.startswith(page) and name.endswith(".pdf"):
            path = f"{shard}/{name}"
            with open(path, "rb") as file:  # noqa: PTH123
                content = file.read()
            sha256 = hashlib.sha256(content).hexdigest()
            if name == f"{page}-{sha256}.pdf":
                return Drawn(path, sha256, len(content))
            os.unlink(path)  # noqa: PTH108
    return None


def _keep(shard: str, page: str, pdf: bytes) -> Drawn:
    sha256 = hashlib.sha256(pdf).hexdigest()
    path, begun = f"{shard}/{page}-{sha256}.pdf", f"{shard}/{page}.{os.getpid()}.part"
    with open(begun, "wb") as file:  # noqa: PTH123
        file.write(pdf)
    os.replace(begun, path)  # noqa: PTH105
    return Drawn(path, sha256, len(pdf))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_artist: _Artist


def _begin(folder: Path, period: str, issuer: Issuer) -> None:
    """Begin a process of the pool, which ends with the one that has started it, even where that is killed."""
    global _artist  # noqa: PLW0603  (the one of this process)
    _artist = _Artist(folder, period, issuer)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _draw(some: list[Asked]) -> list[Drawn]:
    return [_artist.draw(each) for each in some]
