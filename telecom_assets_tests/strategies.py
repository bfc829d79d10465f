r"""Hypothesis strategies for messages: plausible CDRs with the contract's errors, hostile bytes, and a corpus by hand.

Belongs here: what may arrive on the topic, and small reference tables it can be rated against. Values of a CDR are
written as JSON tokens (`'"12"'`, `12`, `1e2`, `null`), because how a number is written is part of what is tested.

Does not belong here: what should become of a message (that is `oracle`), except in `HOSTILE_CASES`, where each message
stands beside the outcome that was worked out by hand.

No message of this module carries a lone surrogate escape (`"\ud800"`): no rule says what it means.
"""

import json
import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from telecom_assets_tests.oracle import CASABLANCA, DATA, FIELDS_OF_TYPE, SMS, VOICE, Kind, Message

# ------------------------------------------------------------------------------------------------------ reference data

#: Every fate a subscriber can have in rating; 212600000010 has no row here.
CUSTOMERS: list[dict[str, object]] = [
    {
        "customer_id": customer_id,
        "customer_name": f"Client {customer_id[-2:]}",
        "subscription_type": subscription_type,
        "rate_plan_id": rate_plan_id,
        "activation_date": date(2020, 1, 1),
        "status": status,
        "region": region,
        "holder_no": 1,
        "valid_from": None,
        "valid_to": None,
    }
    for customer_id, subscription_type, rate_plan_id, status, region in (
        ("212600000001", "postpaid", "PLAN_A", "active", "Casablanca-Settat"),
        ("212600000002", "postpaid", "PLAN_B", "active", "Rabat-Salé-Kénitra"),
        ("212700000003", "postpaid", "PLAN_A", "active", "Rabat-Salé-Kénitra"),
        ("212600000004", "prepaid", "PLAN_A", "active", "Fès-Meknès"),
        ("212600000005", "postpaid", "PLAN_B", "suspended", "Fès-Meknès"),
        ("212600000006", "prepaid", "PLAN_NONE", "terminated", "Oriental"),
        ("212600000007", "postpaid", "PLAN_NONE", "active", "Oriental"),
        ("212700000008", "postpaid", "PLAN_VOICE", "active", "Drâa-Tafilalet"),
        ("212700000009", "postpaid", "PLAN_A", "active", "Drâa-Tafilalet"),
    )
]
#: Versions that change: customer, first day, first day no more, holder, plan.
_OF_CUSTOMERS: list[tuple[str, date | None, date | None, int, str]] = [
    ("212600000001", None, date(2026, 3, 12), 1, "PLAN_A"),
    ("212600000001", date(2026, 3, 12), None, 1, "PLAN_B"),
    ("212600000002", date(2020, 1, 1), date(2026, 3, 18), 1, "PLAN_B"),
    ("212600000002", date(2026, 3, 22), date(2026, 3, 27), 2, "PLAN_A"),
    ("212600000002", date(2026, 3, 27), None, 3, "PLAN_A"),
    ("212700000003", date(2026, 2, 25), None, 1, "PLAN_A"),
    ("212700000009", None, date(2026, 3, 24), 1, "PLAN_A"),
]
#: The same with a history: one changes his plan, a number has three holders and nobody for some days, one begins, one ends.
DATED_CUSTOMERS: list[dict[str, object]] = [
    *(line for line in CUSTOMERS if line["customer_id"] not in {each[0] for each in _OF_CUSTOMERS}),
    *(
        {**line, "valid_from": first, "valid_to": end, "holder_no": holder, "rate_plan_id": plan}
        for customer_id, first, end, holder, plan in _OF_CUSTOMERS
        for line in CUSTOMERS
        if line["customer_id"] == customer_id
    ),
]
SUBSCRIBERS = [*(str(customer["customer_id"]) for customer in CUSTOMERS), "212600000010"]
#: The first three are active, postpaid and priced, and come more often, so that more than half of the usage is charged.
_CALLERS = SUBSCRIBERS[:3] * 3 + SUBSCRIBERS

CATALOGUE: list[dict[str, object]] = [
    {
        "product_code": product_code,
        "service_type": service_type,
        "unit": unit,
        "rate_type": rate_type,
        "description": product_code.replace("_", " ").lower(),
    }
    for product_code, service_type, unit, rate_type in (
        ("VOICE_NAT", "voice", "minute", "flat"),
        ("VOICE_INT", "voice", "minute", "flat"),
        ("SMS_NAT", "sms", "event", "flat"),
        ("SMS_INT", "sms", "event", "flat"),
        ("DATA_BASIC", "data", "MB", "flat"),
        ("DATA_PREMIUM", "data", "MB", "tiered"),
    )
]

#: Prices with six decimals and small allowances, so that rounding, allowances and tiers all happen.
RATE_PLANS: list[dict[str, object]] = [
    {
        "rate_plan_id": rate_plan_id,
        "product_code": product_code,
        "service_type": product_code.split("_")[0].lower(),
        "unit_price": unit_price,
        "free_units": free_units,
        "tier_threshold": tier_threshold,
        "tier_price": tier_price,
    }
    for rate_plan_id, product_code, unit_price, free_units, tier_threshold, tier_price in (
        ("PLAN_A", "VOICE_NAT", "0.010", "1", None, None),
        ("PLAN_A", "VOICE_INT", "0.333333", "0", None, None),
        ("PLAN_A", "SMS_NAT", "0.045", "0", None, None),
        ("PLAN_A", "SMS_INT", "0.085", "0.5", None, None),
        ("PLAN_A", "DATA_BASIC", "0.012345", "0.1", None, None),
        ("PLAN_A", "DATA_PREMIUM", "0.015", "0.5", "2", "0.050001"),
        ("PLAN_B", "VOICE_NAT", "0.005", "0", None, None),
        ("PLAN_B", "VOICE_INT", "0.025", "2", None, None),
        ("PLAN_B", "SMS_NAT", "0.035", "1", None, None),
        ("PLAN_B", "SMS_INT", "0.0755", "0", None, None),
        ("PLAN_B", "DATA_BASIC", "0.000001", "0", None, None),
        ("PLAN_B", "DATA_PREMIUM", "0.0185", "2", "2", "0.0555"),
        ("PLAN_VOICE", "VOICE_NAT", "1", "0", None, None),
    )
]

#: Prices that change, by plan and product: price (None: that of RATE_PLANS), first day, first day no more.
_CHANGING: dict[tuple[object, object], list[tuple[str | None, date | None, date | None]]] = {
    ("PLAN_A", "VOICE_NAT"): [
        (None, None, date(2026, 3, 15)),
        ("0.02", date(2026, 3, 15), date(2026, 3, 25)),
        ("0.011", date(2026, 3, 25), None),
    ],
    ("PLAN_A", "DATA_BASIC"): [(None, None, date(2026, 3, 10)), ("0.5", date(2026, 3, 12), None)],
    ("PLAN_B", "VOICE_NAT"): [(None, date(2026, 2, 20), date(2026, 3, 28))],
    ("PLAN_B", "DATA_PREMIUM"): [(None, None, date(2026, 3, 22)), ("0.1", date(2026, 3, 22), None)],
}
#: The same with dates: prices that change within the months of the batches, one that pauses, one that ends, one that begins.
DATED_RATE_PLANS: list[dict[str, object]] = [
    *(line for line in RATE_PLANS if (line["rate_plan_id"], line["product_code"]) not in _CHANGING),
    *(
        {**line, "unit_price": unit_price or line["unit_price"], "valid_from": valid_from, "valid_to": valid_to}
        for line in RATE_PLANS
        for unit_price, valid_from, valid_to in _CHANGING.get((line["rate_plan_id"], line["product_code"]), ())
    ),
]
DATED_CATALOGUE: list[dict[str, object]] = [
    *(line for line in CATALOGUE if line["product_code"] not in ("SMS_NAT", "SMS_INT")),
    *(
        {**line, "valid_from": valid_from, "valid_to": valid_to}
        for line in CATALOGUE
        for product, valid_from, valid_to in (
            ("SMS_NAT", None, date(2026, 3, 20)),
            ("SMS_NAT", date(2026, 3, 20), None),
            ("SMS_INT", date(2026, 2, 15), None),
        )
        if line["product_code"] == product
    ),
]

