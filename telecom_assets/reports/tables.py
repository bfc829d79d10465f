"""Contracts of the reports made from bills and rated events. A billed amount has the decimals of its currency, as on the bill.

A sum over a month has more digits than an amount: two events may together cost 10^12, for which an amount has no digits.
"""

from resources.contract import Column as C
from resources.contract import TableContract
from telecom_assets.model.columns import BILLING_PERIOD
from telecom_assets.model.currencies import DEFAULT_CURRENCY, currency_scale
from telecom_assets.model.numbers import bill_amount, bill_sum


def _report(name: str, grain: str, key: tuple[str, ...], money: tuple[str, ...], *columns: C) -> TableContract:
    """A report table: its own columns, then the billing period."""
    return TableContract(
        name=name,
        grain=grain,
        key=("billing_period", *key),
        partition_by="billing_period",
        closes=True,
        money=money,
        columns=(*columns, BILLING_PERIOD),
    )


_REVENUE = C("revenue", "decimal(28,6)", "Sum of the rated amounts, before discount and tax.")

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
TRAFFIC_HOURLY = _report(
    "traffic_hourly",
    "One row per day and local hour with rated data: billable gigabytes.",
    ("billing_date", "hour"),
    (),
    C("billing_date", "date", "Event day, local."),
    C("hour", "int", "Hour of the day, local, 0 to 23."),
    C("total_gb", "decimal(24,6)", "Billable megabytes / 1024, rounded half up."),
)


def _revenue_incl_tax(scale: int) -> C:
    return C("revenue_incl_tax", bill_sum(scale), "Sum of the shares of bill lines in the amounts due, tax included.")


def revenue_by_plan(scale: int) -> TableContract:
    """The report of revenue by plan; `scale`: the decimals of the currency."""
    return _report(
        "revenue_by_plan",
        "One row per rate plan: what its customers owe, tax included.",
        ("rate_plan_id",),
        ("revenue_incl_tax",),
        C("rate_plan_id", "string", "Rate plan."),
        _revenue_incl_tax(scale),
    )


def plan_by_region(scale: int) -> TableContract:
    """The report of revenue by region and plan; `scale`: the decimals of the currency."""
    return _report(
        "plan_by_region",
        "One row per region and rate plan: what its customers owe, tax included.",
        ("region", "rate_plan_id"),
        ("revenue_incl_tax",),
        C("region", "string", "Region of the customer."),
        C("rate_plan_id", "string", "Rate plan."),
        _revenue_incl_tax(scale),
    )


def top10_consumers(scale: int) -> TableContract:
    """The report of the largest consumers; `scale`: the decimals of the currency."""
    return _report(
        "top10_consumers",
        "One row for each of the ten customers with most billable megabytes; ties by customer_id.",
        ("customer_id",),
        ("amount_due",),
        C("customer_id", "string", "Customer."),
        C("total_mb", "decimal(24,6)", "Billable megabytes of the month."),
        C("amount_due", bill_amount(scale), "Amount due of the month, tax included."),
    )


_SCALE = currency_scale(DEFAULT_CURRENCY)
REVENUE_BY_PLAN, PLAN_BY_REGION, TOP10_CONSUMERS = (
    revenue_by_plan(_SCALE),
    plan_by_region(_SCALE),
    top10_consumers(_SCALE),
)

REPORTS = (DAILY_REVENUE, MIX_BY_REGION, REVENUE_BY_PLAN, PLAN_BY_REGION, TOP10_CONSUMERS, TRAFFIC_HOURLY)

BILLED_MONTHS = TableContract(
    name="billed_months",
    grain="One row per billed month: what was there when its last document was made.",
    key=("billing_period",),
    partition_by="billing_period",
    closes=True,
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
