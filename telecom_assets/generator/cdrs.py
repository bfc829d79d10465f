"""CDRs: lines of JSON in the order in which they are sent.

Belongs here: the shape and the error rates of the input contract. Does not belong here: files, Kafka, and what
mediation makes of a record. Everything is done on whole columns: texts come from pools by index, and one join makes the
lines, which is what makes it fast.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from telecom_assets.generator import timeline
from telecom_assets.generator.customers import generate_customers
from telecom_assets.generator.numbers import fixed_width_text, foreign_numbers, moroccan_numbers, random_characters
from telecom_assets.generator.spec import FIRST_DAY, GeneratorSpec, random_stream
from telecom_assets.generator.timeline import DAY_SEC, SLOT_SEC, CivilTime, Int64Array
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import Hundredths, Quantity, RecordType, WholeNumbers

DUPLICATE_SHARE = 0.01
LATE_SHARE = 0.005
TIMESTAMP_NULL_SHARE = 0.05
TIMESTAMP_RANDOM_SHARE = 0.05
TIMESTAMP_FRACTION_SHARE = 0.005
TIMESTAMP_OFFSET_SHARE = 0.005
CELL_NULL_SHARE = 0.30
TECHNOLOGY_NULL_SHARE = 0.10
SUBSCRIBER_NULL_SHARE = 0.025
SUBSCRIBER_RANDOM_SHARE = 0.025
FOREIGN_SHARE = 0.20
ON_NET_SHARE = 0.40

TECHNOLOGIES = {"2G": 6, "3G": 20, "4G": 40, "5G": 20, "LTE": 7, "NR": 5, "UMTS": 2}
#: City and how many cells it has.
CITIES = {
    "AGADIR": 3, "ALHOCEIMA": 2, "BENIMELLAL": 2, "CASABLANCA": 6, "DAKHLA": 1, "ERRACHIDIA": 1, "FES": 4,
    "GUELMIM": 1, "KENITRA": 2, "LAAYOUNE": 2, "MARRAKECH": 4, "MEKNES": 3, "NADOR": 2, "OUARZAZATE": 1, "OUJDA": 2,
    "RABAT": 4, "SAFI": 2, "TANGER": 4, "TAZA": 1, "TETOUAN": 2,
}  # fmt: skip

# Delays in milliseconds: of a late line after its event, of a duplicate after the first line.
LATE_MS = (1 * DAY_SEC * 1000, 5 * DAY_SEC * 1000)
DUPLICATE_MS = (60 * 1000, DAY_SEC * 1000)

# A few customers are heavy: weight falls with rank, mildly (the heaviest of 5,000 has about 10 times the average).
_HEAVY_EXPONENT, _HEAVY_FLAT = 0.45, 10

_HEX = np.array([int.from_bytes(f"{byte:02x}".encode(), "little") for byte in range(256)], dtype="<u2")
_UUID_GROUPS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))

BoolArray = npt.NDArray[np.bool_]


def generate_cdr_chunks(spec: GeneratorSpec, record_types: RecordTypes = RECORD_TYPES) -> Iterator[pa.StringArray]:
    """The lines of the request, without line ends, in chunks of about `spec.chunk_rows`, in the order of sending.

    There are `spec.cdrs` lines in all; one in a hundred is a byte-identical repetition of an earlier one. A line is
    sent when its event begins, but late ones 1 to 5 days after, and repetitions up to a day after the first. Memory
    is bounded by the chunk and by the lines that wait to be sent late (about one in a thousand of a month). Each record type
    has its share of them; one without a share is not generated.
    """
    civil = CivilTime(FIRST_DAY, max(spec.random_until, spec.end_day))
    rng = random_stream(spec.seed, "cdrs", spec.cdrs, spec.customers, spec.first_day.year, spec.first_day.month)
    records = _Records(spec, rng, civil, [each for each in record_types if each.share])
    starts, shares = timeline.traffic_slots(spec.first_day, spec.end_day, civil, rng)
    duplicates = round(spec.cdrs * DUPLICATE_SHARE)
    originals = spec.cdrs - duplicates
    counts = rng.multinomial(originals, shares)

    waiting, waiting_ms = pa.array([], pa.string()), np.empty(0, dtype=np.int64)
    made = repeated = 0
    for low, high in _groups(counts, spec.chunk_rows):
        begins = np.repeat(starts[low:high] * 1000, counts[low:high])
        begins += rng.integers(0, SLOT_SEC * 1000, size=begins.size)
        text, send_ms = records.lines(begins)
        late = rng.random(begins.size) < LATE_SHARE
        send_ms[late] += rng.integers(*LATE_MS, size=int(late.sum()))
        # Duplicates are spread evenly: each chunk has so many that all add up to exactly their share.
        made += begins.size
        repeat = made * duplicates // originals - repeated
        repeated += repeat
        again = rng.choice(begins.size, size=repeat, replace=False)
        again_ms = send_ms[again] + rng.integers(*DUPLICATE_MS, size=repeat)

        text = pa.concat_arrays([text, text.take(pa.array(again)), waiting])
        send_ms = np.concatenate([send_ms, again_ms, waiting_ms])
        order = np.argsort(send_ms, kind="stable")
        due = np.searchsorted(send_ms[order], (starts[high - 1] + SLOT_SEC) * 1000)
        waiting, waiting_ms = text.take(pa.array(order[due:])), send_ms[order[due:]]
        if due:
            yield text.take(pa.array(order[:due]))
    for first in range(0, len(waiting), spec.chunk_rows):
        yield waiting.slice(first, spec.chunk_rows)


def _groups(counts: Int64Array, rows: int) -> Iterator[tuple[int, int]]:
    """Ranges of slots [low, high) with at least `rows` events each; the last has the remaining ones."""
    total = np.cumsum(counts)
    low = done = 0
    while done < total[-1]:
        high = min(int(np.searchsorted(total, done + rows)) + 1, total.size)
        yield low, high
        low, done = high, int(total[high - 1])


class _Records:
    """Makes the lines of events, given when they begin."""

    def __init__(
        self, spec: GeneratorSpec, rng: np.random.Generator, civil: CivilTime, record_types: Sequence[RecordType]
    ) -> None:
        self._types = record_types
        self._rng = rng
        self._civil = civil
        self._random_range = (timeline.local_midnight(FIRST_DAY), timeline.local_midnight(spec.random_until))
        self._subscribers = _Subscribers(generate_customers(spec.customers, spec.seed), rng)
        self._times = _TimeTexts(max(spec.random_until, spec.end_day))
        self._radio = {each.name: _radio_texts(f'"{each.subscriber}": ') for each in record_types}

    def lines(self, begins_ms: Int64Array) -> tuple[pa.StringArray, Int64Array]:
        """The lines of these events and when each begins: those of one record type after those of another."""
        kinds = _drawn([each.share for each in self._types], self._rng.random(begins_ms.size))
        parts = [begins_ms[kinds == kind] for kind in range(len(self._types))]
        lines = [self._records(each, part) for each, part in zip(self._types, parts, strict=True)]
        return pa.concat_arrays(lines), np.concatenate(parts)

    def _records(self, record_type: RecordType, begins_ms: Int64Array) -> pa.StringArray:
        """The lines of one record type: its fields in their order, each value drawn in that order."""
        size = begins_ms.size
        parts = self._head(record_type, begins_ms)
        if record_type.other_party:
            parts += [f', "{record_type.other_party}": "', self._other_party(size), '"']
        for quantity in record_type.quantities:
            parts += [f', "{quantity.field}": ', self._quantity(quantity, size)]
        if record_type.product_field:
            names, shares = zip(*record_type.product_shares, strict=True)
            products = pa.array([f', "{record_type.product_field}": "{name}"' for name in names])
            parts.append(products.take(pa.array(_drawn(shares, self._rng.random(size)))))
        return _join(*_texts_joined([*parts, "}"]))

    def _head(self, record_type: RecordType, begins_ms: Int64Array) -> list[pa.Array | str]:
        """The columns up to the subscriber's number: identity, type, time, cell, technology, subscriber."""
        size = begins_ms.size
        head = f'{{"record_ID": "{{uuid}}", "record_type": "{record_type.name}", "timestamp": '
        radio = self._radio[record_type.name]
        return [
            _with_uuids(head, self._rng, size),
            *self._timestamp(begins_ms),
            radio.take(pa.array(self._radio_index(size))),
            self._subscribers.draw(size),
        ]

    def _timestamp(self, begins_ms: Int64Array) -> list[pa.Array]:
        fate = self._rng.random(begins_ms.size)
        null = fate < TIMESTAMP_NULL_SHARE
        anytime = ~null & (fate < TIMESTAMP_NULL_SHARE + TIMESTAMP_RANDOM_SHARE)
        instant, millisecond = np.divmod(begins_ms, 1000)
        instant[anytime] = self._rng.integers(*self._random_range, size=int(anytime.sum()))
        offset_sec = self._civil.offset_sec(instant)
        form = self._rng.random(begins_ms.size)
        ending = np.full(begins_ms.size, _TimeTexts.PLAIN, dtype=np.int64)
        fraction = form < TIMESTAMP_FRACTION_SHARE
        ending[fraction] = _TimeTexts.FRACTIONS + millisecond[fraction]
        with_offset = form >= 1 - TIMESTAMP_OFFSET_SHARE
        ending[with_offset] = np.where(offset_sec[with_offset] == 0, _TimeTexts.UTC, _TimeTexts.PLUS_ONE)
        return self._times.texts(instant + offset_sec, ending, null)

    def _radio_index(self, size: int) -> Int64Array:
        cells, technologies = sum(CITIES.values()), len(TECHNOLOGIES)
        cell = self._rng.integers(0, cells, size=size)
        cell[self._rng.random(size) < CELL_NULL_SHARE] = cells
        shares = np.cumsum([*TECHNOLOGIES.values()]) / sum(TECHNOLOGIES.values()) * (1 - TECHNOLOGY_NULL_SHARE)
        return cell * (technologies + 1) + np.searchsorted(shares, self._rng.random(size), side="right")

    def _other_party(self, size: int) -> pa.Array:
        fate = self._rng.random(size)
        number = moroccan_numbers(self._rng, size)
        foreign = fate < FOREIGN_SHARE
        number[foreign] = foreign_numbers(self._rng, int(foreign.sum()))
        on_net = ~foreign & (fate < FOREIGN_SHARE + ON_NET_SHARE)
        number[on_net] = self._subscribers.numbers(int(on_net.sum()))
        return pa.array(number).cast(pa.string())

    def _quantity(self, quantity: Quantity, size: int) -> pa.Array:
        """JSON values of a quantity, distributed as its record type says; null where the type says nothing."""
        match quantity.generated:
            case WholeNumbers() as values:
                return self._whole_numbers(values, size)
            case Hundredths() as values:
                return self._hundredths(values, size)
        return pa.array(["null"]).take(pa.array(np.zeros(size, dtype=np.int64)))

    def _whole_numbers(self, values: WholeNumbers, size: int) -> pa.Array:
        fate = self._rng.random(size)
        number = np.minimum(1 + self._rng.exponential(values.mean, size).astype(np.int64), values.longest)
        number[fate < values.negative] *= -1
        texts = _whole_texts(values.longest)
        index = number + values.longest
        index[fate >= 1 - values.missing] = len(texts) - 1
        return texts.take(pa.array(index))

    def _hundredths(self, values: Hundredths, size: int) -> pa.Array:
        steps = np.ceil(self._rng.random(size) ** values.skew * (values.longest * 100)).clip(min=1).astype(np.int64)
        texts = _hundredth_texts(values.longest)
        steps[self._rng.random(size) < values.missing] = len(texts) - 1
        return texts.take(pa.array(steps))


