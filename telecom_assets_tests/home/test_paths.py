"""Paths, texts and helps that people meet: one line names what is wrong, in words, and nothing is cut off."""

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st

from telecom_assets import cli
from telecom_assets.home.paths import control_character, path_problem, shown
from telecom_assets.home.settings import Settings, SettingsError
from telecom_assets.reference.tables import CUSTOMER_LIST
from telecom_assets_tests.typed import Finished, type_command

LONG = "/srv/" + "a/" * 2_500 + "x"
LONG_NAME = "/srv/" + "n" * 256
FOLDERS = ("TELECOM_HOME", "TELECOM_WAREHOUSE", "TELECOM_OUTPUT")
FILES = ("TELECOM_RATE_PLANS", "TELECOM_PRODUCT_CATALOG")


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TELECOM_HOME", str(tmp_path / "home"))
    return lambda *arguments: type_command(monkeypatch, capfd, arguments)


def one_line(finished: Finished, *parts: str) -> None:
    assert (finished.exit_code, finished.stdout, finished.stderr.count("\n")) == (2, "", 1), finished
    assert len(finished.stderr) < 400
    for part in parts:
        assert part in finished.stderr


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (LONG, "bytes; expected a path of at most"),
        (LONG_NAME, "has a name of 256 bytes; expected names of at most 255"),
        ("/srv/é" + "é" * 127, "has a name of 256 bytes"),
        ("/srv/two\nlines", "holds a line end"),
        ("/srv/two\r", "holds a line end"),
        ("/srv/\x1b[2J", "holds the control character U+001B"),
    ],
)
def test_a_setting_that_can_be_no_path(
    typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    one_line(typed("funnel", "--month", "2025-05"), f"{name}:", says)


@pytest.mark.parametrize("field", ["home", "warehouse", "output", "rate_plans", "product_catalog"])
def test_a_nul_character(field: str) -> None:
    """No shell hands one on; code may."""
    with pytest.raises(SettingsError, match=f"TELECOM_{field.upper()}: .*holds a NUL character"):
        Settings.load(**{field: "/srv/a\0b"})


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        (("--home", None, "status"), "--home"),
        (("customers", "import", None), "FILE"),
        (("replay", "/dev/null", None), "FILE"),
        (("generate", "--out", None), "--out"),
        (("jars", None), "FOLDER"),
    ],
)
@pytest.mark.parametrize("value", [LONG, LONG_NAME, "two\nlines"])
def test_an_argument_that_can_be_no_path(
    typed: Callable[..., Finished], command: tuple[str | None, ...], argument: str, value: str
) -> None:
    one_line(typed(*(value if word is None else word for word in command)), f"telecom: {argument}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TELECOM_KAFKA_BOOTSTRAP_SERVERS", "broker:9092\n"),
        ("TELECOM_CURRENCY", "MAD\n"),
        ("TELECOM_FAILURE_WEBHOOK", "https://example.org/\r\nX: y"),
        ("SPARK_REMOTE", "sc://host\n"),
        ("AWS_ENDPOINT_URL", "http://host\n:1"),
    ],
)
def test_a_setting_with_a_line_end(
    typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    one_line(typed("status"), name, "holds a line end; expected one line")


def test_json_may_have_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECOM_KAFKA_OPTIONS", '{\n"client.id": "x"\n}')
    assert Settings.load().kafka_options == {"client.id": "x"}


#: What is in a regular expression and in no sentence.
REGULAR_EXPRESSION = re.compile(r"\\[AzZdsw]|\[[^\]]*-[^\]]*\][*+{]|\(\?|\^|\$|pattern")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TELECOM_KAFKA_TOPIC", "a topic", "expected 1 to 249 letters of A to Z, a to z, digits and . _ -"),
        ("TELECOM_KAFKA_TOPIC", "x" * 250, "expected 1 to 249 letters"),
        ("TELECOM_CURRENCY", "dirham", "expected three capital letters, a code of ISO 4217 such as MAD"),
        ("TELECOM_CURRENCY", "mad", "expected three capital letters"),
        ("AWS_ENDPOINT_URL", "ftp://host", "expected http://host:port or https://host:port"),
        ("AWS_ENDPOINT_URL_S3", "http://host/bucket", "expected http://host:port or https://host:port"),
        ("TELECOM_WAREHOUSE", "s3://B", "expected s3://bucket/prefix"),
        ("SPARK_REMOTE", "host", "expected sc://host:port"),
        ("TELECOM_FAILURE_WEBHOOK", "host", "expected an address that begins with http:// or https://"),
        ("TELECOM_DAGSTER_POSTGRES_URL", "host", "expected postgresql://"),
        ("TELECOM_PARTITIONS_START", "June", "date"),
        ("TELECOM_TAX_PCT", "abc", "decimal"),
    ],
)
def test_what_is_expected_is_said_in_words(
    typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    finished = typed("status")
    one_line(finished, name, says)
    assert not REGULAR_EXPRESSION.search(finished.stderr), finished.stderr


def test_no_setting_is_judged_by_a_pattern_of_pydantic() -> None:
    """Which would show it."""
    assert not [name for name, field in Settings.model_fields.items() if "pattern" in str(field.metadata)]


# -- helps ------------------------------------------------------------------------------------------------------------


def commands(command: Any, *before: str) -> dict[tuple[str, ...], Any]:
    """Every command and every group of them, by what is typed."""
    found = {before: command}
    for name, each in getattr(command, "commands", {}).items():
        found |= commands(each, *before, name)
    return found


COMMANDS = commands(typer.main.get_command(cli.app))


def words_shown(text: str) -> str:
    """What a help shows, without its frames and lines."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_help_is_cut_off(typed: Callable[..., Finished], command: tuple[str, ...]) -> None:
    """Every word of it is there, whole, in a terminal of 80 columns."""
    finished = typed(*command, "--help")
    assert finished.exit_code == 0
    shown_words = words_shown(finished.stdout).split()
    texts = [COMMANDS[command].help or "", *(getattr(each, "help", None) or "" for each in COMMANDS[command].params)]
    assert [word for text in texts for word in text.split() if word not in shown_words] == []


def test_the_whole_header_of_customers_is_shown(typed: Callable[..., Finished]) -> None:
    texts = words_shown(typed("customers", "import", "--help").stdout)
    assert ", ".join(CUSTOMER_LIST.column_names) in texts


# -- the rules themselves -----------------------------------------------------------------------------------------------


@given(st.text())
def test_what_is_shown_is_one_short_line(text: str) -> None:
    assert control_character(shown(text)) is None
    assert len(shown(text)) < 160


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=300))
def test_a_name_that_can_be_a_file_is_no_problem_and_no_other_is(name: str) -> None:
    """What the file system says itself."""
    path = Path(__file__).parent / name
    try:
        path.lstat()
        takes = True
    except OSError as error:
        takes = error.errno != errno.ENAMETOOLONG
    assert (path_problem(path) is None) == takes
