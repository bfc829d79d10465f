"""The arithmetic of the bench: samples, medians, files, targets, clocks. Nothing is timed here."""

import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from bench.dataset import DataSpec, give_to_one, quiet_cdrs, smallest_cdrs
from bench.duckdb_pipeline import offset_changes
from bench.errors import BenchError
from bench.figures import Figures, medians, spans_to_stages, total
from bench.processes import Family, Sample, Watched, run_watched
from bench.project_runs import written_files
from bench.ratios import ratios, targets
from bench.stage_names import COMPARED, STAGES, stage_of_asset, stage_of_file
from telecom_assets.definitions import build_defs
from telecom_assets.generator import GeneratorSpec, write_files
from telecom_assets.generator.timeline import ZONE
from telecom_assets.tables import TABLES

pytestmark = pytest.mark.thorough

WATCHED = Watched(
    begin=10.0,
    end=14.0,
    samples=[Sample(10.0, 0.0, 100), Sample(11.0, 2.0, 300), Sample(12.0, 2.0, 200), Sample(14.0, 3.0, 250)],
    stdout="",
)
SPEC = DataSpec(cdrs=1_000, customers=50, month="2025-06", seed=3)


def test_cpu_of_a_span_joins_samples_by_lines() -> None:
    assert WATCHED.cpu_between(10.5, 11.5) == pytest.approx(1.0)
    assert WATCHED.cpu_between(12.0, 13.0) == pytest.approx(0.5)
    assert WATCHED.cpu == pytest.approx(3.0)


def test_the_peak_of_a_span_sees_its_nearest_samples() -> None:
    assert WATCHED.peak_between(12.5, 13.0) == 250
    assert WATCHED.peak_between(10.2, 10.4) == 300
    assert WATCHED.peak_rss == 300


def test_a_process_that_has_ended_is_no_sample_without_cpu() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    family = Family([process.pid])
    assert family.sample() is not None
    process.communicate(b"\n")
    family.looked = 0.0
    assert family.sample() is None


def test_spans_of_one_stage_add_up() -> None:
    stages = spans_to_stages([("rating", 10.0, 11.0), ("reports", 11.0, 12.0), ("rating", 12.0, 14.0)], WATCHED)
    assert stages["rating"].wall == pytest.approx(3.0)
    assert stages["rating"].cpu == pytest.approx(3.0)
    assert stages["reports"].cpu == pytest.approx(0.0)


def test_medians_are_taken_figure_by_figure() -> None:
    repetitions = [{"rating": Figures(wall, 10 - wall, 5)} for wall in (3.0, 1.0, 2.0)]
    assert medians(repetitions) == {"rating": Figures(2.0, 8.0, 5)}
    assert total({"a": Figures(1, 2, 9, 7), "b": Figures(3, 4, 5, 7)}, ("a", "b", "c")) == Figures(4, 6, 9, 7)


def test_files_are_counted_when_new_or_changed() -> None:
    table = Path("warehouse/rated_cdrs/part.parquet")
    before = {table: (10, 1), Path("output/invoices/2025-06/1.xml"): (5, 1)}
    after = {**before, table: (12, 2), Path("warehouse/cleaned_cdrs/new.parquet"): (7, 2)}
    assert written_files(before, after) == {"rating": (1, 12), "mediation": (1, 7)}


def test_every_asset_and_table_has_a_stage() -> None:
    assets = {key.path[-1] for key in build_defs().resolve_asset_graph().get_all_asset_keys()}
    assert {name: stage_of_asset(name) for name in assets if stage_of_asset(name) == "other"} == {}
    assert {name for name in TABLES if stage_of_file(PurePath("warehouse", name, "x")) == "other"} == set()
    assert {stage_of_asset(name) for name in assets} | {"start", "other"} == set(STAGES)
    assert set(COMPARED) < set(STAGES)


def test_a_process_is_watched_with_its_children() -> None:
    child = "bytearray(60_000_000); import time; time.sleep(0.6)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True); print('done')"
    watched = run_watched([sys.executable, "-c", parent])
    assert watched.stdout == "done\n"
    assert watched.cpu > 0
    assert watched.samples


