"""A text in the user's cache: made once, made again when the file is not what was kept."""

from pathlib import Path

import pytest

from resources.user_cache import cached_text


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
    assert [cached_text("a.js", "1", make), cached_text("a.js", "1", make)] == [make.text, make.text]
    assert make.times == 1
    assert [path.name for path in cache.iterdir()] == ["a.js"]


def test_another_name_is_another_text(cache: Path) -> None:
    assert (cached_text("a.js", "1", Maker("one")), cached_text("b.js", "1", Maker("two"))) == ("one", "two")


def test_another_version_takes_the_place_of_the_text(cache: Path) -> None:
    assert (cached_text("a.js", "1", Maker("one")), cached_text("a.js", "2", Maker("two"))) == ("one", "two")
    assert [path.name for path in cache.iterdir()] == ["a.js"]


@pytest.mark.parametrize("damage", [b"", b"alert(1)", b"0" * 64 + b"\nalert(1)", b"\xff\xfe"])
def test_what_is_not_as_it_was_kept_is_made_again(cache: Path, damage: bytes) -> None:
    make = Maker("text")
    cached_text("a.js", "1", make)
    (cache / "a.js").write_bytes(damage)
    assert cached_text("a.js", "1", make) == "text"
    assert cached_text("a.js", "1", make) == "text"
    assert make.times == 2


def test_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert cached_text("a.js", "1", Maker("text")) == "text"
