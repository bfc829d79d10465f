"""Who else can log in to this machine: they reach what listens on its loopback.

Belongs here: which accounts count. Does not belong here: what is done about them.
"""

import os
import pwd
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Below are accounts of the system and its services.
_FIRST_PERSON = 501 if sys.platform == "darwin" else 1000
_NOBODY = 65534
#: Shells of accounts that nobody logs in to.
_NO_SHELLS = {"nologin", "false", "true", "sync", "halt", "shutdown"}
_TOLD = 5


@dataclass(frozen=True)
class Account:
    """One entry of the user database. An empty shell is the system's own."""

    name: str
    uid: int
    shell: str


def can_log_in(account: Account, own_uid: int) -> bool:
    """Whether an account is a person's other than `own_uid`. Root is nobody else: it can read everything as it is."""
    return (
        account.uid >= _FIRST_PERSON
        and account.uid not in (_NOBODY, own_uid)
        and account.shell.rsplit("/", maxsplit=1)[-1] not in _NO_SHELLS
    )


def warning(accounts: Iterable[Account], own_uid: int) -> str | None:
    """What to tell whoever starts the embedded engine on this machine; None when there is nobody else."""
    names = sorted({account.name for account in accounts if can_log_in(account, own_uid)})
    if not names:
        return None
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return (
        f"other users can log in to this machine ({', '.join(names[:_TOLD])}{more}): through the embedded engine's port, "
        "which asks for no password, they can read every file of yours and run programs as you while it runs; use "
        "ENGINE=spark, or a container or machine of its own (docs/security.md)"
    )


def other_users_warning() -> str | None:
    """`warning` for this machine and this process."""
    return warning(_accounts(), os.geteuid())


def _accounts() -> list[Account]:
    """Accounts that the machine lists, and those of a directory service, which it may not list, that run a process."""
    entries = {entry.pw_uid: entry for entry in pwd.getpwall()}
    for uid in _owners_of_processes() - entries.keys():
        with suppress(KeyError):  # of a container: no account here
            entries[uid] = pwd.getpwuid(uid)
    return [Account(entry.pw_name, entry.pw_uid, entry.pw_shell) for entry in entries.values()]


def _owners_of_processes() -> set[int]:
    """Users that run something, where the system tells by /proc."""
    owners = set()
    with suppress(OSError):
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError):
                    owners.add(folder.stat().st_uid)
    return owners
