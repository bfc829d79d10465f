"""The PDF of a bill: its figures are on the page and add up, in two languages, as a draft or issued, whatever a name holds."""

import datetime as dt
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from pypdf import PdfReader

from telecom_assets.invoices.document import InvoiceError, Issued
from telecom_assets.invoices.issuer import BankAccount, Issuer
from telecom_assets.invoices.pdf import Content, PdfWriter
from telecom_assets.invoices.wording import Wording
from telecom_assets_tests.reports.bills import PERIOD, bill

D = Decimal
IBAN = "FR1420041010050500013M02606"


def line(number: int, service: str, amount: str, **others: Any) -> dict[str, Any]:
    sound = {
        "kind": "usage", "line_kind": None, "rate_plan_id": "PLAN_A", "region": "Rabat-Salé-Kénitra", "tax_category": "S",
        "tax_pct": D(20), "discount_pct": D(5), "original_period": None, "events": 2, "units": D("2.500000"),
    }  # fmt: skip
    return {"line_no": number, "service": service, "amount": D(amount), "exact_amount": D(amount), **sound, **others}


def made(**others: Any) -> tuple[dict[str, Any], Content]:
    """A bill of 1,112.75 with 1,000 MAD of data, and a correction of −2.00 of April: −0.10 discount, −0.38 tax."""
    row = bill(lines=("12.34", "0.41", "1100.00"), **others)  # 1112.75: discount 55.64, tax 211.42
    row |= {
        "adjustments_total": D("-2.00"), "amount_before_tax": D("1110.75"), "discount": D("55.54"),
        "after_discount": D("1055.21"), "tax": D("211.04"), "amount_due": D("1266.25"),
    }  # fmt: skip
    correction = {"kind": "adjustment", "line_kind": "usage", "original_period": "2025-04"}
    lines = [line(1, "voice", "12.34"), line(2, "sms", "0.41", exact_amount=D("0.405000")), line(3, "data", "1100.00")]
    lines.append(line(4, "voice", "-2.00", **correction))
    rates = [
        {"tax_category": "S", "tax_pct": D(20), "amount": D("1110.75"), "discount": D("55.54"), "tax": D("211.04"), "due": D("1266.25")}
    ]  # fmt: skip
    days = [
        {"day": dt.date(2025, 5, day), "service": service, "events": 1, "units": D("1.250000"), "amount": D(amount)}
        for day, service, amount in [
            (2, "voice", "6.170000"), (7, "voice", "6.170000"), (7, "sms", "0.202500"), (9, "sms", "0.202500"),
            (9, "data", "0.123456"), (31, "data", "1099.876544"),
        ]
    ]  # fmt: skip
    return row, Content(lines, rates, days)


def issued(content: Content, **others: Any) -> Issued:
    given: dict[str, Any] = {"number": "INV-2025-000042", "kind": "invoice", **others}
    return Issued(
        issue_date=dt.date(2025, 6, 1), due_date=dt.date(2025, 7, 1), lines=content.lines, rates=content.rates, **given
    )


def text_of(pdf: bytes) -> list[str]:
    """The text of each page, with plain blanks."""
    return [re.sub(r"[\s\u00a0\u202f]+", " ", page.extract_text()) for page in PdfReader(io.BytesIO(pdf)).pages]


ISSUER = Issuer(name="Opérateur", bank=BankAccount(iban=IBAN))


def test_an_issued_bill_in_english() -> None:
    row, content = made()
    writer = PdfWriter(PERIOD, ISSUER)
    pdf = writer.document(row, content, issued(content))
    first, second = text_of(pdf)
    for figure in (
        "INV-2025-000042", "1–31 May 2025", "1 June 2025", "to be paid by 1 July 2025", "12.34", "0.41", "1,100.00",
        "Calls: correction for April 2025", "−2.00", "1,110.75", "−55.54", "1,055.21", "Tax 20% 211.04", "1,266.25 MAD",
        "FR14 2004 1010 0505 0001 3M02 606", "Amina El Idrissi", "Page 1 of 2",
    ):  # fmt: skip
        assert figure in first, figure
    assert "DRAFT" not in first
    assert "Total 2 2.50 12.340000 2 0.405000 2 2.50 1,100.000000 1,112.745000" in second
    assert (
        pdf
        == writer.document(row, content, issued(content))
        == PdfWriter(PERIOD, ISSUER).document(row, content, issued(content))
    )
    about = PdfReader(io.BytesIO(pdf)).metadata
    assert about is not None and str(about["/CreationDate"]).startswith("D:20250601")


