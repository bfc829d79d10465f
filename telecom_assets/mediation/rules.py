"""Mediation: each landed message of a day becomes exactly one cleaned event or one rejection with a reason.

Belongs here: what makes a CDR acceptable, how its fields are normalised, and which of several copies is kept.
The rules are this project's input contract (README, "What goes in"); terms are those of 3GPP TS 32.298.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from telecom_assets.intake.admission import FIELD_COLUMNS, MALFORMED_JSON, MALFORMED_UTF8
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
from telecom_assets.mediation.tables import REJECTED_CDRS, cleaned_cdrs
from telecom_assets.model.civil_time import local_day, parse_timestamp
from telecom_assets.model.party_numbers import MOROCCO
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import COMMON_FIELDS, INTERNATIONAL, NATIONAL, RecordType

#: The two reasons for a record that is a copy of one which came before it.
DUPLICATE_REASONS = ("duplicate", "duplicate_conflict")


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

#: What tells one landed message from another.
IDENTITY = ("source_part", "source_position", "source_id")

#: When days are less than this share of the rows around them, it is first found out which of those have their ids.
SMALL_PART = 0.25

_DETAIL_LENGTH = 200
#: Comes before any character of an identity, so that of two the shorter is the smaller one.
_BEHIND = "\x1f"


@dataclass(frozen=True)
class Outcomes:
    """What becomes of the raw rows of some days: each is a row of one of two tables.

    days: rows of raw_cdrs of the days. catalog: product_catalog. copies: `find_copies` of the days' neighbourhood.
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
        # Rows that lie on the day of their receipt are refused whatever they are: not worth judging first.
        at_home = self.days.where(local_day(F.col("event_ts")) == F.col("event_date"))
        acceptable = judge(at_home, self.catalog, self.record_types).where(F.col("reason_number").isNull())
        columns = cleaned_cdrs(self.record_types).column_names
        return acceptable.join(self.copies, on=list(IDENTITY), how="left_anti").select(columns)

    @property
    def rejected(self) -> DataFrame:
        """Rows of rejected_cdrs."""
        return _rejected(self.rows)

    def rejected_beside(self, cleaned: DataFrame) -> DataFrame:
        """The same rows, when those of cleaned_cdrs are at hand: only what is not there is judged again."""
        others = self.days.join(cleaned.select(*IDENTITY), on=list(IDENTITY), how="left_anti")
        return _rejected(self._outcomes_of(others))

    def _outcomes_of(self, rows: DataFrame) -> DataFrame:
        joined = judge(rows, self.catalog, self.record_types).join(self.copies, on=list(IDENTITY), how="left")
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
    share: Callable[[DataFrame], DataFrame] = lambda rows: rows,
    record_types: RecordTypes = RECORD_TYPES,
) -> Outcomes:
    """Mediate the raw rows of some days.

    days: rows of raw_cdrs of the days. neighbourhood: rows of raw_cdrs that may hold a copy of one of them, the days
    themselves included: those up to `dedupe_days` before and after (more does no harm). catalog: product_catalog.
    share: keeps rows that both outcomes need, so that they are computed once.
    """
    copies = find_copies(neighbourhood, catalog, dedupe_days, share, record_types)
    return Outcomes(days, catalog, share(copies), record_types)


def judge(raw: DataFrame, catalog: DataFrame, record_types: RecordTypes = RECORD_TYPES) -> DataFrame:
    """Typed and normalised columns, and `reason`: the first that applies, copies left aside. Keeps every row."""
    products = catalog.select(
        F.col("product_code").alias("known_product"), F.col("service_type").alias("known_service")
    )
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
        *IDENTITY,
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
        _fingerprint(record_types).alias("fingerprint"),
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
        .withColumn("reason_number", _first_reason(record_types, reasons))
        .withColumn("reason", _named_reason(reasons))
        .withColumn("detail", _detail(record_types))
    )


def _field(fields: Iterable[tuple[str, str | None]]) -> Column:
    """The field that holds something in records of a type: (type, field), NULL in records of types without one."""
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
        # Instants that files cannot hold have no event_ts: whether the text is one is asked again, for those alone.
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
    # Not one long CASE: an engine that works on whole columns copies all of them at every branch of one. Here each
    # condition is looked at by itself, and the smallest number wins.
    return F.least(*(F.when(applies, reasons.index(reason)) for reason, applies in conditions.items()))


def _named_reason(reasons: tuple[str, ...]) -> Column:
    names = F.array(*(F.lit(reason) for reason in reasons))
    return F.when(F.col("reason_number").isNotNull(), F.get(names, F.col("reason_number")))


def _detail(record_types: RecordTypes) -> Column:
    """The text that was refused."""
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


