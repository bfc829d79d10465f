"""PDFs of many bills: in order, on several cores, made once; the processes end with the one that has started them."""

import datetime as dt
import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from telecom_assets.invoices import pdf_folder
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.pdf import PdfWriter
from telecom_assets.invoices.pdf_folder import Asked, PdfFolder
from telecom_assets_tests.invoices.test_pdf import issued, made
from telecom_assets_tests.reports.bills import PERIOD

FEW = 3
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'


def asked(count: int) -> Iterator[tuple[int, Asked]]:
    row, content = made()
    for number in range(count):
        yield number, Asked({**row, "customer_name": f"Name {number}"}, content, issued(content))


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    (tmp_path / "logo.svg").write_text(LOGO)
    return Issuer(name="A", logo=tmp_path / "logo.svg")


def test_they_are_those_of_the_writer_in_the_order_asked(tmp_path: Path, issuer: Issuer) -> None:
    writer, folder = PdfWriter(PERIOD, issuer), tmp_path / "pdfs"
    pdfs = PdfFolder(folder, PERIOD, issuer)
    drawn = list(pdfs.drawn(asked(FEW)))
    assert [number for number, _ in drawn] == list(range(FEW))
    for (_, each), (_, page) in zip(drawn, asked(FEW), strict=True):
        content = Path(each.path).read_bytes()
        assert content == writer.document(*page)
        assert (each.sha256, each.size) == (hashlib.sha256(content).hexdigest(), len(content))


def test_what_is_there_and_whole_is_not_made_again(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is torn, as after a crash of the machine; another issue date makes another page; another logo removes all."""
    pdfs, typeset = PdfFolder(tmp_path / "pdfs", PERIOD, issuer), PdfWriter.typeset
    drawn = [each for _, each in pdfs.drawn(asked(FEW))]
    Path(drawn[1].path).write_bytes(b"%PDF")
    pages: list[str] = []

    def counted(writer: PdfWriter, text: str) -> bytes:
        pages.append(text)
        return typeset(writer, text)

    monkeypatch.setattr(PdfWriter, "typeset", counted)
    assert [each for _, each in pdfs.drawn(asked(FEW))] == drawn
    assert ["Name 1" in page for page in pages] == [True]
    later = (
        (number, each._replace(issued=replace(each.issued, issue_date=dt.date(2025, 6, 2))))
        for number, each in asked(1)
    )
    (other,) = [each for _, each in pdfs.drawn(later)]
    assert other not in drawn and len(pages) == 2
    (tmp_path / "logo.svg").write_text(LOGO.replace("9", "8"))
    assert len([each for _, each in PdfFolder(tmp_path / "pdfs", PERIOD, issuer).drawn(asked(FEW))]) == FEW
    assert len(pages) == 2 + FEW
    assert len(list((tmp_path / "pdfs").rglob("*.pdf"))) == FEW, "what was made with the former logo is gone"


@pytest.mark.processes
def test_several_processes_make_the_same_and_end_with_the_one_that_started_them(tmp_path: Path, issuer: Issuer) -> None:
    """The first is killed in the middle; what its processes had made is taken by the second, which makes the rest by itself."""
    folder, count = tmp_path / "pdfs", 12
    started, told = multiprocessing.Pipe(duplex=False)
    killed = multiprocessing.get_context("spawn").Process(target=_draw_and_wait, args=(folder, issuer, count, told))
    killed.start()
    assert started.poll(60), "two processes make PDFs"
    children = started.recv()
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    ended = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < ended:
        time.sleep(0.05)
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
    there = set(folder.rglob("*.pdf"))
    assert len(there) > 0
    drawn = [each for _, each in PdfFolder(folder, PERIOD, issuer, cores=1).drawn(asked(count))]
    assert len({each.path for each in drawn}) == count
    assert {str(path) for path in there} <= {each.path for each in drawn}


def _draw_and_wait(folder: Path, issuer: Issuer, count: int, told: "multiprocessing.connection.Connection") -> None:
    vars(pdf_folder).update(_FEW=FEW, _AT_A_TIME=1)
    drawn = PdfFolder(folder, PERIOD, issuer, cores=2).drawn(asked(count))
    list(islice(drawn, 4))
    told.send([child.pid for child in multiprocessing.active_children()])
    time.sleep(120)
