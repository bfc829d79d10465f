"""Entries as pure rules: whatever a period comes to, debits are credits; accounts of a file, and what is refused of it."""

from collections import defaultdict
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecom_assets.accounting.accounts import Accounts, AccountsError, read_accounts
from telecom_assets.accounting.entries import Lines, Outside, Sums, balance, close_entries

ACCOUNTS = read_accounts(None, ())
SERVICES = ("data", "sms", "voice")
RATES = (Decimal(7), Decimal("19.625"), Decimal(20))


def rounded(amount: Decimal, scale: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)


@st.composite
def periods(draw: st.DrawFn) -> tuple[Sums, int]:
    """The sums of documents that are each made by EN 16931: a line, a discount and a tax are rounded once; credit notes are below 0."""
    scale = draw(st.sampled_from((0, 2, 3)))
    micro = st.integers(-(10**9), 10**9).map(lambda number: Decimal(number).scaleb(-6))
    lines: defaultdict[tuple[str, str | None, str | None], list[tuple[Decimal, Decimal]]] = defaultdict(list)
    discounts: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    taxes: defaultdict[tuple[str, Decimal], Decimal] = defaultdict(Decimal)
    due: defaultdict[str, Decimal] = defaultdict(Decimal)
    for _ in range(draw(st.integers(0, 4))):
        document = Decimal(0)
        for rate in draw(st.lists(st.sampled_from(RATES), unique=True, max_size=2)):
            original = draw(st.sampled_from((None, "2026-01", "2026-02")))
            amounts = []
            for service in draw(st.lists(st.sampled_from(SERVICES), min_size=1, max_size=3)):
                exact = draw(micro)
                amounts.append(rounded(exact, scale))
                key = ("usage", service, None) if original is None else ("adjustment", service, original)
                lines[key].append((exact, amounts[-1]))
            discount = rounded(sum(amounts, Decimal(0)) * draw(st.sampled_from((0, 5, 33))) / 100, scale)
            base = sum(amounts, Decimal(0)) - discount
            tax = rounded(base * rate / 100, scale)
            discounts[original] += discount
            taxes["S", rate] += tax
            document += base + tax
        due["credit_note" if document < 0 else "invoice"] += document
    outside = [
        Outside("written_off", period, 1, draw(micro))
        for period in draw(st.lists(st.sampled_from(("2026-01", "2026-02")), unique=True))
    ]
    added = [
        Lines(*key, len(rows), sum((row[0] for row in rows), Decimal(0)), sum((row[1] for row in rows), Decimal(0)))
        for key, rows in lines.items()
    ]
    return Sums(
        added, discounts, taxes, due, outside, [*outside, Outside("unbilled_open", "2026-04", 2, draw(micro))]
    ), scale


@given(periods())
def test_debits_are_credits_and_the_amounts_due(period: tuple[Sums, int]) -> None:
    """In every section; each entry is on one side; revenue and corrections are what was rated, to half the smallest unit."""
    sums, scale = period
    entries = close_entries(sums, ACCOUNTS, scale)
    for section in ("ledger", "memorandum", "balance"):
        debits, credits_ = balance(entries, section)
        assert debits == credits_
    for each in entries:
        assert min(each.debit, each.credit) == 0 <= max(each.debit, each.credit)
        assert each.debit == rounded(each.debit, scale) and each.credit == rounded(each.credit, scale)
        if each.exact_amount is not None:
            assert abs(abs(each.exact_amount) - each.debit - each.credit) <= Decimal("0.5").scaleb(-scale)
    receivables = [each for each in entries if each.entry == "receivables"]
    assert sum(each.debit - each.credit for each in receivables) == sum(sums.due.values())
    charged = [each for each in entries if each.entry in ("revenue", "adjustments", "rounding")]
    assert sum(each.credit - each.debit for each in charged) == sum(line.amount for line in sums.lines)


def accounts(folder: Path, change: Callable[[str], str] = str) -> Accounts:
    """The packaged accounts as a file of one's own, changed."""
    packaged = Path(__file__).parents[2] / "telecom_assets" / "data" / "accounts.toml"
    file = folder / "accounts.toml"
    file.write_text(change(packaged.read_text("utf-8")), "utf-8")
    return read_accounts(file, SERVICES)


def test_a_rate_may_have_an_account_of_its_own(tmp_path: Path) -> None:
    found = accounts(tmp_path, lambda text: text.replace('S = "4455"', 'S = "4455"\n"S 10" = "44551"'))
    assert (found.of_tax("S", Decimal("10.0000")), found.of_tax("S", Decimal("20.0000"))) == ("44551", "4455")
    with pytest.raises(
        AccountsError, match=r'^TELECOM_ACCOUNTS: vat\.E is missing; expected the account of "E 0\.00" in \[vat\]$'
    ):
        found.of_tax("E", Decimal(0))
    with pytest.raises(
        AccountsError, match=r"^TELECOM_ACCOUNTS: revenue\.mms is missing; expected the account of this service"
    ):
        found.of_service("mms")


@pytest.mark.parametrize(
    ("was", "is_now", "said"),
    [
        ("receivables =", "receivable =", "receivables is missing; .* receivable is no key of this file"),
        ('contra = "09"', "", "memorandum.contra is missing; expected the number of its account"),
        ('"3421"', "3421", 'receivables: expected the number of an account as a text, such as "3421"'),
        ('"3421"', '" "', "receivables: expected the number of an account"),
        ("voice =", "voise =", "revenue.voise is no service; expected one of data, sms, voice"),
        ('S = "4455"', 'V = "4455"', r"vat\.V: expected a tax category \(S, Z, E, O\)"),
        ('S = "4455"', '"S nan" = "4455"', r"vat\.S nan: expected a rate of 0 to 100 percent"),
        ("[vat]", "[vat", "not TOML"),
    ],
)
def test_a_file_of_accounts_is_refused_by_what_is_wrong(tmp_path: Path, was: str, is_now: str, said: str) -> None:
    with pytest.raises(AccountsError, match=rf"accounts\.toml: .*{said}"):
        accounts(tmp_path, lambda text: text.replace(was, is_now, 1))
