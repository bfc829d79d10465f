"""Mediation on both engines: one outcome for every message, and the right one.

Belongs here: reasons of rejection, normalised columns, which copy is kept, days one by one and all at once. Expected
outcomes are worked out by hand or come from the oracle.
"""

import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import strategies as st
from pyspark.sql import functions as F

from resources.engine import SparkEngine
from resources.warehouse import Partitions, PinnedTable, Warehouse
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.assets import _neighbourhood
from telecom_assets.mediation.copies import days_with_copies
from telecom_assets.mediation.rules import REJECTION_REASONS, Outcomes, mediate
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets.tables import TABLES
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Message, Outcome, Parameters, Row, home_day
from telecom_assets_tests.sql_check import sql_totals
from telecom_assets_tests.stack_fixtures import FOR_LITTLE_DATA
from telecom_assets_tests.stages.chain import (
    admitted,
    assert_outcomes,
    assert_rows,
    assert_schema,
    catalogue_frame,
    collected,
    contract_frame,
    contract_table,
    drawn,
    mediated,
    raw_row,
    rejections,
    rows_of,
    stored,
)

#: 13:00 of Monday 2026-06-15 in Casablanca.
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
A, B, ABROAD = "212600000001", "212600000002", "33612345678"
SOUND: dict[str, dict[str, object]] = {
    "voice": {"caller_id": A, "callee_id": B, "duration_sec": 60},
    "sms": {"sender_id": A, "receiver_id": B},
    "data": {"user_id": A, "data_volume_mb": 10, "session_duration_sec": 30, "product_code": "DATA_BASIC"},
}


def cdr(kind: str = "voice", **changed: Any) -> bytes:
    """A sound CDR with some fields changed."""
    fields = {"record_ID": "id", "record_type": kind, "timestamp": "2026-06-15T09:00:00", **SOUND[kind], **changed}
    return json.dumps({name: value for name, value in fields.items() if value != "(absent)"}).encode()


def cleaned_rows(outcomes: list[Outcome]) -> list[Row]:
    return [item.row for item in outcomes if item.reason is None]


def judged(outcomes: list[Outcome]) -> dict[tuple[int, int], str]:
    return {(item.message.partition, item.message.offset): item.reason or "cleaned" for item in outcomes}


# ---------------------------------------------------------------------------------------------------------- the corpus


def test_the_order_of_reasons_is_the_contracts() -> None:
    assert REJECTION_REASONS == oracle.REJECTION_REASONS


@pytest.mark.thorough
def test_the_hostile_corpus(engine: SparkEngine) -> None:
    """All of it, row by row as the oracle has it, and outcome by outcome as it was worked out by hand."""
    messages = cdrs.corpus_messages()
    outcomes = mediated(engine, messages, Parameters())
    expected = oracle.mediate(messages, cdrs.CATALOGUE, Parameters())
    rejected = rows_of(outcomes.rejected)
    assert_rows(CLEANED_CDRS, rows_of(outcomes.cleaned), cleaned_rows(expected))
    assert_rows(REJECTED_CDRS, rejected, rejections(expected))
    reasons = {row["source_position"]: row["reason"] for row in rejected}
    found = [reasons.get(message.offset, "cleaned") for message in messages]
    assert found == [outcome for _, outcome in cdrs.HOSTILE_CASES]
    assert_schema(CLEANED_CDRS, outcomes.cleaned)
    assert_schema(REJECTED_CDRS, outcomes.rejected)


def test_the_engines_agree_to_the_last_column(sail: SparkEngine, spark_remote: str) -> None:
    """The columns that the oracle leaves open (the text that is shown of a refused record) are the same on both."""
    spark = type(sail)(kind="spark", remote=spark_remote, spark_config=FOR_LITTLE_DATA)
    messages = [
        *cdrs.corpus_messages(),
        *(Message(1, n, NOW, value) for n, value in enumerate(drawn(cdrs.hostile_values(), 300))),
    ]

    def rejected(engine: Any) -> list[Row]:
        rows = rows_of(mediated(engine, messages, Parameters()).rejected)
        return sorted(rows, key=lambda row: (row["source_part"], row["source_position"]))

    assert rejected(sail) == rejected(spark)


