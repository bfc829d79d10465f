"""A small former warehouse, and the warehouse as it is opened now."""

import copy
import shutil
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


@pytest.fixture(scope="session")
def filled_former(tmp_path_factory: pytest.TempPathFactory) -> FormerWarehouse:
    """Days A and B landed and mediated, a rated and a suspended event; day C landed. Not to be changed."""
    return filled(FormerWarehouse(str(tmp_path_factory.mktemp("former") / "warehouse")))


@pytest.fixture
def former(filled_former: FormerWarehouse, root: str) -> FormerWarehouse:
    """A copy of `filled_former`, to be changed and upgraded."""
    shutil.copytree(filled_former.root, root)
    former = copy.deepcopy(filled_former)
    former.root = root
    return former


@pytest.fixture
def opened(root: str, sail: SparkEngine) -> Callable[[], Warehouse]:
    """The warehouse as another process sees it."""
    return lambda: Warehouse(root, sail, TABLES)
