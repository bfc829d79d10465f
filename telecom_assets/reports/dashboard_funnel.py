"""The funnel as the dashboard shows it: stages, reasons, and the way from usage to amount due.

Belongs here: widths, shares and order. Does not belong here: the counts and their sums (`funnel`), markup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from telecom_assets.model.currencies import currency_scale
from telecom_assets.model.text import for_people, legible, plain, share
from telecom_assets.reports.funnel import DUPLICATE_REASONS, MISSING_VOLUME, OUT_OF_RANGE, Funnel


@dataclass(frozen=True)
class Stage:
    """A step of the funnel: the CDRs that reach it, their share of the received ones, and the CDRs lost before it."""

    name: str
    title: str
    count: int
    width: str
    share: str
    lost: Sequence[tuple[str, str, int, str]] = ()


def stages(funnel: Funnel) -> list[Stage]:
    """The steps received, cleaned and rated, each with the CDRs lost before it."""
    whole = funnel.received

    def stage(name: str, title: str, count: int, *lost: tuple[str, str, int]) -> Stage:
        gone = [(kind, label, number, _width(number, whole)) for kind, label, number in lost if number]
        return Stage(name, title, count, _width(count, whole), share(count, whole) if whole else "", gone)

    return [
        stage("received", "Received", funnel.received),
        stage(
            "cleaned",
            "Cleaned",
            funnel.cleaned,
            ("duplicate", "duplicates", funnel.duplicates_total),
            ("invalid", "rejected", funnel.invalid_total),
        ),
        stage(
            "rated",
            "Rated",
            funnel.charged,
            ("suspended", "suspended", funnel.suspended_total + funnel.imputed_out_of_range),
            ("excluded", "excluded", funnel.excluded_total),
            ("deferred", "deferred", _waiting(funnel)),
        ),
    ]


def outcomes_claim(funnel: Funnel) -> str:
    """The claim in the funnel's heading about the outcomes of all records, as far as the counts support it."""
    if funnel.is_empty:
        return ""
    without = (funnel.without_outcome, funnel.without_price)
    if any(count < 0 for count in without):
        return "more outcomes than records"
    return f"{for_people(sum(without))} records without an outcome" if any(without) else "every record has an outcome"


def nothing_rejected(funnel: Funnel) -> str:
    """The text in the place of the reasons of rejection when there is none."""
    if not funnel.received:
        return "No CDR was received."
    if funnel.without_outcome:
        return f"No CDR is rejected; {for_people(funnel.without_outcome)} have no outcome."
    return "Nothing was rejected."


def nothing_unrated(funnel: Funnel) -> str:
    """The text in the place of the reasons for having no price when there is none."""
    if not funnel.cleaned:
        return "No CDR was cleaned."
    if funnel.without_price:
        return f"{for_people(funnel.without_price)} cleaned CDRs have neither a price nor a reason."
    return "Every cleaned CDR was rated."


def rejected_reasons(counts: Mapping[str, int]) -> list[tuple[str, str, int, str]]:
    """(reason, kind, count, width of its bar), most frequent first."""
    most = max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        (legible(reason), "duplicate" if reason in DUPLICATE_REASONS else "invalid", count, _width(count, most))
        for reason, count in ordered
    ]


def _waiting(funnel: Funnel) -> int:
    """Deferred CDRs that the month has not priced; 0 where it has priced more than were deferred."""
    return max(funnel.deferred - funnel.imputed, 0)


def not_rated(funnel: Funnel) -> list[tuple[str, str, int]]:
    """Cleaned CDRs without a price: (reason, disposition, count)."""
    suspended = dict(funnel.suspended)
    if funnel.imputed_out_of_range:
        suspended[OUT_OF_RANGE] = suspended.get(OUT_OF_RANGE, 0) + funnel.imputed_out_of_range
    return [
        *((reason, "suspended", count) for reason, count in suspended.items()),
        *((reason, "excluded", count) for reason, count in funnel.excluded.items()),
        *([(MISSING_VOLUME, "deferred", _waiting(funnel))] if _waiting(funnel) else []),
    ]


def not_rated_total(funnel: Funnel) -> int:
    """All cleaned CDRs without a price."""
    return sum(count for *_, count in not_rated(funnel))


def not_rated_reasons(funnel: Funnel) -> list[tuple[str, str, int, str]]:
    """(reason, disposition, count, width of its bar), most frequent first."""
    found = not_rated(funnel)
    most = max((count for _, _, count in found), default=0)
    ordered = sorted(found, key=lambda item: (-item[2], item[0]))
    return [(legible(reason), kind, count, _width(count, most)) for reason, kind, count in ordered]


def money_steps(funnel: Funnel, currency: str) -> list[dict[str, str]]:
    """From the exact sum of rated usage to what customers owe, as it adds up."""
    billed = currency_scale(currency)
    steps: tuple[tuple[str, str, Decimal, int, str], ...] = (
        ("rated_amount", "Rated usage, exact", funnel.charged_amount, 6, ""),
        ("rounding_difference", "Rounding of invoice lines", funnel.rounding_difference, 6, "step"),
        ("amount_before_tax", "Amount before tax", funnel.amount_before_tax, billed, "sum"),
        ("discount", "Discount", -funnel.discount, billed, "step"),
        ("after_discount", "After discount", funnel.after_discount, billed, "sum"),
        ("tax", "Tax", funnel.tax, billed, "step"),
        ("amount_due", "Amount due", funnel.amount_due, billed, "total"),
    )
    return [
        {
            "name": name,
            "title": title,
            "value": plain(abs(amount) if name == "discount" else amount),
            "shown": f"+{for_people(amount, digits)}" if kind == "step" and amount > 0 else for_people(amount, digits),
            "kind": kind,
        }
        for name, title, amount, digits, kind in steps
    ]


def _width(part: int, whole: int) -> str:
    """Width of a bar in percent, for a style attribute. A count that is not 0 can be seen."""
    if not whole or not part:
        return "0"
    return f"{max(part * 100 / whole, 0.4):.2f}"