class _Subscribers:
    """The customers as subscribers: some call more than others, and some numbers are missing or no numbers at all."""

    def __init__(self, customers: pa.Table, rng: np.random.Generator) -> None:
        self._rng = rng
        ids = customers["customer_id"].combine_chunks()
        self._ids: Int64Array = ids.cast(pa.int64()).to_numpy()
        self._quoted = pc.binary_join_element_wise('"', ids, '"', "")
        weights = (np.arange(len(ids)) + _HEAVY_FLAT) ** -_HEAVY_EXPONENT
        self._cumulated = np.cumsum(rng.permutation(weights))
        self._cumulated /= self._cumulated[-1]

    def numbers(self, size: int) -> Int64Array:
        """Numbers of customers, heavy ones more often."""
        return self._ids[self._index(size)]

    def draw(self, size: int) -> pa.Array:
        """JSON values of the subscriber's field: a customer's number, 12 random characters or null."""
        fate = self._rng.random(size)
        index = self._index(size)
        wrong = np.flatnonzero(fate < SUBSCRIBER_RANDOM_SHARE)
        index[wrong] = len(self._quoted) + 1 + np.arange(wrong.size)
        index[fate >= 1 - SUBSCRIBER_NULL_SHARE] = len(self._quoted)
        pool = [self._quoted, pa.array(["null"]), random_characters(self._rng, wrong.size)]
        return pa.concat_arrays(pool).take(pa.array(index))

    def _index(self, size: int) -> Int64Array:
        return np.searchsorted(self._cumulated, self._rng.random(size), side="right")


