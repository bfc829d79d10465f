"""Contracts of the bills and of their lines. Terms: TM Forum TMF678, EN 16931.

A billed amount has as many decimals as its currency, so the contracts are made for a scale. The constants are those of two
decimals; the names, keys and columns of tables are the same whatever the scale.
"""

from resources.contract import Column as C
from resources.contract import Counted, TableContract
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
#: Kinds of documents that are no bill.
CREDIT_NOTE, SUPPLEMENTARY = "credit_note", "supplementary"
#: What a bill, or a document of corrections, and its lines both say, as `adjustment_lines.document_totals` names it of the lines. A
#: document has no column exact_amount: it is amount_before_tax − rounding_difference.
OF_DOCUMENT = {
    "amount_before_tax": "amount",
    "exact_amount": "exact_amount",
    "discount": "discount",
    "tax": "tax",
    "amount_due": "due",
}
#: The money of a bill, and of a document of corrections.
_MONEY = ("amount_before_tax", "discount", "tax", "amount_due", "rounding_difference")
_AMOUNTS = tuple((name, name) for name in _MONEY)
#: What a line is and where it stands, as the control totals name it.
ON_BILL, OF_ITS_OWN = " on bill", " on a document of its own"
_PLACED = f"concat(kind, CASE WHEN document = '{BILL}' THEN '{ON_BILL}' ELSE '{OF_ITS_OWN}' END)"


def bill_lines(scale: int) -> TableContract:
    """The lines of all documents of a month; `scale`: the decimals of the currency."""
    return TableContract(
        name="bill_lines",
        grain="One row per line of a holder's bill: what one service costs in one plan and region at one tax rate.",
        key=("billing_period", *HOLDER, "document", "line_no"),
        partition_by="billing_period",
        closes=True,
        money=("exact_amount", "amount"),
        counted=Counted(
            "lines", reason=_PLACED, of="service", amounts=tuple((each, each) for each in ("exact_amount", "amount"))
        ),
        columns=(
            C("customer_id", "string", "Customer who is billed."),
            _HOLDER_NO,
            C("line_no", "int", "Number of the line in its document, from 1."),
            C(
                "document",
                "string",
                "The document that the line is on: bill, the original period of a separate one, or manual-<n>.",
            ),
            C("kind", "string", "usage, adjustment (a difference to a closed period) or manual (added by a person)."),
            C("line_kind", "string", "Kind of the line that an adjustment corrects; NULL in others.", required=False),
            C("service", "string", "Record type of the events; NULL in manual lines.", required=False),
            C("rate_plan_id", "string", "Rate plan that the events were rated in."),
            C("region", "string", "Region of the customer when they were."),
            C("tax_category", "string", "Tax category, code of UNCL 5305: S, Z, E or O."),
            C("tax_pct", PERCENT, "Tax, percent."),
            C("discount_pct", PERCENT, "Discount, percent."),
            C(
                "original_period",
                "string",
                "Period that an adjustment corrects or a manual line is about; NULL in usage.",
                required=False,
            ),
            C("events", "bigint", "Events."),
            C("units", "decimal(28,6)", "Billable units of the events, in the unit of the record type."),
            C("exact_amount", RATED_SUM, "Sum of the rated amounts, before discount and tax."),
            C(
                "amount",
                bill_amount(scale),
                "exact_amount, rounded once half up; of an adjustment, the step of the rounded sum of what remains.",
            ),
            BILLING_PERIOD,
        ),
    )


def facturation_complete(scale: int) -> TableContract:
    """The bills of a month; `scale`: the decimals of the currency."""
    return TableContract(
        name="facturation_complete",
        grain="One row per holder of a number and month: the bill.",
        key=("billing_period", *HOLDER),
        partition_by="billing_period",
        closes=True,
        money=_MONEY,
        counted=Counted("bills", amounts=_AMOUNTS),
        columns=(C("customer_id", "string", "Customer who is billed."), _HOLDER_NO, *_totals(scale)),
    )


def correction_documents(scale: int) -> TableContract:
    """The documents of a month besides its bills; `scale`: the decimals of the currency."""
    return TableContract(
        name="correction_documents",
        grain="One row per document of corrections that stands on no bill: a credit note or a supplementary invoice.",
        key=("billing_period", *HOLDER, "document"),
        partition_by="billing_period",
        closes=True,
        money=_MONEY,
        counted=Counted("correction_documents", reason="kind", amounts=_AMOUNTS),
        columns=(
            C("customer_id", "string", "Customer whom it is for."),
            _HOLDER_NO,
            C("document", "string", "The document, as in bill_lines: its original period, or manual-<n>."),
            C("kind", "string", "credit_note where the amount due is below 0, else supplementary."),
            C("original_period", "string", "Closed period that it is about, yyyy-MM."),
            *_totals(scale),
        ),
    )


def _totals(scale: int) -> tuple[C, ...]:
    """What a bill and a document of corrections both say of their lines."""
    amount = bill_amount(scale)
    return (
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
    )


def manual_lines(scale: int) -> TableContract:
    """What people have credited and charged by hand; `scale`: the decimals of the currency."""
    return TableContract(
        name="manual_lines",
        grain="One row per amount that a person has credited or charged. Never edited: another one takes it back.",
        key=("manual_no",),
        partition_by="billing_period",
        closes=True,
        money=("amount",),
        columns=(
            C("manual_no", "int", "Number of the row, from 1, over all periods."),
            C("customer_id", "string", "Customer who is charged, or who gets back."),
            _HOLDER_NO,
            C("original_period", "string", "Closed period that it is about, yyyy-MM."),
            C("document", "string", "The document that it is on: bill, or manual-<manual_no>."),
            C("rate_plan_id", "string", "Rate plan on the bill of the original period."),
            C("region", "string", "Region on the bill of the original period."),
            C("tax_category", "string", "Tax category, code of UNCL 5305."),
            C("tax_pct", PERCENT, "Tax, percent."),
            C("amount", bill_amount(scale), "Before tax; below 0 for a credit. No discount is taken off."),
            C("noted_at", "timestamp", "When, UTC."),
            C("noted_by", "string", "Name that was given with it."),
            C("system_user", "string", "User of the operating system."),
            C("why", "string", "Reason that was given with it."),
            BILLING_PERIOD,
        ),
    )


_SCALE = currency_scale(DEFAULT_CURRENCY)
BILL_LINES = bill_lines(_SCALE)
FACTURATION_COMPLETE = facturation_complete(_SCALE)
CORRECTION_DOCUMENTS = correction_documents(_SCALE)
MANUAL_LINES = manual_lines(_SCALE)
