"""The PDF of a customer's bill, from the tables: a draft, then the document with its number; the same figures."""

import io
from pathlib import Path

import pytest
from pypdf import PdfReader

from resources.engine import SparkEngine
from telecom_assets.closing.as_ubl import NotClosed, documents_as_ubl
from telecom_assets.closing.closing import close
from telecom_assets.closing.preview import NoDocument, documents_shown
from telecom_assets.invoices.issuer import Issuer
from telecom_assets_tests.closing.months import ISSUED, MONTH, approved, billed, books, rated


def test_a_bill_is_shown_as_a_draft_and_with_its_number(tmp_path: Path, sail: SparkEngine, postgres_dsn: str) -> None:
    """2126: 0.999999 + 0.135000 on the 15th; 1.00 + 0.14 = 1.14; due 1.30. 2127 has a bill of 0.00."""
    of = books(tmp_path, sail, postgres_dsn)
    rated(of)
    billed(of)
    (draft,) = documents_shown(of.warehouse, Issuer(), MONTH, "2126")
    assert (draft.document, draft.number) == ("bill", None)
    first, second = (page.extract_text() for page in PdfReader(io.BytesIO(draft.pdf)).pages)
    assert "DRAFT" in first and "1.30 MAD" in first and "Name of 2126" in first
    assert "1.134999" in second
    with pytest.raises(NotClosed, match=f"{MONTH} is not closed, and only a document with a number can be UBL"):
        documents_as_ubl(of.warehouse, Issuer(), MONTH, "2126")
    approved(of)
    close(of, MONTH, by="Ben", today=ISSUED)
    (issued,) = documents_shown(of.warehouse, Issuer(), MONTH, "2126")
    first, second = (page.extract_text() for page in PdfReader(io.BytesIO(issued.pdf)).pages)
    assert issued.number == "INV-2026-000001"
    assert "INV-2026-000001" in first and "3 December 2026" in first.replace("\u00a0", " ") and "DRAFT" not in first
    assert documents_shown(of.warehouse, Issuer(), MONTH, "2126") == [issued]
    (nothing,) = documents_shown(of.warehouse, Issuer(), MONTH, "2127")
    (page,) = (page.extract_text() for page in PdfReader(io.BytesIO(nothing.pdf)).pages)
    assert nothing.number == "INV-2026-000002" and "Nothing to pay" in page
    (ubl,) = documents_as_ubl(of.warehouse, Issuer(), MONTH, "2126")
    assert ubl.number == "INV-2026-000001" and "no tax number" in str(ubl.beyond)
    assert b'<cbc:PayableAmount currencyID="MAD">1.30</cbc:PayableAmount>' in ubl.ubl
    assert b"No usage" in documents_as_ubl(of.warehouse, Issuer(), MONTH, "2127")[0].ubl
    with pytest.raises(NoDocument, match=r"customer '2128' \(holder 1\) has no bill"):
        documents_shown(of.warehouse, Issuer(), MONTH, "2128")
