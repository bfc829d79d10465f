"""A month that is approved stays as it is, whatever lands, whoever runs; the months beside it go on.

One small month is billed once; the tests take it through its states in their order.
"""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from resources.expected_errors import ExpectedError
from resources.postgres import published_digest
from resources.warehouse import Warehouse
from telecom_assets.billing.tables import FACTURATION_COMPLETE
from telecom_assets.closing import approving
from telecom_assets.closing.approving import Books, approve, withdraw
from telecom_assets.periods.digest import digest_of, digested_tables
from telecom_assets.periods.journal import read_periods
from telecom_assets.reports.documents import documents_digest
from telecom_assets.reports.funnel_counts import month_funnel
from telecom_assets.runs.evaluation import check_month
from telecom_assets_tests.graph.conftest import customers, telecom
from telecom_assets_tests.graph.project import MONTH, NEXT_MONTH, QUIET, Project, day_tags, month_tag
from telecom_assets_tests.graph.test_automation import Automation
from telecom_assets_tests.graph.test_cli_month import Finished, one_line, typed
from telecom_assets_tests.graph.test_sensor import sms
from telecom_assets_tests.graph.ticks import carry_out, outcomes, tick

__all__ = ["typed"]

LAST, NEXT = dt.date(2025, 6, 30), dt.date(2025, 7, 1)


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project]) -> Project:
    """A billed June with one message on its last day; July is open for its records."""
    made = new_project(partitions=1)
    made.store_customers(customers())
    made.produce([sms(LAST, "a")])
    for month in (MONTH, NEXT_MONTH):
        made.open_month(month)
    made.run_month()
    return made


def decide(project: Project, job: str, **config: str) -> dg.ExecuteInProcessResult:
    """Run a job that is a decision, with its configuration."""
    op = job.replace("_job", "_bills")
    return project.defs.resolve_job_def(job).execute_in_process(
        instance=project.instance,
        raise_on_error=False,
        run_config={**QUIET, "ops": {op: {"config": config}}},
        resources=project.resources(),
    )


def state(project: Project, month: str = MONTH) -> str | None:
    return read_periods(project.warehouse).state(month)


