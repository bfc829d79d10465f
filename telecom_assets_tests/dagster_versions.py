"""A Dagster of another version than the tested ones, as far as the project can tell.

Belongs here: how a test, or a process that it starts, gets one. Does not belong here: what is expected then.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import dagster as dg
import pytest

OTHER_VERSION = "1.13.99"

#: The first lines of a program: another Dagster is installed, and nothing of the project may import what is private to it.
OTHER_DAGSTER = f"""
import builtins
import dagster

dagster.__version__ = "{OTHER_VERSION}"
usual_import = builtins.__import__


def watched_import(name, globals=None, *rest, **named):
    importer = (globals or {{}}).get("__name__", "")
    if importer.startswith(("telecom_assets.", "resources.")) and name.startswith(("dagster._", "dagster_shared")):
        raise AssertionError(f"{{importer}} imports {{name}}")
    return usual_import(name, globals, *rest, **named)


builtins.__import__ = watched_import
"""


@contextmanager
def other_dagster() -> Iterator[None]:
    """In this process, meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dg, "__version__", OTHER_VERSION)
        yield


#: Which storage the project chooses meanwhile.
STORAGES: Mapping[str, Any] = {"own storage": nullcontext, "Dagster's storage": other_dagster}


def telecom_with_other_dagster(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`telecom ARGUMENTS` in a process of its own."""
    program = f"{OTHER_DAGSTER}\nimport sys\nfrom telecom_assets.cli import main\nsys.argv[0] = 'telecom'\nmain()\n"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
