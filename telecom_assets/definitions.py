"""The code location: `build_defs()` is the one place where everything is put together.

Loading it needs no server, no network and no database; nothing connects before a run or a tick does.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import dagster as dg

from telecom_assets.billing import adjusting
from telecom_assets.billing import assets as billing
from telecom_assets.books.totals import note_totals
from telecom_assets.closing import assets as closing
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.private_files import keep_private
from telecom_assets.home.settings import Settings
from telecom_assets.intake import assets as landing
from telecom_assets.invoices import assets as invoices
from telecom_assets.lineage.declaring import with_columns, with_engine
from telecom_assets.lineage.io_manager import ProjectIOManager
from telecom_assets.lineage.partitions import partitioned_from
from telecom_assets.mediation import assets as mediation
from telecom_assets.rating import assets as rating
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import RecordType
from telecom_assets.reference import assets as reference
from telecom_assets.reports import assets as reports
from telecom_assets.runs import maintenance
from telecom_assets.runs.accounting_jobs import accounting_job
from telecom_assets.runs.checks import build_checks
from telecom_assets.runs.imports import IMPORT_JOBS
from telecom_assets.runs.jobs import JOBS, checks_job, customers_job, maintenance_job, rerating_job
from telecom_assets.runs.manual_jobs import MANUAL_JOBS
from telecom_assets.runs.period_jobs import PERIOD_JOBS
from telecom_assets.runs.rerate_jobs import rerate_job
from telecom_assets.runs.reviewing import review_job
from telecom_assets.runs.rule_digest import Rules
from telecom_assets.runs.sensors import (
    again_sensor,
    cdr_topic_sensor,
    checks_schedule,
    customers_schedule,
    failure_sensor,
    kafka_outage_sensor,
    maintenance_schedule,
    month_end_schedule,
    month_run_sensor,
    on_open_days,
    rating_automation,
)
from telecom_assets.tables import tables_of

_OF_A_MONTH: list[Any] = [
    landing.cdr_topic,
    landing.landing,
    landing.raw_cdrs,
    reference.customers,
    reference.rate_plans,
    reference.product_catalog,
    reference.billing_terms,
    reference.reference_changes,
    mediation.mediation,
    rating.rating,
    rating.period_charges,
    adjusting.adjusting,
    billing.manual_lines,
    billing.bill_lines,
    billing.facturation_complete,
    billing.correction_documents,
    billing.published_bills,
    invoices.invoices,
    reports.bills_csv,
    reports.reports,
    reports.dashboard,
    reports.billed_months,
    closing.billing_periods,
    closing.documents,
]
ASSETS = [*_OF_A_MONTH, maintenance.maintenance_of(maintenance.pools_of_tables(_OF_A_MONTH))]


def build_defs(
    settings: Settings | None = None,
    resource_overrides: Mapping[str, Any] | None = None,
    record_types: Iterable[RecordType] = RECORD_TYPES,
) -> dg.Definitions:
    """All definitions for some settings (default: the environment's) and record types (default: this project's).

    Tests override resources by name; those that are given bring their record types with them. Raises RecordTypeError
    for record types that do not go together.
    """
    settings = settings or Settings.load()
    types = RecordTypes(record_types)
    resources = {
        **Deployment(settings, tables_of(types, settings.currency), types).resources(),
        **(resource_overrides or {}),
    }
    types, engine = resources["record_types"], resources["engine"].name
    rules = Rules(ASSETS, settings, engine, types)
    # One warehouse for the IO manager and all resources of a process, so that stages and checks share what they know of a version.
    resources.setdefault(
        "io_manager", ProjectIOManager(resources["warehouse"], rules.of_table, partial(note_totals, record_types=types))
    )

    def configured(spec: dg.AssetSpec) -> dg.AssetSpec:
        warehouse = resources["warehouse"]
        spec = with_columns(with_engine(on_open_days(spec, warehouse), engine), warehouse.contracts)
        return partitioned_from(spec, settings.partitions_start)

    interval = settings.sensor_interval_seconds
    webhook = settings.failure_webhook.get_secret_value() if settings.failure_webhook else None
    return dg.Definitions(
        assets=dg.map_asset_specs(configured, ASSETS),
        asset_checks=build_checks(settings.silent_hours),
        jobs=[
            *JOBS,
            rerating_job,
            rerate_job,
            *PERIOD_JOBS,
            review_job,
            accounting_job,
            *MANUAL_JOBS,
            *IMPORT_JOBS,
            checks_job,
            maintenance_job,
            customers_job,
        ],
        sensors=[
            cdr_topic_sensor(interval),
            kafka_outage_sensor(interval, settings.outage_minutes, webhook),
            rating_automation(interval),
            month_run_sensor,
            again_sensor(interval),
            failure_sensor(webhook),
        ],
        schedules=[
            month_end_schedule(settings.billing_day),
            maintenance_schedule(settings.maintenance_hour),
            checks_schedule(settings.maintenance_hour),
            customers_schedule(),
        ],
        resources=resources,
        # All steps of a run in one process: they share one engine, and the embedded engine uses all cores by itself.
        executor=dg.in_process_executor,
    )


#: The settings of the environment. Every process that loads this module may run steps, which write files.
_settings = Settings.load()
keep_private(_settings)
defs = build_defs(_settings)
