"""Fixtures that start the local stack's real servers once for a test session."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from resources.stack_state import StackState, read_stack_state
from telecom_assets.local_stack import LocalStack

#: Settings of Apache Spark for a few thousand rows, on which compiling a query takes longer than running it.
FOR_LITTLE_DATA = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}


@pytest.fixture(scope="session")
def stack_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home folder of the session's stack; its name has a space, as folders of people do. Stopped and removed.

    A run without servers (`-m "not servers"`) starts none: a test that asks for one by a name in its parameters fails, and
    says what to do.
    """
    if "not servers" in request.config.option.markexpr:
        pytest.fail(
            "this test asks for a server and is not marked: name the parameter's value in BUILT_ON_SERVERS "
            "(telecom_assets_tests/conftest.py), or mark the test `servers`"
        )
    home = tmp_path_factory.mktemp("session stack") / "home"
    yield home
    LocalStack(home).down()
    shutil.rmtree(home, ignore_errors=True)


def _start(home: Path, services: Sequence[str]) -> None:
    """Servers whose Java takes its first compiler alone.

    A session is too short for the second one to pay: mediation's tests cost Apache Spark 56 s of CPU instead of 73.
    """
    with pytest.MonkeyPatch.context() as patch:
        # The first compiler alone is given 48 MB for its code, which a suite fills: then Spark ends in the middle of a test.
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m")
        LocalStack(home, services).up()


@pytest.fixture(scope="session")
def stack(stack_home: Path) -> StackState:
    """PostgreSQL and Kafka, up for the session."""
    _start(stack_home, ["postgres", "kafka"])
    return read_stack_state(stack_home / "stack.json")


@pytest.fixture(scope="session")
def spark_remote(stack_home: Path) -> str:
    """Address (sc://…, token included) of a local Apache Spark Connect server, up for the session."""
    _start(stack_home, ["spark"])
    state = read_stack_state(stack_home / "stack.json")
    assert state.spark is not None
    return state.spark.remote