class _TimeTexts:
    """JSON values of the timestamp: from pools of days, times of the day and endings, with null as one more day."""

    NOTHING, PLAIN, UTC, PLUS_ONE, FRACTIONS = range(5)

    def __init__(self, end: dt.date) -> None:
        days = (end - FIRST_DAY).days
        self._first_day = (FIRST_DAY - dt.date(1970, 1, 1)).days
        self._days = pa.array([*(f'"{FIRST_DAY + dt.timedelta(days=n)}T' for n in range(days)), "null"])
        self._clock = _clock_texts()
        self._endings = pa.array(["", '"', '+00:00"', '+01:00"', *(f'.{ms:03d}"' for ms in range(1000))])

    def texts(self, local_sec: Int64Array, ending: Int64Array, null: BoolArray) -> list[pa.Array]:
        """Three columns that joined are the value: local time to the second, then `ending`; or null."""
        day, clock = np.divmod(local_sec, DAY_SEC)
        day -= self._first_day
        day[null], clock[null], ending[null] = len(self._days) - 1, DAY_SEC, self.NOTHING
        pools = ((self._days, day), (self._clock, clock), (self._endings, ending))
        return [pool.take(pa.array(index)) for pool, index in pools]


@cache
def _whole_texts(longest: int) -> pa.StringArray:
    """Whole numbers from -longest up to longest, then null."""
    return pa.array([*map(str, range(-longest, longest + 1)), "null"])


