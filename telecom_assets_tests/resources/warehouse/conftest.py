"""A warehouse where the engine does not matter."""

from pathlib import Path

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.schemas import TABLES


@pytest.fixture
def plain(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    """An empty warehouse on the embedded engine."""
    return Warehouse(str(tmp_path / "warehouse"), sail, TABLES)
