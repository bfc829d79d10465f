"""librdkafka's consumer, whose messages become columns all at once, where they lie in its memory.

Belongs here: the few functions used of the C API that librdkafka documents (`rdkafka.h`), the layout of its message, the
columns of a batch. Does not belong here: ranges of offsets (`resources.kafka_source`). The library is the one that
confluent-kafka brings. This module is sent to executors by value: what cannot be pickled is made where it is used.
"""

import ctypes
import platform
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import starmap
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from resources.kafka_trouble import Heard

PARTITION_EOF = -191  # RD_KAFKA_RESP_ERR__PARTITION_EOF
_CONSUMER = 1  # RD_KAFKA_CONSUMER
_LOG_APPEND_TIME = 2  # RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME
_PYARROW = 18  # the first that casts views of binary values

#: rd_kafka_message_t. Aligned as C compilers align: sizes and places follow from the types on every platform.
MESSAGE = np.dtype(
    [
        ("err", np.intc),
        ("rkt", np.uintp),
        ("partition", np.int32),
        ("payload", np.uintp),
        ("len", np.uintp),
        ("key", np.uintp),
        ("key_len", np.uintp),
        ("offset", np.int64),
        ("_private", np.uintp),
    ],
    align=True,
)
#: Values up to this length stand in Arrow's view of them; a view of a longer one tells its first four bytes and its place.
_INLINE = 12
_WINDOW_BITS = 30


class LibrdkafkaError(Exception):
    """librdkafka cannot be used, or refused what it was asked to do; in its own words, where it has some."""


@dataclass(frozen=True)
class MessageError:
    """What librdkafka says in the place of a message: code (rd_kafka_resp_err_t), text, offset (negative: none)."""

    code: int
    text: str
    offset: int


@dataclass(frozen=True)
class Messages:
    """Messages in the order they came. They are librdkafka's memory: gone with the next call of their consumer.

    The columns that are made of them are Arrow's memory alone.
    """

    functions: SimpleNamespace
    pointers: npt.NDArray[np.uintp]
    fields: npt.NDArray[np.void]

    def __len__(self) -> int:
        return len(self.pointers)

    def chosen(self, rows: Any) -> "Messages":
        """Those of a slice, or of a column of booleans."""
        return Messages(self.functions, self.pointers[rows], self.fields[rows])

    def errors(self) -> list[MessageError]:
        wrong = np.flatnonzero(self.fields["err"])
        texts = [self.functions.message_errstr(pointer) for pointer in self.pointers[wrong].tolist()]
        codes, offsets = (self.fields[name][wrong].tolist() for name in ("err", "offset"))
        return [
            MessageError(code, _text(text), offset) for code, text, offset in zip(codes, texts, offsets, strict=True)
        ]

    def without_errors(self) -> "Messages":
        return self.chosen(self.fields["err"] == 0)

    def parts(self, limit: int) -> Iterator["Messages"]:
        """All of them, in parts of at most `limit` bytes of values, or of one message."""
        ends = np.cumsum(self._lengths(), dtype=np.int64)
        start, before = 0, 0
        while start < len(self):
            stop = max(start + 1, int(np.searchsorted(ends, before + limit, side="right")))
            yield self.chosen(slice(start, stop))
            start, before = stop, int(ends[stop - 1])

    def offsets(self) -> pa.Int64Array:
        return _owned(pa.array(np.ascontiguousarray(self.fields["offset"])))

    def timestamps(self) -> pa.Int64Array:
        """When the broker appended each message, in milliseconds since 1970; NULL where it did not say so.

        The kind of time is a batch's own: what came before a topic was switched to the broker's time keeps the producer's.
        """
        count = len(self)
        kinds = np.zeros(count, np.intc)
        first = kinds.ctypes.data
        # librdkafka writes each kind to its place.
        places = range(first, first + kinds.nbytes, kinds.itemsize)
        stamps = np.fromiter(map(self.functions.message_timestamp, self.pointers.tolist(), places), np.int64, count)
        return _owned(pa.array(stamps, mask=kinds != _LOG_APPEND_TIME))

    def values(self) -> pa.BinaryArray:
        """A copy of the values, which must be less than 2 GB together; NULL and empty are told apart."""
        present = self.fields["payload"] != 0
        views, windows = _views(self.fields["payload"], self._lengths())
        known = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
        where_they_are = pa.Array.from_buffers(pa.binary_view(), len(self), [known, pa.py_buffer(views), *windows])
        values = where_they_are.cast(pa.binary())
        # The cast copies values, and keeps what says which are there.
        return values if known is None else _owned(values)

    def _lengths(self) -> npt.NDArray[np.uintp]:
        return np.where(self.fields["payload"] != 0, self.fields["len"], np.uintp(0))


