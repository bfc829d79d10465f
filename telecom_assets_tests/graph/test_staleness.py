"""What the UI marks as stale: nothing for reference data that were read again, the month when they are others."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

# What the UI shows of staleness has no public question.
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from telecom_assets.model.months import month_days
from telecom_assets_tests.graph.conftest import MonthRun, customers
from telecom_assets_tests.graph.project import DATA, MONTH, Project, open_project

DAYS = [f"{day}" for day in month_days(MONTH)]


@pytest.fixture(scope="module")
def project(billed: MonthRun, copy_of: Callable[..., Project]) -> Project:
    return copy_of(billed.project)


def stale(project: Project, names: list[str] | None = None) -> dict[str, set[str]]:
    """The days and the months that the UI marks as stale, by asset, with whom it names as the cause."""
    graph = project.defs.resolve_asset_graph()
    # As the UI's GraphQL does (`stale_status_loader` of a workspace's context).
    resolver = CachingStaleStatusResolver(project.instance, graph, LoadingContextForTest(project.instance))
    found: dict[str, set[str]] = {}
    for key in graph.materializable_asset_keys:
        name, partitions_def = key.to_user_string(), graph.get(key).partitions_def
        if name not in (names or [name]):
            continue
        keys = [None] if partitions_def is None else DAYS if "Daily" in str(partitions_def) else [MONTH]
        marked = {str(each) for each in keys if resolver.get_status(key, each) is StaleStatus.STALE}
        if marked:
            found[name] = marked
    return found


def cheaper(folder: Path) -> Path:
    """The packaged tariffs with another price, as a history: it takes the place of what is stored."""
    file, text = folder / "rate_plans.csv", (DATA / "rate_plans.csv").read_text(encoding="utf-8")
    header, first, *rest = text.splitlines()
    fields, names = first.split(","), header.split(",")
    fields[names.index("unit_price")] = "0.011"
    lines = [f"{header},valid_from", *(f"{line}," for line in (",".join(fields), *rest))]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def test_unchanged_reference_data_make_nothing_stale(project: Project) -> None:
    assert stale(project) == {}, "as the month's run left it"
    for _ in range(2):
        assert project.run("reference_job").success
    assert stale(project) == {}


def test_another_tariff_makes_every_rated_day_stale(project: Project, tmp_path: Path) -> None:
    changed = open_project(project.settings.replaced(rate_plans=cheaper(tmp_path)), project.instance)
    assert changed.run("reference_job").success
    assert stale(changed, ["rated_cdrs", "suspended_cdrs"]) == {
        "rated_cdrs": set(DAYS),
        "suspended_cdrs": set(DAYS),
    }
    assert stale(changed, ["cleaned_cdrs", "rejected_cdrs"]) == {}, "mediation reads no tariff"


def test_another_customer_makes_rated_days_and_bills_stale(billed: MonthRun, copy_of: Callable[..., Project]) -> None:
    project, first = copy_of(billed.project), customers()["customer_id"][0].as_py()
    project.change_customer(first, date.fromisoformat(f"{MONTH}-01"), region="Elsewhere")
    assert project.run("reference_job").success
    assert stale(project, ["rated_cdrs", "facturation_complete", "invoices", "cleaned_cdrs"]) == {
        "rated_cdrs": set(DAYS),
        "facturation_complete": {MONTH},
        "invoices": {MONTH},
    }


def test_a_version_without_other_rows_makes_nothing_stale(project: Project) -> None:
    """As maintenance makes one: a commit more, and what is read from the file is what the table holds."""
    before = project.version("product_catalog")
    project.table("product_catalog").alter.set_table_properties({"delta.logRetentionDuration": "interval 40 days"})
    assert project.version("product_catalog") == before + 1
    assert project.run("reference_job").success
    assert project.version("product_catalog") == before + 1
    assert stale(project, ["cleaned_cdrs", "rejected_cdrs", "mediated_days"]) == {}


def test_a_daily_table_has_no_code_version(project: Project) -> None:
    """With one, a late day that was mediated again is called fresh."""
    graph = project.defs.resolve_asset_graph()
    daily = [key for key in graph.materializable_asset_keys if "Daily" in str(graph.get(key).partitions_def)]
    assert len(daily) > 3
    assert [key for key in daily if graph.get(key).code_version is not None] == []


def test_a_late_day_that_was_mediated_again_makes_its_rating_stale(project: Project) -> None:
    day = f"{MONTH}-03"
    marked = stale(project, ["rated_cdrs"]).get("rated_cdrs", set())
    assert project.materialise(
        "cleaned_cdrs", {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": day}
    ).success
    assert stale(project, ["rated_cdrs"])["rated_cdrs"] == marked | {day}
