"""Rating: each cleaned event gets its price, or a reason why it has none.

Belongs here: billable units, who is charged, and the price formula: all that an event decides by itself. What a month
decides is in `telecom_assets.rating.month_rules`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.mediation.quantities import any_of
from telecom_assets.model.civil_time import billing_period
from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.model.numbers import RATED_SCALE, round_half_up_or_null
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import RecordType
from telecom_assets.reference.as_of import both_in_force, join_as_of

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
#: Reasons of events that are not ours to bill. Events with another reason are to be worked.
_INACTIVE = "inactive_customer"
EXCLUDED_REASONS = ("prepaid_customer", _INACTIVE)
#: Disposition of an event whose price only its month can tell.
DEFERRED = "deferred"

#: Chargeability of a customer whose usage is charged.
_CHARGEABLE = "chargeable"

#: Up to so many units an amount cannot be out of range: it has twelve digits before the point, a price has six.
_SAFE_UNITS = 1_000_000

MissingVolumePolicy = Literal["customer_min", "zero", "suspend"]


@dataclass(frozen=True)
class ReferenceData:
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


def rate(
    cleaned: DataFrame,
    reference: ReferenceData,
    *,
    missing_volume: MissingVolumePolicy,
    record_types: RecordTypes = RECORD_TYPES,
) -> Ratings:
    """Rate cleaned events, each by itself and at the price of its day: no other event and no month matters.

    An event of another record type has no price, nor has one on whose day its plan has none.

    The policy `missing_volume` is for an event that would be charged and lacks the quantity that may be imputed (a data session
    without a volume): it counts as none (`zero`), is suspended (`suspend`) or deferred to its month (`customer_min`). The policy is
    applied last, so customer, plan and price of a deferred event are known.
    """
    subscribers = _subscribers(reference)
    prices = price_list(reference.rate_plans, reference.product_catalog, record_types)
    is_imputed, volume = imputed_quantity(record_types)
    events = cleaned.withColumn("billing_period", billing_period(F.col("event_date")))
    known = join_as_of(events, subscribers, {"subscriber_id": "customer_id"}, valid_from=None)
    joined = join_as_of(known, prices, {"plan_id": "price_plan", "product_code": "price_product"}, valid_from=None)
    priced = (
        joined.withColumn("missing", is_imputed & volume.isNull())
        .withColumn("billable_units", _billable_units(missing_volume, record_types))
        .withColumn("imputed", F.col("missing"))
        .withColumn("amount", charge())
        .withColumn("reason", _first_reason(missing_volume, record_types))
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
            *reference.version_columns(),
            "holder_no",
            "customer_valid_from",
            "plan_valid_from",
            "product_valid_from",
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


def _subscribers(reference: ReferenceData) -> DataFrame:
    """Customers as rating needs them, each with the days on which he is so; `chargeability` is CHARGEABLE, or why nothing is charged.

    From the end of a number's last holder on it is inactive. Before the first holder, and between two, it is nobody's: no row.

    Small tables are joined with each other first, and reduced to these columns: each column that events are joined with is copied
    for every event.
    """
    plans = reference.rate_plans.groupBy(F.col("rate_plan_id").alias("known_plan")).agg(
        F.count("*").alias("plan_prices")
    )
    chargeability = (
        F.when(F.col("subscription_type").isNull(), "unknown_customer")
        .when(F.col("subscription_type") != "postpaid", "prepaid_customer")
        .when(F.col("status") != "active", _INACTIVE)
        .when(F.col("known_plan").isNull(), "unknown_plan")
        .otherwise(_CHARGEABLE)
    )
    customers = reference.customers.withColumnRenamed("rate_plan_id", "plan_id")
    versions = customers.join(plans, on=F.col("plan_id") == F.col("known_plan"), how="left").select(
        "customer_id",
        "holder_no",
        "region",
        "plan_id",
        chargeability.alias("chargeability"),
        F.col(VALID_FROM).alias("customer_valid_from"),
        VALID_FROM,
        VALID_TO,
    )
    return versions.unionByName(_after_their_end(customers), allowMissingColumns=True)


def _after_their_end(customers: DataFrame) -> DataFrame:
    """For each number whose last holder is ended: the days from then on."""
    ends = customers.groupBy("customer_id").agg(
        F.max(VALID_TO).alias(VALID_FROM), F.count_if(F.col(VALID_TO).isNull()).alias("open")
    )
    return ends.where(F.col("open") == 0).select(
        "customer_id", F.lit(_INACTIVE).alias("chargeability"), VALID_FROM, F.lit(None).cast("date").alias(VALID_TO)
    )


def price_list(
    rate_plans: DataFrame, product_catalog: DataFrame, record_types: RecordTypes = RECORD_TYPES
) -> DataFrame:
    """The prices of each plan (`price_plan`) for each product (`price_product`): what `charge` reads besides the units.

    One row for each stretch of days (`valid_from`, `valid_to`) on which both the row of the plan and the row of the catalogue are
    in force; `plan_valid_from` and `product_valid_from` name them. Only products of these record types have a price here, and only
    on days on which the catalogue has them.
    """
    products = product_catalog.select(F.col("product_code").alias("catalog_product"), "rate_type", VALID_FROM, VALID_TO)
    of_types = rate_plans.where(F.col("service_type").isin(*record_types.names)).select(
        F.col("rate_plan_id").alias("price_plan"),
        F.col("product_code").alias("price_product"),
        "unit_price",
        "free_units",
        "tier_threshold",
        "tier_price",
        VALID_FROM,
        VALID_TO,
    )
    return both_in_force(
        of_types,
        products,
        {"price_product": "catalog_product"},
        left_from="plan_valid_from",
        right_from="product_valid_from",
    ).drop("catalog_product")


def _first_reason(missing_volume: MissingVolumePolicy, record_types: RecordTypes) -> Column:
    chain = (
        F.when(F.col("chargeability").isNull(), "unknown_customer")
        .when(F.col("chargeability") != _CHARGEABLE, F.col("chargeability"))
        .when(F.col("unit_price").isNull(), "no_price")
    )
    if missing_volume != "zero":
        chain = chain.when(F.col("missing"), "missing_volume")
    # The quantity is compared first, since it is at hand; comparing the amount alone would compute it twice for every event.
    charged = dict.fromkeys(each.charged.field for each in record_types if each.charged)
    large = any_of(F.col(field) > _SAFE_UNITS for field in charged)
    return chain.when(F.when(large, F.col("amount").isNull()), "amount_out_of_range")


def _disposition(missing_volume: MissingVolumePolicy) -> Column:
    """The disposition of an event that its day does not charge: excluded, deferred or suspended."""
    chain = F.when(F.col("reason").isin(*EXCLUDED_REASONS), "excluded")
    if missing_volume == "customer_min":
        chain = chain.when(F.col("reason") == "missing_volume", DEFERRED)
    return chain.otherwise("suspended")


def imputed_quantity(record_types: RecordTypes) -> tuple[Column, Column]:
    """Whether an event is of the record type whose quantity may be imputed, and that quantity."""
    if record_types.imputed is None:
        return F.lit(False), F.lit(None).cast("decimal(18,6)")
    record_type, quantity = record_types.imputed
    return F.col("record_type") == record_type.name, F.col(quantity.field)


def _billable_units(missing_volume: MissingVolumePolicy, record_types: RecordTypes) -> Column:
    """The units that are charged, as the record type counts them. A missing volume is zero, or NULL where the month decides it.

    NULL for any other type. The quantity that may be imputed comes last and without a condition on the type, since it is NULL in
    events of other types: one branch less saves a fiftieth of rating.
    """
    chain = None
    for each in record_types:
        if record_types.imputed is None or each != record_types.imputed[0]:
            is_type, units = F.col("record_type") == each.name, _units(each)
            chain = F.when(is_type, units) if chain is None else chain.when(is_type, units)
    if record_types.imputed is not None:
        _, quantity = record_types.imputed
        volume = F.col(quantity.field)
        if missing_volume == "zero":
            volume = F.coalesce(volume, F.when(F.col("missing"), F.lit(Decimal(0)).cast("decimal(18,6)")))
        chain = volume if chain is None else chain.otherwise(volume)
    assert chain is not None  # there is one record type at least
    return chain.cast("decimal(18,6)")


def _units(record_type: RecordType) -> Column:
    """Units by record type: 1 for an event, the quantity itself, or the started units of the quantity."""
    quantity, started = record_type.charged, record_type.units.started
    if quantity is None:
        return F.lit(Decimal(1)).cast("decimal(18,6)")
    if started is None:
        return F.col(quantity.field).cast("decimal(18,6)")
    one = 10**quantity.scale
    begun = F.expr(f"(cast({quantity.field} * {one} as bigint) + {started * one - 1}) div {started * one}")
    return begun.cast("decimal(18,6)")
