"""Admission on both engines: whatever the message, its fields and its home day are what the contract says.

Belongs here: bytes to text fields, home days, times of receipt. Does not belong here: whether a CDR is acceptable.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from resources.engine import SparkEngine
from telecom_assets.intake.admission import FIELD_COLUMNS, admit
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Message, Parameters
from telecom_assets_tests.stages.chain import (
    admitted,
    assert_rows,
    assert_schema,
    drawn,
    messages_frame,
    raw_row,
    rows_of,
)

#: Received with the corpus: 13:00 of 2026-06-15 in Casablanca.
NOW = cdrs.CORPUS_RECEIVED_AT
CALL = (
    '{"record_ID": "call", "record_type": "voice", "timestamp": "2026-06-15T09:00:00", "cell_id": "RABAT_01", '
    '"technology": "4G", "caller_id": "212600000001", "callee_id": "212700000002", "duration_sec": 60}'
)


def call(name: str, token: str) -> str:
    """The call with one field written as this token; a name that is not of the contract is added."""
    fields = dict(part.split(": ", 1) for part in CALL[1:-1].split(", "))
    return "{" + ", ".join(f"{key}: {value}" for key, value in {**fields, f'"{name}"': token}.items()) + "}"


def at_topic(values: Sequence[bytes | None | str]) -> list[Message]:
    return [
        Message(0, offset, NOW, value.encode() if isinstance(value, str) else value)
        for offset, value in enumerate(values)
    ]


def assert_admitted(engine: SparkEngine, messages: list[Message], parameters: Parameters) -> None:
    found = admitted(engine, messages, parameters)
    assert_rows(RAW_CDRS, rows_of(found), [raw_row(message, parameters) for message in messages])


# ------------------------------------------------------------------------------------------------------- hostile input

#: As numbers may be written; each has to come out as it went in.
NUMBERS = (
    *("0", "-0", "0.0", "-0.0", "1.50", "0.10", "60.0", "1e2", "1E+2", "1e400", "1E400", "1e-400", "-1e400"),
    *("123456.123456789", "0.123456789", "0.0123456789", "0.001", "100000.00", "1234567.5"),
    *("123456789012345", "1234567890123456", "123456789012345678901234567890", "1" + "0" * 1_200),
    "0." + "0" * 1_200 + "1",
)
#: Strings whose quotes, backslashes and digits could mislead who looks for numbers between strings.
STRINGS = (
    *(
        r'"\" 12 \\"',
        r'"\\\" 3"',
        r'"\\"',
        r'"\\\\"',
        r'"\"\""',
        r'", \"a\": 1.50, \""',
        r'"$1 $0 \\1"',
        '"1.50"',
        '":1.50,"',
    ),
    *(r'"\u0022 1.50 \u005c"', r'"\ud83d\ude00 1.50"', r'"\uD83D\uDE00"', r'"\ud83D\uDe00"', '"😀 -0"'),
)


def escapes(count: int, written: str = r"\n") -> str:
    return f'"{written * count}"'


def beyond_the_corpus() -> list[str]:
    return [
        *(call("record_ID", number) for number in NUMBERS),
        *(call("duration_sec", number) for number in NUMBERS),
        *(call("cell_id", text) for text in STRINGS),
        *(call("cell_id", text).replace("60}", "1.50}") for text in STRINGS),
        *(call("extra", text).replace("60}", "1.50}") for text in STRINGS),
        call("record_ID", "1.50").replace('"cell_id"', r'"\"cell_id\"": 5.50, "cell_id"'),
        call("record_ID", "1.50").replace('"cell_id"', '"1.50": 2.50, "cell_id"'),
        # long ones: a name, a value, many members with numbers and with texts, many escapes
        call("n" * 40_000, "1"),
        call("extra", '"' + "x" * 100_000 + '"').replace("60}", "1.50}"),
        CALL[:-1] + "".join(f', "a{number}": {number}.50' for number in range(20_000)) + "}",
        CALL[:-1] + "".join(f', "a{number}": "{number}"' for number in range(20_000)) + "}",
        *(call("extra", escapes(100_000, written)) for written in (r"\\", r"\"", r"\u0041", r"\/")),
    ]


@pytest.mark.thorough
def test_nested_values_of_unknown_fields_are_skipped(engine: SparkEngine) -> None:
    """The row is that of the same record without them, whatever stands in them and wherever they stand."""
    pairs = drawn(cdrs.cdrs_with_nested(), examples(300))
    rows = sorted(
        rows_of(admitted(engine, at_topic([value for pair in pairs for value in pair]), Parameters())),
        key=lambda row: row["source_position"],
    )
    own = {"value", "source_position"}
    call_at = [{name: text for name, text in row.items() if name not in own} for row in rows]
    assert call_at[0::2] == call_at[1::2]
    assert not any(row["admission_error"] for row in rows)


def test_what_stands_for_a_nested_value(engine: SparkEngine) -> None:
    """Missing where that refuses nobody, and no identity; a text that is no value elsewhere. Escaped names are names."""
    fields = [
        *RECORD_TYPES.fields,
        *("".join(f"\\u{ord(letter):04x}" for letter in name) for name in RECORD_TYPES.fields),
    ]
    values = [f'{{"{name}": {token}}}' for name in fields for token in ('["]"]', '{"}": {}}')]
    rows = rows_of(admitted(engine, at_topic(values), Parameters()))
    rows.sort(key=lambda row: row["source_position"])
    columns = [FIELD_COLUMNS.get(name, name) for name in RECORD_TYPES.fields]
    found = [{name: row[name] for name in columns if row[name] is not None} for row in rows]
    none = {FIELD_COLUMNS.get(name, name) for name in oracle._missing_when_nested(oracle.KINDS)}
    once = [{} if name in none else {name: shown} for name in columns for shown in ("[…]", "{…}")]
    assert found == once * 2
    assert not any(row["admission_error"] for row in rows)


def test_eight_brackets_in_each_other_are_the_most(engine: SparkEngine) -> None:
    """Inside the message's own; what is deeper is no CDR, as before."""
    values = [call("extra", "[" * depth + "]" * depth) for depth in (1, 8, 9, 10)]
    values += [call("extra", '{"a":' * depth + "0" + "}" * depth) for depth in (1, 8, 9, 10)]
    rows = sorted(rows_of(admitted(engine, at_topic(values), Parameters())), key=lambda row: row["source_position"])
    assert [row["admission_error"] for row in rows] == [None, None, "malformed_json", "malformed_json"] * 2


