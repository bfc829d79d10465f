"""Months that are run once and looked at by many tests; copies of them for the tests that damage something.

The chain is `billed` → `again` (the same month run once more, in a copy, with Dagster's own storage) → `late` (late records, then
`telecom run`, with the project's storage as at first).
What lies behind a link is never changed by the next.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from resources.postgres import PostgresConnection
from resources.stack_state import StackState
from telecom_assets.closing.approving import Books, approve
from telecom_assets.closing.closing import close
from telecom_assets.definitions import build_defs
from telecom_assets.generator import GeneratorSpec, generate_cdr_chunks, generate_customers
from telecom_assets.home.settings import Settings
from telecom_assets.reference.tables import CUSTOMER_LIST
from telecom_assets.runs.month_runner import StepResult
from telecom_assets_tests.dagster_versions import other_dagster
from telecom_assets_tests.graph.project import (
    MONTH,
    NEXT_MONTH,
    Project,
    cdr,
    make_database,
    make_topic,
    open_project,
    with_single_jobs,
)
from telecom_assets_tests.graph.webhook import webhook
from telecom_assets_tests.strategies import HOSTILE_CORPUS
from telecom_assets_tests.typed import without_other_users

__all__ = ["webhook"]

SPEC = GeneratorSpec(cdrs=6_000, customers=60, month=MONTH, seed=7)

#: The corpus of hostile messages tells June 2026; here it is June of the month under test.
HOSTILE = [value and value.replace(b"2026-06-", MONTH.encode() + b"-") for value in HOSTILE_CORPUS]

#: No data session of the corpus is this customer's.
FLOOR_CUSTOMER = "212799999999"


def close_month_and_run_next(project: Project) -> None:
    """Bill the month under test, close it, and bill the next one, which corrects it."""
    for month in (MONTH, NEXT_MONTH):
        project.open_month(month)
    project.run_month()
    books = Books.of(project.deployment)
    approve(books, MONTH, by="Anna")
    close(books, MONTH, by="Bea")
    project.run_month(NEXT_MONTH)


def customers() -> pa.Table:
    """Generated customers, the senders of the hostile corpus, one without usage, names that XML and CSV must escape."""
    extra = [
        ("212600000001", 'Ünïcödé & Sons <"1">', "postpaid", "active"),
        ("212799999999", "=cmd|' /C calc'!A0, \"quoted\"", "postpaid", "active"),
        ("212600000004", "Étrangère", "prepaid", "active"),
        ("212600000005", "Gone", "postpaid", "terminated"),
        ("212600009999", "Never calls", "postpaid", "active"),
    ]
    rows = [
        {
            "customer_id": customer_id,
            "customer_name": name,
            "subscription_type": subscription_type,
            "rate_plan_id": "PLAN_B",
            "activation_date": None,
            "status": status,
            "region": "Oriental",
        }
        for customer_id, name, subscription_type, status in extra
    ]
    generated = generate_customers(SPEC.customers, SPEC.seed)
    for row in rows:
        row["activation_date"] = generated["activation_date"][0].as_py()
    return pa.concat_tables([generated, pa.Table.from_pylist(rows, schema=CUSTOMER_LIST.arrow_schema())])


def generated_cdrs() -> list[bytes]:
    """The generator's CDRs without those of the middle of the month: each day more is one more file in every table."""
    lines = (line.encode() for chunk in generate_cdr_chunks(SPEC) for line in chunk.to_pylist())
    middle = tuple(f'"timestamp": "{MONTH}-{day:02}'.encode() for day in range(8, 28))
    return [line for line in lines if not any(day in line for day in middle)]


def sessions_without_volume() -> list[bytes]:
    """Data sessions whose smallest volume tells numbers from texts: 9 MB is less than 10 MB, '10' is less than '9'."""
    caller = FLOOR_CUSTOMER
    return [
        cdr("data", 2, "floor-10", user_id=caller, data_volume_mb=10),
        cdr("data", 3, "floor-9", user_id=caller, data_volume_mb="9"),
        cdr("data", 4, "imputed-1", user_id=caller, data_volume_mb=None),
        cdr("data", 28, "imputed-2", user_id=caller),
    ]


def first_messages() -> list[bytes | None]:
    """What is on the topic when the month is billed for the first time, in the order in which it is sent."""
    return [*generated_cdrs(), *HOSTILE, *sessions_without_volume()]


