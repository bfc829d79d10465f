"""A warehouse where the engine does not matter."""

from pathlib import Path

import pytest

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets_tests.sample_tables import TABLES


@pytest.fixture
def plain(tmp_path: Path, sail: SparkEngine) -> Warehouse:
    """An empty warehouse on the embedded engine."""
    return Warehouse(str(tmp_path / "warehouse"), sail, TABLES)


def everything_below(root: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and time of change."""
    found = [root, *root.rglob("*")] if root.exists() else []
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}
