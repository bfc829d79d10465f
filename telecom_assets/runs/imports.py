"""The imports of files as jobs: customers, tariffs and catalogue, with what a person says about them as configuration.

Belongs here: their configuration. The same as `telecom customers import` and `telecom tariff import`; what they do is in
`telecom_assets.reference`. Files are paths on the machine that runs the job.
"""

import datetime as dt
from pathlib import Path

import dagster as dg
from pydantic import Field

from resources.postgres import PostgresConnection
from resources.warehouse import Warehouse
from telecom_assets.home.deployment import Clock, OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.failures import with_expected_failures
from telecom_assets.model.calendar import ZONE
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.assets import ConfigError, PastCorrection
from telecom_assets.reference.csv_files import read_day
from telecom_assets.reference.customer_storing import import_customers
from telecom_assets.reference.tariffs import import_tariffs

_DAY = "First local day of {what}, YYYY-MM-DD. Empty: {otherwise}."


class TariffImport(PastCorrection):
    """What `telecom tariff import` is told."""

    files: list[str] = Field(description="CSV files, UTF-8: tariffs, catalogue, or both.")
    valid_from: str = Field(
        default="", description=_DAY.format(what="files without dates", otherwise="the files have dates")
    )


class CustomersImport(PastCorrection):
    """What `telecom customers import` is told."""

    file: str = Field(description="CSV file, UTF-8.")
    valid_from: str = Field(default="", description=_DAY.format(what="rows without one", otherwise="today"))
    skip_bad: bool = Field(default=False, description="Import the good rows although others are bad.")


def _import_tariffs(
    context: dg.OpExecutionContext,
    config: TariffImport,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
) -> None:
    files = [Path(file) for file in config.files]
    in_use = {"rate_plans": settings.rate_plans, "product_catalog": settings.product_catalog}
    origin = config.origin(" and ".join(config.files))
    stored = import_tariffs(warehouse, files, _day(config.valid_from), in_use, record_types, origin=origin)
    for name, reading in stored.items():
        changed = ", ".join(map(str, reading.changes)) or "none"
        context.log.info(f"{name}: {reading.rows.num_rows} rows stored; days on which others are in force: {changed}")


def _import_customers(
    context: dg.OpExecutionContext,
    config: CustomersImport,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
) -> None:
    outcome = import_customers(
        postgres.connect(),
        warehouse,
        Path(config.file),
        clock().astimezone(ZONE).date(),
        origin=config.origin(config.file),
        valid_from=_day(config.valid_from),
        rate_plans=settings.rate_plans,
        skip_bad=config.skip_bad,
    )
    context.log.info(f"{config.file}: {outcome.as_json()}")
    if outcome.counts is None:
        [first, *others] = outcome.bad_rows
        more = f" and {len(others)} more bad rows" if others else ""
        raise ConfigError(
            f"{config.file}: line {first.line}: {first.reason}{more}; nothing was written: correct the file, or set skip_bad"
        )


def _day(text: str) -> dt.date | None:
    """The day of a configuration. Raises ConfigError for what is none."""
    day = read_day(text.strip())
    if text.strip() and day is None:
        raise ConfigError(f"valid_from is {text!r}; expected a day, YYYY-MM-DD, or nothing")
    return day


_tariffs_op = dg.op(name="import_tariffs")(with_expected_failures(_import_tariffs))
_customers_op = dg.op(name="import_customers")(with_expected_failures(_import_customers))


@dg.job(
    description="Stores files of tariffs and catalogue, with the day from which they hold. The same as `telecom tariff import`; "
    "other prices for a period that is approved or closed are refused, unless correct_past, by and why are given."
)
def tariff_import_job() -> None:
    _tariffs_op()


@dg.job(
    description="Stores a file of customers in PostgreSQL and in their history. The same as `telecom customers import`; what would "
    "change a period that is approved or closed is refused, unless correct_past, by and why are given."
)
def customers_import_job() -> None:
    _customers_op()


IMPORT_JOBS = [customers_import_job, tariff_import_job]
