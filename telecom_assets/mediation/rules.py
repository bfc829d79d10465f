"""Mediation: each landed message of a day becomes exactly one cleaned event or one rejection with a reason.

Belongs here: what makes a CDR acceptable, how its fields are normalised, and the outcome of a day's rows. Does not belong here:
which of several copies is kept (`copies`).
The rules are this project's input contract (README, "What goes in"); terms are those of 3GPP TS 32.298.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from telecom_assets.intake.admission import MALFORMED_JSON, MALFORMED_UTF8
from telecom_assets.mediation.copies import DUPLICATE_REASONS, find_copies, fingerprint, with_repeated_ids
from telecom_assets.mediation.parties import party, subscriber
from telecom_assets.mediation.quantities import (
    any_of,
    is_one_of,
    lacks_quantity,
    objections,
    out_of_range,
    text_of,
    typed_columns,
    written_column,
)
from telecom_assets.mediation.tables import MESSAGE_KEY, REJECTED_CDRS, cleaned_cdrs
from telecom_assets.model.civil_time import local_day, parse_timestamp
from telecom_assets.model.party_numbers import MOROCCO
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import INTERNATIONAL, NATIONAL


def rejection_reasons(record_types: RecordTypes) -> tuple[str, ...]:
    """Reasons of rejection, in the order in which they are tried."""
    return (
        MALFORMED_UTF8,
        MALFORMED_JSON,
        "missing_record_id",
        "missing_record_type",
        "unknown_record_type",
        "missing_timestamp",
        "invalid_timestamp",
        "outside_acceptance_window",
        "missing_subscriber",
        "invalid_subscriber",
        *dict.fromkeys(reason for quantity in record_types.quantities.values() for reason in quantity.reasons),
        "quantity_out_of_range",
        "unknown_product",
        *DUPLICATE_REASONS,
    )


REJECTION_REASONS = rejection_reasons(RECORD_TYPES)

UNKNOWN = "inconnu"
DEFAULT_TECHNOLOGY = "4G"
TECHNOLOGY_ALIASES = {"LTE": "4G", "NR": "5G", "UMTS": "3G"}

_DETAIL_LENGTH = 200


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of the raw rows of some days: each row becomes a row of cleaned_cdrs or of rejected_cdrs.

    days: rows of raw_cdrs of the days. catalog: product_catalog. copies: `find_copies` in the days' neighbourhood.
    """

    days: DataFrame
    catalog: DataFrame
    copies: DataFrame
    record_types: RecordTypes = RECORD_TYPES

    @property
    def rows(self) -> DataFrame:
        """Every row with its outcome: `reason` is NULL for a cleaned event."""
        return self._outcomes_of(self.days)

    @property
    def cleaned(self) -> DataFrame:
        """Rows of cleaned_cdrs."""
        # Rows that are not at home on their own day are rejected in any case, so they are left out before judging.
        at_home = self.days.where(local_day(F.col("event_ts")) == F.col("event_date"))
        acceptable = judge(at_home, self.catalog, self.record_types).where(F.col("reason_number").isNull())
        columns = cleaned_cdrs(self.record_types).column_names
        return acceptable.join(self.copies, on=list(MESSAGE_KEY), how="left_anti").select(columns)

    @property
    def rejected(self) -> DataFrame:
        """Rows of rejected_cdrs."""
        return _rejected(self.rows)

    def rejected_beside(self, cleaned: DataFrame) -> DataFrame:
        """Rows of rejected_cdrs when the rows of cleaned_cdrs are at hand: only the other raw rows are judged again."""
        others = self.days.join(cleaned.select(*MESSAGE_KEY), on=list(MESSAGE_KEY), how="left_anti")
        return _rejected(self._outcomes_of(others))

    def _outcomes_of(self, rows: DataFrame) -> DataFrame:
        joined = judge(rows, self.catalog, self.record_types).join(self.copies, on=list(MESSAGE_KEY), how="left")
        detail = F.when(F.col("reason").isNull(), F.col("copy_of")).otherwise(F.col("detail"))
        return joined.withColumn("detail", detail).withColumn("reason", F.coalesce("reason", "copy_reason"))


