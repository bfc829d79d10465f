"""The log of a table: what its commits changed."""

from pathlib import Path

from deltalake import DeltaTable

from resources.warehouse import Warehouse
from telecom_assets_tests.resources.warehouse.tables import CATALOGUE, catalogue_rows


def test_compaction_changes_no_rows(plain: Warehouse) -> None:
    """Told from the log; a log that does not tell any more may have held anything."""
    for code in ("A", "B"):
        plain.append_arrow(CATALOGUE, catalogue_rows(code))
    assert DeltaTable(plain.path(CATALOGUE)).optimize.compact()["numFilesRemoved"] == 2
    assert not plain.log(CATALOGUE).rows_changed(2, 3)
    assert plain.log(CATALOGUE).rows_changed(1, 3)
    plain.append_arrow(CATALOGUE, catalogue_rows("C"))
    assert plain.log(CATALOGUE).rows_changed(2, 4)
    assert not plain.log(CATALOGUE).rows_changed(4, 4)
    Path(plain.path(CATALOGUE), "_delta_log", f"{3:020d}.json").unlink()
    assert plain.log(CATALOGUE).rows_changed(2, 3)
