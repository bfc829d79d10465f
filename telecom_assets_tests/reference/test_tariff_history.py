"""What a file makes of the stored tariffs. Expected values come from asking each day what it costs."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecom_assets.reference.as_of import differing_days, rows_in_force, validity_findings
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.tables import PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.reference.tariff_files import TariffFile
from telecom_assets.reference.tariff_history import changed_from, next_version
from telecom_assets_tests.oracle import Row

FIRST = dt.date(2026, 3, 1)
DAYS = [FIRST + dt.timedelta(days=number) for number in range(12)]
NAMES = ("VOICE_NAT", "SMS_NAT")


def day(number: int) -> dt.date:
    return dt.date(2026, 3, number)


def row(product: str, price: str, first: dt.date | None = None, end: dt.date | None = None) -> Row:
    return {
        "rate_plan_id": "P",
        "product_code": product,
        "service_type": product.split("_", maxsplit=1)[0].lower(),
        "unit_price": Decimal(price),
        "free_units": Decimal(0),
        "tier_threshold": None,
        "tier_price": None,
        "valid_from": first,
        "valid_to": end,
    }


def table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=RATE_PLANS.arrow_schema())


def file(rows: list[Row], *, is_dated: bool = False) -> TariffFile:
    return TariffFile(Path("plans.csv"), RATE_PLANS, table(rows), is_dated)


def prices_on(rows: pa.Table, when: dt.date) -> dict[str, tuple[Decimal, dt.date | None]]:
    """Price and first day of each product on a day."""
    found = rows_in_force(rows, when).to_pylist()
    assert len({each["product_code"] for each in found}) == len(found)
    return {each["product_code"]: (each["unit_price"], each["valid_from"]) for each in found}


#: Files without dates: a price of 1 or 2 for some products, at least one.
UNDATED = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2"]), min_size=1).map(
    lambda prices: [row(product, price) for product, price in prices.items()]
)


@settings(deadline=None)
@given(first=UNDATED, imports=st.lists(st.tuples(UNDATED, st.sampled_from(DAYS)), max_size=4))
def test_each_day_has_the_prices_of_the_last_import_that_holds_on_it(
    first: list[Row], imports: list[tuple[list[Row], dt.date]]
) -> None:
    stored = table(first)
    for rows, since in imports:
        stored = next_version(stored, file(rows), since)

    assert validity_findings(stored, RATE_PLANS) == []
    for when in DAYS:
        # An import from an earlier day takes the place of those before it that hold from later days.
        holding = [first, *(rows for rows, since in imports if since <= when)][-1]
        expected = {each["product_code"]: each["unit_price"] for each in holding}
        assert {product: price for product, (price, _) in prices_on(stored, when).items()} == expected


@settings(deadline=None)
@given(before=UNDATED, after=UNDATED, since=st.sampled_from(DAYS))
def test_no_day_before_changes_and_no_price_that_stays_is_begun_anew(
    before: list[Row], after: list[Row], since: dt.date
) -> None:
    stored, changed = table(before), changed_from(table(before), table(after), RATE_PLANS, since)

    assert all(each.first is not None and each.first >= since for each in differing_days(stored, changed))
    same = {each["product_code"] for each in before for other in after if each == other}
    on_the_day = prices_on(changed, since)
    assert {product for product, (_, first) in on_the_day.items() if first is None} == same


def test_a_price_that_changes_and_changes_back_is_three_rows() -> None:
    once = changed_from(table([row("SMS_NAT", "1")]), table([row("SMS_NAT", "2")]), RATE_PLANS, day(5))
    twice = changed_from(once, table([row("SMS_NAT", "1")]), RATE_PLANS, day(9))

    assert twice.sort_by([("valid_from", "ascending")]).to_pylist() == [
        row("SMS_NAT", "2", day(5), day(9)),
        row("SMS_NAT", "1", day(9), None),
        row("SMS_NAT", "1", None, day(5)),
    ]


def test_an_import_from_the_day_of_the_change_takes_it_back() -> None:
    stored = table([row("SMS_NAT", "1")])
    changed = changed_from(stored, table([row("SMS_NAT", "2")]), RATE_PLANS, day(5))

    assert changed_from(changed, stored, RATE_PLANS, day(5)).equals(stored)


def test_what_the_file_lacks_ends_on_the_day() -> None:
    stored = table([row("SMS_NAT", "1"), row("VOICE_NAT", "1")])

    changed = changed_from(stored, table([row("SMS_NAT", "1")]), RATE_PLANS, day(5))

    assert changed.to_pylist() == [row("SMS_NAT", "1"), row("VOICE_NAT", "1", None, day(5))]


def test_the_first_file_without_dates_holds_on_all_days() -> None:
    assert next_version(table([]), file([row("SMS_NAT", "1")])).to_pylist() == [row("SMS_NAT", "1")]
    assert next_version(table([]), file([row("SMS_NAT", "1")]), day(5)).to_pylist() == [row("SMS_NAT", "1", day(5))]


def test_a_file_without_dates_that_says_the_same_changes_nothing() -> None:
    """Also after its day has come: what has no end is what it is compared with."""
    stored = changed_from(table([row("SMS_NAT", "1")]), table([row("SMS_NAT", "2")]), RATE_PLANS, day(5))

    assert next_version(stored, file([row("SMS_NAT", "2")])).equals(stored)


def test_a_file_without_dates_that_differs_needs_a_day() -> None:
    stored = table([row("SMS_NAT", "1"), row("VOICE_NAT", "1")])
    changed = [row("SMS_NAT", "2"), row("SMS_INT", "1")]

    with pytest.raises(InputFileError) as raised:
        next_version(stored, file(changed))

    assert str(raised.value) == (
        "plans.csv: has no dates and differs from the stored rate_plans (changed: P/SMS_NAT; new: P/SMS_INT; gone: P/VOICE_NAT); "
        "what is stored stays as it is; say from which day it holds: telecom tariff import plans.csv --valid-from yyyy-MM-dd"
    )


def test_a_file_with_dates_is_the_history_itself() -> None:
    history = [row("SMS_NAT", "1", None, day(3)), row("SMS_NAT", "2", day(3))]

    assert next_version(table([row("SMS_NAT", "9")]), file(history, is_dated=True)).to_pylist() == history
    with pytest.raises(InputFileError, match=r"plans\.csv: has dates of its own; leave --valid-from out"):
        next_version(table([]), file(history, is_dated=True), day(3))


def test_a_catalogue_is_compared_by_product() -> None:
    product: Row = {
        "product_code": "SMS_NAT",
        "service_type": "sms",
        "unit": "event",
        "rate_type": "flat",
        "description": "Message",
        "valid_from": None,
        "valid_to": None,
    }
    schema = PRODUCT_CATALOG.arrow_schema()
    stored = pa.Table.from_pylist([product], schema=schema)
    read = pa.Table.from_pylist([{**product, "description": "Text message"}], schema=schema)

    with pytest.raises(InputFileError, match=r"stored product_catalog \(changed: SMS_NAT\)"):
        next_version(stored, TariffFile(Path("catalogue.csv"), PRODUCT_CATALOG, read, is_dated=False))
