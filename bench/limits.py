"""The raw limits: how fast this machine reads the topic, and parses the JSON, when nothing else is done.

    python -m bench.limits consume --report r.json       a bare confluent-kafka consumer; connection as JSON on stdin
    python -m bench.limits parse --cdrs cdr.jsonl --report r.json       pyarrow.json

Each runs in a process of its own. Times begin after the imports.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
from confluent_kafka import Consumer, TopicPartition

_BATCH = 10_000
_PIECE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 4 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024
_PATIENCE_SEC = 30

#: Fields as the contract types them: numbers as numbers, the rest as text.
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("record_ID", "record_type", "timestamp", "cell_id", "technology")),
        *((name, pa.string()) for name in ("caller_id", "callee_id", "sender_id", "receiver_id", "user_id")),
        *((name, pa.float64()) for name in ("duration_sec", "data_volume_mb", "session_duration_sec")),
        ("product_code", pa.string()),
    ]
)


def consume(topic: str, config: Mapping[str, Any], ends: Mapping[int, int]) -> tuple[int, int]:
    """Read all partitions up to `ends` in one process, as fast as the client hands messages over: messages, bytes."""
    # Fetches further ahead than by default, so that the client never waits for the broker.
    consumer = Consumer(
        {
            **config,
            "group.id": "bench",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": 16 * 1024 * 1024,
            "queued.max.messages.kbytes": 256 * 1024,
            "queued.min.messages": 1_000_000,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number, end in ends.items() if end])
        wanted, messages, size = sum(ends.values()), 0, 0
        while messages < wanted:
            # No more than there are: the client waits for a batch to be full.
            batch = consumer.consume(min(_BATCH, wanted - messages), _PATIENCE_SEC)
            if not batch:
                raise TimeoutError(f"{messages:,} of {wanted:,} messages came, then none for {_PATIENCE_SEC} s")
            for message in batch:
                if (error := message.error()) is not None:
                    raise RuntimeError(error.str())
                partition, offset = message.partition(), message.offset()
                if partition is not None and offset is not None and offset < ends[partition]:
                    messages += 1
                    size += len(message)
        return messages, size
    finally:
        consumer.close()


def parse(path: Path) -> tuple[int, int]:
    """Parse a file of JSON lines on all cores, piece by piece, so that memory does not grow with it: lines, bytes."""
    read = pyarrow.json.ReadOptions(use_threads=True, block_size=_BLOCK_BYTES)
    how = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    lines = size = 0
    for piece in _pieces(path):
        lines += pyarrow.json.read_json(pa.BufferReader(piece), read_options=read, parse_options=how).num_rows
        size += piece.size
    return lines, size


def _pieces(path: Path) -> Iterator[pa.Buffer]:
    """The file in pieces that end with a line, without a copy."""
    with pa.memory_map(str(path)) as file:
        content, size = file.read_buffer(), file.size()
        begin = 0
        while begin < size:
            end = min(begin + _PIECE_BYTES, size)
            if end < size:
                tail = max(begin, end - _LONGEST_LINE)
                found = content.slice(tail, end - tail).to_pybytes().rfind(b"\n")
                if found < 0:
                    raise ValueError(f"{path}: a line of more than {_LONGEST_LINE:,} bytes")
                end = tail + found + 1
            yield content.slice(begin, end - begin)
            begin = end


def _main() -> None:
    parser = argparse.ArgumentParser(description="The raw limits of reading and parsing.")
    parser.add_argument("what", choices=("consume", "parse"))
    parser.add_argument("--cdrs", type=Path)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "consume":
        # Standard input, because a command line can be read by everybody and this holds a password.
        source = json.load(sys.stdin)
        ends = {int(number): end for number, end in source["ends"].items()}
        begin = time.time()
        rows, size = consume(source["topic"], source["config"], ends)
    else:
        begin = time.time()
        rows, size = parse(given.cdrs)
    found = {"begin": begin, "end": time.time(), "rows": rows, "bytes": size}
    given.report.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    _main()
