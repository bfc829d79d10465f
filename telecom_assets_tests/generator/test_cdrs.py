"""The lines of CDRs: shape, rates of the input contract, order, determinism."""

import collections
import datetime as dt
import json
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from telecom_assets.generator import GeneratorSpec, SpecError, generate_cdr_chunks, generate_customers
from telecom_assets.generator.timeline import ZONE
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import Hundredths, Quantity, RecordType, Units
from telecom_assets.record_types.sms import SMS
from telecom_assets.record_types.voice import VOICE
from telecom_assets_tests.oracle import KINDS

# They look at the 60,000 lines of a month, or make another one.
pytestmark = pytest.mark.thorough

# Several chunks, and a month without a change of clocks.
SPEC = GeneratorSpec(cdrs=60_000, customers=2_000, month="2025-05", seed=11, chunk_rows=16_000)
HEAD = ["record_ID", "record_type", "timestamp", "cell_id", "technology"]
FIELDS = {kind.name: [*HEAD, *kind.own_fields] for kind in KINDS.values()}
SUBSCRIBER = {kind.name: kind.own_fields[0] for kind in KINDS.values()}
OTHER_PARTY = {kind.name: kind.other_party for kind in KINDS.values() if kind.other_party}
MOROCCAN = re.compile(r"212[67][0-9]{8}")
FOREIGN = re.compile(
    r"1[0-9]{10}|33[0-9]{9}|44[0-9]{10}|49[0-9]{11}|34[0-9]{9}|39[0-9]{10}|7[0-9]{10}|81[0-9]{10}"
    r"|971[0-9]{9}|966[0-9]{9}"
)
TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?P<fraction>\.[0-9]{3})?(?P<offset>[+][0-9]{2}:00)?"
)

#: A CDR as it is read from its line.
Record = dict[str, Any]


def lines_of(spec: GeneratorSpec) -> list[str]:
    return [line for chunk in generate_cdr_chunks(spec) for line in chunk.to_pylist()]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return lines_of(SPEC)


@pytest.fixture(scope="module")
def records(lines: list[str]) -> list[Record]:
    """The CDRs without their duplicates."""
    return [json.loads(line) for line in dict.fromkeys(lines)]


def of_type(records: list[Record], *types: str) -> list[Record]:
    return [record for record in records if record["record_type"] in types]


def assert_share(hits: Iterable[bool], of: int, expected: float) -> None:
    """Within five standard deviations of a binomial count."""
    found = list(hits)
    assert len(found) == of
    assert abs(sum(found) - of * expected) <= 5 * math.sqrt(of * expected * (1 - expected))


def test_as_many_lines_as_asked_one_percent_of_them_repetitions(lines: list[str]) -> None:
    assert len(lines) == SPEC.cdrs
    repetitions = [line for line, times in collections.Counter(lines).items() if times > 1]
    assert len(repetitions) == round(SPEC.cdrs * 0.01)
    assert len(set(lines)) == SPEC.cdrs - len(repetitions)


def test_fields_are_those_of_the_sample_in_its_order(records: list[Record]) -> None:
    assert {tuple(record) for record in records} == {tuple(fields) for fields in FIELDS.values()}
    assert {field for record in records for field in record} == set(RECORD_TYPES.fields)
    for record in records:
        assert list(record) == FIELDS[record["record_type"]]
        for field, value in record.items():
            expected = {"duration_sec": int, "session_duration_sec": int, "data_volume_mb": float}.get(field, str)
            assert value is None or type(value) is expected, record


def test_a_line_is_written_as_the_sample_writes_it(lines: list[str]) -> None:
    assert [line for line in lines if json.dumps(json.loads(line)) != line] == []


def test_record_ids_are_random_uuids_and_unique(records: list[Record]) -> None:
    ids = [record["record_ID"] for record in records]
    assert len(set(ids)) == len(ids)
    uuid4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert [text for text in ids if not uuid4.fullmatch(text)] == []


def test_record_types(records: list[Record]) -> None:
    for record_type, share in (("voice", 0.60), ("sms", 0.10), ("data", 0.30)):
        assert_share((record["record_type"] == record_type for record in records), len(records), share)


