"""The made-up customer base: valid, unique, in realistic shares, the same for the same seed."""

import math
import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from telecom_assets.generator import SpecError, generate_customers
from telecom_assets.generator.customers import INACTIVE_SHARE, PLANS, PREPAID_SHARE, REGIONS
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMER_STATUSES, SUBSCRIPTION_TYPES

SIZE = 20_000


@pytest.fixture(scope="module")
def customers() -> pa.Table:
    return generate_customers(SIZE, seed=7)


def share(column: pa.ChunkedArray, value: str) -> float:
    count: int = pc.sum(pc.equal(column, value)).as_py()
    return count / len(column)


def close(share: float, expected: float) -> bool:
    return abs(share - expected) <= 5 * math.sqrt(expected * (1 - expected) / SIZE)


def test_has_the_columns_of_the_contract(customers: pa.Table) -> None:
    assert customers.schema == CUSTOMER_LIST.arrow_schema()
    assert customers.num_rows == SIZE
    assert all(column.null_count == 0 for column in customers.columns)


def test_ids_are_unique_moroccan_mobiles(customers: pa.Table) -> None:
    ids = customers["customer_id"].to_pylist()
    assert len(set(ids)) == SIZE
    assert [number for number in ids if not re.fullmatch(r"212[67][0-9]{8}", number)] == []


def test_values_are_those_of_the_domain(customers: pa.Table) -> None:
    assert set(customers["rate_plan_id"].to_pylist()) == set(PLANS) == {"PLAN_A", "PLAN_B", "PLAN_C"}
    assert set(customers["region"].to_pylist()) == set(REGIONS)
    assert len(REGIONS) == 12
    assert set(customers["subscription_type"].to_pylist()) == set(SUBSCRIPTION_TYPES)
    assert set(customers["status"].to_pylist()) <= set(CUSTOMER_STATUSES)
    assert all(name.strip() == name != "" for name in customers["customer_name"].to_pylist())


def test_shares(customers: pa.Table) -> None:
    assert close(share(customers["subscription_type"], "prepaid"), PREPAID_SHARE)
    assert close(share(customers["status"], "inactive"), INACTIVE_SHARE)
    assert close(share(customers["region"], "Casablanca-Settat"), REGIONS["Casablanca-Settat"] / sum(REGIONS.values()))


def test_same_seed_same_customers_other_seed_others(customers: pa.Table) -> None:
    assert generate_customers(SIZE, seed=7).equals(customers)
    assert not generate_customers(SIZE, seed=8).equals(customers)


def test_one_customer_is_enough() -> None:
    assert generate_customers(1, seed=1).num_rows == 1


@pytest.mark.parametrize(
    ("customers", "seed", "message"),
    [(0, 1, "number of customers 0"), (10_000_001, 1, "number of customers 10000001"), (5, -1, "seed -1")],
)
def test_what_cannot_be_made_is_named(customers: int, seed: int, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        generate_customers(customers, seed)
