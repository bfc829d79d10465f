"""A text that takes long to make and is the same every time, kept in the user's cache folder.

Belongs here: storing the text, and noticing that the stored file was changed. Does not belong here: making the text.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress

from resources.atomic_files import replaced_file
from resources.user_cache import user_cache


def cached_text(name: str, make: Callable[[], str]) -> str:
    """The text that `make` returns, from the cache when the cached file is unchanged. `name` must name the version of the text.

    The file's first line is the SHA-256 of the rest. A folder that cannot be written is no error: the text is made anew.
    """
    path = user_cache() / name
    with suppress(OSError, ValueError):
        digest, text = path.read_bytes().decode("utf-8").split("\n", maxsplit=1)
        if digest == _digest(text):
            return text
    text = make()
    with suppress(OSError), replaced_file(path) as file:
        file.write(f"{_digest(text)}\n{text}".encode())
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
