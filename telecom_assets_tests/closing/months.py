"""A small month that was billed: its charges, lines and bills in a warehouse, a database, and the states of its period.

Belongs here: making it, by the transforms that billing uses. Does not belong here: figures that a test expects.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resources.engine import SparkEngine
from resources.postgres import PostgresConnection
from resources.warehouse import Partitions, Warehouse
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.rules import bill, correction_documents
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.closing.approving import Books, kept_terms
from telecom_assets.home.deployment import OnDemand
from telecom_assets.home.settings import Settings
from telecom_assets.model.months import month_days
from telecom_assets.periods.digest import digest_of
from telecom_assets.periods.guard import refuse_frozen
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.sample_tables import TABLES
from telecom_assets_tests.stages.chain import TERMS, contract_table

MONTH = "2026-10"
ISSUED = dt.date(2026, 11, 3)


def books(folder: Path, engine: SparkEngine, dsn: str, **given: Any) -> Books:
    """What a close works with: a home, an empty guarded warehouse, a database. Documents are XML alone unless formats are given."""
    settings = Settings.load(home=folder / "home", postgres_dsn=dsn, **{"invoice_formats": "xml", **given})
    warehouse = Warehouse(str(folder / "warehouse"), engine, TABLES, guard=refuse_frozen)
    warehouse.overwrite_arrow(CUSTOMERS.name, contract_table(CUSTOMERS, [customer("2126"), customer("2127")]))
    terms = {
        "valid_from": None,
        "valid_to": None,
        "discount_pct": TERMS.discount_pct,
        "tax_pct": TERMS.tax_pct,
        "tax_category": "S",
        "exemption_reason": None,
        "payment_days": 30,
    }
    warehouse.overwrite_arrow(BILLING_TERMS.name, contract_table(BILLING_TERMS, [terms]))
    return Books(settings, warehouse, OnDemand(lambda: PostgresConnection(dsn)), RecordTypes(RECORD_TYPES))


def customer(customer_id: str, holder_no: int = 1, **changed: Any) -> dict[str, Any]:
    """An active postpaid customer."""
    sound = {"subscription_type": "postpaid", "status": "active", "region": "Fès-Meknès", "rate_plan_id": "PLAN_A"}
    known = {"customer_id": customer_id, "holder_no": holder_no, "customer_name": f"Name of {customer_id}"}
    return {**cdrs.CUSTOMERS[0], **sound, **known, **changed}


def charge(customer_id: str, service: str, amount: str, month: str = MONTH, **changed: Any) -> dict[str, Any]:
    """A rated event of the month's 15th."""
    day = month_days(month)[14]
    return {
        "record_id": f"{customer_id} {service} {amount}",
        "source_id": "topic",
        "source_part": 0,
        "source_position": 0,
        "imputed": False,
        "customer_id": customer_id,
        "holder_no": 1,
        "record_type": service,
        "event_ts": dt.datetime.combine(day, dt.time(12), dt.UTC),
        "rate_plan_id": "PLAN_A",
        "region": "Fès-Meknès",
        "billable_units": "1",
        "amount": amount,
        "billing_period": month,
        "event_date": day,
        **changed,
    }


#: 2126 has 1.00 of voice and 0.14 of SMS; 2127 has nothing, and a bill of 0.00.
CHARGES = (charge("2126", "voice", "0.999999"), charge("2126", "sms", "0.135"))


def rated(of: Books, charges: Sequence[dict[str, Any]] = CHARGES, month: str = MONTH) -> None:
    """The rated rows of a month."""
    days = month_days(month)
    of.warehouse.overwrite_arrow(RATED_CDRS.name, contract_table(RATED_CDRS, charges), Partitions(days[0], days[-1]))


def billed(of: Books, month: str = MONTH, terms: BillingTerms = TERMS) -> None:
    """The lines and the bills of a month's rated rows."""
    warehouse, partitions = of.warehouse, Partitions(month, month)
    charges = warehouse.pin_period(RATED_CDRS.name, month).df
    warehouse.overwrite(BILL_LINES.name, usage_lines(charges, month, terms), partitions)
    lines = warehouse.pin_period(BILL_LINES.name, month).df
    bills = bill(lines, warehouse.pin(CUSTOMERS.name).all(), month, terms)
    warehouse.overwrite(FACTURATION_COMPLETE.name, bills, partitions)


def approved(of: Books, month: str = MONTH, by: str = "Anna") -> None:
    """The month drafted and approved, with its digest and its terms.

    The approval names no version of cleaned rows, which these months lack: so no review rates them a second time.
    """
    warehouse = of.warehouse
    versions = {CUSTOMERS.name: warehouse.version(CUSTOMERS.name)}
    kept = kept_terms(of.settings, TERMS, versions).as_json()
    change_state(warehouse, lambda _: changed_now(month, "drafted"))
    change_state(
        warehouse,
        lambda _: changed_now(month, "approved", by=by, digest=digest_of(warehouse, month), closed_with=kept),
    )


def rows(of: Books, name: str, month: str = MONTH) -> list[dict[str, Any]]:
    """The rows of a month, in the order of the table's key."""
    pinned = of.warehouse.pin_period(name, month)
    order = [(column, "ascending") for column in pinned.contract.key]
    found: list[dict[str, Any]] = pinned.arrow().sort_by(order).to_pylist()
    return found


def usage_line(customer_id: str, amount: str, month: str, line_no: int = 1, **changed: Any) -> dict[str, Any]:
    """A line of voice whose exact amount is the amount."""
    return {
        "customer_id": customer_id,
        "holder_no": 1,
        "line_no": line_no,
        "document": "bill",
        "kind": "usage",
        "line_kind": None,
        "service": "voice",
        "rate_plan_id": "PLAN_A",
        "region": "Fès-Meknès",
        "tax_category": "S",
        "tax_pct": "20",
        "discount_pct": "5",
        "original_period": None,
        "events": 1,
        "units": "1",
        "exact_amount": amount,
        "amount": amount,
        "billing_period": month,
        **changed,
    }


def billed_from(of: Books, lines: Sequence[dict[str, Any]], month: str) -> None:
    """The bills and the separate documents of lines, which are those of a month after a closed one."""
    warehouse, partitions = of.warehouse, Partitions(month, month)
    warehouse.overwrite_arrow(BILL_LINES.name, contract_table(BILL_LINES, lines), partitions)
    stored = warehouse.pin_period(BILL_LINES.name, month)
    history = history_of(stored)
    assert history is not None
    bills = bill(stored.df, warehouse.pin(CUSTOMERS.name).all(), month, TERMS, history)
    warehouse.overwrite(FACTURATION_COMPLETE.name, bills, partitions)
    documents = correction_documents(stored.df, history, month, TERMS.currency, TERMS.scale)
    warehouse.overwrite(CORRECTION_DOCUMENTS.name, documents, partitions)
