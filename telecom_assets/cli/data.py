"""`telecom generate | produce | replay`: CDRs into files and onto the topic.

Belongs here: arguments, progress, what is printed. Does not belong here: how CDRs are made
(`telecom_assets.generator`), read from archives (`telecom_assets.cli.archives`) or sent (`resources.kafka_producer`).

Every command prints a table, or with `--json` one JSON object, on stdout; progress goes to stderr.
"""

import contextlib
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from rich.markup import escape
from rich.table import Table

from resources.expected_errors import ExpectedError
from telecom_assets.cli.archives import ArchiveError, check_archives, read_messages
from telecom_assets.cli.show import progress_bar, terminal
from telecom_assets.generator import (
    DEFAULT_SEED,
    GeneratorSpec,
    SpecError,
    generate_cdr_chunks,
    parse_month,
    write_files,
)
from telecom_assets.generator.files import json_lines
from telecom_assets.generator.timeline import ZONE
from telecom_assets.home.paths import checked
from telecom_assets.home.settings import Settings
from telecom_assets.model.months import previous_month

if TYPE_CHECKING:
    from resources.kafka import KafkaConnection


class WriteError(ExpectedError):
    """The files cannot be written. The message names the path."""


class DataContext(Protocol):
    """The part of `ctx.obj` (`AppContext`) that these commands use."""

    settings: Settings

    def kafka(self) -> "KafkaConnection":
        """The broker and topic of the settings, or of the local stack."""

    def open_month(self, month: str) -> None:
        """Accept CDRs of this month, however old they are. Raises MonthError for a month that cannot be billed."""


Cdrs = Annotated[int, typer.Option(help="CDRs: lines or messages, duplicates included.")]
Customers = Annotated[int, typer.Option(help="Customers who send them.")]
Month = Annotated[
    str | None, typer.Option(help="Month of the CDRs, YYYY-MM. Default: the previous month.", show_default=False)
]
Seed = Annotated[int, typer.Option(help="The same seed, sizes and month give the same bytes.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(generate)
    app.command()(produce)
    app.command()(replay)


def generate(
    ctx: typer.Context,
    *,
    cdrs: Cdrs = 200_000,
    customers: Customers = 5_000,
    month: Month = None,
    seed: Seed = DEFAULT_SEED,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write to. Default: <home>/generated/<month>.",
            show_default=False,
            callback=checked("--out", is_folder=True),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a month of synthetic CDRs (cdr.jsonl) and their customers (customers.csv)."""
    spec = _spec(cdrs, customers, month, seed)
    folder = out or _context(ctx).settings.home_path / "generated" / spec.month
    begun = time.monotonic()
    with _progress("Writing CDRs", spec.cdrs) as advance:
        try:
            written = write_files(spec, folder, advance)
        except OSError as error:
            raise WriteError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
    _print_result(
        as_json,
        {
            "cdr_file": str(written.cdr_file),
            "cdrs": written.cdrs,
            "cdr_bytes": written.cdr_bytes,
            "customers_file": str(written.customers_file),
            "customers": written.customers,
            "month": spec.month,
            "seed": spec.seed,
            "seconds": _since(begun),
        },
    )


def produce(
    ctx: typer.Context,
    *,
    cdrs: Cdrs = 200_000,
    customers: Customers = 5_000,
    month: Month = None,
    seed: Seed = DEFAULT_SEED,
    rate: Annotated[
        int | None, typer.Option(help="CDRs a second at most. Default: as fast as possible.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Send to the topic the CDRs that `generate` writes: the same bytes, in the same order."""
    from resources.kafka_producer import MessageProducer  # noqa: PLC0415

    spec = _spec(cdrs, customers, month, seed)
    if rate is not None and rate < 1:
        raise SpecError(f"rate {rate}: expected 1 or more CDRs a second")
    connection = _context(ctx).kafka()
    producer = MessageProducer(connection)
    begun = time.monotonic()
    # Splitting a chunk at its line ends is far faster than making its lines one by one.
    batches = (bytes(json_lines(chunk)[:-1]).split(b"\n") for chunk in generate_cdr_chunks(spec))
    with _progress("Sending CDRs", spec.cdrs) as advance:
        acknowledged = producer.send(batches, rate, _differences(advance))
    _print_result(
        as_json,
        {
            "acknowledged": acknowledged,
            "topic": connection.topic,
            "customers": spec.customers,
            "month": spec.month,
            "seed": spec.seed,
            "seconds": _since(begun),
        },
    )


def replay(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Archived CDRs: JSON Lines or a JSON array, also compressed (gzip, bzip2, xz, zstd).",
            callback=checked("FILE"),
        ),
    ],
    month: Annotated[
        str | None,
        typer.Option(
            help="Open this month (YYYY-MM) for acceptance first, so that it can be billed.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send archived CDR files to the topic, every CDR as it is written, and wait for every acknowledgement.

    All files are read to their end before the first CDR is sent: a bad one sends nothing.
    """
    from resources.kafka_producer import MessageProducer  # noqa: PLC0415

    if month is not None:
        parse_month(month)
    check_archives(files)
    context = _context(ctx)
    connection = context.kafka()
    producer = MessageProducer(connection)
    if month is not None:
        context.open_month(month)
    begun = time.monotonic()
    counts = dict.fromkeys(files, 0)
    with _progress("Sending CDRs", None) as advance:
        try:
            producer.send(_counted(files, counts), progress=_differences(advance))
        except ArchiveError as error:
            raise ArchiveError(f"{error}. Messages acknowledged: {producer.acknowledged:,}") from error
    _print_result(
        as_json,
        {
            "acknowledged": producer.acknowledged,
            "topic": connection.topic,
            "files": {str(file): count for file, count in counts.items()},
            "month": month,
            "seconds": _since(begun),
        },
    )


def _context(ctx: typer.Context) -> DataContext:
    context: DataContext = ctx.obj
    return context


def _spec(cdrs: int, customers: int, month: str | None, seed: int) -> GeneratorSpec:
    asked = previous_month(dt.datetime.now(ZONE).date()) if month is None else month
    return GeneratorSpec(cdrs=cdrs, customers=customers, month=asked, seed=seed)


def _counted(files: list[Path], counts: dict[Path, int]) -> Iterator[list[bytes]]:
    for file in files:
        for messages in read_messages(file):
            counts[file] += len(messages)
            yield messages


@contextlib.contextmanager
def _progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar. Yields the function to call with the number of steps done."""
    with progress_bar() as bar:
        task = bar.add_task(title, total=total)
        yield lambda step: bar.advance(task, step)


def _differences(advance: Callable[[int], None]) -> Callable[[int], None]:
    """A function that takes running totals and passes on their differences."""
    last = 0

    def report(so_far: int) -> None:
        nonlocal last
        advance(so_far - last)
        last = so_far

    return report


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)


def _print_result(as_json: bool, result: dict[str, Any]) -> None:
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    table = Table(show_header=False)
    for name, value in result.items():
        if isinstance(value, dict):
            for part, shown in value.items():
                table.add_row(escape(part), _readable(shown))
        elif value is not None:
            table.add_row(name.replace("_", " "), str(value) if name == "seed" else _readable(value))
    terminal().print(table)


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
