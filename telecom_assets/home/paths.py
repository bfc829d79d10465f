"""Paths that people type: why a text cannot be a path, in our words, before a system call fails with an error code.

Belongs here: lengths and characters. Does not belong here: whether the path exists.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from resources.expected_errors import UsageError


class PathError(UsageError):
    """A text that was given to a command cannot be a path. The message names the argument and what was expected."""


#: The most bytes of a path, and of a name in it, on Linux and macOS.
_PATH_BYTES, _NAME_BYTES = 4095, 255
#: The bytes of a path that are kept free for files below a folder of ours: tables, runs, invoices.
_BELOW_BYTES = 512
#: Longer texts are shown by their beginning and their end.
_SHOWN = 120

P = TypeVar("P", Path, None, list[Path])


def path_problem(path: str | os.PathLike[str], *, is_folder: bool = False) -> str | None:
    """Why a text cannot be a path, in words; None when it can. is_folder: files of ours will lie below it."""
    text = os.fspath(path)
    if (wrong := control_character(text)) is not None:
        return f"holds {wrong}; expected a path on one line"
    room = _PATH_BYTES - (_BELOW_BYTES if is_folder else 0)
    if (size := len(os.fsencode(text))) > room:
        return f"has {size:,} bytes; expected a path of at most {room:,}"
    longest = max((len(os.fsencode(part)) for part in Path(text).parts), default=0)
    if longest > _NAME_BYTES:
        return f"has a name of {longest:,} bytes; expected names of at most {_NAME_BYTES}"
    return None


def control_character(text: str) -> str | None:
    """The first control character of a text, in words; None when it has none."""
    found = next((each for each in text if ord(each) < 0x20 or each in "\x7f\x85\u2028\u2029"), None)
    if found is None:
        return None
    names = {"\n": "a line end", "\r": "a line end", "\0": "a NUL character"}
    return names.get(found, f"the control character U+{ord(found):04X}")


def shown(text: str) -> str:
    """A text as a message shows it: in quotes, on one line, and only its ends when it is long."""
    quoted = repr(text)
    if len(quoted) <= _SHOWN:
        return quoted
    return f"{quoted[:60]}…{quoted[-30:]} ({len(text):,} characters)"


def one_line(message: str) -> str:
    """A message on one line: names of people in it may hold line ends, which are replaced."""
    return "".join(repr(each)[1:-1] if control_character(each) else each for each in message.strip())


def checked(name: str, *, is_folder: bool = False) -> Callable[[P], P]:
    """A check of a command's argument: raises PathError with one line that names it."""

    def check(given: P) -> P:
        for path in given if isinstance(given, list) else [given]:
            if path is not None and (problem := path_problem(path, is_folder=is_folder)) is not None:
                raise PathError(f"{name}: {shown(str(path))}: {problem}")
        return given

    return check
