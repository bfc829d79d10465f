"""Reference data: customers from PostgreSQL, tariffs, catalogue and terms of bills from files."""

import dagster as dg
from pydantic import Field

from resources.contract import TableContract
from resources.expected_errors import ExpectedError
from resources.postgres import PostgresConnection, read_customers
from resources.warehouse import Warehouse
from telecom_assets.home.deployment import Clock, OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.lineage.declaring import (
    BILLING_TEAM,
    RATING_TEAM,
    Materialized,
    asset,
    commit_says,
    table_metadata,
    versions_read,
)
from telecom_assets.model.calendar import ZONE
from telecom_assets.model.columns import VALIDITY
from telecom_assets.record_types.in_force import RecordTypes
from telecom_assets.reference.billing_terms import read_billing_terms, terms_of_settings
from telecom_assets.reference.change_log import Origin, record_changes
from telecom_assets.reference.customer_reading import next_history, plans_of
from telecom_assets.reference.past import NewVersion, assert_past_stays, assert_terms_stay
from telecom_assets.reference.tables import (
    BILLING_TERMS,
    CUSTOMER_LIST,
    CUSTOMERS,
    PRODUCT_CATALOG,
    RATE_PLANS,
    REFERENCE_CHANGES,
)
from telecom_assets.reference.tariffs import read_tariffs

GROUP = "reference"
_SETTINGS_OF_TERMS = "TELECOM_DISCOUNT_PCT and TELECOM_TAX_PCT"


class ConfigError(ExpectedError):
    """The configuration of a run cannot be used. The message says what is missing."""


class PastCorrection(dg.Config):  # type: ignore[misc,unused-ignore]
    """What a person says who changes customers of periods that are approved or closed."""

    correct_past: bool = Field(
        default=False,
        description="Store what would change a period that is approved or closed too; the differences come on a later bill.",
    )
    by: str = Field(default="", description="Who decides so; kept in reference_changes. Needed with correct_past.")
    why: str = Field(default="", description="Why; kept in reference_changes. Needed with correct_past.")

    def origin(self, source: str) -> Origin:
        """Where a change comes from. Raises ConfigError for a correction without a name or a reason."""
        by, why = self.by.strip() or None, self.why.strip() or None
        if self.correct_past and not (by and why):
            raise ConfigError("correct_past needs by and why: both are kept in reference_changes; nothing was changed")
        return Origin(source, by, why, corrects_past=self.correct_past)


@asset(group_name=GROUP, owners=[RATING_TEAM], kinds={"postgres", "delta"}, metadata=table_metadata(CUSTOMERS))
def customers(
    config: PastCorrection,
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    clock: dg.ResourceParam[Clock],
    postgres: dg.ResourceParam[OnDemand[PostgresConnection]],
) -> dg.Output[object]:
    """Who may be billed, with the days on which he was so: the customers table of PostgreSQL and its changes since it was read first.

    One row per customer and stretch of days on which nothing about him changed. A change holds from the day on which it is read; who
    is gone is ended on it. A table with valid_from and valid_to is the history itself. Numbers are brought to the form that their
    calls have. Unchanged rows make no new version. A change of what was in force in a period that is approved or closed is refused.
    """
    stored, connection = warehouse.pin(CUSTOMERS.name), postgres.connect()
    origin = config.origin(f"table {CUSTOMER_LIST.name} at {connection.address}")
    read = read_customers(connection, CUSTOMER_LIST, VALIDITY)
    plans, today = plans_of(warehouse, settings.rate_plans), clock().astimezone(ZONE).date()
    new = next_history(stored.arrow(), read, plans, today, settings.customers_gone_share)
    corrected = assert_past_stays([NewVersion(stored, new)], origin, "telecom customers read")
    # What was read is named, so that an import in between is not undone.
    return dg.Output(new, metadata={**versions_read(stored), **commit_says(origin.said(corrected))})


@asset(group_name=GROUP, owners=[RATING_TEAM], kinds={"csv", "delta"}, metadata=table_metadata(RATE_PLANS))
def rate_plans(
    settings: dg.ResourceParam[Settings],
    warehouse: dg.ResourceParam[Warehouse],
    record_types: dg.ResourceParam[RecordTypes],
) -> dg.Output[object]:
    """What each product costs in each rate plan, and from which day on. One row per plan, product and stretch of days.

    A file that is not valid, changes prices without a day, or those of a period that is approved or closed, is refused, and what is
    stored stays.
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
    origin = Origin(str(paths[contract.name] or "the packaged file"))
    # What was read is named, so that an import in between is not undone.
    return dg.Output(reading.rows, metadata={**versions_read(reading.stored), **commit_says(origin.said())})


@asset(group_name=GROUP, owners=[BILLING_TEAM], kinds={"csv", "delta"}, metadata=table_metadata(BILLING_TERMS))
def billing_terms(settings: dg.ResourceParam[Settings], warehouse: dg.ResourceParam[Warehouse]) -> dg.Output[object]:
    """Discount, tax and days to pay of the bills, with the days from which they hold. One row per stretch of days.

    Without a file of terms it is one row, of the settings. A file that is wrong, or changes the terms of a period that is approved or
    closed, is refused, and what was read before stays.
    """
    stored = warehouse.pin(BILLING_TERMS.name)
    if settings.billing_terms is None:
        terms, source = terms_of_settings(settings.discount_pct, settings.tax_pct), _SETTINGS_OF_TERMS
    else:
        terms, source = read_billing_terms(settings.billing_terms), str(settings.billing_terms)
    assert_terms_stay(NewVersion(stored, terms), source)
    return dg.Output(terms, metadata={**versions_read(stored), **commit_says(Origin(source).said())})


@asset(
    deps=[customers, rate_plans, product_catalog, billing_terms],
    group_name=GROUP,
    owners=[RATING_TEAM],
    kinds={"delta"},
    metadata=table_metadata(REFERENCE_CHANGES),
)
def reference_changes(warehouse: dg.ResourceParam[Warehouse]) -> Materialized:
    """Who changed which customers, prices, products and terms: from what to what, by which file or read, when, and why.

    One row per changed row of a reference table, appended when it changes and never edited. A table begins with one row that says how
    many rows it had.
    """
    added = record_changes(warehouse)
    return Materialized(metadata={"rows_added": added, "table_version": warehouse.version(REFERENCE_CHANGES.name)})
