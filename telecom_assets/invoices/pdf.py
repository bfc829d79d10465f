"""One document as PDF: what a customer reads.

Belongs here: which figures and words stand on the page, and that they add up to the bill. Does not belong here: how the page looks
(`data/invoice.typ`), words and forms of numbers (`wording`), the XML (`document`).

Decisions
- The page gets its figures as one JSON text (`sys.inputs`), never as source: markup in a name is text.
- The fonts are those in the typesetter and those of the issuer's `fonts` folder, never the machine's: the same bill gives the
  same bytes on every machine. Without a folder, Latin, Greek, Cyrillic and Arabic letters have glyphs; others are shown as a box.
- A document is PDF/A-2b where every letter has a glyph, which that standard asks for; else plain PDF.
- The date in the file is the issue date; of a draft, the last day of its period. It has no other time.
"""

import datetime as dt
import hashlib
import importlib.metadata
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

import typst

from telecom_assets.billing.tables import ADJUSTMENT, MANUAL, SERVICES
from telecom_assets.invoices.document import InvoiceError, Issued
from telecom_assets.invoices.issuer import Issuer
from telecom_assets.invoices.wording import UNITS, Wording, decimals_of
from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.period_titles import period_bounds
from telecom_assets.model.text import legible

_CATEGORIES = {"Z": "zero_rated", "E": "exempt", "O": "out_of_scope"}
_ZERO = Decimal(0)


@dataclass(frozen=True)
class Content:
    """What a document is made of besides its totals.

    lines: rows of bill_lines. rates: what it comes to at each tax rate, as in `Issued`. days: usage by local day and service, with the
    columns day, service, events, units and amount (`telecom_assets.invoices.by_day`).
    """

    lines: Sequence[Mapping[str, Any]]
    rates: Sequence[Mapping[str, Any]]
    days: Sequence[Mapping[str, Any]] = ()


class PdfWriter:
    """Makes the PDFs of one billing period. Not for several threads. Raises ValueError when `period` is not yyyy-MM."""

    def __init__(self, period: str, issuer: Issuer) -> None:
        self.period = period
        _, self._last_day = period_bounds(period)
        self._issuer = issuer
        self._template = (importlib.resources.files("telecom_assets") / "data" / "invoice.typ").read_bytes()
        self._compiler = typst.Compiler(
            root=issuer.logo.parent if issuer.logo else None,
            font_paths=[issuer.fonts] if issuer.fonts else [],
            ignore_system_fonts=True,
        )

    def document(self, bill: Mapping[str, Any], content: Content, issued: Issued | None = None) -> bytes:
        """The PDF of one bill: a row of FACTURATION_COMPLETE with an optional `customer_name`; a draft unless it is issued.

        Raises InvoiceError when lines, tax rates or days do not add up to the bill.
        """
        return self.typeset(self.text(bill, content, issued))

    def text(self, bill: Mapping[str, Any], content: Content, issued: Issued | None = None) -> str:
        """`page` as JSON, checked as by `document`. Equal texts and an equal `made_with` give an equal PDF."""
        _check(bill, content)
        return json.dumps(self.page(bill, content, issued), ensure_ascii=False)

    @cached_property
    def made_with(self) -> str:
        """A digest of what all PDFs of this writer are made with: the template, the typesetter, logo and fonts."""
        digest = hashlib.sha256(self._template)
        digest.update(importlib.metadata.version("typst").encode())
        fonts = sorted(each for each in self._issuer.fonts.rglob("*") if each.is_file()) if self._issuer.fonts else []
        for path in [*([self._issuer.logo] if self._issuer.logo else []), *fonts]:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def typeset(self, text: str) -> bytes:
        """The PDF of a page, which is a value of `text`."""
        inputs = {"bill": text}
        timestamp = dt.datetime.combine(dt.date(*json.loads(text)["date"]), dt.time(), dt.UTC)
        try:
            made = self._compiler.compile(
                self._template,
                format="pdf",
                sys_inputs=inputs,
                timestamp=timestamp,
                pdf_standards=["a-2b"],
                pdf_tags=False,
            )
        except typst.TypstError:  # a letter without a glyph: no PDF/A may have one
            made = self._compiler.compile(
                self._template, format="pdf", sys_inputs=inputs, timestamp=timestamp, pdf_tags=False
            )
        return cast(bytes, made)

    def page(self, bill: Mapping[str, Any], content: Content, issued: Issued | None = None) -> dict[str, Any]:
        """Everything that stands on the page, as texts."""
        says = Wording(self._issuer.language_of(bill["customer_id"]))
        kind = issued.kind if issued else bill.get("document_kind", "invoice")
        original = issued.original_period if issued else bill.get("original_period")
        facts = [
            *([(says("number"), issued.number)] if issued else []),
            (says("period"), says.days_of(self.period)),
            *([(says("corrects"), says.month(original))] if original else []),
        ]
        if issued:
            masculine = kind == "credit_note"
            facts.append((says("issued_note" if masculine else "issued"), says.day(issued.issue_date)))
            if bill["amount_due"] > 0:
                facts.append((says("due"), says.day(issued.due_date)))
        day = issued.issue_date if issued else self._last_day
        return {
            "language": says.language,
            "words": says.words,
            "date": [day.year, day.month, day.day],
            "title": says(kind),
            "number": issued.number if issued else None,
            "draft": issued is None,
            "issuer": _issuer(self._issuer, says),
            "customer": {
                "name": legible(bill.get("customer_name") or bill["customer_id"]),
                "facts": [
                    (says("customer"), legible(bill["customer_id"])),
                    (says("plan"), legible(bill["rate_plan_id"])),
                    (says("region"), legible(bill["region"])),
                ],
            },
            "facts": facts,
            "currency": legible(bill["currency"]),
            "due": _due(bill, issued, says),
            "sections": _sections(bill, content.lines, says),
            "totals": _totals(bill, content.rates, says),
            "rates": [_rate(rate, bill["currency"], says) for rate in content.rates],
            "pay": issued is not None and bill["amount_due"] > 0,
            "detail": _detail(content.days, bill["currency"], says),
        }