def _fingerprint(record_types: RecordTypes) -> Column:
    """What two copies of one record must share: the texts of the contract fields of their type, besides its identity."""
    _, *common = COMMON_FIELDS

    def joined(record_type: RecordType) -> Column:
        texts = (F.coalesce(FIELD_COLUMNS.get(name, name), F.lit("")) for name in (*common, *record_type.fields))
        return F.md5(F.concat_ws("\x1f", *texts))

    first, *others = record_types
    chain = F.when(F.col("record_type") == first.name, joined(first))
    for each in others:
        chain = chain.when(F.col("record_type") == each.name, joined(each))
    return chain


def days_with_copies(days: DataFrame, neighbourhood: DataFrame) -> DataFrame:
    """Days of the neighbourhood that may hold a record id of `days` which comes more than once there.

    Each row is `first` and `last`, and `between`: whether days between them may hold it as well. (To tell all days of
    each id takes longer than all the rest.) Ids are compared by their hash: one that shares it with another brings days
    too many.
    """
    repeated = (
        with_ids_of(days, hashed(neighbourhood))
        .groupBy("id_hash")
        .agg(F.count("*").alias("times"), F.min("event_date").alias("first"), F.max("event_date").alias("last"))
        .where("times > 1")
    )
    return repeated.select("first", "last", (F.col("times") > 2).alias("between")).distinct()


def hashed(rows: DataFrame) -> DataFrame:
    """The rows that have a record id, with a hash of it (`id_hash`): a quarter of its size."""
    return rows.where(F.col("record_id").isNotNull()).withColumn("id_hash", F.xxhash64("record_id"))


def with_ids_of(days: DataFrame, hashed_rows: DataFrame) -> DataFrame:
    """Those of the rows whose id_hash is that of a row of `days`."""
    return hashed_rows.join(hashed(days).select("id_hash").distinct(), on="id_hash", how="left_semi")


def repeated_hashes(hashed_rows: DataFrame) -> DataFrame:
    """Each id_hash that comes more than once."""
    return hashed_rows.groupBy("id_hash").agg(F.count("*").alias("times")).where("times > 1").select("id_hash")


def find_copies(
    neighbourhood: DataFrame,
    catalog: DataFrame,
    dedupe_days: int,
    share: Callable[[DataFrame], DataFrame] = lambda rows: rows,
    record_types: RecordTypes = RECORD_TYPES,
) -> DataFrame:
    """The otherwise valid records that are copies: coordinates, `copy_reason` and `copy_of`.

    `copy_of` says where the earliest record within reach lies. That one is the event itself, or in a chain of copies it
    is refused as well, for one before it: whether it was kept depends on days beyond reach of this one.

    Only record ids that come more than once are judged; that is a small part of the neighbourhood. They are counted by
    a hash, a quarter of their size: an id that shares its hash with another is judged for nothing. The hashes that come
    more than once are kept (`share`), so that they, being few, are taken to the rows and not the rows to them.
    """
    rows = hashed(neighbourhood)
    repeated = rows.join(share(repeated_hashes(rows)), on="id_hash", how="left_semi")
    suspects = judge(repeated, catalog, record_types).where(F.col("reason_number").isNull())
    order_key = F.concat(
        F.lpad(F.unix_micros("received_at").cast("string"), 20, "0"),
        F.lpad(F.col("source_part").cast("string"), 10, "0"),
        F.lpad(F.col("source_position").cast("string"), 20, "0"),
    )
    near = Window.partitionBy("record_id").orderBy("day_number").rangeBetween(-dedupe_days, dedupe_days)
    compared = (
        suspects.withColumn("day_number", F.unix_date("event_date"))
        .withColumn("order_key", F.concat(order_key, "source_id", F.lit(_BEHIND), "fingerprint"))
        .withColumn("earliest", F.min("order_key").over(near))
    )
    # 20 + 10 + 20 digits, the source, whose identity has any length, what ends it, 32 digits of the fingerprint.
    its_source = F.substr("earliest", F.lit(51), F.length("earliest") - (50 + 1 + 32))
    return compared.where(F.col("earliest") != F.col("order_key")).select(
        *IDENTITY,
        F.when(F.substring("earliest", -32, 32) == F.col("fingerprint"), DUPLICATE_REASONS[0])
        .otherwise(DUPLICATE_REASONS[1])
        .alias("copy_reason"),
        F.concat(
            F.lit("copy of: "),
            F.when(its_source == F.col("source_id"), F.lit("")).otherwise(
                F.concat(F.lit("source "), its_source, F.lit(" "))
            ),
            F.lit("partition "),
            F.substring("earliest", 21, 10).cast("int").cast("string"),
            F.lit(" offset "),
            F.substring("earliest", 31, 20).cast("bigint").cast("string"),
        ).alias("copy_of"),
    )
