"""`telecom up`, `telecom down`, `telecom status`: the local stack from the command line; `telecom jars` for a cluster.

Belongs here: arguments, tables, JSON, exit codes. Does not belong here: what the commands do
(`telecom_assets.local_stack`). `ctx.obj.settings` are the settings of the call.
"""

import contextlib
import datetime as dt
import json
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import print_decisions, terminal
from telecom_assets.home.paths import checked
from telecom_assets.home.settings import Settings

if TYPE_CHECKING:  # imported where it is used, so that `telecom --help` does not wait for the clients of the servers
    from telecom_assets.intake.journal import Decision
    from telecom_assets.local_stack import LocalStack, ServiceStatus

_INTERRUPTED = 130
_STYLES = {"up": "green", "down": "dim", "crashed": "red", "silent": "red"}

Needed = Annotated[
    list[str] | None,
    typer.Argument(metavar="SERVICE", help="postgres, kafka, spark. Default: what the settings need."),
]
Services = Annotated[list[str] | None, typer.Argument(metavar="SERVICE", help="postgres, kafka, spark. Default: all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")]


def needed_services(settings: Settings) -> list[str]:
    """The servers that the local stack has to run: those for which the settings have no address."""
    dagster_here = settings.dagster_storage == "postgres" and settings.dagster_postgres_url is None
    needed = {
        "postgres": settings.postgres_dsn is None or dagster_here,
        "kafka": settings.kafka_bootstrap_servers is None,
        "spark": settings.engine == "spark" and settings.spark_remote is None,
    }
    return [name for name, is_needed in needed.items() if is_needed]


def up(ctx: typer.Context, services: Needed = None, as_json: AsJson = False) -> None:
    """Start the local servers, each with its data, and wait until they answer.

    A server that runs already is left alone. The first start downloads Kafka (and Spark's Delta) once.
    """
    settings: Settings = ctx.obj.settings
    with _errors(as_json), terminate_like_interrupt():
        stack = local_stack(settings, services or needed_services(settings))
        started = stack.up(_progress)
        _show(stack, stack.status(), as_json, started=started)


def down(ctx: typer.Context, services: Services = None, as_json: AsJson = False) -> None:
    """Stop the local servers that were started from this home; their data stay."""
    from telecom_assets.local_stack import SERVICES  # noqa: PLC0415

    with _errors(as_json):
        stack = local_stack(ctx.obj.settings, services or SERVICES)
        stopped = stack.down(_progress)
        if as_json:
            _print_json({"home": str(stack.layout.home), "stopped": stopped})
        elif not stopped:
            _progress("nothing runs")


def status(ctx: typer.Context, services: Services = None, as_json: AsJson = False) -> None:
    """Ask the local servers. Exit code 1 when one that the settings need, or that was named or started, is not up."""
    from telecom_assets.local_stack import SERVICES  # noqa: PLC0415

    settings: Settings = ctx.obj.settings
    with _errors(as_json):
        stack = local_stack(settings, services or SERVICES)
        found = stack.status()
        expected = services or needed_services(settings)
        decisions, trouble = source_decisions_of(ctx.obj)
        warnings = [*warnings_of(settings), *trouble, *restored_of(ctx.obj), *other_dagster(settings)]
        _show(stack, found, as_json, warnings=warnings, source_decisions=[decision.said() for decision in decisions])
        if not as_json:
            print_decisions(terminal(), decisions)
    if any(not one.up and (one.name in expected or one.state != "down") for one in found):
        raise typer.Exit(1)


def jars(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="Where to put them.", file_okay=False, callback=checked("FOLDER", is_folder=True))
    ],
    as_json: AsJson = False,
) -> None:
    """Put the jars that an Apache Spark cluster of yours needs into a folder, and print the settings it needs.

    Delta, and for a warehouse in a bucket the S3 client.
    """
    from telecom_assets.local_stack.spark_jvm import cluster_settings, spark_jars  # noqa: PLC0415

    s3 = ctx.obj.settings.s3
    with _errors(as_json):
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o755)  # public code, which the cluster's own user reads
        found = spark_jars("jars", _progress, s3=s3 is not None)
        for jar in found:
            shutil.copyfile(jar, folder / jar.name)
            (folder / jar.name).chmod(0o644)
        names, settings = sorted(jar.name for jar in found), cluster_settings(s3)
    if as_json:
        _print_json({"folder": str(folder.absolute()), "jars": names, "settings": settings})
        return
    _progress(f"{len(names)} jars in {folder}; the cluster's spark-defaults.conf needs:")
    for name, value in settings.items():
        print(f"{name} {value}")


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    for command in (up, down, status, jars):
        app.command()(command)


def local_stack(settings: Settings, services: Any) -> "LocalStack":
    """The local stack for these settings."""
    from telecom_assets.home.private_files import umask_of  # noqa: PLC0415
    from telecom_assets.local_stack import LocalStack, SparkShape  # noqa: PLC0415

    spark = SparkShape(
        settings.spark_workers,
        settings.spark_memory_mb,
        settings.s3,
        settings.spark_properties,
        umask=umask_of(settings),
    )
    return LocalStack(settings.home_path, services, kafka_topic=settings.kafka_topic, spark=spark)


