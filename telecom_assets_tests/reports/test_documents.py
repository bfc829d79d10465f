"""The one digest of a month's files."""

import hashlib
from pathlib import Path

import pytest

from telecom_assets.home.settings import Settings
from telecom_assets.reports.documents import documents_digest
from telecom_assets.reports.tables import REPORTS

MONTH = "2026-05"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The output of a home, in which the month has two invoices and bills.csv, and no other file."""
    output = tmp_path / "output"
    for name, text in {"invoices": {"b.xml": "two", "a é.xml": "one"}, "reports": {"bills.csv": "three"}}.items():
        folder = output / name / MONTH
        folder.mkdir(parents=True)
        for file, content in text.items():
            (folder / file).write_text(content)
    return output


def digest(output: Path) -> str:
    return documents_digest(Settings(home=output.parent), MONTH)


def test_it_is_that_of_all_names_and_contents_in_order_and_of_what_is_missing(output: Path) -> None:
    lines = [f"{name} {hashlib.sha256(text).hexdigest()}" for name, text in (("a é.xml", b"one"), ("b.xml", b"two"))]
    lines.append(f"bills.csv {hashlib.sha256(b'three').hexdigest()}")
    lines += [f"{each.name}.csv FileNotFoundError" for each in REPORTS]
    lines.append(f"{MONTH}.html FileNotFoundError")
    assert digest(output) == hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def test_any_other_name_content_or_file_is_another_digest(output: Path) -> None:
    """A folder in a file's place cannot be read; a month without a folder of invoices has a digest as well."""
    invoices = output / "invoices" / MONTH
    found = [digest(output)]
    (invoices / "b.xml").write_text("two, changed")
    found.append(digest(output))
    (invoices / "b.xml").rename(invoices / "c.xml")
    found.append(digest(output))
    (invoices / "c.xml").unlink()
    found.append(digest(output))
    (invoices / "c.xml").mkdir()
    found.append(digest(output))
    (invoices / "c.xml").rmdir()
    (invoices / "a é.xml").unlink()
    found.append(digest(output))
    assert len(set(found)) == len(found)
    invoices.rmdir()
    assert digest(output) == found[-1]
    invoices.write_text("a file in the folder's place")
    assert digest(output) == found[-1]
