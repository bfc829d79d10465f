"""PDFs of many bills on several cores, in the order in which they were asked for.

The typesetter holds the interpreter while it works, so threads do not help: each core has a process of its own. What is asked for and
what is made stay few, whatever the number of bills.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from telecom_assets.invoices.document import Issued
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.pdf import Content, PdfWriter

_AT_A_TIME = 16
_WAITING_FOR_EACH_CORE = 4


class Asked(NamedTuple):
    """One PDF that is asked for: the arguments of `PdfWriter.document`."""

    bill: Mapping[str, Any]
    content: Content
    issued: Issued | None = None


def pdfs(asked: Iterable[Asked], period: str, issuer: Issuer, cores: int | None = None) -> Iterator[bytes]:
    """The PDFs of a period's documents, in their order; memory does not grow with their number.

    cores: how many processes; None: one for each core. Raises what `PdfWriter.document` raises.
    """
    rest = iter(asked)
    cores = cores or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores or os.cpu_count() or 1
    if cores == 1:
        writer = PdfWriter(period, issuer)
        yield from (writer.document(*each) for each in rest)
        return
    running: deque[Future[list[bytes]]] = deque()
    context = multiprocessing.get_context("spawn")  # the process that asks has threads of the engine's client
    with ProcessPoolExecutor(cores, context, _begin, (period, issuer)) as pool:
        while some := list(islice(rest, _AT_A_TIME)):
            running.append(pool.submit(_make, some))
            if len(running) >= cores * _WAITING_FOR_EACH_CORE:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()


_writer: PdfWriter


def _begin(period: str, issuer: Issuer) -> None:
    global _writer  # noqa: PLW0603  (the writer of this process)
    _writer = PdfWriter(period, issuer)


def _make(some: list[Asked]) -> list[bytes]:
    return [_writer.document(*each) for each in some]
