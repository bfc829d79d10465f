"""The one folder for files that can be made or fetched again: `telecom_assets` in XDG_CACHE_HOME or ~/.cache.

Belongs here: where it is, storing a text in it, and noticing that the stored file was changed. Does not belong here: making the text.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from resources.atomic_files import replaced_file


def user_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "telecom_assets"


def cached_text(name: str, version: str, make: Callable[[], str]) -> str:
    """The text that `make` returns, from the file `name` of the cache where that holds this version of it, unchanged.

    version: whatever the text depends on. The file's first line is the SHA-256 of the version and the rest, and a file of another
    version is replaced. A folder that cannot be written is no error: the text is made anew.
    """
    path = user_cache() / name
    with suppress(OSError, ValueError):
        digest, text = path.read_bytes().decode("utf-8").split("\n", maxsplit=1)
        if digest == _digest(version, text):
            return text
    text = make()
    with suppress(OSError), replaced_file(path) as file:
        file.write(f"{_digest(version, text)}\n{text}".encode())
    return text


def _digest(version: str, text: str) -> str:
    return hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()
