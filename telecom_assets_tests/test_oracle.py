"""Tests of the oracle by examples worked out by hand from the requirements, and its agreement with SQL.

Belongs here: the arithmetic, in comments, that a reader can follow with a pencil. Does not belong here: the project's
own transforms; they are tested elsewhere, against the oracle.
"""

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.duckdb_pipeline import script
from telecom_assets.tables import TABLES
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import (
    CURRENCY_DECIMALS,
    REJECTION_REASONS,
    SUSPENSION_REASONS,
    Message,
    Outcome,
    Parameters,
    Price,
    Result,
    Row,
    half_up,
    home_day,
    mediate,
    read_jsonl,
    read_number,
    read_timestamp,
    run,
    smallest_volumes,
    typed,
)
from telecom_assets_tests.sql_check import sql_totals
from telecom_assets_tests.stages.chain import drawn

#: 13:00 of Monday 2026-06-15 in Casablanca (UTC+1 outside Ramadan).
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
A, B, C = "212600000001", "212600000002", "212700000003"
SOUND: dict[str, dict[str, object]] = {
    "voice": {"caller_id": A, "callee_id": B, "duration_sec": 60},
    "sms": {"sender_id": A, "receiver_id": B},
    "data": {"user_id": A, "data_volume_mb": 10, "session_duration_sec": 30, "product_code": "DATA_BASIC"},
}
ABSENT = object()


def cdr(kind: str = "voice", **changed: Any) -> bytes:
    """A sound CDR with some fields changed; ABSENT leaves one out."""
    fields = {"record_ID": "id-1", "record_type": kind, "timestamp": "2026-06-15T09:00:00", **SOUND[kind], **changed}
    return json.dumps({name: value for name, value in fields.items() if value is not ABSENT}).encode()


def messages(*values: bytes | None, at: datetime = NOW) -> list[Message]:
    return [Message(0, offset, at, value) for offset, value in enumerate(values)]


def outcome(value: bytes | None, at: datetime = NOW, **parameters: Any) -> Outcome:
    return mediate(messages(value, at=at), cdrs.CATALOGUE, Parameters(**parameters))[0]


def reasons(batch: Iterable[Message], **parameters: Any) -> list[str | None]:
    chain = mediate(batch, cdrs.CATALOGUE, Parameters(**parameters))
    return [item.reason for item in chain]


def chain(batch: Iterable[Message], customers: Iterable[Row] = cdrs.CUSTOMERS, **parameters: Any) -> Result:
    return run(batch, customers, cdrs.RATE_PLANS, cdrs.CATALOGUE, Parameters(**parameters))


# ---------------------------------------------------------------------------------------------------------- rejections


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("malformed_utf8", b'{"record_ID": "\xff"}'),
        ("malformed_json", None),
        ("malformed_json", b""),
        ("malformed_json", b"not JSON"),
        ("malformed_json", cdr() + b"{}"),
        ("malformed_json", cdr(extra=[[[[[[[[[]]]]]]]]])),  # nine deep
        ("malformed_json", cdr(duration_sec=float("nan"))),
        ("missing_record_id", cdr(record_ID="")),
        ("missing_record_id", cdr(record_ID=["a"])),
        ("unknown_record_type", cdr(record_type=["voice"])),
        ("invalid_timestamp", cdr(timestamp={})),
        ("invalid_subscriber", cdr(caller_id=[])),
        ("invalid_duration", cdr(duration_sec=[60])),
        ("invalid_volume", cdr("data", data_volume_mb={"MB": 1})),
        ("unknown_product", cdr("data", product_code=["DATA_BASIC"])),
        ("missing_record_id", cdr(record_ID=ABSENT, record_id="id-1")),
        ("missing_record_type", cdr(record_type=None)),
        ("unknown_record_type", cdr(record_type="Voice")),
        ("missing_timestamp", cdr(timestamp=None)),
        ("invalid_timestamp", cdr(timestamp="2026-06-15")),
        ("outside_acceptance_window", cdr(timestamp="2017-10-26T15:22:56")),
        ("missing_subscriber", cdr(caller_id=None)),
        ("missing_subscriber", cdr("sms", sender_id="")),
        ("missing_subscriber", cdr("data", user_id=ABSENT, caller_id=A)),
        ("invalid_subscriber", cdr(caller_id="212500000001")),
        ("missing_duration", cdr(duration_sec=None)),
        ("invalid_duration", cdr(duration_sec="a minute")),
        ("invalid_duration", cdr(duration_sec=True)),
        ("non_positive_duration", cdr(duration_sec=0)),
        ("non_positive_duration", cdr(duration_sec=0.0004)),  # 0.4 thousandths
        ("invalid_volume", cdr("data", data_volume_mb=-1)),
        ("invalid_volume", cdr("data", data_volume_mb="12 MB")),
        ("quantity_out_of_range", cdr(duration_sec=10_000_001)),
        ("quantity_out_of_range", cdr("data", data_volume_mb=10_000_000.5)),
        ("unknown_product", cdr("data", product_code=None)),
        ("unknown_product", cdr("data", product_code="VOICE_NAT")),  # a product, but not of data
    ],
)
def test_each_reason_of_rejection(reason: str, value: bytes | None) -> None:
    rejected = outcome(value)
    assert rejected.reason == reason
    assert rejected.row["reason"] == reason


def test_the_first_reason_wins() -> None:
    """Everything is wrong with a call; each repair uncovers the next reason, in the order of the rules."""
    fields: dict[str, object] = {
        "record_type": None,
        "timestamp": None,
        "duration_sec": None,
        "caller_id": None,
    }
    seen = []
    for repair in (
        {},
        {"record_ID": "id-1"},
        {"record_type": "telex"},
        {"record_type": "voice"},
        {"timestamp": "yesterday"},
        {"timestamp": "2017-01-01T00:00:00"},
        {"timestamp": "2026-06-15T09:00:00"},
        {"caller_id": "nobody"},
        {"caller_id": A},
        {"duration_sec": "long"},
        {"duration_sec": -1},
        {"duration_sec": 1e9},
        {"duration_sec": 1},
    ):
        fields |= repair
        seen.append(outcome(json.dumps(fields).encode()).reason)
    assert seen == [*REJECTION_REASONS[2:13], "quantity_out_of_range", None]


def test_a_data_record_shows_volume_before_range_before_product() -> None:
    wrong: dict[str, Any] = {"product_code": "DATA_GOLD", "session_duration_sec": "never asked"}
    assert outcome(cdr("data", **wrong, data_volume_mb="x")).reason == "invalid_volume"
    assert outcome(cdr("data", **wrong, data_volume_mb=2e7)).reason == "quantity_out_of_range"
    assert outcome(cdr("data", **wrong, data_volume_mb=None)).reason == "unknown_product"


def test_a_product_that_the_catalogue_has_lost_is_unknown_for_voice_too() -> None:
    catalogue = [product for product in cdrs.CATALOGUE if product["product_code"] != "VOICE_INT"]
    batch = messages(cdr(record_ID="1"), cdr(record_ID="2", callee_id="33612345678"))
    assert [item.reason for item in mediate(batch, catalogue, Parameters())] == [None, "unknown_product"]


def test_fields_of_other_types_are_not_judged() -> None:
    assert outcome(cdr("sms", duration_sec="x", data_volume_mb=-1, product_code="?")).reason is None
    assert outcome(cdr("voice", data_volume_mb=-1, sender_id="x", product_code="?")).reason is None
    assert outcome(cdr("data", duration_sec=-1, caller_id="x")).reason is None


