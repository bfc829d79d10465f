"""An independent reference implementation of the whole chain, message to bill, used only by tests.

Belongs here: the rules of mediation, rating, billing and reporting, written from the requirements alone in plain
Python: `json`, `decimal`, `datetime`, `zoneinfo`, lists and dicts, one record at a time. Slow and obvious on purpose.

Does not belong here: Spark, DuckDB, Dagster, or any rule imported from `telecom_assets`. An oracle that
shares a line with what it judges shares its mistakes.

Use::

    result = run(messages, customers, rate_plans, catalogue, Parameters(accept_months={"2025-05"}))
    result.outcomes          # one Outcome per message, in the order given
    result.cleaned, result.rejected, result.rated, result.suspended     # rows (dicts) as in schemas/usage.py
    result.imputed, result.charges     # rows of period_charges; all that is charged, every month
    result.bills("2025-05")  # rows of facturation_complete
    result.reports("2025-05")["daily_revenue"]
    result.funnel("2025-05")

Rows carry the columns of the table contracts except `detail` (free text for people) and the three `*_version` columns
(they name table versions, which do not exist here). Decimals are exact and carry the scale of the contract.
"""

import csv
import json
import re
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import cache, cached_property
from itertools import groupby
from math import floor
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

CASABLANCA = ZoneInfo("Africa/Casablanca")
MAX_QUANTITY = 10_000_000
UNKNOWN = "inconnu"

#: Reasons of rejection in the order in which they are asked.
REJECTION_REASONS = (
    "malformed_utf8",
    "malformed_json",
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
#: Reasons of suspension in the order in which they are asked, with what becomes of the row.
SUSPENSION_REASONS = {
    "unknown_customer": "suspended",
    "prepaid_customer": "excluded",
    "inactive_customer": "excluded",
    "unknown_plan": "suspended",
    "no_price": "suspended",
    "missing_volume": "suspended",
    "amount_out_of_range": "suspended",
}
#: An amount has twelve digits before the point.
MAX_AMOUNT = Decimal("999999999999.999999")

_COMMON_FIELDS = ("record_ID", "record_type", "timestamp", "cell_id", "technology")
_MISSING_WHEN_NESTED = {"record_ID", "cell_id", "technology"}
#: Brackets that may lie in each other inside a message's own.
MAX_DEPTH = 8
_GENERATIONS = {None: "4G", "LTE": "4G", "NR": "5G", "UMTS": "3G"}
_DIGITS_AFTER_PREFIX = {"1": 10, "33": 9, "44": 10, "49": 11, "34": 9, "39": 10, "7": 10, "81": 10, "971": 9, "966": 9}

_NUMBER = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)(?:[eE]([+-]?)([0-9]+))?")
_MOROCCAN_MOBILE = re.compile(r"212[67][0-9]{8}")
_YEAR_TO_MINUTE = (
    r"(?P<year>[0-9]{4})HYPHEN(?P<month>[0-9]{2})HYPHEN(?P<day>[0-9]{2})[Tt](?P<hour>[0-9]{2})COLON(?P<minute>[0-9]{2})"
)
_SECOND_TO_OFFSET = (
    r"(?:COLON(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?"
    r"(?P<offset>[Zz]|(?P<sign>[+-])(?P<hours>[0-9]{2})(?:OPTIONAL(?P<minutes>[0-9]{2}))?)?"
)


def _timestamp_form(hyphen: str, colon: str, in_offset: str) -> re.Pattern[str]:
    form = _YEAR_TO_MINUTE + _SECOND_TO_OFFSET
    return re.compile(form.replace("HYPHEN", hyphen).replace("COLON", colon).replace("OPTIONAL", in_offset))


#: The extended format, whose offset may lack its colon, and the basic one, which has no colon anywhere.
_TIMESTAMP_FORMS = (_timestamp_form("-", ":", ":?"), _timestamp_form("", "", ""))

Row = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What the requirements say of one record type, in words of functions. Kinds stand below the functions that they name.

    `quantities` reads each quantity from its text: a figure, None when it is missing, or the reason (a text) why the record
    is refused. `units` counts what is charged of a cleaned row, None when that is missing.
    """

    name: str
    #: The fields of the type's own in the order of the contract; the first names the subscriber.
    own_fields: tuple[str, ...]
    product: Callable[[Mapping[str, str]], str | None]
    units: Callable[[Row], Decimal | None]
    quantities: Mapping[str, Callable[[str | None], Decimal | str | None]] = field(default_factory=dict)
    other_party: str | None = None
    #: Quantities whose unusable values refuse nobody.
    forgiven: frozenset[str] = frozenset()
    #: The quantity that may be imputed: its smallest known value of the month.
    imputed: str | None = None
    #: Whether the bill has a total and a count of its own for it.
    on_bill: bool = True
    #: Whether its units are megabytes, which the reports of traffic add up.
    is_traffic: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        return (*_COMMON_FIELDS, *self.own_fields)


Kinds = Mapping[str, Kind]


@dataclass(frozen=True)
class Message:
    """One Kafka message as received. `received_at` is an aware instant; `value` None is a message without a value."""

    partition: int
    offset: int
    received_at: datetime
    value: bytes | None
    #: Identity of the topic.
    source_id: str = "topic-1"

    @property
    def order(self) -> tuple[datetime, int, int, str]:
        """What "the earliest" means among records that claim one record_ID."""
        return (self.received_at, self.partition, self.offset, self.source_id)


MissingVolumePolicy = Literal["customer_min", "zero", "suspend"]


@dataclass(frozen=True)
class Parameters:
    """The settings that change a result; the defaults are the requirements' own."""

    max_age_days: int = 62
    dedupe_days: int = 31
    accept_months: frozenset[str] | set[str] = frozenset()
    missing_volume_policy: MissingVolumePolicy = "customer_min"
    discount_pct: Decimal = Decimal(5)
    tax_pct: Decimal = Decimal(20)
    currency: str = "MAD"
    #: Rows of billing_terms with their dates; without any the two percentages are the terms.
    terms: Sequence[Row] = ()
    #: Source, partition and offset of the copies that people have chosen, the last choice last.
    chosen: Sequence[tuple[str, int, int]] = ()
    #: The record types by name.
    kinds: Kinds = field(default_factory=lambda: KINDS)

    def __post_init__(self) -> None:
        if self.missing_volume_policy not in {"customer_min", "zero", "suspend"}:
            raise ValueError(f"missing_volume_policy is {self.missing_volume_policy!r}: customer_min, zero or suspend")