class Consumer:
    """A client that reads one partition from an offset on, with the configuration of librdkafka. It is to be closed.

    Raises LibrdkafkaError, and ImportError where there is no confluent-kafka.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, partition: int, offset: int) -> None:
        _check_pyarrow()
        self._functions = functions = _functions()
        #: What librdkafka said about the client as a whole: only here that a password is wrong, or no broker there.
        self.heard = heard = Heard()
        # librdkafka calls it as long as the client lives, and so long it is kept.
        self._error_cb = functions.error_cb(lambda _client, code, reason, _opaque: heard.hear(code, _text(reason)))
        self._pointers = np.empty(0, np.uintp)
        self._counts: list[int] = []
        self._held: Iterator[int] | None = None
        with ExitStack() as undo:
            self._client = _client(functions, config, self._error_cb)
            undo.callback(functions.destroy, self._client)
            functions.poll_set_consumer(self._client)
            self._queue = functions.queue_get_consumer(self._client)
            undo.callback(functions.queue_destroy, self._queue)
            undo.callback(functions.consumer_close, self._client)
            # Twice: what a signal breaks off in the one is done by the other, before `destroy` would wait for it for ever.
            undo.callback(self._release)
            undo.callback(self._release)
            self._assign(topic.encode(), partition, offset)
            self._undo = undo.pop_all()

    def consume(self, limit: int, seconds: float) -> Messages:
        """Up to `limit` messages and errors, as many as come in time. Those of the call before are gone."""
        self._release()
        self._pointers = np.empty(limit, np.uintp)
        arguments = self._queue, int(seconds * 1000), self._pointers.ctypes.data, limit
        # A signal that came meanwhile raises as soon as Python goes on, before it could assign a result. `extend` and
        # `starmap` put the result away first: `close` has to know which messages are held.
        self._counts.extend(starmap(self._functions.consume_batch_queue, [arguments]))
        if self._counts[-1] < 0:
            raise LibrdkafkaError(_error_text(self._functions, self._functions.last_error()))
        pointers = self._pointers[: self._counts[-1]]
        return Messages(self._functions, pointers, _structs_at(pointers, MESSAGE))

    def close(self) -> None:
        self._undo.close()

    def _release(self) -> None:
        """All messages are given back; librdkafka would wait for any that are not, at the end, for ever.

        What a signal's exception breaks off here is taken up again by `close`: an iterator forgets what was destroyed.
        """
        if self._held is None:
            self._held = iter(self._pointers[: max([0, *self._counts])].tolist())
        deque(map(self._functions.message_destroy, self._held), maxlen=0)
        self._counts.clear()
        self._held = None

    def _assign(self, topic: bytes, partition: int, offset: int) -> None:
        functions = self._functions
        partitions = functions.topic_partition_list_new(1)
        functions.topic_partition_list_add(partitions, topic, partition)
        functions.topic_partition_list_set_offset(partitions, topic, partition, offset)
        refused = functions.assign(self._client, partitions)
        functions.topic_partition_list_destroy(partitions)
        if refused:
            raise LibrdkafkaError(_error_text(functions, refused))


def _owned(column: Any) -> Any:
    """A copy in Arrow's own memory, which anybody may let go of.

    Memory of NumPy's or Python's is let go of under Python's lock. The embedded engine lets go of batches on threads of
    its own, and holds that lock while it waits for them to make room for the next batch: neither would ever go on.
    """
    return column.copy_to(pa.default_cpu_memory_manager())


def _client(functions: SimpleNamespace, config: Mapping[str, Any], error_cb: Any) -> int:
    properties = _properties(config)
    said = ctypes.create_string_buffer(512)
    conf = functions.conf_new()
    client = None
    if all(functions.conf_set(conf, name, value, said, len(said)) == 0 for name, value in properties):
        functions.conf_set_error_cb(conf, error_cb)
        client = functions.new(_CONSUMER, conf, said, len(said))
    if client is None:
        functions.conf_destroy(conf)
        raise LibrdkafkaError(_text(said.value))
    return client


def _properties(config: Mapping[str, Any]) -> list[tuple[bytes, bytes | None]]:
    """As librdkafka takes them; a None is its default. Plugins come first: they may know properties of their own."""
    ordered = sorted(config.items(), key=lambda item: item[0] != "plugin.library.paths")
    return [(name.encode(), None if value is None else _written(value).encode()) for name, value in ordered]


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(said: bytes | None) -> str:
    return (said or b"").decode(errors="replace")


def _error_text(functions: SimpleNamespace, code: int) -> str:
    return _text(functions.err2str(code))


def _check_pyarrow() -> None:
    if int(pa.__version__.partition(".")[0]) < _PYARROW:
        raise LibrdkafkaError(
            f"{sys.executable} on {platform.node()} has pyarrow {pa.__version__}, {_PYARROW} or newer is needed; "
            f"`pip install 'pyarrow>={_PYARROW}'` there"
        )


def _functions() -> SimpleNamespace:
    """Functions of librdkafka by their names without `rd_kafka_`, and `error_cb`, the type of a callback.

    Raises ImportError where there is no confluent-kafka, LibrdkafkaError where it does not let librdkafka be seen.
    """
    from confluent_kafka import cimpl  # noqa: PLC0415  (on the executors)

    handle, text, number, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
    partition, long = ctypes.c_int32, ctypes.c_int64
    error_cb = ctypes.CFUNCTYPE(None, handle, number, text, handle)
    # What is called for each message is over at once: letting go of Python's lock would be most of its cost.
    short = {
        "message_destroy": (None, handle),
        "message_timestamp": (long, handle, handle),
    }
    others = {
        "assign": (number, handle, handle),
        "conf_destroy": (None, handle),
        "conf_new": (handle,),
        "conf_set": (number, handle, text, text, text, size),
        "conf_set_error_cb": (None, handle, error_cb),
        "consume_batch_queue": (ctypes.c_ssize_t, handle, number, handle, size),
        "consumer_close": (number, handle),
        "destroy": (None, handle),
        "err2str": (text, number),
        "last_error": (number,),
        "message_errstr": (text, handle),
        "new": (handle, number, handle, text, size),
        "poll_set_consumer": (number, handle),
        "queue_destroy": (None, handle),
        "queue_get_consumer": (handle, handle),
        "topic_partition_list_add": (handle, handle, text, partition),
        "topic_partition_list_destroy": (None, handle),
        "topic_partition_list_new": (handle, number),
        "topic_partition_list_set_offset": (number, handle, text, partition, long),
    }
    found = SimpleNamespace(error_cb=error_cb)
    # Symbols are looked for in the extension module and in what it is linked with: librdkafka, whoever built the two.
    for library, signatures in ((ctypes.PyDLL(cimpl.__file__), short), (ctypes.CDLL(cimpl.__file__), others)):
        for name, (result, *arguments) in signatures.items():
            try:
                function = getattr(library, f"rd_kafka_{name}")
            except AttributeError:
                raise LibrdkafkaError(
                    f"{cimpl.__file__} on {platform.node()} shows no function rd_kafka_{name}: expected a confluent-kafka "
                    "whose librdkafka is a shared library, as its wheels for Linux and macOS have; "
                    "`pip install --force-reinstall --only-binary :all: confluent-kafka` there"
                ) from None
            function.restype, function.argtypes = result, arguments
            setattr(found, name, function)
    return found


def _structs_at(addresses: npt.NDArray[np.uintp], kind: np.dtype[Any]) -> npt.NDArray[np.void]:
    """A copy of what stands at addresses that are aligned as the kind is."""
    if not len(addresses):
        return np.empty(0, kind)
    step = kind.alignment
    low, high = int(addresses.min()), int(addresses.max())
    # One array over all memory between them. Nothing of it is touched but what is asked for.
    memory = pa.foreign_buffer(low, high - low + kind.itemsize)
    # As plain bytes: NumPy would copy structs field by field.
    places = np.ndarray((high - low) // step + 1, np.dtype((np.void, kind.itemsize)), memory, strides=(step,))
    return places[(addresses - np.uintp(low)) // np.uintp(step)].view(kind)


def _bytes_at(addresses: npt.NDArray[np.uintp], size: int) -> npt.NDArray[np.uint8]:
    return _structs_at(addresses, np.dtype((np.void, size))).view(np.uint8).reshape(-1, size)


def _views(
    addresses: npt.NDArray[np.uintp], lengths: npt.NDArray[np.uintp]
) -> tuple[npt.NDArray[np.uint8], list[pa.Buffer]]:
    """Values as Arrow's BinaryView tells of them: 16 bytes for each, and the memory that those of longer ones point into."""
    views = np.zeros((len(lengths), 16), np.uint8)
    length, _, window, offset = views.view(np.int32).T
    length[:] = lengths
    for size in range(1, _INLINE + 1):
        if len(rows := np.flatnonzero(lengths == size)):
            views[rows, 4 : 4 + size] = _bytes_at(addresses[rows], size)
    if not len(rows := np.flatnonzero(lengths > _INLINE)):
        return views, []
    views[rows, 4:8] = _bytes_at(addresses[rows], 4)
    # A place in a window has 31 bits. Neighbours mostly share one: another begins where the next value is not in it.
    low = addresses[rows].min()
    numbers = (addresses[rows] - low) >> np.uintp(_WINDOW_BITS)
    begins = np.diff(numbers, prepend=numbers[:1]) != 0
    window[rows] = np.cumsum(begins)
    offset[rows] = (addresses[rows] - low) & np.uintp((1 << _WINDOW_BITS) - 1)
    begins[0] = True
    size = (1 << _WINDOW_BITS) + int(lengths.max())
    return views, [pa.foreign_buffer(int(low) + (number << _WINDOW_BITS), size) for number in numbers[begins].tolist()]