def test_hostile_corpus_against_its_outcomes_worked_out_by_hand() -> None:
    found = mediate(cdrs.corpus_messages(), cdrs.CATALOGUE, Parameters())
    wrong = [
        ((value or b"")[:200], expected, item.reason)
        for (value, expected), item in zip(cdrs.HOSTILE_CASES, found, strict=True)
        if (item.reason or "cleaned") != expected
    ]
    assert wrong == []


def test_hostile_corpus_has_every_reason_of_a_single_record_and_nothing_undecided() -> None:
    assert {expected for _, expected in cdrs.HOSTILE_CASES} == {"cleaned", *REJECTION_REASONS[:16]}
    assert len(set(cdrs.HOSTILE_CORPUS)) == len(cdrs.HOSTILE_CORPUS) >= 150
    assert not any(cdrs.has_lone_surrogate(value) for value in cdrs.HOSTILE_CORPUS)


# ------------------------------------------------------------------------------------------------------- cleaned rows


def test_a_call_becomes_this_row() -> None:
    value = cdr(cell_id="RABAT_01", technology="NR", callee_id="33612345678", duration_sec=59.9995, note="ignored")
    assert outcome(value).row == {
        "record_id": "id-1",
        "subscriber_id": A,
        "record_type": "voice",
        "event_ts": datetime(2026, 6, 15, 8, tzinfo=UTC),  # 09:00 at UTC+1
        "other_party": "33612345678",
        "cell_id": "RABAT_01",
        "technology": "5G",
        "duration_sec": Decimal("60.000"),  # 59999.5 thousandths
        "data_volume_mb": None,
        "session_duration_sec": None,
        "product_code": "VOICE_INT",
        "rating_status": "ready",
        "received_at": NOW,
        "source_id": "topic-1",
        "source_part": 0,
        "source_position": 0,
        "event_date": date(2026, 6, 15),
    }


@pytest.mark.parametrize(
    ("other_party", "kept", "product"),
    [
        (B, B, "SMS_NAT"),
        ("4915112345678", "4915112345678", "SMS_INT"),
        (None, "inconnu", "SMS_NAT"),
        ("", "inconnu", "SMS_NAT"),
        ("490", "inconnu", "SMS_NAT"),
        ("inconnu", "inconnu", "SMS_NAT"),
        ("212500000001", "212500000001", "SMS_NAT"),  # a landline
        ("05 22 00 00 01", "212522000001", "SMS_NAT"),
        ("522000001", "212522000001", "SMS_NAT"),
        ("422000001", "inconnu", "SMS_NAT"),  # nine digits that begin with 4; 42 is no country
        ("+212 6-12.34(56)78", "212612345678", "SMS_NAT"),
        ("2126123456789", "inconnu", "SMS_NAT"),
        ("3212345678", "3212345678", "SMS_INT"),  # Belgium, 8 digits
        ("0032470123456", "32470123456", "SMS_INT"),  # Belgium, 9 digits
        ("+3247012345678", "inconnu", "SMS_NAT"),  # 11 digits are too many
        ("+612345678", "612345678", "SMS_INT"),  # Australia, 7 digits
        ("612345678", "212612345678", "SMS_NAT"),
        ("14155550123", "14155550123", "SMS_INT"),
        ("1415555012", "inconnu", "SMS_NAT"),
        ("4155550123", "inconnu", "SMS_NAT"),  # 41 is Switzerland: 9 or 12 digits
        ("+80012345678", "inconnu", "SMS_NAT"),  # 800, 870, 882: of no country
        ("+870773111632", "inconnu", "SMS_NAT"),
        ("+882161234567", "inconnu", "SMS_NAT"),
        ("+999123456789", "inconnu", "SMS_NAT"),  # not assigned
    ],
)
def test_other_party_and_product(other_party: str | None, kept: str, product: str) -> None:
    row = outcome(cdr("sms", receiver_id=other_party)).row
    assert (row["other_party"], row["product_code"]) == (kept, product)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, "4G"), ("", "4G"), ("LTE", "4G"), ("NR", "5G"), ("UMTS", "3G"), ("2G", "2G"), ("lte", "lte"), (5, "5")],
)
def test_technology(given: str | int | None, kept: str) -> None:
    assert outcome(cdr(technology=given)).row["technology"] == kept


def test_a_missing_cell_is_unknown() -> None:
    assert [outcome(cdr(cell_id=cell)).row["cell_id"] for cell in (None, "", ABSENT, "X")] == ["inconnu"] * 3 + ["X"]


@pytest.mark.parametrize(
    ("volume", "session", "kept_volume", "kept_session", "status"),
    [
        (10, 30, "10.000000", "30.000", "ready"),
        (None, 30, None, "30.000", "needs_review"),
        (10, None, "10.000000", None, "needs_review"),
        (10, -1, "10.000000", None, "needs_review"),
        (10, "x", "10.000000", None, "needs_review"),
        (10, 10_000_001, "10.000000", None, "needs_review"),
        (0, 0, "0.000000", "0.000", "ready"),
        ("7.5", "1e1", "7.500000", "10.000", "ready"),
    ],
)
def test_data_is_flagged_not_rejected(
    volume: int | str | None, session: int | str | None, kept_volume: str | None, kept_session: str | None, status: str
) -> None:
    row = outcome(cdr("data", data_volume_mb=volume, session_duration_sec=session)).row
    assert row["other_party"] is None
    assert (row["data_volume_mb"], row["session_duration_sec"]) == (
        None if kept_volume is None else Decimal(kept_volume),
        None if kept_session is None else Decimal(kept_session),
    )
    assert row["rating_status"] == status


@pytest.mark.parametrize(
    ("text", "places", "expected"),
    [
        ("0.0005", 3, "0.001"),
        ("0.0004999", 3, "0.000"),
        ("16440.0005", 3, "16440.001"),  # the nearest double lies below
        ("60.00049999999999999", 3, "60.000"),  # the nearest double is that of 60.0005
        ("60.0004" + "9" * 80, 3, "60.000"),
        ("4.1234565", 6, "4.123457"),
        ("1.0000004", 6, "1.000000"),
        ("-1.0000005", 6, "-1.000001"),  # away from zero
        ("-0.0", 6, "0.000000"),
        ("600005E-4", 3, "60.001"),
        ("0." + "0" * 400 + "600005e402", 3, "60.001"),
        ("1" + "0" * 400 + "e-400", 6, "1.000000"),
        ("0e999999999999999999999", 6, "0.000000"),
        ("1e-999999999999999999999", 6, "0.000000"),
    ],
)
def test_numbers_are_read_as_written_and_typed_half_up(text: str, places: int, expected: str) -> None:
    read = read_number(text)
    assert read is not None
    number = typed(read, places)
    assert number == Decimal(expected)
    assert number.as_tuple().exponent == -places


def test_nested_values_of_other_fields_are_skipped_or_missing() -> None:
    assert outcome(cdr(extra=[[[[[[[[]]]]]]]])).reason is None  # eight deep
    call = outcome(cdr(cell_id=["a"], technology={"G": 5}, callee_id=[{}])).row
    assert (call["cell_id"], call["technology"], call["other_party"]) == ("inconnu", "4G", "inconnu")
    session = outcome(cdr("data", session_duration_sec=[30])).row
    assert (session["session_duration_sec"], session["rating_status"]) == (None, "needs_review")


