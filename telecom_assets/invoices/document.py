"""One document: a bill to XML, as a draft or as it is issued when its period is closed.

Belongs here: the shape of a document, which sums must hold in it, how it is read back. The shape for others is
`data/invoice.xsd`, shipped with the package. Does not belong here: sets of invoices (`files`), their names (`names`), the
computing of a bill.

Decisions
- All services that a bill has columns for are always listed; one that was not used has count 0 and amount 0.00. So every
  document has these lines, and a missing one is an error, never a zero. The bill's other_total is `OtherUsage` behind them,
  without a count, which the bill does not have; it is there when there is such an amount.
- Amounts have the decimals of their currency: 12.34 MAD, 1234 JPY.
- Characters that XML 1.0 forbids (control characters) are shown as U+FFFD, one for one. All others are kept; markup is
  escaped by lxml.
- A document holds nothing of the run that wrote it (no time, no version): the same bill gives the same bytes.
- A draft has no number. When a period is closed its documents get number, kind and dates, their lines and the tax of each rate
  (`Issued`); `Reference` names the bill in both.
- What is added up for a draft is left out: a draft is made again with every run, and its lines are in bill_lines.
"""

import datetime as dt
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal, NamedTuple

from lxml import etree

from resources.expected_errors import ExpectedError
from telecom_assets.billing.tables import FACTURATION_COMPLETE, OF_DOCUMENT, SERVICES
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.model.period_titles import period_bounds
from telecom_assets.model.text import legible, percentage, plain

NAMESPACE = "urn:telecom-assets:invoice:2"
#: The documents of former versions are read too: those of a period that was closed as it stood stay as they are.
_READ = (NAMESPACE, "urn:telecom-assets:invoice:1")
#: What a document is: the bill of a period, or a correction on a document of its own, by its sign.
Kind = Literal["invoice", "credit_note", "supplementary"]


class InvoiceError(ExpectedError, ValueError):
    """A bill cannot be made an invoice. The message names the customer and what is wrong."""


class Billed(NamedTuple):
    """A document that billed the period which another one corrects."""

    number: str
    issue_date: dt.date


@dataclass(frozen=True)
class Issued:
    """What makes a bill a document that is issued.

    lines: rows of bill_lines, in their order. rates: what it comes to at each tax rate, with the columns tax_category, tax_pct, amount,
    discount, tax and due (`telecom_assets.billing.lines.totals_by_rate`), and exemption_reason where there is one. original_period: the
    period that a separate document corrects. billed: every earlier document of the original periods that it has corrections of.
    """

    number: str
    kind: Kind
    issue_date: dt.date
    due_date: dt.date
    lines: Sequence[Mapping[str, Any]]
    rates: Sequence[Mapping[str, Any]]
    original_period: str | None = None
    billed: Sequence[Billed] = ()


