"""Civil time of Morocco on both engines, against `zoneinfo` and against the calendar.

Belongs here: text to instant, instant to local day, hour and billing period. In 2026 the clocks of Morocco go back at
03:00 of 15 February (Ramadan, UTC+0) and forward at 02:00 of 22 March (UTC+1).
"""

import random
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from resources.engine import SparkEngine
from telecom_assets.model.civil_time import billing_period, local_day, local_hour, parse_timestamp, representable
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import CASABLANCA, admit, read_timestamp
from telecom_assets_tests.stages.chain import drawn

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Text beside the instant in UTC; None where it is not a full ISO 8601 date and time.
INSTANTS = {
    "2026-06-15T09:00:00": "2026-06-15T08:00:00+00:00",  # UTC+1
    "2026-03-01T09:00:00": "2026-03-01T09:00:00+00:00",  # Ramadan: UTC+0
    "2026-02-15T01:59:59": "2026-02-15T00:59:59+00:00",
    "2026-02-15T02:00:00": "2026-02-15T01:00:00+00:00",  # comes twice, at 01:00Z and at 02:00Z: the first
    "2026-02-15T02:59:59.999999": "2026-02-15T01:59:59.999999+00:00",
    "2026-02-15T03:00:00": "2026-02-15T03:00:00+00:00",
    "2026-03-22T01:59:59": "2026-03-22T01:59:59+00:00",
    "2026-03-22T02:00:00": "2026-03-22T02:00:00+00:00",  # skipped: it moves on by the gap, and is 03:00 local
    "2026-03-22T02:30:00": "2026-03-22T02:30:00+00:00",
    "2026-03-22T03:00:00": "2026-03-22T02:00:00+00:00",
    "2026-02-15T02:30:00Z": "2026-02-15T02:30:00+00:00",  # an offset leaves nothing to guess
    "2026-02-15T02:30:00+01:00": "2026-02-15T01:30:00+00:00",
    "2026-06-15T09:00:00-0330": "2026-06-15T12:30:00+00:00",
    "2026-06-15T09:00:00+14": "2026-06-14T19:00:00+00:00",
    "2026-06-15T09:00:00-00:30": "2026-06-15T09:30:00+00:00",
    "2026-06-15T09:00:00+18:00": "2026-06-14T15:00:00+00:00",
    "2026-06-15T09:00:00+18:01": None,
    "2026-06-15T09:00:00+01:60": None,
    "2026-06-15T09:00:00.1": "2026-06-15T08:00:00.100000+00:00",
    "2026-06-15T09:00:00.0000009": "2026-06-15T08:00:00+00:00",  # cut, not rounded
    "2026-06-15T09:00:00.9999999Z": "2026-06-15T09:00:00.999999+00:00",
    # The day's last midnight is the next day's first; of the text's own calendar, whatever its offset.
    "2026-06-15T24:00:00": "2026-06-15T23:00:00+00:00",
    "2026-06-15T24:00:00.000": "2026-06-15T23:00:00+00:00",
    "2026-06-15T24:00": "2026-06-15T23:00:00+00:00",
    "2026-06-30T24:00:00Z": "2026-07-01T00:00:00+00:00",
    "2026-06-15T24:00:00,0+05:30": "2026-06-15T18:30:00+00:00",
    "2026-12-31T24:00": "2026-12-31T23:00:00+00:00",
    "2024-02-28T24:00:00Z": "2024-02-29T00:00:00+00:00",
    "20260228T2400-0100": "2026-03-01T01:00:00+00:00",
    "20260615T240000": "2026-06-15T23:00:00+00:00",
    "2008-05-31T24:00:00": "2008-06-01T00:00:00+00:00",  # skipped, for the clock went from 00:00 to 01:00
    "2008-08-31T24:00:00": "2008-09-01T00:00:00+00:00",  # after the hour that came twice
    "2026-06-15T24:00:01": None,
    "2026-06-15T24:01:00": None,
    "2026-06-15T24:01": None,
    "2026-06-15T24:00:00.000001": None,
    "20260615T240001": None,
    "2026-06-15T25:00:00": None,
    "2026-02-29T24:00:00": None,
    # A comma before the fraction; small letters; no seconds.
    "2026-06-15T09:00:00,25": "2026-06-15T08:00:00.250000+00:00",
    "2026-06-15T09:00:00,9999999z": "2026-06-15T09:00:00.999999+00:00",
    "2026-06-15t09:00:00": "2026-06-15T08:00:00+00:00",
    "2026-06-15t09:00:00z": "2026-06-15T09:00:00+00:00",
    "2026-06-15T09:00": "2026-06-15T08:00:00+00:00",
    "2026-06-15T09:00Z": "2026-06-15T09:00:00+00:00",
    "2026-06-15T09:00-03:30": "2026-06-15T12:30:00+00:00",
    "2026-06-15T09:00+01": "2026-06-15T08:00:00+00:00",
    "2026-06-15T09:00.5": None,
    "2026-06-15T09": None,
    "2026-06-15T09Z": None,
    "2026-06-15T09:00:00.,5": None,
    "2026-06-15T09:00:00,": None,
    # Basic format, which has neither hyphens nor colons.
    "20260615T090000": "2026-06-15T08:00:00+00:00",
    "20260615T090000Z": "2026-06-15T09:00:00+00:00",
    "20260615t0900z": "2026-06-15T09:00:00+00:00",
    "20260615T0900": "2026-06-15T08:00:00+00:00",
    "20260615T090000.123456789-0330": "2026-06-15T12:30:00.123456+00:00",
    "20260615T090000,5+01": "2026-06-15T08:00:00.500000+00:00",
    "20260615T090000.123": "2026-06-15T08:00:00.123000+00:00",  # as long as an extended one
    "20260322T023000": "2026-03-22T02:30:00+00:00",  # skipped
    "20260215T0230": "2026-02-15T01:30:00+00:00",  # comes twice: the first
    "20260615T09": None,
    "20260615T090": None,
    "20260615T09000": None,
    "20260615": None,
    "20260615090000": None,
    "20260615T0900.5": None,
    "20260615T090060": None,
    "20260229T090000": None,
    "00000615T090000Z": None,
    "20260615T090000+1801": None,
    "20260615T090000+0160": None,
    # Half of one and half of the other; an extended time with an offset without a colon is read, as ever.
    "20260615T09:00:00": None,
    "20260615T09:00": None,
    "2026-06-15T090000": None,
    "2026-06-15T0900Z": None,
    "2026-0615T09:00:00": None,
    "202606-15T09:00:00": None,
    "2026-06-15T09:0000": None,
    "2026-06-15T0900:00": None,
    "20260615T090000+01:00": None,
    # A leap second; seconds since 1970.
    "2026-06-15T09:00:60": None,
    "2016-12-31T23:59:60Z": None,
    "20161231T235960Z": None,
    "1781510400": None,
    "1781510400.5": None,
    "2026-02-29T12:00:00": None,
    "2024-02-29T12:00:00Z": "2024-02-29T12:00:00+00:00",
    "2100-02-29T12:00:00Z": None,
    "2026-06-15": None,
    "2026": None,
    "09:00:00": None,
    "2026-06-15 09:00:00": None,
    "2026-06-15T09:00:00\n": None,
    "0000-01-01T00:00:00Z": None,
    "1969-12-31T23:59:59.999999Z": "1969-12-31T23:59:59.999999+00:00",
    "": None,
}