@pytest.mark.parametrize("table", ["cleaned_cdrs", "rejected_cdrs", "rated_cdrs", "suspended_cdrs", "period_charges"])
def test_rows_have_the_columns_of_their_contract(table: str) -> None:
    result = chain(cdrs.cdr_batch(seed=1, count=200))
    rows = getattr(result, "imputed" if table == "period_charges" else table.removesuffix("_cdrs"))
    not_modelled = {"detail", "customers_version", "rate_plans_version", "product_catalog_version"}
    expected = set(TABLES[table].column_names) - not_modelled
    assert rows
    assert {frozenset(row) for row in rows} == {frozenset(expected)}


def test_monthly_rows_have_the_columns_of_their_contract() -> None:
    result = chain(cdrs.cdr_batch(seed=1, count=200))
    monthly = {"facturation_complete": result.bills("2026-03")}
    for table, rows in (monthly | result.reports("2026-03")).items():
        assert rows, table
        assert {frozenset(row) for row in rows} == {frozenset(TABLES[table].column_names)}, table


# ----------------------------------------------------------------------------------------------- time and the home day


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-06-15T09:00:00", "2026-06-15T08:00:00"),  # UTC+1
        ("2026-03-01T09:00:00", "2026-03-01T09:00:00"),  # Ramadan: UTC+0
        ("2026-06-15T09:00:00Z", "2026-06-15T09:00:00"),
        ("2026-06-15T09:00:00-0330", "2026-06-15T12:30:00"),
        ("2026-06-15T09:00:00+18", "2026-06-14T15:00:00"),
        ("2026-06-15T09:00:00.9999999", "2026-06-15T08:00:00.999999"),  # truncated
        # the clock goes forward on 2026-03-22: 01:59:59 (UTC+0) is followed by 03:00:00 (UTC+1)
        ("2026-03-22T01:59:59", "2026-03-22T01:59:59"),
        ("2026-03-22T02:00:00", "2026-03-22T02:00:00"),  # skipped: becomes 03:00 at UTC+1
        ("2026-03-22T02:30:00", "2026-03-22T02:30:00"),  # skipped: becomes 03:30 at UTC+1
        ("2026-03-22T03:00:00", "2026-03-22T02:00:00"),
        # the clock goes back on 2026-02-15: 02:59:59 (UTC+1) is followed by 02:00:00 (UTC+0)
        ("2026-02-15T01:59:59", "2026-02-15T00:59:59"),
        ("2026-02-15T02:00:00", "2026-02-15T01:00:00"),  # occurs twice: the first, at UTC+1
        ("2026-02-15T02:59:59", "2026-02-15T01:59:59"),
        ("2026-02-15T03:00:00", "2026-02-15T03:00:00"),  # once, at UTC+0
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00"),
        ("2026-06-15T24:00:00", "2026-06-15T23:00:00"),  # midnight, at UTC+1
        ("20260630t2400z", "2026-07-01T00:00:00"),
        ("2026-06-15T09:00", "2026-06-15T08:00:00"),
        ("20260615T090000,25-0330", "2026-06-15T12:30:00.250000"),
    ],
)
def test_instants(text: str, utc: str) -> None:
    timestamp = read_timestamp(text)
    assert timestamp is not None
    assert timestamp.utc == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2026-06-15",
            "2026-06-15 09:00:00",
            "2026-06-15T09",
            "2026-06-15T09:00.5",
            "2026-06-15T09:00:60",
            "1781510400",
        ),
        *("2026-06-15T24:00:01", "2026-06-15T24:01", "2026-06-15T24:00:00.0000001", "2026-06-15T25:00:00"),
        *("20260615T09:00:00", "2026-06-15T090000", "2026-06-15T09:0000", "20260615T090000+01:00", "20260615090000"),
    ],
)
def test_texts_that_are_no_timestamps(text: str) -> None:
    assert read_timestamp(text) is None


def test_a_moment_beyond_the_calendar_is_valid_and_outside() -> None:
    beyond = outcome(cdr(timestamp="9999-12-31T23:59:59-18:00"))
    assert (beyond.reason, beyond.row["event_ts"], beyond.home_day) == (
        "outside_acceptance_window",
        None,
        date(2026, 6, 15),
    )


@pytest.mark.parametrize(
    ("text", "day", "reason"),
    [
        # received on 2026-06-15; 62 days before: June 15 → May 15 is 31 days, → April 14 is 31 more
        ("2026-04-14T00:00:00", date(2026, 4, 14), None),
        ("2026-04-13T23:59:59.999", date(2026, 6, 15), "outside_acceptance_window"),
        ("2026-04-13T23:00:00Z", date(2026, 4, 14), None),  # midnight, local
        ("2026-06-16T23:59:59", date(2026, 6, 16), None),
        ("2026-06-17T00:00:00", date(2026, 6, 15), "outside_acceptance_window"),
        ("2026-05-31T23:30:00Z", date(2026, 6, 1), None),  # 00:30 of June 1, local
        ("2026-05-31T23:30:00", date(2026, 5, 31), None),
        ("2026-06-01T05:00:00+05:30", date(2026, 6, 1), None),  # 23:30Z = 00:30 of June 1, local
    ],
)
def test_window_and_month_edges_are_of_local_days(text: str, day: dt.date, reason: str | None) -> None:
    found = outcome(cdr(timestamp=text))
    assert (found.home_day, found.row["event_date"], found.reason) == (day, day, reason)
    assert home_day(found.message) == day


def test_the_day_of_receipt_is_local() -> None:
    """23:30 UTC on June 14 is June 15 in Casablanca."""
    at = datetime(2026, 6, 14, 23, 30, tzinfo=UTC)
    assert outcome(b"junk", at=at).home_day == date(2026, 6, 15)
    assert outcome(cdr(timestamp="2026-06-16T12:00:00"), at=at).reason is None


def test_an_opened_month_is_accepted_whole_and_alone() -> None:
    opened: dict[str, Any] = {"accept_months": {"2025-05"}}
    for text, day in (("2025-05-01T00:00:00", 1), ("2025-05-31T23:59:59", 31), ("2025-04-30T23:00:00Z", 1)):
        found = outcome(cdr(timestamp=text), **opened)
        assert (found.reason, found.home_day) == (None, date(2025, 5, day))
    for text in ("2025-04-30T23:59:59", "2025-06-01T00:00:00", "2025-05-31T23:00:00Z"):
        assert outcome(cdr(timestamp=text), **opened).reason == "outside_acceptance_window"


def test_another_max_age() -> None:
    assert outcome(cdr(timestamp="2026-06-15T00:00:00"), max_age_days=0).reason is None
    assert outcome(cdr(timestamp="2026-06-14T23:59:59"), max_age_days=0).reason == "outside_acceptance_window"


def test_a_record_rejected_for_another_reason_is_at_home_on_its_own_day() -> None:
    assert outcome(cdr(timestamp="2026-06-01T12:00:00", record_ID=None)).home_day == date(2026, 6, 1)


# ----------------------------------------------------------------------------------------------------------- duplicates


def at_days(*days: int, **fields: Any) -> list[bytes]:
    """Calls with one record_ID on these days after 2026-05-01."""
    first = datetime(2026, 5, 1, 12)
    return [cdr(timestamp=(first + timedelta(days=day)).isoformat(), **fields) for day in days]


