"""A small former warehouse, and the warehouse as it is opened now."""

from collections.abc import Callable
from pathlib import Path

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.tables import TABLES
from telecom_assets_tests.upgrade.former import FormerWarehouse, filled


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Where the fixture `warehouse` looks too."""
    return str(tmp_path / "ware house")


@pytest.fixture
def former(root: str) -> FormerWarehouse:
    """Days A and B landed and mediated, a rated and a suspended event; day C landed."""
    return filled(FormerWarehouse(root))


@pytest.fixture
def opened(root: str, sail: SparkEngine) -> Callable[[], Warehouse]:
    """The warehouse as another process sees it."""
    return lambda: Warehouse(root, sail, TABLES)
