"""The terms of bills, with their dates: read from CSV or made of the settings, and judged before they are stored.

Belongs here: what a row of terms may hold. Does not belong here: which terms a period has (`telecom_assets.billing.terms`).
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.model.stretches import union
from telecom_assets.reference.as_of import stretch_of, validity_findings
from telecom_assets.reference.csv_files import CsvRow, InputFileError, read_csv_rows, read_day
from telecom_assets.reference.tables import BILLING_TERMS

#: Codes of UNCL 5305 that a bill may have: standard rate, zero rate, exempt, outside of the scope of tax.
STANDARD, ZERO, EXEMPT, OUT_OF_SCOPE = "S", "Z", "E", "O"
TAX_CATEGORIES = (STANDARD, ZERO, EXEMPT, OUT_OF_SCOPE)
#: Days to pay where nobody has said another number.
PAYMENT_DAYS = 30
_MOST_PAYMENT_DAYS = 3660

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4}0*)?")
_DAYS = re.compile(r"[0-9]{1,4}")


def terms_of_settings(discount_pct: Decimal, tax_pct: Decimal) -> pa.Table:
    """The one row of billing_terms that the settings are, without bounds. Tax of 0 is a zero rate."""
    row = {
        "discount_pct": discount_pct,
        "tax_pct": tax_pct,
        "tax_category": STANDARD if tax_pct else ZERO,
        "payment_days": PAYMENT_DAYS,
    }
    return pa.Table.from_pylist([row], schema=BILLING_TERMS.arrow_schema())


def read_billing_terms(path: Path) -> pa.Table:
    """The rows of a file of terms, judged. Raises InputFileError with everything that is wrong with their meaning."""
    rows = [_row(path, row) for row in read_csv_rows(path, BILLING_TERMS.column_names)]
    if not rows:
        raise InputFileError(f"{path}: has no rows; expected at least one of {BILLING_TERMS.name}")
    table = pa.Table.from_pylist(rows, schema=BILLING_TERMS.arrow_schema())
    if findings := billing_terms_findings(table):
        raise InputFileError(f"{path}: {'; '.join(findings)}; nothing of it was stored")
    return table


def billing_terms_findings(terms: pa.Table) -> list[str]:
    """What is wrong with some terms: their dates, tax categories and rates that do not go together."""
    rows = terms.to_pylist()
    return [
        *validity_findings(terms, BILLING_TERMS),
        *(f"billing_terms {_named(row)}: {problem}" for row in rows for problem in _tax_problems(row)),
    ]


def days_without_terms(terms: pa.Table) -> list[str]:
    """The stretches between two terms in which no terms are in force: a month that ends there cannot be billed."""
    stretches = union(stretch_of(row) for row in terms.to_pylist())
    return [
        f"billing_terms: no terms from {before.end} up to {after.first}; a month that ends there cannot be billed"
        for before, after in pairwise(stretches)
    ]


def _tax_problems(row: Mapping[str, Any]) -> Iterator[str]:
    category, rate, reason = row["tax_category"], row["tax_pct"], row["exemption_reason"]
    if category == STANDARD and not rate:
        yield f"tax_category {STANDARD} with tax_pct 0; expected a rate, or one of {ZERO}, {EXEMPT}, {OUT_OF_SCOPE}"
    if category != STANDARD and rate:
        yield f"tax_category {category} with tax_pct {rate:f}; expected tax_pct 0, or {STANDARD}"
    if category in (EXEMPT, OUT_OF_SCOPE) and not reason:
        yield f"tax_category {category} without exemption_reason; expected the reason why no tax is due"


def _named(row: Mapping[str, Any]) -> str:
    """The days of some terms."""
    return f"({stretch_of(row)})"


def _row(path: Path, row: CsvRow) -> dict[str, Any]:
    where, names = f"{path}: line {row.line}", BILLING_TERMS.column_names
    if row.values is None:
        raise InputFileError(f"{where}: has {row.found} values, expected {len(names)}")
    return {name: _value(where, name, text.strip()) for name, text in zip(names, row.values, strict=True)}


def _value(where: str, name: str, text: str) -> object:
    """The value of a cell. Raises InputFileError for what cannot be one of its column."""
    if not text and not BILLING_TERMS.column(name).required:
        return None
    value = _READERS.get(name, str)(text)
    if value is None:
        raise InputFileError(f"{where}: {name} is {text!r}; expected {_EXPECTED[name]}")
    return value


def _percent(text: str) -> Decimal | None:
    return Decimal(text) if _PERCENT.fullmatch(text) and Decimal(text) <= 100 else None


def _payment_days(text: str) -> int | None:
    return int(text) if _DAYS.fullmatch(text) and int(text) <= _MOST_PAYMENT_DAYS else None


def _category(text: str) -> str | None:
    return text if text in TAX_CATEGORIES else None


_READERS: Mapping[str, Any] = {
    VALID_FROM: read_day,
    VALID_TO: read_day,
    "discount_pct": _percent,
    "tax_pct": _percent,
    "tax_category": _category,
    "payment_days": _payment_days,
}
_EXPECTED = {
    **dict.fromkeys((VALID_FROM, VALID_TO), "a day, YYYY-MM-DD, or nothing"),
    **dict.fromkeys(("discount_pct", "tax_pct"), "percent, 0 to 100, with up to 4 decimals"),
    "tax_category": f"one of {', '.join(TAX_CATEGORIES)}",
    "payment_days": f"days, 0 to {_MOST_PAYMENT_DAYS}",
}
