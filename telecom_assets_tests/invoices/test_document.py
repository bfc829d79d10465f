"""One invoice: valid, escaped, equal to its bill, and a file name that stays in its directory."""

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from telecom_assets.invoices.document import (
    NAMESPACE,
    InvoiceError,
    InvoiceWriter,
    Issued,
    invoice_schema,
    safe_parser,
)
from telecom_assets.invoices.issuer import Issuer, TaxNumbers
from telecom_assets.invoices.names import invoice_file_name
from telecom_assets.model.text import legible
from telecom_assets_tests.reports.bills import PERIOD, bill

#: Text as Arrow can hold it: anything but surrogates.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)

HOSTILE = [
    "<script>alert(1)</script>",
    "&amp; \"double\" 'single' ]]> <!-- -->",
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;',
    "شركة الاتصالات \u202e\u2066",
    "a\x00b\x07c\x1bd\ufffee\uffff",
    "line\r\nend\ttab",
    "😀" * 5,
    "=cmd|'/c calc'!A1",
]


def parsed(content: bytes) -> etree._Element:
    root = etree.fromstring(content, safe_parser())
    invoice_schema().assertValid(root)
    return root


def text_of(root: etree._Element, path: str) -> str | None:
    text: str | None = root.findtext("/".join(f"{{{NAMESPACE}}}{step}" for step in path.split("/")))
    return text


def invoice(**columns: Any) -> etree._Element:
    return parsed(InvoiceWriter(PERIOD, Issuer()).document(bill(**columns)))


def test_every_figure_of_the_bill_is_in_the_document() -> None:
    content = InvoiceWriter(PERIOD, Issuer(name="Opérateur", tax_numbers=TaxNumbers(ice="001234567000089"))).document(
        bill()
    )
    assert content.decode() == (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<Invoice xmlns="urn:telecom-assets:invoice:2">\n'
        "  <Reference>2025-05/212600000001</Reference>\n"
        "  <Issuer>\n"
        "    <Name>Opérateur</Name>\n"
        "    <TaxId>001234567000089</TaxId>\n"
        "    <Country>MA</Country>\n"
        "    <TaxNumbers>\n"
        "      <Ice>001234567000089</Ice>\n"
        "    </TaxNumbers>\n"
        "  </Issuer>\n"
        "  <Customer>\n"
        "    <Id>212600000001</Id>\n"
        "    <Name>Amina El Idrissi</Name>\n"
        "    <Region>Rabat-Salé-Kénitra</Region>\n"
        "    <RatePlan>PLAN_A</RatePlan>\n"
        "  </Customer>\n"
        "  <BillingPeriod>\n"
        "    <Month>2025-05</Month>\n"
        "    <Start>2025-05-01</Start>\n"
        "    <End>2025-05-31</End>\n"
        "  </BillingPeriod>\n"
        "  <Currency>MAD</Currency>\n"
        "  <UsageLines>\n"
        '    <UsageLine service="voice">\n'
        "      <Count>17</Count>\n"
        "      <Amount>12.34</Amount>\n"
        "    </UsageLine>\n"
        '    <UsageLine service="sms">\n'
        "      <Count>0</Count>\n"
        "      <Amount>0.40</Amount>\n"
        "    </UsageLine>\n"
        '    <UsageLine service="data">\n'
        "      <Count>3</Count>\n"
        "      <Amount>100.01</Amount>\n"
        "    </UsageLine>\n"
        "  </UsageLines>\n"
        "  <Totals>\n"
        "    <AmountBeforeTax>112.75</AmountBeforeTax>\n"
        "    <DiscountPercent>5.00</DiscountPercent>\n"
        "    <DiscountAmount>5.64</DiscountAmount>\n"
        "    <AfterDiscount>107.11</AfterDiscount>\n"
        "    <TaxPercent>20.00</TaxPercent>\n"
        "    <TaxAmount>21.42</TaxAmount>\n"
        "    <AmountDue>128.53</AmountDue>\n"
        "    <RoundingDifference>-0.001230</RoundingDifference>\n"
        "  </Totals>\n"
        "</Invoice>\n"
    )
    parsed(content)


