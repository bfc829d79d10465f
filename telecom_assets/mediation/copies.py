"""Copies of one record: which records are copies of another one, and which of them is kept as the event.

Belongs here: what makes two records copies (same id, within some days), which copy is kept, and the search for the few rows that
may be copies. Does not belong here: whether a record is acceptable at all (`rules`).
"""

from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from telecom_assets.mediation.tables import MESSAGE_KEY
from telecom_assets.record_types.in_force import RecordTypes

#: The two reasons for a record that is a copy of one which came before it.
DUPLICATE_REASONS = ("duplicate", "duplicate_conflict")

#: When days have less than this share of the rows around them, the rows around are first reduced to those with their ids.
SMALL_PART = 0.25

#: Ends the source id in the order key. It sorts before any character, so that of two ids the shorter one comes first.
_BEHIND = "\x1f"


#: What mediation makes of a record's fields, besides its quantities: two records with the same values are one event.
_VALUES = ("record_type", "cell_id", "technology", "subscriber_id", "other_party", "product_code")


#: What a record that nobody has chosen begins its order key with: ten digits, and one less for each choice before.
_UNCHOSEN = 9_999_999_999


def fingerprint(record_types: RecordTypes) -> Column:
    """Digest that equal copies share: of the values of all contract fields as cleaned_cdrs has them, without the record id.

    So 60 and 60.0 are equal, and one instant with two offsets: whichever of the copies is kept, the event is the same.
    """
    quantities = (F.col(name).cast("string") for name in record_types.quantities)
    values = (*map(F.col, _VALUES), F.unix_micros("event_ts").cast("string"), *quantities)
    return F.md5(F.concat_ws("\x1f", *(F.coalesce(value, F.lit("")) for value in values)))


def days_with_copies(days: DataFrame, neighbourhood: DataFrame) -> DataFrame:
    """Days of the neighbourhood that may hold a record id of `days` which comes more than once there.

    Each row is `first` and `last`, and `between`: whether days between them may hold the id as well. (Listing all days of each id
    takes longer than all the rest.) Ids are compared by their hash: two ids with one hash add days that are not needed.
    """
    repeated = (
        with_ids_of(days, hashed(neighbourhood))
        .groupBy("id_hash")
        .agg(F.count("*").alias("times"), F.min("event_date").alias("first"), F.max("event_date").alias("last"))
        .where("times > 1")
    )
    return repeated.select("first", "last", (F.col("times") > 2).alias("between")).distinct()


def hashed(rows: DataFrame) -> DataFrame:
    """The rows with a record id, and a hash of the id (`id_hash`), which has a quarter of its size."""
    return rows.where(F.col("record_id").isNotNull()).withColumn("id_hash", F.xxhash64("record_id"))


def with_ids_of(days: DataFrame, hashed_rows: DataFrame) -> DataFrame:
    """The rows whose id_hash is that of a row of `days`."""
    return hashed_rows.join(hashed(days).select("id_hash").distinct(), on="id_hash", how="left_semi")


def repeated_hashes(hashed_rows: DataFrame) -> DataFrame:
    """Each id_hash that comes more than once."""
    return hashed_rows.groupBy("id_hash").agg(F.count("*").alias("times")).where("times > 1").select("id_hash")


def with_repeated_ids(rows: DataFrame, keep: Callable[[DataFrame], DataFrame] = lambda rows: rows) -> DataFrame:
    """The rows whose record id comes more than once among them: a small part of a neighbourhood.

    Ids are counted by their hash, which has a quarter of the size; an id that shares its hash with another is judged in vain. The
    repeated hashes are kept (`keep`): they are few, so the engine sends them to the rows, and not the rows to them.
    """
    found = hashed(rows)
    return found.join(keep(repeated_hashes(found)), on="id_hash", how="left_semi")


def find_copies(valid: DataFrame, dedupe_days: int, chosen: DataFrame | None = None) -> DataFrame:
    """The records that are copies of an earlier one: message key, `copy_reason` and `copy_of`.

    valid: judged records without another reason of rejection, with `fingerprint`. Records whose id comes once may be missing.
    chosen: the message keys that people have chosen, each once, with `choice`, a number from 1 on. A chosen record counts as earlier
    than all others, and than those that were chosen before it.

    `copy_of` names the earliest record within `dedupe_days`. That record is the event itself, or in a chain of copies a copy
    of a still earlier one: whether it was kept depends on days that are too far away from this record.
    """
    if chosen is not None:
        valid = valid.join(chosen, on=list(MESSAGE_KEY), how="left")
    choice = F.lit(0) if chosen is None else F.coalesce("choice", F.lit(0))
    order_key = F.concat(
        (F.lit(_UNCHOSEN) - choice).cast("string"),
        F.lpad(F.unix_micros("received_at").cast("string"), 20, "0"),
        F.lpad(F.col("source_part").cast("string"), 10, "0"),
        F.lpad(F.col("source_position").cast("string"), 20, "0"),
    )
    near = Window.partitionBy("record_id").orderBy("day_number").rangeBetween(-dedupe_days, dedupe_days)
    compared = (
        valid.withColumn("day_number", F.unix_date("event_date"))
        .withColumn("order_key", F.concat(order_key, "source_id", F.lit(_BEHIND), "fingerprint"))
        .withColumn("earliest", F.min("order_key").over(near))
    )
    # The key: 10 + 20 + 10 + 20 digits, the source id of any length, the character that ends it, 32 digits of the fingerprint.
    its_source = F.substr("earliest", F.lit(61), F.length("earliest") - (60 + 1 + 32))
    return compared.where(F.col("earliest") != F.col("order_key")).select(
        *MESSAGE_KEY,
        F.when(F.substring("earliest", -32, 32) == F.col("fingerprint"), DUPLICATE_REASONS[0])
        .otherwise(DUPLICATE_REASONS[1])
        .alias("copy_reason"),
        F.concat(
            F.lit("copy of: "),
            F.when(its_source == F.col("source_id"), F.lit("")).otherwise(
                F.concat(F.lit("source "), its_source, F.lit(" "))
            ),
            F.lit("partition "),
            F.substring("earliest", 31, 10).cast("int").cast("string"),
            F.lit(" offset "),
            F.substring("earliest", 41, 20).cast("bigint").cast("string"),
        ).alias("copy_of"),
    )
