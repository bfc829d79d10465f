"""One invoice: a row of facturation_complete to an XML document and its file name.

Belongs here: the shape of a document, which sums must hold in it, how it is read back. The shape for others is
`data/invoice.xsd`, shipped with the package. Does not belong here: sets of invoices (`invoices`), the computing of a
bill (`transforms`).

Decisions
- All services that a bill has columns for are always listed; one that was not used has count 0 and amount 0.00. So every
  document has these lines, and a missing one is an error, never a zero. The bill's other_total is `OtherUsage` behind them,
  without a count, which the bill does not have; it is there when there is such an amount.
- Amounts have the decimals of their currency: 12.34 MAD, 1234 JPY.
- Characters that XML 1.0 forbids (control characters) are shown as U+FFFD, one for one. All others are kept; markup is
  escaped by lxml.
- A document holds nothing of the run that wrote it (no time, no version): the same bill gives the same bytes.
- `Reference` names the bill. The gapless legal invoice number is given when a period is closed, which comes later.
"""

import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from lxml import etree

from resources.expected_errors import ExpectedError
from telecom_assets.billing.tables import SERVICES
from telecom_assets.model.period_titles import period_bounds
from telecom_assets.model.text import legible, percentage, plain

NAMESPACE = "urn:telecom-assets:invoice:1"
_NAME_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_LONGEST_NAME = 180


class InvoiceError(ExpectedError, ValueError):
    """A bill cannot be made an invoice. The message names the customer and what is wrong."""


@dataclass(frozen=True)
class Issuer:
    """Who sends the invoice: name, ISO 3166 country code and tax identifier (Morocco: ICE), if there is one."""

    name: str = "Demonstration operator"
    country: str = "MA"
    tax_id: str | None = None


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
        self._issuer(issuer)
        self._customer = _add(root, "Customer")
        self._customer_id = _add(self._customer, "Id")
        self._customer_name = _add(self._customer, "Name")
        self._region = _add(self._customer, "Region")
        self._rate_plan = _add(self._customer, "RatePlan")
        months = _add(root, "BillingPeriod")
        _add(months, "Month", period)
        _add(months, "Start", start.isoformat())
        _add(months, "End", end.isoformat())
        self._currency = _add(root, "Currency")
        lines = self._usage = _add(root, "UsageLines")
        self._lines = {service: _usage_line(lines, service) for service in SERVICES}
        self._other = _add(lines, "OtherUsage")
        self._other_amount = _add(self._other, "Amount")
        totals = _add(root, "Totals")
        self._totals = {column: _add(totals, element) for element, column in _TOTALS}

    def document(self, bill: Mapping[str, Any]) -> bytes:
        """The invoice of one bill: a row of FACTURATION_COMPLETE with an optional `customer_name`.

        Raises InvoiceError when the sums of the bill do not hold or the document would not be valid.
        """
        self._check(bill)
        self._reference.text = legible(f"{self.period}/{bill['customer_id']}{_later_holder(bill['holder_no'], '/')}")
        self._customer_id.text = legible(bill["customer_id"])
        self._set_name(bill.get("customer_name"))
        self._region.text = legible(bill["region"])
        self._rate_plan.text = legible(bill["rate_plan_id"])
        self._currency.text = legible(bill["currency"])
        for service, (count, amount) in self._lines.items():
            count.text = str(bill[f"{service}_count"])
            amount.text = plain(bill[f"{service}_total"])
        self._set_other(bill["other_total"])
        for column, total in self._totals.items():
            total.text = percentage(bill[column]) if column in _PERCENTAGES else plain(bill[column])
        if not self._schema.validate(self._root):
            raise InvoiceError(f"customer {bill['customer_id']!r}: {self._schema.error_log[0].message}")
        return bytes(etree.tostring(self._root, encoding="UTF-8", xml_declaration=True, pretty_print=True))

    def _issuer(self, issuer: Issuer) -> None:
        element = _add(self._root, "Issuer")
        _add(element, "Name", issuer.name)
        if issuer.tax_id:
            _add(element, "TaxId", issuer.tax_id)
        _add(element, "Country", issuer.country)

    def _set_name(self, name: str | None) -> None:
        """The customer's name; without one the element is left out."""
        present = self._customer_name.getparent() is not None
        if name:
            self._customer_name.text = legible(name)
            if not present:
                self._customer_id.addnext(self._customer_name)
        elif present:
            self._customer.remove(self._customer_name)

    def _set_other(self, amount: Decimal) -> None:
        """The amount of usage that the bill has no columns for; without any the line is left out."""
        present = self._other.getparent() is not None
        if amount:
            self._other_amount.text = plain(amount)
            if not present:
                self._usage.append(self._other)
        elif present:
            self._usage.remove(self._other)

    def _check(self, bill: Mapping[str, Any]) -> None:
        """Raise InvoiceError unless the bill is complete, of this period, and adds up."""
        customer = bill["customer_id"]
        for column, value in bill.items():
            if value is None and column != "customer_name":
                raise InvoiceError(f"customer {customer!r}: {column} is NULL; every column of a bill has a value")
        if bill["billing_period"] != self.period:
            raise InvoiceError(f"customer {customer!r}: a bill of {bill['billing_period']}, expected {self.period}")
        if bill["adjustments_total"]:
            raise InvoiceError(
                f"customer {customer!r}: adjustments_total is {bill['adjustments_total']}; expected 0, since a document of "
                f"{NAMESPACE} has no line for corrections"
            )
        if bill["other_total"] and not self._other_usage:
            raise InvoiceError(
                f"customer {customer!r}: other_total is {bill['other_total']}; expected 0 without record types of other services"
            )
        totals = [f"{service}_total" for service in SERVICES] + ["other_total"]
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