@pytest.mark.parametrize(
    "period, last", [("2024-02", "2024-02-29"), ("2025-02", "2025-02-28"), ("2025-12", "2025-12-31")]
)
def test_the_period_ends_with_its_month(period: str, last: str) -> None:
    root = parsed(InvoiceWriter(period, Issuer()).document(bill(billing_period=period)))
    assert text_of(root, "BillingPeriod/End") == last


@pytest.mark.parametrize("period", ["2025-13", "2025-5", "2025-05-01", "0000-01", "٢٠٢٥-٠٥", "2025-05\n", ""])
def test_a_period_that_is_no_month_is_refused(period: str) -> None:
    with pytest.raises(ValueError, match="expected yyyy-MM"):
        InvoiceWriter(period, Issuer())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text: str) -> None:
    root = invoice(customer_name=text, region=text, rate_plan_id=text, customer_id=text)
    for path in ("Customer/Id", "Customer/Name", "Customer/Region", "Customer/RatePlan"):
        assert text_of(root, path) == legible(text)
    assert len(list(root.iter())) == len(list(invoice().iter()))


def test_characters_that_xml_forbids_become_replacement_characters_one_for_one() -> None:
    assert text_of(invoice(customer_name="a\x00b\x1f\ufffe c\t"), "Customer/Name") == "a\ufffdb\ufffd\ufffd c\t"


@settings(deadline=None)
@given(name=TEXT, region=TEXT, customer=TEXT)
def test_any_text_is_valid_and_comes_back(name: str, region: str, customer: str) -> None:
    root = invoice(customer_name=name, region=region, customer_id=customer)
    assert text_of(root, "Customer/Name") == legible(name)
    assert text_of(root, "Customer/Region") == legible(region)
    assert text_of(root, "Customer/Id") == legible(customer)


def test_a_name_that_is_not_known_is_left_out_and_the_next_one_is_not() -> None:
    writer = InvoiceWriter(PERIOD, Issuer())
    names = ["First", None, "", "Second"]
    found = [text_of(parsed(writer.document(bill(customer_name=name))), "Customer/Name") for name in names]
    assert found == ["First", None, None, "Second"]
    without_column = {key: value for key, value in bill().items() if key != "customer_name"}
    assert text_of(parsed(writer.document(without_column)), "Customer/Name") is None


def test_usage_that_the_bill_has_no_columns_for_is_one_amount_and_left_out_without_any() -> None:
    """The lines are 1.00, 0.00 and 2.50; 1.51 more stand in amount_before_tax of the second."""
    writer, path = InvoiceWriter(PERIOD, Issuer(), other_usage=True), "UsageLines/OtherUsage/Amount"
    lines = ("1.00", "0.00", "2.50")
    plain, more = bill(lines=lines), with_other_usage(bill(lines=lines), Decimal("1.51"))
    found = [parsed(writer.document(each)) for each in (plain, more, plain)]
    assert [text_of(root, path) for root in found] == [None, "1.51", None]
    assert [text_of(root, "Totals/AmountBeforeTax") for root in found] == ["3.50", "5.01", "3.50"]
    assert writer.document(plain) == InvoiceWriter(PERIOD, Issuer()).document(plain)


@pytest.mark.parametrize(("other_usage", "more"), [(False, "0.01"), (False, "-0.01"), (True, "-0.01")])
def test_a_bill_whose_lines_do_not_add_up_is_none(other_usage: bool, more: str) -> None:
    """Its totals are all of amount_before_tax; none of other services is there unless other usage may be charged, and none below 0."""
    writer = InvoiceWriter(PERIOD, Issuer(), other_usage=other_usage)
    made = bill(lines=("1.00", "0.00", "2.50"))
    with pytest.raises(
        InvoiceError,
        match=r"amount_before_tax = voice_total \+ sms_total \+ data_total \+ adjustments_total \+ other_total does not hold",
    ):
        writer.document({**with_other_usage(made, Decimal(more)), "other_total": Decimal("0.00")})
    with pytest.raises(InvoiceError, match=rf"'{more}'" if other_usage else rf"other_total is {more}; expected 0"):
        writer.document(with_other_usage(made, Decimal(more)))