def test_the_same_fields_again_are_a_duplicate_and_others_a_conflict() -> None:
    batch = messages(
        cdr(cell_id=""),
        cdr(),  # '' is as missing as an absent field
        cdr(note="not of the contract"),
        cdr(sender_id="not of a call"),
        cdr(duration_sec=60.0),  # the same number in other words
        cdr(timestamp="2026-06-15T08:00:00Z"),  # the same instant
        cdr(cell_id="RABAT_01"),
        cdr("sms"),
        cdr(duration_sec=None),  # judged by itself first
    )
    assert reasons(batch) == [
        None,
        *["duplicate"] * 5,
        *["duplicate_conflict"] * 2,
        "missing_duration",
    ]


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("voice", {"cell_id": "X"}),
        ("voice", {"technology": "NR"}),
        ("voice", {"caller_id": C}),
        ("voice", {"callee_id": C}),
        ("voice", {"duration_sec": 61}),
        ("sms", {"sender_id": C}),
        ("sms", {"receiver_id": C}),
        ("data", {"user_id": C}),
        ("data", {"data_volume_mb": 11}),
        ("data", {"session_duration_sec": 31}),
        ("data", {"session_duration_sec": None}),
        ("data", {"product_code": "DATA_PREMIUM"}),
    ],
)
def test_every_field_of_the_type_makes_a_conflict(kind: str, changed: dict[str, str | int | None]) -> None:
    assert reasons(messages(cdr(kind), cdr(kind, **changed), cdr(kind))) == [None, "duplicate_conflict", "duplicate"]


def test_the_earliest_is_by_received_at_then_partition_then_offset() -> None:
    later = NOW + timedelta(seconds=1)
    batch = [
        Message(0, 0, later, cdr()),
        Message(1, 0, NOW, cdr()),
        Message(0, 9, NOW, cdr()),
        Message(0, 10, NOW, cdr()),
    ]
    assert reasons(batch) == ["duplicate", "duplicate", None, "duplicate"]
    assert reasons(reversed(batch)) == ["duplicate", None, "duplicate", "duplicate"]


def test_an_invalid_record_hides_no_valid_one() -> None:
    assert reasons(messages(cdr(caller_id="x"), cdr())) == ["invalid_subscriber", None]


def test_unique_within_dedupe_days_and_not_beyond() -> None:
    """31 days apart is within, 32 is not; the distance counts both ways, so late records of earlier days collide."""
    assert reasons(messages(*at_days(0, 31))) == [None, "duplicate_conflict"]
    assert reasons(messages(*at_days(0, 32))) == [None, None]
    assert reasons(messages(*at_days(31, 0))) == [None, "duplicate_conflict"]
    assert reasons(messages(*at_days(32, 0))) == [None, None]


def test_zero_dedupe_days_is_within_the_day() -> None:
    same_day = cdr(timestamp="2026-05-01T13:00:00")
    batch = messages(*at_days(0, 1), same_day)
    assert reasons(batch, dedupe_days=0) == [None, None, "duplicate_conflict"]
    assert reasons(batch, dedupe_days=1) == [None, "duplicate_conflict", "duplicate_conflict"]


def test_a_chain_of_records_each_near_the_one_before() -> None:
    """Days 0, 20, 40: the third is 40 days from the kept one, but 20 from the second, valid by itself and earlier."""
    assert reasons(messages(*at_days(0, 20, 40))) == [None, "duplicate_conflict", "duplicate_conflict"]
    # Received in the order 0, 40, 20: day 40 has no earlier record within 31 days, so it is kept.
    assert reasons(messages(*at_days(0, 40, 20))) == [None, None, "duplicate_conflict"]


def test_a_duplicate_is_compared_with_the_earliest_within_its_own_distance() -> None:
    """Days 0, 20, 20: the third equals the second, but is compared with the first. Days 0, 40, 20, 40: with day 40."""
    batch = mediate(messages(*at_days(0, 20, 20)), cdrs.CATALOGUE, Parameters())
    assert [item.reason for item in batch] == [None, "duplicate_conflict", "duplicate_conflict"]
    assert batch[2].original is batch[0].message
    batch = mediate(messages(*at_days(0, 40, 20, 40)), cdrs.CATALOGUE, Parameters())
    assert [item.reason for item in batch] == [None, None, "duplicate_conflict", "duplicate"]
    assert batch[3].original is batch[1].message


def test_messages_are_given_once() -> None:
    with pytest.raises(ValueError, match="share their partition and offset"):
        mediate([Message(0, 0, NOW, None)] * 2, cdrs.CATALOGUE, Parameters())


# --------------------------------------------------------------------------------------------------------------- rating

PREMIUM = Price(Decimal("0.015"), Decimal(50), Decimal(1024), Decimal("0.050"))


@pytest.mark.parametrize(
    ("units", "cost"),
    [
        ("0", "0"),
        ("49.999999", "0"),
        ("50", "0"),
        ("50.000033", "0.000000"),  # 0.000033 × 0.015 = 0.000000495
        ("50.000034", "0.000001"),  # 0.000034 × 0.015 = 0.00000051
        ("50.0001", "0.000002"),  # 0.0001 × 0.015 = 0.0000015, half up
        ("1024", "14.61"),  # 974 × 0.015
        ("1024.000009", "14.610000"),  # + 0.000009 × 0.050 = 0.00000045
        ("1024.00001", "14.610001"),  # + 0.00001 × 0.050 = 0.0000005, half up
        ("1025", "14.66"),
        ("2048", "65.81"),  # 14.61 + 1024 × 0.050 = 14.61 + 51.20
    ],
)
def test_tiered_cost(units: str, cost: str) -> None:
    assert PREMIUM.cost(Decimal(units)) == Decimal(cost)


def test_both_tiers_are_rounded_once_together() -> None:
    """1 × 0.0000004 + 1 × 0.0000004 = 0.0000008 → 0.000001; rounded each by itself it would be nothing."""
    assert Price(Decimal("0.0000004"), Decimal(0), Decimal(1), Decimal("0.0000004")).cost(Decimal(2)) == Decimal(
        "0.000001"
    )


def test_allowance_as_large_as_the_threshold() -> None:
    """Free up to 2, the tier price beyond: 3 → 1 × 0.0555."""
    price = Price(Decimal("0.0185"), Decimal(2), Decimal(2), Decimal("0.0555"))
    assert [price.cost(Decimal(units)) for units in (2, 3)] == [Decimal(0), Decimal("0.0555")]


def test_flat_cost_is_never_negative() -> None:
    price = Price(Decimal("0.010"), Decimal(5))
    assert [price.cost(Decimal(units)) for units in (1, 5, 6)] == [Decimal(0), Decimal(0), Decimal("0.01")]


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(0.0005, 1), (1, 1), (59.999, 1), (60, 1), (60.0004, 1), (60.0005, 2), (61, 2), (3600, 60)]
)
def test_voice_is_billed_by_started_minutes_of_the_typed_duration(seconds: float, minutes: int) -> None:
    assert chain(messages(cdr(duration_sec=seconds))).rated[0]["billable_units"] == minutes


def test_a_rated_row() -> None:
    """PLAN_A, DATA_PREMIUM: 0.5 MB free, then 0.015 to 2 MB, then 0.050001. 3.25 MB cost 1.5 × 0.015 + 1.25 × 0.050001
    = 0.0225 + 0.06250125 = 0.08500125 → 0.085001."""
    result = chain(messages(cdr("data", data_volume_mb=3.25, product_code="DATA_PREMIUM", session_duration_sec=None)))
    assert result.rated == [
        {
            "record_id": "id-1",
            "customer_id": A,
            "record_type": "data",
            "event_ts": datetime(2026, 6, 15, 8, tzinfo=UTC),
            "rate_plan_id": "PLAN_A",
            "region": "Casablanca-Settat",
            "product_code": "DATA_PREMIUM",
            "billable_units": Decimal("3.25"),
            "free_units_applied": Decimal("0.5"),
            "unit_price": Decimal("0.015"),
            "tier_threshold": Decimal(2),
            "tier_price": Decimal("0.050001"),
            "amount": Decimal("0.085001"),
            "rating_status": "needs_review",
            "imputed": False,
            "billing_period": "2026-06",
            "source_id": "topic-1",
            "source_part": 0,
            "source_position": 0,
            "plan_valid_from": None,
            "product_valid_from": None,
            "holder_no": 1,
            "customer_valid_from": None,
            "event_date": date(2026, 6, 15),
        }
    ]


