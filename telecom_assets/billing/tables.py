"""Contract of the bills. Terms: TM Forum TMF678, EN 16931."""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import BILLING_PERIOD
from telecom_assets.record_types.in_force import RECORD_TYPES

#: Record types with columns of their own on the bill. Those of the project, whatever types are in force: the columns stay as
#: they are until bills have lines.
_ON_BILL = tuple(each for each in RECORD_TYPES if each.on_bill)
SERVICES = tuple(each.name for each in _ON_BILL)

#: Type of discount and tax: percent, 0 to 100, exactly as set.
PERCENT = "decimal(7,4)"

FACTURATION_COMPLETE = TableContract(
    name="facturation_complete",
    grain="One row per customer and month: the bill.",
    key=("billing_period", "customer_id"),
    partition_by="billing_period",
    money=("amount_before_tax", "discount", "tax", "amount_due", "rounding_difference"),
    columns=(
        C("customer_id", "string", "Customer who is billed."),
        C("region", "string", "Region of the customer."),
        C("rate_plan_id", "string", "Rate plan of the customer."),
        *(
            C(f"{each.name}_total", "decimal(18,2)", f"Sum of the rated {each.events}, rounded once.")
            for each in _ON_BILL
        ),
        *(C(f"{each.name}_count", "bigint", f"Rated {each.events}.") for each in _ON_BILL),
        C(
            "amount_before_tax",
            "decimal(18,2)",
            "Sum of these totals, and of the rated events of other record types, rounded once.",
        ),
        C("discount_pct", PERCENT, "Discount, percent."),
        C("discount", "decimal(18,2)", "amount_before_tax × discount_pct / 100, rounded."),
        C("after_discount", "decimal(18,2)", "amount_before_tax − discount: the tax-excluded amount."),
        C("tax_pct", PERCENT, "Tax, percent."),
        C("tax", "decimal(18,2)", "after_discount × tax_pct / 100, rounded."),
        C("amount_due", "decimal(18,2)", "after_discount + tax: the tax-included amount."),
        C("rounding_difference", "decimal(18,6)", "amount_before_tax − exact sum of the rated amounts."),
        C("currency", "string", "ISO 4217 code."),
        BILLING_PERIOD,
    ),
)
