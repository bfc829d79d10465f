"""Rows that are decided from what a table has: nobody's decision rests on rows that have changed since."""

from pathlib import Path

import pytest

from resources.warehouse import Decided, PinnedTable, Warehouse, append_decided
from telecom_assets_tests.resources.warehouse.tables import FLOORS, MAY, floors_table


def _numbers(table: PinnedTable) -> set[int]:
    return {int(row["floor_mb"]) for row in table.arrow().to_pylist()}


def _next(warehouse: Warehouse, who: str) -> int:
    """Append a row with the number after the greatest one."""

    def decide(table: PinnedTable) -> Decided[int]:
        number = max(_numbers(table), default=0) + 1
        return Decided(number, floors_table([(who, str(number), MAY)]))

    return append_decided(warehouse, FLOORS, decide)


def test_of_two_at_a_time_one_decides_anew(plain: Warehouse) -> None:
    """Another appends between what was read and the commit, twice; no number is given twice, and no file is left behind."""
    plain.make_tables([FLOORS])
    came = iter(("b", "c"))
    seen: list[set[int]] = []

    def decide(table: PinnedTable) -> Decided[int]:
        seen.append(_numbers(table))
        if (who := next(came, None)) is not None:
            _next(plain, who)
        number = max(seen[-1], default=0) + 1
        return Decided(number, [{"customer_id": "a", "floor_mb": number, "billing_period": MAY}], {"upto": number})

    assert append_decided(plain, FLOORS, decide) == 3
    assert seen == [set(), {1}, {1, 2}]
    now = plain.pin(FLOORS)
    assert {row["customer_id"]: int(row["floor_mb"]) for row in now.arrow().to_pylist()} == {"b": 1, "c": 2, "a": 3}
    assert (now.version, plain.log(FLOORS).position("upto", now.version)) == (3, 3)
    assert len(list(Path(plain.path(FLOORS)).rglob("*.parquet"))) == 3


def test_nothing_to_append_is_no_commit_and_an_error_changes_nothing(plain: Warehouse) -> None:
    plain.make_tables([FLOORS])

    def refuse(_: PinnedTable) -> Decided[None]:
        raise ValueError("no")

    assert append_decided(plain, FLOORS, lambda table: Decided(table.version, None)) == 0
    with pytest.raises(ValueError, match="no"):
        append_decided(plain, FLOORS, refuse)
    assert plain.version(FLOORS) == 0
