"""The differences between what is right and what is settled of a closed period, record by record.

Belongs here: what of a record is settled, which rows a difference makes, the reason of each. Does not belong here: which records are
looked at (`inputs`), what a difference costs with discount and tax, and on which document it stands (`telecom_assets.billing`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from telecom_assets.corrections.tables import (
    ADJUSTMENTS,
    AWAITING,
    BILLED,
    CHARGED,
    CUSTOMER_CORRECTED,
    GONE,
    LATE_USAGE,
    RECOMPUTED,
    RECORD_CHANGED,
    RECORD_GONE,
    REFUSED,
    RERATED,
    RULES_CHANGED,
    TAKEN_BACK,
    UNCHARGED,
    UNSETTLED,
    WRITTEN_OFF,
)
from telecom_assets.model.columns import VALID_FROM, VALID_TO
from telecom_assets.model.numbers import PERCENT
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.rating.month_rules import impute
from telecom_assets.rating.rules import DEFERRED, Ratings, ReferenceData, price_list, rate
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.as_of import join_as_of

RATED = "rated"
#: Reasons of suspension that are the customer's: another one, or none, is another state of the customer.
_OF_CUSTOMER = ("unknown_customer", "prepaid_customer", "inactive_customer")
_MESSAGE = ("source_id", "source_part", "source_position")
_PRICE = ("plan_valid_from", "product_valid_from", "unit_price", "tier_threshold", "tier_price")
#: Keeps rows that are needed several times, so that they are worked out once.
Keep = Callable[[DataFrame], DataFrame]


def as_they_are(rows: DataFrame) -> DataFrame:
    """Keeps nothing: rows are worked out each time."""
    return rows


#: What a charge is told from another by. All of it is on the line of a bill, but the product.
_CHARGE = ("record_id", "customer_id", "holder_no", "service", "product_code", "rate_plan_id", "region")
_SUMS = ("events", "units", "amount")
#: A record, whatever became of it: `records`.
_RECORD = (
    *_CHARGE,
    "event_date",
    "outcome",
    "outcome_reason",
    "billable_units",
    "free_units_applied",
    "amount",
    "imputed",
    "unit_price",
    "tier_threshold",
    "tier_price",
    "customer_valid_from",
    "plan_valid_from",
    "product_valid_from",
    *_MESSAGE,
)


@dataclass(frozen=True)
class Settled:
    """What is settled of a period, or of some customers in it.

    records: `records` of its frozen tables. adjustments: rows of the table of that name about the period in all closed periods.
    """

    records: DataFrame
    adjustments: DataFrame

    @property
    def charges(self) -> DataFrame:
        """What was charged, by what a charge is told from another by: events, units, amount. Written-off ones are settled too."""
        corrected = self.adjustments.where(F.col("disposition").isin(BILLED, WRITTEN_OFF)).select(*_CHARGE, *_SUMS)
        return _added_up(charges(self.records).unionByName(corrected))

    @property
    def known(self) -> DataFrame:
        """Each record that was ever settled, as it was settled last: columns of `records`; the outcome of one may be gone.

        `amount` is NULL where it was corrected, since a row of adjustments has no more than the difference.
        """
        told = self.adjustments.where(~F.col("disposition").isin(*UNSETTLED))
        last = Window.partitionBy("record_id").orderBy(
            F.col("billing_period").desc(),
            (F.col("side") == CHARGED).desc(),
            (F.col("disposition") == WRITTEN_OFF).asc(),
            "customer_id",
            "holder_no",
        )
        corrected = (
            told.withColumn("place", F.row_number().over(last))
            .where(F.col("place") == 1)
            .withColumn("amount", F.lit(None).cast("decimal(18,6)"))
            .select(*_RECORD)
        )
        untouched = self.records.join(corrected.select("record_id"), on="record_id", how="left_anti")
        return untouched.select(*_RECORD).unionByName(corrected)


def records(rated: DataFrame, suspended: DataFrame, imputed: DataFrame) -> DataFrame:
    """One row per cleaned record of a month with what became of it: `outcome` (rated, suspended, excluded) and its reason.

    rated, suspended, imputed: rows of rated_cdrs, suspended_cdrs and period_charges. A deferred event is as its month has priced it.
    A charge from before anybody asked for holders is of the first one.
    """
    priced = [name for name in _RECORD if name not in ("outcome", "outcome_reason", "service", "holder_no")]
    both = [each.select("record_type", "holder_no", *priced) for each in (rated, imputed)]
    has_amount = F.col("amount").isNotNull()
    charged = (
        both[0]
        .unionByName(both[1])
        .withColumn("holder_no", F.coalesce("holder_no", F.lit(1)))
        .withColumn("outcome", F.when(has_amount, RATED).otherwise("suspended"))
        .withColumn("outcome_reason", F.when(~has_amount, "amount_out_of_range"))
        .withColumn("service", F.col("record_type"))
    )
    of_none = {"free_units_applied": "decimal(18,6)", "amount": "decimal(18,6)", "imputed": "boolean"}
    of_none |= {"unit_price": "decimal(12,6)", "tier_threshold": "decimal(18,6)", "tier_price": "decimal(12,6)"}
    others = suspended.where(F.col("disposition") != DEFERRED).select(
        *suspended.columns, *(F.lit(None).cast(kind).alias(name) for name, kind in of_none.items())
    )
    uncharged = (
        others.withColumn("outcome", F.col("disposition"))
        .withColumn("outcome_reason", F.col("reason"))
        .withColumn("service", F.col("record_type"))
    )
    return charged.select(*_RECORD).unionByName(uncharged.select(*_RECORD))


def right(
    cleaned: DataFrame,
    reference: ReferenceData,
    closed_with: ClosedWith,
    record_types: RecordTypes = RECORD_TYPES,
    keep: Keep = as_they_are,
) -> DataFrame:
    """`records` of a closed month as they are right: with the reference data as they are now, by the policy it was closed with.

    cleaned: rows of cleaned_cdrs of the month, all of each holder's that are in it.
    """
    policy = closed_with.missing_volume_policy
    ratings = rate(cleaned, reference, missing_volume=policy, record_types=record_types)  # type: ignore[arg-type]
    prices = price_list(reference.rate_plans, reference.product_catalog, record_types)
    ratings = Ratings(keep(ratings.rows))
    rated, suspended = ratings.rated, ratings.suspended
    return records(rated, suspended, impute(rated, suspended, prices, record_types))


def charges(of_records: DataFrame) -> DataFrame:
    """What the rated ones of some `records` cost: a row each, with its events, units and amount."""
    return of_records.where(F.col("outcome") == RATED).select(
        *_CHARGE, F.lit(1).alias("events"), F.col("billable_units").alias("units"), "amount"
    )


def differences(
    right: DataFrame,
    settled: Settled,
    reference: ReferenceData,
    accepted: DataFrame,
    record_types: RecordTypes = RECORD_TYPES,
    keep: Keep = as_they_are,
) -> DataFrame:
    """What is right minus what is settled: rows of ADJUSTMENTS without periods and terms.

    right: `records` of the same customers as `settled`. accepted: rows of accepted_differences of the period. A record whose charge
    is another one (customer, holder, plan, region, product) has two rows, what was settled and what is right; else one. A late
    record has a row whatever it costs.
    """
    prices = keep(price_list(reference.rate_plans, reference.product_catalog, record_types))
    right = keep(right)
    compared = keep(_compared(right, keep(settled.known), prices))
    owed = charges(right)
    taken = settled.charges
    net = _added_up(owed.unionByName(taken.select(*_CHARGE, *((-F.col(name)).alias(name) for name in _SUMS))))
    nonzero = reduce(or_, (F.col(name) != 0 for name in _SUMS))
    made = net.where(nonzero).join(compared, on="record_id", how="inner")
    on_right = reduce(and_, (F.col(name).eqNullSafe(F.col(f"right_{name}")) for name in _CHARGE[1:]))
    is_right = F.coalesce(on_right & (F.col("right_outcome") == RATED), F.lit(False))
    charged = made.withColumn("side", F.when(is_right, CHARGED).otherwise(TAKEN_BACK)).withColumn(
        "disposition", F.when(F.col("reason") == RULES_CHANGED, AWAITING).otherwise(BILLED)
    )
    late = compared.where((F.col("reason") == LATE_USAGE) & (F.col("right_outcome") != RATED))
    nothing = (
        late.select("*", *(F.col(f"right_{name}").alias(name) for name in _CHARGE[1:]))
        .withColumn("side", F.lit(CHARGED))
        .withColumn("disposition", F.lit(UNCHARGED))
    )
    rows = [_as_rows(charged), _as_rows(nothing.select("*", *(F.lit(0).alias(name) for name in _SUMS)))]
    return _with_accepted(rows[0], accepted).unionByName(rows[1])


def with_terms(rows: DataFrame, period: str, original_period: str, closed_with: ClosedWith) -> DataFrame:
    """Rows of ADJUSTMENTS: `differences` with the period that bills them, the one they correct, and the terms of that one.

    Of holders whose bill is not what its lines come to (`ClosedWith.not_corrected`) nothing is billed. A record that one of them keeps
    paying for is not charged to another.
    """
    said = {
        "billing_period": F.lit(period),
        "original_period": F.lit(original_period),
        "tax_category": F.lit(closed_with.tax_category),
        "tax_pct": F.lit(closed_with.tax_pct).cast(PERCENT),
        "discount_pct": F.lit(closed_with.discount_pct).cast(PERCENT),
    }
    judged = _with_refused(rows, closed_with) if closed_with.not_corrected else rows
    return judged.select("*", *(value.alias(name) for name, value in said.items())).select(
        *(F.col(column.name).cast(column.type) for column in ADJUSTMENTS.columns)
    )


def _with_refused(rows: DataFrame, closed_with: ClosedWith) -> DataFrame:
    """The rows, refused where they would correct a bill that its lines do not give."""
    named = is_not_corrected(closed_with.not_corrected)
    is_kept = named & (F.col("side") == TAKEN_BACK)
    of_record = F.max(F.when(is_kept, 1).otherwise(0)).over(Window.partitionBy("record_id"))
    marked = rows.withColumn("is_paid_by_another", (of_record == 1) & (F.col("side") == CHARGED))
    is_refused = (F.col("disposition") == BILLED) & (F.coalesce(named, F.lit(False)) | F.col("is_paid_by_another"))
    return marked.withColumn("disposition", F.when(is_refused, REFUSED).otherwise(F.col("disposition")))


def is_not_corrected(listed: Sequence[tuple[str, int]]) -> Column:
    """Whether a row with customer_id and holder_no is of a holder whose bill is not what its lines come to.

    listed: `ClosedWith.not_corrected`.
    """
    holders = [f"{customer}/{holder}" for customer, holder in listed]
    return F.concat_ws("/", F.col("customer_id"), F.col("holder_no").cast("string")).isin(*holders)


# ------------------------------------------------------------------------------------------------------------ reasons


def _compared(right: DataFrame, known: DataFrame, prices: DataFrame) -> DataFrame:
    """Each record of both sides with the first reason that applies to a difference of it: right_… and known_… of _RECORD."""
    now = right.select("record_id", *(F.col(name).alias(f"right_{name}") for name in _RECORD[1:]))
    then = _with_prices_now(known, prices)
    both = then.join(now, on="record_id", how="full_outer")
    is_here, was_here = F.col("right_service").isNotNull(), F.col("known_service").isNotNull()
    marked = both.select(
        "*",
        (~was_here).alias("is_late"),
        (was_here & ~is_here).alias("is_gone"),
        (was_here & is_here & _customer_differs()).alias("is_customers"),
        (was_here & is_here & _differ(_MESSAGE)).alias("is_another_copy"),
    )
    moved = _holders_that_moved(marked)
    imputed = F.coalesce(F.col("right_imputed") & F.col("known_imputed"), F.lit(False))
    reason = (
        F.when(F.col("is_late"), LATE_USAGE)
        .when(F.col("is_gone"), RECORD_GONE)
        .when(F.col("is_customers"), CUSTOMER_CORRECTED)
        .when(F.col("is_another_copy"), RECORD_CHANGED)
        .when(F.col("price_differs"), RERATED)
        .when(imputed & F.col("moved_holder").isNotNull(), RECOMPUTED)
        .otherwise(RULES_CHANGED)
    )
    of_holder = (F.col("right_customer_id") == F.col("moved_customer")) & F.col("right_holder_no").eqNullSafe(
        F.col("moved_holder")
    )
    return marked.join(moved, on=of_holder, how="left").withColumn("reason", reason)


def _with_prices_now(known: DataFrame, prices: DataFrame) -> DataFrame:
    """The known records as known_…, each with `price_differs`: the rows that priced it are not those that would price it now."""
    dates = (VALID_FROM, VALID_TO)
    named = (F.col(name).alias(f"now_{name}") for name in prices.columns if name not in dates)
    now = prices.select(*named, *dates)
    joined = join_as_of(
        known, now, {"rate_plan_id": "now_price_plan", "product_code": "now_price_product"}, valid_from=None
    )
    other_price = reduce(or_, (~F.col(name).eqNullSafe(F.col(f"now_{name}")) for name in _PRICE))
    allowance = F.least("billable_units", "now_free_units").cast("decimal(18,6)")
    other_allowance = ~F.col("free_units_applied").eqNullSafe(allowance)
    differs = F.when(F.col("outcome") == RATED, other_price | other_allowance | _other_rate_type()).otherwise(
        F.col("now_unit_price").isNotNull()
    )
    return joined.select(
        "record_id",
        *(F.col(name).alias(f"known_{name}") for name in _RECORD[1:]),
        F.coalesce(differs, F.lit(False)).alias("price_differs"),
    )


def _other_rate_type() -> Column:
    """Whether a charge was made flat and would be made tiered now, or the other way round: its amount shows which.

    It only matters above the threshold, where one price of all units is another amount than two.
    """
    units, free, threshold = F.col("billable_units"), F.col("free_units_applied"), F.col("tier_threshold")
    at_one_price = F.round((units - free) * F.col("unit_price"), 6)
    was_flat = at_one_price == F.col("amount")
    is_flat = F.col("now_rate_type") != "tiered"
    return F.coalesce(threshold.isNotNull() & (units > threshold) & (was_flat != is_flat), F.lit(False))


def _customer_differs() -> Column:
    """Whether a record is of another customer, holder, plan or region than it was, or its customer is charged where he was not."""
    of_customer = [
        F.coalesce(F.col(f"{side}_outcome_reason").isin(*_OF_CUSTOMER), F.lit(False)) for side in ("known", "right")
    ]
    status = (of_customer[0] | of_customer[1]) & _differ(("outcome_reason",))
    return _differ(("customer_id", "holder_no", "rate_plan_id", "region")) | status


def _differ(names: Sequence[str]) -> Column:
    return reduce(or_, (~F.col(f"known_{name}").eqNullSafe(F.col(f"right_{name}")) for name in names))


def _holders_that_moved(marked: DataFrame) -> DataFrame:
    """The holders of whom a record came, went, is another copy or another's: what their month decides may be another for them."""
    moved = marked.where(F.col("is_late") | F.col("is_gone") | F.col("is_customers") | F.col("is_another_copy"))
    sides = F.array(
        *(
            F.struct(
                F.col(f"{side}_customer_id").alias("moved_customer"), F.col(f"{side}_holder_no").alias("moved_holder")
            )
            for side in ("known", "right")
        )
    )
    # Not a union of both sides: an engine would compare all records once for each.
    both = moved.select(F.explode(sides).alias("moved"))
    return both.select("moved.moved_customer", "moved.moved_holder").where(F.col("moved_holder").isNotNull()).distinct()


