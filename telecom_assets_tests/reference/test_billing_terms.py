"""Terms of bills: what a file of them may hold, and which terms a period has."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from telecom_assets.billing.terms import BillingTerms, TermsError, terms_of
from telecom_assets.reference.billing_terms import (
    billing_terms_findings,
    days_without_terms,
    read_billing_terms,
    terms_of_settings,
)
from telecom_assets.reference.csv_files import InputFileError

HEADER = "valid_from,valid_to,discount_pct,tax_pct,tax_category,exemption_reason,payment_days"


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """A file of terms with these rows."""

    def written(*rows: str, header: str = HEADER) -> Path:
        path = tmp_path / "terms.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return written


HISTORY = (
    ",2026-04-01,5,20,S,,30",
    "2026-04-01,2026-06-30,2.4375,10,S,,15",
    '2026-06-30,,0,0,E,"Article 91, I",60',
)


def test_a_file_is_read_as_it_is_written(file: Callable[..., Path]) -> None:
    found = read_billing_terms(file(*HISTORY)).to_pylist()
    names = HEADER.split(",")
    assert [[row[name] for name in names] for row in found] == [
        [None, date(2026, 4, 1), Decimal(5), Decimal(20), "S", None, 30],
        [date(2026, 4, 1), date(2026, 6, 30), Decimal("2.4375"), Decimal(10), "S", None, 15],
        [date(2026, 6, 30), None, Decimal(0), Decimal(0), "E", "Article 91, I", 60],
    ]


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("2020-01", BillingTerms(Decimal(5), Decimal(20), "MAD", "S", None, 30)),
        (
            "2026-03",
            BillingTerms(Decimal(5), Decimal(20), "MAD", "S", None, 30),
        ),  # its last day is the last of the first row
        ("2026-04", BillingTerms(Decimal("2.4375"), Decimal(10), "MAD", "S", None, 15)),
        ("2026-05", BillingTerms(Decimal("2.4375"), Decimal(10), "MAD", "S", None, 15)),
        # One day of the new terms, which is the last day of the month.
        ("2026-06", BillingTerms(Decimal(0), Decimal(0), "MAD", "E", "Article 91, I", 60)),
    ],
)
def test_the_terms_of_a_period_are_those_of_its_last_day(
    file: Callable[..., Path], period: str, expected: BillingTerms
) -> None:
    assert terms_of(read_billing_terms(file(*HISTORY)), period, "MAD") == expected


def test_a_period_without_terms_is_not_billed(file: Callable[..., Path]) -> None:
    terms = read_billing_terms(file("2026-01-01,2026-03-31,5,20,S,,30", "2026-04-15,,5,20,S,,30"))
    assert terms_of(terms, "2026-02", "MAD").tax_pct == Decimal(20)
    assert terms_of(terms, "2026-04", "MAD").tax_pct == Decimal(20)
    for period, last in (("2025-12", "2025-12-31"), ("2026-03", "2026-03-31")):
        with pytest.raises(
            TermsError,
            match=rf"billing of {period}: no row of billing_terms in force on {last}, .*TELECOM_BILLING_TERMS",
        ):
            terms_of(terms, period, "MAD")
    assert days_without_terms(terms) == [
        "billing_terms: no terms from 2026-03-31 up to 2026-04-15; a month that ends there cannot be billed"
    ]


def test_terms_that_follow_each_other_leave_no_day_out(file: Callable[..., Path]) -> None:
    assert days_without_terms(read_billing_terms(file(*HISTORY))) == []


@pytest.mark.parametrize(("tax", "category"), [("20", "S"), ("0.0001", "S"), ("0", "Z"), ("0.0000", "Z")])
def test_without_a_file_the_settings_are_one_row_without_bounds(tax: str, category: str) -> None:
    terms = terms_of_settings(Decimal("7.5"), Decimal(tax))
    assert billing_terms_findings(terms) == []
    assert terms_of(terms, "2020-02", "EUR") == BillingTerms(Decimal("7.5"), Decimal(tax), "EUR", category, None, 30)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2026-01-01,,5,20,S,,30", "2026-03-01,,5,10,S,,30"], "more than once on a day"),
        ([",2026-03-02,5,20,S,,30", "2026-03-01,,5,10,S,,30"], "more than once on a day.*2026-03-01"),
        (["2026-03-01,2026-03-01,5,20,S,,30"], "in force on no day"),
        (["2026-03-02,2026-03-01,5,20,S,,30"], "in force on no day"),
        ([",,5,0,S,,30"], "tax_category S with tax_pct 0; expected a rate, or one of Z, E, O"),
        ([",,5,20,Z,,30"], "tax_category Z with tax_pct 20.*expected tax_pct 0, or S"),
        ([",,5,0,E,,30"], "tax_category E without exemption_reason"),
        ([",,5,0,O,,30"], "tax_category O without exemption_reason"),
        (
            [",,5.00001,20,S,,30"],
            "line 2: discount_pct is '5.00001'; expected percent, 0 to 100, with up to 4 decimals",
        ),
        ([",,5,100.0001,S,,30"], "tax_pct is '100.0001'; expected percent"),
        ([",,-1,20,S,,30"], "discount_pct is '-1'; expected percent"),
        ([",,1e1,20,S,,30"], "discount_pct is '1e1'; expected percent"),
        ([",,,20,S,,30"], "discount_pct is ''; expected percent"),
        ([",,5,20,VAT,,30"], "tax_category is 'VAT'; expected one of S, Z, E, O"),
        ([",,5,20,S,,-1"], "payment_days is '-1'; expected days, 0 to 3660"),
        ([",,5,20,S,,"], "payment_days is ''; expected days"),
        (["2026-02-30,,5,20,S,,30"], "valid_from is '2026-02-30'; expected a day, YYYY-MM-DD, or nothing"),
        (["01/02/2026,,5,20,S,,30"], "valid_from is '01/02/2026'; expected a day"),
        ([",,5,20,S,30"], "line 2: has 6 values, expected 7"),
        ([], "has no rows"),
    ],
)
def test_a_file_that_is_wrong_is_refused(file: Callable[..., Path], rows: list[str], message: str) -> None:
    path = file(*rows)
    with pytest.raises(InputFileError, match=message) as caught:
        read_billing_terms(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_without_a_column_is_refused(file: Callable[..., Path]) -> None:
    with pytest.raises(InputFileError, match="no column 'payment_days'"):
        read_billing_terms(file(",,5,20,S,", header=HEADER.removesuffix(",payment_days")))
