"""Reference data: customers from PostgreSQL, tariffs, catalogue and terms of bills from files."""

import dagster as dg

from resources.contract import TableContract
from resources.postgres import PostgresConnection, read_customers
from resources.warehouse import Warehouse
from telecom_assets.home.deployment import Clock, OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import BILLING_TEAM, RATING_TEAM, asset, table_metadata, versions_read
from telecom_assets.lineage.partitions import ZONE
from telecom_assets.model.columns import VALIDITY
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.billing_terms import read_billing_terms, terms_of_settings
from telecom_assets.reference.customer_reading import next_history, plans_of
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMER_LIST, CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.reference.tariffs import read_tariffs

GROUP = "reference"


@asset(group_name=GROUP, owners=[RATING_TEAM], kinds={"postgres", "delta"}, metadata=table_metadata(CUSTOMERS))
def customers(
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
) -> dg.Output[object]:
    """Who may be billed, with the days on which he was so: the customers table of PostgreSQL and its changes since it was read first.

    One row per customer and stretch of days on which nothing about him changed. A change holds from the day on which it is read; who
    is gone is ended on it. A table with valid_from and valid_to is the history itself. Numbers are brought to the form that their
    calls have. Unchanged rows make no new version.
    """
    stored = warehouse.pin(CUSTOMERS.name)
    read = read_customers(postgres.connect(), CUSTOMER_LIST, VALIDITY)
    plans, today = plans_of(warehouse, settings.rate_plans), clock().astimezone(ZONE).date()
    new = next_history(stored.arrow(), read, plans, today, settings.customers_gone_share)
    # What was read is named, so that an import in between is not undone.
    return dg.Output(new, metadata=versions_read(stored))


@asset(group_name=GROUP, owners=[RATING_TEAM], kinds={"csv", "delta"}, metadata=table_metadata(RATE_PLANS))
def rate_plans(
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
) -> dg.Output[object]:
    """What each product costs in each rate plan, and from which day on. One row per plan, product and stretch of days.

    A file that is not valid, or changes prices without a day, is refused, and what is stored stays.
    """
    return _read(RATE_PLANS, settings, warehouse, record_types)


@asset(group_name=GROUP, owners=[RATING_TEAM], kinds={"csv", "delta"}, metadata=table_metadata(PRODUCT_CATALOG))
def product_catalog(
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
) -> dg.Output[object]:
    """What can be charged, in which unit, and from which day on. One row per product and stretch of days.

    Refused as the tariffs are.
    """
    return _read(PRODUCT_CATALOG, settings, warehouse, record_types)


def _read(
    contract: TableContract, settings: Settings, warehouse: Warehouse, record_types: RecordTypes
) -> dg.Output[object]:
    """One of both tables. Both are read and judged together, so that a run stores neither where one is refused."""
    paths = {RATE_PLANS.name: settings.rate_plans, PRODUCT_CATALOG.name: settings.product_catalog}
    reading = read_tariffs(warehouse, paths, record_types)[contract.name]
    # What was read is named, so that an import in between is not undone.
    return dg.Output(reading.rows, metadata=versions_read(reading.stored))


@asset(group_name=GROUP, owners=[BILLING_TEAM], kinds={"csv", "delta"}, metadata=table_metadata(BILLING_TERMS))
def billing_terms(settings: dg.ResourceParam[Settings]) -> dg.Output[object]:
    """Discount, tax and days to pay of the bills, with the days from which they hold. One row per stretch of days.

    Without a file of terms it is one row, of the settings. A file that is wrong is refused, and what was read before stays.
    """
    if settings.billing_terms is None:
        return dg.Output(terms_of_settings(settings.discount_pct, settings.tax_pct))
    return dg.Output(read_billing_terms(settings.billing_terms))