# --------------------------------------------------------------------------------------------------------------- rows


def _added_up(of_charges: DataFrame) -> DataFrame:
    """Events, units and amounts by _CHARGE."""
    kinds = {"events": "bigint", "units": "decimal(18,6)", "amount": "decimal(18,6)"}
    return of_charges.groupBy(*_CHARGE).agg(*(F.sum(name).cast(kind).alias(name) for name, kind in kinds.items()))


def _as_rows(made: DataFrame) -> DataFrame:
    """The rows of a comparison with the columns of ADJUSTMENTS, without periods and terms.

    What names the rows that priced it is of the row's own side, what describes the record is as it is right.
    """
    own = F.col("side") == CHARGED

    def of_side(name: str) -> Column:
        return F.when(own, F.col(f"right_{name}")).otherwise(F.col(f"known_{name}")).alias(name)

    return made.select(
        *_CHARGE,
        "side",
        "disposition",
        "reason",
        F.coalesce("right_outcome", F.lit(GONE)).alias("outcome"),
        F.col("right_outcome_reason").alias("outcome_reason"),
        F.coalesce("right_event_date", "known_event_date").alias("event_date"),
        *(of_side(name) for name in ("customer_valid_from", "plan_valid_from", "product_valid_from")),
        *(F.col(name).cast("bigint" if name == "events" else "decimal(18,6)").alias(name) for name in _SUMS),
        *(
            F.col(f"right_{name}").alias(name)
            for name in (
                "billable_units",
                "free_units_applied",
                "unit_price",
                "tier_threshold",
                "tier_price",
                "imputed",
            )
        ),
        *(F.col(f"right_{name}").alias(name) for name in _MESSAGE),
    )


def _with_accepted(rows: DataFrame, accepted: DataFrame) -> DataFrame:
    """The rows, those that await acceptance billed where exactly this difference has been accepted."""
    same = ("record_id", "customer_id", "holder_no", "side", "units", "amount")
    named = accepted.select(*(F.col(name).alias(f"accepted_{name}") for name in same)).distinct()
    equal = reduce(and_, (F.col(name) == F.col(f"accepted_{name}") for name in same))
    joined = rows.join(named, on=equal, how="left")
    is_accepted = (F.col("disposition") == AWAITING) & F.col("accepted_record_id").isNotNull()
    return joined.withColumn("disposition", F.when(is_accepted, BILLED).otherwise(F.col("disposition"))).select(
        *rows.columns
    )