def test_free_units_applied_are_no_more_than_the_units() -> None:
    rated = chain(messages(cdr("data", data_volume_mb=0.3, product_code="DATA_PREMIUM"))).rated[0]
    assert (rated["free_units_applied"], rated["amount"]) == (Decimal("0.3"), Decimal(0))


@pytest.mark.parametrize(
    ("subscriber", "changed", "reason"),
    [
        ("212600000010", {}, "unknown_customer"),
        ("212600000004", {}, "prepaid_customer"),
        ("212600000006", {}, "prepaid_customer"),  # terminated and without a plan too: the first reason is kept
        ("212600000005", {}, "inactive_customer"),
        ("212600000007", {}, "unknown_plan"),
        ("212700000008", {"product_code": "DATA_BASIC"}, "no_price"),
        ("212700000008", {"product_code": "DATA_BASIC", "data_volume_mb": None}, "no_price"),
        (A, {"data_volume_mb": None}, "missing_volume"),
    ],
)
def test_each_reason_of_suspension(subscriber: str, changed: dict[str, str | None], reason: str) -> None:
    result = chain(messages(cdr("data", user_id=subscriber, **changed)), missing_volume_policy="suspend")
    assert result.rated == []
    [row] = result.suspended
    assert (row["reason"], row["customer_id"]) == (reason, subscriber)
    assert row["disposition"] == SUSPENSION_REASONS[reason]
    assert row["billable_units"] == (None if "data_volume_mb" in changed else Decimal(10))
    assert (row["rate_plan_id"] is None) == (reason == "unknown_customer")


def test_only_prepaid_and_inactive_are_excluded() -> None:
    excluded = {reason for reason, disposition in SUSPENSION_REASONS.items() if disposition == "excluded"}
    assert excluded == {"prepaid_customer", "inactive_customer"}


# ---------------------------------------------------------------------------------------------------- missing volumes


def data(record_id: str, volume: object, timestamp: str = "2026-06-10T12:00:00", **changed: Any) -> bytes:
    return cdr("data", record_ID=record_id, data_volume_mb=volume, timestamp=timestamp, **changed)


def imputed(result: Result) -> dict[object, tuple[object, object]]:
    """Units and amount of the imputed charges by record."""
    return {row["record_id"]: (row["billable_units"], row["amount"]) for row in result.charges if row["imputed"]}


def test_a_missing_volume_takes_the_customers_smallest_as_a_number() -> None:
    """As texts '10' < '9' < '9.5'; as numbers 9 is the smallest. DATA_BASIC of PLAN_A: (9 − 0.1) × 0.012345 = 0.1098705
    → 0.109871 (half up)."""
    batch = messages(data("1", 10), data("2", 9), data("3", "9.5"), data("4", None), data("5", 1, user_id=B))
    assert imputed(chain(batch)) == {"4": (Decimal(9), Decimal("0.109871"))}
    assert imputed(chain(batch, missing_volume_policy="zero")) == {"4": (Decimal(0), Decimal(0))}
    assert imputed(chain(batch, missing_volume_policy="suspend")) == {}


@pytest.mark.parametrize(
    ("policy", "rated", "fates", "months"),
    [
        ("customer_min", ["1"], [("2", "missing_volume", "deferred"), ("3", "prepaid_customer", "excluded")], ["2"]),
        ("zero", ["1", "2"], [("3", "prepaid_customer", "excluded")], []),
        ("suspend", ["1"], [("2", "missing_volume", "suspended"), ("3", "prepaid_customer", "excluded")], []),
    ],
)
def test_what_the_day_leaves_to_the_month(
    policy: str, rated: list[str], fates: list[tuple[str, str, str]], months: list[str]
) -> None:
    """Only what would be charged but for its volume is deferred; a prepaid customer's session is excluded first."""
    batch = messages(data("1", 5), data("2", None), data("3", None, user_id="212600000004"))
    result = chain(batch, missing_volume_policy=policy)
    assert [row["record_id"] for row in result.rated] == rated
    assert [(row["record_id"], row["reason"], row["disposition"]) for row in result.suspended] == fates
    assert [row["record_id"] for row in result.imputed] == months
    assert all(row["imputed"] for row in result.imputed)


@pytest.mark.thorough
def test_a_deferred_charge_that_no_amount_holds_has_its_row_without_one() -> None:
    """9,999,999.9 MB × 999,999 = 9,999,989,900,000.1, more than twelve digits: known, on no bill."""
    dear = [{**row, "unit_price": "999999"} if row["product_code"] == "DATA_BASIC" else row for row in cdrs.RATE_PLANS]
    batch = messages(data("1", None), data("2", 10_000_000, product_code="DATA_PREMIUM"))
    result = run(batch, cdrs.CUSTOMERS, dear, cdrs.CATALOGUE)
    assert imputed(result) == {}
    assert [(row["record_id"], row["billable_units"], row["amount"]) for row in result.imputed] == [
        ("1", Decimal(10_000_000), None)
    ]
    funnel = result.funnel("2026-06")
    assert (funnel.rated, funnel.deferred, funnel.imputed, funnel.imputed_out_of_range, funnel.charged) == (
        1, 1, 1, 1, 1
    )  # fmt: skip
    totals = sql_totals(batch, cdrs.CUSTOMERS, dear, cdrs.CATALOGUE, "2026-06")
    assert totals.rating == {"amount_out_of_range": 1, "rated": 1}


def test_the_smallest_is_of_the_month_and_of_every_cleaned_volume() -> None:
    """May 31 23:30Z is June 1 in Casablanca; prepaid subscribers have one too; unknown ones and rejected volumes none."""
    batch = messages(
        data("1", 5),
        data("2", 3, "2026-05-31T23:30:00Z"),
        data("3", 2, "2026-05-31T23:30:00"),
        data("4", 7, user_id="212600000010"),
        data("5", 8, user_id="212600000004"),
        data("6", 1, product_code="DATA_GOLD"),
        data("7", None, user_id=B),
        data("2", 0.5, "2026-05-31T23:30:00Z"),  # a conflict
    )
    assert smallest_volumes(chain(batch).cleaned, cdrs.CUSTOMERS) == {
        ("2026-05", A, 1): Decimal(2),
        ("2026-06", A, 1): Decimal(3),
        ("2026-06", "212600000004", 1): Decimal(8),
    }


def test_without_a_known_volume_a_missing_one_is_nothing() -> None:
    batch = messages(data("1", None), data("2", 4, "2026-05-31T12:00:00"))  # another month's volume does not count
    assert imputed(chain(batch)) == {"1": (Decimal(0), Decimal(0))}


def test_a_known_zero_is_the_smallest_and_is_not_imputed() -> None:
    result = chain(messages(data("1", 0), data("2", 4), data("3", None)))
    assert imputed(result) == {"3": (Decimal(0), Decimal(0))}


def test_unknown_policy() -> None:
    with pytest.raises(ValueError, match="customer_min, zero or suspend"):
        Parameters(missing_volume_policy="guess")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------------- bills


