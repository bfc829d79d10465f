"""A command as a user types it, in this process, through the entry point.

Belongs here: the way in and what came out. Does not belong here: what a command is given, what is expected of it.
"""

import os
from dataclasses import dataclass
from functools import cache

import pytest
from typer.main import get_command

from telecom_assets import cli

#: All commands with their options, which typer makes anew for each command that is typed: 15 ms.
_command_made_once = cache(get_command)


@dataclass
class Finished:
    """What a command printed and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def type_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: tuple[object, ...]
) -> Finished:
    """`telecom ARGUMENTS`, and nothing of what was printed before."""
    monkeypatch.setattr("sys.argv", ["telecom", *map(str, arguments)])
    monkeypatch.setattr("typer.main.get_command", _command_made_once)
    capfd.readouterr()
    before = os.umask(0o022)  # as a login shell has it; a command changes it for its process
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        os.umask(before)
    return Finished(int(ended.value.code or 0), *capfd.readouterr())


def without_other_users(text: str) -> str:
    """What was printed, but for the warning of other users, which depends on the machine of the test."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("other users can log in"))
