"""Starting Java servers with their options in files, so that no space or password is on a command line."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from resources.java import JavaError, java_home, resolve_jars
from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.layout import write_private
from telecom_assets.local_stack.service import Report


def java_program(supported: Collection[int]) -> Path:
    """The `java` to run. Raises LocalStackError when JAVA_HOME does not fit."""
    try:
        return java_home(supported) / "bin" / "java"
    except JavaError as error:
        raise LocalStackError(str(error)) from error


def java_environment() -> dict[str, str]:
    """The caller's environment, in a locale in which Java can open a path with any letter."""
    return dict(os.environ) | {"LC_ALL": "C.UTF-8"}


def fetch_jars(
    coordinates: Sequence[str], title: str, report: Report, exclude: Collection[str] = (), transitive: bool = True
) -> list[Path]:
    """The jars of a server, downloaded at the first start. Raises LocalStackError."""
    try:
        return resolve_jars(
            coordinates, exclude=exclude, transitive=transitive, report=lambda line: report(f"{title}: {line}")
        )
    except JavaError as error:
        raise LocalStackError(f"{title}: {error}") from error


def write_arguments(path: Path, arguments: Sequence[str]) -> str:
    """Write Java's command line into an argument file and return the one argument that names it."""
    quoted = [argument.replace("\\", "\\\\").replace('"', '\\"') for argument in arguments]
    write_private(path, "".join(f'"{argument}"\n' for argument in quoted))
    return f"@{path}"


def write_properties(path: Path, properties: Mapping[str, object]) -> None:
    """Write a Java properties file, which only its owner reads."""
    write_private(path, "".join(f"{key}={_escaped(str(value))}\n" for key, value in properties.items()))


def _escaped(value: str) -> str:
    """A value as java.util.Properties reads it: backslashes doubled, anything beyond ASCII as UTF-16 escapes."""
    text = value.replace("\\", "\\\\").replace("\n", "\\n")
    if text[:1] == " ":
        text = f"\\{text}"
    units = text.encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 0x7F else f"\\u{code:04x}" for code in codes)
