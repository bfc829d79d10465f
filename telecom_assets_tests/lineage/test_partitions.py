"""Days and months: what the partitions hold, and how one maps to the other."""

import datetime as dt
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.partitions import BY_TIME, DAILY, MONTHLY, ONE_RUN
from telecom_assets.model.calendar import check_month, last_day, local_today
from telecom_assets.model.months import MonthError, contiguous, month_days, months_between, previous_month


def keys(definition: dg.PartitionsDefinition, now: datetime) -> list[str]:
    """The partitions that exist at some moment."""
    with dg.partition_loading_context(now):
        return list(definition.get_partition_keys())


#: Moments beside the last day and the last month that exist then: tomorrow and this month, on Morocco's clock.
MOMENTS = {
    datetime(2026, 6, 15, 12, tzinfo=UTC): ("2026-06-16", "2026-06"),
    datetime(2026, 6, 15, 22, 59, tzinfo=UTC): ("2026-06-16", "2026-06"),
    datetime(2026, 6, 15, 23, 0, tzinfo=UTC): ("2026-06-17", "2026-06"),  # midnight at UTC+1
    datetime(2026, 5, 31, 22, 59, tzinfo=UTC): ("2026-06-01", "2026-05"),
    datetime(2026, 5, 31, 23, 0, tzinfo=UTC): ("2026-06-02", "2026-06"),
    datetime(2026, 2, 28, 23, 30, tzinfo=UTC): ("2026-03-01", "2026-02"),  # Ramadan: UTC+0
    datetime(2026, 3, 1, 0, 0, tzinfo=UTC): ("2026-03-02", "2026-03"),
    datetime(2025, 12, 31, 23, 30, tzinfo=UTC): ("2026-01-02", "2026-01"),
}


@pytest.mark.parametrize("now", MOMENTS, ids=str)
def test_days_reach_tomorrow_and_months_this_month(now: dt.datetime) -> None:
    days, months = keys(DAILY, now), keys(MONTHLY, now)
    assert (days[-1], months[-1]) == MOMENTS[now]
    assert (days[0], months[0]) == ("2020-01-01", "2020-01")


def test_no_day_is_left_out_and_none_stands_twice() -> None:
    """The days of the clock changes too."""
    days = keys(DAILY, datetime(2026, 6, 15, 12, tzinfo=UTC))
    first = date(2020, 1, 1)
    assert days == [str(first + timedelta(days=number)) for number in range((date(2026, 6, 16) - first).days + 1)]


def test_a_month_depends_on_its_days_and_a_day_on_its_month() -> None:
    with dg.partition_loading_context(datetime(2026, 6, 15, 12, tzinfo=UTC)):
        march = BY_TIME.get_upstream_mapped_partitions_result_for_partitions(
            MONTHLY.subset_with_partition_keys(["2026-03"]), MONTHLY, DAILY
        )
        assert list(march.partitions_subset.get_partition_keys()) == [str(day) for day in month_days("2026-03")]
        day = BY_TIME.get_upstream_mapped_partitions_result_for_partitions(
            DAILY.subset_with_partition_keys(["2026-03-31"]), DAILY, MONTHLY
        )
        assert list(day.partitions_subset.get_partition_keys()) == ["2026-03"]
        # This month has days that do not exist yet: no obstacle.
        june = BY_TIME.get_upstream_mapped_partitions_result_for_partitions(
            MONTHLY.subset_with_partition_keys(["2026-06"]), MONTHLY, DAILY
        )
        assert list(june.partitions_subset.get_partition_keys())[:16] == [f"2026-06-{day:02d}" for day in range(1, 17)]


def test_a_range_is_one_run() -> None:
    assert dg.BackfillPolicy.single_run() == ONE_RUN


