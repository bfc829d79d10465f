"""Contracts of the tables of rating: charged and suspended events. Terms: 3GPP TS 32.298, TM Forum TMF678."""

from telecom_assets.model.columns import BILLING_PERIOD, EVENT_DAY, SOURCE_IDENTITY
from telecom_assets.model.contract import Column as C
from telecom_assets.model.contract import TableContract

_VERSIONS = (
    C("customers_version", "bigint", "Version of customers it was rated against."),
    C("rate_plans_version", "bigint", "Version of rate_plans it was rated against."),
    C("product_catalog_version", "bigint", "Version of product_catalog it was rated against."),
)

RATED_CDRS = TableContract(
    name="rated_cdrs",
    grain="One row per cleaned event that is charged, with every figure that makes its price.",
    key=("record_id",),
    partition_by="event_date",
    money=("amount",),
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
        *SOURCE_IDENTITY,
        *_VERSIONS,
        EVENT_DAY,
    ),
)

SUSPENDED_CDRS = TableContract(
    name="suspended_cdrs",
    grain="One row per cleaned event that is not charged, with the first reason that applies.",
    key=("record_id",),
    partition_by="event_date",
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
        C("disposition", "string", "excluded (not ours to bill) or suspended (to be worked)."),
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
        *SOURCE_IDENTITY,
        *_VERSIONS,
        EVENT_DAY,
    ),
)

DATA_VOLUME_FLOOR = TableContract(
    name="data_volume_floor",
    grain="One row per customer with a known data volume in the month: its smallest.",
    key=("billing_period", "customer_id"),
    partition_by="billing_period",
    columns=(
        C("customer_id", "string", "Subscriber."),
        C("floor_mb", "decimal(18,6)", "Smallest known data volume over the month's cleaned events, megabytes."),
        BILLING_PERIOD,
    ),
)