def test_a_server_that_works_for_a_process_is_counted_with_it() -> None:
    holds = "x = bytes(1) * 80_000_000; print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        # Longer than it takes to look once, on a busy machine too.
        watched = run_watched([sys.executable, "-c", "import time; time.sleep(1)"], servers=[server.pid])
        server.communicate(b"\n")
    assert watched.peak_rss > 80_000_000


def test_a_process_that_outgrows_its_limit_is_ended() -> None:
    with pytest.raises(BenchError, match="more than the limit of 40,000,000 bytes"):
        run_watched(
            [sys.executable, "-c", "import time; x = bytearray(90_000_000); time.sleep(60)"], memory_limit=40_000_000
        )


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(BenchError, match=r"exit status 3\n.*the reason"):
        run_watched([sys.executable, "-c", "import sys; print('the reason', file=sys.stderr); sys.exit(3)"])


def test_ratios_and_targets() -> None:
    script = {"wall_sec": 2.0, "cpu_sec": 4.0, "peak_rss_bytes": 100}
    month = {"wall_sec": 3.2, "cpu_sec": 6.0, "peak_rss_bytes": 300, "rows_per_sec": 500}
    sums = dict.fromkeys(("landed to reports", "landed to documents", "topic to reports"), month)
    results = {
        "pipeline": {"sums": {**sums, "topic to landed table": month}},
        "duckdb": {"reference": "partitioned, zstd", "variants": {"partitioned, zstd": {"total": script}}},
        "limits": {"bare consumer": {"rows_per_sec": 1_000}},
    }
    found = ratios(results)
    assert next(iter(found)) == "ratio_to_duckdb"
    assert (found["ratio_to_duckdb"], found["cpu_ratio_to_duckdb"]) == (1.6, 1.5)
    judged = [*targets({**found, "results": results, "data": {"cdrs": 1_000_000}})]
    assert [(item.limit, item.met) for item in judged] == [(1.5, False), (0.6, False), (8, True)]


@pytest.mark.parametrize(
    "civil",
    ["2025-02-23T02:30:00", "2025-04-06T02:30:00", "2025-06-01T00:00:00", "1950-06-11T23:59:00", "2012-07-20T12:00:00"],
)
def test_civil_times_get_the_offset_before_a_change_until_it_is_over(civil: str) -> None:
    """A time that comes twice is the first; one that is skipped moves on by the gap: both are what fold=0 says."""
    moment = dt.datetime.fromisoformat(civil)
    changes_at, before, after = max(change for change in offset_changes() if change[0].date() <= moment.date())
    offset = moment.replace(tzinfo=ZONE).utcoffset()
    assert offset is not None
    assert (before if moment < changes_at else after) == offset.total_seconds()


def test_one_in_twenty_cdrs_goes_to_one_customer_and_copies_stay_copies(tmp_path: Path) -> None:
    files = write_files(GeneratorSpec(cdrs=4_000, customers=50, month="2025-06"), tmp_path)
    before = files.cdr_file.read_text().splitlines()
    give_to_one(files.cdr_file, "212700000000")
    after = files.cdr_file.read_text().splitlines()
    changed = [line for line, new in zip(before, after, strict=True) if line != new]
    assert 150 < len(changed) < 250
    assert len(set(after)) == len(set(before)) < len(before)
    subscribers = [re.findall(r'"(?:caller_id|sender_id|user_id)": "212700000000"', line) for line in after]
    assert sum(map(len, subscribers)) == len(changed)
    assert [json.loads(line)["record_ID"] for line in after] == [json.loads(line)["record_ID"] for line in before]


def test_late_cdrs_lie_on_one_day_and_have_their_own_identities() -> None:
    callers = ["212600000001", "212600000002"]
    quiet, smallest = ([json.loads(line) for line in make(SPEC, callers)] for make in (quiet_cdrs, smallest_cdrs))
    assert {record["timestamp"][:10] for record in quiet + smallest} == {"2025-06-15"}
    assert len({record["record_ID"] for record in quiet + smallest}) == len(quiet) + len(smallest) == 20
    assert {record["record_type"] for record in quiet} == {"voice"}
    assert {record["data_volume_mb"] for record in smallest} == {0.005}