def test_what_is_shown_of_a_refused_record(sail: SparkEngine) -> None:
    """The text that was refused, cut to 200 characters."""
    shown = {
        cdr(record_ID="1", record_type="telex"): "telex",
        cdr(record_ID="2", timestamp="yesterday"): "yesterday",
        cdr(record_ID="3", timestamp="2017-01-01T00:00:00"): "2017-01-01T00:00:00",
        cdr(record_ID="4", caller_id="+212 500000001"): "+212 500000001",
        cdr(record_ID="5", duration_sec="a minute"): "a minute",
        cdr(record_ID="6", duration_sec=-1): "-1",
        cdr("data", record_ID="7", data_volume_mb="12 MB"): "12 MB",
        cdr("data", record_ID="8", data_volume_mb=10_000_001): "10000001",
        cdr("data", record_ID="9", product_code="DATA_GOLD"): "DATA_GOLD",
        cdr("sms", record_ID="10", sender_id="x" * 1_000): "x" * 200,
        cdr(record_ID="11", caller_id=None): None,
        b"junk": None,
    }
    messages = [Message(0, offset, NOW, value) for offset, value in enumerate(shown)]
    details = {
        row["source_position"]: row["detail"] for row in rows_of(mediated(sail, messages, Parameters()).rejected)
    }
    assert [details[offset] for offset in range(len(shown))] == list(shown.values())


# ------------------------------------------------------------------------------------------------------- normalisation

#: Changes to a sound CDR beside what the cleaned row must say.
CLEANED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "voice",
        {},
        {"product_code": "VOICE_NAT", "other_party": B, "duration_sec": Decimal(60), "rating_status": "ready"},
    ),
    ("voice", {"callee_id": ABROAD}, {"product_code": "VOICE_INT", "other_party": ABROAD}),
    ("voice", {"callee_id": None}, {"product_code": "VOICE_NAT", "other_party": "inconnu"}),
    ("voice", {"callee_id": "336"}, {"product_code": "VOICE_NAT", "other_party": "inconnu"}),
    # Belgium, however it is written; a landline at home; what is of no country.
    ("voice", {"callee_id": "+32 470 12.34.56"}, {"product_code": "VOICE_INT", "other_party": "32470123456"}),
    ("voice", {"callee_id": "0032470123456"}, {"product_code": "VOICE_INT", "other_party": "32470123456"}),
    ("voice", {"callee_id": "3212345678"}, {"product_code": "VOICE_INT", "other_party": "3212345678"}),
    ("voice", {"callee_id": "(05) 22-00-00-01"}, {"product_code": "VOICE_NAT", "other_party": "212522000001"}),
    ("voice", {"callee_id": "612345678"}, {"product_code": "VOICE_NAT", "other_party": "212612345678"}),
    ("voice", {"callee_id": "+612345678"}, {"product_code": "VOICE_INT", "other_party": "612345678"}),
    ("voice", {"callee_id": "+870773111632"}, {"product_code": "VOICE_NAT", "other_party": "inconnu"}),
    ("voice", {"callee_id": "+1 (415) 555-0123"}, {"product_code": "VOICE_INT", "other_party": "14155550123"}),
    ("voice", {"callee_id": "+1 415 555-012"}, {"product_code": "VOICE_NAT", "other_party": "inconnu"}),
    ("voice", {"caller_id": "06\u00a000 00 00 01"}, {"subscriber_id": A}),
    ("data", {"user_id": "+212 6-00.00(00)02"}, {"subscriber_id": B}),
    ("sms", {"sender_id": "0033612345678"}, {"subscriber_id": ABROAD}),
    ("voice", {"caller_id": ABROAD}, {"subscriber_id": ABROAD, "product_code": "VOICE_NAT"}),
    ("voice", {"duration_sec": 59.9996}, {"duration_sec": Decimal(60)}),
    ("voice", {"duration_sec": 0.0005}, {"duration_sec": Decimal("0.001")}),
    # As they are written: the nearest doubles lie below 16440.0005, and at 60.0005 for the next.
    ("voice", {"duration_sec": 16440.0005}, {"duration_sec": Decimal("16440.001")}),
    ("voice", {"duration_sec": "60.00049999999999999"}, {"duration_sec": Decimal(60)}),
    ("voice", {"duration_sec": "60.0004" + "9" * 100}, {"duration_sec": Decimal(60)}),
    ("voice", {"duration_sec": "6.00005E1"}, {"duration_sec": Decimal("60.001")}),
    ("data", {"data_volume_mb": 4.1234565}, {"data_volume_mb": Decimal("4.123457")}),
    ("data", {"data_volume_mb": "41234565e-7"}, {"data_volume_mb": Decimal("4.123457")}),
    ("data", {"session_duration_sec": "60.00049999999999999"}, {"session_duration_sec": Decimal(60)}),
    ("data", {"session_duration_sec": "10000000.00000000000000001"}, {"session_duration_sec": None}),
    ("data", {"session_duration_sec": "-1e-300"}, {"session_duration_sec": None}),
    ("voice", {"duration_sec": 9_999_999.9996}, {"duration_sec": Decimal(10_000_000)}),
    ("voice", {"cell_id": "C1", "technology": "3G"}, {"cell_id": "C1", "technology": "3G"}),
    ("voice", {"cell_id": "", "technology": ""}, {"cell_id": "inconnu", "technology": "4G"}),
    ("voice", {"technology": "LTE"}, {"technology": "4G", "cell_id": "inconnu"}),
    ("voice", {"technology": "NR"}, {"technology": "5G"}),
    ("voice", {"technology": "UMTS"}, {"technology": "3G"}),
    ("voice", {"technology": "lte"}, {"technology": "lte"}),  # comparison is exact in case; other values stay
    (
        "voice",
        {"product_code": "DATA_GOLD", "data_volume_mb": -1},
        {"product_code": "VOICE_NAT", "data_volume_mb": None},
    ),
    ("sms", {}, {"product_code": "SMS_NAT", "duration_sec": None, "other_party": B}),
    ("sms", {"receiver_id": "14155550123"}, {"product_code": "SMS_INT"}),
    ("sms", {"receiver_id": "212500000001"}, {"product_code": "SMS_NAT", "other_party": "212500000001"}),
    ("sms", {"receiver_id": "2125000000011"}, {"product_code": "SMS_NAT", "other_party": "inconnu"}),
    ("data", {}, {"product_code": "DATA_BASIC", "data_volume_mb": Decimal(10), "session_duration_sec": Decimal(30)}),
    ("data", {}, {"other_party": None, "rating_status": "ready"}),
    ("data", {"product_code": "DATA_PREMIUM"}, {"product_code": "DATA_PREMIUM"}),
    ("data", {"data_volume_mb": None}, {"data_volume_mb": None, "rating_status": "needs_review"}),
    ("data", {"data_volume_mb": "0.0000005"}, {"data_volume_mb": Decimal("0.000001"), "rating_status": "ready"}),
    ("data", {"data_volume_mb": 0}, {"data_volume_mb": Decimal(0), "rating_status": "ready"}),
    ("data", {"session_duration_sec": None}, {"session_duration_sec": None, "rating_status": "needs_review"}),
    ("data", {"session_duration_sec": -3}, {"session_duration_sec": None, "rating_status": "needs_review"}),
    ("data", {"session_duration_sec": "n/a"}, {"session_duration_sec": None, "rating_status": "needs_review"}),
    ("data", {"session_duration_sec": 0}, {"session_duration_sec": Decimal(0), "rating_status": "ready"}),
    ("data", {"timestamp": "2026-06-15T00:30:00"}, {"event_date": date(2026, 6, 15)}),
    ("data", {"timestamp": "2026-06-14T23:30:00Z"}, {"event_date": date(2026, 6, 15)}),
    ("data", {"timestamp": "2026-06-15T09:00:00.5"}, {"event_ts": datetime(2026, 6, 15, 8, 0, 0, 500_000, UTC)}),
]


