"""Contracts of the reports made from bills and rated events.

A sum over a month has more digits than an amount: two events may together cost 10^12, for which an amount has no digits.
"""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import BILLING_PERIOD


def _report(name: str, grain: str, key: tuple[str, ...], money: tuple[str, ...], *columns: C) -> TableContract:
    """A report table: its own columns, then the billing period."""
    return TableContract(
        name=name,
        grain=grain,
        key=("billing_period", *key),
        partition_by="billing_period",
        money=money,
        columns=(*columns, BILLING_PERIOD),
    )


_REVENUE = C("revenue", "decimal(28,6)", "Sum of the rated amounts, before discount and tax.")
_REVENUE_INCL_TAX = C("revenue_incl_tax", "decimal(28,2)", "Sum of the amounts due, after discount, tax included.")

DAILY_REVENUE = _report(
    "daily_revenue",
    "One row per day with rated usage: its revenue before discount and tax.",
    ("billing_date",),
    ("revenue",),
    C("billing_date", "date", "Event day, local."),
    _REVENUE,
)
MIX_BY_REGION = _report(
    "mix_by_region",
    "One row per region and record type: its revenue before discount and tax.",
    ("region", "record_type"),
    ("revenue",),
    C("region", "string", "Region of the customer."),
    C("record_type", "string", "Record type of the events, as in cleaned_cdrs."),
    _REVENUE,
)
REVENUE_BY_PLAN = _report(
    "revenue_by_plan",
    "One row per rate plan: what its customers owe, tax included.",
    ("rate_plan_id",),
    ("revenue_incl_tax",),
    C("rate_plan_id", "string", "Rate plan."),
    _REVENUE_INCL_TAX,
)
PLAN_BY_REGION = _report(
    "plan_by_region",
    "One row per region and rate plan: what its customers owe, tax included.",
    ("region", "rate_plan_id"),
    ("revenue_incl_tax",),
    C("region", "string", "Region of the customer."),
    C("rate_plan_id", "string", "Rate plan."),
    _REVENUE_INCL_TAX,
)
TOP10_CONSUMERS = _report(
    "top10_consumers",
    "One row for each of the ten customers with most billable megabytes; ties by customer_id.",
    ("customer_id",),
    ("amount_due",),
    C("customer_id", "string", "Customer."),
    C("total_mb", "decimal(24,6)", "Billable megabytes of the month."),
    C("amount_due", "decimal(18,2)", "Amount due of the month, tax included."),
)
TRAFFIC_HOURLY = _report(
    "traffic_hourly",
    "One row per day and local hour with rated data: billable gigabytes.",
    ("billing_date", "hour"),
    (),
    C("billing_date", "date", "Event day, local."),
    C("hour", "int", "Hour of the day, local, 0 to 23."),
    C("total_gb", "decimal(24,6)", "Billable megabytes / 1024, rounded half up."),
)

REPORTS = (DAILY_REVENUE, MIX_BY_REGION, REVENUE_BY_PLAN, PLAN_BY_REGION, TOP10_CONSUMERS, TRAFFIC_HOURLY)

BILLED_MONTHS = TableContract(
    name="billed_months",
    grain="One row per billed month: what was there when its last document was made.",
    key=("billing_period",),
    partition_by="billing_period",
    columns=(
        C(
            "published",
            "string",
            "The published bills and their entry in the ledger, as a text that differs when they do.",
        ),
        C("documents", "string", "Digest of the month's invoices, report files and dashboard."),
        BILLING_PERIOD,
    ),
)