def everything_of_june(project: Project) -> tuple[str, str, str]:
    """Digests of the month's rows, of its rows in PostgreSQL, and of its files."""
    postgres = project.deployment.postgres()
    return (
        digest_of(project.warehouse, MONTH),
        published_digest(postgres, FACTURATION_COMPLETE, MONTH),
        documents_digest(project.settings, MONTH),
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The sentence of the first step that failed."""
    assert not result.success
    return str(result.get_step_failure_events()[0].step_failure_data.error)


def shown_states(project: Project) -> list[Any]:
    """The states of the month that the page of billing_periods shows, the newest first."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey("billing_periods"), asset_partitions=[MONTH])
    records = project.instance.fetch_materializations(wanted, limit=10).records
    return [each.asset_materialization.metadata["state"].value for each in records if each.asset_materialization]


def test_a_billed_month_is_a_draft(project: Project, typed: Callable[..., Finished]) -> None:
    """It is noted once: a run that finds nothing to do adds nothing."""
    assert (state(project), shown_states(project)) == ("drafted", ["drafted"])
    project.run_month()
    assert len(read_periods(project.warehouse).changes) == 1
    [period] = typed(project, "bill", "periods", "--json").json["periods"]
    assert (period["billing_period"], period["state"], period["is_frozen"]) == (MONTH, "drafted", False)


def test_it_is_approved_by_a_job(project: Project) -> None:
    """What is kept with it: who, the digest of the rows, the terms, the versions that it was given for."""
    versions = project.versions(["cleaned_cdrs", "rated_cdrs", "raw_cdrs"])
    assert decide(project, "approve_job", month=MONTH, by="Anna").success
    last = read_periods(project.warehouse).last(MONTH)
    assert last is not None
    assert (last.state, last.changed_by, last.digest) == ("approved", "Anna", digest_of(project.warehouse, MONTH))
    kept = json.loads(last.closed_with or "")
    assert {name: kept["versions"][name] for name in versions} == versions
    assert (kept["currency"], Decimal(kept["discount_pct"]), Decimal(kept["tax_pct"])) == (
        "MAD",
        Decimal(5),
        Decimal(20),
    )
    assert (kept["missing_volume_policy"], kept["dedupe_days"]) == ("customer_min", 31)
    assert shown_states(project) == ["approved", "drafted"]
    assert "cannot" not in (failed := failure(decide(project, "approve_job", month=MONTH, by="Bea")))
    assert f"approving {MONTH}: {MONTH} is approved by Anna" in failed


def test_no_run_makes_it_again(project: Project, typed: Callable[..., Finished]) -> None:
    """Not the command, not a backfill of everything, not one asset: all refuse with its state, and nothing is changed."""
    before = everything_of_june(project)
    versions = project.versions(
        each.name for each in digested_tables(project.warehouse) if project.warehouse.exists(each.name)
    )
    for arguments in (["--force"], ["--dry-run"], []):
        one_line(typed(project, "run", "--month", MONTH, *arguments), 1, f"run of {MONTH}: {MONTH} is approved by Anna")
    assert f"{MONTH} is approved by Anna" in failure(project.run("billing_job", month_tag()))
    alone = (
        "period_charges",
        "bill_lines",
        "facturation_complete",
        "published_bills",
        "bills_csv",
        "invoices",
        "dashboard",
    )
    for asset in (*alone, "daily_revenue", "billed_months"):
        assert f"{MONTH} is approved by Anna" in failure(project.materialise(asset, month_tag())), asset
    assert everything_of_june(project) == before
    assert project.versions(versions) == versions
    assert state(project) == "approved"


def test_what_lands_late_is_mediated_and_is_not_rated_into_it(project: Project) -> None:
    """One run over the last day of June and the first of July: both are mediated, July alone is rated."""
    before, automation = everything_of_june(project), Automation(project.defs, project.instance)
    assert automation.tick() == {}
    project.produce([sms(LAST, "late"), sms(NEXT, "b")])
    assert project.run("landing_job").success
    asked = tick(project, "cdr_topic_sensor")
    assert [request.tags["days"] for request in asked.run_requests or ()] == ["2025-06-30…2025-07-01"]
    assert outcomes(carry_out(project, asked)) == [("mediation_job", True)]
    assert sorted(row["record_id"] for row in project.rows("cleaned_cdrs")) == ["a", "b", "late"]
    assert sorted(row["record_id"] for row in project.rows("rated_cdrs")) == ["a", "b"]
    assert everything_of_june(project) == before
    assert tick(project, "cdr_topic_sensor").run_requests == []
    assert automation.tick() == {}, "nobody asks for a rating of June"


def test_days_that_are_all_frozen_are_rated_by_a_run_that_makes_nothing(project: Project) -> None:
    """It ends well."""
    versions = project.versions(["rated_cdrs", "suspended_cdrs"])
    assert project.run("mediation_job", day_tags("2025-06-29", "2025-06-30")).success
    assert project.run("rating_job", day_tags("2025-06-30")).success
    assert project.versions(versions) == versions


def test_its_checks_and_its_funnel_hold_all_the_same(project: Project) -> None:
    """A price that is another now, and the record that came late, are differences on a later bill: neither is a fault of June."""
    dearer = [{**row, "unit_price": row["unit_price"] * 2} for row in project.rows("rate_plans")]
    project.change("rate_plans", lambda row: dearer.pop(0))
    failed = [each.name for each in check_month(project.deployment, MONTH, ()) if each.stops]
    assert failed == []
    books = month_funnel(project.warehouse, MONTH)
    assert (books.cleaned, books.rated, books.late, books.imbalances()) == (2, 1, 1, [])
    assert tick(project, "failed_runs_again").run_requests == []


def test_a_withdrawal_opens_it_and_a_run_bills_what_came_late(project: Project, typed: Callable[..., Finished]) -> None:
    """At the price that holds now, for both."""
    done = telecom(project, "bill", "withdraw", "--month", MONTH, "--by", "Bea", "--why", "a price was wrong")
    assert (done.returncode, done.stderr) == (0, "")
    assert (state(project), shown_states(project)) == ("withdrawn", ["withdrawn", "approved", "drafted"])
    refused = typed(project, "bill", "approve", "--month", MONTH, "--by", "Bea")
    one_line(
        refused, 1, f"approving {MONTH}: its approval was withdrawn; `telecom run --month {MONTH}` makes its bills"
    )
    project.run_month()
    assert state(project) == "drafted"
    assert sorted(row["record_id"] for row in project.rows("rated_cdrs")) == ["a", "b", "late"]
    [bill] = [row for row in project.rows("facturation_complete") if row["sms_count"]]
    assert bill["sms_count"] == 2


def refused(project: Project) -> str:
    """Why June is not approved. It is as it was."""
    with pytest.raises(ExpectedError) as refusal:
        approve(Books.of(project.deployment), MONTH, by="Anna")
    return str(refusal.value)


def test_bills_are_not_approved_with_other_terms_or_while_records_wait(project: Project) -> None:
    """Each reason is told; the draft stays one."""
    terms = project.rows("billing_terms")
    project.change("billing_terms", lambda row: {**row, "tax_pct": Decimal(10)})
    assert f"approving {MONTH}: its bills were made with other terms than those in force on 2025-06-30" in refused(
        project
    )
    project.change("billing_terms", lambda _: terms[0])
    project.produce([sms(LAST, "again")])
    assert project.run("landing_job").success
    assert f"billing of {MONTH} is refused: not every day of {MONTH} is mediated as it stands now" in refused(project)
    assert state(project) == "drafted"


def test_a_commit_that_had_asked_before_the_approval_withdraws_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run writes rows of June between the digest and the approval: the approval is no longer of what is there."""
    project.run_month()

    def overtaken(warehouse: Warehouse, month: str) -> str:
        digest = digest_of(warehouse, month)
        assert project.materialise("rated_cdrs", day_tags("2025-06-30")).success
        return digest

    monkeypatch.setattr(approving, "digest_of", overtaken)
    assert "rated_cdrs changed while it was approved" in refused(project)
    assert [change.state for change in read_periods(project.warehouse).changes][-2:] == ["approved", "withdrawn"]


def test_a_withdrawn_month_is_billed_again_though_nothing_has_changed(project: Project) -> None:
    """Else there would be no draft to approve."""
    project.run_month()
    approve(Books.of(project.deployment), MONTH, by="Anna")
    withdraw(project.warehouse, MONTH, by="Anna", why="too early")
    [*_, billing] = project.runner().plan_month(MONTH)
    assert (billing.stage.name, billing.reasons) == ("billing", ("its approval was withdrawn",))
    project.run_month()
    assert state(project) == "drafted"


def test_it_is_closed_by_a_job(project: Project, typed: Callable[..., Finished]) -> None:
    """Its bills have numbers, PostgreSQL says that they are closed, and every check of the month holds."""
    project.run_month()
    one_line(
        typed(project, "bill", "close", "--month", MONTH, "--by", "Bea"),
        1,
        f"closing {MONTH}: {MONTH} is drafted; `telecom bill approve --month {MONTH} --by NAME`",
    )
    assert decide(project, "approve_job", month=MONTH, by="Anna").success
    before = digest_of(project.warehouse, MONTH)
    assert decide(project, "close_job", month=MONTH, by="Bea").success
    assert (state(project), shown_states(project)[0]) == ("closed", "closed")
    bills, documents = project.rows("facturation_complete"), project.rows("documents")
    assert [row["status"] for row in bills] == ["closed"] * len(bills)
    year = documents[0]["issue_date"].year
    numbers = [f"INV-{year}-{place:06d}" for place in range(1, len(bills) + 1)]
    assert sorted(row["number"] for row in documents) == numbers
    [made] = project.instance.fetch_materializations(dg.AssetKey("documents"), limit=5).records
    assert made.asset_materialization is not None
    assert made.asset_materialization.metadata["dagster/row_count"].value == len(documents)
    assert digest_of(project.warehouse, MONTH) == before
    assert [each.name for each in check_month(project.deployment, MONTH, ()) if each.stops] == []


def test_a_closed_month_is_made_by_nobody_again(project: Project, typed: Callable[..., Finished]) -> None:
    """Not by a run, not by another close, not by a withdrawal; whoever asks is told what it is."""
    before = everything_of_june(project)
    for command in (
        ["run", "--month", MONTH],
        ["bill", "close", "--month", MONTH, "--by", "Anna"],
        ["bill", "withdraw", "--month", MONTH, "--by", "Anna", "--why", "a mistake"],
        ["bill", "close", "--month", MONTH, "--by", "Anna", "--empty"],
    ):
        one_line(
            typed(project, *command), 1, f"{MONTH} is closed by Bea; what comes later is a difference on a later bill"
        )
    assert typed(project, "bill", "close", "--month", MONTH, "--by", "A", "--empty", "--as-it-stands").status == 2
    assert f"{MONTH} is closed by Bea" in failure(project.materialise("published_bills", month_tag()))
    assert everything_of_june(project) == before
