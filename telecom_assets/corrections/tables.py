"""Contract of the differences between the right and the settled charges of closed periods."""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import BILLING_PERIOD
from telecom_assets.model.numbers import PERCENT

#: Sides of a difference: what was settled and is taken back; what is right and is charged.
TAKEN_BACK, CHARGED = "taken_back", "charged"
#: Dispositions: on a document; on none because it is too little; on none until somebody accepts it; nothing to charge.
BILLED, WRITTEN_OFF, AWAITING, UNCHARGED = "billed", "written_off", "awaiting_acceptance", "uncharged"
#: Reasons, in the order in which the first that applies is taken.
LATE_USAGE = "late_usage"
RECORD_GONE = "record_gone"
CUSTOMER_CORRECTED = "customer_corrected"
RECORD_CHANGED = "record_changed"
RERATED = "rerated"
RECOMPUTED = "recomputed"
#: The record and all it is priced by are as they were at the close: the code or a setting is another.
RULES_CHANGED = "rules_changed"

ADJUSTMENTS = TableContract(
    name="adjustments",
    grain="One row per record of a closed period, holder, side and disposition: what is right minus what is settled.",
    key=("billing_period", "original_period", "record_id", "customer_id", "holder_no", "side", "disposition"),
    partition_by="billing_period",
    money=("amount",),
    closes=True,
    columns=(
        C("customer_id", "string", "Customer who is charged, or who gets back."),
        C(
            "holder_no",
            "int",
            "Which holder of the number, counted from 1; NULL while nobody is known.",
            required=False,
        ),
        C("record_id", "string", "Record that the difference is about."),
        C("original_period", "string", "Closed period that is corrected, yyyy-MM."),
        C("side", "string", "charged (as right), or taken_back (as settled)."),
        C(
            "disposition",
            "string",
            "billed, written_off, awaiting_acceptance, or uncharged (the record costs nothing).",
        ),
        C(
            "reason",
            "string",
            "late_usage, record_gone, customer_corrected, record_changed, rerated, recomputed or rules_changed.",
        ),
        C("outcome", "string", "Of the record as it is now: rated, suspended, excluded, or gone."),
        C("outcome_reason", "string", "Reason of suspended_cdrs; NULL for others.", required=False),
        C("event_date", "date", "Home day of the record, Africa/Casablanca."),
        C("service", "string", "Record type of the event."),
        C("product_code", "string", "Product of the event."),
        C("rate_plan_id", "string", "Rate plan that it is priced in.", required=False),
        C("region", "string", "Region of the customer.", required=False),
        C("tax_category", "string", "Tax category of the original period, code of UNCL 5305."),
        C("tax_pct", PERCENT, "Tax of the original period, percent."),
        C("discount_pct", PERCENT, "Discount of the original period, percent."),
        C("customer_valid_from", "date", "valid_from of the customer's row; NULL: no bound.", required=False),
        C("plan_valid_from", "date", "valid_from of the plan's row; NULL: no bound.", required=False),
        C("product_valid_from", "date", "valid_from of the product's row; NULL: no bound.", required=False),
        C("events", "bigint", "Difference in events: 1, 0 or −1."),
        C("units", "decimal(18,6)", "Difference in billable units."),
        C("amount", "decimal(18,6)", "Difference in the rated amount, before discount and tax."),
        BILLING_PERIOD,
    ),
)
