"""One closed document as UBL 2.1, for the books of its customer: EN 16931, valid against its rules.

Belongs here: which element a figure stands in. Does not belong here: our own XML (`document`), which documents there are.

Decisions
- A bill and a supplementary invoice are an Invoice (380), a credit note is a CreditNote (381): its amounts are those of the
  document with the other sign. A line is 1 or −1 of a price that is never below 0; what was used stands in the text.
- The discount is an allowance of the document for each tax rate; where only corrections give a discount back, it is below 0.
- The period of a separate document is the one that it corrects. A customer's country is the issuer's: there is no other known.
- What EN 16931 cannot say is UBL all the same, without the claim (CustomizationID), and a note tells why (`beyond_en16931`).
- Nothing is rounded here, and there is no PayableRoundingAmount: all figures are the bill's.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from lxml import etree

from telecom_assets.billing.tables import CREDIT_NOTE, MANUAL
from telecom_assets.invoices.document import Billed, InvoiceError, Issued, check_issued
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.wording import Wording
from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.period_titles import period_bounds
from telecom_assets.model.text import legible, percentage, plain
from telecom_assets.periods.closed_with import ClosedWith

_OASIS = "urn:oasis:names:specification:ubl:schema:xsd:"
_CAC, _CBC = f"{_OASIS}CommonAggregateComponents-2", f"{_OASIS}CommonBasicComponents-2"
EN16931 = "urn:cen.eu:en16931:2017"
#: EN 16931 allows so many decimals in an amount (BR-DEC).
_MOST_DECIMALS = 2
#: Codes: a thing (UN/ECE 20), credit transfer (UNCL 4461), discount (UNCL 5189).
_ONE, _TRANSFER, _DISCOUNT = "C62", "30", "95"
_OUT_OF_SCOPE = "O"
_REASONS = {"E": "exempt", _OUT_OF_SCOPE: "out_of_scope"}


def beyond_en16931(bill: Mapping[str, Any], issued: Issued, issuer: Issuer) -> str | None:
    """Why a document cannot be EN 16931, in a sentence; None: it can."""
    currency, scale = bill["currency"], currency_scale(bill["currency"])
    if scale > _MOST_DECIMALS:
        return f"amounts in {currency} have {scale} decimals, and EN 16931 allows {_MOST_DECIMALS}"
    categories = {rate["tax_category"] for rate in issued.rates}
    if _OUT_OF_SCOPE in categories and len(categories) > 1:
        return "it has amounts outside the scope of tax beside others, and EN 16931 allows no such document"
    if not (issuer.tax_numbers.ice or issuer.tax_numbers.fiscal_id or issuer.vat_id):
        return "the issuer has no tax number, which EN 16931 asks for; give ice, if or vat_id in the file of TELECOM_ISSUER"
    return None


def ubl_document(bill: Mapping[str, Any], issued: Issued, issuer: Issuer, closed_with: ClosedWith) -> bytes:
    """The document of a bill of a closed month: a row of FACTURATION_COMPLETE with an optional `customer_name`.

    closed_with: the terms of its month. Raises InvoiceError when lines or tax rates do not add up to the bill.
    """
    check_issued(bill, issued)
    return _Ubl(bill, issued, issuer, closed_with).document()


class _Ubl:
    """The elements of one document."""

    def __init__(self, bill: Mapping[str, Any], issued: Issued, issuer: Issuer, closed_with: ClosedWith) -> None:
        self._bill, self._issued, self._issuer = bill, issued, issuer
        self._says = Wording(issuer.language_of(bill["customer_id"]))
        self._credits = issued.kind == CREDIT_NOTE
        self._kind = "CreditNote" if self._credits else "Invoice"
        self._nothing = Decimal(0).quantize(Decimal(1).scaleb(-currency_scale(bill["currency"])))
        empty = dict.fromkeys(("amount", "discount", "tax", "due"), self._nothing)
        own = {"tax_category": closed_with.tax_category, "tax_pct": bill["tax_pct"]}
        self._rates = issued.rates or [{**own, **empty, "exemption_reason": closed_with.exemption_reason}]
        self._check_rates()

    def document(self) -> bytes:
        bill, issued, kind = self._bill, self._issued, self._kind
        beyond = beyond_en16931(bill, issued, self._issuer)
        notes = [self._issuer.note, beyond and f"UBL 2.1, but not EN 16931: {beyond}"]
        root = etree.Element(f"{{{_OASIS}{kind}-2}}{kind}", nsmap={None: f"{_OASIS}{kind}-2", "cac": _CAC, "cbc": _CBC})
        _fill(
            root,
            None if beyond else _cbc("CustomizationID", EN16931),
            _cbc("ID", issued.number),
            _cbc("IssueDate", issued.issue_date.isoformat()),
            None if self._credits else _cbc("DueDate", issued.due_date.isoformat()),
            _cbc(f"{kind}TypeCode", "381" if self._credits else "380"),
            *(_cbc("Note", note) for note in notes),
            _cbc("DocumentCurrencyCode", bill["currency"]),
            _period(issued.original_period or bill["billing_period"]),
            *(_reference(each) for each in issued.billed),
            _cac("AccountingSupplierParty", self._seller()),
            _cac("AccountingCustomerParty", self._buyer()),
            self._payment(),
            _cac("PaymentTerms", _cbc("Note", self._says("in_your_favour"))) if self._credits else None,
            *(self._discount(rate) for rate in self._rates if rate["discount"]),
            self._taxes(),
            self._totals(),
            *(self._line(line) for line in issued.lines),
            None if issued.lines else self._no_usage(),
        )
        return bytes(etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True))

    def _seller(self) -> etree._Element:
        issuer, numbers = self._issuer, self._issuer.tax_numbers
        # A VAT number begins with its country in EN 16931; another is a number of the tax office.
        vat = issuer.vat_id if issuer.vat_id and issuer.vat_id[:2] == issuer.country else None
        local = numbers.fiscal_id or numbers.ice or (None if vat else issuer.vat_id)
        in_scope = all(rate["tax_category"] != _OUT_OF_SCOPE for rate in self._rates)
        street, more = (*issuer.address, None, None)[:2]
        return _cac(
            "Party",
            _cac("PartyIdentification", _cbc("ID", numbers.ice or local or vat)),
            _cac(
                "PostalAddress",
                _cbc("StreetName", street),
                _cbc("AdditionalStreetName", more),
                _cbc("CityName", issuer.city),
                _cbc("PostalZone", issuer.postal_code),
                _cac("AddressLine", _cbc("Line", ", ".join(issuer.address[2:]))),
                _cac("Country", _cbc("IdentificationCode", issuer.country)),
            ),
            *(
                _cac("PartyTaxScheme", _cbc("CompanyID", number), _cac("TaxScheme", _cbc("ID", scheme)))
                for number, scheme in ((vat, "VAT"), (local, "TAX"))
                if number and in_scope
            ),
            _cac(
                "PartyLegalEntity",
                _cbc("RegistrationName", issuer.name),
                _cbc("CompanyID", numbers.rc),
                _cbc("CompanyLegalForm", issuer.legal_registration),
            ),
            _cac("Contact", _cbc("Telephone", issuer.phone), _cbc("ElectronicMail", issuer.email)),
        )

    def _buyer(self) -> etree._Element:
        bill = self._bill
        name = (bill.get("customer_name") or "").strip() or bill["customer_id"]
        country = _cac("Country", _cbc("IdentificationCode", self._issuer.country))
        return _cac(
            "Party",
            _cac("PartyIdentification", _cbc("ID", bill["customer_id"])),
            _cac("PostalAddress", _cbc("CountrySubentity", bill["region"]), country),
            _cac("PartyLegalEntity", _cbc("RegistrationName", name)),
        )

    def _payment(self) -> etree._Element | None:
        """Where to pay what is due."""
        bank = self._issuer.bank
        if bank is None or self._bill["amount_due"] <= 0:
            return None
        return _cac(
            "PaymentMeans",
            _cbc("PaymentMeansCode", _TRANSFER),
            _cbc("PaymentID", self._issued.number),
            _cac(
                "PayeeFinancialAccount",
                _cbc("ID", bank.iban or bank.rib),
                _cbc("Name", self._issuer.name),
                _cac("FinancialInstitutionBranch", _cbc("ID", bank.bic)),
            ),
        )

    def _discount(self, rate: Mapping[str, Any]) -> etree._Element:
        return _cac(
            "AllowanceCharge",
            _cbc("ChargeIndicator", "false"),
            _cbc("AllowanceChargeReasonCode", _DISCOUNT),
            _cbc("AllowanceChargeReason", self._says("discount")),
            self._amount("Amount", rate["discount"]),
            _category("TaxCategory", rate),
        )

    def _taxes(self) -> etree._Element:
        return _cac(
            "TaxTotal",
            self._amount("TaxAmount", self._bill["tax"]),
            *(
                _cac(
                    "TaxSubtotal",
                    self._amount("TaxableAmount", rate["amount"] - rate["discount"]),
                    self._amount("TaxAmount", rate["tax"]),
                    _category("TaxCategory", rate, self._reason(rate)),
                )
                for rate in self._rates
            ),
        )

    def _reason(self, rate: Mapping[str, Any]) -> str | None:
        """Why no tax is due. Corrections of a period with other terms have no reason of theirs: the category says it."""
        word = _REASONS.get(rate["tax_category"])
        return (rate.get("exemption_reason") or self._says(word)) if word else None

    def _totals(self) -> etree._Element:
        bill = self._bill
        return _cac(
            "LegalMonetaryTotal",
            self._amount("LineExtensionAmount", bill["amount_before_tax"]),
            self._amount("TaxExclusiveAmount", bill["after_discount"]),
            self._amount("TaxInclusiveAmount", bill["amount_due"]),
            self._amount("AllowanceTotalAmount", bill["discount"]),
            self._amount("PayableAmount", bill["amount_due"]),
        )

    def _line(self, line: Mapping[str, Any]) -> etree._Element:
        says = self._says
        used = says.quantity(line) if line["kind"] != MANUAL else None
        about = (used, f"{says('plan')} {line['rate_plan_id']}", f"{says('region')} {line['region']}")
        period = _period(line["original_period"]) if line["original_period"] else None
        return self._any_line(
            line["line_no"], line["amount"], says.line(line), " · ".join(part for part in about if part), period, line
        )

    def _no_usage(self) -> etree._Element:
        return self._any_line(1, self._nothing, self._says("no_usage"), None, None, self._rates[0])

    def _any_line(
        self,
        number: int,
        amount: Decimal,
        name: str,
        about: str | None,
        period: etree._Element | None,
        taxed: Mapping[str, Any],
    ) -> etree._Element:
        quantity = "-1" if self._signed(amount) < 0 else "1"
        return _cac(
            f"{self._kind}Line",
            _cbc("ID", str(number)),
            _cbc("CreditedQuantity" if self._credits else "InvoicedQuantity", quantity, unitCode=_ONE),
            self._amount("LineExtensionAmount", amount),
            period,
            _cac("Item", _cbc("Description", about), _cbc("Name", name), _category("ClassifiedTaxCategory", taxed)),
            _cac("Price", _cbc("PriceAmount", plain(abs(amount)), currencyID=self._bill["currency"])),
        )

    def _amount(self, name: str, amount: Decimal) -> etree._Element | None:
        return _cbc(name, plain(self._signed(amount)), currencyID=self._bill["currency"])

    def _signed(self, amount: Decimal) -> Decimal:
        return amount.copy_negate() if self._credits and amount else amount

    def _check_rates(self) -> None:
        """Raise InvoiceError unless the lines of each tax rate add up to it, and the totals follow from each other."""
        bill = self._bill
        sums = {(rate["tax_category"], rate["tax_pct"]): rate["amount"] for rate in self._rates}
        for line in self._issued.lines:
            rate = (line["tax_category"], line["tax_pct"])
            sums[rate] = sums.get(rate, self._nothing) - line["amount"]
        if any(sums.values()) or bill["after_discount"] != bill["amount_before_tax"] - bill["discount"]:
            raise InvoiceError(
                f"customer {bill['customer_id']!r}, document {self._issued.number}: lines, tax rates and totals do not add up"
            )


def _category(name: str, taxed: Mapping[str, Any], reason: str | None = None) -> etree._Element:
    out_of_scope = taxed["tax_category"] == _OUT_OF_SCOPE
    return _cac(
        name,
        _cbc("ID", taxed["tax_category"]),
        None if out_of_scope else _cbc("Percent", percentage(taxed["tax_pct"])),
        _cbc("TaxExemptionReason", reason),
        _cac("TaxScheme", _cbc("ID", "VAT")),
    )


def _period(month: str) -> etree._Element:
    first, last = period_bounds(month)
    return _cac("InvoicePeriod", _cbc("StartDate", first.isoformat()), _cbc("EndDate", last.isoformat()))


def _reference(billed: Billed) -> etree._Element:
    document = (_cbc("ID", billed.number), _cbc("IssueDate", billed.issue_date.isoformat()))
    return _cac("BillingReference", _cac("InvoiceDocumentReference", *document))


def _cac(name: str, *children: etree._Element | None) -> etree._Element:
    element = etree.Element(f"{{{_CAC}}}{name}", nsmap={"cac": _CAC, "cbc": _CBC})
    _fill(element, *children)
    return element


def _cbc(name: str, text: str | None, **attributes: str) -> etree._Element | None:
    """An element with a text; None where there is no text: EN 16931 allows no empty element."""
    if not text:
        return None
    element = etree.Element(f"{{{_CBC}}}{name}", attributes, nsmap={"cac": _CAC, "cbc": _CBC})
    element.text = legible(text)
    return element


def _fill(parent: etree._Element, *children: etree._Element | None) -> None:
    """Append the children that there are, without those that hold nothing."""
    parent.extend(_not_empty(children))


def _not_empty(elements: Iterable[etree._Element | None]) -> list[etree._Element]:
    return [each for each in elements if each is not None and (len(each) or each.text)]