def test_today_and_the_last_day(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return datetime(2026, 6, 15, 23, 30, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr(dt, "datetime", Clock)
    assert (local_today(), last_day()) == (date(2026, 6, 16), date(2026, 6, 17))


# ------------------------------------------------------------------------------------------------------- month arithmetic


@pytest.mark.parametrize(("month", "count"), [("2026-02", 28), ("2024-02", 29), ("2026-12", 31), ("2026-04", 30)])
def test_the_days_of_a_month(month: str, count: int) -> None:
    days = month_days(month)
    assert (len(days), str(days[0])) == (count, f"{month}-01")
    assert days == sorted({day for day in days if f"{day:%Y-%m}" == month})


@pytest.mark.parametrize(
    ("day", "month"), [(date(2026, 1, 1), "2025-12"), (date(2026, 3, 31), "2026-02"), (date(2026, 12, 31), "2026-11")]
)
def test_the_month_before(day: dt.date, month: str) -> None:
    assert previous_month(day) == month


def test_months_between() -> None:
    assert months_between("2025-11", "2026-02") == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert months_between("2026-02", "2026-02") == ["2026-02"]


def day(number: int) -> date:
    """The number-th day from 2026-02-27 on; 1 is 28 February, 2 is 1 March."""
    return date(2026, 2, 27) + timedelta(days=number)


@pytest.mark.parametrize(
    ("numbers", "ranges"),
    [
        ([], []),
        ([3], [(3, 3)]),
        ([1, 2, 3], [(1, 3)]),
        ([3, 1, 2, 2, 1], [(1, 3)]),
        ([1, 3, 4, 7], [(1, 1), (3, 4), (7, 7)]),
    ],
)
def test_days_as_the_fewest_ranges(numbers: list[int], ranges: list[tuple[int, int]]) -> None:
    found = contiguous(day(number) for number in numbers)
    assert found == [(day(first), day(last)) for first, last in ranges]


# ------------------------------------------------------------------------------------------------- months that can be run

START, TODAY = date(2020, 1, 1), date(2026, 6, 15)


@pytest.mark.parametrize("month", ["2020-01", "2026-05", "2026-06", "2024-12"])
def test_a_month_of_the_partitions(month: str) -> None:
    assert check_month(month, START, TODAY) == month


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-00", "2026-6", "26-06", "2026/06", "2026-06-01", "2026-06\n", "", "June", "٢٠٢٦-٠٦"]
)
def test_what_is_no_month_is_told_so(month: str) -> None:
    with pytest.raises(MonthError, match=re.escape(f"month {month!r}: expected yyyy-MM, e.g. 2026-10")):
        check_month(month, START, TODAY)


@pytest.mark.parametrize("month", ["2019-12", "2026-07", "9999-12"])
def test_a_month_outside_is_told_the_range(month: str) -> None:
    expected = f"month {month}: expected a month from 2020-01 (TELECOM_PARTITIONS_START) to 2026-06 (this month)"
    with pytest.raises(MonthError, match=re.escape(expected)):
        check_month(month, START, TODAY)


def test_this_month_is_one_by_todays_clock() -> None:
    assert check_month(f"{local_today():%Y-%m}", START)


# ------------------------------------------------------------------------------------------------------- where they begin


def test_partitions_begin_where_the_settings_of_the_definitions_say(tmp_path: Path) -> None:
    """Of each definitions their own, in one process: nothing is read when a module is."""
    for start, first in ((date(2024, 3, 1), ("2024-03-01", "2024-03")), (date(2026, 10, 1), ("2026-10-01", "2026-10"))):
        defs = build_defs(Settings.load(home=tmp_path, partitions_start=start))
        begins = {}
        for each in defs.resolve_all_asset_specs():
            if each.partitions_def is not None:
                begins[each.key.to_user_string()] = each.partitions_def.get_first_partition_key()
        days = {"raw_cdrs", "cleaned_cdrs", "rejected_cdrs", "mediated_days", "rated_cdrs", "suspended_cdrs"}
        assert {name for name, key in begins.items() if key == first[0]} == days
        assert {name for name, key in begins.items() if key == first[1]} == set(begins) - days != set()
        rated = defs.resolve_job_def("rating_job").partitions_def
        assert rated is not None
        assert rated.get_first_partition_key() == first[0]
