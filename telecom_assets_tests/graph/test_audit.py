"""docs/audit.md, command by command, on the month that it is about; then the same journals by a job, and bad input.

Belongs here: what of the page depends on the day and the machine. The demonstration's month is made here with the same customers and
CDRs as by `telecom demo`, on the servers of the tests.
"""

import datetime as dt
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telecom_assets.generator import GeneratorSpec, generate_cdr_chunks, generate_customers
from telecom_assets.model.calendar import local_today
from telecom_assets_tests.graph.conftest import webhook
from telecom_assets_tests.graph.project import QUIET, Project
from telecom_assets_tests.graph.test_cli_month import Finished, one_line, typed

__all__ = ["typed", "webhook"]

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
MONTH = "2025-06"
#: The day on which the page's documents were issued.
ISSUED = dt.date(2026, 11, 30)


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project]) -> Project:
    """`telecom demo --month 2025-06 --cdrs 600 --customers 60`."""
    text = PAGE.read_text(encoding="utf-8")
    asked = re.search(rf"telecom demo --month {MONTH} --cdrs ([0-9]+) --customers ([0-9]+)\n", text)
    assert asked is not None
    spec = GeneratorSpec(cdrs=int(asked[1]), customers=int(asked[2]), month=MONTH)
    made = new_project(partitions=1)
    made.store_customers(generate_customers(spec.customers, spec.seed))
    made.produce(line.encode() for chunk in generate_cdr_chunks(spec) for line in chunk.to_pylist())
    made.open_month(MONTH)
    made.run_month(MONTH)
    return made


@pytest.mark.parametrize(
    ("arguments", "changes", "status", "said"),
    [
        (("close", "--month", MONTH), {}, 1, f"close journal of {MONTH}: {MONTH} is drafted; `telecom bill approve"),
        (("close", "--month", "June"), {}, 2, "month 'June': expected yyyy-MM"),
        (("vat", "--month", "2999-01"), {}, 2, "month 2999-01: expected a month from"),
        (("close", "--month", MONTH), {"TELECOM_ACCOUNTS": __file__}, 1, "test_audit.py: not TOML"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(
    project: Project,
    typed: Callable[..., Finished],
    tmp_path: Path,
    arguments: tuple[str, ...],
    changes: dict[str, str],
    status: int,
    said: str,
) -> None:
    file = tmp_path / "journal.csv"
    one_line(typed(project, "accounting", *arguments, "--csv", str(file), **changes), status, said)
    assert not file.exists()


def test_every_command_prints_what_the_page_says(
    project: Project, typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the page, in the folder of the home. The digests of a document are equal wherever they stand."""
    monkeypatch.chdir(project.settings.home_path)
    today = local_today()
    printed = []
    for command, expected in _commands(PAGE.read_text(encoding="utf-8")):
        found = _run(project, typed, _on(command, ISSUED, today))
        printed.append(found)
        assert _comparable(_on(found, today, ISSUED)) == _comparable(expected), command
    assert len(printed) > 8
    assert len(set(re.findall(r"\b[0-9a-f]{64}\b", "".join(printed)))) == 1


def test_a_job_writes_the_same_files(project: Project, typed: Callable[..., Finished]) -> None:
    """The command makes them first, from the page."""
    result = project.defs.resolve_job_def("accounting_job").execute_in_process(
        instance=project.instance,
        run_config={**QUIET, "ops": {"write_journals": {"config": {"month": MONTH}}}},
        resources=project.resources(),
    )
    assert result.success
    home, issued = project.settings.home_path, f"{local_today():%Y-%m}"
    for name, month in (("close", MONTH), ("vat", issued)):
        written = project.settings.output_path / "accounting" / month / f"{name}.csv"
        assert written.read_bytes() == (home / f"{name}.csv").read_bytes()
    told = typed(project, "accounting", "vat", "--month", issued, "--json").json
    assert (told["documents"], len(told["rows"]), told["by_rate"][0]["tax"]) == (50, 50, "346.93")
    entries = typed(project, "accounting", "close", "--month", MONTH, "--json").json["entries"]
    assert [each["debit"] for each in entries if each["entry"] == "receivables"] == ["2081.67"]


def _commands(page: str) -> Iterator[tuple[str, str]]:
    """Each command of the page's `console` blocks, with what it says that it prints."""
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for part in block.removeprefix("$ ").split("\n$ "):
            command, _, expected = part.partition("\n")
            yield command, expected


def _run(project: Project, typed: Callable[..., Finished], command: str) -> str:
    """What a command prints; `telecom` is typed in this process, all else is the shell's."""
    if not command.startswith("telecom "):
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    ours, _, rest = command.partition(" | ")
    finished = typed(project, *shlex.split(ours)[1:], COLUMNS="120")
    assert finished.status == 0, finished.stderr
    if not rest:
        return finished.stdout
    return subprocess.run(["sh", "-c", rest], input=finished.stdout, capture_output=True, text=True, check=True).stdout


def _on(text: str, was: dt.date, is_now: dt.date) -> str:
    """The text of one day of issue as that of another: the day, its month, and the year in a number."""
    dated = text.replace(f"{was}", f"{is_now}").replace(f"-{was.year}-0", f"-{is_now.year}-0")
    return dated.replace(f" {was:%Y-%m}", f" {is_now:%Y-%m}")


def _comparable(text: str) -> str:
    """Without what depends on the machine: topic and offset, the time of receipt, digests, and widths that follow from them."""
    text = re.sub(r"│ source   │ \S+, partition \d+, offset \d+", "│ source │ TOPIC", text)
    text = re.sub(r"│ received │ [0-9-]+ [0-9:]+ local", "│ received │ TIME", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)
    return re.sub(r"[ ─━]+", " ", re.sub(r"[ ]*$", "", text, flags=re.MULTILINE)).strip()
