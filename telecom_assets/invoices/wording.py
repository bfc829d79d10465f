"""What a bill says in French and in English: words, dates and numbers, as a customer reads them.

Belongs here: a form for each language. Does not belong here: where it stands on the page (`data/invoice.typ`), which figures there are
(`telecom_assets.invoices.pdf`).
"""

import datetime as dt
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

from telecom_assets.billing.tables import ADJUSTMENT, MANUAL, SERVICES
from telecom_assets.invoices.issuer import Language
from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.period_titles import period_bounds

_NARROW = "\u202f"
_FIXED = "\u00a0"

_MONTHS: Mapping[Language, str] = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}

#: The word for the units of a service; None: they are its events.
UNITS = {"voice": "minutes", "sms": None, "data": "megabytes"}
#: English and French, by key. `{}` is filled in.
_WORDS: Mapping[str, tuple[str, str]] = {
    "invoice": ("Invoice", "Facture"),
    "credit_note": ("Credit note", "Avoir"),
    "supplementary": ("Supplementary invoice", "Facture complémentaire"),
    "draft": ("DRAFT", "BROUILLON"),
    "draft_note": (
        "Draft: not yet an invoice. It has no number, and its amounts may still change.",
        "Brouillon : ceci n'est pas encore une facture. Sans numéro, et ses montants peuvent changer.",
    ),
    "billed_to": ("Billed to", "Facturé à"),
    "customer": ("Customer", "Client"),
    "plan": ("Plan", "Forfait"),
    "region": ("Region", "Région"),
    "number": ("Number", "Numéro"),
    "issued": ("Issued", "Émise le"),
    "issued_note": ("Issued", "Émis le"),
    "due": ("Due", "À payer avant le"),
    "pay_by": ("to be paid by {}", "à payer au plus tard le {}"),
    "period": ("Period", "Période"),
    "corrects": ("Corrects", "Corrige"),
    "amount_due": ("Amount due", "Montant à payer"),
    "amount_back": ("Amount in your favour", "Montant en votre faveur"),
    "amount_so_far": ("Provisional amount", "Montant provisoire"),
    "nothing_due": ("Nothing to pay", "Rien à payer"),
    "description": ("Description", "Désignation"),
    "quantity": ("Quantity", "Quantité"),
    "amount": ("Amount", "Montant"),
    "amounts_in": ("Amounts in {}", "Montants en {}"),
    "usage": ("Usage", "Consommation"),
    "corrections": ("Corrections of earlier months", "Corrections de mois antérieurs"),
    "voice": ("Calls", "Appels"),
    "sms": ("Messages", "Messages"),
    "data": ("Mobile data", "Données mobiles"),
    "other": ("Other", "Autres"),
    "manual": ("Adjustment", "Régularisation"),
    "correction_of": ("{}: correction for {}", "{} : correction pour {}"),
    "for_month": ("for {}", "pour {}"),
    "total_before": ("Total before tax", "Total hors taxes"),
    "discount": ("Discount", "Remise"),
    "after_discount": ("Total after discount", "Total après remise"),
    "tax_of": ("Tax {}", "TVA {}"),
    "tax": ("Tax", "Taxe"),
    "tax_by_rate": ("Tax by rate", "Taxes par taux"),
    "rate": ("Rate", "Taux"),
    "base": ("Base", "Base"),
    "zero_rated": ("zero rate", "taux zéro"),
    "exempt": ("exempt", "exonéré"),
    "out_of_scope": ("out of scope", "hors champ"),
    "to_pay": ("How to pay", "Pour payer"),
    "bank": ("Bank", "Banque"),
    "page": ("Page {} of {}", "Page {} sur {}"),
    "detail": ("Your usage by day", "Votre consommation par jour"),
    "detail_note": (
        "Before discount and tax, unrounded. Each line of the bill is the sum of its usage, rounded once.",
        "Avant remise et taxes, non arrondi. Chaque ligne de la facture est la somme de sa consommation, arrondie une fois.",
    ),
    "day": ("Day", "Jour"),
    "events": ("No.", "Nb"),
    "total": ("Total", "Total"),
    "minutes": ("min", "min"),
    "megabytes": ("MB", "Mo"),
    "units": ("units", "unités"),
    "no_usage": ("No usage", "Aucune consommation"),
    "in_your_favour": (
        "This amount is in your favour; nothing is to be paid.",
        "Ce montant est en votre faveur ; il n'y a rien à payer.",
    ),
}


class Wording:
    """The words, dates and numbers of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._french = language == "fr"

    def __call__(self, key: str, *filled: str) -> str:
        """The words of a key. Raises KeyError for one that there is not."""
        return _WORDS[key][self._french].format(*filled) if filled else _WORDS[key][self._french]

    @cached_property
    def words(self) -> Mapping[str, str]:
        """All words without anything to fill in."""
        return {key: words[self._french] for key, words in _WORDS.items()}

    def number(self, value: Decimal | int, digits: int) -> str:
        """`1,234.50` and `1 234,50`, half up, with a real minus sign."""
        shown = f"{Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP):,f}"
        sign = "−" if shown.startswith("-") and shown.strip("-0.,") else ""
        shown = shown.removeprefix("-")
        if self._french:
            shown = shown.replace(",", _NARROW).replace(".", ",")
        return sign + shown

    def exact(self, value: Decimal | int) -> str:
        """The number with the decimals that it needs and no more."""
        return self.number(value, decimals_of(value))

    def money(self, value: Decimal, currency: str) -> str:
        """The amount with the decimals of its currency, without its code."""
        return self.number(value, currency_scale(currency))

    def percent(self, value: Decimal) -> str:
        return f"{self.exact(value)}{_FIXED if self._french else ''}%"

    def day(self, day: dt.date) -> str:
        """`3 November 2026`, `1er novembre 2026`."""
        return f"{self._day_of_month(day)}{_FIXED}{self._month_name(day)} {day.year}"

    def month(self, period: str) -> str:
        """`October 2026` for 2026-10."""
        first, _ = period_bounds(period)
        return f"{self._month_name(first)}{_FIXED}{first.year}"

    def days_of(self, period: str) -> str:
        """`1–31 October 2026`, `1er au 31 octobre 2026`."""
        first, last = period_bounds(period)
        between = f"{_FIXED}au{_FIXED}" if self._french else "–"
        return f"{self._day_of_month(first)}{between}{last.day} {self.month(period)}"

    def line(self, line: Mapping[str, Any]) -> str:
        """What a row of bill_lines is for: `Calls`, `Calls: correction for April 2025`."""
        service, original = line["service"], line["original_period"]
        known = "manual" if line["kind"] == MANUAL or not service else service if service in SERVICES else None
        text = self(known) if known else service
        if line["kind"] == ADJUSTMENT and original:
            return self("correction_of", text, self.month(original))
        return f"{text} {self('for_month', self.month(original))}" if original else text

    def quantity(self, line: Mapping[str, Any]) -> str:
        """The units of a row of bill_lines, `12.5 min`; its events where they are the units."""
        unit = UNITS.get(line["service"], "units")
        if unit is None:
            return self.number(line["events"], 0)
        return f"{self.exact(line['units'])}{_FIXED}{self(unit)}"

    def _day_of_month(self, day: dt.date) -> str:
        return "1er" if self._french and day.day == 1 else str(day.day)

    def _month_name(self, day: dt.date) -> str:
        return _MONTHS[self.language].split()[day.month - 1]


def decimals_of(value: Decimal | int) -> int:
    """How many decimals a number needs: 2 for 1.5000 + 0.05."""
    exponent = Decimal(value).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