def warnings_of(settings: Settings) -> list[str]:
    """Warnings about other users of the machine who can reach the data."""
    from resources.other_users import other_users_warning  # noqa: PLC0415
    from telecom_assets.home.private_files import open_folders  # noqa: PLC0415

    found = [
        f"{folder} can be read by other users of this machine; `chmod o-rwx {shlex.quote(str(folder))}` closes it"
        for folder in open_folders(settings)
    ]
    embedded = settings.engine == "sail" and settings.spark_remote is None
    if embedded and (others := other_users_warning()):
        found.append(others)
    return found


def other_dagster(settings: Settings) -> list[str]:
    """What another version of Dagster than the tested ones costs."""
    from telecom_assets.home.dagster_storage import untested_version  # noqa: PLC0415

    said = untested_version(sqlite=settings.dagster_storage == "sqlite")
    return [said] if said else []


def source_decisions_of(app: AppContext) -> "tuple[list[Decision], list[str]]":
    """The decisions about sources of the warehouse, and the reasons why they cannot be read, if they cannot."""
    from resources.warehouse import WarehouseError  # noqa: PLC0415
    from telecom_assets.intake.journal import source_decisions  # noqa: PLC0415

    try:
        return source_decisions(app.deployment.warehouse), []
    except WarehouseError as error:
        return [], [str(error)]


def restored_of(app: AppContext) -> list[str]:
    """A warning when PostgreSQL has published newer bills than the warehouse has: it was restored from a backup."""
    from resources.postgres import PostgresError  # noqa: PLC0415
    from resources.warehouse import WarehouseError  # noqa: PLC0415
    from telecom_assets.billing.restored import RestoredWarehouse, assert_not_restored  # noqa: PLC0415
    from telecom_assets.home.deployment import OnDemand  # noqa: PLC0415

    try:
        assert_not_restored(app.deployment.warehouse, OnDemand(app.postgres))
    except RestoredWarehouse as error:
        return [str(error)]
    except (PostgresError, WarehouseError):
        pass  # other lines of the status report these
    return []


def _progress(line: str) -> None:
    # When the terminal is closed, `up` must still stop the servers that it has started.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=_json_value))


def _json_value(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


def _show(stack: "LocalStack", found: "list[ServiceStatus]", as_json: bool, **more: Any) -> None:
    if as_json:
        _print_json({"home": str(stack.layout.home), **more, "services": [asdict(one) for one in found]})
        return
    for warning in more.get("warnings", ()):
        _progress(f"warning: {warning}")
    table = Table("service", "state", "address", "pid", "up for", title=escape(str(stack.layout.home)))
    for one in found:
        since = str(dt.datetime.now(dt.UTC) - one.started_at).split(".", maxsplit=1)[0] if one.started_at else ""
        state = f"[{_STYLES[one.state]}]{one.state}[/]"
        table.add_row(one.name, state, one.address or "", str(one.pid or ""), since)
    terminal().print(table)
    for one in found:
        if one.problem:
            _progress(f"{one.name}: {one.problem}")
    if any(one.up for one in found):
        _progress(f"addresses and passwords: {stack.layout.state_file}; logs: {stack.layout.home / 'logs'}")


@contextlib.contextmanager
def _errors(as_json: bool) -> Iterator[None]:
    """Print an error as one line, then the end of the server's log; no traceback."""
    from telecom_assets.local_stack import LocalStackError  # noqa: PLC0415

    try:
        yield
    except LocalStackError as error:
        if as_json:
            _print_json({"error": str(error), "log": error.details.splitlines()})
        else:
            _progress(f"telecom: {error}")
            for line in error.details.splitlines():
                _progress(f"  | {line}")
        raise typer.Exit(error.exit_status) from None
    except KeyboardInterrupt:
        _progress("interrupted; what this command had started is stopped again")
        raise typer.Exit(_INTERRUPTED) from None


@contextlib.contextmanager
def terminate_like_interrupt() -> Iterator[None]:
    """Let SIGTERM (`timeout`, a CI runner) and SIGHUP (a closed terminal) clean up as Ctrl-C does.

    Without it half a stack or half a run would be left. An ignored SIGHUP (nohup) stays ignored. Only the main thread can have
    signal handlers; in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hung_up = False

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    def hang_up(number: int, frame: Any) -> None:
        nonlocal hung_up
        hung_up = True
        # The shell and the kernel both send SIGHUP: the second must not interrupt the cleaning up after the first.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # During a run Dagster has its own handler for Ctrl-C and SIGTERM, which lets the step end in order.
        handler = signal.getsignal(signal.SIGTERM)
        if callable(handler):
            handler(number, frame)
        else:
            raise KeyboardInterrupt

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt)}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        if hung_up:
            before.pop(signal.SIGHUP)
        for number, handler in before.items():
            signal.signal(number, handler)
