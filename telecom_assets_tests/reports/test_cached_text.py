"""A text in the user's cache: made once, made again when the file is not what was kept."""

from pathlib import Path

import pytest

from telecom_assets.reports.cached_text import cached_text


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "telecom_assets"


class Maker:
    """Counts how often the text is made."""

    def __init__(self, text: str) -> None:
        self.text, self.times = text, 0

    def __call__(self) -> str:
        self.times += 1
        return self.text


def test_a_text_is_made_once(cache: Path) -> None:
    make = Maker("première ligne\r\nsecond line\n")
    assert [cached_text("a.js", make), cached_text("a.js", make)] == [make.text, make.text]
    assert make.times == 1
    assert [path.name for path in cache.iterdir()] == ["a.js"]


def test_another_name_is_another_text(cache: Path) -> None:
    assert (cached_text("a-1.js", Maker("one")), cached_text("a-2.js", Maker("two"))) == ("one", "two")


@pytest.mark.parametrize("damage", [b"", b"alert(1)", b"0" * 64 + b"\nalert(1)", b"\xff\xfe"])
def test_what_is_not_as_it_was_kept_is_made_again(cache: Path, damage: bytes) -> None:
    make = Maker("text")
    cached_text("a.js", make)
    (cache / "a.js").write_bytes(damage)
    assert cached_text("a.js", make) == "text"
    assert cached_text("a.js", make) == "text"
    assert make.times == 2


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert cached_text("a.js", Maker("text")) == "text"
