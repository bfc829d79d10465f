"""The steps of a month as runs of Dagster: jobs, and the days or the month as run tags."""

from datetime import date

import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.runs import month_run
from telecom_assets.runs.month_run import Step, day_range, existing_days, one_month, requested, scheduled_steps
from telecom_assets.runs.plan import Planned
from telecom_assets.runs.stages import BILLING, LANDING, MEDIATION

START, END, KEY = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end", "dagster/partition"


def days(first: str, last: str, shown: str) -> dict[str, str]:
    return {START: first, END: last, "days": shown}


@pytest.fixture
def mid_june(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tomorrow is 2026-06-15."""
    monkeypatch.setattr(month_run, "last_day", lambda: date(2026, 6, 15))


def test_a_step_names_its_partitions() -> None:
    assert day_range("j", date(2026, 6, 1), date(2026, 6, 3)) == Step(
        "j", days("2026-06-01", "2026-06-03", "2026-06-01…03"), "2026-06-01 to 2026-06-03"
    )
    assert day_range("j", date(2026, 6, 1), date(2026, 6, 1)).label == "2026-06-01"
    assert one_month("j", "2026-06") == Step("j", {KEY: "2026-06"}, "2026-06")


@pytest.mark.usefixtures("mid_june")
def test_the_whole_month_in_order() -> None:
    """References, landing, every day mediated and rated, bills: each a run of its own."""
    steps = [(step.job, step.tags) for step in scheduled_steps("2026-05")]
    may = days("2026-05-01", "2026-05-31", "2026-05-01…31")
    assert steps == [
        ("reference_job", {}),
        ("landing_job", {}),
        ("mediation_job", may),
        ("billing_job", {KEY: "2026-05"}),
    ]


@pytest.mark.usefixtures("mid_june")
def test_an_open_month_ends_with_the_last_day_there_is() -> None:
    assert existing_days("2026-06")[-1] == date(2026, 6, 15)
    assert len(existing_days("2026-06")) == 15
    assert scheduled_steps("2026-06")[2].tags == days("2026-06-01", "2026-06-15", "2026-06-01…15")
    assert existing_days("2026-05")[-1] == date(2026, 5, 31)
    assert existing_days("2026-07") == []


def test_what_is_planned_is_requested_over_its_days_or_its_month() -> None:
    over = (date(2026, 5, 1), date(2026, 6, 1))
    assert requested(Planned(MEDIATION, over)) == day_range("mediation_job", *over)
    assert requested(Planned(MEDIATION, over)).tags == days("2026-05-01", "2026-06-01", "2026-05-01…2026-06-01")
    assert requested(Planned(BILLING, month="2026-05")) == one_month("billing_job", "2026-05")
    assert requested(Planned(LANDING)) == Step("landing_job")


def test_every_job_but_the_nights_and_decisions_is_a_step_of_a_month() -> None:
    """Rating is in the step of mediation; its own job is for days that are mediated and need it alone."""
    jobs = {job.name for job in build_defs().jobs or []}
    assert {step.job for step in scheduled_steps("2026-05")} == jobs - {
        *(
            "maintenance_job",
            "checks_job",
            "customers_job",
            "rating_job",
            "rerating_job",
            "rerate_job",
            "approve_job",
            "withdraw_job",
        ),
        "accounting_job",
        *("close_job", "customers_import_job", "tariff_import_job", "review_job", "credit_job", "charge_job"),
    }