@pytest.fixture(scope="module")
def normalised(engine: SparkEngine) -> list[Row]:
    """The cleaned rows of CLEANED, in its order."""
    messages = [
        Message(0, number, NOW, cdr(kind, record_ID=f"id-{number}", **changed))
        for number, (kind, changed, _) in enumerate(CLEANED)
    ]
    rows = rows_of(mediated(engine, messages, Parameters()).cleaned)
    return sorted(rows, key=lambda row: row["source_position"])


def test_the_products_of_calls_and_messages_are_those_that_the_catalogue_must_have(normalised: list[Row]) -> None:
    """Whatever the party is: at home, abroad, unknown."""
    made = {(row["product_code"], row["record_type"]) for row in normalised if row["record_type"] != "data"}
    assert made == set(RECORD_TYPES.made_products.items())


@pytest.mark.parametrize("number", range(len(CLEANED)))
def test_normalised(normalised: list[Row], number: int) -> None:
    _, _, expected = CLEANED[number]
    row = normalised[number]
    assert row["record_id"] == f"id-{number}"
    assert {name: row[name] for name in expected} == expected


# -------------------------------------------------------------------------------------------------------------- copies


def story(*events: tuple[str, int, float, bytes]) -> list[Message]:
    """Messages from (name, partition, hours after noon of 2026-06-15, value); offsets count up in each partition."""
    offsets: Counter[int] = Counter()
    messages = []
    for _, partition, hours, value in events:
        messages.append(Message(partition, offsets[partition], NOW + timedelta(hours=hours), value))
        offsets[partition] += 1
    return messages