def _rejected(rows: DataFrame) -> DataFrame:
    return rows.where(F.col("reason").isNotNull()).select(REJECTED_CDRS.column_names)


def mediate(
    days: DataFrame,
    neighbourhood: DataFrame,
    catalog: DataFrame,
    *,
    dedupe_days: int,
    chosen: DataFrame | None = None,
    keep: Callable[[DataFrame], DataFrame] = lambda rows: rows,
    record_types: RecordTypes = RECORD_TYPES,
) -> Outcomes:
    """Mediate the raw rows of some days.

    days: rows of raw_cdrs of the days. neighbourhood: rows of raw_cdrs that may hold a copy of one of them, the days
    themselves included: those up to `dedupe_days` before and after (more does no harm). catalog: product_catalog.
    chosen: the copies that people have chosen (`find_copies`); None: none.
    keep: keeps rows that both outcomes need, so that they are computed once (`engine.keep`).
    """
    suspects = judge(with_repeated_ids(neighbourhood, keep), catalog, record_types)
    copies = find_copies(suspects.where(F.col("reason_number").isNull()), dedupe_days, chosen)
    return Outcomes(days, catalog, keep(copies), record_types)


def judge(raw: DataFrame, catalog: DataFrame, record_types: RecordTypes = RECORD_TYPES) -> DataFrame:
    """Typed and normalised columns, and `reason`: the first that applies, except being a copy. Keeps every row."""
    # A product is known whenever the catalogue has it, on whatever days; on a day on which it has no price, rating says so.
    products = catalog.select(
        F.col("product_code").alias("known_product"), F.col("service_type").alias("known_service")
    ).distinct()
    quantities = record_types.quantities.values()
    texts = raw.select(
        "*",
        _field((each.name, each.subscriber) for each in record_types).alias("subscriber_text"),
        _field((each.name, each.other_party) for each in record_types).alias("other_text"),
        *(
            _field((each.name, quantity.field) for each in record_types if quantity in each.quantities).alias(
                text_of(quantity)
            )
            for quantity in quantities
        ),
    )
    typed = texts.select("*", *map(written_column, quantities)).select(
        "record_id",
        "record_type",
        "admission_error",
        "timestamp_text",
        "event_ts",
        "received_at",
        *MESSAGE_KEY,
        "event_date",
        F.coalesce("cell_id", F.lit(UNKNOWN)).alias("cell_id"),
        _technology().alias("technology"),
        "subscriber_text",
        subscriber(F.col("subscriber_text")).alias("subscriber_id"),
        F.when(
            is_one_of(each.name for each in record_types if each.other_party),
            F.coalesce(party(F.col("other_text")), F.lit(UNKNOWN)),
        ).alias("other_party"),
        *(column for quantity in quantities for column in typed_columns(quantity)),
        _field((each.name, each.product_field) for each in record_types).alias("named_product"),
    )
    named = typed.withColumn("product_code", _product(record_types)).join(
        products,
        on=(F.col("product_code") == F.col("known_product")) & (F.col("record_type") == F.col("known_service")),
        how="left",
    )
    lacking = [lacks_quantity(each) for each in record_types if not all(one.required for one in each.quantities)]
    reasons = rejection_reasons(record_types)
    return (
        named.withColumn("rating_status", F.when(any_of(lacking), "needs_review").otherwise("ready"))
        .withColumn("fingerprint", fingerprint(record_types))
        .withColumn("reason_number", _first_reason(record_types, reasons))
        .withColumn("reason", _named_reason(reasons))
        .withColumn("detail", _detail(record_types))
    )