# ---------------------------------------------------------------------------------------------------- writing messages


def object_text(tokens: Mapping[str, str]) -> str:
    """A JSON object from names and JSON tokens, the tokens as they are written."""
    return "{" + ", ".join(f"{json.dumps(name)}: {token}" for name, token in tokens.items()) + "}"


def has_lone_surrogate(value: bytes | None) -> bool:
    r"""Whether a message may carry `\ud800`-like escapes that are not a pair (errs on the side of yes)."""
    text = re.sub(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", b"", value or b"")
    return re.search(rb"\\u[dD][89a-fA-F]", text) is not None


# -------------------------------------------------------------------------------------------------- numbers and parties

_DIGITS = st.text("0123456789", min_size=1, max_size=90)
_EXPONENTS = st.builds("{}{}".format, st.sampled_from(("e", "E", "e+", "e-", "E-")), st.integers(0, 120))


def written_numbers() -> st.SearchStrategy[str]:
    """Texts that are numbers: long ones, leading zeros, exponents, ties at the third decimal and what lies beside them."""
    ties = st.builds(".{:03d}{}{}".format, st.integers(0, 999), st.sampled_from(("5", "49", "50", "000")), _DIGITS)
    return st.builds(
        "{}{}{}{}".format,
        st.sampled_from(("", "-")),
        st.one_of(st.integers(0, 10**8).map(str), _DIGITS),
        st.one_of(st.just(""), _DIGITS.map(".{}".format), ties),
        st.one_of(st.just(""), st.just(""), _EXPONENTS),
    )


def written_parties() -> st.SearchStrategy[str]:
    """Texts like telephone numbers: any calling code, any count of digits, prefixes, and what people put between."""
    digits = st.text("0123456789", max_size=19)
    codes = st.sampled_from(["", "0", "00", "212", "2126", *map(str, range(1, 1000))])
    prefixes = st.sampled_from(("", "", "+", "00", "0", "(0)", "+00", " "))
    between = st.sampled_from(("", "", "", " ", "-", ".", "\u00a0", "(", ")", "/", "\n"))
    pieces = st.tuples(prefixes, codes, between, digits, between, st.sampled_from(("", "", "", "1", "x", "٣")))
    return pieces.map("".join)


# ------------------------------------------------------------------------------------------------------ plausible CDRs

#: Receipts of plausible messages begin here. In Casablanca it is 2026-03-31 23:30, half an hour before a month ends.
FIRST_RECEIPT = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)

#: Local times at the edges: of the window at FIRST_RECEIPT, of months, of the Ramadan clock (back on 2026-02-15 at
#: 03:00, forward on 2026-03-22 at 02:00), of the calendar; in other forms; and some that are no timestamps.
EDGE_TIMESTAMPS = (
    "2026-01-27T23:59:59",
    "2026-01-28T00:00:00",
    "2026-01-31T23:59:59.999999",
    "2026-02-01T00:00:00",
    "2026-02-15T01:59:59",
    "2026-02-15T02:00:00",
    "2026-02-15T02:30:00",
    "2026-02-15T03:00:00",
    "2026-02-28T23:59:59",
    "2026-02-28T23:59:59Z",
    "2026-03-01T00:00:00",
    "2026-03-21T23:30:00-02:00",
    "2026-03-22T01:59:59.9",
    "2026-03-22T02:00:00",
    "2026-03-22T02:30:00",
    "2026-03-22T02:59:59.999999999",
    "2026-03-22T03:00:00",
    "2026-03-31T22:59:59Z",
    "2026-03-31T23:00:00Z",
    "2026-03-31T23:59:59",
    "2026-04-01T00:00:00",
    "2026-04-01T23:59:59",
    "2026-04-02T00:00:00",
    "2026-04-02T00:00:00+0530",
    "2026-02-29T12:00:00",
    "2024-02-29T12:00:00",
    "2026-01-27T24:00:00",
    "2026-03-31T24:00",
    "2026-04-01T24:00:00.0",
    "20260321T240000+0130",
    "20260322T0230",
    "20260331T235959,999999z",
    "2026-03-15t12:00",
    "2026-03-15 12:00:00",
    "2026-03-15T24:00:01",
    "20260315T12:00:00",
    "2026-03-15T12:00:60",
    "2026-03-15",
    "12:30:00",
)

_FOREIGN = ("33612345678", "14155550123", "4915112345678", "971501234567", "819012345678", "+32 470 12 34 56")
_TOO_LONG_OR_SHORT = ("21260000000", "2126000000011", "212500000001", "inconnu", "aB3dE6gH9jK2")
#: The first subscriber and some others as people write them.
_WRITTEN_OTHERWISE = ("+212600000001", "00212 6 00 00 00 02", "07.00.00.00.03", "600000004", "212-600-000-005")
_CELLS = ('"CASABLANCA_01"', '"RABAT_02"', '"Fès 03"', "null", '""')
_TECHNOLOGIES = ('"2G"', '"3G"', '"4G"', '"5G"', '"LTE"', '"NR"', '"UMTS"', "null", '"6G"')
_DURATIONS = (
    "1",
    "59",
    "60",
    "61",
    "119.9995",
    "180",
    "600",
    '"60.0004999999999999"',
    '"75"',
    "3.6e2",
    "null",
    "null",
    "-5",
    "0",
)
_RARE_DURATIONS = (
    "0.0004",
    "0.0005",
    "16440.0005",
    "600005e-4",
    '"abc"',
    "true",
    "10000000",
    "10000001",
    '""',
    "1e400",
)
_VOLUMES = (
    "0.1",
    "4.1234565",
    "0.75",
    "1.333333",
    "1.9999995",
    "2",
    "2.000001",
    "12.25",
    "814.13",
    '"3.5"',
    "null",
    "null",
)
_RARE_VOLUMES = ("0", "-1", '"x"', "0.0000005", "10000000", "10000000.5", '""', "9", "10")
_SESSIONS = ("1", "79", "579.5", "null", "-3", '"n/a"', "10000001")


def _often(common: st.SearchStrategy[str], rare: st.SearchStrategy[str], one_in: int = 8) -> st.SearchStrategy[str]:
    """`rare` about once in `one_in` draws, and what a failing example shrinks to is common."""
    return st.integers(0, one_in - 1).flatmap(lambda draw: rare if draw == one_in - 1 else common)


