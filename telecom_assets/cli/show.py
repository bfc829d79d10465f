"""Runs and funnels in a terminal.

Belongs here: tables and progress with rich. No counting.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from telecom_assets.model.text import for_people, money
from telecom_assets.reports.funnel import MISSING_VOLUME, OUT_OF_RANGE, Funnel, Malformed, Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resources.process_locks import Holder, Turn
    from telecom_assets.intake.journal import Decision
    from telecom_assets.runs.month_run import Step
    from telecom_assets.runs.month_runner import Listener, StepResult
    from telecom_assets.runs.plan import Planned


def terminal(*, stderr: bool = False) -> Console:
    """The console of every command. It has no emoji codes, so that `:100:` in a path stays; text from data needs `escape`."""
    return Console(stderr=stderr, emoji=False)


def progress_bar() -> Progress:
    """A progress bar on stderr, when that is a terminal; it goes when it ends."""
    console = terminal(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def counted(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar. Yields the function to call with how many are done, and of how many."""
    with progress_bar() as bar:
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, of: bar.update(task, completed=done, total=of, visible=True)


class RunProgress:
    """One line per finished step, a spinner for the one that runs. `listen` is the runner's listener."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self.console = console
        self.quiet = quiet
        self._shown: set[int | None] = set()
        self._live = Live(Text(""), console=console, transient=True, refresh_per_second=8)

    def __enter__(self) -> "RunProgress":
        if not self.quiet and self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def wait(self, other: "Holder") -> None:
        """Print the process that this one waits for, also when quiet, and show what it does."""
        if other.pid not in self._shown:
            self._shown.add(other.pid)
            self.console.print(f"waiting for {escape(str(other))}", highlight=False, soft_wrap=True)
        self._live.update(Spinner("dots", Text(f"waiting for {other}")))

    def noting(self, turn: "Turn") -> "Listener":
        """`listen` that also writes into the lock file what this process does."""

        def listen(event: str, step: "Step", result: "StepResult | None") -> None:
            turn.note(_named(step))
            self.listen(event, step, result)

        return listen

    def listen(self, event: str, step: "Step", result: "StepResult | None") -> None:
        if self.quiet:
            return
        name = _named(step, up_to_date=result is not None and result.up_to_date)
        if event == "start":
            self._live.update(Spinner("dots", Text(name)))
            return
        assert result is not None
        if result.up_to_date:
            self.console.print(f"[green]✓[/] {escape(name)}: up to date", highlight=False)
            return
        passed = sum(ok for _, ok, _ in result.checks)
        mark = "[green]✓[/]" if result.error is None else "[red]✗[/]"
        checks = f", {passed} of {len(result.checks)} checks passed" if result.checks else ""
        self.console.print(f"{mark} {escape(name)}: {result.seconds:.1f} s{checks}", highlight=False)


def _title(step: "Step", *, up_to_date: bool = False) -> str:
    """What a step makes. Of a stage that is up to date nothing is said about those that would have followed in its run."""
    from telecom_assets.runs.stages import stage_of_job  # noqa: PLC0415  (imports the tables; not for `--help`)

    stage = stage_of_job(step.job)
    return stage.title if up_to_date else stage.run_title


def _named(step: "Step", *, up_to_date: bool = False) -> str:
    """A step in words: its stage, and its days or month."""
    return f"{_title(step, up_to_date=up_to_date)} {step.label}".strip()


def print_plan(console: Console, month: str, steps: "Sequence[Planned]") -> None:
    """What a run of a month would do, and why."""
    table = Table("stage", "partitions", "why", title=f"Would be done for {month}", title_justify="left")
    for step in steps:
        table.add_row(step.stage.run_title, escape(step.label), escape(step.why))
    console.print(table)


def print_steps(console: Console, results: "Sequence[StepResult]") -> None:
    """Time and checks per stage."""
    table = Table(title="Stages", title_justify="left")
    table.add_column("stage")
    table.add_column("partitions")
    table.add_column("time", justify="right")
    table.add_column("checks", justify="right")
    for result in results:
        if result.up_to_date:
            table.add_row(_title(result.step, up_to_date=True), escape(result.step.label), "up to date", "")
            continue
        passed = sum(ok for _, ok, _ in result.checks)
        checks = f"{passed}/{len(result.checks)} passed"
        table.add_row(
            _title(result.step),
            escape(result.step.label),
            f"{result.seconds:.1f} s",
            checks if passed == len(result.checks) else f"[red]{checks}[/]",
        )
    table.add_section()
    table.add_row("all", "", f"{sum(result.seconds for result in results):.1f} s", "")
    console.print(table)
    for result in results:
        for failed in result.failed_checks:
            console.print(f"[red]✗[/] {escape(failed)}", highlight=False, soft_wrap=True)
        for advised in result.advice:
            console.print(f"[yellow]![/] {escape(advised)}", highlight=False, soft_wrap=True)


def print_maintenance(console: Console, tables: "Sequence[Mapping[str, Any]]", *, dry_run: bool) -> None:
    """The maintenance of each table. tables: values of `Maintained.to_dict`."""
    table = Table(title="Would be done" if dry_run else "Maintenance", title_justify="left")
    for name in ("table", "versions", "files", "merged", "removed", "MB", "time", "left for next time"):
        table.add_column(name, justify="left" if name in ("table", "left for next time") else "right")
    for each in tables:
        files = f"{each['files_before']:,}" + ("" if dry_run else f" → {each['files_after']:,}")
        counts = (each["files_compacted"], each["files_removed"])
        megabytes = f"{each['bytes_removed'] / 1e6:,.1f}"
        seconds = f"{each['seconds']:.1f} s"
        merged, removed = (f"{count:,}" for count in counts)
        name, note = escape(each["table"]), escape(each["note"])
        table.add_row(name, f"{each['versions']:,}", files, merged, removed, megabytes, seconds, note)
    console.print(table)


def print_decisions(console: Console, decisions: "Sequence[Decision]") -> None:
    """Print the decisions about sources and the warehouse, if there are any."""
    if not decisions:
        return
    table = Table("when", "decision", "by", "why", title="Decisions", title_justify="left")
    for decision in decisions:
        when = f"{decision.decided_at:%Y-%m-%d %H:%M}"
        table.add_row(when, *(escape(text or "") for text in (decision.summary, decision.decided_by, decision.why)))
    console.print(table)


def print_funnel(
    console: Console,
    month: str,
    currency: str,
    books: Funnel,
    elsewhere: Funnel,
    malformed: Malformed,
    remedy: Remedy | None,
) -> None:
    """The funnel: counts, money, records on days of other months, and what to run when it does not balance."""
    table = Table(title=f"Funnel of {month}", title_justify="left", show_header=True)
    table.add_column("stage")
    table.add_column("records", justify="right")
    table.add_column(currency, justify="right")

    def row(name: str, count: int | None, amount: str = "", style: str = "") -> None:
        table.add_row(escape(name), "" if count is None else f"{count:,}", amount, style=style)

    row("received", books.received, style="bold")
    for reason, count in books.rejected.items():
        row(f"  rejected: {reason}", count, style="yellow")
    row("cleaned", books.cleaned, style="bold")
    for reason, count in books.suspended.items():
        row(f"  suspended: {reason}", count, style="yellow")
    for reason, count in books.excluded.items():
        row(f"  excluded: {reason}", count, style="dim")
    if books.deferred or books.imputed:
        row(f"  deferred: {MISSING_VOLUME}", books.deferred, style="dim")
    if books.late:
        row("  late: since the approval", books.late, style="dim")
    row("rated (before tax)", books.rated, for_people(books.rated_amount, 6), "bold")
    if books.deferred or books.imputed:
        row("  deferred → imputed", books.imputed, for_people(books.imputed_amount, 6))
        if books.imputed_out_of_range:
            row(f"  suspended: {OUT_OF_RANGE}, of the imputed", books.imputed_out_of_range, style="yellow")
        row("charged (before tax)", books.charged, for_people(books.charged_amount, 6), "bold")
    table.add_section()
    for name, amount, style in _money_rows(books, currency):
        row(name, None, amount, style)
    console.print(table)
    _print_elsewhere(console, elsewhere)
    of_them = f", {malformed.on_its_days:,} of them on its own days" if malformed.messages else ""
    console.print(
        f"Malformed messages while {month} was open for its records ({malformed.time}): {malformed.messages:,}{of_them}",
        highlight=False,
    )
    for broken in books.imbalances():
        console.print(f"[bold red]does not balance:[/] {escape(broken)}", soft_wrap=True)
    if remedy is not None:
        for cause in remedy.causes:
            console.print(f"  why: {escape(cause)}", highlight=False, soft_wrap=True)
        if remedy.command is not None:
            console.print(f"  run: [bold]{escape(remedy.command)}[/]", highlight=False, soft_wrap=True)


def _money_rows(books: Funnel, currency: str) -> Iterator[tuple[str, str, str]]:
    """What the month's documents come to: name, amount, style."""
    if books.corrections_amount:
        yield "corrections of closed months", for_people(books.corrections_amount, 6), ""
    billed = f"billed: {books.billed_customers:,} customers, before tax"
    yield billed, money(books.amount_before_tax, currency), "bold"
    yield "  rounding difference", for_people(books.rounding_difference, 6), "dim"
    yield "  discount", money(-books.discount, currency), ""
    yield "  tax", money(books.tax, currency), ""
    yield "amount due", money(books.amount_due, currency), "bold green"
    if books.documents_due:
        yield "on documents of corrections", money(books.documents_due, currency), ""


def _print_elsewhere(console: Console, elsewhere: "Funnel") -> None:
    """The records that are at home on days of other months, in one line; none where there are none."""
    if elsewhere.received:
        rejected = ", ".join(f"{reason} {count:,}" for reason, count in elsewhere.rejected.items())
        waiting = elsewhere.received - elsewhere.cleaned - elsewhere.rejected_total
        console.print(
            f"At home on days of other months: {elsewhere.received:,} received, {elsewhere.cleaned:,} cleaned, "
            f"{elsewhere.rejected_total:,} rejected ({escape(rejected)})"
            + (f", {waiting:,} without an outcome" if waiting else ""),
            highlight=False,
        )