#: What arrives, in order, beside the outcome of each; every story has its own partitions and record_ID.
STORIES: dict[str, list[tuple[tuple[str, int, float, bytes], str]]] = {
    "an exact copy is a duplicate": [
        (("first", 0, 0, cdr()), "cleaned"),
        (("again", 0, 1, cdr()), "duplicate"),
        (("and again", 1, 2, cdr()), "duplicate"),
    ],
    "other contract fields are a conflict": [
        (("first", 0, 0, cdr()), "cleaned"),
        (("longer", 0, 1, cdr(duration_sec=61)), "duplicate_conflict"),
        (("again", 0, 2, cdr()), "duplicate"),
        (("another type", 0, 3, cdr("sms")), "duplicate_conflict"),
    ],
    "fields of other types and unknown ones do not count": [
        (("first", 0, 0, cdr()), "cleaned"),
        (("with a note", 0, 1, cdr(note="x", user_id="9")), "duplicate"),
    ],
    "absent, null and empty are the same": [
        (("absent", 0, 0, cdr(callee_id="(absent)")), "cleaned"),
        (("null", 0, 1, cdr(callee_id=None)), "duplicate"),
        (("empty", 0, 2, cdr(callee_id="")), "duplicate"),
        (("given", 0, 3, cdr(callee_id=B)), "duplicate_conflict"),
    ],
    "fields are compared as values": [
        (("60", 0, 0, cdr()), "cleaned"),
        (("sixty as text", 0, 1, cdr(duration_sec="60")), "duplicate"),
        (("60.0", 0, 2, cdr(duration_sec=60.0)), "duplicate"),
        (("the same instant", 0, 3, cdr(timestamp="2026-06-15T09:00:00+01:00")), "duplicate"),
        (("the same caller", 0, 4, cdr(caller_id=f"+{A}")), "duplicate"),
        (("the same callee", 0, 5, cdr(callee_id=f"00{B}")), "duplicate"),
        (("the usual technology", 0, 6, cdr(technology="LTE")), "duplicate"),
        (("a millisecond more", 0, 7, cdr(duration_sec=60.001)), "duplicate_conflict"),
        (("a microsecond later", 0, 8, cdr(timestamp="2026-06-15T09:00:00.000001")), "duplicate_conflict"),
        (("another caller", 0, 9, cdr(caller_id=B)), "duplicate_conflict"),
        (("another technology", 0, 10, cdr(technology="3G")), "duplicate_conflict"),
    ],
    "the earliest is kept, wherever it lies": [
        (("later in partition 0", 0, 5, cdr()), "duplicate"),
        (("earlier in partition 1", 1, 4, cdr()), "cleaned"),
    ],
    "at one instant the lower partition is first": [
        (("partition 1", 1, 0, cdr()), "duplicate"),
        (("partition 0", 0, 0, cdr()), "cleaned"),
        (("next offset", 0, 0, cdr()), "duplicate"),
    ],
    "an invalid record is nobody's original": [
        (("no subscriber", 0, 0, cdr(caller_id=None)), "missing_subscriber"),
        (("no duration", 0, 1, cdr(duration_sec=0)), "non_positive_duration"),
        (("sound", 0, 2, cdr()), "cleaned"),
        (("too old to count", 0, 3, cdr(timestamp="2015-01-01T00:00:00")), "outside_acceptance_window"),
    ],
    "31 days apart is within, 32 is not": [
        (("15 June", 0, 0, cdr()), "cleaned"),
        (("15 May", 0, 1, cdr(timestamp="2026-05-15T09:00:00")), "duplicate_conflict"),  # 31 days before
        (("14 May", 0, 2, cdr(timestamp="2026-05-14T09:00:00")), "duplicate_conflict"),  # 1 day before 15 May
        (("14 April", 0, 3, cdr(timestamp="2026-04-14T09:00:00")), "duplicate_conflict"),  # 31 days before 15 May
    ],
    "a copy out of reach is an event of its own": [
        (("15 June", 0, 0, cdr()), "cleaned"),
        (("14 May", 0, 1, cdr(timestamp="2026-05-14T09:00:00")), "cleaned"),  # 32 days before
        (("14 May again", 0, 2, cdr(timestamp="2026-05-14T09:00:00")), "duplicate"),
        (("15 June again", 0, 3, cdr()), "duplicate"),
    ],
    "a refused copy still hides a third": [
        # 1 June hides 2 May (30 days), 2 May hides 14 April (18 days), although 1 June does not reach it (48 days)
        (("1 June", 0, 0, cdr(timestamp="2026-06-01T09:00:00")), "cleaned"),
        (("2 May", 0, 1, cdr(timestamp="2026-05-02T09:00:00")), "duplicate_conflict"),
        (("14 April", 0, 2, cdr(timestamp="2026-04-14T09:00:00")), "duplicate_conflict"),
    ],
    "identity is exact": [
        (("lower case", 0, 0, cdr(record_ID="abc-é")), "cleaned"),
        (("upper case", 0, 1, cdr(record_ID="ABC-É")), "cleaned"),
        (("trailing space", 0, 2, cdr(record_ID="abc-é ")), "cleaned"),
        (("decomposed", 0, 3, cdr(record_ID="abc-e\u0301")), "cleaned"),
    ],
}