class InvoiceWriter:
    """Makes the documents of one billing period. Not for several threads: it fills one tree again and again.

    other_usage: whether usage may be charged that a bill has no columns for. Raises ValueError when `period` is not yyyy-MM.
    """

    def __init__(self, period: str, issuer: Issuer, *, other_usage: bool = False) -> None:
        start, end = period_bounds(period)
        self.period = period
        self._other_usage = other_usage
        self._schema = invoice_schema()
        self._root = root = etree.Element(_q("Invoice"), nsmap={None: NAMESPACE})
        self._reference = _add(root, "Reference")
        root.append(_issuer(issuer))
        self._customer = _add(root, "Customer")
        self._customer_id = _add(self._customer, "Id")
        self._customer_name = _add(self._customer, "Name")
        self._region = _add(self._customer, "Region")
        self._rate_plan = _add(self._customer, "RatePlan")
        months = self._months = _add(root, "BillingPeriod")
        _add(months, "Month", period)
        _add(months, "Start", start.isoformat())
        _add(months, "End", end.isoformat())
        self._currency = _add(root, "Currency")
        lines = self._usage = _add(root, "UsageLines")
        self._lines = {service: _usage_line(lines, service) for service in SERVICES}
        self._other = _add(lines, "OtherUsage")
        self._other_amount = _add(self._other, "Amount")
        totals = self._all_totals = _add(root, "Totals")
        self._adjustments = _add(totals, "AdjustmentsAmount")
        self._totals = {column: _add(totals, element) for element, column in _TOTALS}

    def document(self, bill: Mapping[str, Any], issued: Issued | None = None) -> bytes:
        """The document of one bill: a row of FACTURATION_COMPLETE with an optional `customer_name`; a draft unless it is issued.

        Raises InvoiceError when the sums of the bill do not hold or the document would not be valid.
        """
        self._check(bill)
        if issued is not None:
            check_issued(bill, issued)
        self._reference.text = legible(f"{self.period}/{bill['customer_id']}{later_holder(bill['holder_no'], '/')}")
        self._customer_id.text = legible(bill["customer_id"])
        self._set_name(bill.get("customer_name"))
        self._region.text = legible(bill["region"])
        self._rate_plan.text = legible(bill["rate_plan_id"])
        self._currency.text = legible(bill["currency"])
        for service, (count, amount) in self._lines.items():
            count.text = str(bill[f"{service}_count"])
            amount.text = plain(bill[f"{service}_total"])
        _show(self._usage, self._other, bool(bill["other_total"]))
        self._other_amount.text = plain(bill["other_total"])
        _show(self._all_totals, self._adjustments, bool(bill["adjustments_total"]), first=True)
        self._adjustments.text = plain(bill["adjustments_total"])
        for column, total in self._totals.items():
            total.text = percentage(bill[column]) if column in _PERCENTAGES else plain(bill[column])
        with self._issuing(issued):
            if not self._schema.validate(self._root):
                raise InvoiceError(f"customer {bill['customer_id']!r}: {self._schema.error_log[0].message}")
            return bytes(etree.tostring(self._root, encoding="UTF-8", xml_declaration=True, pretty_print=True))

    @contextmanager
    def _issuing(self, issued: Issued | None) -> Iterator[None]:
        """Within it, the tree has what only a document that is issued has."""
        if issued is None:
            yield
            return
        head = [
            _text("Number", issued.number),
            _text("Kind", issued.kind),
            _text("IssueDate", issued.issue_date.isoformat()),
            _text("DueDate", issued.due_date.isoformat()),
        ]
        original = [_text("OriginalPeriod", issued.original_period)] if issued.original_period else []
        original += [_preceding(each) for each in issued.billed]
        body = [_lines(issued.lines), _breakdown(issued.rates)]
        for after, elements in ((self._months, original), (self._usage, body)):
            for element in reversed(elements):
                after.addnext(element)
        self._root[:0] = head
        try:
            yield
        finally:
            for element in (*head, *original, *body):
                self._root.remove(element)

    def _set_name(self, name: str | None) -> None:
        """The customer's name; without one the element is left out."""
        present = self._customer_name.getparent() is not None
        if name:
            self._customer_name.text = legible(name)
            if not present:
                self._customer_id.addnext(self._customer_name)
        elif present:
            self._customer.remove(self._customer_name)

    def _check(self, bill: Mapping[str, Any]) -> None:
        """Raise InvoiceError unless the bill is complete, of this period, and adds up."""
        customer = bill["customer_id"]
        for column, value in bill.items():
            if value is None and column != "customer_name":
                raise InvoiceError(f"customer {customer!r}: {column} is NULL; every column of a bill has a value")
        if bill["billing_period"] != self.period:
            raise InvoiceError(f"customer {customer!r}: a bill of {bill['billing_period']}, expected {self.period}")
        if bill["other_total"] and not self._other_usage:
            raise InvoiceError(
                f"customer {customer!r}: other_total is {bill['other_total']}; expected 0 without record types of other services"
            )
        totals = [f"{service}_total" for service in SERVICES] + ["adjustments_total", "other_total"]
        sums: tuple[tuple[str, Decimal, Decimal], ...] = (
            (
                f"amount_before_tax = {' + '.join(totals)}",
                bill["amount_before_tax"],
                sum((bill[name] for name in totals), Decimal(0)),
            ),
            (
                "after_discount = amount_before_tax - discount",
                bill["after_discount"],
                bill["amount_before_tax"] - bill["discount"],
            ),
            ("amount_due = after_discount + tax", bill["amount_due"], bill["after_discount"] + bill["tax"]),
        )
        for rule, found, expected in sums:
            if found != expected:
                raise InvoiceError(f"customer {customer!r}: {rule} does not hold: {found} and {expected}")