def test_cells_and_technologies(records: list[Record]) -> None:
    size = len(records)
    assert_share((record["cell_id"] is None for record in records), size, 0.30)
    assert_share((record["technology"] is None for record in records), size, 0.10)
    assert {record["technology"] for record in records} == {None, "2G", "3G", "4G", "5G", "LTE", "NR", "UMTS"}
    assert [
        cell for record in records if (cell := record["cell_id"]) and not re.fullmatch(r"[A-Z]+_[0-9]{2}", cell)
    ] == []


def test_subscribers_are_customers_but_for_five_percent(records: list[Record]) -> None:
    customers = set(generate_customers(SPEC.customers, SPEC.seed)["customer_id"].to_pylist())
    for record_type, field in SUBSCRIBER.items():
        numbers = [record[field] for record in of_type(records, record_type)]
        wrong = {number for number in numbers if number is not None and number not in customers}
        assert_share((number is None for number in numbers), len(numbers), 0.025)
        assert_share((number in wrong for number in numbers), len(numbers), 0.025)
        assert [text for text in wrong if not re.fullmatch(r"[A-Za-z0-9]{12}", text)] == []
        assert [text for text in wrong if MOROCCAN.fullmatch(text) or FOREIGN.fullmatch(text)] == []


def test_some_customers_are_heavier_than_others_but_none_is_everything(records: list[Record]) -> None:
    usage = collections.Counter(record[SUBSCRIBER[record["record_type"]]] for record in records)
    del usage[None]
    heaviest = sum(count for _, count in usage.most_common(SPEC.customers // 100))
    assert 0.02 < heaviest / len(records) < 0.20


def test_one_in_five_other_parties_is_foreign_and_all_are_valid(records: list[Record]) -> None:
    for record_type, field in OTHER_PARTY.items():
        numbers = [record[field] for record in of_type(records, record_type)]
        assert_share((FOREIGN.fullmatch(number) is not None for number in numbers), len(numbers), 0.20)
        assert [n for n in numbers if not (MOROCCAN.fullmatch(n) or FOREIGN.fullmatch(n))] == []


def test_every_country_is_called(records: list[Record]) -> None:
    numbers = [record[OTHER_PARTY[record["record_type"]]] for record in of_type(records, "voice", "sms")]
    countries = set(FOREIGN.pattern.split("|"))
    called = {country for country in countries for number in numbers if re.fullmatch(country, number)}
    assert called == countries


def test_durations(records: list[Record]) -> None:
    durations = [record["duration_sec"] for record in of_type(records, "voice")]
    assert_share((value is None for value in durations), len(durations), 0.10)
    assert_share((value is not None and value < 0 for value in durations), len(durations), 0.10)
    assert 0 not in durations
    assert max(value for value in durations if value is not None) <= 3600


def test_data_sessions(records: list[Record]) -> None:
    sessions = of_type(records, "data")
    size = len(sessions)
    volumes = [record["data_volume_mb"] for record in sessions]
    known = [volume for volume in volumes if volume is not None]
    assert_share((volume is None for volume in volumes), size, 0.10)
    assert_share((record["product_code"] == "DATA_PREMIUM" for record in sessions), size, 0.20)
    assert {record["product_code"] for record in sessions} == {"DATA_BASIC", "DATA_PREMIUM"}
    assert_share((record["session_duration_sec"] is None for record in sessions), size, 0.05)
    assert [volume for volume in known if round(volume, 2) != volume] == []
    assert 0 < min(known) < 10
    assert 1_900 < max(known) <= 2_000


def test_timestamps_null_random_or_in_the_month(records: list[Record]) -> None:
    texts = [record["timestamp"] for record in records]
    size = len(texts)
    assert_share((text is None for text in texts), size, 0.05)
    assert [text for text in texts if text is not None and not TIMESTAMP.fullmatch(text)] == []
    month_share = 31 / (dt.date(2025, 6, 1) - dt.date(2010, 1, 1)).days
    elsewhere = {text for text in texts if text is not None and not text.startswith("2025-05-")}
    assert_share((text in elsewhere for text in texts), size, 0.05 * (1 - month_share))
    assert "2010-01-01" <= min(elsewhere) < "2011"
    assert "2025" < max(elsewhere) < "2025-05-01"
    assert len({text[:4] for text in elsewhere}) == 16


def test_days_and_hours_of_the_month_are_all_there(records: list[Record]) -> None:
    times = [text for record in records if (text := record["timestamp"]) and text.startswith("2025-05-")]
    days = collections.Counter(text[8:10] for text in times)
    hours = collections.Counter(text[11:13] for text in times)
    assert len(days) == 31
    assert len(hours) == 24
    assert hours["20"] > 8 * hours["04"]


def test_a_few_timestamps_carry_fraction_or_offset(records: list[Record]) -> None:
    matches = [match for record in records if (match := TIMESTAMP.fullmatch(record["timestamp"] or ""))]
    assert_share((match["fraction"] is not None for match in matches), len(matches), 0.005)
    assert_share((match["offset"] is not None for match in matches), len(matches), 0.005)
    for match in matches:
        if match["offset"]:
            moment = dt.datetime.fromisoformat(match[0])
            assert moment.astimezone(ZONE).isoformat() == match[0]


def test_no_time_that_the_clocks_skipped() -> None:
    spec = GeneratorSpec(cdrs=20_000, customers=50, month="2025-04", seed=2)
    hours = collections.Counter(json.loads(line)["timestamp"][:13] for line in lines_of(spec) if '"2025-04-06T' in line)
    assert "2025-04-06T02" not in hours
    assert {"2025-04-06T01", "2025-04-06T03"} <= set(hours)


def test_lines_are_in_order_of_sending_but_for_late_ones(lines: list[str]) -> None:
    times = np.array(
        [
            np.datetime64(text[:19])
            for line in lines
            if (text := json.loads(line)["timestamp"] or "").startswith("2025-05-")
        ]
    )
    around = np.lib.stride_tricks.sliding_window_view(times.astype("int64"), 101)
    behind_sec = np.median(around, axis=1) - times[50:-50].astype("int64")
    late = np.count_nonzero((behind_sec > 86_400 / 2) & (behind_sec < 6 * 86_400))
    # Late lines, the few duplicates that come half a day later, and random times that happen to be that near.
    assert 0.007 < late / len(times) < 0.012
    assert np.count_nonzero(np.abs(behind_sec) < 3_600) / len(times) > 0.97


def test_late_lines_stand_days_behind_their_time(lines: list[str]) -> None:
    """Around noon of 31 May, events of the five days before are sent, and hardly any older ones."""
    times = [json.loads(line)["timestamp"] or "" for line in dict.fromkeys(lines)]
    noon = times.index(next(text for text in times if text.startswith("2025-05-31T12")))
    behind = [text[:10] for text in times[noon:] if "2025-05-01" <= text < "2025-05-31"]
    assert len(behind) > 10
    assert len(set(behind)) >= 3
    # A random time of 2010 to now may fall into May: one in two hundred of the five percent.
    assert sum(day < "2025-05-26" for day in behind) <= 3


def test_same_request_same_bytes(lines: list[str]) -> None:
    assert lines_of(SPEC) == lines


@pytest.mark.parametrize("other", [{"seed": 12}, {"month": "2025-06"}, {"customers": 2_001}, {"cdrs": 60_001}])
def test_any_other_request_has_other_records(other: dict[str, int | str], lines: list[str]) -> None:
    asked: dict[str, Any] = {"cdrs": 60_000, "customers": 2_000, "month": "2025-05", "seed": 11} | other
    spec = GeneratorSpec(**asked)
    assert set(lines_of(spec)).isdisjoint(lines)


def test_another_record_type_is_generated_by_its_own_words() -> None:
    """A quarter of them: its fields in their order, parties, sizes from 0.01 to 2, no number in a tenth, null without a word."""
    size = Quantity(
        "size_mb", "size", "megabytes", 2, "", generated=Hundredths(longest=2, skew=1, missing=0.1), judged=False
    )
    pages = Quantity("pages", "pages", "pages", 0, "", judged=False)
    mms = RecordType("mms", "", "sender_id", Units("event"), "receiver_id", (size, pages), share=0.25)
    spec = GeneratorSpec(cdrs=4_000, customers=50, month="2025-05", seed=5)
    chunks = generate_cdr_chunks(spec, RecordTypes([replace(VOICE, share=0.75), mms]))
    found = [json.loads(line) for line in dict.fromkeys(line for chunk in chunks for line in chunk.to_pylist())]
    made = of_type(found, "mms")
    assert {record["record_type"] for record in found} == {"voice", "mms"}
    assert_share((record["record_type"] == "mms" for record in found), len(found), 0.25)
    assert {tuple(record) for record in made} == {(*HEAD, "sender_id", "receiver_id", "size_mb", "pages")}
    assert {record["pages"] for record in made} == {None}
    assert_share((record["size_mb"] is None for record in made), len(made), 0.1)
    assert all(0 < record["size_mb"] <= 2 for record in made if record["size_mb"] is not None)


def test_shares_are_weights_of_each_other() -> None:
    """Types that have 0.6 and 0.2 between them come as three to one: a type that is added takes its part from all."""
    sms, calls = replace(SMS, share=0.2), replace(VOICE, share=0.6)
    spec = GeneratorSpec(cdrs=4_000, customers=50, month="2025-05", seed=5)
    for record_types in ([calls, sms], [sms, calls]):
        chunks = generate_cdr_chunks(spec, RecordTypes(record_types))
        found = [json.loads(line) for line in dict.fromkeys(line for chunk in chunks for line in chunk.to_pylist())]
        assert_share((record["record_type"] == "sms" for record in found), len(found), 0.25)


def test_chunks_are_bounded(lines: list[str]) -> None:
    sizes = [len(chunk) for chunk in generate_cdr_chunks(SPEC)]
    assert sum(sizes) == SPEC.cdrs
    assert len(sizes) >= 4
    assert min(sizes) > 0
    assert max(sizes) < SPEC.chunk_rows * 1.1


@pytest.mark.parametrize("cdrs", [0, 1, 2, 50, 99, 150])
def test_small_requests(cdrs: int) -> None:
    for seed in range(6):
        lines = lines_of(GeneratorSpec(cdrs=cdrs, customers=1, month="2024-02", seed=seed))
        assert len(lines) == cdrs
        assert len(set(lines)) == cdrs - round(cdrs * 0.01)


def test_now_closes_the_range_of_random_times() -> None:
    spec = GeneratorSpec(cdrs=5_000, customers=10, month="2025-05", now=dt.date(2012, 1, 1))
    years = {text[:4] for line in lines_of(spec) if (text := json.loads(line)["timestamp"])}
    assert years == {"2010", "2011", "2025"}


@pytest.mark.parametrize("month", ["2010-01", "2099-12"])
def test_first_and_last_month(month: str) -> None:
    texts = [json.loads(line)["timestamp"] for line in lines_of(GeneratorSpec(cdrs=500, customers=10, month=month))]
    assert sum(text is not None and text.startswith(month) for text in texts) > 400


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"month": "2025-13"}, r"month '2025-13': expected YYYY-MM"),
        ({"month": "2025-5"}, r"month '2025-5': expected YYYY-MM"),
        ({"month": "2025-05\n"}, r"expected YYYY-MM"),
        ({"month": "0000-01"}, r"expected YYYY-MM"),
        ({"month": "2009-12"}, r"expected a month from 2010-01 to 2099-12"),
        ({"cdrs": -1}, r"number of CDRs -1: expected 0 or more"),
        ({"customers": 0}, r"number of customers 0: expected 1 to"),
        ({"seed": -1}, r"seed -1: expected 0 or more"),
        ({"now": dt.date(2010, 1, 1)}, r"now 2010-01-01: expected a day after 2010-01-01"),
        ({"chunk_rows": 0}, r"chunk of 0 lines"),
    ],
)
def test_what_cannot_be_made_is_named(wrong: dict[str, str | int | dt.date], message: str) -> None:
    asked: dict[str, Any] = {"cdrs": 1, "customers": 1, "month": "2025-05"} | wrong
    with pytest.raises(SpecError, match=message):
        GeneratorSpec(**asked)
