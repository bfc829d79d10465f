"""Checks in runs of their own and in the runs of the stages: what they look at, what they show, what they keep from running."""

import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from telecom_assets_tests.graph.project import MONTH, QUIET, Project, Row, day_tags, month_tag, open_project
from telecom_assets_tests.graph.test_checks import (
    ALL_CHECKS,
    BILLED,
    CONTRACT,
    JUNE,
    MEDIATED,
    RATED,
    TAGS,
    UNIQUE,
    at,
    copy_after,
    dearer,
    emptied,
    june,
)

DAILY_TABLES = ("cleaned_cdrs", "rejected_cdrs", "mediated_days", "rated_cdrs", "suspended_cdrs")
DAY = dt.date.fromisoformat(f"{MONTH}-05")


def shown(check: dg.AssetCheckEvaluation, name: str) -> list[Row]:
    """A table of a check's metadata."""
    table = check.metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def rows_by_day(project: Project, name: str) -> Counter[str]:
    return Counter(str(row["event_date"]) for row in project.rows(name))


def started(result: dg.ExecuteInProcessResult) -> set[str]:
    """The steps of a run that began."""
    return {str(event.step_key) for event in result.all_events if event.event_type_value == "STEP_START"}


# -- which days --------------------------------------------------------------------------------------------------------


def test_no_check_has_partitions_of_its_own(untouched: Project) -> None:
    """One with partitions is shown as skipped after a run over several, and cannot be executed from its asset's page."""
    graph = untouched.defs.resolve_asset_graph()
    keys = [dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, name in ALL_CHECKS]
    assert {graph.get(key).partitions_def for key in keys} == {None}


@pytest.mark.parametrize("asset", sorted(TAGS))
def test_checks_alone_look_at_all_there_is(untouched: Project, asset: str) -> None:
    """Without any partition, as "Execute all" of the UI runs them."""
    checks = untouched.check(asset)
    assert set(checks) == {name for guarded, name in ALL_CHECKS if guarded == asset}
    assert {name: check.description for name, check in checks.items() if not check.passed and check.blocking} == {}
    for check in checks.values():
        assert check.partition is None
        if asset in DAILY_TABLES:
            expected = [(day, rows, "passed") for day, rows in sorted(rows_by_day(untouched, asset).items())]
            assert [(row["day"], row["rows"], row["verdict"]) for row in shown(check, "days")] == expected
        elif "months" in check.metadata:
            assert [(row["month"], row["verdict"]) for row in shown(check, "months")] == [(MONTH, "passed")]


@pytest.mark.parametrize(
    ("tags", "days"),
    [
        (day_tags(f"{MONTH}-03", f"{MONTH}-05"), [f"{MONTH}-03", f"{MONTH}-04", f"{MONTH}-05"]),
        ({"dagster/partition": f"{MONTH}-05"}, [f"{MONTH}-05"]),
        (day_tags(f"{MONTH}-30", "2025-07-01"), [f"{MONTH}-30", "2025-07-01"]),
    ],
    ids=["a range", "one day", "an empty day"],
)
def test_a_run_of_a_stage_checks_its_own_days(damaged: Project, tags: dict[str, str], days: list[str]) -> None:
    """A day beside them, whose books do not balance, is none of theirs."""
    elsewhere = june(damaged, "rejected_cdrs", event_date=dt.date.fromisoformat(f"{MONTH}-07"))
    damaged.delete("rejected_cdrs", at(elsewhere))
    result = damaged.run("mediation_job", tags)
    assert result.success
    made = {
        (check.asset_key.to_user_string(), check.check_name): check for check in result.get_asset_check_evaluations()
    }
    assert {asset for asset, _ in made} == set(DAILY_TABLES)
    for (asset, _), check in made.items():
        counts = rows_by_day(damaged, asset)
        assert check.passed
        assert check.partition is None
        assert [(row["day"], row["rows"], row["verdict"]) for row in shown(check, "days")] == [
            (day, counts[day], "passed") for day in days
        ]


def test_a_check_of_a_month_looks_at_its_days(damaged: Project) -> None:
    """As the job of checks runs it: a month for daily and monthly tables alike."""
    damaged.delete("rejected_cdrs", at(june(damaged, "rejected_cdrs", event_date=DAY)))
    checks = damaged.check("cleaned_cdrs", month_tag())
    assert not checks[MEDIATED].passed
    assert len(shown(checks[MEDIATED], "days")) == 30
    assert damaged.check("cleaned_cdrs", month_tag("2025-07"))[MEDIATED].passed


# -- what differs ------------------------------------------------------------------------------------------------------


def test_a_failed_check_shows_the_days_that_differ(damaged: Project) -> None:
    before = {name: rows_by_day(damaged, name)[f"{DAY}"] for name in ("raw_cdrs", "cleaned_cdrs", "rejected_cdrs")}
    damaged.delete("cleaned_cdrs", at(june(damaged, "cleaned_cdrs", event_date=DAY)))
    check = damaged.check("cleaned_cdrs", JUNE)[MEDIATED]
    assert shown(check, "differs") == [
        {
            "day": f"{DAY}",
            "raw": before["raw_cdrs"],
            "cleaned": before["cleaned_cdrs"] - 1,
            "rejected": before["rejected_cdrs"],
            "missing": 1,
            "reason": "counts differ",
        }
    ]
    days = shown(check, "days")
    assert days[0] == {"day": f"{DAY}", "rows": before["cleaned_cdrs"] - 1, "verdict": "failed"}
    others = [f"{MONTH}-{day:02}" for day in range(1, 31) if day != 5]
    assert [(row["day"], row["verdict"]) for row in days[1:]] == [(day, "passed") for day in others]


