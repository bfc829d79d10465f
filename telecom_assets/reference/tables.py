"""Contracts of the reference tables: customers, tariffs, catalogue, terms of bills."""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import VALID_FROM, VALIDITY
from telecom_assets.model.numbers import PERCENT

SUBSCRIPTION_TYPES = ("postpaid", "prepaid")
CUSTOMER_STATUSES = ("active", "inactive", "suspended", "terminated")
RATE_TYPES = ("flat", "tiered")

#: What is known of a customer at one time.
_CUSTOMER = (
    C("customer_id", "string", "The customer's number, E.164 without +, however PostgreSQL writes it."),
    C("customer_name", "string", "Name on the bill."),
    C("subscription_type", "string", "postpaid (billed here) or prepaid (charged elsewhere)."),
    C("rate_plan_id", "string", "Rate plan, one of rate_plans."),
    C(
        "activation_date",
        "date",
        "First day of the subscription; who is seen first is valid from it on, without bound where it is NULL.",
        required=False,
    ),
    C("status", "string", "active, inactive, suspended or terminated."),
    C("region", "string", "Region of Morocco."),
)

#: The table of PostgreSQL, and a file for `telecom customers import`.
CUSTOMER_LIST = TableContract(
    name="customers",
    grain="One row per customer, as he is now.",
    key=("customer_id",),
    columns=_CUSTOMER,
)

#: Column that a file may have besides: with this row another person has the number.
NEW_HOLDER = "new_holder"

CUSTOMERS = TableContract(
    name="customers",
    grain="One row per customer and stretch of days on which nothing about him changed.",
    key=("customer_id", VALID_FROM),
    columns=(
        *_CUSTOMER,
        C("holder_no", "int", "Which holder of the number this is, counted from 1."),
        *VALIDITY,
    ),
)

RATE_PLANS = TableContract(
    name="rate_plans",
    grain="One row per rate plan, product and stretch of days: its price.",
    key=("rate_plan_id", "product_code", VALID_FROM),
    columns=(
        C("rate_plan_id", "string", "Rate plan."),
        C("product_code", "string", "Product, one of product_catalog."),
        C("service_type", "string", "Record type of its events, as in the catalogue."),
        C("unit_price", "decimal(12,6)", "Price of a unit (minute, message, megabyte) before tax."),
        C("free_units", "decimal(18,6)", "Units of each event that cost nothing."),
        C(
            "tier_threshold",
            "decimal(18,6)",
            "Units, counted from zero, from which tier_price holds; NULL when flat.",
            required=False,
        ),
        C("tier_price", "decimal(12,6)", "Price of a unit above the threshold; NULL when flat.", required=False),
        *VALIDITY,
    ),
)

PRODUCT_CATALOG = TableContract(
    name="product_catalog",
    grain="One row per product that can be charged, and stretch of days.",
    key=("product_code", VALID_FROM),
    columns=(
        C("product_code", "string", "Product; those that mediation makes, VOICE_NAT for one, are always needed."),
        C("service_type", "string", "Record type of its events."),
        C("unit", "string", "What one unit is, as its record type counts: minute, event or MB."),
        C("rate_type", "string", "flat or tiered."),
        C("description", "string", "What the product is, for people."),
        *VALIDITY,
    ),
)

BILLING_TERMS = TableContract(
    name="billing_terms",
    grain="One row per stretch of days: the terms of the periods that end on one of them.",
    key=(VALID_FROM,),
    columns=(
        *VALIDITY,
        C("discount_pct", PERCENT, "Discount on the amount before tax, percent."),
        C("tax_pct", PERCENT, "Tax on the amount after discount, percent."),
        C("tax_category", "string", "Tax category, code of UNCL 5305: S, Z, E or O."),
        C("exemption_reason", "string", "Why no tax is due; NULL where tax is.", required=False),
        C("payment_days", "int", "Days from the issue of a bill until it is due."),
    ),
)

REFERENCE_CHANGES = TableContract(
    name="reference_changes",
    grain="One row per changed row of a reference table. Never edited: whoever changes a reference table, it is told here.",
    key=("reference_table", "table_id", "reference_version", "entity", VALID_FROM),
    columns=(
        C("reference_table", "string", "The changed table: customers, rate_plans, product_catalog or billing_terms."),
        C("table_id", "string", "Identity of that table: one that was made again has another."),
        C("reference_version", "bigint", "Its version that has the change."),
        C("entity", "string", "What the row is about, such as PLAN_A/SMS_NAT; * for the beginning of a table."),
        C(VALID_FROM, "date", "First local day on which the row is in force; NULL: no bound.", required=False),
        C("change", "string", "begun (all rows of the table at once), added, changed or removed."),
        C("was", "string", "The row before the change (JSON); NULL where there was none.", required=False),
        C("now", "string", "The row after it (JSON), or how many rows a table began with; NULL: none.", required=False),
        C("changed_at", "timestamp", "When, UTC; NULL where the log does not say.", required=False),
        C(
            "source",
            "string",
            "The file, table or settings that it came from; NULL: written by another hand.",
            required=False,
        ),
        C("system_user", "string", "User of the operating system that the change was made as.", required=False),
        C("changed_by", "string", "Name that was given with it; NULL where no person decided.", required=False),
        C("why", "string", "Reason that was given with it.", required=False),
        C("corrected", "string", "Frozen periods that it changes, by --correct-past; NULL: none.", required=False),
    ),
)
