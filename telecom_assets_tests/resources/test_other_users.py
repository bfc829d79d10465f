"""Who else can log in to the machine, and who is told of it."""

import json
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from resources import other_users
from resources.other_users import Account, warning
from telecom_assets_tests.typed import Finished, type_command

ME = 1000
BASH = "/bin/bash"
ANNA = Account("anna", 1001, BASH)


@pytest.mark.parametrize(
    ("accounts", "named"),
    [
        ([], []),
        ([Account("me", ME, BASH), Account("root", 0, BASH), Account("daemon", 1, "/usr/sbin/nologin")], []),
        ([Account("postgres", 110, BASH)], []),  # a service, whatever its shell
        ([Account("nobody", 65534, BASH)], []),
        ([Account("backup", 1002, "/usr/sbin/nologin"), Account("git", 1003, "/bin/false")], []),
        ([ANNA], ["anna"]),
        ([Account("old", 1001, "")], ["old"]),  # no shell is the system's own
        ([Account("zoe", 300_000_001, "/usr/bin/zsh"), ANNA, ANNA], ["anna", "zoe"]),  # of a directory service
        ([Account("me-too", ME, BASH)], []),  # another name for the same user
    ],
)
def test_who_counts(monkeypatch: pytest.MonkeyPatch, accounts: list[Account], named: list[str]) -> None:
    monkeypatch.setattr(other_users, "_FIRST_PERSON", 1000)
    found = warning(accounts, ME)
    assert (found is None) == (named == [])
    if found is not None:
        assert found.startswith(f"other users can log in to this machine ({', '.join(named)}): ")
        assert "docs/security.md" in found


def test_many_are_counted() -> None:
    found = warning([Account(f"user{number}", 2000 + number, BASH) for number in range(7)], ME)
    assert found is not None
    assert "(user0, user1, user2, user3, user4 and 2 more)" in found


def test_root_is_warned_of_everybody() -> None:
    assert "anna" in str(warning([ANNA], 0))


def test_a_user_whom_only_a_process_shows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directory services do not list their accounts; user ids of containers have none."""
    known = {1001: ("anna", BASH)}

    class Entry:
        def __init__(self, uid: int) -> None:
            (self.pw_name, self.pw_shell), self.pw_uid = known[uid], uid

    monkeypatch.setattr(pwd, "getpwall", list)
    monkeypatch.setattr(pwd, "getpwuid", Entry)
    monkeypatch.setattr(other_users, "_owners_of_processes", lambda: {0, 1001, 100_999})
    monkeypatch.setitem(known, 0, ("root", BASH))
    assert sorted(other_users._accounts(), key=lambda one: one.uid) == [Account("root", 0, BASH), ANNA]


def test_this_machine_can_be_asked() -> None:
    assert all(isinstance(one, Account) for one in other_users._accounts())
    assert other_users._owners_of_processes()


# -- who is told -------------------------------------------------------------------------------------------------------


@pytest.fixture
def status(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Finished]:
    monkeypatch.setenv("TELECOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(other_users, "_accounts", lambda: [ANNA])
    return lambda *options: type_command(monkeypatch, capfd, ("status", *options))


def test_status_tells_of_other_users(status: Callable[..., Finished]) -> None:
    assert status().stderr.count("warning: other users can log in to this machine (anna)") == 1
    (named,) = json.loads(status("--json").stdout)["warnings"]
    assert "anna" in named


@pytest.mark.parametrize(("variable", "value"), [("ENGINE", "spark"), ("SPARK_REMOTE", "sc://host:15002")])
def test_status_does_not_where_apache_spark_asks_for_a_token(
    monkeypatch: pytest.MonkeyPatch, status: Callable[..., Finished], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert json.loads(status("--json").stdout)["warnings"] == []


def test_status_tells_of_an_open_home(
    monkeypatch: pytest.MonkeyPatch, status: Callable[..., Finished], tmp_path: Path
) -> None:
    monkeypatch.setattr(other_users, "_accounts", list)
    monkeypatch.setattr("telecom_assets.home.private_files._modes", lambda folder: [folder.stat().st_mode])
    assert json.loads(status("--json").stdout)["warnings"] == []
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    named = f"{home} can be read by other users of this machine; `chmod o-rwx {home}` closes it"
    assert json.loads(status("--json").stdout)["warnings"] == [named]
    assert f"warning: {named}\n" in status().stderr


_ENGINE = """
from resources import other_users
from resources.engine import SparkEngine
other_users._accounts = lambda: [other_users.Account("anna", 1001, "/bin/bash")]
for _ in range(2):
    SparkEngine(kind="sail").spark_session.range(1).count()
"""


@pytest.mark.processes
def test_the_log_of_a_process_tells_of_them_once() -> None:
    done = subprocess.run([sys.executable, "-c", _ENGINE], capture_output=True, text=True, check=True)
    assert done.stderr.count("other users can log in to this machine (anna)") == 1
