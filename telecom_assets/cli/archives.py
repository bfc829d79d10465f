"""Archived CDR files: JSON Lines, plain or gzip, read as bytes and never parsed.

Belongs here: opening, checking and splitting such files. Does not belong here: what a line holds, where it is sent.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

#: A line longer than this is no CDR, and the file no JSON Lines: memory stays bounded on any file.
MAX_LINE_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class ArchiveError(Exception):
    """An archive cannot be read. The message names the file, what was found and what is expected."""


def check_archives(paths: Sequence[Path]) -> None:
    """Find out what can be known before anything is sent: every file opens, and compressed ones are whole.

    A compressed file is read to its end, for only there a broken one shows. A pipe can be read but once and is not
    looked at. Raises ArchiveError for the first bad file.
    """
    for path in paths:
        if not path.exists():
            raise ArchiveError(f"{path}: no such file; expected archived CDRs, one JSON object a line")
        if path.is_dir():
            raise ArchiveError(f"{path}: a folder; expected files of archived CDRs, for example {path}/*.jsonl")
        if path.is_file() and _is_gzip(path):
            for _ in _blocks(path):
                pass


def read_lines(path: Path) -> Iterator[list[bytes]]:
    """The lines of a file in batches, in order, each as its bytes without the line end (LF or CRLF).

    Nothing is left out: an empty line is an empty message. Only after the last line end there is no line.
    Raises ArchiveError.
    """
    rest = b""
    number = 0
    for block in _blocks(path):
        text = rest + block
        lines = text.split(b"\n")
        rest = lines.pop()
        number += len(lines)
        if len(rest) > MAX_LINE_BYTES:
            raise ArchiveError(
                f"{path}, line {number + 1}: longer than {MAX_LINE_BYTES:,} bytes; expected one JSON object a line"
            )
        if b"\r\n" in text:
            lines = [line.removesuffix(b"\r") for line in lines]
        if lines:
            yield lines
    if rest:
        yield [rest]


def _is_gzip(path: Path) -> bool:
    """By its content: an archive that lost its ending is no less compressed. Named .gz, it has to be."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GZIP_MAGIC))
    except OSError as error:
        raise _unreadable(path, error) from error
    if path.suffix == ".gz" and magic != _GZIP_MAGIC:
        raise ArchiveError(f"{path}: not a gzip file though it is named .gz; compress it again or rename it")
    return magic == _GZIP_MAGIC


def _blocks(path: Path) -> Iterator[bytes]:
    compressed = path.is_file() and _is_gzip(path)
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ArchiveError(f"{path}: damaged gzip file ({error}); fetch or compress it again") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ArchiveError:
    return ArchiveError(f"{path}: cannot be read ({error.strerror or error})")
