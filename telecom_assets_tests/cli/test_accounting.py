"""The close journal in a terminal: no word and no figure of it is broken or cut, however narrow it is."""

import datetime as dt
from decimal import Decimal

import pytest

from telecom_assets.accounting.accounts import read_accounts
from telecom_assets.accounting.close_journal import CloseJournal
from telecom_assets.accounting.entries import Lines, Outside, Sums, close_entries
from telecom_assets.cli.accounting import show_close

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
            standing=[Outside("unbilled_suspended", "2026-02", 1234567, MILLIONS, "unknown_customer")],
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