@pytest.fixture(scope="module")
def anything() -> list[bytes | None]:
    """Messages that may be anything at all, the same at every run."""
    return drawn(cdrs.hostile_values(), examples(400))


@pytest.mark.thorough
def test_whatever_arrives_is_read_as_the_contract_says(engine: SparkEngine, anything: list[bytes | None]) -> None:
    """The corpus, more numbers and strings than it has, and drawn messages, in one query."""
    messages = at_topic([*cdrs.HOSTILE_CORPUS, *beyond_the_corpus(), *anything])
    assert_admitted(engine, messages, Parameters())


def test_the_columns_are_those_of_the_contract(engine: SparkEngine) -> None:
    assert_schema(RAW_CDRS, admitted(engine, at_topic([CALL]), Parameters()))


def test_numbers_keep_their_digits_among_many_escapes(engine: SparkEngine) -> None:
    """Escapes are no reason to read a number differently: two copies of a record would be in conflict."""
    messages = at_topic(
        [
            call(name, number)[:-1] + f', "extra": {escapes(count)}}}'
            for count in (499, 500, 501, 5_000)
            for name in ("record_ID", "duration_sec")
            for number in ("1.50", "-0", "1e400", "123456789012345678901234567890")
        ]
    )
    assert_admitted(engine, messages, Parameters())