@pytest.mark.parametrize(
    ("amount", "places", "expected"),
    [
        ("0.005", 2, "0.01"),
        ("0.015", 2, "0.02"),
        ("0.004999", 2, "0.00"),
        ("2.5", 0, "3"),
        ("0.0000005", 6, "0.000001"),
    ],
)
def test_half_up(amount: str, places: int, expected: str) -> None:
    assert half_up(Decimal(amount), places) == Decimal(expected)


def calls_messages_and_data() -> list[Message]:
    return messages(
        *(cdr(record_ID=f"v{n}", callee_id="33612345678", duration_sec=60) for n in range(3)),
        *(cdr("sms", record_ID=f"s{n}") for n in range(3)),
        cdr("data", record_ID="d", data_volume_mb=10),
    )


def test_a_bill() -> None:
    """PLAN_A. Voice abroad 3 × 0.333333 = 0.999999 → 1.00. SMS 3 × 0.045 = 0.135 → 0.14 (0.05 each if rounded before).
    Data (10 − 0.1) × 0.012345 = 0.1222155 → 0.122216 → 0.12. Before tax 1.26; discount 0.063 → 0.06; after 1.20; tax
    0.24; due 1.44. Exact sum 0.999999 + 0.135 + 0.122216 = 1.257215; difference 1.26 − 1.257215 = 0.002785."""
    [bill] = [row for row in chain(calls_messages_and_data()).bills("2026-06") if row["customer_id"] == A]
    assert bill == {
        "customer_id": A,
        "holder_no": 1,
        "region": "Casablanca-Settat",
        "rate_plan_id": "PLAN_A",
        "voice_total": Decimal("1.00"),
        "sms_total": Decimal("0.14"),
        "data_total": Decimal("0.12"),
        "voice_count": 3,
        "sms_count": 3,
        "data_count": 1,
        "adjustments_total": Decimal("0"),
        "other_total": Decimal("0"),
        "amount_before_tax": Decimal("1.26"),
        "discount_pct": Decimal(5),
        "discount": Decimal("0.06"),
        "after_discount": Decimal("1.20"),
        "tax_pct": Decimal(20),
        "tax": Decimal("0.24"),
        "amount_due": Decimal("1.44"),
        "rounding_difference": Decimal("0.002785"),
        "currency": "MAD",
        "status": "draft",
        "billing_period": "2026-06",
    }


def test_discount_and_tax_round_half_up_each() -> None:
    """PLAN_B: 20 minutes × 0.005 = 0.10; discount 0.005 → 0.01; after 0.09; tax 0.018 → 0.02; due 0.11.
    At 2.5 % and 10 %: discount 0.0025 → 0.00; after 0.10; tax 0.01; due 0.11. At 0 %: 0.10 and 0.12.
    At 4.9999 % and 14.9999 %: discount 0.0049999 → 0.00; after 0.10; tax 0.0149999 → 0.01; due 0.11."""
    batch = messages(cdr(caller_id=B, duration_sec=1200))

    def figures(**rates: Any) -> list[object]:
        [bill] = [row for row in chain(batch, **rates).bills("2026-06") if row["customer_id"] == B]
        return [str(bill[name]) for name in ("discount", "after_discount", "tax", "amount_due")]

    assert figures() == ["0.01", "0.09", "0.02", "0.11"]
    assert figures(discount_pct=Decimal("2.5"), tax_pct=Decimal(10)) == ["0.00", "0.10", "0.01", "0.11"]
    assert figures(discount_pct=Decimal(0)) == ["0.00", "0.10", "0.02", "0.12"]
    assert figures(discount_pct=Decimal("4.9999"), tax_pct=Decimal("14.9999")) == ["0.00", "0.10", "0.01", "0.11"]


def test_the_discount_is_of_the_rounded_amount() -> None:
    """PLAN_B: 19 minutes × 0.005 = 0.095 → 0.10; 5 % of 0.10 is 0.005 → 0.01 (of 0.095 it would be 0.00475 → 0.00)."""
    [bill] = [
        row for row in chain(messages(cdr(caller_id=B, duration_sec=1140))).bills("2026-06") if row["voice_count"]
    ]
    assert (bill["discount"], bill["rounding_difference"]) == (Decimal("0.01"), Decimal("0.005"))


def test_everyone_active_and_postpaid_is_billed_and_nobody_else() -> None:
    """Also those without usage, and those whose plan is unknown; 0, not null."""
    bills = {row["customer_id"]: row for row in chain(messages(cdr(caller_id="212600000004"))).bills("2026-06")}
    assert list(bills) == [A, B, "212600000007", C, "212700000008", "212700000009"]
    assert {(row["voice_count"], row["amount_due"], row["rounding_difference"]) for row in bills.values()} == {
        (0, 0, 0)
    }


def test_a_month_ends_at_local_midnight() -> None:
    """May 31 22:59:59Z is 23:59:59 local, May; a second later it is June."""
    batch = messages(cdr(timestamp="2026-05-31T22:59:59Z", record_ID="1"), cdr(timestamp="2026-05-31T23:00:00Z"))
    result = chain(batch)
    counts = {month: sum(row["voice_count"] for row in result.bills(month)) for month in ("2026-05", "2026-06")}
    assert counts == {"2026-05": 1, "2026-06": 1}
    assert [(row["record_id"], row["billing_period"]) for row in result.rated] == [
        ("1", "2026-05"),
        ("id-1", "2026-06"),
    ]


# -------------------------------------------------------------------------------------------------- reports and funnel


def test_reports() -> None:
    """June: A pays 1 minute at home, free, and 814.13 MB; C 2 SMS and 814.13 MB in two sessions, B 0.5 MB at 00:30.
    A: (814.13 − 0.1) × 0.012345 = 814.03 × 0.012345 = 10.04920035 → 10.049200 → 10.05; due: 10.05 − 0.50 (0.5025) =
    9.55; tax 1.91; 11.46. C: 2 × 0.045 = 0.09; (814 − 0.1) × 0.012345 = 813.9 × 0.012345 = 10.0475955 → 10.047596
    (half up); 0.13 MB: 0.03 × 0.012345 = 0.00037035 → 0.000370; data 10.047966 → 10.05; before tax 10.14; discount
    0.507 → 0.51; after 9.63; tax 1.926 → 1.93; 11.56. B: 0.5 × 0.000001 = 0.0000005 → 0.000001; due 0."""
    result = chain(
        messages(
            cdr(record_ID="1", timestamp="2026-06-10T23:59:00"),
            data("2", 814.13, "2026-06-10T09:59:59"),
            cdr("sms", record_ID="3", sender_id=C, timestamp="2026-06-11T10:00:00"),
            cdr("sms", record_ID="4", sender_id=C, timestamp="2026-06-11T11:00:00"),
            data("5", 814, "2026-06-10T09:00:00", user_id=C),
            data("6", 0.13, "2026-06-11T09:00:00", user_id=C),
            data("7", 0.5, "2026-06-10T23:30:00Z", user_id=B),  # 00:30 of June 11, local
            data("8", 1000, "2026-05-31T12:00:00"),  # another month
        )
    )
    due = {row["customer_id"]: row["amount_due"] for row in result.bills("2026-06")}
    assert (due[A], due[B], due[C]) == (Decimal("11.46"), Decimal(0), Decimal("11.56"))

    def rows(name: str) -> list[tuple[object, ...]]:
        return [tuple(row.values())[:-1] for row in result.reports("2026-06")[name]]

    east, west, rabat = "Oriental", "Casablanca-Settat", "Rabat-Salé-Kénitra"
    tenth, eleventh = date(2026, 6, 10), date(2026, 6, 11)
    assert rows("daily_revenue") == [
        (tenth, Decimal("20.096796")),  # 0 + 10.049200 + 10.047596
        (eleventh, Decimal("0.090371")),  # 0.045 + 0.045 + 0.000370 + 0.000001
    ]
    assert rows("mix_by_region") == [
        (west, "data", Decimal("10.0492")),
        (west, "voice", Decimal(0)),
        (rabat, "data", Decimal("10.047967")),  # C 10.047966 + B 0.000001
        (rabat, "sms", Decimal("0.09")),
    ]
    assert rows("revenue_by_plan") == [
        ("PLAN_A", Decimal("23.02")),  # 11.46 + 11.56
        ("PLAN_B", Decimal(0)),
        ("PLAN_NONE", Decimal(0)),
        ("PLAN_VOICE", Decimal(0)),
    ]
    assert rows("plan_by_region") == [
        (west, "PLAN_A", Decimal("11.46")),
        ("Drâa-Tafilalet", "PLAN_A", Decimal(0)),
        ("Drâa-Tafilalet", "PLAN_VOICE", Decimal(0)),
        (east, "PLAN_NONE", Decimal(0)),
        (rabat, "PLAN_A", Decimal("11.56")),
        (rabat, "PLAN_B", Decimal(0)),
    ]
    assert rows("top10_consumers") == [
        (A, Decimal("814.13"), Decimal("11.46")),  # as much as C: by customer_id
        (C, Decimal("814.13"), Decimal("11.56")),
        (B, Decimal("0.5"), Decimal(0)),
    ]
    assert rows("traffic_hourly") == [
        (tenth, 9, Decimal("1.589971")),  # (814.13 + 814) / 1024 = 1628.13 / 1024 = 1.58997070…
        (eleventh, 0, Decimal("0.000488")),  # 0.5 / 1024 = 0.00048828…
        (eleventh, 9, Decimal("0.000127")),  # 0.13 / 1024 = 0.00012695…
    ]