def _field(fields: Iterable[tuple[str, str | None]]) -> Column:
    """The value of the field that plays a role: pairs (type, field); NULL in records of types without such a field."""
    chain = None
    for name, field in fields:
        if field is not None:
            is_type = F.col("record_type") == name
            chain = F.when(is_type, F.col(field)) if chain is None else chain.when(is_type, F.col(field))
    return F.lit(None).cast("string") if chain is None else chain


def _technology() -> Column:
    technology = F.col("technology")
    named = reduce(
        lambda chain, alias: chain.when(technology == alias[0], alias[1]),
        TECHNOLOGY_ALIASES.items(),
        F.when(technology.isNull(), DEFAULT_TECHNOLOGY),
    )
    return named.otherwise(technology)


def _product(record_types: RecordTypes) -> Column:
    other = F.col("other_party")
    scope = F.when((other != UNKNOWN) & ~other.startswith(MOROCCO), INTERNATIONAL).otherwise(NATIONAL)
    named = is_one_of(each.name for each in record_types if each.product_field)
    return F.when(named, F.col("named_product")).otherwise(F.concat(F.upper("record_type"), F.lit("_"), scope))


def _first_reason(record_types: RecordTypes, reasons: tuple[str, ...]) -> Column:
    """Number of the first of the reasons that applies."""
    known = F.col("event_ts").isNotNull()
    judged = [quantity for quantity in record_types.quantities.values() if quantity.judged]
    conditions = {
        MALFORMED_UTF8: F.col("admission_error") == MALFORMED_UTF8,
        MALFORMED_JSON: F.col("admission_error") == MALFORMED_JSON,
        "missing_record_id": F.col("record_id").isNull(),
        "missing_record_type": F.col("record_type").isNull(),
        "unknown_record_type": ~F.col("record_type").isin(*record_types.names),
        "missing_timestamp": F.col("timestamp_text").isNull(),
        # An instant that files cannot hold has no event_ts either, so the text is parsed again for rows without event_ts.
        "invalid_timestamp": F.when(~known, parse_timestamp(F.col("timestamp_text")).isNull()),
        "outside_acceptance_window": ~known | (local_day(F.col("event_ts")) != F.col("event_date")),
        "missing_subscriber": F.col("subscriber_text").isNull(),
        "invalid_subscriber": F.col("subscriber_id").isNull(),
        "quantity_out_of_range": any_of(out_of_range(quantity) for quantity in judged),
        "unknown_product": F.col("known_product").isNull(),
    }
    for quantity in record_types.quantities.values():
        for reason, applies in objections(quantity, record_types).items():
            conditions[reason] = conditions[reason] | applies if reason in conditions else applies
    # Not one long CASE: a columnar engine copies all columns at every branch of a CASE. Here each condition is evaluated by
    # itself, and the smallest number wins.
    return F.least(*(F.when(applies, reasons.index(reason)) for reason, applies in conditions.items()))


def _named_reason(reasons: tuple[str, ...]) -> Column:
    names = F.array(*(F.lit(reason) for reason in reasons))
    return F.when(F.col("reason_number").isNotNull(), F.get(names, F.col("reason_number")))


def _detail(record_types: RecordTypes) -> Column:
    """The text for which the record was rejected."""
    reason = F.col("reason")
    judged = [quantity for quantity in record_types.quantities.values() if quantity.judged]
    found = (
        F.when(reason == "unknown_record_type", F.col("record_type"))
        .when(reason.isin("invalid_timestamp", "outside_acceptance_window"), F.col("timestamp_text"))
        .when(reason == "invalid_subscriber", F.col("subscriber_text"))
        .when(reason == "unknown_product", F.col("product_code"))
    )
    for quantity in judged:
        found = found.when(reason.isin(*quantity.reasons), F.col(text_of(quantity)))
    if judged:
        found = found.when(reason == "quantity_out_of_range", F.coalesce(*map(text_of, judged)))
    return F.substring(found, 1, _DETAIL_LENGTH)
