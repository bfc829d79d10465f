"""The `telecom` command.

Belongs here: the app, the global options, and how an error becomes one line and an exit status (1: the work failed,
2: the arguments or settings cannot be used). Does not belong here: what a command does; each group has its module.
"""

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from resources.expected_errors import ExpectedError
from resources.temporary import remove_abandoned
from telecom_assets.cli import (
    accounting,
    bill,
    check,
    conflicts,
    data,
    demo,
    dev,
    explain,
    maintain,
    manual,
    month,
    rejects,
    rerate,
    sources,
    stack,
    suspense,
    tariff,
    warehouse,
)
from telecom_assets.cli import customers as customers_commands
from telecom_assets.cli.context import AppContext
from telecom_assets.cli.show import terminal
from telecom_assets.home.full_disk import no_space
from telecom_assets.home.paths import checked, one_line, shown
from telecom_assets.home.private_files import keep_private
from telecom_assets.home.settings import Settings

app = typer.Typer(
    name="telecom",
    help="Telecom usage to provable money: land, mediate, rate, bill and report call detail records.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"telecom_assets {metadata.version('telecom_assets')}")
        raise typer.Exit


@app.callback()
def telecom(
    ctx: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001  (its callback prints it)
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=lambda asked: _version(asked=asked), is_eager=True
        ),
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the local stack, the instance and the outputs. Default: TELECOM_HOME or .telecom.",
            callback=checked("--home", is_folder=True),
        ),
    ] = None,
) -> None:
    """Settings come from the environment; docs/configuration.md lists them."""
    if home is not None:
        os.environ["TELECOM_HOME"] = str(home)
    settings = Settings.load()
    keep_private(settings)
    remove_abandoned()
    ctx.obj = AppContext(settings)


_GROUPS = (
    stack,
    data,
    customers_commands,
    tariff,
    month,
    rerate,
    suspense,
    rejects,
    conflicts,
    bill,
    manual,
    accounting,
    check,
    explain,
    dev,
    sources,
    maintain,
    warehouse,
    demo,
)
for module in _GROUPS:
    module.register(app)


def main() -> None:
    """Entry point: expected errors are one line on stderr, never a traceback."""
    keep_private()
    try:
        _run()
    except ExpectedError as error:
        _fail(error, error.exit_status)
    except OSError as error:
        # Without a file name the system's message says too little; and Click handles a closed pipe itself.
        if not isinstance(error.filename, str | bytes | os.PathLike):
            raise
        name = os.fsdecode(error.filename)
        _fail(f"{name if shown(name) == repr(name) else shown(name)}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _run() -> None:
    """Run the command. A full disk is reported in one line, whichever write failed."""
    try:
        app()
    except Exception as error:
        if (message := no_space(error)) is not None:
            _fail(message, 1)
        raise


def _fail(error: object, status: int) -> None:
    terminal(stderr=True).print(f"[bold red]telecom:[/] {escape(one_line(str(error)))}", soft_wrap=True)
    sys.exit(status)