def test_ten_consumers_at_most_and_ties_at_the_end_by_customer() -> None:
    """Eleven customers, the last three with equal volumes: the first two of them are kept."""
    customers = [{**cdrs.CUSTOMERS[0], "customer_id": f"2126000001{n:02d}"} for n in range(11)]
    volumes = [20, 19, 18, 17, 16, 15, 14, 13, 1, 1, 1]
    batch = messages(*(data(str(n), volume, user_id=f"2126000001{n:02d}") for n, volume in enumerate(volumes)))
    top = chain(batch, customers).reports("2026-06")["top10_consumers"]
    assert [row["customer_id"] for row in top] == [f"2126000001{n:02d}" for n in range(10)]


def test_half_a_millionth_of_a_gigabyte_rounds_up() -> None:
    """0.000512 MB / 1024 = 0.0000005 GB exactly."""
    [row] = chain(messages(data("1", 0.000512))).reports("2026-06")["traffic_hourly"]
    assert row["total_gb"] == Decimal("0.000001")


def test_funnel() -> None:
    """June of test_a_bill, with one of each: a duplicate, a foreign object, a prepaid and an unknown subscriber."""
    extra = [
        b"junk",
        cdr("sms", record_ID="s0"),
        cdr(record_ID="p", caller_id="212600000004"),
        cdr(record_ID="u", caller_id="33612345678"),
        cdr(record_ID="may", timestamp="2026-05-31T12:00:00"),
    ]
    batch = calls_messages_and_data()
    batch += [Message(1, offset, NOW, value) for offset, value in enumerate(extra)]
    result = chain(batch)
    june = result.funnel("2026-06")
    assert (june.received, june.cleaned, june.rejected) == (11, 9, {"malformed_json": 1, "duplicate": 1})
    assert (june.rated, june.rated_amount) == (7, Decimal("1.257215"))
    assert june.suspended == {"unknown_customer": 1, "prepaid_customer": 1}
    assert (june.bills, june.amount_before_tax, june.amount_due) == (6, Decimal("1.26"), Decimal("1.44"))
    everything = result.funnel()
    assert (everything.received, everything.cleaned, everything.rated, everything.bills) == (12, 10, 8, 12)


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cdr.jsonl"
    path.write_bytes(b'{"a": 1}\n\n\xff\n')
    assert [(message.offset, message.value) for message in read_jsonl(path, NOW)] == [
        (0, b'{"a": 1}'),
        (1, b""),
        (2, b"\xff"),
    ]


# ---------------------------------------------------------------------------------------------- what must hold for all

SLOW = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def assert_conserved(result: Result) -> None:
    """Every message has one outcome, every cleaned row one fate, every deferred one its price, and the bills hold all, exactly."""
    assert len(result.outcomes) == len(result.cleaned) + len(result.rejected)
    assert len(result.cleaned) == len(result.rated) + len(result.suspended)
    deferred = [row["record_id"] for row in result.suspended if row["disposition"] == "deferred"]
    assert deferred == [row["record_id"] for row in result.imputed]
    identities = Counter((row["record_id"], row["event_date"]) for row in result.cleaned)
    assert not identities or max(identities.values()) == 1
    for month in result.months():
        rated = sum((row["amount"] for row in result.charges if row["billing_period"] == month), Decimal(0))
        bills = result.bills(month)
        assert sum((row["amount_before_tax"] - row["rounding_difference"] for row in bills), Decimal(0)) == rated
        reports = result.reports(month)
        assert sum((row["revenue"] for row in reports["daily_revenue"]), Decimal(0)) == rated
        assert sum((row["revenue"] for row in reports["mix_by_region"]), Decimal(0)) == rated
        due = sum((row["amount_due"] for row in bills), Decimal(0))
        for name in ("revenue_by_plan", "plan_by_region"):
            assert sum((row["revenue_incl_tax"] for row in reports[name]), Decimal(0)) == due


@pytest.mark.thorough
@SLOW
@given(cdrs.hostile_messages())
def test_conservation_whatever_arrives(batch: list[Message]) -> None:
    assert_conserved(chain(batch))


@SLOW
@given(cdrs.cdr_messages(), st.sampled_from([0, 1, 31]), st.randoms(use_true_random=False))
def test_outcomes_do_not_depend_on_the_order_of_arrival_in_the_list(
    batch: list[Message], dedupe_days: int, rng: random.Random
) -> None:
    def outcomes(given_order: list[Message]) -> dict[tuple[int, int], tuple[object, Row]]:
        found = mediate(given_order, cdrs.CATALOGUE, Parameters(dedupe_days=dedupe_days))
        return {(item.message.partition, item.message.offset): (item.reason, item.row) for item in found}

    shuffled = list(batch)
    rng.shuffle(shuffled)
    assert outcomes(batch) == outcomes(shuffled)
    assert_conserved(chain(batch, dedupe_days=dedupe_days))


@pytest.mark.thorough
def test_batches_are_reproducible_and_reach_the_common_reasons() -> None:
    batch = cdrs.cdr_batch(seed=7, count=1_000)
    assert batch == cdrs.cdr_batch(seed=7, count=1_000) != cdrs.cdr_batch(seed=8, count=1_000)
    funnel = chain(batch).funnel()
    assert set(funnel.rejected) >= {
        "missing_timestamp",
        "outside_acceptance_window",
        "missing_subscriber",
        "invalid_subscriber",
        "missing_duration",
        "non_positive_duration",
        "duplicate",
        "duplicate_conflict",
    }
    assert set(funnel.suspended) == set(SUSPENSION_REASONS) - {"missing_volume", "amount_out_of_range"}
    assert any(row["imputed"] and row["billable_units"] for row in chain(batch).imputed)


# ------------------------------------------------------------------------------------------------------ the same in SQL