_LINE: dict[str, Any] = {
    "line_no": 1,
    "kind": "usage",
    "line_kind": None,
    "original_period": None,
    "service": "voice",
    "rate_plan_id": "PLAN_A",
    "region": "Fès-Meknès",
    "events": 17,
    "units": Decimal("130.000000"),
    "exact_amount": Decimal("112.751230"),
    "amount": Decimal("112.75"),
    "discount_pct": Decimal("5.0000"),
    "tax_category": "S",
    "tax_pct": Decimal("20.0000"),
}
_RATE: dict[str, Any] = {
    "tax_category": "S",
    "tax_pct": Decimal("20.0000"),
    "amount": Decimal("112.75"),
    "discount": Decimal("5.64"),
    "tax": Decimal("21.42"),
    "due": Decimal("128.53"),
}


def issued(**others: Any) -> Issued:
    """What makes the bill of `bill()` a document: one line of 112.75 and one tax rate."""
    given = {"number": "INV-2025-000007", "kind": "invoice", "lines": [_LINE], "rates": [_RATE], **others}
    return Issued(issue_date=dt.date(2025, 6, 3), due_date=dt.date(2025, 7, 3), **given)


def test_a_document_that_is_issued_has_number_dates_lines_and_the_tax_of_each_rate() -> None:
    """Between two drafts, which have none of it."""
    writer = InvoiceWriter(PERIOD, Issuer())
    draft = writer.document(bill())
    root = parsed(writer.document(bill(), issued()))
    assert [text_of(root, name) for name in ("Number", "Kind", "IssueDate", "DueDate")] == [
        "INV-2025-000007",
        "invoice",
        "2025-06-03",
        "2025-07-03",
    ]
    [line] = root.findall(f"{{{NAMESPACE}}}Lines/{{{NAMESPACE}}}Line")
    assert dict(line.attrib) == {"number": "1", "kind": "usage"}
    assert [(etree.QName(each).localname, each.text) for each in line] == [
        ("Service", "voice"),
        ("RatePlan", "PLAN_A"),
        ("Region", "Fès-Meknès"),
        ("Events", "17"),
        ("Units", "130.000000"),
        ("ExactAmount", "112.751230"),
        ("Amount", "112.75"),
        ("DiscountPercent", "5.00"),
        ("TaxCategory", "S"),
        ("TaxPercent", "20.00"),
    ]
    [rate] = root.findall(f"{{{NAMESPACE}}}TaxBreakdown/{{{NAMESPACE}}}TaxRate")
    assert [each.text for each in rate] == ["S", "20.00", "112.75", "5.64", "21.42", "128.53"]
    assert writer.document(bill()) == draft


def test_a_correction_is_a_line_and_a_separate_document_names_its_period() -> None:
    """Of 3.50 of usage 0.40 are given back for March; of a bill that is given back whole the amounts are below 0."""
    back = {**_LINE, "line_no": 2, "kind": "adjustment", "line_kind": "usage", "original_period": "2025-03"}
    back |= {"events": -2, "exact_amount": Decimal("-0.400000"), "amount": Decimal("-0.40")}
    usage = {**_LINE, "amount": Decimal("3.50")}
    sums: dict[str, Any] = {"discount": Decimal("0.16"), "tax": Decimal("0.59")}
    totals = {
        **sums,
        "amount_before_tax": Decimal("3.10"),
        "after_discount": Decimal("2.94"),
        "amount_due": Decimal("3.53"),
    }
    made = bill(lines=("1.00", "0.00", "2.50"), adjustments_total=Decimal("-0.40"), **totals)
    rate = {**_RATE, **sums, "amount": Decimal("3.10"), "due": Decimal("3.53")}
    writer = InvoiceWriter(PERIOD, Issuer())
    assert text_of(parsed(writer.document(made)), "Totals/AdjustmentsAmount") == "-0.40"
    root = parsed(writer.document(made, issued(lines=[usage, back], rates=[rate])))
    [line] = root.findall(f".//{{{NAMESPACE}}}Line[@kind='adjustment']")
    assert [each.text for each in line][:4] == ["usage", "2025-03", "voice", "PLAN_A"]
    names = ("adjustments_total", "amount_before_tax", "discount", "after_discount", "tax", "amount_due")
    below: dict[str, Any] = dict(
        zip(names, map(Decimal, ("-0.40", "-0.40", "-0.02", "-0.38", "-0.08", "-0.46")), strict=True)
    )
    given_back = bill(lines=("0.00", "0.00", "0.00"), **below)
    rate = {
        **_RATE,
        "amount": below["amount_before_tax"],
        "due": below["amount_due"],
        "tax": below["tax"],
        "discount": below["discount"],
    }
    credit = issued(number="CRN-2025-000001", kind="credit_note", lines=[back], rates=[rate], original_period="2025-03")
    root = parsed(writer.document(given_back, credit))
    found = [text_of(root, path) for path in ("Kind", "OriginalPeriod", "Totals/AmountDue")]
    assert found == ["credit_note", "2025-03", "-0.46"]
    assert invoice_file_name("2126", 2, "2025-03") == "2126~2.2025-03.xml"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lines": []}, "the lines come to amount 0, and the bill has amount_before_tax 112.75"),
        (
            {"rates": [{**_RATE, "tax": Decimal("21.43")}]},
            "the tax rates come to tax 21.43, and the bill has tax 21.42",
        ),
        ({"number": "INV-25-7"}, "INV-25-7"),
        ({"kind": "letter"}, "letter"),
    ],
)
def test_a_document_that_does_not_add_up_is_not_issued(given: dict[str, Any], message: str) -> None:
    """And the writer makes the next one as if nothing had been."""
    writer = InvoiceWriter(PERIOD, Issuer())
    draft = writer.document(bill())
    with pytest.raises(InvoiceError, match="customer '212600000001'") as refused:
        writer.document(bill(), issued(**given))
    assert message in str(refused.value)
    assert writer.document(bill()) == draft


