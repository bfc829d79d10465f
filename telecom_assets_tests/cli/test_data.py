"""`telecom generate | produce | replay` as a user types them."""

import bz2
import datetime as dt
import gzip
import json
import lzma
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, TopicPartition

from resources.kafka import KafkaConnection
from telecom_assets import cli
from telecom_assets.cli import archives, data
from telecom_assets.cli.archives import ArchiveError, check_archives, read_messages
from telecom_assets.generator import GeneratorSpec, write_files
from telecom_assets.generator.timeline import ZONE
from telecom_assets.home.settings import Settings
from telecom_assets.model.months import MonthError, previous_month
from telecom_assets_tests.resources.test_kafka_producer import FakeConnection
from telecom_assets_tests.typed import Finished, type_command

SIZES = ["--cdrs", "500", "--customers", "20", "--month", "2025-05"]


class Context:
    """What the app hands to the commands; notes what happens in which order."""

    def __init__(self, home: Path, connection: KafkaConnection | None = None) -> None:
        self.settings = Settings(home=home)
        self.connection = connection
        self.opened: list[tuple[str, int]] = []

    def kafka(self) -> KafkaConnection:
        assert self.connection is not None, "this command has nothing to do with Kafka"
        return self.connection

    def open_month(self, month: str) -> None:
        if month < "2020-01":
            raise MonthError(f"month {month}: expected a month from 2020-01")
        sent = self.connection.made.delivered if isinstance(self.connection, FakeConnection) else []
        self.opened.append((month, len(sent)))


@pytest.fixture
def telecom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Types a command in this process, through the entry point, with a context of the test's."""

    def run(*arguments: object, connection: KafkaConnection | None = None, context: Context | None = None) -> Finished:
        given = context or Context(tmp_path / "home", connection)
        monkeypatch.setattr(cli, "AppContext", lambda _settings: given)
        return type_command(monkeypatch, capfd, arguments)

    return run


def messages_on(connection: KafkaConnection) -> list[bytes | None]:
    """Every message on the topic."""
    watermarks = connection.topic_state().partitions
    consumer = Consumer(connection.client_config(**{"group.id": "test", "enable.partition.eof": False}))
    consumer.assign([TopicPartition(connection.topic, number, marks.earliest) for number, marks in watermarks.items()])
    expected = sum(marks.latest - marks.earliest for marks in watermarks.values())
    messages: list[bytes | None] = []
    while len(messages) < expected:
        message = consumer.poll(30)
        assert message is not None, f"{expected - len(messages)} messages did not come within 30 s"
        assert message.error() is None, message.error()
        messages.append(message.value())
    consumer.close()
    return messages


def assert_one_line(result: Finished, code: int, *parts: str) -> None:
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    for part in ("telecom: ", *parts):
        assert part in result.stderr


# generate


