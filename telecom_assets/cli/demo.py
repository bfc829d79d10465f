"""`telecom demo`: everything once, from an empty folder to a dashboard.

Belongs here: the order of the demonstration and its output. Each step does the same as a command that a user would type.
"""

import datetime as dt
import json
import shutil
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from resources.process_locks import lock_or_refuse
from telecom_assets.cli.context import AppContext
from telecom_assets.cli.data import Cdrs, Customers, Json, Month, Seed
from telecom_assets.cli.month import run_month, went_well
from telecom_assets.cli.show import terminal
from telecom_assets.cli.stack import local_stack, needed_services, terminate_like_interrupt
from telecom_assets.generator import DEFAULT_SEED, GeneratorSpec, generate_cdr_chunks, generate_customers
from telecom_assets.generator.files import json_lines
from telecom_assets.generator.timeline import ZONE
from telecom_assets.home.output_files import dashboard_file, invoice_directory, report_file
from telecom_assets.home.private_files import private_folder
from telecom_assets.home.settings import Settings
from telecom_assets.model.calendar import check_month
from telecom_assets.model.months import month_days, previous_month

_MARKER = "made-by-telecom-demo"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(demo)


def demo(
    ctx: typer.Context,
    *,
    cdrs: Cdrs = 200_000,
    customers: Customers = 5_000,
    month: Month = None,
    seed: Seed = DEFAULT_SEED,
    as_json: Json = False,
) -> None:
    """A month of generated CDRs through a real Kafka and PostgreSQL into bills, invoices, reports and a dashboard.

    Works in <home>/demo, which it empties first and which nothing else uses; stops what it started.
    """

    console = terminal(stderr=True)
    spec = GeneratorSpec(
        cdrs=cdrs, customers=customers, month=month or previous_month(dt.datetime.now(ZONE).date()), seed=seed
    )
    check_month(spec.month, ctx.obj.settings.partitions_start)  # before anything is emptied, started or sent
    app = AppContext(_demo_settings(ctx.obj.settings, spec.month))
    stack = local_stack(app.settings, needed_services(app.settings))
    stack.assert_installed()  # before anything is emptied
    begun = time.monotonic()
    private_folder(ctx.obj.settings.home_path)
    from telecom_assets.reference.customer_storing import store_customers  # noqa: PLC0415

    # One demo at a time: a second would empty the folder of the first.
    with terminate_like_interrupt(), lock_or_refuse(ctx.obj.settings.home_path, "demo"):
        _empty_home(app.settings, stack.down)
        started: list[str] = []
        try:
            with console.status("starting PostgreSQL and Kafka") as status:
                started = stack.up(lambda line: status.update(escape(line)))
                _say(console, begun, f"{', '.join(started)} up")
            store_customers(app.postgres(), generate_customers(spec.customers, spec.seed))
            _say(console, begun, f"{spec.customers:,} customers in PostgreSQL")
            with console.status(f"sending {spec.cdrs:,} CDRs of {spec.month}"):
                sent = _produce(app, spec)
            _say(console, begun, f"{sent:,} CDRs of {spec.month} on topic {app.settings.kafka_topic}")
            report = run_month(app, spec.month, quiet=as_json)
        finally:
            stack.down(lambda _: None, services=started)
    report["seconds"] = round(time.monotonic() - begun, 1)
    report["outputs"] = _outputs(app.settings, spec.month)
    if as_json:
        typer.echo(json.dumps(report))
    elif went_well(report):
        _print_outputs(terminal(), report, app.settings)
    if not went_well(report):
        raise typer.Exit(1)


def _demo_settings(settings: Settings, month: str) -> Settings:
    """The settings with the demo's own home and local stack, even when servers are configured; days begin with its month."""
    return settings.replaced(
        home=settings.home_path / "demo",
        warehouse=None,
        output=None,
        kafka_bootstrap_servers=None,
        kafka_options={},
        postgres_dsn=None,
        dagster_postgres_url=None,
        partitions_start=month_days(month)[0],
    )


def _empty_home(settings: Settings, stop: Any) -> None:
    """Remove the folder of an earlier demo. Refuses a folder that no demo has made."""
    home = settings.home_path
    if home.exists():
        if not (home / _MARKER).exists():
            raise typer.BadParameter(f"{home} exists and was not made by a demo; move it away, or use another --home")
        stop(lambda _: None)
        shutil.rmtree(home)
    private_folder(home)
    (home / _MARKER).touch()
    # So the UI of this home shows the demo's days, and no years before them.
    settings.partitions_start_file.write_text(f"{settings.partitions_start}\n", encoding="utf-8")


def _produce(app: AppContext, spec: GeneratorSpec) -> int:
    from resources.kafka_producer import MessageProducer  # noqa: PLC0415

    producer = MessageProducer(app.kafka())
    return producer.send(bytes(json_lines(chunk)[:-1]).split(b"\n") for chunk in generate_cdr_chunks(spec))


def _outputs(settings: Settings, month: str) -> dict[str, str]:
    return {
        "dashboard": str(dashboard_file(settings, month)),
        "invoices": str(invoice_directory(settings, month)),
        "reports": str(report_file(settings, month, "daily_revenue").parent),
        "warehouse": settings.warehouse_uri,
    }


def _print_outputs(console: Console, report: dict[str, Any], settings: Settings) -> None:
    console.print()
    for name, path in report["outputs"].items():
        console.print(f"{name:<10} {escape(_short(path))}", highlight=False, soft_wrap=True)
    home = escape(_short(str(settings.home_path)))
    # Without it the UI would open the SQLite storage, which has none of the demo's runs.
    storage = "TELECOM_DAGSTER_STORAGE=postgres " if settings.dagster_storage == "postgres" else ""
    console.print(f"{'UI':<10} {storage}TELECOM_HOME='{home}' make dev", highlight=False, soft_wrap=True)
    console.print(f"\nDone in {report['seconds']:.0f} s. Every blocking check passed.", style="bold green")


def _short(path: str) -> str:
    """A path below the current directory as a relative one."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _say(console: Console, begun: float, text: str) -> None:
    console.print(f"[green]✓[/] {escape(text)} [dim]({time.monotonic() - begun:.0f} s)[/]", highlight=False)
