"""The data of a bench, made once: a month of CDRs in a file and on a topic, its customers, and late CDRs.

Belongs here: what is generated, where it lies, the servers that hold it. Does not belong here: tables
(`bench.homes`).

    <BENCH_HOME>/<cdrs>-<customers>-<month>-<seed>[-heavy]/
        data/cdr.jsonl, customers.csv           by the project's generator
        data/late-quiet.jsonl                   late CDRs of one day that change no imputed volume
        data/late-smallest.jsonl                late CDRs of the same day that do
        stack/                                  a home of the local stack: Kafka with the topic, PostgreSQL
        dataset.json                            describes the folder; written last, so that a folder without it is made again

All messages lie on one topic: the month, then the quiet late ones, then the others. `ends` says where each part ends,
so that a run can see the topic as it was before the late ones came (`bench.stage`).
"""

import datetime as dt
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bench.errors import BenchError
from resources.kafka import KafkaConnection
from resources.kafka_producer import MessageProducer
from resources.stack_state import StackState, read_stack_state
from telecom_assets.generator import GeneratorSpec, write_files
from telecom_assets.generator.timeline import ZONE
from telecom_assets.local_stack import LocalStack, SparkShape

TOPIC = "cdr_topic"
#: The parts of the topic in the order of sending.
MONTH, QUIET, SMALLEST = "month", "late-quiet", "late-smallest"
PARTS = (MONTH, QUIET, SMALLEST)

_LATE_DAY = 15
#: Late CDRs: one for so many CDRs of the month, and the least number of them.
_LATE_SHARE, _LATE_LEAST = 10_000, 10
_BATCH = 50_000
_HEAVY_SHARE = 20
#: The record id in a generated line.
_RECORD_ID = slice(15, 51)
_SUBSCRIBER = re.compile(rb'("(?:caller_id|sender_id|user_id)": )(?:"[^"]*"|null)')

Report = Callable[[str], None]


@dataclass(frozen=True)
class DataSpec:
    """The data to generate. heavy: one customer has one in twenty of all CDRs."""

    cdrs: int
    customers: int
    month: str
    seed: int
    heavy: bool = False

    @property
    def key(self) -> str:
        return f"{self.cdrs}-{self.customers}-{self.month}-{self.seed}{'-heavy' if self.heavy else ''}"


@dataclass(frozen=True)
class Dataset:
    """A month of CDRs, generated and on the topic."""

    spec: DataSpec
    folder: Path
    cdr_bytes: int
    #: When the broker began to receive the messages; all came on one local day.
    received_at: dt.datetime
    #: For each part of the topic, where it ends in each partition.
    ends: Mapping[str, Mapping[int, int]]

    @property
    def stack_home(self) -> Path:
        return self.folder / "stack"

    @property
    def customers_file(self) -> Path:
        return self.folder / "data" / "customers.csv"

    @property
    def late_day(self) -> dt.date:
        return late_day(self.spec)

    def cdr_files(self, upto: str = MONTH) -> list[Path]:
        """The files of the topic's parts up to one of them, that included."""
        names = {MONTH: "cdr.jsonl", QUIET: "late-quiet.jsonl", SMALLEST: "late-smallest.jsonl"}
        return [self.folder / "data" / names[part] for part in PARTS[: PARTS.index(upto) + 1]]

    @cached_property
    def stack(self) -> StackState:
        return read_stack_state(self.stack_home / "stack.json")

    def kafka(self) -> KafkaConnection:
        assert self.stack.kafka is not None
        return KafkaConnection(self.stack.kafka.bootstrap_servers, TOPIC, self.stack.kafka.options)


def bench_home() -> Path:
    """The folder of data and states: BENCH_HOME, or `.bench` in the current directory."""
    return Path(os.environ.get("BENCH_HOME") or ".bench").absolute()


def open_dataset(spec: DataSpec, services: Sequence[str], report: Report) -> Dataset:
    """The data of a spec with its servers up; made when it is not there yet. Raises BenchError, LocalStackError."""
    folder = bench_home() / spec.key
    manifest = folder / "dataset.json"
    if not manifest.exists():
        _make(spec, folder, report)
    stored = json.loads(manifest.read_text(encoding="utf-8"))
    stack_of(folder, services).up(report)
    ends = {part: {int(number): end for number, end in places.items()} for part, places in stored["ends"].items()}
    return Dataset(spec, folder, stored["cdr_bytes"], dt.datetime.fromisoformat(stored["received_at"]), ends)


def stack_of(
    folder: Path, services: Sequence[str] = ("postgres", "kafka", "spark"), spark: SparkShape | None = None
) -> LocalStack:
    """The servers of a dataset's folder."""
    return LocalStack(folder / "stack", services, kafka_topic=TOPIC, spark=spark)