def test_generate_writes_both_files(telecom: Callable[..., Finished], tmp_path: Path) -> None:
    result = telecom("generate", *SIZES, "--seed", 4, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    expected = write_files(GeneratorSpec(500, 20, "2025-05", seed=4), tmp_path / "expected")
    assert (tmp_path / "out" / "cdr.jsonl").read_bytes() == expected.cdr_file.read_bytes()
    assert (tmp_path / "out" / "customers.csv").read_bytes() == expected.customers_file.read_bytes()
    assert "500" in result.stdout
    assert result.stderr == ""


def test_generate_json_is_one_object(telecom: Callable[..., Finished], tmp_path: Path) -> None:
    result = telecom("generate", *SIZES, "--json")
    printed = json.loads(result.stdout)
    folder = tmp_path / "home" / "generated" / "2025-05"
    assert printed.pop("seconds") >= 0
    assert printed == {
        "cdr_file": str(folder / "cdr.jsonl"),
        "cdrs": 500,
        "cdr_bytes": (folder / "cdr.jsonl").stat().st_size,
        "customers_file": str(folder / "customers.csv"),
        "customers": 20,
        "month": "2025-05",
        "seed": 1,
    }


def test_generate_takes_the_previous_month_by_default(telecom: Callable[..., Finished]) -> None:
    before = previous_month(dt.datetime.now(ZONE).date())
    result = telecom("generate", "--cdrs", 1, "--customers", 1, "--json")
    assert json.loads(result.stdout)["month"] in {before, previous_month(dt.datetime.now(ZONE).date())}


@pytest.mark.parametrize(
    ("today", "month"), [("2025-05-31", "2025-04"), ("2025-01-01", "2024-12"), ("2024-03-30", "2024-02")]
)
def test_previous_month(today: str, month: str) -> None:
    assert previous_month(dt.date.fromisoformat(today)) == month


@pytest.mark.parametrize("command", ["generate", "produce"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--month", "2025-13"], "month '2025-13': expected YYYY-MM"),
        (["--month", ""], "month '': expected YYYY-MM"),
        (["--month", "2009-12"], "expected a month from 2010-01 to 2099-12"),
        (["--cdrs", "-1"], "number of CDRs -1: expected 0 or more"),
        (["--customers", "0"], "number of customers 0: expected 1"),
        (["--seed", "-5"], "seed -5: expected 0 or more"),
    ],
)
def test_wrong_arguments_are_one_line(
    telecom: Callable[..., Finished], command: str, arguments: list[str], message: str
) -> None:
    assert_one_line(telecom(command, *arguments), 2, message)


def test_generate_names_a_folder_that_cannot_be(telecom: Callable[..., Finished], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert_one_line(
        telecom("generate", *SIZES, "--out", tmp_path / "file"), 1, f"{tmp_path / 'file'}: cannot be written"
    )


# produce


def test_produce_sends_the_lines_of_the_file_in_order(telecom: Callable[..., Finished], tmp_path: Path) -> None:
    connection = FakeConnection()
    result = telecom("produce", *SIZES, "--json", connection=connection)
    written = write_files(GeneratorSpec(500, 20, "2025-05"), tmp_path / "expected")
    assert connection.made.delivered == written.cdr_file.read_bytes().splitlines()
    printed = json.loads(result.stdout)
    assert printed["acknowledged"] == 500
    assert printed["topic"] == "cdr_topic"


def test_produce_of_nothing_sends_nothing(telecom: Callable[..., Finished]) -> None:
    connection = FakeConnection()
    result = telecom("produce", "--cdrs", 0, "--json", connection=connection)
    assert json.loads(result.stdout)["acknowledged"] == 0
    assert connection.made.delivered == []


def test_produce_to_a_real_broker(
    telecom: Callable[..., Finished], tmp_path: Path, kafka_connection: KafkaConnection
) -> None:
    result = telecom("produce", "--cdrs", 20_000, "--customers", 50, "--month", "2025-05", connection=kafka_connection)
    assert result.exit_code == 0, result.output
    assert "20,000" in result.stdout
    written = write_files(GeneratorSpec(20_000, 50, "2025-05"), tmp_path)
    assert Counter(messages_on(kafka_connection)) == Counter(written.cdr_file.read_bytes().splitlines())


def test_produce_with_a_rate(telecom: Callable[..., Finished]) -> None:
    connection = FakeConnection()
    result = telecom("produce", *SIZES, "--rate", 1_000_000, "--json", connection=connection)
    assert json.loads(result.stdout)["acknowledged"] == len(connection.made.delivered) == 500


def test_produce_refuses_a_rate_of_nothing(telecom: Callable[..., Finished]) -> None:
    assert_one_line(telecom("produce", *SIZES, "--rate", 0), 2, "rate 0: expected 1 or more")


def test_produce_without_a_broker_is_one_line(telecom: Callable[..., Finished]) -> None:
    connection = KafkaConnection("127.0.0.1:1", "cdr_topic", timeout_seconds=0.3)
    result = telecom("produce", *SIZES, "--json", connection=connection)
    assert_one_line(result, 1, "Kafka at 127.0.0.1:1 cannot be used")


# replay

ANYTHING = [
    b'{"record_ID": "1"}',
    b"",
    b"not json",
    b"\xff\x00\xfe",
    "é".encode(),
    b"  spaces  ",
    b"carriage\rreturn",
    b"last",
]


@pytest.mark.parametrize("end", [b"\n", b""], ids=["last line ended", "last line not ended"])
@pytest.mark.parametrize("name", ["cdr.jsonl", "cdr.jsonl.gz"])
def test_replay_sends_bytes_as_they_are(
    telecom: Callable[..., Finished], tmp_path: Path, kafka_connection: KafkaConnection, name: str, end: bytes
) -> None:
    content = b"\n".join(ANYTHING) + end
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    result = telecom("replay", tmp_path / name, "--json", connection=kafka_connection)
    assert result.exit_code == 0, result.output
    assert Counter(messages_on(kafka_connection)) == Counter(ANYTHING)
    printed = json.loads(result.stdout)
    assert printed["acknowledged"] == len(ANYTHING)
    assert printed["files"] == {str(tmp_path / name): len(ANYTHING)}


def test_replay_of_several_files_in_their_order(telecom: Callable[..., Finished], tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text(f'{{"{name}": 1}}\n{{"{name}": 2}}\n')
    connection = FakeConnection()
    result = telecom("replay", tmp_path / "b", tmp_path / "a", tmp_path / "b", connection=connection)
    assert connection.made.delivered == [
        b'{"%s": %d}' % (name, number) for name in (b"b", b"a", b"b") for number in (1, 2)
    ]
    assert result.exit_code == 0
    assert "6" in result.stdout


def test_replay_shows_a_name_as_it_is(
    telecom: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What rich would take for markup or an emoji."""
    monkeypatch.setenv("COLUMNS", "300")
    path = tmp_path / "x[" / "may].jsonl"
    path.parent.mkdir()
    for file in (path, tmp_path / "[gold]:100:"):
        file.write_text("{}\n")
        result = telecom("replay", file, connection=FakeConnection())
        assert result.exit_code == 0, result.output
        assert f" {file} " in result.stdout


def test_replay_opens_the_month_before_anything_is_sent(telecom: Callable[..., Finished], tmp_path: Path) -> None:
    (tmp_path / "cdr.jsonl").write_text("{}\n2\n")
    connection = FakeConnection()
    context = Context(tmp_path, connection)
    result = telecom("replay", "--month", "2025-05", tmp_path / "cdr.jsonl", context=context)
    assert result.exit_code == 0, result.output
    assert context.opened == [("2025-05", 0)]
    assert connection.made.delivered == [b"{}", b"2"]


@pytest.mark.parametrize("month", ["2025-13", "2019-12"])
def test_replay_refuses_a_month_that_cannot_be(telecom: Callable[..., Finished], tmp_path: Path, month: str) -> None:
    (tmp_path / "cdr.jsonl").write_text("{}\n")
    connection = FakeConnection()
    context = Context(tmp_path, connection)
    assert_one_line(telecom("replay", "--month", month, tmp_path / "cdr.jsonl", context=context), 2, month)
    assert context.opened == []
    assert not connection.is_used or connection.made.delivered == []


def test_replay_of_a_bad_file_sends_nothing_and_opens_nothing(telecom: Callable[..., Finished], tmp_path: Path) -> None:
    good, truncated = tmp_path / "good.jsonl", tmp_path / "truncated.jsonl.gz"
    good.write_text("{}\n")
    truncated.write_bytes(gzip.compress(b"some line\n" * 1_000)[:-9])
    connection = FakeConnection()
    context = Context(tmp_path, connection)
    result = telecom("replay", "--month", "2025-05", good, truncated, context=context)
    assert_one_line(result, 1, f"{truncated}: damaged gzip file")
    assert context.opened == []
    assert not connection.is_used


def test_replay_says_how_many_were_acknowledged_before_a_file_failed(
    telecom: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it changes after it was looked at."""
    monkeypatch.setattr(data, "check_archives", lambda files: None)
    monkeypatch.setattr(archives, "MAX_LINE_BYTES", 100)
    good, endless = tmp_path / "good.jsonl", tmp_path / "endless.jsonl"
    good.write_text("{}\n2\n3\n")
    endless.write_text("{" + "x" * 100)
    result = telecom("replay", good, endless, connection=FakeConnection())
    assert_one_line(result, 1, f"{endless}, line 1: longer than 100 bytes", "Messages acknowledged: 3")


def test_replay_needs_a_file(telecom: Callable[..., Finished]) -> None:
    result = telecom("replay")
    assert result.exit_code == 2
    assert "FILE" in result.stderr


# archives


def bad_archives(folder: Path) -> dict[Path, str]:
    """Path of each bad archive and what is said about it."""
    (folder / "empty.gz").write_bytes(b"")
    content = b'{"a": 1}\n' * 100
    arrow = pa.BufferOutputStream()
    with pa.CompressedOutputStream(arrow, "zstd") as stream:
        stream.write(content)
    zstd = arrow.getvalue().to_pybytes()
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("cdr.jsonl", content)
    with tarfile.open(folder / "archive.tar", "w") as tar:
        tar.add(folder / "archive.zip", "x")
    pq.write_table(pa.table({"a": [1]}), folder / "cdr.parquet")
    texts = {
        "utf16.jsonl": '{"a": 1}\n'.encode("utf-16"),
        "utf16le.jsonl": '{"a": 1}\n'.encode("utf-16-le"),
        "utf32.jsonl": '{"a": 1}\n'.encode("utf-32"),
        "cdr.csv": b"record_ID,record_type\n1,sms\n",
        "cdr.xml": b"<?xml version='1.0'?><cdrs/>",
        "spread.json": b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
        "number.json": b"[1]",
        "cut.json": b'[{"a": 1}, {"a"',
        "open.json": b'[{"a": 1}',
        "two.json": b'[{"a": 1}][{"a": 2}]',
        "comma.json": b'[{"a": 1},]',
        "no comma.json": b'[{"a": 1} {"a": 2}]',
        "latin.json": b'[{"a": "\xe9"}]',
        "deep.json": b'[{"a": ' + b"[" * 200_000,
        "cut.bz2": bz2.compress(content)[:-4],
        "cut.xz": lzma.compress(content)[:-4],
        "cut.zst": zstd[:-4],
        "bad.zst": zstd[:12] + b"\xff" * 8 + zstd[20:],
        "plain.bz2": content,
        "utf16.gz": gzip.compress('{"a": 1}\n'.encode("utf-16")),
        "7z.7z": b"7z\xbc\xaf\x27\x1c" + bytes(40),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    (folder / "plain.gz").write_bytes(b'{"a": 1}\n')
    (folder / "cut.gz").write_bytes(gzip.compress(b"line\n" * 100)[:-4])
    damaged = bytearray(gzip.compress(bytes(range(256)) * 50))
    damaged[40:60] = b"\xff" * 20
    (folder / "damaged.gz").write_bytes(damaged)
    wrong_sum = bytearray(gzip.compress(b"line\n"))
    wrong_sum[-8] ^= 1
    (folder / "sum.gz").write_bytes(wrong_sum)
    return {
        folder / "missing.jsonl": "no such file",
        folder: "a folder",
        folder / "empty.gz": "not a gzip file though it is named .gz",
        folder / "plain.gz": "not a gzip file though it is named .gz",
        folder / "cut.gz": "damaged gzip file",
        folder / "damaged.gz": "damaged gzip file",
        folder / "sum.gz": "damaged gzip file",
        folder / "archive.zip": "a zip archive; unpack it first; expected CDRs as JSON Lines",
        folder / "archive.tar": "a tar archive",
        folder / "cdr.parquet": "a Parquet file",
        folder / "utf16.jsonl": "UTF-16; convert it with `iconv",
        folder / "utf16le.jsonl": "UTF-16 or binary",
        folder / "utf32.jsonl": "UTF-16",
        folder / "cdr.csv": "neither JSON Lines nor a JSON array, it begins with 'record_ID,record_type'; expected",
        folder / "cdr.xml": "XML; expected",
        folder / "spread.json": "JSON objects that are spread over several lines; write one a line",
        folder / "number.json": "not a JSON array of objects: behind 0 of them, element 1 is no object",
        folder / "cut.json": "not a JSON array of objects: behind 1 of them, element 2 is no JSON, or the file was cut",
        folder
        / "open.json": "not a JSON array of objects: behind 1 of them, element 2 is no JSON, or the file was cut",
        folder / "two.json": "not a JSON array of objects: behind 1 of them, something stands behind its end",
        folder / "comma.json": "not a JSON array of objects: behind 1 of them, element 2 is no object",
        folder / "no comma.json": "not a JSON array of objects: behind 1 of them, '{' stands where a comma or",
        folder / "latin.json": "not UTF-8",
        folder / "deep.json": "not a JSON array of objects",
        folder / "cut.bz2": "damaged bzip2 file",
        folder / "cut.xz": "damaged xz file",
        folder / "cut.zst": "damaged zstd file",
        folder / "bad.zst": "damaged zstd file",
        folder / "plain.bz2": "not a bzip2 file though it is named .bz2",
        folder / "utf16.gz": "UTF-16; convert it with `iconv",
        folder / "7z.7z": "a 7z archive",
    }


def test_bad_archives_are_named(tmp_path: Path) -> None:
    for path, reason in bad_archives(tmp_path).items():
        with pytest.raises(ArchiveError) as caught:
            check_archives([path])
            pytest.fail(f"{path} is taken for good")
        assert str(caught.value).startswith(f"{path}: {reason}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"{}", [b"{}"]),
        (b"{}\n", [b"{}"]),
        (b"{}\n\n", [b"{}", b""]),
        (b"\n{}\n", [b"", b"{}"]),
        (b"{}\r\nb\r\n", [b"{}", b"b"]),
        (b"{\rb\n", [b"{\rb"]),
        (b"{}\r", [b"{}\r"]),
        (b"\xef\xbb\xbf{}\n{}", [b"{}", b"{}"]),
        (b"\n" * 2_000 + b"{}", [b""] * 2_000 + [b"{}"]),
        (b"[]", []),
        (b" [ ] \n", []),
        (b"\xef\xbb\xbf[{}]", [b"{}"]),
        (b'[{"a": 1.10}, {"b":\n  "]}, {"}\n,{"c":[{}]}]\n', [b'{"a": 1.10}', b'{"b":\n  "]}, {"}', b'{"c":[{}]}']),
        (b'[{"n": 0001}]', None),
        (b'[{"n": 1e5000, "m": ' + b"9" * 5_000 + b"}]", [b'{"n": 1e5000, "m": ' + b"9" * 5_000 + b"}"]),
        ('[{"é": "\\u00e9"}]'.encode(), ['{"é": "\\u00e9"}'.encode()]),
    ],
)
def test_lines(tmp_path: Path, content: bytes, lines: list[bytes] | None) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    if lines is None:
        with pytest.raises(ArchiveError):
            check_archives([path])
    else:
        assert [line for batch in read_messages(path) for line in batch] == lines


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1_000])
def test_objects_do_not_depend_on_how_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(archives, "_BLOCK_BYTES", block)
    path = tmp_path / "file.json.xz"
    objects = ['{"a": "é, {[", "b": 1.50}', '{\n  "c": {"d": []}\n}', "{}"] * 30
    path.write_bytes(lzma.compress(f"[{', '.join(objects)} ]".encode()))
    assert [each.decode() for batch in read_messages(path) for each in batch] == objects


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["gzip", "bzip2", "xz", "zstd"])
@pytest.mark.parametrize("parts", [1, 2])
def test_compressed_files_give_what_was_put_in(tmp_path: Path, form: str, parts: int) -> None:
    """Also where two were put one behind the other, as log rotation does."""
    lines = [b'{"number": %d}' % number for number in range(50_000)]
    half = len(lines) // parts
    pieces = [b"".join(line + b"\n" for line in lines[first : first + half]) for first in range(0, len(lines), half)]
    path = tmp_path / "archive"
    path.write_bytes(b"".join(packed(form, piece) for piece in pieces))
    check_archives([path])
    assert [line for batch in read_messages(path) for line in batch] == lines


def packed(form: str, content: bytes) -> bytes:
    if form == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        return bytes(sink.getvalue().to_pybytes())
    compress: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
    return compress[form](content)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1_000])
def test_lines_do_not_depend_on_how_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(archives, "_BLOCK_BYTES", block)
    path = tmp_path / "file.jsonl.gz"
    lines = [b"{one", b"", b"two\r\r", b"\r", "thrée".encode(), b"four"]
    path.write_bytes(gzip.compress(b"\r\n".join(lines[:3])) + gzip.compress(b"\r\n" + b"\r\n".join(lines[3:])))
    assert [line for batch in read_messages(path) for line in batch] == lines


def test_a_compressed_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    path.write_bytes(gzip.compress(b"{}\nb\n"))
    assert list(read_messages(path)) == [[b"{}", b"b"]]
    (tmp_path / "misnamed.xz").write_bytes(bz2.compress(b"{}\nb\n"))
    assert list(read_messages(tmp_path / "misnamed.xz")) == [[b"{}", b"b"]]