@dataclass(frozen=True)
class Timestamp:
    """A valid timestamp: its instant and its local day. Each is None where the shift leaves the years 1 to 9999."""

    utc: datetime | None
    local_day: date | None


@dataclass(frozen=True)
class Outcome:
    """What became of one message: `reason` None means cleaned, and `row` is the row of cleaned_cdrs or rejected_cdrs.

    `original` is the message a duplicate or duplicate_conflict was compared with.
    """

    message: Message
    home_day: date
    reason: str | None
    row: Row
    original: Message | None = None


# ---------------------------------------------------------------------------------------------------------- admission


class _Object(list[tuple[str, object]]):
    """A JSON object as its pairs, so that what a later duplicate key hides is seen."""

    def values(self) -> list[object]:
        return [value for _, value in self]


def _no_such_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=_no_such_constant, strict=True
)


def admit(value: bytes | None, kinds: Kinds | None = None) -> tuple[dict[str, str], str | None]:
    """The fields of a message as texts (missing ones left out) and None, or no fields and the admission error.

    Strings are taken as they are, numbers as their JSON text, true and false as words; null and '' are missing. An array
    or object is missing too where that refuses nobody, and a text that is no value anywhere else.
    """
    try:
        text = (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return {}, "malformed_utf8"
    try:
        pairs = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return {}, "malformed_json"
    if not isinstance(pairs, _Object) or _depth(pairs) > 1 + MAX_DEPTH:
        return {}, "malformed_json"
    missing_when_nested = _missing_when_nested(KINDS if kinds is None else kinds)
    texts = {key: _as_text(item, missing_when_nested=key in missing_when_nested) for key, item in pairs}
    return {key: text for key, text in texts.items() if text}, None


def _depth(item: object) -> int:
    """How many brackets lie around the innermost value."""
    if not isinstance(item, list):
        return 0
    return 1 + max(map(_depth, item.values() if isinstance(item, _Object) else item), default=0)


def _missing_when_nested(kinds: Kinds) -> set[str]:
    """Fields whose nested value refuses nobody: other parties and forgiven quantities beside the common ones."""
    of_kinds = (({kind.other_party} if kind.other_party else set()) | kind.forgiven for kind in kinds.values())
    return _MISSING_WHEN_NESTED.union(*of_kinds)


def _as_text(item: object, *, missing_when_nested: bool) -> str | None:
    if isinstance(item, list):
        shown = "{…}" if isinstance(item, _Object) else "[…]"
        return None if missing_when_nested else shown
    if isinstance(item, bool):
        return "true" if item else "false"
    return None if item is None else str(item)


def read_timestamp(text: str) -> Timestamp | None:
    """A full ISO 8601 date and time as an instant and a local day; None when it is not one.

    In the extended or in the basic format, seconds or not; 24:00 is the first moment of the day after.
    Without an offset it is civil time in Casablanca: a time skipped by the clock moves forward by the gap, a time that
    occurs twice is the first of the two (both are what `fold=0` means in PEP 495).
    """
    match = next((found for form in _TIMESTAMP_FORMS if (found := form.fullmatch(text))), None)
    zone = _zone_of(match) if match else None
    if not match or not zone:
        return None
    year, month, day, hour, minute = (int(match[name]) for name in ("year", "month", "day", "hour", "minute"))
    second, fraction = int(match["second"] or 0), match["fraction"] or "0"
    is_end_of_day = hour == 24 and minute == second == int(fraction) == 0
    try:
        microsecond = int(fraction[:6].ljust(6, "0"))
        naive = datetime(year, month, day, 0 if is_end_of_day else hour, minute, second, microsecond)
    except ValueError:
        return None
    try:
        naive += timedelta(days=is_end_of_day)
        instant = naive.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return Timestamp(None, None)
    try:
        return Timestamp(instant, instant.astimezone(CASABLANCA).date())
    except OverflowError:
        return Timestamp(instant, None)


def _zone_of(match: re.Match[str]) -> tzinfo | None:
    """The zone a timestamp is told in; None when its offset is impossible (18:00 at most, either way)."""
    if match["offset"] is None:
        return CASABLANCA
    hours, minutes = int(match["hours"] or 0), int(match["minutes"] or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > timedelta(hours=18):
        return None
    return timezone(-offset if match["sign"] == "-" else offset)


def _month(day: date) -> str:
    return f"{day.year:04d}-{day.month:02d}"


def _local_day(instant: datetime) -> date:
    return instant.astimezone(CASABLANCA).date()


def _home_day(timestamp: Timestamp | None, received_at: datetime, parameters: Parameters) -> date:
    receipt_day = _local_day(received_at)
    event_day = timestamp.local_day if timestamp else None
    if event_day is None:
        return receipt_day
    if event_day > receipt_day + timedelta(days=1):
        return receipt_day
    is_young = (receipt_day - event_day).days <= parameters.max_age_days
    return event_day if is_young or _month(event_day) in parameters.accept_months else receipt_day


def home_day(message: Message, parameters: Parameters | None = None) -> date:
    """The day a message is at home: its own local day when that is accepted, else the local day of receipt.

    Accepted is a day at most `max_age_days` before receipt or in an opened month, and never later than the day after.
    """
    fields, _ = admit(message.value)
    timestamp = read_timestamp(fields["timestamp"]) if "timestamp" in fields else None
    return _home_day(timestamp, message.received_at, parameters or Parameters())


# ---------------------------------------------------------------------------------------------------------- mediation


def in_one_form(text: str) -> str:
    """A number as E.164 digits without +, however it is written; of a text that is none, something that is none either."""
    bare = "".join(character for character in text if character not in " \t\u00a0\u202f-.()")
    if len(bare) == 9 and bare[0] in "5678":
        return "212" + bare
    rest = bare[1:] if bare[:1] == "+" else bare[2:] if bare[:2] == "00" else bare
    return "212" + rest[1:] if len(rest) == 10 and rest[0] == "0" else rest


def customer_number(text: str) -> str:
    """A customer's number in its one form; an identity that is no number stays as it is."""
    number = in_one_form(text)
    return number if number.isascii() and number.isdigit() else text


def is_subscriber(number: str) -> bool:
    """Whether digits are a subscriber's number: a Moroccan mobile, or a listed prefix and its count of digits."""
    if _MOROCCAN_MOBILE.fullmatch(number):
        return True
    return any(
        re.fullmatch(f"{prefix}[0-9]{{{digits}}}", number) is not None
        for prefix, digits in _DIGITS_AFTER_PREFIX.items()
    )


def lengths_of_region(region: str) -> tuple[int, ...]:
    """How many digits a number of a country may have after the calling code."""
    metadata = PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    assert metadata.general_desc is not None
    return metadata.general_desc.possible_length


@cache
def is_abroad(number: str) -> bool:
    """Whether digits are a number of another country: its calling code and as many digits as libphonenumber allows."""
    if not (number.isascii() and number.isdigit()):
        return False
    for length in (1, 2, 3):
        region, *_ = COUNTRY_CODE_TO_REGION_CODE.get(int(number[:length] or 0), ("001",))
        if region not in {"001", "MA"} and not number.startswith("0"):
            return len(number) - length in lengths_of_region(region)
    return False


def other_party(text: str | None) -> str:
    """The called or receiving number in its one form: Moroccan, or of another country; anything else is unknown."""
    number = in_one_form(text or "")
    return number if re.fullmatch("212[0-9]{9}", number) or is_abroad(number) else UNKNOWN


def read_number(text: str | None) -> Fraction | None:
    """The number that a text says, exactly; None when the text is not entirely one.

    What lies beyond 10^±50 is 10^±50: 1e999999999 has no need of all its digits.
    """
    match = _NUMBER.fullmatch(text or "")
    if not match:
        return None
    mantissa = Decimal(match[1])
    if not mantissa:
        return Fraction(0)
    exponent = Decimal((match[2] or "") + (match[3] or "0"))
    magnitude = mantissa.adjusted() + exponent
    if abs(magnitude) >= 50:
        return Fraction(10) ** (50 if magnitude > 0 else -50) * (-1 if mantissa < 0 else 1)
    return Fraction(mantissa) * Fraction(10) ** int(exponent)


def typed(number: Fraction, places: int) -> Decimal:
    """The number rounded half up to so many decimals, away from zero."""
    units = floor(abs(number) * 10**places + Fraction(1, 2))
    return Decimal(units if number >= 0 else -units).scaleb(-places)


def read_duration(text: str | None) -> Decimal | str:
    """Seconds to three decimals, or the reason why not. What is judged is the typed value."""
    number = read_number(text)
    if text is None:
        return "missing_duration"
    if number is None:
        return "invalid_duration"
    seconds = typed(number, 3)
    if seconds <= 0:
        return "non_positive_duration"
    return "quantity_out_of_range" if seconds > MAX_QUANTITY else seconds


def read_volume(text: str | None) -> Decimal | str | None:
    """Megabytes to six decimals, None when missing, or the reason why not. What is judged is the value as given."""
    if text is None:
        return None
    number = read_number(text)
    if number is None or number < 0:
        return "invalid_volume"
    return "quantity_out_of_range" if number > MAX_QUANTITY else typed(number, 6)


def read_session(text: str | None) -> Decimal | None:
    """Seconds of a data session to three decimals; None when missing or unusable. Never a reason to reject."""
    number = read_number(text)
    return None if number is None or not 0 <= number <= MAX_QUANTITY else typed(number, 3)


def named_product(fields: Mapping[str, str]) -> str | None:
    """The product that the record names."""
    return fields.get("product_code")


def product_by_other_party(prefix: str, field_name: str) -> Callable[[Mapping[str, str]], str]:
    """The product told by where the other party is: at home or abroad."""

    def product(fields: Mapping[str, str]) -> str:
        return f"{prefix}_{'INT' if is_abroad(other_party(fields.get(field_name))) else 'NAT'}"

    return product


def started_minutes(row: Row) -> Decimal:
    """Units of a call: minutes, one that has begun is a whole one."""
    return half_up(Decimal(-(-int(row["duration_sec"] * 1000) // 60_000)), 6)


def one_event(row: Row) -> Decimal:
    """Units of what is charged by the event."""
    return half_up(Decimal(1), 6)


def megabytes(row: Row) -> Decimal | None:
    """Units of a data session; None when the volume is missing."""
    volume: Decimal | None = row["data_volume_mb"]
    return volume


VOICE = Kind(
    "voice",
    ("caller_id", "callee_id", "duration_sec"),
    product_by_other_party("VOICE", "callee_id"),
    started_minutes,
    {"duration_sec": read_duration},
    other_party="callee_id",
)
SMS = Kind(
    "sms",
    ("sender_id", "receiver_id"),
    product_by_other_party("SMS", "receiver_id"),
    one_event,
    other_party="receiver_id",
)
DATA = Kind(
    "data",
    ("user_id", "data_volume_mb", "session_duration_sec", "product_code"),
    named_product,
    megabytes,
    {"data_volume_mb": read_volume, "session_duration_sec": read_session},
    forgiven=frozenset({"session_duration_sec"}),
    imputed="data_volume_mb",
    is_traffic=True,
)
#: The record types of the requirements.
KINDS: Kinds = {kind.name: kind for kind in (VOICE, SMS, DATA)}
#: The contract fields of each.
FIELDS_OF_TYPE = {kind.name: kind.fields for kind in KINDS.values()}


def _objections(
    fields: Mapping[str, str], timestamp: Timestamp | None, day: date, services: Mapping[str, str], kinds: Kinds
) -> Iterator[str]:
    """The reasons against one admitted record, in order; asking for the first asks no later question."""
    if "record_ID" not in fields:
        yield "missing_record_id"
    if "record_type" not in fields:
        yield "missing_record_type"
    if fields["record_type"] not in kinds:
        yield "unknown_record_type"
    if "timestamp" not in fields:
        yield "missing_timestamp"
    if timestamp is None:
        yield "invalid_timestamp"
    elif timestamp.local_day != day:
        yield "outside_acceptance_window"
    kind = kinds[fields["record_type"]]
    subscriber = fields.get(kind.own_fields[0])
    if subscriber is None:
        yield "missing_subscriber"
    if not is_subscriber(in_one_form(subscriber or "")):
        yield "invalid_subscriber"
    # Only the quantities of the record's own type are judged.
    for name, read in kind.quantities.items():
        if isinstance(quantity := read(fields.get(name)), str):
            yield quantity
    if services.get(kind.product(fields) or "") != kind.name:
        yield "unknown_product"


def _cleaned_row(fields: Mapping[str, str], timestamp: Timestamp, day: date, message: Message, kinds: Kinds) -> Row:
    """The cleaned row of a record that nothing speaks against: typed and normalised. Quantities of other types are None."""
    kind = kinds[fields["record_type"]]
    own = {name: read(fields.get(name)) for name, read in kind.quantities.items()}
    technology = fields.get("technology")
    return {
        "record_id": fields["record_ID"],
        "subscriber_id": in_one_form(fields[kind.own_fields[0]]),
        "record_type": kind.name,
        "event_ts": timestamp.utc,
        "other_party": other_party(fields.get(kind.other_party)) if kind.other_party else None,
        "cell_id": fields.get("cell_id", UNKNOWN),
        "technology": _GENERATIONS.get(technology, technology),
        **{name: own.get(name) for each in kinds.values() for name in each.quantities},
        "product_code": kind.product(fields),
        "rating_status": "needs_review" if None in own.values() else "ready",
        "received_at": message.received_at,
        "source_id": message.source_id,
        "source_part": message.partition,
        "source_position": message.offset,
        "event_date": day,
    }


def _rejected_row(
    fields: Mapping[str, str], timestamp: Timestamp | None, day: date, message: Message, reason: str
) -> Row:
    return {
        "record_id": fields.get("record_ID"),
        "reason": reason,
        "record_type": fields.get("record_type"),
        "event_ts": timestamp.utc if timestamp else None,
        "received_at": message.received_at,
        "source_id": message.source_id,
        "source_part": message.partition,
        "source_position": message.offset,
        "event_date": day,
    }


#: Columns of a cleaned row that say when and where the message came, and nothing of the event.
_OF_THE_MESSAGE = {"received_at", "source_id", "source_part", "source_position"}


@dataclass(frozen=True)
class _Judged:
    """One message read and judged by itself, before it is compared with others."""

    message: Message
    fields: dict[str, str]
    timestamp: Timestamp | None
    day: date
    reason: str | None
    kinds: Kinds

    def event(self) -> Row:
        """What a second record with this record_ID must say, in whatever words, to be a duplicate."""
        assert self.timestamp is not None
        row = _cleaned_row(self.fields, self.timestamp, self.day, self.message, self.kinds)
        return {name: row[name] for name in row if name not in _OF_THE_MESSAGE}


def _judge(message: Message, services: Mapping[str, str], parameters: Parameters) -> _Judged:
    kinds = parameters.kinds
    fields, error = admit(message.value, kinds)
    timestamp = read_timestamp(fields["timestamp"]) if "timestamp" in fields else None
    day = _home_day(timestamp, message.received_at, parameters)
    reason = error or next(_objections(fields, timestamp, day, services, kinds), None)
    return _Judged(message, fields, timestamp, day, reason, kinds)


def _original_of(record: _Judged, rivals: Iterable[_Judged], parameters: Parameters) -> _Judged | None:
    """The earliest other valid record with the same record_ID at home within `dedupe_days`, if it came before.

    A chosen one comes before all others, and before those that were chosen before it.
    """
    choices = {place: number for number, place in enumerate(parameters.chosen, start=1)}

    def standing(judged: _Judged) -> tuple[int, tuple[datetime, int, int, str]]:
        message = judged.message
        return -choices.get((message.source_id, message.partition, message.offset), 0), message.order

    earlier = [
        rival
        for rival in rivals
        if abs((rival.day - record.day).days) <= parameters.dedupe_days and standing(rival) < standing(record)
    ]
    return min(earlier, key=standing, default=None)


def mediate(messages: Iterable[Message], catalogue: Iterable[Row], parameters: Parameters) -> list[Outcome]:
    """One outcome for each message, in the order given. Coordinates (partition, offset) must be unique."""
    messages = list(messages)
    if len({(message.partition, message.offset) for message in messages}) != len(messages):
        raise ValueError("two messages share their partition and offset: the oracle wants each message once")
    services = {str(product["product_code"]): str(product["service_type"]) for product in catalogue}
    judged = [_judge(message, services, parameters) for message in messages]
    by_record_id: defaultdict[str, list[_Judged]] = defaultdict(list)
    for record in judged:
        if record.reason is None:
            by_record_id[record.fields["record_ID"]].append(record)
    return [_conclude(record, by_record_id, parameters) for record in judged]


def _conclude(record: _Judged, by_record_id: Mapping[str, list[_Judged]], parameters: Parameters) -> Outcome:
    reason, original = record.reason, None
    if reason is None:
        original = _original_of(record, by_record_id[record.fields["record_ID"]], parameters)
        if original:
            same = original.event() == record.event()
            reason = "duplicate" if same else "duplicate_conflict"
    if reason is None and record.timestamp:
        row = _cleaned_row(record.fields, record.timestamp, record.day, record.message, record.kinds)
    else:
        row = _rejected_row(record.fields, record.timestamp, record.day, record.message, str(reason))
    return Outcome(record.message, record.day, reason, row, original.message if original else None)


# ------------------------------------------------------------------------------------------------------------- rating


def half_up(amount: Decimal, places: int) -> Decimal:
    """The one rounding policy of the chain."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _decimal(value: object) -> Decimal | None:
    """A figure of a reference row: Decimal, int or text; None and '' are none."""
    return None if value is None or value == "" else Decimal(str(value))


@dataclass(frozen=True)
class Price:
    """What one product costs in one plan. `tier_threshold` and `tier_price` are both set or both None."""

    unit_price: Decimal
    free_units: Decimal
    tier_threshold: Decimal | None = None
    tier_price: Decimal | None = None
    #: First days of the row of the plan and of the row of the catalogue; None: without bound.
    plan_valid_from: date | None = None
    product_valid_from: date | None = None

    def cost(self, units: Decimal) -> Decimal:
        """The charge of one event before discount and tax: exact, then rounded once to six decimals."""
        if self.tier_threshold is None or self.tier_price is None:
            return half_up(max(Decimal(0), units - self.free_units) * self.unit_price, 6)
        first_tier = max(Decimal(0), min(units, self.tier_threshold) - self.free_units)
        second_tier = max(Decimal(0), units - max(self.tier_threshold, self.free_units))
        return half_up(first_tier * self.unit_price + second_tier * self.tier_price, 6)


def _in_force(line: Row, day: date) -> bool:
    """Whether a reference row is in force on a local day: its first day counts, its last bound does not."""
    first, end = _date(line.get("valid_from")), _date(line.get("valid_to"))
    return not (first and day < first) and not (end and day >= end)


def _date(value: object) -> date | None:
    """A day of a reference row: a date or its text; None and '' are none."""
    return value if isinstance(value, date) else date.fromisoformat(str(value)) if value else None


@dataclass(frozen=True)
class Tariffs:
    """The rows of plans and, where it matters, of the catalogue (None: it has every product on every day)."""

    rate_plans: Sequence[Row]
    catalogue: Sequence[Row] | None = None

    def knows(self, plan: object) -> bool:
        """Whether a plan has a price for anything on any day."""
        return any(str(line["rate_plan_id"]) == str(plan) for line in self.rate_plans)

    def price(self, plan: object, row: Row) -> Price | None:
        """What an event costs in a plan on its day."""
        day, product = row["event_date"], str(row["product_code"])
        lines = [
            line
            for line in self.rate_plans
            if (str(line["rate_plan_id"]), str(line["product_code"])) == (str(plan), product) and _in_force(line, day)
        ]
        known: Sequence[Row] = [{}]
        if self.catalogue is not None:
            known = [line for line in self.catalogue if str(line["product_code"]) == product and _in_force(line, day)]
        if not lines or not known:
            return None
        [line], [of_product] = lines, known
        return Price(
            _decimal(line["unit_price"]) or Decimal(0),
            _decimal(line["free_units"]) or Decimal(0),
            _decimal(line.get("tier_threshold")),
            _decimal(line.get("tier_price")),
            _date(line.get("valid_from")),
            _date(of_product.get("valid_from")),
        )


def customer_on(versions: Iterable[Row], day: date) -> Row | None:
    """The version of a customer that is in force on a day; without dates a version is in force on all days."""
    for row in versions:
        begins, ends = row.get("valid_from"), row.get("valid_to")
        if (begins is None or begins <= day) and (ends is None or day < ends):
            return row
    return None


def is_over(versions: Sequence[Row], day: date) -> bool:
    """Whether every version of a customer, and there are some, has ended on or before a day."""
    ends = [row.get("valid_to") for row in versions]
    return bool(ends) and all(end is not None and end <= day for end in ends)


def versions_of(customers: Iterable[Row]) -> defaultdict[str, list[Row]]:
    """The versions of each customer by customer_id."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in customers:
        found[str(row["customer_id"])].append(row)
    return found


def smallest_volumes(
    cleaned: Iterable[Row], customers: Iterable[Row], kinds: Kinds | None = None
) -> dict[tuple[str, str, int], Decimal]:
    """The smallest known volume by (month, subscriber, holder) of the type that may have one imputed, compared as numbers."""
    versions, smallest = versions_of(customers), dict[tuple[str, str, int], Decimal]()
    for row in cleaned:
        kind = (KINDS if kinds is None else kinds).get(row["record_type"])
        volume = row[kind.imputed] if kind and kind.imputed else None
        customer = customer_on(versions[str(row["subscriber_id"])], row["event_date"])
        if isinstance(volume, Decimal) and customer is not None:
            key = (_month(row["event_date"]), str(row["subscriber_id"]), int(customer.get("holder_no") or 1))
            smallest[key] = min(volume, smallest.get(key, volume))
    return smallest


def known_units(row: Row, kinds: Kinds) -> Decimal | None:
    """Billable units of a cleaned event; None when its quantity is missing, or it is of no known type."""
    kind = kinds.get(row["record_type"])
    return kind.units(row) if kind else None


def _is_billable(customer: Row) -> bool:
    return bool(customer["subscription_type"] == "postpaid" and customer["status"] == "active")


def _suspension(row: Row, versions: Sequence[Row], tariffs: Tariffs, parameters: Parameters) -> Iterator[str]:
    """The reasons not to charge one cleaned event of a customer with these versions, in order."""
    customer = customer_on(versions, row["event_date"])
    if customer is None:
        yield "inactive_customer" if is_over(versions, row["event_date"]) else "unknown_customer"
        return
    if customer["subscription_type"] != "postpaid":
        yield "prepaid_customer"
    if customer["status"] != "active":
        yield "inactive_customer"
    if not tariffs.knows(customer["rate_plan_id"]):
        yield "unknown_plan"
    elif tariffs.price(customer["rate_plan_id"], row) is None or row["record_type"] not in parameters.kinds:
        yield "no_price"
    if known_units(row, parameters.kinds) is None and parameters.missing_volume_policy != "zero":
        yield "missing_volume"


def rate(
    cleaned: Iterable[Row],
    customers: Iterable[Row],
    rate_plans: Iterable[Row],
    parameters: Parameters,
    catalogue: Iterable[Row] | None = None,
) -> tuple[list[Row], list[Row]]:
    """Rated rows and suspended rows: each cleaned row becomes exactly one of either."""
    by_id = versions_of(customers)
    tariffs = Tariffs(list(rate_plans), None if catalogue is None else list(catalogue))
    rated, suspended = [], []
    for row in cleaned:
        versions = by_id[str(row["subscriber_id"])]
        customer = customer_on(versions, row["event_date"])
        reason, charged = next(_suspension(row, versions, tariffs, parameters), None), None
        price = tariffs.price(customer["rate_plan_id"], row) if customer else None
        if reason is None and customer is not None and price is not None:
            charged = _rated_row(row, customer, price, parameters.kinds)
            reason = "amount_out_of_range" if charged["amount"] > MAX_AMOUNT else None
        if charged and reason is None:
            rated.append(charged)
        else:
            suspended.append(_suspended_row(row, customer, price, str(reason), parameters))
    return rated, suspended


def _usage_columns(row: Row) -> Row:
    """What a rated and a suspended row both keep of the cleaned event."""
    kept = ("record_id", "record_type", "event_ts", "product_code", "rating_status")
    coordinates = ("source_id", "source_part", "source_position", "event_date")
    period = {"billing_period": _month(row["event_date"])}
    return {name: row[name] for name in (*kept, *coordinates)} | period | {"customer_id": row["subscriber_id"]}


def _charge_columns(price: Price, units: Decimal, *, imputed: bool) -> Row:
    """Every figure of a price; `amount` may be more than a column holds."""
    return {
        "billable_units": units,
        "free_units_applied": half_up(min(units, price.free_units), 6),
        "unit_price": price.unit_price,
        "tier_threshold": price.tier_threshold,
        "tier_price": price.tier_price,
        "amount": price.cost(units),
        "imputed": imputed,
        **_named_rows(price),
    }


def _named_rows(price: Price | None) -> Row:
    """The rows that a price is from."""
    return {
        "plan_valid_from": price.plan_valid_from if price else None,
        "product_valid_from": price.product_valid_from if price else None,
    }


def _rated_row(row: Row, customer: Row, price: Price, kinds: Kinds) -> Row:
    units = known_units(row, kinds)
    charge = _charge_columns(price, half_up(Decimal(0), 6) if units is None else units, imputed=units is None)
    return _usage_columns(row) | _home(customer) | charge


def _home(customer: Row | None) -> Row:
    """What a rated and a suspended row say of the version of the customer that is in force."""
    if customer is None:
        return dict.fromkeys(("rate_plan_id", "region", "holder_no", "customer_valid_from"))
    named = {name: customer[name] for name in ("rate_plan_id", "region")}
    return named | {"holder_no": customer.get("holder_no") or 1, "customer_valid_from": customer.get("valid_from")}


def _suspended_row(row: Row, customer: Row | None, price: Price | None, reason: str, parameters: Parameters) -> Row:
    deferred = reason == "missing_volume" and parameters.missing_volume_policy == "customer_min"
    return (
        _usage_columns(row)
        | _home(customer)
        | {
            "reason": reason,
            "disposition": "deferred" if deferred else SUSPENSION_REASONS[reason],
            "billable_units": known_units(row, parameters.kinds),
            **_named_rows(price if row["record_type"] in parameters.kinds else None),
        }
    )


def impute(
    suspended: Iterable[Row],
    cleaned: Iterable[Row],
    customers: Iterable[Row],
    rate_plans: Iterable[Row],
    kinds: Kinds | None = None,
    catalogue: Iterable[Row] | None = None,
) -> list[Row]:
    """A row for every deferred event: what it would have cost with the smallest known volume of its holder in the month.

    An amount that no column holds is None: the event is known, and nobody is charged.
    """
    tariffs = Tariffs(list(rate_plans), None if catalogue is None else list(catalogue))
    smallest, rows = smallest_volumes(cleaned, customers, kinds), []
    for row in suspended:
        if row["disposition"] != "deferred":
            continue
        kept = {name: value for name, value in row.items() if name not in {"reason", "disposition"}}
        price = tariffs.price(row["rate_plan_id"], row)
        assert price is not None  # an event without a price on its day is not deferred
        holder = (str(row["billing_period"]), str(row["customer_id"]), row["holder_no"])
        units = smallest.get(holder, Decimal(0))
        charge = _charge_columns(price, half_up(units, 6), imputed=True)
        rows.append(kept | charge | {"amount": charge["amount"] if charge["amount"] <= MAX_AMOUNT else None})
    return rows


# ------------------------------------------------------------------------------------------------- billing and reports


def _total(rows: Iterable[Row], column: str) -> Decimal:
    return sum((row[column] for row in rows), Decimal(0))


#: Decimals of an amount in the currencies of the tests, as ISO 4217 has them.
CURRENCY_DECIMALS = {"JPY": 0, "MAD": 2, "EUR": 2, "TND": 3}


def terms_of(month: str, parameters: Parameters) -> Row:
    """The terms that are in force on the last day of a month."""
    if not parameters.terms:
        tax = Decimal(parameters.tax_pct)
        return {"discount_pct": Decimal(parameters.discount_pct), "tax_pct": tax, "tax_category": "S" if tax else "Z"}
    year, number = map(int, month.split("-"))
    last = date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)
    [row] = [
        row
        for row in parameters.terms
        if (row["valid_from"] or date.min) <= last and (row["valid_to"] is None or last < row["valid_to"])
    ]
    return row


def line_rows(rated: Iterable[Row], month: str, parameters: Parameters) -> list[Row]:
    """Rows of bill_lines of a month: what one service cost a holder of a number in one plan and region."""
    terms, decimals = terms_of(month, parameters), CURRENCY_DECIMALS[parameters.currency]
    order = [kind.name for kind in KINDS.values() if kind.on_bill]
    parts: defaultdict[tuple[str, int, str, str, str], list[Row]] = defaultdict(list)
    for row in rated:
        if row["billing_period"] == month:
            holder = row["holder_no"] or 1
            parts[row["customer_id"], holder, row["record_type"], row["rate_plan_id"], row["region"]].append(row)
    lines: list[Row] = []
    numbers: Counter[tuple[str, int]] = Counter()

    def place(key: tuple[str, int, str, str, str]) -> tuple[object, ...]:
        customer, holder, service, plan, region = key
        return customer, holder, order.index(service) if service in order else len(order), service, plan, region

    for key in sorted(parts, key=place):
        customer, holder, service, plan, region = key
        numbers[customer, holder] += 1
        exact = _total(parts[key], "amount")
        lines.append(
            {
                "customer_id": customer,
                "holder_no": holder,
                "line_no": numbers[customer, holder],
                "document": "bill",
                "kind": "usage",
                "line_kind": None,
                "service": service,
                "rate_plan_id": plan,
                "region": region,
                "tax_category": terms["tax_category"],
                "tax_pct": half_up(terms["tax_pct"], 4),
                "discount_pct": half_up(terms["discount_pct"], 4),
                "original_period": None,
                "events": len(parts[key]),
                "units": _total(parts[key], "billable_units"),
                "exact_amount": exact,
                "amount": half_up(exact, decimals),
                "billing_period": month,
            }
        )
    return lines


def rate_totals(lines: Iterable[Row], decimals: int) -> dict[tuple[str, Decimal], tuple[Decimal, Decimal]]:
    """Discount and tax of one document's lines, by tax category and rate."""
    groups: defaultdict[tuple[str, Decimal], defaultdict[Decimal, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for line in lines:
        groups[line["tax_category"], line["tax_pct"]][line["discount_pct"]] += line["amount"]
    found = {}
    for rate, of_discount in groups.items():
        discount = sum((half_up(amount * pct.scaleb(-2), decimals) for pct, amount in of_discount.items()), Decimal(0))
        base = sum(of_discount.values(), Decimal(0)) - discount
        found[rate] = (discount, half_up(base * rate[1].scaleb(-2), decimals))
    return found


def shares(lines: Sequence[Row], decimals: int) -> list[tuple[Row, Decimal]]:
    """Each line of one document with its share in the document's amount due; the shares add up to it exactly."""
    found: list[tuple[Row, Decimal]] = []
    smallest = Decimal(1).scaleb(-decimals)
    for rate, (discount, tax) in rate_totals(lines, decimals).items():
        own = [line for line in lines if (line["tax_category"], line["tax_pct"]) == rate]
        own.sort(key=lambda line: (-abs(line["amount"]), line["line_no"]))
        due = _total(own, "amount") - discount + tax
        parts = [
            half_up(line["amount"] * (1 - line["discount_pct"] / 100) * (1 + line["tax_pct"] / 100), decimals)
            for line in own
        ]
        while (left := due - sum(parts, Decimal(0))) != 0:
            for place in range(min(len(parts), int(abs(left) / smallest))):
                parts[place] += smallest if left > 0 else -smallest
        found += zip(own, parts, strict=True)
    return found


def bill(customer: Row, lines: Sequence[Row], month: str, parameters: Parameters) -> Row:
    """One customer's bill from that customer's lines of the month."""
    terms, decimals = terms_of(month, parameters), CURRENCY_DECIMALS[parameters.currency]
    columns = [kind.name for kind in KINDS.values() if kind.on_bill]
    of_type = {kind: [line for line in lines if line["service"] == kind] for kind in columns}
    before_tax = half_up(_total(lines, "amount"), decimals)
    rates = rate_totals(lines, decimals).values()
    discount, tax = (half_up(sum((each[place] for each in rates), Decimal(0)), decimals) for place in (0, 1))
    return {
        "customer_id": customer["customer_id"],
        "holder_no": customer.get("holder_no") or 1,
        "region": customer["region"],
        "rate_plan_id": customer["rate_plan_id"],
        **{f"{kind}_total": half_up(_total(found, "amount"), decimals) for kind, found in of_type.items()},
        **{f"{kind}_count": sum(line["events"] for line in found) for kind, found in of_type.items()},
        "adjustments_total": half_up(Decimal(0), decimals),
        "other_total": half_up(_total([line for line in lines if line["service"] not in columns], "amount"), decimals),
        "amount_before_tax": before_tax,
        "discount_pct": half_up(terms["discount_pct"], 4),
        "discount": discount,
        "after_discount": before_tax - discount,
        "tax_pct": half_up(terms["tax_pct"], 4),
        "tax": tax,
        "amount_due": before_tax - discount + tax,
        "rounding_difference": half_up(before_tax - _total(lines, "exact_amount"), 6),
        "currency": parameters.currency,
        "status": "draft",
        "billing_period": month,
    }


def bill_all(lines: Iterable[Row], customers: Iterable[Row], month: str, parameters: Parameters) -> list[Row]:
    """The month's bills by holder: whoever is active postpaid on the last day, and whoever else has lines.

    Region and plan are those of the last day, else of the last version that had begun by then.
    """
    year, number = map(int, month.split("-"))
    last = date(year, number, monthrange(year, number)[1])
    of_holder: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for line in lines:
        of_holder[str(line["customer_id"]), line["holder_no"]].append(line)
    versions: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in customers:
        versions[str(row["customer_id"]), int(row.get("holder_no") or 1)].append(row)
    bills = []
    for holder in sorted(versions):
        on_last_day = customer_on(versions[holder], last)
        begun = [row for row in versions[holder] if (row.get("valid_from") or date.min) <= last]
        if (on_last_day is not None and _is_billable(on_last_day)) or holder in of_holder:
            version = on_last_day or max(begun, key=lambda row: row.get("valid_from") or date.min)
            bills.append(bill(version, of_holder[holder], month, parameters))
    return bills


def due_by_home(lines: Iterable[Row], bills: Iterable[Row], decimals: int) -> list[Row]:
    """What is due of each line, at its plan and region; and nothing at the home of each bill, so that its plan is named."""

    def document(line: Row) -> tuple[str, int, str]:
        return line["customer_id"], line["holder_no"], line["document"]

    documents = groupby(sorted(lines, key=document), document)
    homes = [{**row, "share": Decimal(0)} for row in bills]
    return homes + [{**line, "share": share} for _, own in documents for line, share in shares(list(own), decimals)]


def _sums(rows: Iterable[Row], by: tuple[str, ...], column: str, output: str, month: str) -> list[Row]:
    """Rows of a report: one per value of `by`, in its order, with the sum of `column`."""

    def key(row: Row) -> tuple[object, ...]:
        return tuple(row[name] for name in by)

    groups = groupby(sorted(rows, key=key), key)
    return [
        dict(zip(by, values, strict=True)) | {output: _total(list(group), column), "billing_period": month}
        for values, group in groups
    ]


def report_all(
    rated: Iterable[Row], lines: Iterable[Row], bills: Iterable[Row], month: str, parameters: Parameters
) -> dict[str, list[Row]]:
    """The six reports of a month by table name, each in the order of its key (top10_consumers: largest first)."""
    bills = list(bills)
    usage = [
        row | {"billing_date": row["event_date"], "hour": row["event_ts"].astimezone(CASABLANCA).hour}
        for row in rated
        if row["billing_period"] == month
    ]
    homes = due_by_home(lines, bills, CURRENCY_DECIMALS[parameters.currency])
    traffic = {kind.name for kind in parameters.kinds.values() if kind.is_traffic}
    data = [row for row in usage if row["record_type"] in traffic]
    due: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in bills:
        due[row["customer_id"]] += row["amount_due"]
    consumers = _sums(data, ("customer_id",), "billable_units", "total_mb", month)
    consumers.sort(key=lambda row: -row["total_mb"])
    hours = _sums(data, ("billing_date", "hour"), "billable_units", "total_gb", month)
    return {
        "daily_revenue": _sums(usage, ("billing_date",), "amount", "revenue", month),
        "mix_by_region": _sums(usage, ("region", "record_type"), "amount", "revenue", month),
        "revenue_by_plan": _sums(homes, ("rate_plan_id",), "share", "revenue_incl_tax", month),
        "plan_by_region": _sums(homes, ("region", "rate_plan_id"), "share", "revenue_incl_tax", month),
        "top10_consumers": [
            {name: row[name] for name in ("customer_id", "total_mb")}
            | {"amount_due": due[row["customer_id"]], "billing_period": month}
            for row in consumers[:10]
        ],
        "traffic_hourly": [row | {"total_gb": half_up(row["total_gb"] / 1024, 6)} for row in hours],
    }


# ------------------------------------------------------------------------------------------------------ the whole chain


@dataclass(frozen=True)
class Funnel:
    """Counts and money from received to billed: of one month (by home day), or of everything when `month` is None."""

    month: str | None
    received: int
    cleaned: int
    rejected: dict[str, int]
    rated: int
    rated_amount: Decimal
    #: By reason; the deferred are not among them.
    suspended: dict[str, int]
    deferred: int
    imputed: int
    imputed_amount: Decimal
    #: Those of the imputed that have no amount.
    imputed_out_of_range: int
    bills: int
    amount_before_tax: Decimal
    amount_due: Decimal

    @property
    def charged(self) -> int:
        return self.rated + self.imputed - self.imputed_out_of_range

    @property
    def charged_amount(self) -> Decimal:
        return self.rated_amount + self.imputed_amount


@dataclass
class Result:
    """Everything the chain makes of some messages; see the module's docstring."""

    outcomes: list[Outcome]
    customers: list[Row]
    rate_plans: list[Row]
    catalogue: list[Row]
    parameters: Parameters
    _bills: dict[str, list[Row]] = field(default_factory=dict, repr=False)

    @cached_property
    def cleaned(self) -> list[Row]:
        return [outcome.row for outcome in self.outcomes if outcome.reason is None]

    @cached_property
    def rejected(self) -> list[Row]:
        return [outcome.row for outcome in self.outcomes if outcome.reason is not None]

    @cached_property
    def _rated_and_suspended(self) -> tuple[list[Row], list[Row]]:
        with localcontext(prec=80):
            return rate(self.cleaned, self.customers, self.rate_plans, self.parameters, self.catalogue)

    @property
    def rated(self) -> list[Row]:
        return self._rated_and_suspended[0]

    @property
    def suspended(self) -> list[Row]:
        return self._rated_and_suspended[1]

    @cached_property
    def imputed(self) -> list[Row]:
        """Rows of period_charges, of every month."""
        with localcontext(prec=80):
            return impute(
                self.suspended, self.cleaned, self.customers, self.rate_plans, self.parameters.kinds, self.catalogue
            )

    @property
    def charges(self) -> list[Row]:
        """All that is charged: what the days have priced, and what the months have."""
        return [*self.rated, *(row for row in self.imputed if row["amount"] is not None)]

    def months(self) -> list[str]:
        """The months that have cleaned usage."""
        return sorted({_month(row["event_date"]) for row in self.cleaned})

    def lines(self, month: str) -> list[Row]:
        """Rows of bill_lines, by holder and number."""
        with localcontext(prec=80):
            return line_rows(self.charges, month, self.parameters)

    def bills(self, month: str) -> list[Row]:
        """Rows of facturation_complete, by holder."""
        if month not in self._bills:
            with localcontext(prec=80):
                self._bills[month] = bill_all(self.lines(month), self.customers, month, self.parameters)
        return self._bills[month]

    def reports(self, month: str) -> dict[str, list[Row]]:
        """Rows of the six reports by table name."""
        with localcontext(prec=80):
            return report_all(self.charges, self.lines(month), self.bills(month), month, self.parameters)

    def funnel(self, month: str | None = None) -> Funnel:
        """The month's funnel; without a month, the funnel of everything (bills of every month with usage)."""
        outcomes = [item for item in self.outcomes if month in {None, _month(item.home_day)}]
        rated = [row for row in self.rated if month in {None, row["billing_period"]}]
        suspended = [row for row in self.suspended if month in {None, row["billing_period"]}]
        imputed = [row for row in self.imputed if month in {None, row["billing_period"]}]
        bills = [row for each in ([month] if month else self.months()) for row in self.bills(each)]
        rejected = Counter(item.reason for item in outcomes if item.reason)
        reasons = Counter(str(row["reason"]) for row in suspended if row["disposition"] != "deferred")
        return Funnel(
            month=month,
            received=len(outcomes),
            cleaned=len(outcomes) - rejected.total(),
            rejected={reason: rejected[reason] for reason in REJECTION_REASONS if rejected[reason]},
            rated=len(rated),
            rated_amount=_total(rated, "amount"),
            suspended={reason: reasons[reason] for reason in SUSPENSION_REASONS if reasons[reason]},
            deferred=sum(row["disposition"] == "deferred" for row in suspended),
            imputed=len(imputed),
            imputed_amount=sum((row["amount"] for row in imputed if row["amount"] is not None), Decimal(0)),
            imputed_out_of_range=sum(row["amount"] is None for row in imputed),
            bills=len(bills),
            amount_before_tax=_total(bills, "amount_before_tax"),
            amount_due=_total(bills, "amount_due"),
        )


def run(
    messages: Iterable[Message],
    customers: Iterable[Row],
    rate_plans: Iterable[Row],
    catalogue: Iterable[Row],
    parameters: Parameters | None = None,
) -> Result:
    """The whole chain over some messages. Reference rows are dicts; their figures may be Decimal, int or text."""
    parameters = parameters or Parameters()
    catalogue = list(catalogue)
    outcomes = mediate(messages, catalogue, parameters)
    customers = [customer | {"customer_id": customer_number(str(customer["customer_id"]))} for customer in customers]
    return Result(outcomes, customers, list(rate_plans), catalogue, parameters)


def read_csv(path: Path) -> list[Row]:
    """Reference rows of a CSV file with a header; blank lines are skipped, figures stay texts."""
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def read_jsonl(path: Path, received_at: datetime, partition: int = 0) -> list[Message]:
    """The lines of a JSON Lines file as messages, offsets from 0 in the order of the file."""
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    return [Message(partition, offset, received_at, line) for offset, line in enumerate(lines)]