def assert_sql_agrees(batch: list[Message], month: str, **parameters: Any) -> None:
    """With prices that change within the months."""
    references = (cdrs.CUSTOMERS, cdrs.DATED_RATE_PLANS, cdrs.DATED_CATALOGUE)
    scale = CURRENCY_DECIMALS[parameters.get("currency", "MAD")]
    result = run(batch, *references, Parameters(**parameters))
    totals = sql_totals(batch, *references, month, scale=scale, **parameters)
    funnel, bills, reports = result.funnel(month), result.bills(month), result.reports(month)
    everything = Counter((f"{item.home_day:%Y-%m}", item.reason or "cleaned") for item in result.outcomes)
    assert totals.outcomes == everything
    fates = Counter(funnel.suspended) + Counter(
        rated=funnel.rated,
        imputed=funnel.imputed - funnel.imputed_out_of_range,
        amount_out_of_range=funnel.imputed_out_of_range,
    )
    assert totals.rating == fates
    assert totals.rated_amount == funnel.charged_amount
    assert totals.before_tax_by_customer == {row["customer_id"]: row["amount_before_tax"] for row in bills}
    assert totals.amount_due_by_customer == {row["customer_id"]: row["amount_due"] for row in bills}
    assert totals.lines == {
        (row["customer_id"], row["holder_no"], row["line_no"]): row["amount"] for row in result.lines(month)
    }
    assert totals.due_by_region_and_plan == {
        (row["region"], row["rate_plan_id"]): row["revenue_incl_tax"] for row in reports["plan_by_region"]
    }
    assert totals.rated_by_customer == {
        row["customer_id"]: row["amount_before_tax"] - row["rounding_difference"]
        for row in bills
        if row["voice_count"] + row["sms_count"] + row["data_count"]
    }
    assert totals.revenue_by_day == {row["billing_date"]: row["revenue"] for row in reports["daily_revenue"]}
    assert totals.revenue_by_region_and_type == {
        (row["region"], row["record_type"]): row["revenue"] for row in reports["mix_by_region"]
    }


@pytest.mark.parametrize(
    "policy", ["customer_min", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("zero", "suspend"))]
)
@pytest.mark.parametrize("dedupe_days", [pytest.param(0, marks=pytest.mark.thorough), 31])
@pytest.mark.parametrize("month", [pytest.param("2026-02", marks=pytest.mark.thorough), "2026-03"])
def test_sql_agrees_on_many_cdrs(policy: str, dedupe_days: int, month: str) -> None:
    batch = cdrs.cdr_batch(seed=dedupe_days, count=examples(600))
    assert_sql_agrees(batch, month, missing_volume_policy=policy, dedupe_days=dedupe_days)


@pytest.mark.thorough
def test_sql_agrees_on_amounts_that_no_amount_holds() -> None:
    """9.5 MB at 999,999 a megabyte fit, 10,000,000 MB do not; a second customer's minute is billed."""
    dear = [{**row, "unit_price": "999999"} if row["product_code"] == "DATA_BASIC" else row for row in cdrs.RATE_PLANS]
    batch = messages(
        cdr("data", record_ID="1", data_volume_mb=10_000_000),
        cdr("data", record_ID="2", data_volume_mb=9.5),
        cdr(record_ID="3", caller_id=B),
    )
    result = run(batch, cdrs.CUSTOMERS, dear, cdrs.CATALOGUE)
    assert [row["reason"] for row in result.suspended] == ["amount_out_of_range"]
    totals = sql_totals(batch, cdrs.CUSTOMERS, dear, cdrs.CATALOGUE, "2026-06")
    assert totals.rating == {"amount_out_of_range": 1, "rated": 2}
    # (9.5 − 0.1) × 999,999
    assert totals.rated_by_customer[A] == Decimal("9399990.6") == result.rated[0]["amount"]
    assert totals.amount_due == sum(row["amount_due"] for row in result.bills("2026-06"))


@pytest.mark.thorough
def test_sql_agrees_with_other_settings() -> None:
    batch = cdrs.cdr_batch(seed=99, count=examples(600))
    rates: dict[str, Any] = {"discount_pct": Decimal("2.5"), "tax_pct": Decimal(10), "max_age_days": 20}
    assert_sql_agrees(batch, "2026-03", **rates, accept_months={"2015-05", "2026-02"})
    assert_sql_agrees(batch, "2026-02", **rates, accept_months={"2015-05", "2026-02"})
    rates |= {"discount_pct": Decimal("2.4375"), "tax_pct": Decimal("19.6255")}
    assert_sql_agrees(batch, "2026-03", **rates, accept_months={"2015-05", "2026-02"})


@pytest.mark.thorough
@pytest.mark.parametrize("currency", ["JPY", "TND"])
def test_sql_agrees_in_other_currencies(currency: str) -> None:
    assert_sql_agrees(cdrs.cdr_batch(seed=7, count=600), "2026-03", currency=currency)


@pytest.mark.thorough
def test_sql_reads_numbers_as_they_are_written() -> None:
    """The macros of a number, by the expressions that mediation makes of them, on the column `t`."""
    texts = drawn(cdrs.written_numbers(), examples(2_000))
    macros = script("mediation").partition("CREATE MACRO bare")[0]
    three, six = (f"try_cast(plain_number(t) AS DECIMAL(18,{scale}))" for scale in (3, 6))
    negative, excessive = "is_negative(plain_number(t))", f"exceeds_ten_million(plain_number(t), {six})"
    with duckdb.connect() as connection:
        connection.execute(macros)
        connection.register("texts", pa.table({"t": texts}))
        found = connection.execute(f"SELECT t, {three}, {six}, {negative}, {excessive} FROM texts").fetchall()
    far = Fraction(10**11)
    for text, *values in found:
        number = read_number(text)
        assert number is not None, text
        near = min(far, max(-far, number))
        expected = [typed(near, 3), typed(near, 6), number < 0, number > 10_000_000]
        assert [*(max(min(value, far), -far) for value in values[:2]), *values[2:]] == expected, text


@pytest.mark.thorough
@settings(SLOW, max_examples=examples(15))
@given(cdrs.cdr_messages(min_size=10), st.sampled_from(["2026-02", "2026-03", "2026-04"]))
def test_sql_agrees_on_small_collections(batch: list[Message], month: str) -> None:
    assert_sql_agrees(batch, month)


@pytest.mark.thorough
def test_sql_reads_files(tmp_path: Path) -> None:
    """The bill of test_a_bill once more, from files."""
    (tmp_path / "cdr.jsonl").write_bytes(
        b"".join(item.value + b"\n" for item in calls_messages_and_data() if item.value)
    )
    for name, rows in (("c", cdrs.CUSTOMERS), ("r", cdrs.RATE_PLANS), ("p", cdrs.CATALOGUE)):
        lines = [
            ",".join(rows[0]),
            *(",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows),
        ]
        (tmp_path / f"{name}.csv").write_text("\n\n".join(lines), encoding="utf-8")
    cdr_file, customers, rate_plans, catalogue = (tmp_path / name for name in ("cdr.jsonl", "c.csv", "r.csv", "p.csv"))
    totals = sql_totals(cdr_file, customers, rate_plans, catalogue, "2026-06", received_at=NOW)
    assert totals.outcomes_of_month() == {"cleaned": 7}
    assert totals.rated_by_customer == {A: Decimal("1.257215")}
    assert totals.amount_due == Decimal("1.44")
    with pytest.raises(ValueError, match="received_at"):
        sql_totals(cdr_file, customers, rate_plans, catalogue, "2026-06")