@pytest.fixture(scope="session")
def new_project(stack: StackState, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Makes an empty project in a path with a space: new_project(partitions=…, **settings).

    Its topic and database go with the session's servers.
    """

    def make(*, partitions: int = 4, **changes: Any) -> Project:
        kafka = make_topic(stack, partitions)
        settings = {
            "home": tmp_path_factory.mktemp("graph home") / "home",
            "kafka_bootstrap_servers": kafka.bootstrap_servers,
            "kafka_options": kafka.options,
            "kafka_topic": kafka.topic,
            "postgres_dsn": make_database(stack),
            "partitions_start": "2025-01-01",  # Dagster lists all days since then: that takes some of each run
            "invoice_formats": "xml",  # PDFs take time, and have tests of their own
        }
        return open_project(Settings.load(**{**settings, **changes}))

    return make


@pytest.fixture(scope="session")
def copy_of(stack: StackState, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Makes a copy of a project in a folder that may be damaged: copy_of(project).

    With `light=(instance, dsn)` the copy has another Dagster instance and database, and its tables are links to the
    files of the original, which nobody changes in place.
    """

    def make(original: Project, light: tuple[dg.DagsterInstance, str] | None = None) -> Project:
        before, home = original.settings, tmp_path_factory.mktemp("graph copy") / "home"
        if light:
            instance, dsn = light
            shutil.copytree(before.home_path / "warehouse", home / "warehouse", copy_function=os.link)
            shutil.copytree(before.home_path / "output", home / "output", symlinks=True)
            return open_project(before.replaced(home=home, postgres_dsn=dsn), instance)
        assert before.postgres_dsn is not None
        name = before.postgres_dsn.get_secret_value().rsplit("/", maxsplit=1)[-1]
        shutil.copytree(before.home_path, home, symlinks=True)
        return open_project(before.replaced(home=home, postgres_dsn=make_database(stack, template=name)))

    return make


@dataclass
class MonthRun:
    """A project after a month's run, and what the run said."""

    project: Project
    results: list[StepResult]


@pytest.fixture(scope="session")
def billed(new_project: Callable[..., Project]) -> MonthRun:
    """A month from the topic to the dashboard: generated CDRs and the hostile corpus. Not to be changed."""
    project = new_project()
    project.store_customers(customers())
    project.produce(first_messages())
    project.open_month()
    return MonthRun(project, project.run_month())


@pytest.fixture(scope="session")
def again(billed: MonthRun, copy_of: Callable[..., Project]) -> MonthRun:
    """The same month run once more, in a copy, with Dagster's own storage over the files of ours: as if it were upgraded."""
    with other_dagster():
        project = copy_of(billed.project)
        return MonthRun(project, project.run_month(force=True))


def late_records() -> list[bytes]:
    """Records of 2025-06-03 that come when the month is billed already.

    A call to be charged, its repetition, another record under an identity that is cleaned on another day, and a data
    session smaller than its customer's smallest, so that the volumes imputed for the 4th and the 28th are out of date.
    """
    caller = FLOOR_CUSTOMER
    call = cdr("voice", 3, "late-call", caller_id=caller, callee_id="33612345678", duration_sec=3_601)
    return [
        call,
        call,
        cdr("data", 3, "floor-10", user_id=caller, data_volume_mb=10),
        cdr("data", 3, "late-floor", user_id=caller, data_volume_mb=3.25),
        cdr("sms", 3, "late-sms", sender_id="not a number"),
    ]


@dataclass
class CommandRun:
    """A project after `telecom …`, and what the command printed."""

    project: Project
    finished: subprocess.CompletedProcess[str]

    @property
    def json(self) -> Any:
        return json.loads(self.finished.stdout)


@pytest.fixture(scope="session")
def late(again: MonthRun, copy_of: Callable[..., Project]) -> CommandRun:
    """Late records for one day, then `telecom run --month … --json`, as a user types it, in another copy."""
    project = copy_of(again.project)
    project.produce(late_records())
    return CommandRun(project, telecom(project, "run", "--month", MONTH, "--json"))


@pytest.fixture(scope="session")
def untouched(billed: MonthRun, copy_of: Callable[..., Project]) -> Project:
    """A copy of the month, for checks that look and do not touch."""
    return copy_of(billed.project)


@pytest.fixture(scope="session")
def forgetful() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="session")
def borrowed(billed: MonthRun) -> dg.Definitions:
    """One set of definitions for many projects: making it takes longer than a check does."""
    return with_single_jobs(build_defs(billed.project.settings))


@pytest.fixture
def damaged(
    billed: MonthRun,
    untouched: Project,
    forgetful: dg.DagsterInstance,
    borrowed: dg.Definitions,
    copy_of: Callable[..., Project],
) -> Project:
    """A light copy of the billed month, to take rows away from. Its PostgreSQL is everybody's: look, do not touch."""
    assert untouched.settings.postgres_dsn is not None
    light = (forgetful, untouched.settings.postgres_dsn.get_secret_value())
    project = copy_of(billed.project, light=light)
    vars(project)["defs"] = borrowed
    return project


@pytest.fixture
def damaged_with_database(billed: MonthRun, copy_of: Callable[..., Project]) -> Project:
    """A whole copy of the billed month, where PostgreSQL may be damaged too."""
    return copy_of(billed.project)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PostgreSQL server that refuses connections is asked once: how long it is waited for has tests of its own."""
    asked_once = partial(PostgresConnection, retry_seconds=0)
    monkeypatch.setattr("resources.postgres.PostgresConnection", asked_once)


def telecom(project: Project, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Type a `telecom` command for a project, in an environment of its own."""
    finished = subprocess.run(
        [Path(sys.executable).with_name("telecom"), *arguments],
        env=environment(project) | changes,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    finished.stderr = without_other_users(finished.stderr)
    return finished


def environment(project: Project) -> dict[str, str]:
    """The environment variables that a user of this project sets."""
    settings = project.settings
    assert settings.postgres_dsn is not None
    return {
        "PATH": os.environ["PATH"],
        **{name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ},
        "COLUMNS": "200",
        "TELECOM_HOME": str(settings.home),
        "TELECOM_KAFKA_BOOTSTRAP_SERVERS": str(settings.kafka_bootstrap_servers),
        "TELECOM_KAFKA_OPTIONS": json.dumps(settings.kafka_options),
        "TELECOM_KAFKA_TOPIC": settings.kafka_topic,
        "TELECOM_PARTITIONS_START": f"{settings.partitions_start}",
        "TELECOM_POSTGRES_DSN": settings.postgres_dsn.get_secret_value(),
    }
