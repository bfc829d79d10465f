"""What a period is closed with is read as it was written."""

from decimal import Decimal

from telecom_assets.periods.closed_with import ClosedWith


def test_what_is_kept_is_read_exactly() -> None:
    """Percentages keep their decimals."""
    kept = ClosedWith(
        "MAD", Decimal("2.4375"), Decimal(20), "S", None, 30, "customer_min", 45, "d1", {"raw_cdrs": 7}, (("2126", 2),)
    )
    assert ClosedWith.read(kept.as_json()) == kept
    assert '"discount_pct": "2.4375"' in kept.as_json()
