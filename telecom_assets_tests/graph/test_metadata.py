"""What the page of one day or month shows after a run over many: its own figures, as the oracle has them."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from telecom_assets_tests.graph.conftest import MonthRun
from telecom_assets_tests.graph.project import MONTH, Project, day_tags

DAYS = [f"{MONTH}-{day:02}" for day in range(1, 31)]


def newest(project: Project, name: str, partition: str) -> dict[str, Any]:
    """What the page of a partition shows, as plain values."""
    found = project.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[partition]), limit=1
    )
    materialisation = found.records[0].asset_materialization
    assert materialisation is not None
    return {key: getattr(value, "value", value) for key, value in materialisation.metadata.items()}


@pytest.mark.parametrize("name", ["cleaned_cdrs", "rejected_cdrs", "rated_cdrs", "suspended_cdrs"])
def test_every_day_of_the_month_shows_its_own_rows(billed: MonthRun, name: str) -> None:
    expected = getattr(billed.project.expected(), name.removesuffix("_cdrs"))
    counts = Counter(f"{row['event_date']}" for row in expected)
    assert 0 in {counts[day] for day in DAYS}, "a day without rows is among them"
    assert {day: newest(billed.project, name, day)["dagster/row_count"] for day in DAYS} == {
        day: counts[day] for day in DAYS
    }


def test_every_day_of_the_month_shows_its_own_money(billed: MonthRun) -> None:
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for row in billed.project.expected().rated:
        amounts[f"{row['event_date']}"] += row["amount"]
    assert len({amounts[day] for day in DAYS}) > 5
    for day in DAYS:
        shown = newest(billed.project, "rated_cdrs", day)
        assert Decimal(shown["total_amount"]) == amounts[day]
        assert shown["plot/amount"] == float(amounts[day])
        assert (shown["table_version"], shown["read/customers"]) == (1, 1)


def test_a_day_of_its_own_shows_the_same(damaged: Project) -> None:
    """A range again and one of its days again: the page of the day says what it said."""
    day = f"{MONTH}-05"
    assert damaged.materialise("rated_cdrs", day_tags(f"{MONTH}-04", f"{MONTH}-06")).success
    in_range = newest(damaged, "rated_cdrs", day)
    assert damaged.materialise("rated_cdrs", {"dagster/partition": day}).success
    alone = newest(damaged, "rated_cdrs", day)
    names = ("dagster/row_count", "total_amount", "plot/amount")
    assert [in_range[name] for name in names] == [alone[name] for name in names]
    assert in_range["dagster/row_count"] == sum(f"{row['event_date']}" == day for row in damaged.rows("rated_cdrs"))


def test_a_landed_day_shows_what_it_holds_and_what_came(late: Any) -> None:
    """Five late records of one day: the page of the day has them beside what was there before."""
    day = f"{MONTH}-03"
    rows_of_day = sum(f"{row['event_date']}" == day for row in late.project.rows("raw_cdrs"))
    shown = newest(late.project, "raw_cdrs", day)
    assert (shown["rows_added"], shown["dagster/row_count"]) == (5, rows_of_day)
    assert rows_of_day > 5


def test_bills_and_documents_show_money_that_plots(billed: MonthRun) -> None:
    bills = billed.project.expected().bills(MONTH)
    due = sum(row["amount_due"] for row in bills)
    for name in ("facturation_complete", "published_bills", "invoices"):
        shown = newest(billed.project, name, MONTH)
        assert (shown["dagster/row_count"], Decimal(shown["total_amount_due"])) == (len(bills), due)
        assert shown["plot/amount_due"] == float(due)
