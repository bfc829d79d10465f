"""Fixtures of the local stack's own tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telecom_assets.local_stack import LocalStack


@pytest.fixture
def new_stack(tmp_path: Path) -> Iterator[Callable[..., LocalStack]]:
    """Make LocalStacks of one home (PostgreSQL only unless told otherwise: it starts in a second); stopped at the end."""
    home = tmp_path / "a home"

    def make(*services: str) -> LocalStack:
        return LocalStack(home, services or ("postgres",))

    yield make
    LocalStack(home).down()
    shutil.rmtree(home, ignore_errors=True)