def invoice_file_name(customer_id: str, holder_no: int = 1) -> str:
    """The file of a holder's invoice: `<customer_id>.xml`, safe whatever the identifier holds; `<customer_id>~2.xml` of the second.

    Letters, digits, `_` and `-` stand for themselves; every other byte of its UTF-8 form is written `%XX` (so no name
    leaves the directory or is hidden), and a name that would be too long for a file system ends in `%~` and a hash.
    Different identifiers have different names. Raises InvoiceError for an empty one.
    """
    if not customer_id:
        raise InvoiceError("a bill without a customer_id")
    raw = customer_id.encode()
    name = "".join(chr(byte) if byte in _NAME_BYTES else f"%{byte:02X}" for byte in raw)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:100]}%~{hashlib.sha256(raw).hexdigest()}"
    return f"{name}{_later_holder(holder_no, '~')}.xml"


def _later_holder(holder_no: int, mark: str) -> str:
    """What tells the document of a later holder of a number from that of the first, who needs nothing."""
    return f"{mark}{holder_no}" if holder_no != 1 else ""


@cache
def invoice_schema() -> etree.XMLSchema:
    """The schema that every invoice conforms to (`telecom_assets/data/invoice.xsd`)."""
    text = (importlib.resources.files("telecom_assets") / "data" / "invoice.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(text, safe_parser()))


def read_amounts(path: str, parser: etree.XMLParser) -> tuple[Decimal, Decimal]:
    """(amount due, amount before tax) of an invoice file. Raises InvoiceError when it is not one."""
    try:
        root = etree.parse(path, parser).getroot()
    except etree.XMLSyntaxError as error:
        raise InvoiceError(f"{path}: not well-formed XML: {error}") from error
    due, before = root.findtext(_DUE), root.findtext(_BEFORE_TAX)
    if root.tag != _q("Invoice") or due is None or before is None:
        raise InvoiceError(f"{path}: not an invoice of {NAMESPACE}")
    try:
        return Decimal(due), Decimal(before)
    except InvalidOperation:
        raise InvoiceError(f"{path}: {due!r} or {before!r} is not an amount") from None


def safe_parser() -> etree.XMLParser:
    """A parser that reads no other file, no network and no entity."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def _q(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    element = etree.SubElement(parent, _q(name))
    element.text = None if text is None else legible(text)
    return element


def _usage_line(lines: etree._Element, service: str) -> tuple[etree._Element, etree._Element]:
    """An empty usage line: the elements of its count and of its amount."""
    line = _add(lines, "UsageLine")
    line.set("service", service)
    return _add(line, "Count"), _add(line, "Amount")


_DUE = f"{_q('Totals')}/{_q('AmountDue')}"
_BEFORE_TAX = f"{_q('Totals')}/{_q('AmountBeforeTax')}"