_TOTALS = (
    ("AmountBeforeTax", "amount_before_tax"),
    ("DiscountPercent", "discount_pct"),
    ("DiscountAmount", "discount"),
    ("AfterDiscount", "after_discount"),
    ("TaxPercent", "tax_pct"),
    ("TaxAmount", "tax"),
    ("AmountDue", "amount_due"),
    ("RoundingDifference", "rounding_difference"),
)
_PERCENTAGES = ("discount_pct", "tax_pct")
#: Elements of a line and of a tax rate, with the columns of their rows; one whose value is NULL is left out.
_OF_LINE = (
    ("Corrects", "line_kind"),
    ("OriginalPeriod", "original_period"),
    ("Service", "service"),
    ("RatePlan", "rate_plan_id"),
    ("Region", "region"),
    ("Events", "events"),
    ("Units", "units"),
    ("ExactAmount", "exact_amount"),
    ("Amount", "amount"),
    ("DiscountPercent", "discount_pct"),
    ("TaxCategory", "tax_category"),
    ("TaxPercent", "tax_pct"),
)
_OF_RATE = (
    ("TaxCategory", "tax_category"),
    ("TaxPercent", "tax_pct"),
    ("ExemptionReason", "exemption_reason"),
    ("Amount", "amount"),
    ("DiscountAmount", "discount"),
    ("TaxAmount", "tax"),
    ("AmountDue", "due"),
)


def later_holder(holder_no: int, mark: str) -> str:
    """What tells the document of a later holder of a number from that of the first, who needs nothing."""
    return f"{mark}{holder_no}" if holder_no != 1 else ""