def late_day(spec: DataSpec) -> dt.date:
    """The day of the month that late CDRs change."""
    return dt.date.fromisoformat(f"{spec.month}-{_LATE_DAY}")


def _make(spec: DataSpec, folder: Path, report: Report) -> None:
    if folder.exists():
        stack_of(folder).down(report)
        for name in ("data", "stack", "sail", "spark"):
            shutil.rmtree(folder / name, ignore_errors=True)
    report(f"generating {spec.cdrs:,} CDRs of {spec.month}")
    request = GeneratorSpec(cdrs=spec.cdrs, customers=spec.customers, month=spec.month, seed=spec.seed)
    files = write_files(request, folder / "data")
    callers = _callers(files.customers_file)
    if spec.heavy:
        give_to_one(files.cdr_file, callers[0])
    for name, lines in (("late-quiet", quiet_cdrs(spec, callers)), ("late-smallest", smallest_cdrs(spec, callers))):
        (folder / "data" / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    stack_of(folder, ("postgres", "kafka")).up(report)
    dataset = Dataset(spec, folder, files.cdr_file.stat().st_size, dt.datetime.now(dt.UTC), {})
    day, ends = _today(), {}
    for part in PARTS:
        report(f"sending {dataset.cdr_files(part)[-1].name} to the topic")
        sent = MessageProducer(dataset.kafka()).send(_lines(dataset.cdr_files(part)[-1]))
        ends[part] = {number: marks.latest for number, marks in dataset.kafka().topic_state().partitions.items()}
        report(f"{sent:,} messages")
    if _today() != day:
        # Records at home on the day of receipt would be spread over two days.
        raise BenchError("midnight passed while the topic was being filled; run this again")
    stored = {
        "spec": asdict(spec),
        "cdr_bytes": dataset.cdr_bytes,
        "received_at": dataset.received_at.isoformat(),
        "ends": ends,
    }
    (folder / "dataset.json").write_text(json.dumps(stored, indent=1), encoding="utf-8")


def _today() -> dt.date:
    return dt.datetime.now(ZONE).date()


def _lines(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as file:
        while lines := file.readlines(_BATCH * 200):
            yield [line[:-1] for line in lines]


def _callers(customers_file: Path) -> list[str]:
    """Customers who are billed."""
    as_text = pyarrow.csv.ConvertOptions(column_types={"customer_id": pa.string()})
    customers = pyarrow.csv.read_csv(customers_file, convert_options=as_text)
    billed = pc.and_(pc.equal(customers["subscription_type"], "postpaid"), pc.equal(customers["status"], "active"))
    callers: list[str] = customers.filter(billed)["customer_id"].to_pylist()
    return callers


def give_to_one(cdr_file: Path, customer: str) -> None:
    """Give one in twenty CDRs of a file to one customer, chosen by record id, so that copies stay copies."""
    changed = cdr_file.with_suffix(".heavy")
    replacement = rb'\1"' + customer.encode() + b'"'
    with cdr_file.open("rb") as source, changed.open("wb") as target:
        for line in source:
            chosen = zlib.crc32(line[_RECORD_ID]) % _HEAVY_SHARE == 0
            target.write(_SUBSCRIBER.sub(replacement, line, count=1) if chosen else line)
    changed.replace(cdr_file)


def _late_count(spec: DataSpec) -> int:
    return max(spec.cdrs // _LATE_SHARE, _LATE_LEAST)


def quiet_cdrs(spec: DataSpec, callers: Sequence[str]) -> list[bytes]:
    """Late calls: bills change, no imputed volume does."""
    return [
        _cdr("voice", spec, f"late-quiet-{number}", caller_id=caller, callee_id="33612345678", duration_sec=61)
        for number, caller in zip(range(_late_count(spec)), _around(callers), strict=False)
    ]


def smallest_cdrs(spec: DataSpec, callers: Sequence[str]) -> list[bytes]:
    """Late data sessions smaller than any that the generator makes, so that their customers' imputed volumes change."""
    own = {"data_volume_mb": 0.005, "session_duration_sec": 60, "product_code": "DATA_BASIC"}
    return [
        _cdr("data", spec, f"late-smallest-{number}", user_id=caller, **own)
        for number, caller in zip(range(_late_count(spec)), _around(callers), strict=False)
    ]


def _around(callers: Sequence[str]) -> Iterator[str]:
    while True:
        yield from callers


def _cdr(record_type: str, spec: DataSpec, record_id: str, **own: Any) -> bytes:
    common = {
        "record_ID": record_id,
        "record_type": record_type,
        "timestamp": f"{late_day(spec)}T12:00:00",
        "cell_id": "RABAT_01",
        "technology": "4G",
    }
    return json.dumps({**common, **own}).encode()
