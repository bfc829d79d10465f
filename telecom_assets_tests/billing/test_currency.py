"""A warehouse has one currency: that of its first bill."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse, WarehouseError
from telecom_assets.billing.currency import assert_currency, billed_currency
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets.tables import tables_of

BILLS = "facturation_complete"


def billed(root: Path, sail: SparkEngine, currency: str, period: str = "2026-06") -> Warehouse:
    """A warehouse with a bill."""
    warehouse = Warehouse(str(root), sail, tables_of(RECORD_TYPES, currency))
    row = {"customer_id": "c", "amount_due": Decimal(12), "currency": currency, "billing_period": period}
    rows = pa.Table.from_pylist([row], warehouse.contracts[BILLS].arrow_schema())
    warehouse.overwrite_arrow(BILLS, rows, Partitions(period, period))
    return warehouse


def test_the_first_bill_fixes_it(tmp_path: Path, sail: SparkEngine) -> None:
    warehouse = billed(tmp_path, sail, "MAD")
    assert billed_currency(warehouse) == "MAD"
    assert_currency(warehouse, "MAD")
    with pytest.raises(
        WarehouseError,
        match=r"has bills in MAD, and TELECOM_CURRENCY is EUR: .*nothing was changed\. Set TELECOM_CURRENCY=MAD",
    ):
        assert_currency(warehouse, "EUR")


def test_without_a_bill_any_is_good(tmp_path: Path, sail: SparkEngine) -> None:
    missing = Warehouse(str(tmp_path), sail, tables_of(RECORD_TYPES, "EUR"))
    assert billed_currency(missing) is None
    assert_currency(missing, "EUR")
    emptied = billed(tmp_path, sail, "MAD")
    schema = emptied.contracts[BILLS].arrow_schema()
    emptied.overwrite_arrow(BILLS, schema.empty_table(), Partitions("2026-06", "2026-06"))
    assert billed_currency(emptied) is None


@pytest.mark.parametrize(("first", "other"), [("MAD", "JPY"), ("JPY", "MAD"), ("TND", "MAD")])
def test_tables_in_other_decimals_are_refused(tmp_path: Path, sail: SparkEngine, first: str, other: str) -> None:
    billed(tmp_path, sail, first)
    with pytest.raises(
        WarehouseError,
        match="its amounts have another number of decimals than the currency in force has: a warehouse has one",
    ):
        Warehouse(str(tmp_path), sail, tables_of(RECORD_TYPES, other)).pin(BILLS)
