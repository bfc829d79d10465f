"""The one currency of a warehouse: that of its first bill.

Belongs here: what a warehouse is billed in, and the refusal of another currency. Does not belong here: the decimals of a currency
(`telecom_assets.model.currencies`).
"""

from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.billing.tables import FACTURATION_COMPLETE


def billed_currency(warehouse: Warehouse) -> str | None:
    """The currency of the bills of a warehouse; None while it has none."""
    bills = warehouse.pin(FACTURATION_COMPLETE.name)
    first = next((batch for batch in bills.batches() if batch.num_rows), None)
    return None if first is None else str(first["currency"][0].as_py())


def assert_currency(warehouse: Warehouse, currency: str) -> None:
    """Raise WarehouseError where a warehouse has bills in another currency."""
    if (billed := billed_currency(warehouse)) not in (None, currency):
        raise WarehouseError(
            f"warehouse {warehouse.root} has bills in {billed}, and TELECOM_CURRENCY is {currency}: a warehouse has one currency, "
            f"that of its first bill; nothing was changed. Set TELECOM_CURRENCY={billed}, or TELECOM_WAREHOUSE to a new folder"
        )