def on_own_partitions(number: int, messages: list[Message]) -> list[Message]:
    """A story moved to its own partitions, with its own record_ID."""
    return [
        Message(
            10 * number + item.partition,
            item.offset,
            item.received_at,
            (item.value or b"").replace(b'_ID": "', b'_ID": "%d-' % number),
        )
        for item in messages
    ]


@pytest.fixture(scope="module")
def outcomes(engine: SparkEngine) -> dict[tuple[int, int], str]:
    """The outcome of every message of every story, by partition and offset."""
    messages = [
        message
        for number, events in enumerate(STORIES.values())
        for message in on_own_partitions(number, story(*(event for event, _ in events)))
    ]
    outcomes = mediated(engine, messages, Parameters())
    expected = oracle.mediate(messages, cdrs.CATALOGUE, Parameters())
    assert_outcomes(outcomes, expected)
    return judged(expected)


@pytest.mark.parametrize("title", STORIES)
def test_copies(outcomes: dict[tuple[int, int], str], title: str) -> None:
    """The engine's outcomes are the oracle's (see the fixture); here they are what the pencil says."""
    number, events = list(STORIES).index(title), STORIES[title]
    messages = on_own_partitions(number, story(*(event for event, _ in events)))
    found = {
        event[0]: outcomes[message.partition, message.offset]
        for (event, _), message in zip(events, messages, strict=True)
    }
    assert found == {event[0]: outcome for event, outcome in events}


#: Each value of a call in several words.
_IN_OTHER_WORDS: dict[str, list[list[object]]] = {
    "duration_sec": [[60, 60.0, "60", "6e1", "060.0004"], [61, "61.000", "0.61E2"], [60.001, "60.0012"]],
    "timestamp": [
        ["2026-06-15T09:00:00", "20260615T0900", "2026-06-15T08:00:00Z", "2026-06-15T13:30:00.000+05:30"],
        ["2026-06-15T09:00:01", "2026-06-15T10:00:01+02"],
    ],
    "caller_id": [[A, f"+{A}", f"00{A}", "0600000001"], [B, "06 00 00 00 02"]],
    "callee_id": [[B, f"+{B}"], [ABROAD, "+33 6 12 34 56 78"], [None, "", "(absent)", "inconnu"]],
    "technology": [["4G", "LTE", None], ["5G", "NR"], ["lte"]],
    "cell_id": [[None, "", "(absent)"], ["C1"], ["c1"]],
}


def _said() -> st.SearchStrategy[dict[str, tuple[int, object]]]:
    """For each field of a call which value it has, and in which words."""
    return st.fixed_dictionaries(
        {
            name: st.one_of(st.just(values[:1]), st.just(values)).flatmap(
                lambda some: st.integers(0, len(some) - 1).flatmap(
                    lambda which: st.tuples(st.just(which), st.sampled_from(some[which]))
                )
            )
            for name, values in _IN_OTHER_WORDS.items()
        }
    )


def test_copies_are_equal_exactly_when_their_values_are(engine: SparkEngine) -> None:
    """In whatever words the two say them."""
    pairs = drawn(st.tuples(_said(), _said()), examples(300))
    messages, expected = [], Counter[str]()
    for number, both in enumerate(pairs):
        for place, said in enumerate(both):
            value = cdr(record_ID=f"pair-{number}", **{name: words for name, (_, words) in said.items()})
            messages.append(Message(0, 2 * number + place, NOW + timedelta(seconds=2 * number + place), value))
        first, second = ({name: which for name, (which, _) in said.items()} for said in both)
        expected["duplicate" if first == second else "duplicate_conflict"] += 1
    found = mediated(engine, messages, Parameters())
    assert Counter(row["reason"] for row in rows_of(found.rejected)) == expected
    assert len(expected) == 2
    assert_outcomes(found, oracle.mediate(messages, cdrs.CATALOGUE, Parameters()))