def many_texts() -> list[str]:
    """Every timestamp of the corpus, and 6,000 of the years 1950 to 2037 in all forms, an hour around each change."""
    written = [fields["timestamp"] for value in cdrs.HOSTILE_CORPUS if "timestamp" in (fields := admit(value)[0])]
    dice = random.Random(20260615)
    changes = [datetime(2026, 2, 15, 3), datetime(2026, 3, 22, 2), datetime(2018, 10, 28, 3), datetime(2013, 7, 7, 3)]
    for number in range(3_000):
        if number % 3:
            wall = datetime(1950, 1, 1) + timedelta(seconds=dice.random() * 88 * 365.25 * 86_400)
        else:
            wall = dice.choice(changes) + timedelta(minutes=dice.randint(-90, 90))
        zone = dice.choice(["", "", "Z", "z", "+01:00", "-0330", "+05", "-18:00", "+17:59"])
        fraction = dice.choice(["", ".5", ",123456", ".999999999"])
        form = dice.choice(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dt%H:%M:%S", "%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M", "%Y%m%dt%H%M"])
        fraction = fraction if form.endswith("%S") else ""
        zone = zone if "-" in form else zone.replace(":", "")
        written.append(f"{wall.strftime(form)}{fraction}{zone}")
        written.append(f"{wall:%Y-%m-%d}T24:00:00{zone if '-' in form else ''}")
    return written


@pytest.fixture(scope="module")
def parsed(engine: SparkEngine) -> dict[str, int | None]:
    """Text to microseconds since 1970, whatever the year; all texts in one query."""
    texts = [*INSTANTS, *cdrs.EDGE_TIMESTAMPS, *many_texts()]
    frame = engine.spark_session.createDataFrame(pa.table({"text": texts}))
    rows = frame.select("text", F.unix_micros(parse_timestamp(F.col("text"))).alias("micros")).toArrow().to_pylist()
    return {row["text"]: row["micros"] for row in rows}


@pytest.mark.parametrize(("text", "instant"), INSTANTS.items())
def test_text_to_instant(parsed: dict[str, int | None], text: str, instant: str | None) -> None:
    expected = None if instant is None else (datetime.fromisoformat(instant) - EPOCH) // timedelta(microseconds=1)
    assert parsed[text] == expected


def test_many_texts_to_instants(parsed: dict[str, int | None]) -> None:
    """As Python's own calendar and time zones have them."""

    def expected(text: str) -> int | None:
        timestamp = read_timestamp(text)
        return None if not timestamp or not timestamp.utc else (timestamp.utc - EPOCH) // timedelta(microseconds=1)

    # Python's years end with 9999 and begin with 1: a shift that leaves them is no None, but no instant it could tell.
    plain = {text: micros for text, micros in parsed.items() if not ((stamp := read_timestamp(text)) and not stamp.utc)}
    # Before 1913 zones were local mean times, which not everybody knows to the second: such a day is outside any window.
    wrong = {
        text: (micros, expected(text))
        for text, micros in plain.items()
        if micros != expected(text) and not (text < "1914" and micros is not None and expected(text) is not None)
    }
    assert wrong == {}
    assert len(plain) > 3_000


def test_a_moment_comes_back_from_every_form_it_is_written_in(engine: SparkEngine) -> None:
    """In UTC and in the civil time of Morocco, where `zoneinfo` knows the clock changes of these years."""
    written = drawn(cdrs.written_timestamps(datetime(2008, 1, 1), datetime(2030, 12, 31)), examples(2_000))
    moments = {text: moment if moment.tzinfo else moment.replace(tzinfo=CASABLANCA) for moment, text in written}
    frame = engine.spark_session.createDataFrame(pa.table({"text": list(moments)}))
    rows = frame.select("text", parse_timestamp(F.col("text")).alias("instant")).toArrow().to_pylist()
    found = {row["text"]: row["instant"] for row in rows}
    assert found == {text: moment.astimezone(UTC) for text, moment in moments.items()}
    assert {text[10] for text in found} > {"T", "t", "0"}
    assert sum("T24" in text or "t24" in text for text in found) > len(found) / 40


@pytest.fixture(scope="module")
def local(engine: SparkEngine) -> dict[datetime, tuple[date, int, str, datetime | None]]:
    """Instant to local day, hour, billing period, and to itself when files can hold it."""
    dice = random.Random(42)
    around = [
        datetime(2026, 2, 15, 2, tzinfo=UTC),
        datetime(2026, 3, 22, 2, tzinfo=UTC),
        datetime(2026, 5, 31, 23, tzinfo=UTC),
    ]
    instants = {change + timedelta(minutes=minute) for change in around for minute in range(-180, 181, 15)}
    instants |= {EPOCH + timedelta(seconds=dice.randrange(60 * 365 * 86_400)) for _ in range(1_000)}
    # About midnight in Greenwich and here, in every year.
    midnights = [datetime(year, dice.randrange(1, 13), dice.randrange(1, 29), tzinfo=UTC) for year in range(1914, 2087)]
    close = (-3_600_000_001, -3_600_000_000, -1, 0, 3_599_999_999, 3_600_000_000)
    instants |= {midnight + timedelta(microseconds=micros) for midnight in midnights for micros in close}
    instants |= {
        datetime(1899, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1900, 1, 1, tzinfo=UTC),
        datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2200, 1, 1, tzinfo=UTC),
    }
    column = F.col("instant")
    frame = engine.spark_session.createDataFrame(
        pa.table({"instant": pa.array(sorted(instants), pa.timestamp("us", "UTC"))})
    )
    rows = frame.select(
        "instant",
        local_day(column).alias("day"),
        local_hour(column).alias("hour"),
        billing_period(local_day(column)).alias("period"),
        representable(column).alias("kept"),
    )
    return {row["instant"]: (row["day"], row["hour"], row["period"], row["kept"]) for row in rows.toArrow().to_pylist()}


def test_local_day_hour_and_period(local: dict[datetime, tuple[date, int, str, datetime | None]]) -> None:
    known = {instant: found[:3] for instant, found in local.items() if 1913 <= instant.year < 2087}
    here = {instant: instant.astimezone(CASABLANCA) for instant in known}
    assert known == {instant: (wall.date(), wall.hour, f"{wall:%Y-%m}") for instant, wall in here.items()}
    assert len(known) > 2_000


def test_a_month_ends_an_hour_before_midnight_in_greenwich(
    local: dict[datetime, tuple[date, int, str, datetime | None]],
) -> None:
    assert local[datetime(2026, 5, 31, 22, 45, tzinfo=UTC)][:3] == (date(2026, 5, 31), 23, "2026-05")
    assert local[datetime(2026, 5, 31, 23, 0, tzinfo=UTC)][:3] == (date(2026, 6, 1), 0, "2026-06")


def test_only_instants_that_files_can_hold_are_kept(
    local: dict[datetime, tuple[date, int, str, datetime | None]],
) -> None:
    for instant, (_, _, _, kept) in local.items():
        assert kept == (instant if 1900 <= instant.year < 2200 else None)
