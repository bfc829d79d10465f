"""Rating: each cleaned event gets its price, or leaves with the reason why it has none.

Belongs here: billable units, who is charged, and the price formula: all that an event decides by itself. What a month
decides is in `telecom_assets.rating.month_rules`.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.model.civil_time import billing_period
from telecom_assets.model.numbers import RATED_SCALE, round_half_up_or_null, zero_if_null
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS

#: Reasons why an event is not rated, in the order in which they are tried.
SUSPENSION_REASONS = (
    "unknown_customer",
    "prepaid_customer",
    "inactive_customer",
    "unknown_plan",
    "no_price",
    "missing_volume",
    "amount_out_of_range",
)
#: Not ours to bill; the others are to be worked.
EXCLUDED_REASONS = ("prepaid_customer", "inactive_customer")
#: Disposition of an event whose price only its month can tell.
DEFERRED = "deferred"

#: What a customer is whose usage is charged.
_CHARGEABLE = "chargeable"

#: An amount has twelve digits before the point and a price six: so many units cannot be out of range.
_SAFE_UNITS = 1_000_000

MissingVolumePolicy = Literal["customer_min", "zero", "suspend"]


@dataclass(frozen=True)
class Tariff:
    """The reference rows that events are rated against, each of one pinned version."""

    customers: DataFrame
    rate_plans: DataFrame
    product_catalog: DataFrame
    versions: dict[str, int]

    def version_columns(self) -> list[Column]:
        return [F.lit(version).cast("bigint").alias(f"{name}_version") for name, version in self.versions.items()]


@dataclass(frozen=True)
class Ratings:
    """Every cleaned event of the days with its outcome: `reason` is NULL for a rated event."""

    rows: DataFrame

    @property
    def rated(self) -> DataFrame:
        """Rows of rated_cdrs."""
        return self.rows.where(F.col("reason").isNull()).select(RATED_CDRS.column_names)

    @property
    def suspended(self) -> DataFrame:
        """Rows of suspended_cdrs."""
        return self.rows.where(F.col("reason").isNotNull()).select(SUSPENDED_CDRS.column_names)


def rate(cleaned: DataFrame, tariff: Tariff, *, missing_volume: MissingVolumePolicy) -> Ratings:
    """Rate cleaned events, each by itself: no other event and no month is asked.

    A data session without a volume that would be charged is, by policy, of no volume (`zero`), suspended (`suspend`) or
    deferred to its month (`customer_min`); that is the last of the questions, so each deferred event has its price.
    """
    subscribers, prices = _subscribers(tariff), price_list(tariff.rate_plans, tariff.product_catalog)
    events = cleaned.withColumn("billing_period", billing_period(F.col("event_date")))
    joined = events.join(subscribers, on=F.col("subscriber_id") == F.col("customer_id"), how="left").join(
        prices,
        on=(F.col("plan_id") == F.col("price_plan")) & (F.col("product_code") == F.col("price_product")),
        how="left",
    )
    priced = (
        joined.withColumn("missing", (F.col("record_type") == "data") & F.col("data_volume_mb").isNull())
        .withColumn("billable_units", _billable_units(missing_volume))
        .withColumn("imputed", F.col("missing"))
        .withColumn("amount", charge())
        .withColumn("reason", _first_reason(missing_volume))
    )
    units, free = F.col("billable_units"), F.col("free_units")
    return Ratings(
        priced.select(
            "record_id",
            F.col("subscriber_id").alias("customer_id"),
            "record_type",
            "event_ts",
            F.col("plan_id").alias("rate_plan_id"),
            "region",
            "product_code",
            F.when(F.col("reason").isNull() | ~F.col("missing"), units).alias("billable_units"),
            F.least(units, free).cast("decimal(18,6)").alias("free_units_applied"),
            "unit_price",
            "tier_threshold",
            "tier_price",
            "amount",
            "rating_status",
            "imputed",
            "reason",
            _disposition(missing_volume).alias("disposition"),
            "billing_period",
            "source_id",
            "source_part",
            "source_position",
            *tariff.version_columns(),
            "event_date",
        )
    )


def charge() -> Column:
    """Price of an event before discount and tax, rounded once; NULL where it is 10^12 or more, which no amount holds.

    Flat: units beyond the free ones at unit_price. Tiered: the same up to tier_threshold (counted from zero, free units
    included), tier_price above it. Columns: billable_units, free_units, unit_price, tier_threshold, tier_price,
    rate_type. The allowance is per event.
    """
    units, free = F.col("billable_units"), F.col("free_units")
    unit_price, threshold, tier_price = F.col("unit_price"), F.col("tier_threshold"), F.col("tier_price")
    nothing = F.lit(Decimal(0)).cast("decimal(18,6)")
    flat = F.greatest(nothing, (units - free).cast("decimal(18,6)")) * unit_price
    lower = F.greatest(nothing, (F.least(units, threshold) - free).cast("decimal(18,6)")) * unit_price
    upper = F.greatest(nothing, (units - threshold).cast("decimal(18,6)")) * tier_price
    tiered = (F.col("rate_type") == "tiered") & threshold.isNotNull()
    return round_half_up_or_null(F.when(tiered, lower + upper).otherwise(flat), RATED_SCALE)


def _subscribers(tariff: Tariff) -> DataFrame:
    """Customers as rating needs them; `standing` is CHARGEABLE, or why nothing of theirs is charged.

    Small tables are joined and judged by themselves first: every column that events are joined with is copied for each.
    """
    plans = tariff.rate_plans.groupBy(F.col("rate_plan_id").alias("known_plan")).agg(F.count("*").alias("plan_prices"))
    standing = (
        F.when(F.col("subscription_type").isNull(), "unknown_customer")
        .when(F.col("subscription_type") != "postpaid", "prepaid_customer")
        .when(F.col("status") != "active", "inactive_customer")
        .when(F.col("known_plan").isNull(), "unknown_plan")
        .otherwise(_CHARGEABLE)
    )
    customers = tariff.customers.withColumnRenamed("rate_plan_id", "plan_id")
    return customers.join(plans, on=F.col("plan_id") == F.col("known_plan"), how="left").select(
        "customer_id", "region", "plan_id", standing.alias("standing")
    )


def price_list(rate_plans: DataFrame, product_catalog: DataFrame) -> DataFrame:
    """The price of each plan (`price_plan`) for each product (`price_product`): what `charge` reads besides the units."""
    rate_types = product_catalog.select(F.col("product_code").alias("catalog_product"), "rate_type")
    return rate_plans.join(rate_types, on=F.col("product_code") == F.col("catalog_product"), how="left").select(
        F.col("rate_plan_id").alias("price_plan"),
        F.col("product_code").alias("price_product"),
        "unit_price",
        "free_units",
        "tier_threshold",
        "tier_price",
        "rate_type",
    )


def _first_reason(missing_volume: MissingVolumePolicy) -> Column:
    chain = (
        F.when(F.col("standing").isNull(), "unknown_customer")
        .when(F.col("standing") != _CHARGEABLE, F.col("standing"))
        .when(F.col("unit_price").isNull(), "no_price")
    )
    if missing_volume != "zero":
        chain = chain.when(F.col("missing"), "missing_volume")
    # What units come from is asked first: it is at hand, where the amount would be worked out twice for every event.
    large = reduce(or_, (F.col(name) > _SAFE_UNITS for name in ("data_volume_mb", "duration_sec")))
    return chain.when(F.when(large, F.col("amount").isNull()), "amount_out_of_range")


def _disposition(missing_volume: MissingVolumePolicy) -> Column:
    """What is to become of an event that its day does not charge."""
    chain = F.when(F.col("reason").isin(*EXCLUDED_REASONS), "excluded")
    if missing_volume == "customer_min":
        chain = chain.when(F.col("reason") == "missing_volume", DEFERRED)
    return chain.otherwise("suspended")


def _billable_units(missing_volume: MissingVolumePolicy) -> Column:
    """Started minutes, messages or megabytes; a missing volume is zero or, where the day cannot tell it, NULL."""
    minutes = F.expr("(cast(duration_sec * 1000 as bigint) + 59999) div 60000")
    volume = F.col("data_volume_mb")
    if missing_volume == "zero":
        volume = zero_if_null(volume)
    return (
        F.when(F.col("record_type") == "voice", minutes.cast("decimal(18,6)"))
        .when(F.col("record_type") == "sms", F.lit(Decimal(1)).cast("decimal(18,6)"))
        .otherwise(volume)
        .cast("decimal(18,6)")
    )