@cache
def invoice_schema() -> etree.XMLSchema:
    """The schema that every invoice conforms to (`telecom_assets/data/invoice.xsd`)."""
    text = (importlib.resources.files("telecom_assets") / "data" / "invoice.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(text, safe_parser()))


def read_amounts(path: str, parser: etree.XMLParser) -> dict[str, Decimal]:
    """The amounts of an invoice file, by the bill's columns (`_MONEY`). Raises InvoiceError when it is not one."""
    try:
        root = etree.parse(path, parser).getroot()
    except etree.XMLSyntaxError as error:
        raise InvoiceError(f"{path}: not well-formed XML: {error}") from error
    found = {each.tag.rpartition("}")[2]: each.text or "" for each in root.iterfind("{*}Totals/{*}*")}
    if root.tag not in _ROOTS or not found.keys() >= set(_MONEY.values()):
        raise InvoiceError(f"{path}: not an invoice of {NAMESPACE}")
    try:
        return {column: Decimal(found[element]) for column, element in _MONEY.items()}
    except InvalidOperation:
        texts = ", ".join(f"{element} {found[element]!r}" for element in _MONEY.values())
        raise InvoiceError(f"{path}: one of its totals is not an amount: {texts}") from None


def safe_parser() -> etree.XMLParser:
    """A parser that reads no other file, no network and no entity."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def _q(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    element = etree.SubElement(parent, _q(name))
    element.text = None if text is None else legible(text)
    return element


def _text(name: str, text: str) -> etree._Element:
    """An element with a text, in no tree yet."""
    element = etree.Element(_q(name))
    element.text = legible(text)
    return element


def _issuer(issuer: Issuer) -> etree._Element:
    """Who sends the document, with what of him is known."""
    element = etree.Element(_q("Issuer"))
    numbers, bank = issuer.tax_numbers, issuer.bank
    _texts(element, Name=issuer.name, TaxId=issuer.tax_id, Country=issuer.country)
    address = etree.SubElement(element, _q("Address"))
    for line in issuer.address:
        _add(address, "Line", line)
    _texts(address, PostalCode=issuer.postal_code, City=issuer.city)
    _texts(element, LegalRegistration=issuer.legal_registration)
    of_taxes = etree.SubElement(element, _q("TaxNumbers"))
    _texts(of_taxes, Ice=numbers.ice, If=numbers.fiscal_id, Rc=numbers.rc, Vat=issuer.vat_id)
    contact = etree.SubElement(element, _q("Contact"))
    _texts(contact, Email=issuer.email, Phone=issuer.phone, Website=issuer.website)
    account = etree.SubElement(element, _q("BankAccount"))
    if bank is not None:
        _texts(account, Bank=bank.name, Iban=bank.iban, Bic=bank.bic, Rib=bank.rib)
    _texts(element, Note=issuer.note)
    for group in (address, of_taxes, contact, account):
        if not len(group):
            element.remove(group)
    return element


def _texts(parent: etree._Element, **texts: str | None) -> None:
    """Add an element for each text that there is."""
    for name, text in texts.items():
        if text:
            _add(parent, name, text)


def _preceding(billed: Billed) -> etree._Element:
    """A document that billed the period which is corrected (EN 16931, BG-3)."""
    element = etree.Element(_q("PrecedingInvoice"))
    _texts(element, Number=billed.number, IssueDate=billed.issue_date.isoformat())
    return element


def _show(parent: etree._Element, element: etree._Element, shown: bool, *, first: bool = False) -> None:
    """Have an element in its place, the last or the first one, or leave it out."""
    if not shown and element.getparent() is not None:
        parent.remove(element)
    elif shown and element.getparent() is None:
        parent.insert(0 if first else len(parent), element)


def _lines(lines: Sequence[Mapping[str, Any]]) -> etree._Element:
    """The lines of a document that is issued: rows of bill_lines."""
    all_lines = etree.Element(_q("Lines"))
    for row in lines:
        line = _add(all_lines, "Line")
        line.set("number", str(row["line_no"]))
        line.set("kind", row["kind"])
        for name, column in _OF_LINE:
            if row[column] is not None:
                _add(line, name, _shown(row[column], is_percentage=column in _PERCENTAGES))
    return all_lines


def _breakdown(rates: Sequence[Mapping[str, Any]]) -> etree._Element:
    """The tax of each rate (EN 16931, BG-23)."""
    breakdown = etree.Element(_q("TaxBreakdown"))
    for row in rates:
        rate = _add(breakdown, "TaxRate")
        for name, column in _OF_RATE:
            if row.get(column) is not None:
                _add(rate, name, _shown(row[column], is_percentage=column in _PERCENTAGES))
    return breakdown


def _shown(value: Any, *, is_percentage: bool) -> str:
    if is_percentage:
        return percentage(value)
    return plain(value) if isinstance(value, Decimal) else str(value)


def check_issued(bill: Mapping[str, Any], issued: Issued) -> None:
    """Raise InvoiceError unless the lines and the tax rates of a document add up to the bill."""
    sums = [("lines", issued.lines, "amount", "amount_before_tax")]
    sums += [
        ("tax rates", issued.rates, of_rate, of_bill) for of_bill, of_rate in OF_DOCUMENT.items() if of_bill in bill
    ]
    for what, rows, column, of_bill in sums:
        added = sum((row[column] for row in rows), Decimal(0))
        if added != bill[of_bill]:
            raise InvoiceError(
                f"customer {bill['customer_id']!r}, document {issued.number}: the {what} come to {column} {added}, and the bill has "
                f"{of_bill} {bill[of_bill]}"
            )


def _usage_line(lines: etree._Element, service: str) -> tuple[etree._Element, etree._Element]:
    """An empty usage line: the elements of its count and of its amount."""
    line = _add(lines, "UsageLine")
    line.set("service", service)
    return _add(line, "Count"), _add(line, "Amount")


_ROOTS = {f"{{{namespace}}}Invoice" for namespace in _READ}
#: The amounts of a bill, and their elements in Totals.
_MONEY = {column: element for element, column in _TOTALS if column in FACTURATION_COMPLETE.money}
