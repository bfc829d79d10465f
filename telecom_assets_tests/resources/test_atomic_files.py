"""Files and sets of files appear whole or not at all: at every phase, after exceptions and after kills."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.atomic_files import PHASES, PublishError, Superseded, read_directory, replaced_directory, replaced_file

BEFORE_THE_SWAP = PHASES[: PHASES.index("swapped")]
FILE_PHASES = ("written", "synced", "swapped")


class Boom(Exception):
    """The failure that a test injects."""


def fail_at(phase: str) -> Callable[[str], None]:
    def at_phase(reached: str) -> None:
        if reached == phase:
            raise Boom(phase)

    return at_phase


def publish(directory: Path, version: int | str, at_phase: Callable[[str], None] = lambda _: None) -> None:
    """A set of three files that all hold its version."""
    with replaced_directory(directory, version, at_phase) as stage:
        for name in "abc":
            (stage / name).write_text(str(version))


def shown(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def of_version(version: int | str) -> dict[str, str]:
    return dict.fromkeys("abc", str(version))


def sets_on_disk(directory: Path) -> list[str]:
    """Everything in the store but its lock."""
    return sorted(
        path.name for path in (directory.parent / f".{directory.name}.versions").iterdir() if path.name != ".lock"
    )


def killed(code: str, *arguments: object) -> None:
    """Run Python code that kills itself, and see that it did."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


KILLED_SET_WRITER = """
import os, signal, sys
from pathlib import Path
from resources.atomic_files import replaced_directory
def at_phase(reached):
    if reached == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
with replaced_directory(Path(sys.argv[1]), 2, at_phase) as stage:
    for name in "abc":
        (stage / name).write_text("2")
"""

KILLED_FILE_WRITER = """
import os, signal, sys
from pathlib import Path
from resources.atomic_files import replaced_file
def at_phase(reached):
    if reached == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
with replaced_file(Path(sys.argv[1]), at_phase) as file:
    file.write(b"new")
"""


def test_a_set_is_published_replaced_and_the_old_one_removed(tmp_path: Path) -> None:
    phases: list[str] = []
    directory = tmp_path / "new folder" / "2025-05"
    publish(directory, 1, phases.append)
    assert shown(directory) == of_version(1)
    assert tuple(phases) == PHASES
    publish(directory, 2)
    assert shown(directory) == of_version(2)
    assert len(sets_on_disk(directory)) == 1


@pytest.mark.parametrize("phase", BEFORE_THE_SWAP)
def test_a_failure_before_the_swap_leaves_the_old_set_and_nothing_else(tmp_path: Path, phase: str) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    before = sets_on_disk(directory)
    with pytest.raises(Boom, match=phase):
        publish(directory, 2, fail_at(phase))
    assert shown(directory) == of_version(1)
    assert sets_on_disk(directory) == before


@pytest.mark.parametrize("phase", BEFORE_THE_SWAP)
def test_a_failure_of_the_first_writer_leaves_no_set(tmp_path: Path, phase: str) -> None:
    with pytest.raises(Boom):
        publish(tmp_path / "set", 1, fail_at(phase))
    assert not os.path.lexists(tmp_path / "set")
    assert sets_on_disk(tmp_path / "set") == []


@pytest.mark.parametrize("phase", ["swapped", "removed"])
def test_a_failure_after_the_swap_leaves_the_new_set(tmp_path: Path, phase: str) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    with pytest.raises(Boom):
        publish(directory, 2, fail_at(phase))
    assert shown(directory) == of_version(2)
    publish(directory, 3)
    assert len(sets_on_disk(directory)) == 1


