"""Contracts of the bills and of their lines. Terms: TM Forum TMF678, EN 16931.

A billed amount has as many decimals as its currency, so the contracts are made for a scale. The constants are those of two
decimals; the names, keys and columns of tables are the same whatever the scale.
"""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import BILLING_PERIOD
from telecom_assets.model.currencies import DEFAULT_CURRENCY, currency_scale
from telecom_assets.model.numbers import PERCENT, RATED_SUM, bill_amount
from telecom_assets.record_types.in_force import RECORD_TYPES

#: Record types with columns of their own on the bill. Those of the project, whatever types are in force: the lines have all.
_ON_BILL = tuple(each for each in RECORD_TYPES if each.on_bill)
SERVICES = tuple(each.name for each in _ON_BILL)

#: The columns that name who is billed: a holder of a number. Nobody pays for the usage of who had the number before.
HOLDER = ("customer_id", "holder_no")
_HOLDER_NO = C("holder_no", "int", "Which holder of the number is billed, counted from 1.")
#: The document of a line that is on the bill of its period.
BILL = "bill"
#: Kinds of lines: what the period's events cost; differences to earlier periods; what a person has added.
USAGE, ADJUSTMENT, MANUAL = "usage", "adjustment", "manual"
#: Status of a bill that may be made again, and of one whose period is closed.
DRAFT, CLOSED = "draft", "closed"


def bill_lines(scale: int) -> TableContract:
    """The lines of all documents of a month; `scale`: the decimals of the currency."""
    return TableContract(
        name="bill_lines",
        grain="One row per line of a holder's bill: what one service costs in one plan and region at one tax rate.",
        key=("billing_period", *HOLDER, "document", "line_no"),
        partition_by="billing_period",
        closes=True,
        money=("exact_amount", "amount"),
        columns=(
            C("customer_id", "string", "Customer who is billed."),
            _HOLDER_NO,
            C("line_no", "int", "Number of the line in its document, from 1."),
            C("document", "string", "The document that the line is on: bill."),
            C("kind", "string", "usage, or later adjustment or manual."),
            C("line_kind", "string", "Kind of the line that an adjustment corrects; NULL in others.", required=False),
            C("service", "string", "Record type of the events."),
            C("rate_plan_id", "string", "Rate plan that the events were rated in."),
            C("region", "string", "Region of the customer when they were."),
            C("tax_category", "string", "Tax category, code of UNCL 5305: S, Z, E or O."),
            C("tax_pct", PERCENT, "Tax, percent."),
            C("discount_pct", PERCENT, "Discount, percent."),
            C("original_period", "string", "Period that an adjustment corrects; NULL in others.", required=False),
            C("events", "bigint", "Events."),
            C("units", "decimal(28,6)", "Billable units of the events, in the unit of the record type."),
            C("exact_amount", RATED_SUM, "Sum of the rated amounts, before discount and tax."),
            C("amount", bill_amount(scale), "exact_amount, rounded once half up."),
            BILLING_PERIOD,
        ),
    )


def facturation_complete(scale: int) -> TableContract:
    """The bills of a month; `scale`: the decimals of the currency."""
    amount = bill_amount(scale)
    return TableContract(
        name="facturation_complete",
        grain="One row per holder of a number and month: the bill.",
        key=("billing_period", *HOLDER),
        partition_by="billing_period",
        closes=True,
        money=("amount_before_tax", "discount", "tax", "amount_due", "rounding_difference"),
        columns=(
            C("customer_id", "string", "Customer who is billed."),
            _HOLDER_NO,
            C("region", "string", "Region of the customer."),
            C("rate_plan_id", "string", "Rate plan of the customer."),
            *(C(f"{each.name}_total", amount, f"Sum of the usage lines of {each.events}.") for each in _ON_BILL),
            *(C(f"{each.name}_count", "bigint", f"Rated {each.events}.") for each in _ON_BILL),
            C("adjustments_total", amount, "Sum of the lines that correct earlier months or were added by a person."),
            C("other_total", amount, "Sum of the lines of services without a column of their own."),
            C("amount_before_tax", amount, "Sum of all lines of the bill: of these totals."),
            C("discount_pct", PERCENT, "Discount of the period's terms, percent."),
            C("discount", amount, "Discount of each group of lines of equal terms, rounded, added up."),
            C("after_discount", amount, "amount_before_tax − discount: the tax-excluded amount."),
            C("tax_pct", PERCENT, "Tax of the period's terms, percent."),
            C("tax", amount, "Tax of each rate, rounded, added up."),
            C("amount_due", amount, "after_discount + tax: the tax-included amount."),
            C("rounding_difference", "decimal(18,6)", "amount_before_tax − exact sum of the rated amounts."),
            C("currency", "string", "ISO 4217 code."),
            C("status", "string", "draft: the bill may be made again; closed: it stays as it is."),
            BILLING_PERIOD,
        ),
    )


_SCALE = currency_scale(DEFAULT_CURRENCY)
BILL_LINES = bill_lines(_SCALE)
FACTURATION_COMPLETE = facturation_complete(_SCALE)
