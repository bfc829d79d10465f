"""The journals in a terminal: no word and no figure is broken or cut, however narrow it is; what is in no journal is said."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from telecom_assets.accounting.accounts import read_accounts
from telecom_assets.accounting.close_journal import CloseJournal
from telecom_assets.accounting.entries import Lines, Outside, Sums, close_entries
from telecom_assets.accounting.vat import VatJournal, vat_schema
from telecom_assets.cli.accounting import show_close, show_vat

MILLIONS = Decimal("12345678.123456")
JOURNAL = CloseJournal(
    "2026-02",
    "MAD",
    dt.date(2026, 3, 3),
    close_entries(
        Sums(
            [
                Lines("usage", "sms", None, 1234567, MILLIONS, Decimal("12345678.12")),
                Lines("adjustment", "voice", "2026-01", 1, Decimal("1.5"), Decimal("1.50")),
            ],
            due={"invoice": Decimal("12345679.62")},
            balances=[Outside("unbilled_suspended", "2026-02", 1234567, MILLIONS, "unknown_customer")],
        ),
        read_accounts(None, ()),
        2,
    ),
)


@pytest.mark.parametrize("width", [120, 80, 60])
def test_a_journal_is_read_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", f"{width}")
    show_close(JOURNAL)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for word in (
        "receivables",
        "unbilled_suspended",
        "unknown_customer",
        "1,234,567",
        "12345678.123456",
        "12345679.62",
        "12345678.12",
        "2026-01",
    ):
        assert any(word in line for line in lines), word


def test_a_vat_journal_says_whose_documents_are_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    show_vat(VatJournal("2026-11", "MAD", vat_schema("MAD").empty_table(), 0, ("2026-10",)))
    said = "2026-10 was closed as it stood: its documents are those of a former version, and stand in no VAT journal."
    assert said in capsys.readouterr().out.splitlines()
    show_vat(VatJournal("2026-11", "MAD", vat_schema("MAD").empty_table(), 0))
    assert "closed as it stood" not in capsys.readouterr().out


@pytest.mark.parametrize("width", [120, 80, 60])
def test_a_vat_journal_is_read_at_any_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", f"{width}")
    row = {"number": "INV-2026-000001", "kind": "supplementary", "tax_category": "S", "tax_pct": Decimal(20)}
    amounts = {"base": Decimal("12345678.10"), "tax": Decimal("2469135.62"), "amount_due": Decimal("14814813.72")}
    show_vat(VatJournal("2026-11", "MAD", pa.Table.from_pylist([{**row, **amounts}], vat_schema("MAD")), 1))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for word in ("supplementary", "S 20.00 %", *(f"{each}" for each in amounts.values())):
        assert any(word in line for line in lines), word