def interrupt_after_the_rename(patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the moment when a name has been replaced and nothing else has been done."""
    replace = Path.replace

    def interrupted(path: Path, target: Path) -> None:
        replace(path, target)
        raise KeyboardInterrupt

    patch.setattr(Path, "replace", interrupted)


@pytest.mark.parametrize("before", [[], [1]], ids=["first", "second"])
def test_an_interrupt_right_after_the_swap_leaves_the_new_set_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: list[int]
) -> None:
    directory = tmp_path / "set"
    for version in before:
        publish(directory, version)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after_the_rename(patch)
        publish(directory, 2)
    assert shown(directory) == of_version(2)
    publish(directory, 3)
    assert shown(directory) == of_version(3)
    assert len(sets_on_disk(directory)) == 1


def test_a_failed_writer_takes_its_set_away_when_another_thing_is_in_the_place(tmp_path: Path) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    with pytest.raises(Boom), replaced_directory(directory, 2) as stage:
        directory.unlink()
        make_file(directory)
        raise Boom
    assert directory.read_text() == "precious"
    assert not stage.exists()


def test_before_the_swap_the_set_is_synced_and_no_other_writer_can_swap(tmp_path: Path) -> None:
    directory, heard = tmp_path / "set", list[str]()

    def before_swap() -> None:
        heard.append("asked")
        assert not os.path.lexists(directory)
        with (tmp_path / ".set.versions" / ".lock").open("rb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with replaced_directory(directory, 1, heard.append, before_swap=before_swap):
        pass
    assert heard == [*BEFORE_THE_SWAP, "asked", "swapped", "removed"]


def test_an_objection_before_the_swap_leaves_the_old_set_and_nothing_else(tmp_path: Path) -> None:
    def object_to_it() -> None:
        raise Superseded("made again")

    directory = tmp_path / "set"
    publish(directory, 1)
    before = sets_on_disk(directory)
    with pytest.raises(Superseded), replaced_directory(directory, 2, before_swap=object_to_it) as stage:
        (stage / "a").write_text("2")
    assert shown(directory) == of_version(1)
    assert sets_on_disk(directory) == before
    publish(directory, 3)
    assert shown(directory) == of_version(3)


@pytest.mark.parametrize("phase", PHASES)
def test_a_kill_leaves_a_whole_set_and_the_next_writer_clears_up(tmp_path: Path, phase: str) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    killed(KILLED_SET_WRITER, directory, phase)
    assert shown(directory) == of_version(1 if phase in BEFORE_THE_SWAP else 2)
    if phase != "removed":
        assert len(sets_on_disk(directory)) > 1
    publish(directory, 3)
    assert shown(directory) == of_version(3)
    assert len(sets_on_disk(directory)) == 1


def test_an_error_while_the_set_is_filled_is_the_error_that_is_seen(tmp_path: Path) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    with pytest.raises(Boom), replaced_directory(directory, 2) as stage:
        (stage / "a").write_text("2")
        raise Boom
    assert shown(directory) == of_version(1)


def test_a_writer_at_work_is_not_taken_for_a_leftover_and_yields_to_a_newer_version(tmp_path: Path) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    with pytest.raises(Superseded, match="the newer one stays"), replaced_directory(directory, 7) as stage:
        publish(directory, 8)
        (stage / "a").write_text("7")
    assert shown(directory) == of_version(8)
    assert len(sets_on_disk(directory)) == 1


@pytest.mark.parametrize("mine, other", [(7, 6), (7, 7), ("x", "y"), (7, "y")])
def test_a_writer_does_not_yield_to_an_older_or_equal_version(
    tmp_path: Path, mine: int | str, other: int | str
) -> None:
    directory = tmp_path / "set"
    with replaced_directory(directory, mine) as stage:
        publish(directory, other)
        (stage / "only").write_text("mine")
    assert shown(directory) == {"only": "mine"}
    assert len(sets_on_disk(directory)) == 1


def test_a_lower_version_may_follow_when_nobody_came_between(tmp_path: Path) -> None:
    """A table that was made again counts from 0 again."""
    publish(tmp_path / "set", 9)
    publish(tmp_path / "set", 0)
    assert shown(tmp_path / "set") == of_version(0)


def test_an_empty_directory_may_be_in_the_place(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    publish(tmp_path / "set", 1)
    assert shown(tmp_path / "set") == of_version(1)


def make_file(place: Path) -> None:
    place.write_text("precious")


def make_full_directory(place: Path) -> None:
    place.mkdir()
    (place / "precious").write_text("precious")


def make_foreign_link(place: Path) -> None:
    make_full_directory(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [make_file, make_full_directory, make_foreign_link])
def test_what_was_not_written_here_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    place = tmp_path / "set"
    make(place)
    with pytest.raises(PublishError, match="move it away"):
        publish(place, 1)
    assert "precious" in (place.read_text() if place.is_file() else shown(place)["precious"])


@pytest.mark.parametrize("version", ["", "../x", "a/b", ".x", "x" * 65, "a b"])
def test_a_version_that_is_no_name_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(PublishError, match="expected at most 64"):
        publish(tmp_path / "set", version)


def test_a_reader_that_is_overtaken_reads_the_new_set_whole(tmp_path: Path) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    calls: list[Path] = []

    def read(current: Path) -> dict[str, str]:
        calls.append(current)
        if len(calls) == 1:
            publish(directory, 2)  # removes the files that this reader is about to open
        return shown(current)

    assert read_directory(directory, read) == of_version(2)
    assert len(calls) == 2


def test_a_reader_does_not_take_half_a_listing_for_a_set(tmp_path: Path) -> None:
    directory = tmp_path / "set"
    publish(directory, 1)
    calls: list[Path] = []

    def read(current: Path) -> int:
        calls.append(current)
        if len(calls) == 1:
            publish(directory, 2)
            return 0  # what a listing finds while its directory is being emptied
        return len(list(current.iterdir()))

    assert read_directory(directory, read) == 3


def test_a_reader_is_told_when_there_is_no_set_or_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_directory(tmp_path / "set", shown)
    publish(tmp_path / "set", 1)
    with pytest.raises(FileNotFoundError):
        read_directory(tmp_path / "set", lambda current: (current / "z").read_text())


@pytest.mark.parametrize("phase", FILE_PHASES)
def test_a_file_is_old_or_new_after_a_failure(tmp_path: Path, phase: str) -> None:
    path = tmp_path / "report.csv"
    path.write_text("old")
    with pytest.raises(Boom), replaced_file(path, fail_at(phase)) as file:
        file.write(b"new")
    assert path.read_text() == ("new" if phase == "swapped" else "old")
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_right_after_the_swap_leaves_the_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.csv"
    path.write_text("old")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), replaced_file(path) as file:
        interrupt_after_the_rename(patch)
        file.write(b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("phase", FILE_PHASES)
def test_a_file_is_old_or_new_after_a_kill_and_the_next_writer_clears_up(tmp_path: Path, phase: str) -> None:
    path = tmp_path / "re*port[1].csv"
    path.write_text("old")
    killed(KILLED_FILE_WRITER, path, phase)
    assert path.read_text() == ("new" if phase == "swapped" else "old")
    if phase != "swapped":
        assert len(list(tmp_path.iterdir())) == 2
    with replaced_file(path) as file:
        file.write(b"newer")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "newer"


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replaced_file(path) as first:
        with replaced_file(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
        first.write(b"first")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