def test_a_failed_check_shows_the_customers_that_differ(damaged: Project) -> None:
    """An event of one customer costs 0.000001 more than it was billed."""
    before = {repr(row) for row in damaged.rows("rated_cdrs")}
    dearer("rated_cdrs", "amount", "0.000001")(damaged)
    changed = next(row for row in damaged.rows("rated_cdrs") if repr(row) not in before)
    charged = [*damaged.rows("rated_cdrs"), *damaged.rows("period_charges")]
    of_customer = [row["amount"] for row in charged if row["customer_id"] == changed["customer_id"]]
    check = damaged.check("facturation_complete", month_tag())[BILLED]
    (row,) = shown(check, "differs")
    assert (row["billing_period"], row["customer_id"]) == (MONTH, changed["customer_id"])
    assert (row["rated_count"], row["billed_count"], row["bills"]) == (len(of_customer), len(of_customer), 1)
    assert row["rated_amount"] == f"{sum(of_customer):f}"
    assert row["billed_amount"] == f"{sum(of_customer) - Decimal('0.000001'):f}"
    assert row["difference"] == "0.000001"
    assert [(month["month"], month["verdict"]) for month in shown(check, "months")] == [(MONTH, "failed")]


def test_a_record_that_is_cleaned_twice_is_shown_with_its_days(damaged: Project) -> None:
    copy_after(3)(damaged)
    check = damaged.check("cleaned_cdrs", day_tags(f"{MONTH}-01", f"{MONTH}-06"))[UNIQUE]
    (row,) = shown(check, "differs")
    assert row["cleaned on"] == f"{MONTH}-02, {MONTH}-05"
    assert [(day["day"], day["verdict"]) for day in shown(check, "days")] == [
        (f"{MONTH}-02", "failed"),
        (f"{MONTH}-05", "failed"),
        *((f"{MONTH}-0{day}", "passed") for day in (1, 3, 4, 6)),
    ]


def test_a_missing_value_is_shown_with_its_day(damaged: Project) -> None:
    emptied("rated_cdrs", "amount")(damaged)
    (lacking,) = [row for row in damaged.rows("rated_cdrs") if row["amount"] is None]
    check = damaged.check("rated_cdrs", JUNE)[CONTRACT]
    day = f"{lacking['event_date']}"
    assert shown(check, "differs") == [{"event_date": day, "column": "amount", "rows without a value": 1}]
    assert [row["day"] for row in shown(check, "days") if row["verdict"] == "failed"] == [day]


# -- what a failed check keeps from running ------------------------------------------------------------------------------


def mediation_and_rating(project: Project, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    """Both stages in one run, as somebody selects them in the lineage."""
    selection = dg.AssetSelection.groups("mediation") | dg.AssetSelection.assets("rated_cdrs", "suspended_cdrs")
    job = dg.define_asset_job("mediation_and_rating", selection)
    defs = dg.Definitions.merge(project.defs, dg.Definitions(jobs=[job]))
    return defs.resolve_job_def("mediation_and_rating").execute_in_process(
        instance=project.instance,
        tags=tags,
        raise_on_error=False,
        run_config=QUIET,
        resources=project.resources(),
    )


@pytest.mark.parametrize("tags", [day_tags(f"{MONTH}-02", f"{MONTH}-03"), {"dagster/partition": f"{MONTH}-02"}])
def test_a_failed_check_of_mediation_keeps_rating_from_its_work(damaged: Project, tags: dict[str, str]) -> None:
    """The same record is cleaned on a day beside the run's. Rating does not even begin: it is the check that holds it."""
    copy_after(3)(damaged)
    names = ("rated_cdrs", "suspended_cdrs")
    before = {name: (damaged.version(name), sorted(map(repr, damaged.rows(name)))) for name in names}
    result = mediation_and_rating(damaged, tags)
    assert not result.success
    failed = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed == [UNIQUE]
    assert started(result) == {"mediation", "mediation_checks"}
    assert {name: (damaged.version(name), sorted(map(repr, damaged.rows(name)))) for name in names} == before


def test_rating_follows_mediation_in_one_run_when_its_checks_pass(damaged: Project) -> None:
    result = mediation_and_rating(damaged, day_tags(f"{MONTH}-02", f"{MONTH}-03"))
    assert result.success
    assert started(result) == {"mediation", "mediation_checks", "rating", "rating_checks"}
    assert RATED in {check.check_name for check in result.get_asset_check_evaluations()}


# -- reading makes no table ----------------------------------------------------------------------------------------------


def test_checks_of_what_was_never_made_fail_and_make_nothing(damaged: Project, tmp_path: Any) -> None:
    empty = open_project(damaged.settings.replaced(home=tmp_path / "home"), damaged.instance)
    for asset in ("cleaned_cdrs", "facturation_complete", "landing", "customers"):
        for check in empty.check(asset).values():
            assert not check.passed
            assert "is not there" in (check.description or "")
            assert "finding" in shown(check, "differs")[0]
    assert not (tmp_path / "home" / "warehouse").exists()