def test_a_lone_surrogate_is_malformed_json(engine: SparkEngine) -> None:
    """`\\ud800` alone stands for no character: no text could hold it (RFC 8259 §8.2 leaves it open)."""
    lone = [
        r'["\ud800"]',
        r'{"\udc00": {}}',
        r'"\ud800"',
        r'"\udc00"',
        r'"\udc00\ud800"',
        r'"\uDBFF x"',
        r'"\ud83d\\ude00"',
        r'"\ud83d\n\ude00"',
    ]
    found = rows_of(admitted(engine, at_topic([call("cell_id", token) for token in lone]), Parameters()))
    assert [row["admission_error"] for row in found] == ["malformed_json"] * len(lone)
    assert not any(row["record_id"] or row["cell_id"] for row in found)


@pytest.mark.thorough
def test_a_long_field_name_is_unknown_and_nothing_else(engine: SparkEngine) -> None:
    """Unknown fields are ignored, whatever the length of their name and whatever stands in it."""
    names = [letter * length for letter in ("n", "é", "1", ":") for length in (999, 1_000, 1_001, 60_000)]
    names += ["n" * 2_000 + "record_ID", r"\"" * 1_001, r"\\" * 1_001, r"\u0041" * 600, ",[]{}" * 300]
    messages = at_topic(
        [
            f'{{"{name}": {token}, "record_ID": 1.50, "{name} ":{token}}}'
            for name in names
            for token in ("1.50", '"x:"', "null")
        ]
    )
    assert_admitted(engine, messages, Parameters())