def chosen_frame(engine: SparkEngine, chosen: list[tuple[str, int, int]]) -> Any:
    """Choices as mediation reads them: of a copy that was chosen twice the last one counts."""
    numbers = {place: number for number, place in enumerate(chosen, start=1)}
    columns = {"source_id": pa.string(), "source_part": pa.int32(), "source_position": pa.int64(), "choice": pa.int64()}
    rows = [dict(zip(columns, (*place, number), strict=True)) for place, number in numbers.items()]
    return engine.spark_session.createDataFrame(pa.Table.from_pylist(rows, pa.schema(list(columns.items()))))


@pytest.mark.thorough
def test_a_chosen_copy_is_kept_whenever_it_came(engine: SparkEngine) -> None:
    """By hand: within a day, a choice that was changed, across days of one window, and for a copy that is refused for itself."""
    day = "2026-06-{:02}T09:00:00".format
    batch = [
        Message(0, 0, NOW, cdr(record_ID="a")),
        Message(0, 1, NOW + timedelta(hours=1), cdr(record_ID="a", duration_sec=61)),
        Message(0, 2, NOW + timedelta(hours=2), cdr(record_ID="a", duration_sec=61)),
        Message(0, 3, NOW, cdr(record_ID="b")),
        Message(0, 4, NOW + timedelta(hours=1), cdr(record_ID="b", duration_sec=61)),
        Message(0, 5, NOW, cdr(record_ID="c", timestamp=day(1))),
        Message(0, 6, NOW + timedelta(hours=1), cdr(record_ID="c", timestamp=day(14))),
        Message(0, 7, NOW, cdr(record_ID="d")),
        Message(0, 8, NOW + timedelta(hours=1), cdr(record_ID="d", caller_id=None)),
    ]
    chosen = [("topic-1", 0, each) for each in (4, 1, 3, 6, 8)]
    parameters = Parameters(chosen=chosen)
    raw = stored(engine, admitted(engine, batch, parameters))
    outcomes = mediate(raw, raw, catalogue_frame(engine), dedupe_days=31, chosen=chosen_frame(engine, chosen))
    assert {row["source_position"] for row in rows_of(outcomes.cleaned)} == {1, 3, 6, 7}
    assert {row["source_position"]: (row["reason"], row["detail"]) for row in rows_of(outcomes.rejected)} == {
        0: ("duplicate_conflict", "copy of: partition 0 offset 1"),
        2: ("duplicate", "copy of: partition 0 offset 1"),
        4: ("duplicate_conflict", "copy of: partition 0 offset 3"),
        5: ("duplicate_conflict", "copy of: partition 0 offset 6"),
        8: ("missing_subscriber", None),
    }
    assert_outcomes(outcomes, oracle.mediate(batch, cdrs.CATALOGUE, parameters))


@pytest.mark.thorough
def test_three_opinions_of_chosen_copies(engine: SparkEngine) -> None:
    """Choices drawn from a batch full of copies: engine and oracle row by row, the SQL script by its counts. Days of three windows."""
    batch = cdrs.cdr_batch(seed=17, count=600)
    draw = random.Random(17)
    copies = [item for item in oracle.mediate(batch, cdrs.CATALOGUE, Parameters(dedupe_days=3)) if item.original]
    some = draw.choices([item.message for item in copies], k=60)
    chosen = [(each.source_id, each.partition, each.offset) for each in some]
    parameters = Parameters(dedupe_days=3, chosen=chosen)
    expected = oracle.mediate(batch, cdrs.CATALOGUE, parameters)
    before = oracle.mediate(batch, cdrs.CATALOGUE, Parameters(dedupe_days=3))
    assert sum(one.reason != other.reason for one, other in zip(before, expected, strict=True)) > 20
    raw = stored(engine, admitted(engine, batch, parameters))
    outcomes = mediate(raw, raw, catalogue_frame(engine), dedupe_days=3, chosen=chosen_frame(engine, chosen))
    assert_outcomes(outcomes, expected)
    totals = sql_totals(batch, cdrs.CUSTOMERS, cdrs.RATE_PLANS, cdrs.CATALOGUE, "2026-03", dedupe_days=3, chosen=chosen)
    counted = Counter((f"{item.home_day:%Y-%m}", item.reason or "cleaned") for item in expected)
    assert totals.outcomes == counted