def _quoted(text: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return text.map(lambda value: json.dumps(value, ensure_ascii=False))


def _written(wall: datetime, zone: str, fraction: str) -> str:
    return f"{wall:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"


_EXTENDED, _BASIC = ("%Y-%m-%d", "%H:%M", ":%S"), ("%Y%m%d", "%H%M", "%S")


@st.composite
def written_timestamps(draw: st.DrawFn, first: datetime, last: datetime) -> tuple[datetime, str]:
    """A moment, and a text that says it in one of the accepted forms: in UTC, or without an offset (the moment is naive).

    The end of a day may be 24:00. Seconds may be left out where there are none.
    """
    date_form, time_form, seconds_form = draw(st.sampled_from((_EXTENDED, _BASIC)))
    moment = draw(st.datetimes(first, last)).replace(microsecond=0)
    shown = draw(st.sampled_from((moment, moment.replace(second=0), moment.replace(hour=0, minute=0, second=0))))
    is_midnight = (shown.hour, shown.minute, shown.second) == (0, 0, 0)
    at_end = is_midnight and draw(st.booleans())
    day = shown - timedelta(days=at_end)
    clock = shown.strftime(time_form)
    clock = clock.replace("00", "24", 1) if at_end else clock
    digits = draw(st.sampled_from(("", "", "0", "000000000") if at_end else ("", "", "0", "5", "123456", "1234567")))
    if shown.second or digits or draw(st.booleans()):
        clock += shown.strftime(seconds_form) + (draw(st.sampled_from(".,")) + digits if digits else "")
        shown += timedelta(microseconds=int(digits[:6].ljust(6, "0")))
    offset = draw(st.sampled_from(("", "", "", "Z", "z", "+00", "+0000", "-0000")))
    return shown.replace(tzinfo=UTC if offset else None), day.strftime(date_form) + draw(
        st.sampled_from("TtT")
    ) + clock + offset


_USUAL_TIMESTAMPS = st.one_of(
    st.builds(
        _written,
        st.datetimes(datetime(2026, 2, 10), datetime(2026, 4, 2)),
        st.sampled_from(("", "", "", "", "Z", "+01:00", "-0330", "+14")),
        st.sampled_from(("", "", "", ".5", ".123456789")),
    ),
    written_timestamps(datetime(2026, 2, 10), datetime(2026, 4, 2)).map(lambda written: written[1]),
)
_RANDOM_TIMESTAMPS = st.builds(
    _written, st.datetimes(datetime(2010, 1, 1), datetime(2026, 4, 3)), st.just(""), st.just("")
)
timestamp_tokens: st.SearchStrategy[str] = _often(
    _quoted(st.one_of(_USUAL_TIMESTAMPS, _USUAL_TIMESTAMPS, st.sampled_from(EDGE_TIMESTAMPS))),
    st.one_of(st.just("null"), st.just('""'), _quoted(_RANDOM_TIMESTAMPS)),
    16,
)
_subscriber_tokens = _often(
    _quoted(st.one_of(*[st.sampled_from(SUBSCRIBERS)] * 5, st.sampled_from(_WRITTEN_OTHERWISE))),
    st.one_of(
        st.just("null"), _quoted(st.sampled_from((*_TOO_LONG_OR_SHORT, *_FOREIGN))), st.sampled_from(SUBSCRIBERS)
    ),
)
_other_party_tokens = st.one_of(
    _quoted(st.sampled_from(SUBSCRIBERS)),
    _quoted(st.sampled_from((*_FOREIGN, *_TOO_LONG_OR_SHORT, *_WRITTEN_OTHERWISE))),
    _quoted(written_parties()),
    st.just("null"),
)
_FIELD_TOKENS: dict[str, st.SearchStrategy[str]] = {
    "record_ID": _often(
        _quoted(st.integers(1, 12).map(lambda number: f"00000000-0000-4000-8000-{number:012d}")),
        _often(_quoted(st.uuids().map(str)), st.sampled_from(("null", '""', "17"))),
        3,
    ),
    "timestamp": timestamp_tokens,
    "cell_id": st.sampled_from(_CELLS),
    "technology": st.sampled_from(_TECHNOLOGIES),
}


@dataclass(frozen=True)
class Drawn:
    """One record type as messages have it: how often it comes, and how the fields of its own are drawn and written.

    Parties are drawn alike in every type. `tokens` and `dice` draw the other fields, `sound` is what they all are in a CDR
    of the corpus that nothing speaks against.
    """

    kind: Kind
    #: Times in so many draws, and percent of a batch.
    weight: int
    percent: int
    sound: Mapping[str, str]
    tokens: Mapping[str, st.SearchStrategy[str]] = field(default_factory=dict)
    dice: Mapping[str, Callable[["_Dice"], str]] = field(default_factory=dict)

    def token(self, name: str) -> st.SearchStrategy[str]:
        """The strategy of one field."""
        if name == self.kind.own_fields[0]:
            return _subscriber_tokens
        if name == self.kind.other_party:
            return _other_party_tokens
        return self.tokens[name] if name in self.tokens else _FIELD_TOKENS[name]

    def diced(self, name: str) -> Callable[["_Dice"], str] | None:
        """How a batch has a field of the type's own; None for one that every record has."""
        if name == self.kind.own_fields[0]:
            return _Dice.subscriber
        if name == self.kind.other_party:
            return _Dice.other_party
        return self.dice.get(name)


_DRAWN_VOICE = Drawn(
    VOICE,
    weight=2,
    percent=60,
    sound={"caller_id": '"212600000001"', "callee_id": '"212700000002"', "duration_sec": "60"},
    tokens={"duration_sec": _often(st.sampled_from(_DURATIONS), st.sampled_from(_RARE_DURATIONS))},
    dice={
        "duration_sec": lambda dice: (
            dice.pick(("null", str(-dice.rng.randint(0, 600))))
            if dice.hit(20)
            else f"{dice.rng.uniform(0, 900):.{dice.rng.choice((0, 0, 1, 4))}f}"
        )
    },
)
_DRAWN_SMS = Drawn(SMS, weight=1, percent=10, sound={"sender_id": '"212600000001"', "receiver_id": '"212700000002"'})
_DRAWN_DATA = Drawn(
    DATA,
    weight=2,
    percent=30,
    sound={
        "user_id": '"212600000001"',
        "data_volume_mb": "12.5",
        "session_duration_sec": "30",
        "product_code": '"DATA_BASIC"',
    },
    tokens={
        "data_volume_mb": _often(st.sampled_from(_VOLUMES), st.sampled_from(_RARE_VOLUMES), 4),
        "session_duration_sec": st.sampled_from(_SESSIONS),
        "product_code": _often(
            st.sampled_from(('"DATA_BASIC"', '"DATA_PREMIUM"')),
            st.sampled_from(("null", '"VOICE_NAT"', '"DATA_GOLD"', '"data_basic"')),
        ),
    },
    dice={
        "data_volume_mb": lambda dice: (
            "null" if dice.hit(10) else f"{dice.rng.uniform(0, 4):.{dice.rng.randint(1, 7)}f}"
        ),
        "session_duration_sec": lambda dice: dice.pick(_SESSIONS) if dice.hit(15) else str(dice.rng.randint(1, 900)),
        "product_code": lambda dice: '"DATA_BASIC"' if dice.hit(80) else '"DATA_PREMIUM"',
    },
)
#: The record types of the requirements, those that come often first.
DRAWN = (_DRAWN_VOICE, _DRAWN_DATA, _DRAWN_SMS)


def _type_tokens(drawn: Sequence[Drawn]) -> st.SearchStrategy[str]:
    names = [each.kind.name for each in drawn for _ in range(each.weight)]
    return _often(
        st.sampled_from(names).map(lambda name: f'"{name}"'),
        st.sampled_from(("null", '"mms"', '"Voice"', '""')),
        40,
    )


@st.composite
def cdr_tokens(draw: st.DrawFn, drawn: Sequence[Drawn] = DRAWN) -> dict[str, str]:
    """One CDR as JSON tokens by field name, in the order of the contract, some fields left out or nested now and then."""
    type_token = draw(_type_tokens(drawn))
    kinds = {each.kind.name: each for each in drawn}
    kind = kinds.get(type_token.strip('"'), _DRAWN_VOICE)
    names = kind.kind.fields
    tokens = {name: type_token if name == "record_type" else draw(kind.token(name)) for name in names}
    for name in draw(_often(st.just(""), st.sampled_from(names), 12).map(lambda name: [name] if name else [])):
        del tokens[name]
    if draw(st.integers(0, 9)) == 9:
        tokens["operator_note"] = draw(st.sampled_from(('"not of the contract"', *_NESTED[:9], *NESTED_STRINGS)))
    if draw(st.integers(0, 29)) == 29:
        tokens[draw(st.sampled_from(names))] = draw(st.sampled_from(_NESTED[:9]))
    return tokens


def cdr_values() -> st.SearchStrategy[bytes]:
    """One plausible CDR as a message's bytes."""
    return cdr_tokens().map(lambda tokens: object_text(tokens).encode())


@st.composite
def _repeated(draw: st.DrawFn, tokens: dict[str, str], drawn: Sequence[Drawn]) -> dict[str, str]:
    """The same CDR once more: exactly, with null for '' (still a duplicate), on another day, or in conflict."""
    again = dict(tokens)
    name = draw(st.sampled_from(("", "", "null", "timestamp", "other")))
    if name == "null":
        return {key: "null" if written == '""' else written for key, written in again.items()}
    if name == "timestamp":
        again["timestamp"] = draw(timestamp_tokens)
    elif name == "other":
        strategies = {name: each.token(name) for each in drawn for name in each.kind.fields if name != "record_type"}
        changed = draw(st.sampled_from([name for name in again if name in strategies] or ["cell_id"]))
        again[changed] = draw(strategies[changed])
    return again


#: Seconds from one receipt to the next: at once (ties), a moment, an hour, days (the acceptance window).
_PAUSES = (0, 0, 0, 0, 0, 0, 0, 0, 1, 60, 600, 3_600)
_LONG_PAUSES = (86_400, 11 * 86_400, 20 * 86_400)


@st.composite
def _placed(draw: st.DrawFn, values: list[bytes | None], shuffled: bool) -> list[Message]:
    """Values on the topic: in two partitions, offsets in order, received one after the other with pauses and ties."""
    messages, received_at, next_offset = [], FIRST_RECEIPT, {0: 0, 1: 100}
    pauses = st.one_of(*[st.sampled_from(_PAUSES)] * 20, st.sampled_from(_LONG_PAUSES))
    for value in values:
        partition = draw(st.integers(0, 1))
        received_at += timedelta(seconds=draw(pauses))
        messages.append(Message(partition, next_offset[partition], received_at, value))
        next_offset[partition] += 1
    return draw(st.permutations(messages)) if shuffled else messages


@st.composite
def cdr_messages(
    draw: st.DrawFn,
    min_size: int = 0,
    max_size: int = 25,
    shuffled: bool = True,
    drawn: Sequence[Drawn] = DRAWN,
) -> list[Message]:
    """Plausible messages from small pools, with exact repetitions, late ones and conflicts, in any order of the list.

    Rate them against CUSTOMERS, RATE_PLANS and CATALOGUE. Every value is UTF-8 and one JSON object.
    """
    tokens: list[dict[str, str]] = []
    for fresh in draw(st.lists(cdr_tokens(drawn), min_size=min_size, max_size=max_size)):
        repeat = tokens and draw(st.integers(0, 3)) == 3
        tokens.append(draw(_repeated(draw(st.sampled_from(tokens)), drawn)) if repeat else fresh)
    return draw(_placed([object_text(each).encode() for each in tokens], shuffled))


# ------------------------------------------------------------------------------------------ many CDRs, not shrinking


class _Dice:
    """The error mix of the requirements, drawn from one seeded generator."""

    def __init__(self, seed: int, drawn: Sequence[Drawn]) -> None:
        self.rng: random.Random = random.Random(seed)
        self.drawn = drawn

    def hit(self, percent: float) -> bool:
        return self.rng.random() * 100 < percent

    def pick(self, options: Sequence[str]) -> str:
        return self.rng.choice(options)

    def subscriber(self) -> str:
        """A customer; 2.5 % null, 2.5 % twelve random characters."""
        if self.hit(5):
            return "null" if self.hit(50) else f'"{"".join(self.rng.choices("abcdefXYZ0123456789", k=12))}"'
        return f'"{self.pick(_CALLERS)}"'

    def other_party(self) -> str:
        """20 % abroad, some invalid or null, the rest customers."""
        if self.hit(20):
            return f'"{self.pick(_FOREIGN)}"'
        return self.pick(("null", '"inconnu"', '"212500000001"')) if self.hit(6) else f'"{self.pick(SUBSCRIBERS)}"'

    def timestamp(self) -> str:
        """5 % null, 5 % anywhere since 2010, some at an edge, the rest in the two months before FIRST_RECEIPT."""
        if self.hit(5):
            return "null"
        if self.hit(5):
            return f'"{self.pick(EDGE_TIMESTAMPS)}"'
        first = datetime(2010, 1, 1) if self.hit(5) else datetime(2026, 2, 10)
        span = datetime(2026, 4, 1) - first
        zone = self.pick(("", "", "", "", "", "", "Z", "+01:00", "-0330"))
        return f'"{_written(first + span * self.rng.random(), zone, self.pick(("", "", ".25")))}"'

    def field(self, name: str) -> str:
        """The token of one field of a CDR."""
        tokens: dict[str, Callable[[], str]] = {
            "record_ID": lambda: f'"{uuid.UUID(int=self.rng.getrandbits(128), version=4)}"',
            "timestamp": self.timestamp,
            "cell_id": lambda: "null" if self.hit(30) else self.pick(_CELLS[:3]),
            "technology": lambda: "null" if self.hit(10) else self.pick(_TECHNOLOGIES[:7]),
        }
        diced = next((found for each in self.drawn if (found := each.diced(name))), None)
        return diced(self) if diced else tokens[name]()

    def cdr(self) -> dict[str, str]:
        kind = self.rng.choices(self.drawn, [each.percent for each in self.drawn])[0].kind
        return {name: f'"{kind.name}"' if name == "record_type" else self.field(name) for name in kind.fields}


def cdr_batch(seed: int, count: int, drawn: Sequence[Drawn] = DRAWN) -> list[Message]:
    """Very many plausible messages, the same for the same seed: the requirements' error mix, 5 % repeated or changed.

    For runs where one example must be large (an engine takes as long for one message as for a thousand); what fails
    here does not shrink. Rate them against CUSTOMERS, RATE_PLANS and CATALOGUE.
    """
    dice = _Dice(seed, drawn)
    cdrs: list[dict[str, str]] = []
    for _ in range(count):
        if cdrs and dice.hit(5):
            again = dict(dice.rng.choice(cdrs))
            if dice.hit(50):
                name = dice.pick([name for name in again if name not in {"record_ID", "record_type"}])
                again[name] = dice.field(name)
            cdrs.append(again)
        else:
            cdrs.append(dice.cdr())
    messages, received_at, next_offset = [], FIRST_RECEIPT, [0, 0, 0]
    for cdr in cdrs:
        partition = dice.rng.randrange(3)
        received_at += timedelta(milliseconds=dice.rng.choice((0, 1, 1_000)))
        messages.append(Message(partition, next_offset[partition], received_at, object_text(cdr).encode()))
        next_offset[partition] += 1
    return messages


# ------------------------------------------------------------------------------------------------- the corpus, by hand

#: When the corpus is received: 2026-06-15 13:00 in Casablanca. Its own CDRs are of that morning.
CORPUS_RECEIVED_AT = datetime(2026, 6, 15, 12, tzinfo=UTC)

_SOUND = {each.kind.name: {"cell_id": '"RABAT_01"', "technology": '"4G"', **each.sound} for each in DRAWN}
_Case = tuple[bytes | None, str]


def _words(text: str) -> list[str]:
    """Tokens without spaces, written one after the other."""
    return text.split()


class _Corpus:
    """Builds the corpus; every sound CDR in it has its own record_ID, so that none is the duplicate of another."""

    def __init__(self) -> None:
        self.cases: list[_Case] = []

    def text(self, kind: str, changed: Mapping[str, str]) -> str:
        """A sound CDR with some tokens changed; a field that is changed to the empty token is left out."""
        tokens = {
            "record_ID": f'"corpus-{len(self.cases):03d}"',
            "record_type": f'"{kind}"',
            "timestamp": '"2026-06-15T09:00:00"',
            **_SOUND[kind],
            **changed,
        }
        return object_text({name: token for name, token in tokens.items() if token})

    def add(self, outcome: str, *values: bytes | str | None) -> None:
        """Messages as they are, with one outcome."""
        self.cases += [(value.encode() if isinstance(value, str) else value, outcome) for value in values]

    def each(self, outcome: str, kind: str, name: str, *tokens: str) -> None:
        """A sound CDR of this kind for each token, with that token in the field."""
        for token in tokens:
            self.add(outcome, self.text(kind, {name: token}))

    def around(self, outcome: str, *wraps: Callable[[str], str | bytes]) -> None:
        """A sound call for each function, changed by it as a text."""
        for wrap in wraps:
            self.add(outcome, wrap(self.text("voice", {})))


def _hostile_cases() -> list[_Case]:
    corpus = _Corpus()
    _hostile_bytes(corpus)
    _hostile_json(corpus)
    _hostile_structure(corpus)
    _hostile_timestamps(corpus)
    _hostile_numbers(corpus)
    _hostile_parties(corpus)
    return corpus.cases


def _hostile_bytes(corpus: _Corpus) -> None:
    corpus.add("malformed_json", None, b"", b" ", b"\n", b"\x00", b"\x00\x00\x00\x00\x05\x02voice")
    corpus.add(
        "malformed_utf8",
        b"\xff",
        b"\xfe\xff\x00{\x00}",  # UTF-16 with its byte order mark
        b'{"record_ID": "\xe9t\xe9"}',  # Latin-1
        b'{"record_ID": "\xc0\xaf"}',  # overlong
        b'{"record_ID": "\xe0\x80\x80"}',
        b'{"record_ID": "\xed\xa0\x80"}',  # a surrogate, encoded
        b'{"record_ID": "\xed\xa0\xbd\xed\xb8\x80"}',  # CESU-8
        b'{"record_ID": "\xf4\x90\x80\x80"}',  # beyond U+10FFFF
        b'{"record_ID": "\xf5\x80\x80\x80"}',
        b'{"record_ID": "\xe2\x82',  # cut in a character
        b'{"record_ID": "\x80"}',
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",  # gzip
    )
    corpus.around("malformed_utf8", lambda text: text.encode() + b"\xff", lambda text: b"\xc3" + text.encode())


def _hostile_json(corpus: _Corpus) -> None:
    corpus.add("malformed_json", *_words("""null true 17 "voice" [] [{}] { } {] {,} {null} {1:2}"""))
    corpus.add(
        "malformed_json",
        '{"record_ID"}',
        '{"record_ID":}',
        '{"record_ID": "a",}',
        '{"record_ID": "a" "record_type": "sms"}',
        '{record_ID: "a"}',
        "{'record_ID': 'a'}",
        "{\"record_ID\": 'a'}",
        '{"record_ID": "a\tb"}',  # a control character that is not escaped
        '{"record_ID": "a\nb"}',
        '{"record_ID": "a\x00b"}',
        '{"record_ID": "a\x1fb"}',
        '{"record_ID": "\\x41"}',
        '{"record_ID": "\\u00g1"}',
        '{"record_ID": "\\u41"}',
        '{"record_ID": "\\"}',
        '{"record_ID": "a}',
        '{"record_ID": a}',
        '{"record_ID": True}',
        '{"record_ID": NULL}',
        '{"record_ID": undefined}',
        "// a note\n{}",
        '{"a": 1 /* a note */}',
        "[" * 50_000,
        '{"a":' * 50_000,
    )
    not_json = (
        "NaN nan Infinity -Infinity inf 01 -01 00 +1 1. .5 -.5 - 1e 1e+ 0x10 1_000 1,5 ١٢ １２ 60d 60f --1 1.2.3 1e5.5"
    )
    corpus.each("malformed_json", "voice", "duration_sec", *_words(not_json), "1 2", "\u221e", "\u22121")
    corpus.around(
        "malformed_json",
        lambda text: text + " trailing",
        lambda text: text + "}",
        lambda text: text + ",",
        lambda text: text + text,
        lambda text: text + "\n" + text,
        lambda text: text + "\x00",
        lambda text: text + "\u00a0",  # a space, but not one of JSON's
        lambda text: text + "\x0b",
        lambda text: "\x0c" + text,
        lambda text: "\u2028" + text,
        lambda text: "\ufeff" + text,
        lambda text: "x" + text,
        lambda text: f"[{text}]",
        json.dumps,
        lambda text: text[:-1],
        lambda text: text[1:],
        lambda text: text.replace('"', "'"),
        lambda text: text.encode("utf-16-le"),
    )
    corpus.around(
        "cleaned",
        lambda text: text + "\n",
        lambda text: text + "\r\n",
        lambda text: f" \t\r\n{text} \t\r\n",
        lambda text: text.replace(": ", ":").replace(", ", ","),
        lambda text: text.replace(": ", "\n:\t").replace(", ", "\r,\n"),
    )


#: Values that hold others, at most eight deep.
_NESTED = (
    *_words("""[] {} [1] {"a":1} ["{"] [[[[]]]] {"a":{"b":[]}} [[],{},[{}]] [null,true,-1.50e400,"",[0]]"""),
    *("[" * 8 + "]" * 8, '{"a":' * 7 + "{}" + "}" * 7, '{"a":[' * 4 + "]}" * 4, "[" + ",".join(["[]"] * 3_000) + "]"),
    *("[ ]", "{\n}", '[ 1 ,\t"a" , { "b" : [ ] } ]', "[" + "1," * 10_000 + "1]", '{"a": 1, "a": [2], "": {}}'),
    '["' + "x" * 100_000 + '"]',
)
#: Strings inside of them that could mislead who looks for brackets, quotes and commas.
NESTED_STRINGS = _words(
    r"""["]"] ["[[["] ["\"]"] ["\\"] ["\\\"]"] {"]":"}"} {"}\"":"{\\"} ["\u005d","\u0022]"] ["\\\\","]"] ["\/]"] ["'","]"]"""
    r""" ["\ud83d\ude00]"] ["😀",["]"]] [",",":"] {"a:":",b:"} ["\n]\t["] ["\",\"]","]"] ["[…]","{…}"]"""
)
#: What only looks like such a value, or is too deep.
_BROKEN = (
    *_words(
        """[1,] [,1] [,] [1,,2] {"a"} {"a":} {"a":1,} {,"a":1} {,} {"a","b"} ["a":1] {1:2} {[]:1} {"a":1:2} [1} {"a":1]"""
    ),
    *_words(
        """[ ] [[] []] [1]] [[1] [1}] {"a":[1}] [V] [01] [1.] [.5] [+1] [-] [1e] [NaN] [nul] [TRUE] ['a'] ["a] ["\\x"]"""
    ),
    *(
        "[1 2]",
        '["a" "b"]',
        '["a"1]',
        "[true false]",
        "[1]2",
        "[1][2]",
        "{}{}",
        '[1] "a"',
        "[tr ue]",
        '["a\tb"]',
        "[\x01]",
    ),
    *("[" * 9 + "]" * 9, '{"a":' * 8 + "{}" + "}" * 8, "[1,[2],[[[[[[[[3]]]]]]]]]", "[" * 50_000 + "]" * 50_000),
    *("[/*a*/]", "[\u00a0]"),
)


def _hostile_structure(corpus: _Corpus) -> None:
    corpus.add("missing_record_id", "{}", " { } ", '{"": ""}', '{"record_id": "wrong case"}', '{"record_ID ": "a"}')
    corpus.each("cleaned", "voice", "extra", *_NESTED, *NESTED_STRINGS)
    corpus.each("cleaned", "voice", r"extr\u0061\"[{", *_NESTED[:4])
    corpus.each("malformed_json", "voice", "extra", *_BROKEN)
    for kind, name, outcome in (
        *(("voice", "record_ID", "missing_record_id"), ("voice", "record_type", "unknown_record_type")),
        *(("sms", "timestamp", "invalid_timestamp"), ("voice", "caller_id", "invalid_subscriber")),
        *(("sms", "sender_id", "invalid_subscriber"), ("data", "user_id", "invalid_subscriber")),
        *(("voice", "duration_sec", "invalid_duration"), ("data", "data_volume_mb", "invalid_volume")),
        *(("data", "product_code", "unknown_product"), ("data", "session_duration_sec", "cleaned")),
        *(("voice", "cell_id", "cleaned"), ("data", "technology", "cleaned")),
        *(("voice", "callee_id", "cleaned"), ("sms", "receiver_id", "cleaned")),
        *(("sms", "duration_sec", "cleaned"), ("voice", "product_code", "cleaned")),  # not of their type
    ):
        corpus.each(outcome, kind, name, "[60]", '{"value": "DATA_BASIC"}', "[]", "{}", '["voice"]')
    strings = r""" "{}" "}{" "{" "}" "[1,2]" "{\"a\":1}" "\\" "\"" "\\\"" "a\/b" "\u0000" "\ud83d\ude00" "😀" "'" """
    escapes = r""" "\b\f\n\r\t" "//" "/*" "#" "\u007b" "\u005C\u0022" "a\u0301" """
    numbers = "-0 0.1e1 1E400 1e-400 123456789012345678901234567890 true false null"
    characters = ('"\x7f"', '"\u2028"', '"\ufeff"', '"\uffff"', '"\u00a0"', '"a b"')
    corpus.each("cleaned", "voice", "extra", *_words(strings), *_words(escapes), *_words(numbers), *characters)
    corpus.each("cleaned", "voice", "record_ID", *_words(r"""17 true 1.50 "é" "a\"b" "a{b}c" "\u0041\n" """), '" "')
    corpus.each("missing_record_id", "voice", "record_ID", "null", '""', "")
    corpus.each("missing_record_type", "voice", "record_type", "null", '""', "")
    types = (
        '"voice "',
        '" voice"',
        '"v\u043eice"',
        *_words(r""" "VOICE" "voice\n" "voice\u0000" "mms" "null" 1 false """),
    )
    corpus.each("unknown_record_type", "voice", "record_type", *types)
    corpus.each("cleaned", "voice", "record_type", '"\\u0076oice"', '"\\u0076\\u006f\\u0069\\u0063\\u0065"')
    corpus.around(
        "cleaned",
        lambda text: text.replace("record_ID", "record\\u005fID"),  # an escape in a name is that name
        lambda text: text.replace('"duration_sec"', '"duration_sec": "first", "duration_sec"'),  # the last one wins
        lambda text: text.replace('{"record_ID"', '{"record_ID": null, "record_ID"'),
        lambda text: text.replace('"cell_id": "RABAT_01"', '"cell_id": "x", "cell_id": null'),
    )
    corpus.around(
        "missing_duration",
        lambda text: text[:-1] + ', "duration_sec": null}',
        lambda text: text[:-1] + ', "duration_sec": ""}',
    )
    corpus.around(
        "cleaned",  # the last one wins, nested ones too
        lambda text: text.replace('"duration_sec"', '"duration_sec": [], "duration_sec"'),
        lambda text: text.replace('"duration_sec"', '"duration_sec": {"a": 1}, "duration_sec"'),
        lambda text: text.replace('"record_ID"', '"record_ID": {"record_ID": "b"}, "record_ID"'),
        lambda text: text.replace('{"record_ID"', '{"extra": {"duration_sec": -1, "record_type": "mms"}, "record_ID"'),
    )
    corpus.around("invalid_duration", lambda text: text[:-1] + ', "duration_sec": []}')
    corpus.around("missing_record_id", lambda text: text[:-1] + ', "record\\u005fI\\u0044": ["a"]}')
    corpus.around("unknown_record_type", lambda text: text[:-1] + ', "record\\u005Ftype": {}}')
    corpus.each("cleaned", "voice", "extra", '"' + "x" * 1_000_000 + '"')
    corpus.each("cleaned", "voice", "cell_id", '"' + "é" * 500_000 + '"', "null", '""', "", "17", '" "')
    corpus.each("cleaned", "voice", "technology", "null", '""', "", '"lte"', '"6G"', "5", '"\\u0035G"')


_INVALID_TIMESTAMPS = """
    12:30:00 2025 2026-06 2026-06-15 2026-06-15T 2026-06-15T09 T09:00:00 20260615 20260615T 20260615T09 2026-06-15T09Z
    2026-6-15T09:00:00 2026-06-15T9:00:00 26-06-15T09:00:00 2026-W25-1T09:00:00 2026-166T09:00:00 2026/06/15T09:00:00
    2026-06-15T09:0000 2026-06-15T0900:00 20260615T09:00:00 2026-06-15T090000Z 2026-0615T09:00:00 20260615T090000+01:00
    2026-06-15T24:00:00.5 2026-06-15T24:01 20260615T240001 20260615T250000 20260615T090060 20260615T0900.5
    20260229T090000 20260615T090000,Z 00000615T090000 20260615T09000 1781510400 1781510400000 1781510400.123
    +2026-06-15T09:00:00 -2026-06-15T09:00:00 12026-06-15T09:00:00
    294247-01-10T04:00:54 +294247-01-10T04:00:54.775Z 0000-00-00T00:00:00 2026-06-15T-9:00:00
    2026-06-15T24:00:01 2026-06-15T25:00:00 2026-06-15T09:60:00 2026-06-15T09:00:60
    2016-12-31T23:59:60Z 2026-06-15T09:00:61 2026-06-31T09:00:00 2026-02-29T09:00:00 1900-02-29T09:00:00
    2026-00-15T09:00:00 2026-13-15T09:00:00 2026-06-00T09:00:00 2026-06-32T09:00:00
    2026-06-15T09:00:00. 2026-06-15T09:00:00, 2026-06-15T09:00:00.Z 2026-06-15T09:00.5 2026-06-15T09:00:00.5.5
    2026-06-15T09:00:00.-5 2026-06-15T09:00:00.٥ ２０２６-06-15T09:00:00 2026-06-15T٠٩:00:00
    2026-06-15T09:00:00+1 2026-06-15T09:00:00+01:0 2026-06-15T09:00:00+1:00 2026-06-15T09:00:00+01:60
    2026-06-15T09:00:00+18:01 2026-06-15T09:00:00-18:30 2026-06-15T09:00:00+19:00 2026-06-15T09:00:00+24:00
    2026-06-15T09:00:00+99:99 2026-06-15T09:00:00+01:00:00 2026-06-15T09:00:00Z+01 2026-06-15T09:00:00ZZ
    2026-06-15T09:00:00UTC 2026-06-15T09:00:00[Z] now today epoch infinity NaT null
"""
#: 62 days before 2026-06-15 is 2026-04-14, one day after is 2026-06-16; Casablanca is at UTC+1.
_OUTSIDE_TIMESTAMPS = """
    0001-01-01T00:00:00 0001-01-01T00:00:00Z 0001-01-01T00:00:00+18:00 1582-10-10T12:00:00 1883-11-18T12:00:00
    1970-01-01T00:00:00Z 2000-02-29T00:00:00 2025-06-15T09:00:00 2038-01-19T03:14:08Z 2087-05-11T02:30:00
    2262-04-11T23:47:17Z 9999-12-31T23:59:59.999999 9999-12-31T23:59:59-18:00
    2026-06-16T24:00:00 20260616T2400 2026-06-16T24:00Z 20260617T0000 20260413T225959Z 9999-12-31T24:00:00
    2026-04-13T23:59:59.999999 2026-04-13T22:59:59Z 2026-06-17T00:00:00 2026-06-16T23:00:00Z 2026-06-17T05:00:00+05:00
"""
_SOUND_TIMESTAMPS = """
    2026-04-14T00:00:00 2026-04-13T23:00:00Z 2026-06-16T23:59:59.999999 2026-06-16T22:59:59Z
    2026-06-15T00:00:00 2026-06-15T23:59:59 2026-06-15T09:00:00Z 2026-06-15T09:00:00+01:00 2026-06-15T09:00:00+0100
    2026-06-15T09:00:00+01 2026-06-15T09:00:00-00:00 2026-06-15T09:00:00+18:00 2026-06-15T09:00:00-18:00
    2026-06-15T09:00:00-1800 2026-06-15T09:00:00+18 2026-06-15T09:00:00+17:59 2026-06-15T09:00:00.5
    2026-06-15T09:00:00.000000001 2026-06-15T09:00:00.999999999999999999999999Z 2026-06-15T09:00:00.1+0530
    2026-06-15T09:00:00,5 2026-06-15t09:00:00 2026-06-15T09:00:00z 2026-06-15T09:00 2026-06-15T09:00Z 2026-06-15t09:00+01
    2026-06-15T24:00:00 2026-06-15T24:00 2026-06-15T24:00:00,000-12 2026-04-13T24:00:00 2026-06-15T24:00Z
    20260615T090000 20260615T0900 20260615t090000z 20260615T090000,123456789+0530 20260615T2400-01 20260413T240000Z
"""


def _hostile_timestamps(corpus: _Corpus) -> None:
    def each(outcome: str, *texts: str) -> None:
        corpus.each(outcome, "sms", "timestamp", *(json.dumps(text, ensure_ascii=False) for text in texts))

    corpus.each("missing_timestamp", "sms", "timestamp", "null", '""', "")
    corpus.each("invalid_timestamp", "sms", "timestamp", "2026", "20260615090000", "1781510400", "true", "1.5")
    each("invalid_timestamp", *_words(_INVALID_TIMESTAMPS))
    each(
        "invalid_timestamp",
        "2026-06-15 09:00:00",
        "2026-06-15T09:00:00 ",
        " 2026-06-15T09:00:00",
        "2026-06-15T09:00:00\n",
        "\n2026-06-15T09:00:00",
        "2026-06-15T09:00:00\u0000",
        "2026-06-15T09:00:00 +01:00",
        "2026-06-15T09:00:00 Africa/Casablanca",
        "2026\u201306\u201315T09:00:00",
        "2026-06-15T09:00:00\u221201:00",
        "Mon Jun 15 09:00:00 2026",
    )
    each("outside_acceptance_window", *_words(_OUTSIDE_TIMESTAMPS))
    each("cleaned", *_words(_SOUND_TIMESTAMPS))
    corpus.each("cleaned", "sms", "timestamp", '"2026-06-15\\u005409:00:00"')


_NOT_NUMBERS = (
    *_words(r""" "abc" "60\n" "+60" "60." ".5" "1e" "0x3C" "1_000" "60d" "60f" "60s" "1,5" """),
    *_words(r""" "--1" "-" "e5" "1e5.0" "1e+-5" "NaN" "nan" "Infinity" "-Infinity" "inf" "null" """),
    *_words(r""" "٦٠" "６０" "½" "60\u0000" "\u22121" true false """),
    *('" 60"', '"60 "', '"6 0"', '"- 1"', '" "'),
)


def _hostile_numbers(corpus: _Corpus) -> None:
    corpus.each("missing_duration", "voice", "duration_sec", "null", '""', "")
    corpus.each("invalid_duration", "voice", "duration_sec", *_NOT_NUMBERS)
    corpus.each("invalid_volume", "data", "data_volume_mb", *_NOT_NUMBERS)
    flagged = ("null", '""', "", "-1", "1e400", "-0", "1e-400", "1e7", "10000001")
    corpus.each("cleaned", "data", "session_duration_sec", *_NOT_NUMBERS, *flagged)
    too_short = '0 -0 0.0 0e9 -1 -1e400 -1e9 1e-400 0.0004 0.0004999 -0.0004 4e-4 "-0.0" "00"'
    corpus.each("non_positive_duration", "voice", "duration_sec", *_words(too_short))
    sound = '0.0005 0.001 1e0 1E+2 6e1 60.0 1e01 1e-003 "60" "060" "6E1" "1e-3" 10000000 1e7 9999999.9996 0.00006e6'
    wide = ("59.9994999999999999999", "1." + "0" * 60 + "1", "0." + "0" * 400 + "1e402", "1" + "0" * 400 + "e-400")
    corpus.each("cleaned", "voice", "duration_sec", *_words(sound), *wide)
    too_long = '10000000.001 10000000.0005 10000001 1e8 1e30 1e308 1e309 1e400 1e999999999 "1e400" 9223372036854775808'
    huge = ("9" * 44, "123456789012345678901234567890.5", "1" + "0" * 4_999, "1" * 40 + "e-20", "100000000000", "1e11")
    corpus.each("quantity_out_of_range", "voice", "duration_sec", *_words(too_long), *huge)
    negative = '-1 -1e400 "-0.5" -1e-300 -0.000001 -10000001 -0.00000000000000001 -1e30 -1e-999999999'
    corpus.each("invalid_volume", "data", "data_volume_mb", *_words(negative))
    volumes = (
        'null "" 0 -0 0.0 -0.0 1e-400 0.0000004 0.0000005 1e-6 9 10 1.5E3 2.675 0.1 814.13 "12.5" "007" 1e7 10000000'
    )
    corpus.each(
        "cleaned", "data", "data_volume_mb", "", *_words(volumes), "1.0000005", "9999999.9999995", "123456.7890125"
    )
    too_much = '10000000.5 10000001 1e8 1e18 1e19 1e30 1e308 1e400 "1e400" 18446744073709551616'
    barely = ("10000000." + "0" * 90 + "1", "1." + "0" * 70 + "1E7", '"0010000000.00000000000000001"')
    corpus.each("quantity_out_of_range", "data", "data_volume_mb", *_words(too_much), *barely, *huge)
    # only the quantities of the record's own type are judged
    corpus.each("cleaned", "sms", "duration_sec", '"abc"', "-1", "1e400", "true")
    corpus.each("cleaned", "sms", "data_volume_mb", '"abc"', "-1", "1e400")
    corpus.each("cleaned", "data", "duration_sec", '"abc"', "-1", "1e400")
    corpus.each("cleaned", "voice", "data_volume_mb", '"abc"', "-1", "1e400")
    corpus.each("cleaned", "voice", "product_code", '"DATA_GOLD"', '"DATA_BASIC"', "null")


_BAD_NUMBERS = (
    *_words('"inconnu" "212500000001" "0500000001" "21260000000" "2126000000011" "2120600000001" "21206000000"'),
    *_words(r'"212600000001\n" "212600000001\u0000" "212_600_000_001" "212600000001/2" "٢١٢٦٠٠٠٠٠٠٠١" "00" "+" "-"'),
    *_words('"2126٠٠٠٠٠٠٠١" "２１２６０００００００１" "++212600000001" "+00212600000001" "0000212600000001"'),
    *_words('"336123456789" "3361234567" "1415555012" "141555501234" "491511234567" "49151123456789" "35612345678"'),
    *_words('"aB3dE6gH9jK2" 2.12600000001e11 212600000001.0 true 0 "+612345678" "00612345678" "412345678" "912345678"'),
    *('"+212 5 00 00 00 01"', '"tel:+212600000001"', '"212600000001;ext=5"', '" "', '"( ) "'),
)
_GOOD_NUMBERS = (
    *_words('"212600000001" "212799999999" "14155550123" "33612345678" "441234567890" "4915112345678" "34612345678"'),
    *_words('"391234567890" "79161234567" "819012345678" "971501234567" "966501234567" 212600000001 -212600000001'),
    *_words('"+212600000001" "00212600000001" "0600000001" "600000001" "712345678" "212-600-000-001" "+33612345678"'),
    *('" 212600000001"', '"212600000001 "', '"212 600 000 001"', '"+212 (6) 00.00-00.01"', '"06\\u00a000 00 00 01"'),
    *('"00 33 6 12 34 56 78"', '"+1 (415) 555-0123"', '"\\u0032\\u0031\\u0032600000001"', '"6.0.0-0 00001"'),
)


def _hostile_parties(corpus: _Corpus) -> None:
    for kind, subscriber, other in (("voice", "caller_id", "callee_id"), ("sms", "sender_id", "receiver_id")):
        corpus.each("missing_subscriber", kind, subscriber, "null", '""', "")
        corpus.each("invalid_subscriber", kind, subscriber, *_BAD_NUMBERS)
        corpus.each("cleaned", kind, subscriber, *_GOOD_NUMBERS)
        corpus.each("cleaned", kind, other, *_BAD_NUMBERS, *_GOOD_NUMBERS, "null", '""', "")
    corpus.each("missing_subscriber", "data", "user_id", "null", '""', "")
    corpus.each("invalid_subscriber", "data", "user_id", *_BAD_NUMBERS[:7])
    corpus.each("cleaned", "data", "caller_id", *_BAD_NUMBERS[:7])
    corpus.each("cleaned", "data", "product_code", '"DATA_BASIC"', '"DATA_PREMIUM"', '"DATA\\u005fBASIC"')
    unknown = r'null "" "VOICE_NAT" "SMS_INT" "data_basic" "DATA_BASIC\n" "DATA_%" 7'
    corpus.each("unknown_product", "data", "product_code", "", *_words(unknown), '"DATA_BASIC "')


#: Messages beside the outcome ('cleaned' or a reason) worked out by hand, for a run that receives each of them at
#: CORPUS_RECEIVED_AT with the default parameters and CATALOGUE.
HOSTILE_CASES: list[tuple[bytes | None, str]] = _hostile_cases()
HOSTILE_CORPUS: list[bytes | None] = [value for value, _ in HOSTILE_CASES]


def corpus_messages(partition: int = 0) -> list[Message]:
    """The whole corpus on one partition, received in one instant, offsets from 0 in its order."""
    return [Message(partition, offset, CORPUS_RECEIVED_AT, value) for offset, value in enumerate(HOSTILE_CORPUS)]


# ----------------------------------------------------------------------------------------------------- hostile messages

_JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


def _deep(value: object) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(_deep, value.values() if isinstance(value, dict) else value), default=0)


