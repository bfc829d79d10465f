"""Messages of librdkafka as columns, without a broker: its layout, values of every length, wherever in memory they lie.

Belongs here: what is made of memory, what is said where librdkafka cannot be used. Does not belong here: reading from a
broker (`test_kafka_source`).
"""

import _ctypes
import ctypes
import mmap
import random
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import cimpl

from resources import librdkafka
from resources.librdkafka import MESSAGE, Consumer, LibrdkafkaError, MessageError, Messages


class MessageOfC(ctypes.Structure):
    """rd_kafka_message_t as rdkafka.h declares it."""

    _fields_ = [
        ("err", ctypes.c_int),
        ("rkt", ctypes.c_void_p),
        ("partition", ctypes.c_int32),
        ("payload", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("key", ctypes.c_void_p),
        ("key_len", ctypes.c_size_t),
        ("offset", ctypes.c_int64),
        ("_private", ctypes.c_void_p),
    ]


class Memory:
    """Stands for librdkafka: messages far from each other, and their values, kept until this is collected."""

    def __init__(self, values: list[bytes | None]) -> None:
        self.values = [None if value is None else np.frombuffer(value + b"\xff", np.uint8) for value in values]
        self.structs = [MessageOfC(offset=number) for number in range(len(values))]
        for struct, value in zip(self.structs, self.values, strict=True):
            if value is not None:
                struct.payload, struct.len = value.ctypes.data, len(value) - 1

    def messages(self, **functions: object) -> Messages:
        pointers = np.array([ctypes.addressof(struct) for struct in self.structs], np.uintp)
        return Messages(SimpleNamespace(**functions), pointers, librdkafka._structs_at(pointers, MESSAGE))


def test_the_layout_is_that_of_c():
    assert ctypes.sizeof(MessageOfC) == MESSAGE.itemsize
    assert ctypes.alignment(MessageOfC) == MESSAGE.alignment
    assert MESSAGE.fields is not None
    for name, kind in MessageOfC._fields_:
        field = getattr(MessageOfC, name)
        assert (field.offset, field.size) == (MESSAGE.fields[name][1], ctypes.sizeof(kind)), name
        assert MESSAGE.fields[name][0].itemsize == field.size


@pytest.mark.parametrize("seed", range(5))
def test_values_of_every_length(seed):
    """Short values stand in Arrow's views of them, from 13 bytes on they are pointed to; NULL is not empty."""
    draw = random.Random(seed)
    values: list[bytes | None] = [draw.randbytes(length) for length in range(41) for _ in range(20)]
    values += [None, b"", None, draw.randbytes(1_000_000)]
    draw.shuffle(values)
    memory = Memory(values)
    found = memory.messages().values()
    found.validate(full=True)
    assert found.type == pa.binary()
    assert found.to_pylist() == values


@pytest.mark.parametrize("values", [[], [None], [b""], [b"short"], [b"longer than a view"], [None, b""]])
def test_values_of_one_kind(values):
    assert Memory(values).messages().values().equals(pa.array(values, pa.binary()))


def test_the_views_are_valid_of_themselves():
    memory = Memory([bytes([length]) * length for length in range(41)])
    messages = memory.messages()
    views, windows = librdkafka._views(messages.fields["payload"], messages.fields["len"])
    array = pa.Array.from_buffers(pa.binary_view(), len(messages), [None, pa.py_buffer(views), *windows])
    array.validate(full=True)


def test_values_that_are_further_apart_than_a_place_can_tell():
    """Over three gigabytes of addresses, there and back, so that a window is met again; pages that nobody writes cost nothing."""
    space = np.frombuffer(mmap.mmap(-1, 3 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
    memory = Memory([])
    places = [len(space) - 100, 0, 1 << 30, (1 << 30) - 50, len(space) - 50, 100, 1 << 31, (1 << 31) + 50]
    values = [f"value at {place}, longer than a view".encode() for place in places]
    for place, value in zip(places, values, strict=True):
        ctypes.memmove(space.ctypes.data + place, value, len(value))
        memory.structs.append(MessageOfC(payload=space.ctypes.data + place, len=len(value)))
    assert memory.messages().values().to_pylist() == values


def test_parts_are_bound_by_their_bytes():
    values = [b"x" * 10, None, b"y" * 10, b"z" * 21, b"", b"w" * 20, b"v"]
    memory = Memory(values)
    parts = [part.values().to_pylist() for part in memory.messages().parts(20)]
    assert parts == [values[:3], [values[3]], values[4:6], [values[6]]]
    assert [len(part) for part in memory.messages().parts(10**9)] == [len(values)]
    assert list(Memory([]).messages().parts(20)) == []


def stamped(of: Callable[[int], tuple[int, int]]) -> Callable[[int, int], int]:
    """rd_kafka_message_timestamp, by the time and its kind (rd_kafka_timestamp_type_t) of a message."""

    def message_timestamp(pointer: int, kind: int) -> int:
        time, ctypes.c_int.from_address(kind).value = of(pointer)
        return time

    return message_timestamp


@pytest.mark.parametrize("kinds", [[2, 2, 2, 2], [1, 2, 0, 2], [0, 1, 1, 0], []], ids=str)
def test_only_the_brokers_time_is_told(kinds):
    """0: there is none. 1: the producer's. 2: when the broker appended the message."""
    memory = Memory([None] * len(kinds))

    def of(pointer: int) -> tuple[int, int]:
        number = MessageOfC.from_address(pointer).offset
        return (1000 + number if kinds[number] else -1, kinds[number])

    found = memory.messages(message_timestamp=stamped(of)).timestamps()
    found.validate(full=True)
    assert found.to_pylist() == [1000 + number if kind == 2 else None for number, kind in enumerate(kinds)]


def test_offsets_timestamps_and_errors():
    memory = Memory([b"0", b"1", b"2"])
    memory.structs[1].err = -191
    messages = memory.messages(
        message_errstr=lambda pointer: b"said \xff",
        message_timestamp=stamped(lambda pointer: (MessageOfC.from_address(pointer).offset + 1000, 2)),
    )
    assert messages.errors() == [MessageError(-191, "said \ufffd", 1)]
    good = messages.without_errors()
    assert good.errors() == []
    assert good.offsets().to_pylist() == [0, 2]
    assert good.timestamps().to_pylist() == [1000, 1002]
    assert good.values().to_pylist() == [b"0", b"2"]


class ArrowArray(ctypes.Structure):
    """The structure of Arrow's C data interface."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
        *((name, ctypes.c_void_p) for name in ("buffers", "children", "dictionary", "release", "private_data")),
    ]


def is_let_go_without_pythons_lock(make: Callable[[], pa.Array]) -> bool:
    """Whether a thread that is none of Python's can let go of a column while this one holds Python's lock."""
    exported = ArrowArray()
    make()._export_to_c(ctypes.addressof(exported))
    system, thread = ctypes.PyDLL(None), ctypes.c_void_p()
    often = sys.getswitchinterval()
    sys.setswitchinterval(60)  # who waits for the lock does not ask for it meanwhile
    started = system.pthread_create(
        ctypes.byref(thread), None, ctypes.c_void_p(exported.release), ctypes.byref(exported)
    )
    assert started == 0
    system.usleep(300_000)  # with the lock
    released = not exported.release
    sys.setswitchinterval(often)
    ctypes.CDLL(None).pthread_join(thread, None)  # without it
    assert not exported.release
    return released


def test_columns_are_let_go_without_pythons_lock():
    """Otherwise landing stands still: the embedded engine does so on threads of its own, and holds the lock meanwhile."""
    assert not is_let_go_without_pythons_lock(lambda: pa.array(np.arange(1000)))
    memory = Memory([b"longer than a view of twelve", b"short", None] * 10)
    messages = memory.messages(message_timestamp=stamped(lambda pointer: (pointer, 1 + pointer // 8 % 2)))
    for column in (Messages.offsets, Messages.timestamps, Messages.values):
        assert is_let_go_without_pythons_lock(partial(column, messages)), column.__name__


def test_a_confluent_kafka_that_hides_librdkafka_is_an_error(monkeypatch):
    monkeypatch.setattr(cimpl, "__file__", _ctypes.__file__)
    with pytest.raises(LibrdkafkaError, match=r"_ctypes.* shows no function rd_kafka_\w+: expected .*; `pip install"):
        Consumer({"group.id": "x"}, "topic", 0, 0)


def test_a_pyarrow_that_is_too_old_is_an_error(monkeypatch):
    monkeypatch.setattr(pa, "__version__", "17.0.0")
    with pytest.raises(LibrdkafkaError, match=r"has pyarrow 17\.0\.0, 18 or newer is needed; `pip install"):
        Consumer({"group.id": "x"}, "topic", 0, 0)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"nonsense": True}, 'No such configuration property: "nonsense"'),
        ({"fetch.min.bytes": "many"}, 'Invalid value for configuration property "fetch.min.bytes"'),
        ({"security.protocol": "ssl", "ssl.ca.location": "/not/there"}, "ssl.ca.location failed"),
        ({"session.timeout.ms": 2, "max.poll.interval.ms": 1}, "`max.poll.interval.ms`must be >= `session.timeout.ms`"),
        ({"client.id": None}, "Invalid argument"),  # a default, which it takes; the offset is refused
    ],
)
def test_what_librdkafka_refuses_is_told_in_its_words(config, said):
    with pytest.raises(LibrdkafkaError) as caught:
        Consumer({"group.id": "x", "log_level": 0, **config}, "topic", 0, -7)
    assert said in str(caught.value)


def test_a_client_without_a_broker_is_closed():
    before = threading.active_count()
    consumer = Consumer({"group.id": "x", "log_level": 0, "bootstrap.servers": "127.0.0.1:1"}, "topic", 0, 0)
    assert len(consumer.consume(10, 0.3)) == 0
    assert "Connection refused" in str(consumer.heard.most_telling)
    consumer.close()
    assert threading.active_count() == before