def test_the_detail_of_a_copy_names_what_it_is_a_copy_of(engine: SparkEngine) -> None:
    """The earliest otherwise valid record within reach: it may be refused itself, as a copy of one before it."""
    copies = [
        # Refused for its subscriber, so that nothing is a copy of it.
        Message(3, 7, NOW, cdr(caller_id=None)),
        Message(3, 8, NOW + timedelta(hours=1), cdr(timestamp="2026-06-01T09:00:00")),
        Message(3, 9, NOW + timedelta(hours=2), cdr(timestamp="2026-05-02T09:00:00")),  # 30 days before
        Message(1, 4, NOW + timedelta(hours=3), cdr(timestamp="2026-04-14T09:00:00")),  # 18 before, 48 in all
        Message(1, 5, NOW + timedelta(hours=4), cdr(timestamp="2026-05-20T09:00:00")),  # within reach of all three
        Message(1, 6, NOW + timedelta(hours=5), cdr(timestamp="2026-06-01T09:00:00")),
        Message(0, 0, NOW + timedelta(hours=6), cdr(timestamp="2026-06-01T09:00:00"), "topic-2"),
    ]
    expected = {
        (3, 7): ("missing_subscriber", None),
        (3, 9): ("duplicate_conflict", "copy of: partition 3 offset 8"),
        (1, 4): ("duplicate_conflict", "copy of: partition 3 offset 9"),  # which was not kept
        (1, 5): ("duplicate_conflict", "copy of: partition 3 offset 8"),
        (1, 6): ("duplicate", "copy of: partition 3 offset 8"),
        (0, 0): ("duplicate", "copy of: source topic-1 partition 3 offset 8"),
    }
    outcomes = mediated(engine, copies, Parameters())
    cleaned, rejected = collected(outcomes)
    assert [(row["source_part"], row["source_position"]) for row in cleaned] == [(3, 8)]
    assert {
        (row["source_part"], row["source_position"]): (row["reason"], row["detail"]) for row in rejected
    } == expected


@pytest.mark.parametrize("dedupe_days", [0, 1, 31, 366])
def test_how_far_copies_are_looked_for(sail: SparkEngine, dedupe_days: int) -> None:
    """A record on days 0, 1, 2, 32 and 33 of a story, received in that order and in the other."""
    days = [date(2026, 5, 1) + timedelta(days=distance) for distance in (0, 1, 2, 31, 32, 33)]
    forwards = [Message(0, n, NOW + timedelta(hours=n), cdr(timestamp=f"{day}T09:00:00")) for n, day in enumerate(days)]
    backwards = [
        Message(1, n, NOW + timedelta(hours=n), cdr(record_ID="back", timestamp=f"{day}T09:00:00"))
        for n, day in enumerate(reversed(days))
    ]
    parameters = Parameters(dedupe_days=dedupe_days)
    expected = oracle.mediate([*forwards, *backwards], cdrs.CATALOGUE, parameters)
    assert_outcomes(mediated(sail, [*forwards, *backwards], parameters), expected)
    kept = sum(item.reason is None for item in expected if item.message.partition == 0)
    # 0: every day; 1: days 0 and 31 hide their followers one by one; 31: day 31 is within of day 0, 32 within of 1, …
    assert kept == {0: 6, 1: 2, 31: 1, 366: 1}[dedupe_days]


# ------------------------------------------------------------------------------------------------- one day after another


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory, sail: SparkEngine) -> tuple[Warehouse, list[Message]]:
    """Messages of two months in raw_cdrs, as the oracle reads them; written without any engine."""
    messages = cdrs.cdr_batch(seed=11, count=max(1_000, examples(2_000)))
    warehouse = Warehouse(str(tmp_path_factory.mktemp("days")), sail, TABLES)
    warehouse.append_arrow(
        RAW_CDRS.name, contract_table(RAW_CDRS, (raw_row(message, Parameters()) for message in messages))
    )
    return warehouse, messages


