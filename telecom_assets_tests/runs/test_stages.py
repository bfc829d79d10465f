"""The stages are declared once: what is read from them agrees with the assets, which have pools, partitions and dependencies."""

import dagster as dg

from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.partitions import DAILY, MONTHLY
from telecom_assets.runs.stages import LANDING, MAINTENANCE, STAGES, stage_of_job, stage_of_table
from telecom_assets.tables import TABLES

DEFS = build_defs(Settings())
GRAPH = DEFS.resolve_asset_graph()


def test_each_asset_that_can_be_made_is_of_one_stage() -> None:
    made = sorted(asset for stage in (*STAGES, MAINTENANCE) for asset in stage.assets)
    assert made == sorted(key.path[-1] for key in GRAPH.executable_asset_keys)


def test_each_table_is_written_by_one_stage() -> None:
    written = sorted(table for stage in STAGES for table in stage.tables)
    assert written == sorted(TABLES)
    assert stage_of_table("raw_cdrs") == stage_of_table("displaced_days") == LANDING
    assert stage_of_table("cdr_topic") is None


def test_the_days_or_the_month_of_a_stage_are_those_of_its_assets() -> None:
    of_grain = {"day": DAILY, "month": MONTHLY, None: None}
    for stage in STAGES:
        assert DEFS.resolve_job_def(stage.job).partitions_def == of_grain[stage.grain], stage.name


def test_what_comes_before_a_stage_is_what_its_assets_read() -> None:
    """Derived from the graph: stages whose assets, or tables, are parents of the stage's assets."""
    for stage in STAGES:
        parents = {key.path[-1] for asset in stage.assets for key in GRAPH.get(dg.AssetKey(asset)).parent_keys}
        before = {found.name for each in parents if (found := stage_of_table(each)) is not None} - {stage.name}
        assert set(stage.after) == before, stage.name
        earlier = [each.name for each in STAGES[: STAGES.index(stage)]]
        assert set(stage.after) <= set(earlier)


def test_a_job_is_found_by_its_name() -> None:
    assert [stage_of_job(stage.job) for stage in (*STAGES, MAINTENANCE)] == [*STAGES, MAINTENANCE]
    assert [stage.job for stage in STAGES] == [
        "reference_job",
        "landing_job",
        "mediation_job",
        "rating_job",
        "billing_job",
    ]


def test_a_job_makes_the_assets_of_its_stage_and_of_those_that_follow_in_its_run() -> None:
    follow = {"mediation": ["mediation", "rating"]}
    for stage in (*STAGES, MAINTENANCE):
        names = follow.get(stage.name, [stage.name])
        assert [each.name for each in stage.run] == names
        keys = DEFS.resolve_job_def(stage.job).asset_layer.executable_asset_keys
        assets = [asset for each in STAGES if each.name in names for asset in each.assets]
        assert sorted(key.path[-1] for key in keys) == sorted(assets or stage.assets)
