"""Contract of the differences between the right and the settled charges of closed periods."""

from dataclasses import replace

from resources.contract import Column as C
from resources.contract import Counted, TableContract
from telecom_assets.model.columns import BILLING_PERIOD, MESSAGE_KEY_COLUMNS
from telecom_assets.model.numbers import PERCENT

#: Sides of a difference: what was settled and is taken back; what is right and is charged.
TAKEN_BACK, CHARGED = "taken_back", "charged"
#: Dispositions: on a document; on none because it is too little; on none until somebody accepts it; nothing to charge; on none,
#: since his bill was closed as it stands and is not what its lines come to.
BILLED, WRITTEN_OFF, AWAITING, UNCHARGED = "billed", "written_off", "awaiting_acceptance", "uncharged"
REFUSED = "refused"
#: Those that settle nothing: they come again with each period.
UNSETTLED = (AWAITING, REFUSED)
#: Reasons, in the order in which the first that applies is taken.
LATE_USAGE = "late_usage"
RECORD_GONE = "record_gone"
CUSTOMER_CORRECTED = "customer_corrected"
RECORD_CHANGED = "record_changed"
RERATED = "rerated"
RECOMPUTED = "recomputed"
#: The record and all it is priced by are as they were at the close: the code or a setting is another.
RULES_CHANGED = "rules_changed"
#: Outcome of a record that is no longer there.
GONE = "gone"

_ORIGINAL_PERIOD = C("original_period", "string", "Closed period that is corrected, yyyy-MM.")
_BY = C("decided_by", "string", "Name that was given with it; NULL where no person is named.", required=False)
_WHY = C("why", "string", "Reason that was given with it.", required=False)

#: The record as it is right, which the next difference of it is compared with.
_AS_RIGHT = (
    C("billable_units", "decimal(18,6)", "Units of the record as it is right; NULL without.", required=False),
    C("free_units_applied", "decimal(18,6)", "Units of its own allowance, as is right; NULL without.", required=False),
    C("unit_price", "decimal(12,6)", "Price of a unit in the first tier, as is right; NULL without.", required=False),
    C("tier_threshold", "decimal(18,6)", "Units from which the tier price holds; NULL when flat.", required=False),
    C("tier_price", "decimal(12,6)", "Price of a unit above the threshold; NULL when flat.", required=False),
    C("imputed", "boolean", "True when the volume is set by policy.", required=False),
    *(replace(column, required=False) for column in MESSAGE_KEY_COLUMNS),
)

ADJUSTMENTS = TableContract(
    name="adjustments",
    grain="One row per record of a closed period, holder, side and disposition: what is right minus what is settled.",
    key=("billing_period", "original_period", "record_id", "customer_id", "holder_no", "side", "disposition"),
    partition_by="billing_period",
    money=("amount",),
    closes=True,
    counted=Counted("corrections", "disposition", "reason", of="service", money="amount"),
    columns=(
        C("customer_id", "string", "Customer who is charged, or who gets back."),
        C(
            "holder_no",
            "int",
            "Which holder of the number, counted from 1; NULL while nobody is known.",
            required=False,
        ),
        C("record_id", "string", "Record that the difference is about."),
        _ORIGINAL_PERIOD,
        C("side", "string", "charged (as right), or taken_back (as settled)."),
        C(
            "disposition",
            "string",
            "billed, written_off, awaiting_acceptance, refused (no line corrects his bill), or uncharged (the record costs nothing).",
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
        *_AS_RIGHT,
        BILLING_PERIOD,
    ),
)

_COLUMNS = {column.name: column for column in ADJUSTMENTS.columns}

ADJUSTED_MONTHS = TableContract(
    name="adjusted_months",
    grain="One row per closed period that the adjustments of a period look back at: what they were made from.",
    key=("billing_period", "original_period"),
    partition_by="billing_period",
    closes=True,
    columns=(
        _ORIGINAL_PERIOD,
        C("inputs", "string", "What right is made from, as digests (JSON): cleaned days and reference rows in force."),
        C("decisions", "int", "Decisions about re-rating of the period that were there."),
        C(
            "scope",
            "string",
            "The numbers that were rated again: all, none, or a list (JSON) of numbers and of last two digits.",
        ),
        BILLING_PERIOD,
    ),
)

RERATE_DECISIONS = TableContract(
    name="rerate_decisions",
    grain="One row per decision of a person about a closed period: to rate all of it again, or to accept differences.",
    key=("decision_no",),
    columns=(
        C("decision_no", "int", "Number of the decision, from 1, over all periods."),
        BILLING_PERIOD,
        _ORIGINAL_PERIOD,
        C("decision", "string", "rerate (all records of the period are rated again) or accept."),
        C("decided_at", "timestamp", "When, UTC."),
        _BY,
        C("system_user", "string", "User of the operating system that it was made as."),
        _WHY,
    ),
)

ACCEPTED_DIFFERENCES = TableContract(
    name="accepted_differences",
    grain="One row per difference by other rules that a person has accepted: it is billed while it is exactly this one.",
    key=("decision_no", "record_id", "customer_id", "holder_no", "side"),
    columns=(
        C("decision_no", "int", "Decision of rerate_decisions."),
        _ORIGINAL_PERIOD,
        *(_COLUMNS[name] for name in ("record_id", "customer_id", "holder_no", "side", "units", "amount")),
    ),
)