def ranges(counts: dict[date, int], width: int) -> list[Partitions]:
    """All days that hold rows, in ranges of at most `width` days."""
    first, last, step = min(counts), max(counts), timedelta(days=width)
    starts = [first + step * number for number in range((last - first) // step + 1)]
    return [Partitions(start, min(start + step - timedelta(days=1), last)) for start in starts]


def mediate_days(raw: PinnedTable, dedupe_days: int) -> Outcomes:
    """A range of days sees what the asset gives it: its own rows, and those around it that may be copies."""
    catalogue = catalogue_frame(raw.warehouse.engine)
    return mediate(raw.df, _neighbourhood(raw, dedupe_days), catalogue, dedupe_days=dedupe_days)


@pytest.mark.thorough
@pytest.mark.parametrize("dedupe_days", [pytest.param(3, marks=pytest.mark.thorough), 31])
def test_ranges_of_days_are_as_all_at_once(landed: tuple[Warehouse, list[Message]], dedupe_days: int) -> None:
    """Ten days after ten days, and the last; 3 days of copies reach over one border, 31 days over many."""
    warehouse, messages = landed
    expected = oracle.mediate(messages, cdrs.CATALOGUE, Parameters(dedupe_days=dedupe_days))
    found = [
        mediate_days(warehouse.pin(RAW_CDRS.name, days), dedupe_days)
        for days in ranges(warehouse.pin(RAW_CDRS.name).rows_by_partition(), 10)
    ]
    halves = [collected(outcomes) for outcomes in found]
    assert_rows(CLEANED_CDRS, chain.from_iterable(cleaned for cleaned, _ in halves), cleaned_rows(expected))
    assert_rows(REJECTED_CDRS, chain.from_iterable(rejected for _, rejected in halves), rejections(expected))


@pytest.mark.thorough
def test_single_days_are_as_all_at_once(landed: tuple[Warehouse, list[Message]], engine: SparkEngine) -> None:
    """The days with most copies of records of other days: a day alone sees them, and looks for nothing else there."""
    warehouse = Warehouse(landed[0].root, engine, TABLES)
    expected = oracle.mediate(landed[1], cdrs.CATALOGUE, Parameters())
    copies = Counter(item.home_day for item in expected if item.original and home_day(item.original) != item.home_day)
    for day, _ in copies.most_common(5 if engine.name == "sail" else 2):
        outcomes = mediate_days(warehouse.pin(RAW_CDRS.name, Partitions(day, day)), 31)
        assert_outcomes(outcomes, [item for item in expected if item.home_day == day])


def test_days_that_may_hold_a_copy(engine: SparkEngine) -> None:
    """Of the second of March: an id that is there twice, one on two days, one on three; not what only others share."""
    on_days = {"a": (2, 2), "b": (2, 9), "c": (1, 2, 20), "d": (2,), "e": (5, 6), "": (2, 3)}
    rows = [{"record_id": each, "event_date": date(2026, 3, day)} for each, days in on_days.items() for day in days]
    raw = contract_frame(engine, RAW_CDRS, rows)
    found = days_with_copies(raw.where(F.col("event_date") == F.lit(date(2026, 3, 2))), raw).collect()
    spans = {(first.day, last.day, between) for first, last, between in found}
    assert spans == {(2, 2, False), (2, 9, False), (1, 20, True)}


@pytest.mark.thorough
def test_a_wider_neighbourhood_does_no_harm(sail: SparkEngine) -> None:
    messages = cdrs.cdr_batch(seed=12, count=400)
    raw = stored(sail, admitted(sail, messages, Parameters()))
    expected = oracle.mediate(messages, cdrs.CATALOGUE, Parameters(dedupe_days=2))
    march = mediate(
        raw.where(F.col("event_date") >= F.lit(date(2026, 3, 1))), raw, catalogue_frame(sail), dedupe_days=2
    )
    assert_outcomes(march, [item for item in expected if item.home_day >= date(2026, 3, 1)])


@pytest.mark.thorough
def test_beside_the_cleaned_rows_the_others_are_rejected_alike(engine: SparkEngine) -> None:
    """What the asset does: copies are found once and kept, and only what was not cleaned is judged again."""
    messages = cdrs.cdr_batch(seed=13, count=400)
    raw = contract_frame(engine, RAW_CDRS, [row.asDict() for row in admitted(engine, messages, Parameters()).collect()])
    outcomes = mediate(raw, raw, catalogue_frame(engine), dedupe_days=31, keep=engine.keep)
    cleaned = engine.keep(outcomes.cleaned)
    expected = oracle.mediate(messages, cdrs.CATALOGUE, Parameters())
    assert_rows(CLEANED_CDRS, rows_of(cleaned), cleaned_rows(expected))
    assert_rows(REJECTED_CDRS, rows_of(outcomes.rejected_beside(cleaned)), rejections(expected))
