"""Files that the stack writes: read back by Java itself, and private."""

import os
import subprocess
from pathlib import Path

import pytest

from resources.java import java_home
from telecom_assets.local_stack.jvm import java_environment, write_arguments, write_properties
from telecom_assets.local_stack.layout import Kept, write_private

AWKWARD = ["plain", " leading space", r"C:\new\table", "mixed = : # !", "Fès ١٢ 𝄞", "two\nlines", ""]


@pytest.mark.parametrize("name", ["plain", "with space", 'qu"ote', "back\\slash", "höme"])
def test_java_reads_its_arguments_from_a_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    argument = write_arguments(folder / "a.args", [f"-Dwanted={folder}", "-XshowSettings:properties", "-version"])
    said = subprocess.run(
        [java_home() / "bin" / "java", argument], capture_output=True, text=True, check=True, env=java_environment()
    )
    assert f"    wanted = {folder}\n" in said.stderr


@pytest.mark.parametrize("value", AWKWARD)
def test_properties_are_what_java_reads(tmp_path: Path, value: str) -> None:
    path = tmp_path / "some.properties"
    write_properties(path, {"value": value, "number": 1})
    assert path.stat().st_mode & 0o777 == 0o600
    assert unescape(path.read_bytes().decode("ascii").splitlines()[0]) == f"value={value}"


def unescape(line: str) -> str:
    """java.util.Properties.load for one line: ISO 8859-1, \\uXXXX is a UTF-16 unit, \\n a line end, \\x is x."""
    units = bytearray()
    position = 0
    while position < len(line):
        sign = line[position]
        if sign != "\\":
            units += sign.encode("utf-16-be")
            position += 1
        elif line[position + 1] == "u":
            units += int(line[position + 2 : position + 6], 16).to_bytes(2, "big")
            position += 6
        else:
            units += {"n": "\n"}.get(line[position + 1], line[position + 1]).encode("utf-16-be")
            position += 2
    return units.decode("utf-16-be")


def test_private_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept.json"
    write_private(path, "before")

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_private(path, "after")
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["kept.json"]


def test_credentials_are_made_once_and_differ(tmp_path: Path) -> None:
    first = Kept(tmp_path / "kept.json")
    first.make("one_password")
    first.make("other_password")
    again = Kept(tmp_path / "kept.json")
    again.load()
    again.make("one_password")
    assert again.value("one_password") == first.value("one_password")
    assert first.value("one_password") != first.value("other_password")
    assert len(first.value("one_password")) >= 32


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """It may hold a password."""
    left = tmp_path / ".kept.json.a1b2c3d4"
    others = [tmp_path / name for name in (".kept.json.d", ".other.json.a1b2c3d4", "kept.json.a1b2c3d4")]
    for file in (left, *others):
        file.touch()
    write_private(tmp_path / "kept.json", "{}")
    assert not left.exists()
    assert all(file.exists() for file in others)
