"""Twelve months: sums, scores, and which days are out of line."""

from datetime import date, timedelta
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from telecom_assets.reports.trend import Counts, by_month, out_of_line, scores
from telecom_assets.reports.trend_page import render_trend, twelve_months

MONDAY = date(2026, 1, 5)


def weeks(*received: int) -> dict[date, Counts]:
    """A Monday a week: received CDRs, of which 1 % are rejected."""
    return {
        MONDAY + timedelta(weeks=number): Counts(
            received=each, cleaned=each - each // 100, rejected={"invalid_duration": each // 100}
        )
        for number, each in enumerate(received)
    }


def test_scores_are_those_of_the_book() -> None:
    """Iglewicz and Hoaglin, by hand: median 11, deviations 1 2 0 1 89, MAD 1."""
    values = {MONDAY + timedelta(weeks=number): value for number, value in enumerate((10.0, 9.0, 11.0, 12.0, 100.0))}
    assert [round(score, 4) for score in scores(values).values()] == [-0.6745, -1.349, 0, 0.6745, 60.0305]


def test_where_most_are_equal_the_mean_deviation_is_the_scale() -> None:
    """Median and MAD 5 and 0; the mean deviation of 0 0 0 4 is 1."""
    values = {MONDAY + timedelta(weeks=number): value for number, value in enumerate((5.0, 5.0, 5.0, 9.0))}
    assert [round(score, 4) for score in scores(values).values()] == [0, 0, 0, round(4 / 1.253314, 4)]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(1, 50), st.integers(-1000, 1000))
def test_scores_do_not_depend_on_the_unit(numbers: list[int], factor: int, shift: int) -> None:
    values = {MONDAY + timedelta(weeks=number): float(value) for number, value in enumerate(numbers)}
    other = {day: value * factor + shift for day, value in values.items()}
    for day, score in scores(values).items():
        assert abs(score - scores(other)[day]) < 1e-6 * max(1, abs(score))
        assert (score > 0) == (values[day] > median(values.values())) or score == 0


def test_a_day_is_compared_with_its_weekday() -> None:
    """Sundays have a tenth of the traffic: none of them is out of line. One Monday is."""
    days = weeks(*(1_000 + number % 3 for number in range(10)), 5_000)
    days |= {
        day + timedelta(days=6): Counts(received=each.received // 10)
        for day, each in weeks(*range(1_000, 1_110, 10)).items()
    }
    (found,) = out_of_line(days, 3.5)
    assert (found.day, found.figure, found.value, found.usual) == (
        MONDAY + timedelta(weeks=10),
        "received",
        5_000,
        1_001,
    )
    assert found.score > 3.5
    assert out_of_line(days, found.score + 1) == []


def test_few_days_and_empty_days_are_not_judged() -> None:
    assert out_of_line(weeks(1, 2, 1, 2, 1, 2, 900), 3.5) == []
    assert out_of_line(weeks(10, 11, 10, 11, 10, 11, 10, 11, 0, 0), 3.5) == []


def test_a_month_is_the_sum_of_its_days() -> None:
    days = weeks(100, 200, 300, 400, 500)
    found = by_month(days, ["2026-01", "2026-02", "2026-03"])
    assert (found["2026-01"].received, found["2026-02"].received, found["2026-03"].received) == (1_000, 500, 0)
    assert found["2026-01"].rejected == {"invalid_duration": 10}
    assert found["2026-01"].rejected_share == 1.0


def test_twelve_months_end_with_the_month() -> None:
    assert twelve_months("2026-06")[::11] == ["2025-07", "2026-06"]
    assert twelve_months("2026-12")[::11] == ["2026-01", "2026-12"]
    assert [len(twelve_months(f"2026-{month:02}")) for month in range(1, 13)] == [12] * 12


def test_texts_of_data_are_no_markup_and_empty_months_a_page() -> None:
    days = {MONDAY: Counts(received=2, cleaned=1, rejected={"<script>": 1})}
    page = render_trend(days, "2026-01", "MAD", 3.5)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "No day is out of line" in render_trend({}, "2026-01", "MAD", 3.5)
