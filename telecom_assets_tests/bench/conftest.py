"""A month that the project has billed, and the same month by the DuckDB script."""

import datetime as dt
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.compute as pc
import pytest

from bench.duckdb_pipeline import Job, run
from telecom_assets.generator import GeneratorSpec, generate_customers, write_files
from telecom_assets.generator.timeline import ZONE
from telecom_assets_tests.graph.conftest import new_project
from telecom_assets_tests.graph.project import DATA, MONTH, Project

__all__ = ["new_project"]

SPEC = GeneratorSpec(cdrs=3_000, customers=60, month=MONTH, seed=11)


@dataclass
class BothSides:
    """One month of the same CDRs, twice."""

    project: Project
    job: Job

    @property
    def warehouse(self) -> Path:
        return Path(self.project.settings.warehouse_uri)

    @property
    def script(self) -> Path:
        return self.job.out


@pytest.fixture(scope="session")
def both(new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> BothSides:
    """Not to be changed; `script_copy` is."""
    folder = tmp_path_factory.mktemp("bench it's")
    files = write_files(SPEC, folder)
    project = new_project()
    project.store_customers(generate_customers(SPEC.customers, SPEC.seed))
    project.produce(files.cdr_file.read_bytes().splitlines())
    project.open_month()
    project.run_month()
    received = project.table("raw_cdrs").to_pyarrow_table(columns=["received_at"])["received_at"]
    first, last = pc.min(received).as_py(), pc.max(received).as_py()
    if local_day(first) != local_day(last):
        pytest.skip("midnight passed while the messages were sent: records at home on the day of receipt have two days")
    job = Job(
        cdrs=[files.cdr_file],
        customers=files.customers_file,
        rate_plans=DATA / "rate_plans.csv",
        product_catalog=DATA / "product_catalog.csv",
        out=folder / "partitioned",
        month=MONTH,
        received_at=first,
        threads=2,
    )
    run(job)
    return BothSides(project, job)


@pytest.fixture
def script_copy(both: BothSides, tmp_path: Path) -> Path:
    """What the script has written, to be damaged."""
    return Path(shutil.copytree(both.script, tmp_path / "copy"))


@pytest.fixture(scope="session")
def flat(both: BothSides) -> Path:
    """The script's tables as one file each."""
    job = replace(both.job, out=both.job.out.with_name("flat"), layout="flat", compression="zstd")
    run(job)
    return job.out


def local_day(instant: dt.datetime) -> dt.date:
    return instant.astimezone(ZONE).date()
