"""The Dagster instance of a home folder, and its configuration `<home>/dagster/dagster.yaml`.

Belongs here: storage, pools, retention of ticks, captured output. The file is written from the settings on every start, so that
settings stay in one place. Secrets stay out of it: it names an environment variable.
"""

import logging
import os
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from resources.file_locks import waited_for
from resources.postgres import PostgresConnection
from resources.stack_state import read_stack_state
from telecom_assets.home.compute_logs import output_folder
from telecom_assets.home.dagster_storage import enable_batches, output_config, sqlite_config, untested_version
from telecom_assets.home.private_files import make_home, private_folder
from telecom_assets.home.settings import Settings, SettingsError

log = logging.getLogger(__name__)

#: Environment variable through which Dagster reads its PostgreSQL address.
POSTGRES_URL_VARIABLE = "TELECOM_DAGSTER_POSTGRES_URL"

_HEADER = "# Written from the settings (docs/configuration.md) at every start: change those, not this file.\n"


def instance_config(settings: Settings) -> dict[str, Any]:
    """Content of dagster.yaml."""
    config: dict[str, Any] = {
        # One step at a time lands, one uses the engine, one maintains tables; the three do not wait for each other. A step holds
        # its place in the pool until it ends.
        "concurrency": {
            "pools": {"default_limit": 1, "granularity": "op"},
            "runs": {"max_concurrent_runs": 3},
        },
        **output_config(output_folder(settings.dagster_home)),
        # Sensors run in threads, so that the others go on while one waits for a broker.
        "sensors": {"use_threads": True, "num_workers": 4},
        # A process that is killed in a step keeps its place in the pool until the monitor frees it.
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 180, "free_slots_after_run_end_seconds": 60},
        "retention": {
            "sensor": {"purge_after_days": {"skipped": 1, "success": 30, "failure": 30, "started": 7}},
            "schedule": {"purge_after_days": 365},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
    if settings.dagster_storage == "postgres":
        config["storage"] = {"postgres": {"postgres_url": {"env": POSTGRES_URL_VARIABLE}}}
    else:
        config |= sqlite_config(settings.dagster_home)
    return config


def prepare_instance(settings: Settings) -> Path:
    """Write the instance's configuration and set the environment for it; returns DAGSTER_HOME."""
    home = settings.dagster_home
    if (untested := untested_version(sqlite=settings.dagster_storage == "sqlite")) is not None:
        log.warning("%s", untested)
    make_home(settings)
    private_folder(home)
    target = home / "dagster.yaml"
    text = _HEADER + yaml.safe_dump(instance_config(settings), sort_keys=False)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        staged = home / f".dagster.yaml.{os.getpid()}"
        staged.write_text(text, encoding="utf-8")
        staged.replace(target)
    os.environ["DAGSTER_HOME"] = str(home)
    enable_batches()
    if settings.dagster_storage == "postgres":
        os.environ[POSTGRES_URL_VARIABLE] = _for_psycopg2(_postgres_url(settings))
    return home


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance of the home folder, which its UI shows. Raises PostgresUnavailable, InstanceError, SettingsError."""
    home = prepare_instance(settings)
    check_storage(settings)
    # Dagster's own storage makes its tables in the files themselves, and two processes that do so at once spoil them.
    with waited_for(home / ".opening.lock"):
        instance = dg.DagsterInstance.get()
    if settings.dagster_storage == "postgres":
        # The UI's server calls this too. Without it the storage opens a connection for every query, a thousand for a month.
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=3600, max_overflow=20)
    return instance


def check_storage(settings: Settings) -> None:
    """Raise PostgresUnavailable when a PostgreSQL storage cannot be reached: Dagster would log its URL with the password."""
    if settings.dagster_storage == "postgres":
        PostgresConnection(_postgres_url(settings), setting=POSTGRES_URL_VARIABLE).connect().close()


def _postgres_url(settings: Settings) -> str:
    if settings.dagster_postgres_url is not None:
        return settings.dagster_postgres_url.get_secret_value()
    local = read_stack_state(settings.stack_file).postgres
    if local is None:
        raise SettingsError(
            f"TELECOM_DAGSTER_STORAGE=postgres: no database; set {POSTGRES_URL_VARIABLE}, or run `telecom up`"
        )
    return local.url(local.dagster_database)


def _for_psycopg2(url: str) -> str:
    """The URL with its driver named: dagster-postgres needs psycopg2, and SQLAlchemy would choose psycopg 3."""
    return f"postgresql+psycopg2://{url.partition('://')[2]}"
