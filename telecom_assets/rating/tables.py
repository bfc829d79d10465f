"""Contracts of the tables of rating: charged and suspended events of a day, charges that only the month decides.

Terms: 3GPP TS 32.298, TM Forum TMF678.
"""

from resources.contract import Column as C
from resources.contract import Counted, TableContract
from telecom_assets.model.columns import BILLING_PERIOD, EVENT_DAY, MESSAGE_KEY_COLUMNS

_VERSIONS = (
    C("customers_version", "bigint", "Version of customers it was rated against."),
    C("rate_plans_version", "bigint", "Version of rate_plans it was rated against."),
    C("product_catalog_version", "bigint", "Version of product_catalog it was rated against."),
)
#: The rows that priced it, with customer, plan and product. `later`: those of the former version had no dates, so NULL is right for
#: them.
_PRICED_BY = (
    C(
        "holder_no",
        "int",
        "Which holder of the number it was, counted from 1; NULL: nobody, or it was rated when that was not asked.",
        required=False,
        later=True,
    ),
    C(
        "customer_valid_from",
        "date",
        "First day of the version of the customer it was rated with; NULL: without bound, or none is in force.",
        required=False,
        later=True,
    ),
    C(
        "plan_valid_from",
        "date",
        "First day of the row of rate_plans that priced it; NULL: without bound, or no price.",
        required=False,
        later=True,
    ),
    C(
        "product_valid_from",
        "date",
        "First day of the row of product_catalog that says how it is priced; NULL: without bound, or no price.",
        required=False,
        later=True,
    ),
)

RATED_CDRS = TableContract(
    name="rated_cdrs",
    grain="One row per cleaned event that its day alone can charge, with every figure that makes its price.",
    key=("record_id",),
    partition_by="event_date",
    closes=True,
    money=("amount",),
    counted=Counted(
        "rating",
        "'rated'",
        "CASE WHEN imputed THEN 'missing_volume' END",
        of="record_type",
        money="amount",
        measured="units",
    ),
    columns=(
        C("record_id", "string", "Identity of the event."),
        C("customer_id", "string", "Customer who is charged."),
        C("record_type", "string", "Record type, as in cleaned_cdrs."),
        C("event_ts", "timestamp", "When the event began, UTC."),
        C("rate_plan_id", "string", "Rate plan of the customer."),
        C("region", "string", "Region of the customer."),
        C("product_code", "string", "Product charged."),
        C("billable_units", "decimal(18,6)", "Units charged or free: started minutes, messages or megabytes."),
        C("free_units_applied", "decimal(18,6)", "Units of the event's own allowance that cost nothing."),
        C("unit_price", "decimal(12,6)", "Price of a unit in the first tier."),
        C(
            "tier_threshold",
            "decimal(18,6)",
            "Units, counted from zero, from which the tier price holds; NULL when flat.",
            required=False,
        ),
        C("tier_price", "decimal(12,6)", "Price of a unit above the threshold; NULL when flat.", required=False),
        C("amount", "decimal(18,6)", "Charge before discount and tax, rounded once, half up."),
        C("rating_status", "string", "ready or needs_review, from mediation."),
        C(
            "imputed",
            "boolean",
            "True when the volume was missing and set by policy; billable_units is the value used.",
        ),
        BILLING_PERIOD,
        *MESSAGE_KEY_COLUMNS,
        *_VERSIONS,
        *_PRICED_BY,
        EVENT_DAY,
    ),
)

SUSPENDED_CDRS = TableContract(
    name="suspended_cdrs",
    grain="One row per cleaned event that its day does not charge, with the first reason that applies.",
    key=("record_id",),
    partition_by="event_date",
    closes=True,
    counted=Counted("rating", "disposition", "reason", of="record_type", measured="units"),
    columns=(
        C("record_id", "string", "Identity of the event."),
        C("customer_id", "string", "Subscriber the event names."),
        C("record_type", "string", "Record type, as in cleaned_cdrs."),
        C("event_ts", "timestamp", "When the event began, UTC."),
        C(
            "reason",
            "string",
            "unknown_customer, prepaid_customer, inactive_customer, unknown_plan, no_price, missing_volume or "
            "amount_out_of_range (10^12 or more).",
        ),
        C(
            "disposition",
            "string",
            "excluded (not ours to bill), suspended (to be worked) or deferred (the month prices it: period_charges).",
        ),
        C("product_code", "string", "Product of the event."),
        C("rate_plan_id", "string", "Rate plan of the customer, if known.", required=False),
        C("region", "string", "Region of the customer, if known.", required=False),
        C(
            "billable_units",
            "decimal(18,6)",
            "Started minutes, messages or megabytes; NULL when the volume is missing.",
            required=False,
        ),
        C("rating_status", "string", "ready or needs_review, from mediation."),
        BILLING_PERIOD,
        *MESSAGE_KEY_COLUMNS,
        *_VERSIONS,
        *_PRICED_BY,
        EVENT_DAY,
    ),
)

#: The columns of a charge, whatever decided it: those of rated_cdrs.
_OF_A_CHARGE = {column.name: column for column in RATED_CDRS.columns}
_AMOUNT = C(
    "amount",
    "decimal(18,6)",
    "Charge before discount and tax, rounded once, half up; NULL where it is 10^12 or more: then it is on no bill.",
    required=False,
)

PERIOD_CHARGES = TableContract(
    name="period_charges",
    grain="One row per deferred event of the month, with every figure that makes its price.",
    key=("record_id",),
    partition_by="billing_period",
    closes=True,
    money=("amount",),
    counted=Counted(
        "period",
        "'imputed'",
        "CASE WHEN amount IS NULL THEN 'amount_out_of_range' END",
        of="record_type",
        money="amount",
        measured="units",
    ),
    columns=(
        *(
            _AMOUNT if name == "amount" else column
            for name, column in _OF_A_CHARGE.items()
            if name not in (EVENT_DAY.name, BILLING_PERIOD.name)
        ),
        EVENT_DAY,
        BILLING_PERIOD,
    ),
)

#: What a person decides about suspended usage.
WRITE_OFF, UNDO = "write_off", "undo"

SUSPENSE_DECISIONS = TableContract(
    name="suspense_decisions",
    grain="One row per decision of a person and suspended event: to write it off, or to undo that. Never edited.",
    key=("decision_no", "record_id"),
    partition_by="billing_period",
    closes=True,
    counted=Counted("suspense", "decision", "reason", money="estimate"),
    columns=(
        C("decision_no", "int", "Number of the decision, from 1, over all periods."),
        C("record_id", "string", "Identity of the event."),
        C("reason", "string", "Why it was suspended; with another reason it is not written off any more."),
        C("decision", "string", "write_off or undo. The last one of an event is in force."),
        C(
            "estimate",
            "decimal(18,6)",
            "What it would have cost before discount and tax when it was written off; NULL where no price was known.",
            required=False,
        ),
        C("decided_at", "timestamp", "When, UTC."),
        C("decided_by", "string", "Name that was given with it."),
        C("system_user", "string", "User of the operating system that it was made as."),
        C("why", "string", "Reason that was given with it."),
        BILLING_PERIOD,
    ),
)