def test_many_members_do_not_stop_the_engine(engine: SparkEngine) -> None:
    """Java's regular expressions recurse: once, an object of 350 short members ended a server."""
    members = ('"":0', '"a":1.5', '"a":"b"', ' "abcd" : "efgh" ', '"a":null', '"a":-1.5')
    messages = at_topic(
        [
            "{" + ",".join([member] * (length // (len(member) + 1))) + "," + CALL[1:]
            for member in members
            for length in (600, 1_200, 2_400, 3_600, 8_000)
        ]
    )
    assert_admitted(engine, messages, Parameters())


# ------------------------------------------------------------------------------------------------- home day and receipt


def call_at(timestamp: str) -> bytes:
    return CALL.replace("2026-06-15T09:00:00", timestamp).encode()


#: By max_age_days and accept_months: local event days beside the home day, for a record received on 2026-06-15.
HOME_DAYS = {
    (62, ()): {
        "2026-06-15T12:00:00": "2026-06-15",
        "2026-06-16T23:59:59": "2026-06-16",  # a day ahead at most
        "2026-06-17T00:00:00": "2026-06-15",
        "2026-04-14T00:00:00": "2026-04-14",  # 16 + 31 + 15 = 62 days before
        "2026-04-13T23:59:59": "2026-06-15",
        "2026-04-13T23:00:00Z": "2026-04-14",  # midnight in Casablanca
        "2026-06-16T23:00:00Z": "2026-06-15",  # the 17th in Casablanca
        "soon": "2026-06-15",
    },
    (0, ()): {
        "2026-06-15T00:00:00": "2026-06-15",
        "2026-06-14T23:59:59": "2026-06-15",
        "2026-06-16T00:00:00": "2026-06-16",
    },
    (5, ("2025-05", "2024-02")): {
        "2025-05-01T00:00:00": "2025-05-01",
        "2025-05-31T23:59:59": "2025-05-31",
        "2025-05-31T23:00:00Z": "2026-06-15",  # June in Casablanca
        "2025-04-30T23:00:00Z": "2025-05-01",
        "2025-06-01T00:00:00": "2026-06-15",
        "2024-02-29T12:00:00": "2024-02-29",
        "2026-06-10T12:00:00": "2026-06-10",
        "2026-06-09T12:00:00": "2026-06-15",
    },
    # A month before the calendar has no partition; the calendar of these tests starts with 2010.
    (62, ("2009-12", "2010-01")): {"2009-12-31T23:59:59": "2026-06-15", "2010-01-01T00:00:00": "2010-01-01"},
}


@pytest.mark.parametrize(("max_age_days", "accept_months"), HOME_DAYS)
def test_home_days(sail: SparkEngine, max_age_days: int, accept_months: tuple[str, ...]) -> None:
    days = HOME_DAYS[max_age_days, accept_months]
    parameters = Parameters(max_age_days=max_age_days, accept_months=set(accept_months))
    found = rows_of(admitted(sail, at_topic([call_at(timestamp) for timestamp in days]), parameters))
    assert {timestamp: str(row["event_date"]) for timestamp, row in zip(days, found, strict=True)} == days


def test_an_opened_month_is_open_up_to_the_day_after_receipt(engine: SparkEngine) -> None:
    """The calendar has no later day; a record that says one is at home where any other outside the window is."""
    days = {
        "2026-06-01T00:00:00": date(2026, 6, 1),
        "2026-06-16T23:59:59": date(2026, 6, 16),
        "2026-06-17T00:00:00": date(2026, 6, 15),
        "2026-06-16T23:00:00Z": date(2026, 6, 15),  # the 17th in Casablanca
        "2026-06-30T12:00:00": date(2026, 6, 15),
        "2026-07-01T12:00:00": date(2026, 6, 15),
    }
    messages = at_topic([call_at(timestamp) for timestamp in days])
    parameters = Parameters(max_age_days=5, accept_months={"2026-06", "2026-07"})
    found = sorted(rows_of(admitted(engine, messages, parameters)), key=lambda row: row["source_position"])
    assert {timestamp: row["event_date"] for timestamp, row in zip(days, found, strict=True)} == days
    assert_admitted(engine, messages, parameters)


def test_home_days_on_both_engines(engine: SparkEngine) -> None:
    """Every day from long before the window to after it, at both ends of the local day, in an opened month and outside."""
    first = datetime(2026, 3, 20)
    stamps = [
        f"{first + timedelta(days=number):%Y-%m-%d}T{clock}"
        for number in range(95)
        for clock in ("00:00:00", "23:59:59.999999", "00:30:00Z", "23:30:00Z")
    ]
    messages = at_topic([call_at(stamp) for stamp in stamps])
    assert_admitted(engine, messages, Parameters(max_age_days=40, accept_months={"2026-03"}))


def test_the_time_of_receipt_stays_within_the_calendar_and_the_past(engine: SparkEngine) -> None:
    """A broker's wrong clock cannot put a record outside the calendar; without its time, the landing time counts."""
    landing_time = datetime(2026, 6, 15, 12, 0, 0, 123456, tzinfo=UTC)
    received = {
        None: landing_time,
        datetime(1970, 1, 1, tzinfo=UTC): datetime(2020, 1, 1, 12, tzinfo=UTC),
        datetime(2019, 12, 31, 23, 59, tzinfo=UTC): datetime(2020, 1, 1, 12, tzinfo=UTC),
        datetime(2020, 1, 2, tzinfo=UTC): datetime(2020, 1, 2, tzinfo=UTC),
        landing_time - timedelta(microseconds=1): landing_time - timedelta(microseconds=1),
        datetime(2026, 6, 15, 12, 0, 1, tzinfo=UTC): landing_time,
        datetime(2150, 1, 1, tzinfo=UTC): landing_time,
    }
    messages = [Message(0, offset, at, b"junk") for offset, at in enumerate(received)]  # type: ignore[arg-type]
    rows = rows_of(
        admit(
            messages_frame(engine, messages),
            max_age_days=62,
            accept_months=[],
            calendar_start=date(2020, 1, 1),
            now=landing_time,
        )
    )
    rows.sort(key=lambda row: row["source_position"])
    assert [row["received_at"] for row in rows] == list(received.values())
    assert [row["event_date"] for row in rows[:3]] == [date(2026, 6, 15), date(2020, 1, 1), date(2020, 1, 1)]
