"""The table contracts are consistent, and are the input contract's own words."""

import re

import pyarrow as pa
import pytest

from resources.contract import Column, TableContract
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.model.columns import VALID_FROM
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets.reports.tables import REPORTS
from telecom_assets.tables import TABLES
from telecom_assets_tests.oracle import FIELDS_OF_TYPE

#: Every table, and what it is cut by: days of events, billing periods, or nothing.
PARTITIONS = {
    "raw_cdrs": "event_date",
    "landing_ranges": None,
    "landing_decisions": None,
    "displaced_days": None,
    "cleaned_cdrs": "event_date",
    "rejected_cdrs": "event_date",
    "mediated_days": "event_date",
    "resubmissions": None,
    "control_totals": "billing_period",
    "rated_cdrs": "event_date",
    "suspended_cdrs": "event_date",
    "period_charges": "billing_period",
    "suspense_decisions": "billing_period",
    "customers": None,
    "rate_plans": None,
    "product_catalog": None,
    "billing_terms": None,
    "reference_changes": None,
    "billing_periods": None,
    "adjustments": "billing_period",
    "adjusted_months": "billing_period",
    "rerate_decisions": None,
    "accepted_differences": None,
    "bill_lines": "billing_period",
    "facturation_complete": "billing_period",
    "correction_documents": "billing_period",
    "manual_lines": "billing_period",
    "billed_months": "billing_period",
    "daily_revenue": "billing_period",
    "mix_by_region": "billing_period",
    "revenue_by_plan": "billing_period",
    "plan_by_region": "billing_period",
    "top10_consumers": "billing_period",
    "traffic_hourly": "billing_period",
    "documents": "billing_period",
}

#: Columns that the requirements name, at least, in their order.
NAMED = {
    "cleaned_cdrs": (
        *(
            "record_id",
            "record_type",
            "event_ts",
            "event_date",
            "subscriber_id",
            "other_party",
            "cell_id",
            "technology",
        ),
        *("duration_sec", "data_volume_mb", "session_duration_sec", "product_code", "rating_status", "received_at"),
        *("source_id", "source_part", "source_position"),
    ),
    "rated_cdrs": (
        *(
            "record_id",
            "customer_id",
            "rate_plan_id",
            "region",
            "product_code",
            "record_type",
            "event_ts",
            "event_date",
        ),
        *("billing_period", "billable_units", "free_units_applied", "unit_price", "amount", "rating_status", "imputed"),
    ),
    "facturation_complete": (
        *(
            "customer_id",
            "region",
            "rate_plan_id",
            "voice_total",
            "sms_total",
            "data_total",
            "voice_count",
            "sms_count",
        ),
        *(
            "data_count",
            "amount_before_tax",
            "discount_pct",
            "discount",
            "after_discount",
            "tax_pct",
            "tax",
            "amount_due",
        ),
        *("adjustments_total", "other_total", "rounding_difference", "currency", "status", "billing_period"),
    ),
    "bill_lines": (
        *(
            "billing_period",
            "customer_id",
            "line_no",
            "document",
            "kind",
            "line_kind",
            "service",
            "rate_plan_id",
            "region",
        ),
        *("tax_category", "tax_pct", "discount_pct", "original_period", "events", "units", "exact_amount", "amount"),
    ),
    "raw_cdrs": ("value", "kafka_topic", "source_id", "source_part", "source_position", "received_at", "event_date"),
    "landing_ranges": ("source_id", "source_part", "from_position", "to_position", "run_id"),
    "customers": (
        *("customer_id", "customer_name", "subscription_type", "rate_plan_id", "activation_date", "status", "region"),
    ),
    "daily_revenue": ("billing_date", "revenue"),
    "mix_by_region": ("region", "record_type", "revenue"),
    "revenue_by_plan": ("rate_plan_id", "revenue_incl_tax"),
    "plan_by_region": ("region", "rate_plan_id", "revenue_incl_tax"),
    "top10_consumers": ("customer_id", "total_mb", "amount_due"),
    "traffic_hourly": ("billing_date", "hour", "total_gb"),
}


def test_these_are_the_tables() -> None:
    assert {name: contract.partition_by for name, contract in TABLES.items()} == PARTITIONS


@pytest.mark.parametrize("name", NAMED)
def test_the_columns_that_the_requirements_name(name: str) -> None:
    assert set(NAMED[name]) <= set(TABLES[name].column_names)


@pytest.mark.parametrize("contract", TABLES.values(), ids=TABLES.keys())
def test_a_contract_is_consistent(contract: TableContract) -> None:
    names = contract.column_names
    assert len(set(names)) == len(names)
    # A row that is in force without bound has no first day; usage of nobody has no holder.
    assert set(contract.key) - {VALID_FROM, "holder_no"} <= set(contract.required_names)
    assert contract.key
    assert contract.partition_by is None or contract.partition_by in contract.required_names
    assert contract.indexed > 0
    assert contract.grain.startswith("One row ")
    assert contract.grain.endswith(".")
    for column in contract.columns:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
        assert column.doc.endswith(".")
        assert len(column.doc) > 5


@pytest.mark.parametrize("contract", TABLES.values(), ids=TABLES.keys())
def test_money_is_never_a_float(contract: TableContract) -> None:
    """Nor is anything else. A precision of 18 at most stays a machine word; reports and lines, fewer rows, hold sums of others."""
    schema = contract.arrow_schema()
    assert not any(pa.types.is_floating(field.type) for field in schema)
    for name in contract.money:
        assert pa.types.is_decimal(schema.field(name).type)
        wide = (contract in REPORTS and name.startswith("revenue")) or name == "exact_amount"
        assert schema.field(name).type.precision <= (28 if wide else 18)
    amounts = [
        column for column in contract.columns if re.search("amount|price|total|revenue|discount$|tax$", column.name)
    ]
    assert all(column.type.startswith("decimal") for column in amounts)


def test_types_in_arrow() -> None:
    expected = {
        "string": pa.string(),
        "binary": pa.binary(),
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "decimal(18,6)": pa.decimal128(18, 6),
        "decimal(7,4)": pa.decimal128(7, 4),
    }
    assert {name: Column("c", name, "Doc.").arrow_type for name in expected} == expected
    with pytest.raises(KeyError):
        _ = Column("c", "double", "Doc.").arrow_type


def test_the_fields_of_a_message() -> None:
    """As they are named in a message; raw_cdrs holds each as text."""
    assert set(RECORD_TYPES.fields) == {name for names in FIELDS_OF_TYPE.values() for name in names}
    renamed = {"record_ID": "record_id", "timestamp": "timestamp_text"}
    for name in RECORD_TYPES.fields:
        column = RAW_CDRS.column(renamed.get(name, name))
        assert (column.type, column.required) == ("string", False)


def test_required_columns() -> None:
    assert "value" not in RAW_CDRS.required_names
    assert {"source_id", "source_part", "source_position", "received_at", "event_date"} <= set(RAW_CDRS.required_names)
    assert "data_volume_mb" not in TABLES["cleaned_cdrs"].required_names
    assert "tier_price" not in TABLES["rate_plans"].required_names
    assert set(TABLES["facturation_complete"].required_names) == set(TABLES["facturation_complete"].column_names)


def test_what_statistics_are_kept_of_comes_first() -> None:
    """Landing asks the files for source, part, position and time of receipt."""
    assert RAW_CDRS.column_names[: RAW_CDRS.indexed] == [
        *("source_id", "source_part", "source_position", "received_at")
    ]