def _issuer(issuer: Issuer, says: Wording) -> dict[str, Any]:
    town = " ".join(part for part in (issuer.postal_code, issuer.city) if part)
    taxes = issuer.tax_numbers
    numbers = (
        ("ICE", taxes.ice),
        ("IF", taxes.fiscal_id),
        ("RC", taxes.rc),
        ("TVA" if says.language == "fr" else "VAT", issuer.vat_id),
    )
    bank = issuer.bank
    account = (
        []
        if bank is None
        else [
            (says("bank"), bank.name),
            ("IBAN", _in_fours(bank.iban)),
            ("BIC", bank.bic),
            ("RIB", bank.rib and f"{bank.rib[:3]} {bank.rib[3:6]} {bank.rib[6:22]} {bank.rib[22:]}"),
        ]
    )
    return {
        "name": issuer.name,
        "logo": f"/{issuer.logo.name}" if issuer.logo else None,
        "font": issuer.font,
        "address": [*issuer.address, *([town] if town else [])],
        "contact": [each for each in (issuer.email, issuer.phone, issuer.website) if each],
        "legal": [
            *([issuer.legal_registration] if issuer.legal_registration else []),
            *(f"{name} {number}" for name, number in numbers if number),
        ],
        "account": [(name, value) for name, value in account if value],
        "note": issuer.note,
    }


def _in_fours(iban: str | None) -> str | None:
    return iban and " ".join(iban[start : start + 4] for start in range(0, len(iban), 4))


def _due(bill: Mapping[str, Any], issued: Issued | None, says: Wording) -> dict[str, str]:
    due = bill["amount_due"]
    label = (
        "amount_so_far" if issued is None else "amount_due" if due > 0 else "amount_back" if due < 0 else "nothing_due"
    )
    by = says("pay_by", says.day(issued.due_date)) if issued and due > 0 else ""
    return {"label": says(label), "by": by, "amount": says.money(due if issued is None else abs(due), bill["currency"])}


def _sections(bill: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], says: Wording) -> list[dict[str, Any]]:
    """The lines of the bill's own month, then the corrections of closed ones."""
    own = [line for line in lines if line["kind"] != ADJUSTMENT]
    corrections = [line for line in lines if line["kind"] == ADJUSTMENT]
    shown = [("usage", own), ("corrections", corrections)]
    return [
        {"title": says(title), "lines": [_line(line, bill, lines, says) for line in some]}
        for title, some in shown
        if some
    ]


