"""A former warehouse in a bucket becomes one of this version, killed on the way."""

from typing import Any

import pytest

from resources.warehouse import Warehouse, WarehouseError
from telecom_assets.intake.journal import read_state
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.tables import TABLES
from telecom_assets.upgrade import plan_upgrade
from telecom_assets_tests.stages.chain import CALENDAR_START, assert_rows
from telecom_assets_tests.upgrade.former import MESSAGES, A, B, C, FormerWarehouse, filled, of_days
from telecom_assets_tests.upgrade.test_interrupted import Crash
from telecom_assets_tests.upgrade.test_upgrade import RAW, assert_sound, raw_rows, rows, upgraded


@pytest.mark.parametrize("fixture", ["sail_on_s3", "cluster_on_s3"])
def test_a_warehouse_in_a_bucket_is_upgraded(
    fixture: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On each engine. Two homes have landed days A and B; the first attempt dies before its third commit."""
    warehouse: Warehouse = request.getfixturevalue(fixture)
    former = filled(FormerWarehouse(warehouse.root, warehouse.storage_options))
    former.land(of_days(A, B))
    former.mark(B)
    with pytest.raises(WarehouseError, match="`telecom warehouse upgrade`"):
        read_state(warehouse)
    commit, names = Warehouse.commit, list[str]()

    def killed(self: Warehouse, name: str, *arguments: Any, **named: Any) -> Any:
        names.append(name)
        if len(names) == 3:
            raise Crash
        return commit(self, name, *arguments, **named)

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(Warehouse, "commit", killed)
        upgraded(warehouse)
    assert names == [RAW, "cleaned_cdrs", "rejected_cdrs"]
    again = Warehouse(warehouse.root, warehouse.engine, TABLES, s3=warehouse.s3)
    _, done = upgraded(again, "2026-05")
    assert done.days == set(stale_days(again)) == {A, B, C}
    state = read_state(again)
    assert (dict(state.ends), state.opened_months) == ({0: 7, 1: 5}, ["2026-05"])
    assert_rows(TABLES[RAW], rows(again, RAW), raw_rows(MESSAGES))
    assert_sound(again)
    assert plan_upgrade(again, ["2026-05"], CALENDAR_START).is_empty