@st.composite
def nested_tokens(draw: st.DrawFn) -> str:
    """An array or object, at most eight deep, as JSON that is written one way or another."""
    branches = st.one_of(
        st.lists(_JSON_VALUES, max_size=3), st.dictionaries(st.text(max_size=3), _JSON_VALUES, max_size=3)
    )
    value = draw(branches.filter(lambda value: _deep(value) <= 8))
    value = draw(st.sampled_from((value, [value], {"[": value}))) if _deep(value) < 8 else value
    text = json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from((None, None, 1, "\t"))),
        separators=draw(st.sampled_from(((",", ":"), (", ", ": "), (" ,\r\n", "\t: ")))),
    )
    # JSON has no infinity and no NaN.
    return re.sub(r"-?Infinity|NaN", "null", text)


_CONTRACT_NAMES = sorted({name for names in FIELDS_OF_TYPE.values() for name in names})
_HOSTILE_TOKENS = st.one_of(
    st.text(max_size=20).map(json.dumps),
    st.text(max_size=20).map(lambda text: f'"{text}"'),
    st.floats().map(repr),
    st.integers().map(str),
    st.from_regex(r"\A-?[0-9]{1,25}(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?\Z").map(lambda text: f'"{text}"'),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,90})\.[0-9]{1,90}[eE]-?[0-9]{1,2}\Z"),
    st.datetimes().map(lambda moment: f'"{moment.isoformat()}"'),
    st.datetimes(timezones=st.sampled_from((UTC, CASABLANCA))).map(lambda moment: f'"{moment.isoformat()}"'),
    nested_tokens(),
    st.sampled_from(
        ("null", "true", "NaN", "1e400", "-0", '""', '"\\u0041\\n\\""', "[]", "{}", '"{"', "01", "+1", "'a'")
    ),
)