@cache
def _hundredth_texts(longest: int) -> pa.StringArray:
    """Numbers from 0 up in steps of a hundredth, as JSON has them (1981.2, not 1981.20), then null."""
    return pa.array([*(str(step / 100) for step in range(longest * 100 + 1)), "null"])


@cache
def _clock_texts() -> pa.StringArray:
    """Every second of a day, then nothing."""
    return pa.array([*(f"{sec // 3600:02d}:{sec // 60 % 60:02d}:{sec % 60:02d}" for sec in range(DAY_SEC)), ""])


def _radio_texts(tail: str) -> pa.StringArray:
    """Every pair of cell and technology, null last in both, as the text between timestamp and subscriber."""
    cells = [f'"{city}_{number:02d}"' for city, count in CITIES.items() for number in range(1, count + 1)]
    technologies = [f'"{name}"' for name in TECHNOLOGIES]
    return pa.array(
        f', "cell_id": {cell}, "technology": {technology}, {tail}'
        for cell in (*cells, "null")
        for technology in (*technologies, "null")
    )


def _with_uuids(text: str, rng: np.random.Generator, size: int) -> pa.StringArray:
    """`text` that many times, with a random UUID (version 4) in the place of `{uuid}`."""
    before, after = text.split("{uuid}")
    data = np.frombuffer(rng.bytes(16 * size), dtype=np.uint8).reshape(size, 16).copy()
    data[:, 6] = data[:, 6] & 0x0F | 0x40
    data[:, 8] = data[:, 8] & 0x3F | 0x80
    digits = _HEX[data].view(np.uint8)
    line = before + "-" * 36 + after
    matrix = np.empty((size, len(line)), dtype=np.uint8)
    matrix[:] = np.frombuffer(line.encode("ascii"), dtype=np.uint8)
    for group, (low, high) in enumerate(_UUID_GROUPS):
        matrix[:, len(before) + low + group : len(before) + high + group] = digits[:, low:high]
    return fixed_width_text(matrix)


def _drawn(shares: Sequence[float], random: npt.NDArray[np.float64]) -> Int64Array:
    """For each random number from 0 to 1 the index of the share in which it falls; shares count as parts of their sum."""
    upto = np.cumsum(shares)
    return np.searchsorted(upto[:-1] / upto[-1], random, side="right")


def _texts_joined(parts: Sequence[pa.Array | str]) -> list[pa.Array | str]:
    """The same parts, texts that follow each other as one: each part is one more column to be joined."""
    joined: list[pa.Array | str] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def _join(*parts: pa.Array | str) -> pa.StringArray:
    return pc.binary_join_element_wise(*parts, "")
