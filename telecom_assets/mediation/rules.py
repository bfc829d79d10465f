"""Mediation: each landed message of a day becomes exactly one cleaned event or one rejection with a reason.

Belongs here: what makes a CDR acceptable, how its fields are normalised, and which of several copies is kept.
The rules are this project's input contract (README, "What goes in"); terms are those of 3GPP TS 32.298.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from telecom_assets.intake.admission import MALFORMED_JSON, MALFORMED_UTF8, contract_fields
from telecom_assets.mediation.parties import party, subscriber
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.model.civil_time import local_day, parse_timestamp
from telecom_assets.model.numbers import exceeds, is_negative, plain_number, to_decimal
from telecom_assets.model.party_numbers import MOROCCO
from telecom_assets.record_types.fields import MAX_QUANTITY
from telecom_assets.reference.tables import INTERNATIONAL, NATIONAL

#: Reasons of rejection, in the order in which they are tried.
REJECTION_REASONS = (
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
    "missing_duration",
    "invalid_duration",
    "non_positive_duration",
    "invalid_volume",
    "quantity_out_of_range",
    "unknown_product",
    "duplicate",
    "duplicate_conflict",
)

#: The two reasons for a record that is a copy of one which came before it.
DUPLICATE_REASONS = ("duplicate", "duplicate_conflict")

RECORD_TYPES = ("voice", "sms", "data")
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

    @property
    def rows(self) -> DataFrame:
        """Every row with its outcome: `reason` is NULL for a cleaned event."""
        return self._outcomes_of(self.days)

    @property
    def cleaned(self) -> DataFrame:
        """Rows of cleaned_cdrs."""
        # Rows that lie on the day of their receipt are refused whatever they are: not worth judging first.
        at_home = self.days.where(local_day(F.col("event_ts")) == F.col("event_date"))
        acceptable = judge(at_home, self.catalog).where(F.col("reason_number").isNull())
        return acceptable.join(self.copies, on=list(IDENTITY), how="left_anti").select(CLEANED_CDRS.column_names)

    @property
    def rejected(self) -> DataFrame:
        """Rows of rejected_cdrs."""
        return _rejected(self.rows)

    def rejected_beside(self, cleaned: DataFrame) -> DataFrame:
        """The same rows, when those of cleaned_cdrs are at hand: only what is not there is judged again."""
        others = self.days.join(cleaned.select(*IDENTITY), on=list(IDENTITY), how="left_anti")
        return _rejected(self._outcomes_of(others))

    def _outcomes_of(self, rows: DataFrame) -> DataFrame:
        joined = judge(rows, self.catalog).join(self.copies, on=list(IDENTITY), how="left")
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
) -> Outcomes:
    """Mediate the raw rows of some days.

    days: rows of raw_cdrs of the days. neighbourhood: rows of raw_cdrs that may hold a copy of one of them, the days
    themselves included: those up to `dedupe_days` before and after (more does no harm). catalog: product_catalog.
    share: keeps rows that both outcomes need, so that they are computed once.
    """
    return Outcomes(days, catalog, share(find_copies(neighbourhood, catalog, dedupe_days, share)))


def judge(raw: DataFrame, catalog: DataFrame) -> DataFrame:
    """Typed and normalised columns, and `reason`: the first that applies, copies left aside. Keeps every row."""
    products = catalog.select(
        F.col("product_code").alias("known_product"), F.col("service_type").alias("known_service")
    )
    voice, sms, data = (F.col("record_type") == kind for kind in RECORD_TYPES)
    # As it is written a volume is judged, as it is rounded it is stored; so is a session.
    volume_as_written = plain_number(F.col("volume_text"))
    volume = to_decimal(volume_as_written, 6)
    session_as_written = plain_number(F.col("session_text"))
    session = to_decimal(session_as_written, 3)
    usable_session = ~is_negative(session_as_written, session) & ~exceeds(session_as_written, session, MAX_QUANTITY)
    texts = raw.select(
        "*",
        F.when(voice, F.col("caller_id"))
        .when(sms, F.col("sender_id"))
        .when(data, F.col("user_id"))
        .alias("subscriber_text"),
        F.when(voice, F.col("callee_id")).when(sms, F.col("receiver_id")).alias("other_text"),
        F.when(voice, F.col("duration_sec")).alias("duration_text"),
        F.when(data, F.col("data_volume_mb")).alias("volume_text"),
        F.when(data, F.col("session_duration_sec")).alias("session_text"),
    )
    typed = texts.select(
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
        F.when(voice | sms, F.coalesce(party(F.col("other_text")), F.lit(UNKNOWN))).alias("other_party"),
        "duration_text",
        to_decimal(plain_number(F.col("duration_text")), 3).alias("duration_sec"),
        "volume_text",
        volume.alias("data_volume_mb"),
        is_negative(volume_as_written, volume).alias("volume_is_negative"),
        exceeds(volume_as_written, volume, MAX_QUANTITY).alias("volume_is_excessive"),
        F.when(usable_session, session).alias("session_duration_sec"),
        F.when(data, F.col("product_code")).alias("data_product"),
        _fingerprint().alias("fingerprint"),
    )
    named = typed.withColumn("product_code", _product()).join(
        products,
        on=(F.col("product_code") == F.col("known_product")) & (F.col("record_type") == F.col("known_service")),
        how="left",
    )
    unsure = data & (F.col("data_volume_mb").isNull() | F.col("session_duration_sec").isNull())
    return (
        named.withColumn("rating_status", F.when(unsure, "needs_review").otherwise("ready"))
        .withColumn("reason_number", _first_reason())
        .withColumn("reason", _named_reason())
        .withColumn("detail", _detail())
    )


def _technology() -> Column:
    technology = F.col("technology")
    named = reduce(
        lambda chain, alias: chain.when(technology == alias[0], alias[1]),
        TECHNOLOGY_ALIASES.items(),
        F.when(technology.isNull(), DEFAULT_TECHNOLOGY),
    )
    return named.otherwise(technology)


def _product() -> Column:
    other = F.col("other_party")
    scope = F.when((other != UNKNOWN) & ~other.startswith(MOROCCO), INTERNATIONAL).otherwise(NATIONAL)
    return F.when(F.col("record_type") == "data", F.col("data_product")).otherwise(
        F.concat(F.upper("record_type"), F.lit("_"), scope)
    )


def _first_reason() -> Column:
    """Number of the first reason of REJECTION_REASONS that applies."""
    known = F.col("event_ts").isNotNull()
    # A duration is judged as it is stored: 0.0004 s are 0.000 s, and no call.
    duration = F.col("duration_sec")
    voice = F.col("record_type") == "voice"
    conditions = {
        MALFORMED_UTF8: F.col("admission_error") == MALFORMED_UTF8,
        MALFORMED_JSON: F.col("admission_error") == MALFORMED_JSON,
        "missing_record_id": F.col("record_id").isNull(),
        "missing_record_type": F.col("record_type").isNull(),
        "unknown_record_type": ~F.col("record_type").isin(*RECORD_TYPES),
        "missing_timestamp": F.col("timestamp_text").isNull(),
        # Instants that files cannot hold have no event_ts: whether the text is one is asked again, for those alone.
        "invalid_timestamp": F.when(~known, parse_timestamp(F.col("timestamp_text")).isNull()),
        "outside_acceptance_window": ~known | (local_day(F.col("event_ts")) != F.col("event_date")),
        "missing_subscriber": F.col("subscriber_text").isNull(),
        "invalid_subscriber": F.col("subscriber_id").isNull(),
        "missing_duration": voice & F.col("duration_text").isNull(),
        "invalid_duration": voice & duration.isNull(),
        "non_positive_duration": voice & (duration <= 0),
        "invalid_volume": (F.col("volume_text").isNotNull() & F.col("data_volume_mb").isNull())
        | F.col("volume_is_negative"),
        "quantity_out_of_range": (duration > MAX_QUANTITY) | F.col("volume_is_excessive"),
        "unknown_product": F.col("known_product").isNull(),
    }
    # Not one long CASE: an engine that works on whole columns copies all of them at every branch of one. Here each
    # condition is looked at by itself, and the smallest number wins.
    return F.least(*(F.when(applies, REJECTION_REASONS.index(reason)) for reason, applies in conditions.items()))


def _named_reason() -> Column:
    names = F.array(*(F.lit(reason) for reason in REJECTION_REASONS))
    return F.when(F.col("reason_number").isNotNull(), F.get(names, F.col("reason_number")))


def _detail() -> Column:
    """The text that was refused."""
    reason = F.col("reason")
    found = (
        F.when(reason == "unknown_record_type", F.col("record_type"))
        .when(reason.isin("invalid_timestamp", "outside_acceptance_window"), F.col("timestamp_text"))
        .when(reason == "invalid_subscriber", F.col("subscriber_text"))
        .when(reason.isin("invalid_duration", "non_positive_duration"), F.col("duration_text"))
        .when(reason == "invalid_volume", F.col("volume_text"))
        .when(reason == "quantity_out_of_range", F.coalesce("duration_text", "volume_text"))
        .when(reason == "unknown_product", F.col("product_code"))
    )
    return F.substring(found, 1, _DETAIL_LENGTH)


def _fingerprint() -> Column:
    """What two copies of one record must share: the texts of the contract fields of their type."""

    def joined(record_type: str) -> Column:
        texts = (F.coalesce(F.col(name), F.lit("")) for name in contract_fields(record_type))
        return F.md5(F.concat_ws("\x1f", *texts))

    first, *others = RECORD_TYPES
    chain = F.when(F.col("record_type") == first, joined(first))
    for record_type in others:
        chain = chain.when(F.col("record_type") == record_type, joined(record_type))
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
) -> DataFrame:
    """The otherwise valid records that are copies: coordinates, `copy_reason` and `copy_of`.

    `copy_of` says where the earliest record within reach lies. That one is the event itself, or in a chain of copies it
    is refused as well, for one before it: whether it was kept depends on days beyond reach of this one.

    Only record ids that come more than once are judged; that is a small part of the neighbourhood. They are counted by
    a hash, a quarter of their size: an id that shares its hash with another is judged for nothing. The hashes that come
    more than once are kept (`share`), so that they, being few, are taken to the rows and not the rows to them.
    """
    rows = hashed(neighbourhood)
    suspects = judge(rows.join(share(repeated_hashes(rows)), on="id_hash", how="left_semi"), catalog).where(
        F.col("reason_number").isNull()
    )
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