@pytest.mark.parametrize(
    ("currency", "lines", "shown"),
    [
        ("JPY", ("12", "0", "101"), ["12", "0", "101"]),
        ("TND", ("12.345", "0.000", "100.010"), ["12.345", "0.000", "100.010"]),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, lines: tuple[str, ...], shown: list[str]) -> None:
    """Whole yen and thousandths of dinars, in a document that the schema takes."""
    before_tax = sum(map(Decimal, lines), Decimal(0))
    totals = {"discount": before_tax * 0, "after_discount": before_tax, "tax": before_tax * 0, "amount_due": before_tax}
    made = {**bill(lines=lines, currency=currency), **totals}
    root = parsed(InvoiceWriter(PERIOD, Issuer()).document(made))
    found = [element.text for element in root.iterfind(".//i:UsageLine/i:Amount", {"i": NAMESPACE})]
    assert found == shown
    assert text_of(root, "Totals/AmountDue") == f"{before_tax}"


def with_other_usage(made: dict[str, Any], amount: Decimal) -> dict[str, Any]:
    """The bill with so much more before tax, and in every sum that follows."""
    columns = ("other_total", "amount_before_tax", "after_discount", "amount_due")
    return {**made, **{name: made[name] + amount for name in columns}}


def test_the_largest_amounts_keep_their_digits() -> None:
    root = invoice(lines=("7999999999999999.99", "0.00", "0.00"), rounding_difference=Decimal("0.000001"))
    assert text_of(root, "Totals/AmountBeforeTax") == "7999999999999999.99"
    assert text_of(root, "Totals/RoundingDifference") == "0.000001"


@pytest.mark.parametrize(
    "percent, text",
    [
        ("5.0000", "5.00"),
        ("2.5000", "2.50"),
        ("19.6250", "19.625"),
        ("19.6255", "19.6255"),
        ("0.0001", "0.0001"),
        ("0.0000", "0.00"),
        ("100.0000", "100.00"),
    ],
)
def test_a_percentage_has_two_decimals_or_as_many_as_it_needs(percent: str, text: str) -> None:
    root = invoice(discount_pct=Decimal(percent), tax_pct=Decimal(percent))
    assert text_of(root, "Totals/DiscountPercent") == text_of(root, "Totals/TaxPercent") == text


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"amount_before_tax": Decimal("112.76")}, "amount_before_tax = voice_total"),
        ({"after_discount": Decimal("107.12")}, "after_discount = "),
        ({"amount_due": Decimal("128.52")}, "amount_due = "),
        ({"voice_count": -1}, "-1"),
        ({"lines": ("-1.00", "0.00", "2.00")}, "-1.00"),
        ({"tax_pct": Decimal("100.0100")}, "100.01"),
        ({"currency": "mad"}, "mad"),
        ({"region": ""}, "Region"),
        ({"region": None}, "region is NULL"),
        ({"sms_count": None}, "sms_count is NULL"),
        ({"billing_period": "2025-06"}, "a bill of 2025-06"),
        ({"discount_pct": Decimal("5.00001")}, "'5.00001'"),
        ({"discount_pct": Decimal("-0.5000")}, "'-0.50'"),
    ],
)
def test_a_bill_that_is_wrong_is_refused_with_its_customer(columns: dict[str, object], message: str) -> None:
    with pytest.raises(InvoiceError, match="customer '212600000001'") as caught:
        invoice(**columns)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "old, new",
    [
        ("<Amount>12.34</Amount>", "<Amount>12.3</Amount>"),
        ("<Amount>12.34</Amount>", "<Amount>012.34</Amount>"),
        ("<Amount>12.34</Amount>", "<Amount>1E2</Amount>"),
        ("<Amount>12.34</Amount>", "<Amount>-12.34</Amount>"),
        ("<Amount>12.34</Amount>", "<Amount> 12,34</Amount>"),
        ("<Amount>12.34</Amount>", ""),
        ("<Count>17</Count>", "<Count>-17</Count>"),
        ("<Count>17</Count>", "<Count>17.0</Count>"),
        ("<Month>2025-05</Month>", "<Month>2025-13</Month>"),
        ("<Start>2025-05-01</Start>", "<Start>2025-05-32</Start>"),
        ("<Start>2025-05-01</Start>", "<Start>2025-05-01Z</Start>"),
        ("<Currency>MAD</Currency>", "<Currency>MA</Currency>"),
        ('service="voice"', 'service="video"'),
        ('service="voice"', 'service="sms"'),
        ("<DiscountPercent>5.00", "<DiscountPercent>100.01"),
        ("<DiscountPercent>5.00", "<DiscountPercent>5.0"),
        ("<DiscountPercent>5.00", "<DiscountPercent>5.00001"),
        ("<RoundingDifference>-0.001230", "<RoundingDifference>-0.00123"),
        ("</Totals>", "</Totals><Totals/>"),
        ("invoice:2", "invoice:3"),
    ],
)
def test_the_schema_is_strict(old: str, new: str) -> None:
    good = InvoiceWriter(PERIOD, Issuer()).document(bill()).decode()
    bad = good.replace(old, new)
    assert bad != good
    assert invoice_schema().validate(etree.fromstring(good.encode()))
    assert not invoice_schema().validate(etree.fromstring(bad.encode()))