def _line(
    line: Mapping[str, Any], bill: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], says: Wording
) -> dict[str, str]:
    # The plan and region of a line are named where they are not the bill's.
    about = [
        legible(line[name])
        for name in ("rate_plan_id", "region")
        if line[name] != bill[name] or len({each[name] for each in lines}) > 1
    ]
    if len({(each["tax_category"], each["tax_pct"]) for each in lines}) > 1:
        about.append(says("tax_of", says.percent(line["tax_pct"])))
    return {
        "text": legible(says.line(line)),
        "about": " · ".join(about),
        "quantity": says.quantity(line) if line["kind"] != MANUAL else "",
        "amount": says.money(line["amount"], bill["currency"]),
    }


def _totals(bill: Mapping[str, Any], rates: Sequence[Mapping[str, Any]], says: Wording) -> list[tuple[str, str]]:
    currency = bill["currency"]
    totals = [(says("total_before"), says.money(bill["amount_before_tax"], currency))]
    if bill["discount"]:
        totals.append((says("discount"), says.money(-bill["discount"], currency)))
        totals.append((says("after_discount"), says.money(bill["after_discount"], currency)))
    return [*totals, *((_rate_name(rate, says), says.money(rate["tax"], currency)) for rate in rates)]


def _rate_name(rate: Mapping[str, Any], says: Wording) -> str:
    named = says("tax_of", says.percent(rate["tax_pct"]))
    category = _CATEGORIES.get(rate["tax_category"])
    return f"{named} ({says(category)})" if category else named


def _rate(rate: Mapping[str, Any], currency: str, says: Wording) -> dict[str, str]:
    category = _CATEGORIES.get(rate["tax_category"])
    reason = rate.get("exemption_reason")
    return {
        "rate": says.percent(rate["tax_pct"]) + (f" {says(category)}" if category else ""),
        "base": says.money(rate["amount"] - rate["discount"], currency),
        "tax": says.money(rate["tax"], currency),
        "reason": legible(reason) if reason else "",
    }


def _detail(days: Sequence[Mapping[str, Any]], currency: str, says: Wording) -> dict[str, Any] | None:
    """A row for each day with usage: of each service that the customer used, events, units and amount; then the sums."""
    if not days:
        return None
    found = {row["service"] for row in days}
    services = [*(name for name in SERVICES if name in found), *sorted(found - set(SERVICES))]
    digits = max(currency_scale(currency), *(decimals_of(row["amount"]) for row in days))
    parts = {
        name: max((decimals_of(row["units"]) for row in days if row["service"] == name), default=0) for name in services
    }
    cells = {(row["day"], row["service"]): row for row in days}

    def row(label: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
        shown: list[str] = []
        for name in services:
            some = rows[name]
            events = str(says.number(sum(each["events"] for each in some), 0)) if some else ""
            units = says.number(sum((each["units"] for each in some), _ZERO), parts[name]) if some else ""
            amount = says.number(sum((each["amount"] for each in some), _ZERO), digits) if some else ""
            shown += [events, *([units] if UNITS.get(name, "units") else []), amount]
        total = sum((each["amount"] for some in rows.values() for each in some), _ZERO)
        return {"label": label, "cells": [*shown, says.number(total, digits)]}

    return {
        "services": [
            {
                "title": says(name) if name in SERVICES else legible(name),
                "columns": [
                    says("events"),
                    *([says(unit)] if (unit := UNITS.get(name, "units")) else []),
                    says("amount"),
                ],
            }
            for name in services
        ],
        "rows": [
            row(str(day.day), {name: [cells[day, name]] if (day, name) in cells else [] for name in services})
            for day in sorted({each["day"] for each in days})
        ],
        "total": row(says("total"), {name: [each for each in days if each["service"] == name] for name in services}),
    }


def _check(bill: Mapping[str, Any], content: Content) -> None:
    """Raise InvoiceError unless what stands on the page adds up to the bill."""
    sums = [
        ("lines", content.lines, "amount", bill["amount_before_tax"]),
        ("tax rates", content.rates, "tax", bill["tax"]),
        ("tax rates", content.rates, "due", bill["amount_due"]),
    ]
    if content.days:
        usage = sum((line["exact_amount"] for line in content.lines if line["kind"] == "usage"), _ZERO)
        sums.append(("days", content.days, "amount", usage))
    for what, rows, column, expected in sums:
        found = sum((row[column] for row in rows), _ZERO)
        if found != expected:
            raise InvoiceError(
                f"customer {bill['customer_id']!r}: the {what} come to {column} {found}, and the bill has {expected}"
            )