@st.composite
def cdrs_with_nested(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A plausible CDR with nested values of unknown fields among its own, and the same CDR without them."""
    tokens = list(draw(cdr_tokens()).items())
    together = list(tokens)
    names = st.one_of(st.sampled_from(("tags", "[", 'a"]', "\\", "record_id")), st.text(max_size=3))
    for name, token in draw(st.lists(st.tuples(names, nested_tokens()), min_size=1, max_size=3)):
        together.insert(draw(st.integers(0, len(together))), (name, token))

    def text(members: Sequence[tuple[str, str]]) -> bytes:
        return ("{" + ", ".join(f"{json.dumps(name)}: {token}" for name, token in members) + "}").encode()

    return text(together), text(tokens)


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    """A plausible CDR whose bytes were cut, doubled, overwritten or grown somewhere."""
    value = draw(cdr_values())
    start = draw(st.integers(0, len(value)))
    end = min(len(value), start + draw(st.integers(0, 12)))
    middle = draw(
        st.one_of(st.binary(max_size=4), st.sampled_from((b"", b'"', b"}", b"{", b"\\", b",", b"\n", b"\x00")))
    )
    return value[:start] + middle + (value[start:] if draw(st.booleans()) else value[end:])


@st.composite
def _with_hostile_tokens(draw: st.DrawFn) -> bytes:
    """A plausible CDR with hostile tokens in one to three fields, or in one it should not have."""
    tokens = draw(cdr_tokens())
    names = st.one_of(st.sampled_from(sorted(tokens)), st.sampled_from(_CONTRACT_NAMES), st.text(max_size=3))
    changed = draw(st.dictionaries(names, _HOSTILE_TOKENS, min_size=1, max_size=3))
    return object_text({**tokens, **changed}).encode("utf-8", errors="replace")


def hostile_values() -> st.SearchStrategy[bytes | None]:
    """One message that may be anything at all: from the corpus, random bytes, random JSON, or a spoilt CDR."""
    anything: st.SearchStrategy[bytes | None] = st.one_of(
        st.none(),
        st.sampled_from(HOSTILE_CORPUS),
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda text: text.encode("utf-8", errors="replace")),
        _JSON_VALUES.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", errors="replace")),
        _spoilt(),
        _with_hostile_tokens(),
        _with_hostile_tokens(),
    )
    return anything.filter(lambda value: not has_lone_surrogate(value))


@st.composite
def hostile_messages(draw: st.DrawFn, max_size: int = 25, shuffled: bool = True) -> list[Message]:
    """Hostile and plausible messages mixed, in any order of the list."""
    values = draw(st.lists(st.one_of(hostile_values(), cdr_values()), max_size=max_size))
    return draw(_placed(values, shuffled))
