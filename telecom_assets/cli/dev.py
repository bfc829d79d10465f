"""`telecom dev`: the UI of a home folder, until Ctrl-C.

Belongs here: starting Dagster's own command, allowing one UI for a home and a port, the message at the end. Does not belong
here: the content of the UI (`telecom_assets.definitions`).

Dagster's command runs in a process group of its own while this process waits for it. So a Ctrl-C in the terminal reaches this
process alone, which sends it on once, waits, and prints the last message. Dagster's process inherits the lock of the home: it
keeps the lock when this process is killed.
"""

import errno
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.markup import escape

from resources.process_locks import Busy, Turn, holder, lock_or_refuse
from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.home.settings import Settings

_HOST = "127.0.0.1"
_LOCK = "dev"
_HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(dev)


def dev(
    ctx: typer.Context,
    *,
    port: Annotated[int, typer.Option(help="Port of the UI on 127.0.0.1.", min=1, max=65535)] = 3000,
) -> None:
    """Open the lineage UI (dagster dev) of this home folder on 127.0.0.1; Ctrl-C ends it.

    Sensors and schedules run while it does. The servers of the local stack go on afterwards: `telecom down` ends them.
    """
    from telecom_assets.home.instance import open_instance  # noqa: PLC0415

    app: AppContext = ctx.obj
    # Opened here first: a fault of the instance is one line, and its databases exist before several processes open them.
    with open_instance(app.settings):
        pass
    os.environ["TELECOM_HOME"] = str(app.settings.home_path)
    with _only_one(app.settings) as ours:
        _assert_free(port)
        ours.note(f"http://{_HOST}:{port}")
        status = _run_dagster(port, ours)
    terminal(stderr=True).print(f"\n{escape(_what_goes_on(app.settings))}", highlight=False, soft_wrap=True)
    raise typer.Exit(status)


@contextmanager
def _only_one(settings: Settings) -> Iterator[Turn]:
    """Hold the lock of the UI: two daemons of one home would start every run twice. Raises Busy when it is taken."""
    home = settings.dagster_home
    with ExitStack() as lock:
        try:
            ours = lock.enter_context(lock_or_refuse(home, _LOCK))
        except Busy:
            raise Busy(
                f"the UI of {settings.home_path} is open in {holder(home, _LOCK)}; nothing was started: use that one, end it, "
                "or name another folder with --home"
            ) from None
        yield ours


def _assert_free(port: int) -> None:
    """Raise Busy when another process listens on the port. Dagster would report it after half a minute, in many lines."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                what = f"is taken by {_listener(port)}; end that, or choose another with --port"
            else:
                what = f"cannot be used ({error.strerror}); choose another with --port"
            raise Busy(f"port {port} of {_HOST} {what}") from None


def _listener(port: int) -> str:
    """The process that listens on a port in words, if the system tells it."""
    with suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                # Its first words alone: other arguments may hold secrets.
                words = [Path(word).name for word in psutil.Process(each.pid).cmdline()[:2]]
                return f"process {each.pid} ({' '.join(word for word in words if not word.startswith('-'))})"
    return "another process"


def _run_dagster(port: int, ours: Turn) -> int:
    """Run Dagster's UI and daemon until they end. Returns their exit status in the form of a shell."""
    # Imports Dagster, which takes longer than most commands.
    from telecom_assets.home.code_location import DEFINITIONS_MODULE  # noqa: PLC0415

    dagster = str(Path(sys.executable).with_name("dagster"))
    command = [dagster, "dev", "-m", DEFINITIONS_MODULE, "-h", _HOST, "-p", str(port)]
    before: dict[signal.Signals, Any] = {}
    process: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, _frame: Any) -> None:
        if process is None:
            raise KeyboardInterrupt
        if process.poll() is None:
            with suppress(ProcessLookupError):
                # Signals of the terminal go to the whole group, as they would without a group of its own.
                os.killpg(process.pid, number) if number != signal.SIGTERM else process.terminate()

    try:
        for number in _HANDED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                before[number] = signal.signal(number, hand_on)
        process = subprocess.Popen(command, process_group=0, pass_fds=[ours.fileno()])
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _what_goes_on(settings: Settings) -> str:
    """The message about servers of the home that still run, and how to stop them."""
    from telecom_assets.cli.stack import local_stack  # noqa: PLC0415
    from telecom_assets.local_stack import SERVICES, LocalStackError  # noqa: PLC0415

    running: list[str] = []
    with suppress(LocalStackError):
        running = [
            f"{one.name} (process {one.pid}, {one.address})"
            for one in local_stack(settings, SERVICES).status()
            if one.pid is not None
        ]
    if not running:
        return "The UI is closed; no server of the local stack runs."
    is_usual = settings.home_path == (Path.cwd() / str(Settings.model_fields["home"].default))
    down = "telecom down" if is_usual else f"telecom --home {shlex.quote(str(settings.home_path))} down"
    return f"The UI is closed. Still running: {', '.join(running)}; `{down}` ends them, their data stay."