def test_a_draft_in_french_has_no_number_and_no_account() -> None:
    row, content = made()
    writer = PdfWriter(PERIOD, Issuer(name="Opérateur", bank=BankAccount(iban=IBAN), invoice_language="fr"))
    first, second = text_of(writer.document(row, content))
    for figure in ("BROUILLON", "1er au 31 mai 2025", "TVA 20 % 211,04", "Montant provisoire", "1 266,25 MAD"):
        assert figure in first, figure
    assert "INV" not in first and "FR14" not in first
    assert "BROUILLON" in second and "Mo" in second


def test_the_language_is_the_customers() -> None:
    row, content = made()
    issuer = Issuer(customer_languages={row["customer_id"]: "fr"})
    assert PdfWriter(PERIOD, issuer).page(row, content)["title"] == "Facture"
    assert PdfWriter(PERIOD, issuer).page({**row, "customer_id": "1"}, content)["title"] == "Invoice"


def test_a_credit_note_says_what_is_given_back() -> None:
    row = bill(lines=("0", "0", "0"), amount_before_tax=D("-1.00"), discount=D("-0.05"), after_discount=D("-0.95"),
               tax=D("-0.19"), amount_due=D("-1.14"))  # fmt: skip
    rates = [{"tax_category": "S", "tax_pct": D(20), "amount": D("-1.00"), "discount": D("-0.05"), "tax": D("-0.19"), "due": D("-1.14")}]  # fmt: skip
    content = Content([line(1, "voice", "-1.00", kind="adjustment", original_period="2025-04")], rates)
    note = issued(content, number="CRN-2025-000001", kind="credit_note", original_period="2025-04")
    (page,) = text_of(PdfWriter(PERIOD, ISSUER).document(row, content, note))
    for figure in (
        "Credit note",
        "CRN-2025-000001",
        "Corrects April 2025",
        "Amount in your favour",
        "1.14 MAD",
        "−0.19",
    ):
        assert figure in page, figure
    assert "How to pay" not in page and "to be paid" not in page


@pytest.mark.parametrize(
    "name",
    [
        "#panic() *bold* $x$ <label> @ref \\ [x] `raw` // /* \"'",
        "شركة الاتصالات المغربية",
        "株式会社テスト",
        "a\x00b\x07c",
        "Wolfeschlegelsteinhausenbergerdorff " * 6,
    ],
)
def test_any_name_is_text(name: str) -> None:
    row, content = made(customer_name=name)
    pages = text_of(PdfWriter(PERIOD, ISSUER).document(row, content, issued(content)))
    assert len(pages) == 2 and "1,266.25 MAD" in pages[0]
    if name.isascii() and name.isprintable():
        assert name.strip()[:20].replace("'", "’") in pages[0].replace("'", "’")


@pytest.mark.parametrize("what, rows", [("lines", "lines"), ("tax rates", "rates"), ("days", "days")])
def test_what_does_not_add_up_is_no_document(what: str, rows: str) -> None:
    row, content = made()
    parts = {"lines": content.lines, "rates": content.rates, "days": content.days}
    with pytest.raises(InvoiceError, match=f"the {what} come to"):
        PdfWriter(PERIOD, ISSUER).document(row, Content(**{**parts, rows: parts[rows][1:]}))


@pytest.mark.parametrize(
    "currency, english, french",
    [("JPY", "1,235", "1 235"), ("MAD", "−1,234.57", "−1 234,57"), ("TND", "1,234.568", "1 234,568")],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, english: str, french: str) -> None:
    value = D("1234.5678") * (-1 if currency == "MAD" else 1)
    assert Wording("en").money(value, currency) == english
    assert Wording("fr").money(value, currency).replace("\u202f", " ") == french
