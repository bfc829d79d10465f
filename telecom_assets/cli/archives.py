"""Archived CDR files: JSON Lines or a JSON array, plain or compressed, each CDR as its own bytes.

Belongs here: the form of a file, by its first bytes; checking and splitting it. Does not belong here: the content of a CDR, and
sending it. A file of any size is read in bounded memory.
"""

import bz2
import codecs
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from resources.expected_errors import ExpectedError

#: A file with a longer line, or a longer element of its array, is refused: it holds no CDRs.
MAX_LINE_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
#: How many bytes of a file are read to recognise its form.
_HEAD_BYTES = 512

_EXPECTED = (
    "expected CDRs as JSON Lines (one object a line) or as one JSON array of objects, in UTF-8, plain or compressed "
)
_EXPECTED += "with gzip, bzip2, xz or zstd"


def _zstd(file: IO[bytes]) -> Any:
    return io.BufferedReader(_Zstd(file), _BLOCK_BYTES)


class _Zstd(io.RawIOBase):
    """A zstd stream, read by the library that reads the tables."""

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


#: Compressed forms that are read: first bytes, usual ending, name, and the function that opens the file.
_COMPRESSED: Sequence[tuple[bytes, str, str, Callable[[IO[bytes]], Any]]] = (
    (b"\x1f\x8b", ".gz", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", ".bz2", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\x00", ".xz", "xz", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", ".zst", "zstd", _zstd),
)
#: Forms that are recognised and refused: the offset of the bytes that mark them, those bytes, and advice for the user.
_REFUSED: Sequence[tuple[int, bytes, str]] = (
    (0, b"PK\x03\x04", "a zip archive; unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (0, b"Rar!", "a rar archive; unpack it first"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file; decompress it first"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (0, b"PAR1", "a Parquet file; write its rows as JSON Lines first"),
    (0, b"Obj\x01", "an Avro file; write its records as JSON Lines first"),
    (0, codecs.BOM_UTF16_LE, "UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`"),
    (0, codecs.BOM_UTF16_BE, "UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`"),
    (0, b"<", "XML"),
)
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
_BLANKS = b" \t\r\n"
_BETWEEN = re.compile(r"[ \t\r\n]*")


class ArchiveError(ExpectedError):
    """An archive cannot be read. The message names the file, what was found and what is expected."""


def check_archives(paths: Sequence[Path]) -> None:
    """Read every file to its end before anything is sent, so that a file that cannot be read sends nothing.

    A pipe can be read only once, so it is not checked. Raises ArchiveError for the first bad file.
    """
    for path in paths:
        if not path.exists():
            raise ArchiveError(f"{path}: no such file; {_EXPECTED}")
        if path.is_dir():
            raise ArchiveError(f"{path}: a folder; expected files of archived CDRs, for example {path}/*.jsonl")
        if path.is_file():
            for _ in read_messages(path):
                pass


def read_messages(path: Path) -> Iterator[list[bytes]]:
    """The CDRs of a file in batches, in order, each as its bytes.

    JSON Lines: every line without its line end (LF or CRLF). No line is left out: an empty line is an empty message; after the
    last line end there is no line. JSON array: every object as it is written. A byte order mark at the beginning belongs to no
    CDR. Raises ArchiveError.
    """
    blocks = _blocks(path)
    head = b""
    while len(head) < _HEAD_BYTES or not head.strip(_BLANKS):
        block = next(blocks, b"")
        if not block:
            break
        head += block
        if len(head) > MAX_LINE_BYTES:
            break
    head = head.removeprefix(codecs.BOM_UTF8)
    begin = head.lstrip(_BLANKS)[:1]
    if b"\x00" in head[:4]:
        raise ArchiveError(f"{path}: {_named(head)}; {_EXPECTED}")
    if begin == b"[":
        yield from _objects(path, head, blocks)
    elif begin in (b"{", b""):
        yield from _lines(path, head, blocks)
    else:
        raise ArchiveError(f"{path}: {_named(head)}; {_EXPECTED}")


def _named(head: bytes) -> str:
    """The form of a file that is refused, in words."""
    for place, magic, name in _REFUSED:
        if head[place:].startswith(magic):
            return name
    if b"\x00" in head[:4]:
        return "UTF-16 or binary; text in UTF-16 is converted with `iconv -f UTF-16 -t UTF-8`"
    first = head.lstrip(_BLANKS).split(b"\n", 1)[0][:40].decode("utf-8", "replace").strip()
    return f"neither JSON Lines nor a JSON array, it begins with {first!r}"


def _lines(path: Path, head: bytes, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    rest = b""
    number = 0
    for block in _chained(head, blocks):
        text = rest + block
        lines = text.split(b"\n")
        rest = lines.pop()
        if number == 0 and lines:
            _refuse_spread(path, lines)
        number += len(lines)
        if len(rest) > MAX_LINE_BYTES:
            raise ArchiveError(f"{path}, line {number + 1}: longer than {MAX_LINE_BYTES:,} bytes; {_EXPECTED}")
        if b"\r\n" in text:
            lines = [line.removesuffix(b"\r") for line in lines]
        if lines:
            yield lines
    if rest:
        yield [rest]


def _refuse_spread(path: Path, lines: Sequence[bytes]) -> None:
    """Raise ArchiveError for objects that are spread over several lines: they would be sent in pieces."""
    first = next((line.strip(_BLANKS) for line in lines if line.strip(_BLANKS)), b"")
    if first.startswith(b"{") and first.rstrip(_BLANKS)[-1:] in (b"{", b","):
        raise ArchiveError(
            f"{path}: JSON objects that are spread over several lines; write one a line, for example with `jq -c .`"
        )


def _objects(path: Path, head: bytes, blocks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """The objects of one array. The rest of a block is read again with the next block; an object is no longer than a line."""
    decode, array = codecs.getincrementaldecoder("utf-8")().decode, _Array()
    try:
        for block in _chained(head, blocks):
            if found := array.read(decode(block)):
                yield found
        decode(b"", final=True)
        array.end()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{path}: not UTF-8 ({error.reason}) behind element {array.number}; {_EXPECTED}") from error
    except _NotAnArray as error:
        raise ArchiveError(f"{path}: not a JSON array of objects: behind {array.number:,} of them, {error}") from error


class _NotAnArray(Exception):
    """The text is not an array of objects, and why."""


class _Array:
    """An array of objects that is read piece by piece."""

    #: For each expectation: the characters that may come next, each with the expectation after it.
    _NEXT: Mapping[str, Mapping[str, str]] = {
        "[": {"[": "object or ]"},
        "object or ]": {"]": "end", "{": ", or ]"},
        "object": {"{": ", or ]"},
        ", or ]": {",": "object", "]": "end"},
        "end": {},
    }

    def __init__(self) -> None:
        self.number = 0
        self._rest = ""
        self._wants = "["
        self._decoder = json.JSONDecoder(parse_int=_unread, parse_float=_unread, strict=False)

    def read(self, text: str) -> list[bytes]:
        """Add a piece of the text. Returns the objects that end in it, as they are written."""
        text, place, found = self._rest + text, 0, list[bytes]()
        while (place := _skip(text, place)) < len(text):
            sign = text[place]
            if sign not in self._NEXT[self._wants]:
                raise _NotAnArray(self._instead(sign))
            end = self._end_of_object(text, place) if sign == "{" else place + 1
            if end is None:
                break
            if sign == "{":
                found.append(text[place:end].encode())
                self.number += 1
            self._wants, place = self._NEXT[self._wants][sign], end
        self._rest = text[place:]
        return found

    def end(self) -> None:
        """End the text. Raises _NotAnArray when the array is not complete."""
        if self._wants != "end":
            raise _NotAnArray(f"element {self.number + 1} is no JSON, or the file was cut")

    def _end_of_object(self, text: str, place: int) -> int | None:
        """The index at which an object ends; None when it ends in a later piece."""
        try:
            return self._decoder.raw_decode(text, place)[1]
        except RecursionError:
            raise _NotAnArray(f"element {self.number + 1} is nested too deep") from None
        except json.JSONDecodeError:
            if len(text) - place > MAX_LINE_BYTES:
                raise _NotAnArray(f"element {self.number + 1} is no JSON, or too long") from None
            return None

    def _instead(self, sign: str) -> str:
        if self._wants == "end":
            return "something stands behind its end"
        if self._wants == ", or ]":
            return f"{sign!r} stands where a comma or the end is expected"
        return f"element {self.number + 1} is no object"


def _unread(digits: str) -> None:
    """Ignore a number, whatever its length: it is sent as it is written."""


def _skip(text: str, place: int) -> int:
    blanks = _BETWEEN.match(text, place)
    assert blanks is not None
    return blanks.end()


def _chained(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from blocks


def _blocks(path: Path) -> Iterator[bytes]:
    """The content of a file, decompressed when its first bytes are those of a compressed form; its name does not matter."""
    form = "gzip"
    try:
        with path.open("rb") as raw:
            head = raw.peek(_HEAD_BYTES)
            for place, magic, name in _REFUSED:
                if len(magic) > 1 and head[place:].startswith(magic):
                    raise ArchiveError(f"{path}: {name}; {_EXPECTED}")
            opened: Any = raw
            for magic, ending, name, opener in _COMPRESSED:
                if head.startswith(magic):
                    form, opened = name, opener(raw)
                elif path.suffix == ending and not head.startswith(tuple(each[0] for each in _COMPRESSED)):
                    raise ArchiveError(
                        f"{path}: not a {name} file though it is named {ending}; compress it again or rename it"
                    )
            while block := opened.read(_BLOCK_BYTES):
                yield block
    except _DAMAGED as error:
        raise _damaged(path, form, error) from error
    except OSError as error:
        # Broken bzip2 and zstd data raise OSError too, without an error number.
        raise (_unreadable(path, error) if error.errno else _damaged(path, form, error)) from error


def _damaged(path: Path, form: str, error: Exception) -> ArchiveError:
    return ArchiveError(f"{path}: damaged {form} file ({str(error).splitlines()[0]}); fetch or compress it again")


def _unreadable(path: Path, error: OSError) -> ArchiveError:
    return ArchiveError(f"{path}: cannot be read ({error.strerror or error})")