def test_an_ordinary_customer_has_an_ordinary_file_name() -> None:
    assert invoice_file_name("212600302521") == "212600302521.xml"


def test_a_later_holder_of_a_number_has_documents_of_his_own() -> None:
    """The file and the reference of the first holder are those that a number had before anybody asked for holders."""
    names = [invoice_file_name("2126", holder) for holder in (1, 2, 12)]
    assert names == ["2126.xml", "2126~2.xml", "2126~12.xml"]
    writer = InvoiceWriter(PERIOD, Issuer())
    references = [
        etree.fromstring(writer.document(bill("2126", holder_no=holder))).findtext(f"{{{NAMESPACE}}}Reference")
        for holder in (1, 2)
    ]
    assert references == [f"{PERIOD}/2126", f"{PERIOD}/2126/2"]


@pytest.mark.parametrize(
    "customer",
    ["../../etc/passwd", "/etc/passwd", "..", ".", ".hidden", "a/b", "a\\b", "a\x00b", "C:x", "x" * 5000, "é" * 90],
)
def test_no_customer_id_leaves_the_directory(customer: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_%~-]{1,190}\.xml", invoice_file_name(customer))


def test_an_empty_customer_id_is_refused() -> None:
    with pytest.raises(InvoiceError, match="without a customer_id"):
        invoice_file_name("")


@settings(deadline=None)
@given(
    st.lists(TEXT | st.text("aA./%~", min_size=1, max_size=6) | st.text("a.", min_size=150, max_size=200), unique=True)
)
def test_different_customers_have_different_files(customers: list[str]) -> None:
    names = {invoice_file_name(customer, holder) for customer in customers for holder in (1, 2)}
    assert len(names) == 2 * len(customers)
