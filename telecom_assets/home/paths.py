"""Paths that people give: what is wrong with one, in words, before a system call says it in its own.

Belongs here: lengths and characters. Does not belong here: whether something lies there.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar


class PathError(Exception):
    """A path that was given to a command cannot be one. The message names the argument and what was expected."""


#: What Linux and macOS take: bytes of a path, and of a name in it.
_PATH_BYTES, _NAME_BYTES = 4095, 255
#: What is left of them for what lies below a folder of ours: tables, runs, invoices.
_BELOW_BYTES = 512
#: A text that is longer is shown by its beginning and its end.
_SHOWN = 120

P = TypeVar("P", Path, None, list[Path])


def path_problem(path: str | os.PathLike[str], *, is_folder: bool = False) -> str | None:
    """What keeps a path from being one, in words; None when nothing does. A folder is to hold files of ours."""
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
    """The first character of a text that no line of text holds, in words; None when there is none."""
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
    """A message without what would end its line: it may hold a name that somebody gave."""
    return "".join(repr(each)[1:-1] if control_character(each) else each for each in message.strip())


def checked(name: str, *, is_folder: bool = False) -> Callable[[P], P]:
    """A check of a command's argument: raises PathError with one line that names it."""

    def check(given: P) -> P:
        for path in given if isinstance(given, list) else [given]:
            if path is not None and (problem := path_problem(path, is_folder=is_folder)) is not None:
                raise PathError(f"{name}: {shown(str(path))}: {problem}")
        return given

    return check
