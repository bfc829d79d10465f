"""Tariffs and catalogue: reading refuses what cannot be a value, judging finds what cannot be meant."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import RecordType, Units
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.judging import (
    customer_findings,
    known_plans,
    missing_prices,
    product_catalog_findings,
    rate_plan_findings,
    repeated_customers,
    unreachable_prices,
)
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.reference.tariff_files import read_product_catalog, read_rate_plans
from telecom_assets_tests import oracle
from telecom_assets_tests.examples import examples

#: A plan and a product whose blanks at the end would not be seen.
BLANK_PLAN, BLANK_PRODUCT = "PLAN_A ", "SMS_INT\u00a0"
HEADER = "rate_plan_id,product_code,service_type,unit_price,free_units,tier_threshold,tier_price"
GOOD = "PLAN_A,DATA_PREMIUM,data,0.015,50,1024,0.050"


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a file: text or bytes -> path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "prices of mine.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def changed(table: pa.Table, key: dict[str, str], **values: Any) -> pa.Table:
    """The table with the rows of this key changed."""
    rows = [{**row, **values} if key.items() <= row.items() else row for row in table.to_pylist()]
    return pa.Table.from_pylist(rows, schema=table.schema)


def without(table: pa.Table, key: dict[str, str]) -> pa.Table:
    return pa.Table.from_pylist([row for row in table.to_pylist() if not key.items() <= row.items()], table.schema)


# -- reading ---------------------------------------------------------------------------------------------------------


def test_the_packaged_files_are_read_and_without_findings() -> None:
    plans, catalog = read_rate_plans(), read_product_catalog()
    assert plans.schema == RATE_PLANS.arrow_schema()
    assert catalog.schema == PRODUCT_CATALOG.arrow_schema()
    assert (plans.num_rows, catalog.num_rows) == (18, 6)
    assert known_plans(plans) == ["PLAN_A", "PLAN_B", "PLAN_C"]
    assert rate_plan_findings(plans, catalog) == []
    assert product_catalog_findings(catalog) == []


def test_a_price_is_exactly_what_is_written(file: Callable[[str | bytes], Path]) -> None:
    row = read_rate_plans(file(f"{HEADER}\n{GOOD}\nPLAN_A,SMS_NAT,sms,123456.123456,000.0000000,,\n")).to_pylist()
    assert row[0] == {
        "rate_plan_id": "PLAN_A",
        "product_code": "DATA_PREMIUM",
        "service_type": "data",
        "unit_price": Decimal("0.015"),
        "free_units": Decimal(50),
        "tier_threshold": Decimal(1024),
        "tier_price": Decimal("0.05"),
        "valid_from": None,
        "valid_to": None,
    }
    assert (row[1]["unit_price"], row[1]["free_units"]) == (Decimal("123456.123456"), 0)
    assert (row[1]["tier_threshold"], row[1]["tier_price"]) == (None, None)


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{HEADER}\r\n{GOOD}\r\n",
        f"\n{HEADER}\n\n  \n{GOOD}\n\n",
        f"{HEADER}\n{GOOD}",
        "tier_price,tier_threshold,free_units,unit_price,service_type,product_code,rate_plan_id\n"
        '0.050,1024,50,"0.015",data,DATA_PREMIUM,PLAN_A\n',
    ],
    ids=["BOM and CRLF", "blank lines", "no last line end", "other order, quotes"],
)
def test_ways_to_write_the_same_file(file: Callable[[str | bytes], Path], content: str) -> None:
    assert read_rate_plans(file(content)) == read_rate_plans(file(f"{HEADER}\n{GOOD}\n"))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(
            ("unit_price", value)
            for value in ("", " ", "abc", "1e-3", "0,015", "NaN", "inf", "1_0", " 0.1", "٣", "--1")
        ),
        ("unit_price", "0.0000001"),
        ("unit_price", "1000000"),
        ("free_units", "1000000000000"),
        ("free_units", ""),
        ("tier_threshold", "x"),
        ("tier_price", "0.12345678901234567890123456789012345678901"),
        ("rate_plan_id", ""),
        ("service_type", "  "),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_one_clear_error(
    file: Callable[[str | bytes], Path], column: str, value: str
) -> None:
    cells = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | {column: value}
    path = file(f"{HEADER}\n{GOOD}\n" + ",".join(f'"{cell}"' for cell in cells.values()) + "\n")
    with pytest.raises(InputFileError) as raised:
        read_rate_plans(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: line 3: {column} ")
    assert "expected" in message
    assert repr(value) in message or "is missing" in message


def test_digits_beyond_the_scale_are_accepted_only_when_they_are_zero(file: Callable[[str | bytes], Path]) -> None:
    kept = read_rate_plans(file(f"{HEADER}\nP,X,data,0.1500000000000000000000000000000000000000000,0,,\n"))
    assert kept["unit_price"].to_pylist() == [Decimal("0.15")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected a header line: rate_plan_id,"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (f"{HEADER}\n".encode(), "has no rows"),
        (HEADER.replace(",", ";").encode() + b"\n", "separated by commas"),
        (HEADER.replace("unit_price", "price").encode(), "no column 'unit_price'; unknown column 'price'"),
        (f"{HEADER},tier_price\n".encode(), "repeated column 'tier_price'"),
        (f"{HEADER}\n{GOOD},1\n".encode(), "line 2: has 8 values, expected 7"),
        (f"{HEADER}\n{GOOD}\n".encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
        (f"{HEADER}\n{GOOD}\nPLAN_\xc9,".encode("latin-1"), "line 3: byte 0xc9 is not UTF-8"),
        (f'{HEADER}\n{GOOD}\n"PLAN_A,X\n{GOOD}\n'.encode(), "line 3: the quotes of the row that begins here are wrong"),
        (f'{HEADER}\n"PLAN"_A,X\n'.encode(), "line 2: the quotes"),
    ],
)
def test_a_file_that_is_no_such_table_is_one_clear_error(
    file: Callable[[str | bytes], Path], content: bytes, message: str
) -> None:
    path = file(content)
    with pytest.raises(InputFileError) as raised:
        read_rate_plans(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"none\.csv: cannot be read \(No such file"):
        read_product_catalog(tmp_path / "none.csv")


# -- judging ---------------------------------------------------------------------------------------------------------

FLAT = {"rate_plan_id": "PLAN_A", "product_code": "DATA_BASIC"}
TIERED = {"rate_plan_id": "PLAN_A", "product_code": "DATA_PREMIUM"}


@pytest.mark.parametrize(
    ("key", "values", "finding"),
    [
        (FLAT, {"unit_price": Decimal("-0.000001")}, "unit_price is -0.000001; expected 0 or more"),
        (FLAT, {"free_units": Decimal(-1)}, "free_units is -1.000000; expected 0 or more"),
        (TIERED, {"tier_price": Decimal(-1)}, "tier_price is -1.000000; expected 0 or more"),
        (FLAT, {"service_type": "voice"}, "service_type is 'voice', in the catalogue 'data'"),
        (FLAT, {"tier_threshold": Decimal(1000), "tier_price": Decimal(1)}, "has a tier, but the catalogue says flat"),
        (TIERED, {"tier_threshold": None, "tier_price": None}, "has no tier, but the catalogue says tiered"),
        (TIERED, {"tier_price": None}, "has half a tier; expected tier_threshold and tier_price, or neither"),
        (TIERED, {"tier_threshold": None}, "has half a tier; expected tier_threshold and tier_price, or neither"),
        (TIERED, {"free_units": Decimal("1024.000001")}, "free_units 1024.000001 exceed tier_threshold 1024.000000"),
    ],
)
def test_a_wrong_price_is_the_only_finding(
    key: dict[str, str], values: dict[str, Decimal | str | None], finding: str
) -> None:
    plans = changed(read_rate_plans(), key, **values)
    name = f"rate_plans {key['rate_plan_id']}/{key['product_code']}"
    assert rate_plan_findings(plans, read_product_catalog()) == [f"{name}: {finding}"]


def test_free_units_may_reach_the_tier() -> None:
    plans = changed(read_rate_plans(), TIERED, free_units=Decimal(1024))
    assert rate_plan_findings(plans, read_product_catalog()) == []


def test_a_product_without_a_price_is_found() -> None:
    plans = without(read_rate_plans(), {"rate_plan_id": "PLAN_B", "product_code": "SMS_INT"})
    assert rate_plan_findings(plans, read_product_catalog()) == ["rate_plans PLAN_B: no price for product SMS_INT"]


def test_a_price_of_an_unknown_product_is_found() -> None:
    catalog = without(read_product_catalog(), {"product_code": "SMS_INT"})
    assert rate_plan_findings(read_rate_plans(), catalog) == [
        f"rate_plans {plan}/SMS_INT: product 'SMS_INT' is not in the catalogue"
        for plan in ("PLAN_A", "PLAN_B", "PLAN_C")
    ]


def test_repeated_and_missing_values_are_found() -> None:
    plans, catalog = read_rate_plans(), read_product_catalog()
    assert rate_plan_findings(pa.concat_tables([plans, plans.slice(0, 1)]), catalog) == [
        "rate_plans: rate_plan_id, product_code more than once on a day: PLAN_A/VOICE_NAT (every day)"
    ]
    assert product_catalog_findings(pa.concat_tables([catalog, catalog.slice(0, 6)])) == [
        "product_catalog: product_code more than once on a day: DATA_BASIC (every day), DATA_PREMIUM (every day), "
        "SMS_INT (every day), SMS_NAT (every day), VOICE_INT (every day) and 1 more"
    ]
    assert rate_plan_findings(changed(plans, FLAT, unit_price=None), catalog) == [
        "rate_plans: unit_price is missing in 1 row"
    ]


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"rate_type": "stepped"}, "rate_type 'stepped' in 1 row is unknown; expected one of flat, tiered"),
        (
            {"service_type": "mms"},
            f"service_type 'mms' in 1 row is unknown; expected one of {', '.join(RECORD_TYPES.names)}",
        ),
        ({"unit": "GB"}, "unit is 'GB', but data is counted in 'MB'"),
    ],
)
def test_a_wrong_product_is_found(values: dict[str, str], finding: str) -> None:
    findings = product_catalog_findings(changed(read_product_catalog(), {"product_code": "DATA_BASIC"}, **values))
    assert len(findings) == 1
    assert findings[0].endswith(finding)


@pytest.mark.parametrize(
    ("code", "service"), [("VOICE_NAT", "voice"), ("VOICE_INT", "voice"), ("SMS_NAT", "sms"), ("SMS_INT", "sms")]
)
def test_a_product_that_mediation_makes_must_be_there_under_its_service(code: str, service: str) -> None:
    """Otherwise each such event is rejected as unknown_product, as if the record were at fault."""
    catalog = read_product_catalog()
    refused = f"mediation makes {code} of {service} records, and rejects them all as unknown_product without it"
    assert product_catalog_findings(without(catalog, {"product_code": code})) == [
        f"product_catalog: no product {code}; {refused}"
    ]
    other, unit = ("sms", "event") if service == "voice" else ("voice", "minute")
    assert product_catalog_findings(changed(catalog, {"product_code": code}, service_type=other, unit=unit)) == [
        f"product_catalog {code}: service_type is {other!r}, expected {service!r}; {refused}"
    ]


def test_a_catalogue_is_judged_by_the_record_types_in_force() -> None:
    """A product that only another type makes is missing with it; its unit and service are known with it alone."""
    mms = RecordType(name="mms", events="", subscriber="sender_id", other_party="receiver_id", units=Units("event"))
    types, catalog = RecordTypes((*RECORD_TYPES, mms)), read_product_catalog()
    assert [finding.split(";")[0] for finding in product_catalog_findings(catalog, types)] == [
        "product_catalog: no product MMS_NAT",
        "product_catalog: no product MMS_INT",
    ]
    rows = [
        {"product_code": f"MMS_{end}", "service_type": "mms", "unit": unit, "rate_type": "flat", "description": "x"}
        for end, unit in (("NAT", "event"), ("INT", "MB"))
    ]
    wider = pa.concat_tables([catalog, pa.Table.from_pylist(rows, catalog.schema)])
    assert product_catalog_findings(wider, types) == [
        "product_catalog MMS_INT: unit is 'MB', but mms is counted in 'event'"
    ]
    assert product_catalog_findings(wider) == [
        f"product_catalog: service_type 'mms' in 2 rows is unknown; expected one of {', '.join(RECORD_TYPES.names)}"
    ]


def test_a_product_that_records_name_may_have_any_code() -> None:
    catalog = without(read_product_catalog(), {"product_code": "DATA_PREMIUM"})
    assert product_catalog_findings(changed(catalog, {"product_code": "DATA_BASIC"}, product_code="NET")) == []


PRICES = ("unit_price", "free_units", "tier_threshold", "tier_price")
#: Product and its price, and what of it no event can reach. An event is one message, at most 10,000,000 s (166,666.67,
#: so 166,667 minutes) or 10,000,000 MB.
REACHED: list[tuple[str, tuple[str | None, ...], list[str]]] = [
    ("SMS_NAT", ("0.04", "0", None, None), []),
    ("SMS_NAT", ("0.04", "0.999987", None, None), []),  # 0.00000052: 0.000001
    ("SMS_NAT", ("0.04", "0.999988", None, None), ["unit_price"]),  # 0.00000048: 0.000000
    ("SMS_NAT", ("0.000001", "0.5", None, None), []),  # 0.0000005: 0.000001
    ("SMS_NAT", ("0.000001", "0.500001", None, None), ["unit_price"]),
    ("SMS_NAT", ("0.04", "1", None, None), ["unit_price"]),
    ("SMS_NAT", ("0.04", "5", None, None), ["unit_price"]),
    ("SMS_NAT", ("0", "1", None, None), []),  # says itself that it costs nothing
    ("SMS_NAT", ("0.04", "0", "1", "0.02"), ["tier_price"]),
    ("SMS_NAT", ("0.04", "1", "100", "0.02"), ["unit_price", "tier_price"]),
    ("SMS_NAT", ("0.04", "0", "0.5", "0.02"), []),
    ("SMS_NAT", ("0.04", "0", "1", "0"), []),
    ("VOICE_NAT", ("0.01", "166666.99", None, None), []),
    ("VOICE_NAT", ("0.01", "166667", None, None), ["unit_price"]),
    ("DATA_BASIC", ("0.01", "9999999.99", None, None), []),
    ("DATA_BASIC", ("0.01", "10000000", None, None), ["unit_price"]),
    ("DATA_BASIC", ("0.01", "50", "9999999.99", "0.02"), []),
    ("DATA_BASIC", ("0.01", "50", "10000000", "0.02"), ["tier_price"]),
    ("DATA_BASIC", ("0.01", "1024", "1024", "0.02"), []),  # free up to the tier
    ("DATA_BASIC", ("0.01", None, None, None), []),  # what is missing is a finding of its own
]


@pytest.mark.parametrize(("code", "figures", "unreached"), REACHED)
def test_a_price_that_no_event_can_reach_is_advised_of(
    code: str, figures: tuple[str | None, ...], unreached: list[str]
) -> None:
    key = {"rate_plan_id": "PLAN_A", "product_code": code}
    values = {name: figure and Decimal(figure) for name, figure in zip(PRICES, figures, strict=True)}
    rate_type = "flat" if figures[2] is None else "tiered"
    plans = read_rate_plans()
    plans = changed(plans.filter(pc.equal(plans["product_code"], code)), {}, free_units=Decimal(0))
    catalog = changed(read_product_catalog(), {"product_code": code}, rate_type=rate_type)
    advice = unreachable_prices(changed(plans, key, **values), catalog)
    assert [text.split()[:3] for text in advice] == [["rate_plans", f"PLAN_A/{code}:", name] for name in unreached]


@given(
    code=st.sampled_from(("SMS_NAT", "VOICE_NAT", "DATA_BASIC")),
    figures=st.tuples(*[st.sampled_from(("0", "0.5", "1", "166666.5", "166667", "9999999.5", "10000000", "2e7"))] * 2),
    tiered=st.booleans(),
    tiny=st.booleans(),
)
@settings(max_examples=examples(200), derandomize=True, database=None, deadline=None)
def test_nothing_of_a_row_is_reached_where_the_largest_event_costs_nothing(
    code: str, figures: tuple[str, str], tiered: bool, tiny: bool
) -> None:
    free, threshold = sorted(map(Decimal, figures))
    unit_price = Decimal("0.000001") if tiny and not tiered else Decimal(1)
    price = oracle.Price(unit_price, free, threshold if tiered else None, Decimal(1) if tiered else None)
    most = {"SMS_NAT": 1, "VOICE_NAT": 166_667, "DATA_BASIC": 10_000_000}[code]
    row: dict[str, str | Decimal | None] = {
        "rate_plan_id": "A",
        "product_code": code,
        "service_type": code.split("_", maxsplit=1)[0].lower(),
    }
    row |= {"unit_price": price.unit_price, "free_units": free}
    row |= {"tier_threshold": price.tier_threshold, "tier_price": price.tier_price}
    plans = pa.Table.from_pylist([row], RATE_PLANS.arrow_schema())
    rate_type = "tiered" if tiered else "flat"
    advice = unreachable_prices(plans, changed(read_product_catalog(), {"product_code": code}, rate_type=rate_type))
    assert (len(advice) == 1 + tiered) == (price.cost(Decimal(most)) == 0)


def test_what_is_advised_of_the_packaged_tariffs() -> None:
    """Their free messages are of each event, and an event is one message."""
    assert unreachable_prices(read_rate_plans(), read_product_catalog()) == [
        f"rate_plans {plan}/SMS_NAT: unit_price {price} is never charged: {free} units of each event are free, "
        "and one sms event has 1 at most"
        for plan, price, free in (("PLAN_A", "0.04", 5), ("PLAN_B", "0.035", 3), ("PLAN_C", "0.035", 2))
    ]
    tiered = changed(
        read_rate_plans(),
        {"rate_plan_id": "PLAN_B", "product_code": "DATA_PREMIUM"},
        tier_threshold=Decimal(20_000_000),
    )
    assert unreachable_prices(tiered, read_product_catalog())[2] == (
        "rate_plans PLAN_B/DATA_PREMIUM: tier_price 0.055 is never charged: it holds above 20000000 units of an event, "
        "and one data event has 10000000 at most"
    )


def test_a_price_of_an_unknown_product_is_not_advised_of() -> None:
    plans = read_rate_plans()
    catalog = read_product_catalog()
    assert unreachable_prices(plans, without(catalog, {"product_code": "SMS_NAT"})) == []
    assert unreachable_prices(plans, changed(catalog, {"product_code": "SMS_NAT"}, service_type="mms")) == []


def test_wrong_customers_are_counted_by_value() -> None:
    row = {
        "customer_id": "212600000001",
        "customer_name": "Aïcha",
        "subscription_type": "postpaid",
        "rate_plan_id": "PLAN_A",
        "status": "active",
        "region": "Souss-Massa",
        "holder_no": 1,
    }
    good = [{**row, "customer_id": f"21260000000{n}"} for n in range(1, 4)]
    plans = known_plans(read_rate_plans())

    def findings(rows: list[dict[str, Any]]) -> list[str]:
        return customer_findings(pa.Table.from_pylist(rows, schema=CUSTOMERS.arrow_schema()), plans)

    assert findings(good) == []
    assert findings([{**one, "region": None} for one in good]) == ["customers: region is missing in 3 rows"]
    until, since = ({bound: dt.date(2026, 6, 10)} for bound in ("valid_to", "valid_from"))
    assert findings([{**good[0], **until}, {**good[0], **since}]) == []
    assert findings([{**good[0], "valid_to": dt.date(2026, 6, 12)}, {**good[0], **since}]) == [
        "customers: customer_id more than once on a day: 212600000001 (2026-06-10 to 2026-06-11)"
    ]
    assert findings([{**good[0], **until, **since}]) == [
        "customers 212600000001: valid_from is 2026-06-10 and valid_to 2026-06-10, so it is in force on no day; expected a later "
        "valid_to"
    ]
    assert findings([{**one, "rate_plan_id": "PLAN_X"} for one in good]) == [
        "customers: rate_plan_id 'PLAN_X' in 3 rows is unknown; expected one of PLAN_A, PLAN_B, PLAN_C"
    ]
    assert findings([{**good[0], "status": "Active"}]) == [
        "customers: status 'Active' in 1 row is unknown; expected one of active, inactive, suspended, terminated"
    ]


def test_a_number_that_is_listed_twice_is_found() -> None:
    listed = [dict.fromkeys(CUSTOMER_LIST.column_names) | {"customer_id": f"21260000000{n}"} for n in (1, 2)]

    def found(*rows: dict[str, Any]) -> list[str]:
        return repeated_customers(pa.Table.from_pylist(list(rows), schema=CUSTOMER_LIST.arrow_schema()))

    assert found(*listed) == []
    assert found(*listed, listed[0]) == [
        "customers: customer_id more than once: 212600000001 (one number may be written in several ways)"
    ]


def test_a_blank_at_the_end_of_a_plan_is_seen() -> None:
    """Of a plan, a product, a customer: wherever a message names one that only a blank tells from another."""
    plans, catalog = read_rate_plans(), read_product_catalog()
    price = {"rate_plan_id": "PLAN_A", "product_code": "SMS_NAT"}
    odd = changed(plans, price, rate_plan_id=BLANK_PLAN, unit_price=Decimal(-1))
    found = rate_plan_findings(odd, catalog)
    assert "rate_plans 'PLAN_A '/SMS_NAT: unit_price is -1.000000; expected 0 or more" in found
    assert "rate_plans 'PLAN_A ': no price for product SMS_INT" in found
    assert "rate_plans PLAN_A: no price for product SMS_NAT" in found
    odd_catalog = changed(catalog, {"product_code": "SMS_INT"}, product_code=BLANK_PRODUCT, unit="minute")
    assert r"rate_plans PLAN_B: no price for product 'SMS_INT\xa0'" in rate_plan_findings(plans, odd_catalog)
    wrong_unit = r"product_catalog 'SMS_INT\xa0': unit is 'minute', but sms is counted in 'event'"
    assert wrong_unit in product_catalog_findings(odd_catalog)
    twice = pa.concat_tables([odd, odd.filter(pc.equal(odd["rate_plan_id"], BLANK_PLAN))])
    assert (
        "rate_plans: rate_plan_id, product_code more than once on a day: 'PLAN_A '/SMS_NAT (every day)"
        in rate_plan_findings(twice, catalog)
    )
    free = changed(odd, {"rate_plan_id": BLANK_PLAN}, unit_price=Decimal(1), free_units=Decimal(5))
    assert any(
        advice.startswith("rate_plans 'PLAN_A '/SMS_NAT: unit_price 1 is")
        for advice in unreachable_prices(free, catalog)
    )
    row = dict.fromkeys(CUSTOMERS.column_names, "x") | {
        **dict.fromkeys(("activation_date", "valid_from"), dt.date(2026, 1, 1)),
        "valid_to": None,
        "holder_no": 1,
    }
    customers = [row | {"subscription_type": "prepaid", "status": "active", "rate_plan_id": "PLAN_A\t"}]
    [unknown] = customer_findings(pa.Table.from_pylist(customers, CUSTOMERS.arrow_schema()), known_plans(odd))
    assert unknown.endswith("expected one of PLAN_A, 'PLAN_A ', PLAN_B, PLAN_C")


# -- dates -----------------------------------------------------------------------------------------------------------

SMS = {"rate_plan_id": "PLAN_A", "product_code": "SMS_NAT"}


def dated(
    table: pa.Table, key: dict[str, str], *bounds: tuple[dt.date | None, dt.date | None], **values: Any
) -> pa.Table:
    """The table with the row of a key once for each pair of bounds."""
    rows = []
    for row in table.to_pylist():
        if key.items() <= row.items():
            rows += [{**row, **values, "valid_from": first, "valid_to": end} for first, end in bounds]
        else:
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=table.schema)


def march(day: int) -> dt.date:
    return dt.date(2026, 3, day)


def test_prices_may_follow_each_other() -> None:
    plans = dated(read_rate_plans(), SMS, (None, march(5)), (march(5), march(9)), (march(9), None))
    assert rate_plan_findings(plans, read_product_catalog()) == []
    assert missing_prices(plans, read_product_catalog()) == []


def test_two_prices_on_one_day_are_an_error() -> None:
    plans = dated(read_rate_plans(), SMS, (None, march(6)), (march(5), None))
    assert rate_plan_findings(plans, read_product_catalog()) == [
        "rate_plans: rate_plan_id, product_code more than once on a day: PLAN_A/SMS_NAT (2026-03-05)"
    ]


def test_two_rows_of_a_product_on_one_day_are_an_error() -> None:
    catalog = dated(read_product_catalog(), {"product_code": "SMS_NAT"}, (None, None), (march(5), march(7)))
    assert product_catalog_findings(catalog) == [
        "product_catalog: product_code more than once on a day: SMS_NAT (2026-03-05 to 2026-03-06)"
    ]


def test_a_stretch_without_a_price_is_advice() -> None:
    plans = dated(read_rate_plans(), SMS, (None, march(5)), (march(8), None))
    assert rate_plan_findings(plans, read_product_catalog()) == []
    assert missing_prices(plans, read_product_catalog()) == [
        "rate_plans PLAN_A/SMS_NAT: days without a price: 2026-03-05 to 2026-03-07; their events are suspended as no_price"
    ]


def test_days_on_which_there_is_no_plan_or_no_product_lack_no_price() -> None:
    """A plan that begins in March, with a product that begins later still."""
    plans = dated(read_rate_plans(), {"rate_plan_id": "PLAN_B"}, (march(1), None))
    plans = dated(plans, {"rate_plan_id": "PLAN_B", "product_code": "DATA_BASIC"}, (march(10), None))
    later = dated(read_product_catalog(), {"product_code": "DATA_BASIC"}, (march(10), None))
    assert missing_prices(plans, later) == []
    assert missing_prices(plans, read_product_catalog()) == [
        "rate_plans PLAN_B/DATA_BASIC: days without a price: 2026-03-01 to 2026-03-09; their events are suspended as no_price"
    ]


def test_a_product_of_mediation_that_pauses_is_advice() -> None:
    catalog = dated(read_product_catalog(), {"product_code": "VOICE_INT"}, (None, march(5)), (march(6), None))
    assert product_catalog_findings(catalog) == []
    assert missing_prices(read_rate_plans(), catalog) == [
        "product_catalog VOICE_INT: days without a price: 2026-03-05; their events are suspended as no_price"
    ]


def test_a_plan_that_ended_before_a_product_began_needs_no_price_for_it() -> None:
    plans = dated(read_rate_plans(), {"rate_plan_id": "PLAN_B"}, (None, march(1)))
    plans = without(plans, {"rate_plan_id": "PLAN_B", "product_code": "DATA_BASIC"})
    later = dated(read_product_catalog(), {"product_code": "DATA_BASIC"}, (march(1), None))
    sooner = dated(read_product_catalog(), {"product_code": "DATA_BASIC"}, (dt.date(2026, 2, 28), None))
    assert rate_plan_findings(plans, later) == []
    assert rate_plan_findings(plans, sooner) == ["rate_plans PLAN_B: no price for product DATA_BASIC"]


def test_a_tier_is_judged_by_the_catalogue_of_its_own_days() -> None:
    """A product that is tiered until the 5th and flat from then on."""
    catalog = dated(read_product_catalog(), {"product_code": "DATA_PREMIUM"}, (None, march(5)))
    flat = dated(read_product_catalog(), {"product_code": "DATA_PREMIUM"}, (march(5), None), rate_type="flat")
    both = pa.concat_tables([catalog, flat.filter(pc.equal(flat["product_code"], "DATA_PREMIUM"))])
    plans = read_rate_plans()
    follows = pa.concat_tables(
        [
            dated(plans, {"product_code": "DATA_PREMIUM"}, (None, march(5))),
            dated(
                plans, {"product_code": "DATA_PREMIUM"}, (march(5), None), tier_threshold=None, tier_price=None
            ).filter(pc.equal(plans["product_code"], "DATA_PREMIUM")),
        ]
    )
    assert rate_plan_findings(follows, both) == []
    assert rate_plan_findings(plans, both) == [
        f"rate_plans {plan}/DATA_PREMIUM: has a tier, but the catalogue says flat"
        for plan in ("PLAN_A", "PLAN_B", "PLAN_C")
    ]


def test_the_service_of_a_product_is_one_on_all_days() -> None:
    catalog = read_product_catalog()
    voice = dated(catalog, {"product_code": "SMS_NAT"}, (march(5), None), service_type="voice", unit="minute")
    both = pa.concat_tables(
        [
            dated(catalog, {"product_code": "SMS_NAT"}, (None, march(5))),
            voice.filter(pc.equal(voice["product_code"], "SMS_NAT")),
        ]
    )
    assert (
        "product_catalog SMS_NAT: service_type is sms and voice; expected one on all days"
        in product_catalog_findings(both)
    )


def test_only_one_of_the_columns_of_dates_is_needed(file: Callable[[str | bytes], Path]) -> None:
    path = file(f"valid_from,{HEADER}\n2026-03-05,{GOOD}\n,{GOOD.replace('PLAN_A', 'PLAN_B')}\n")
    rows = read_rate_plans(path).to_pylist()
    assert [(row["valid_from"], row["valid_to"]) for row in rows] == [(march(5), None), (None, None)]


@pytest.mark.parametrize("text", ["2026-02-30", "2026-3-5", "20260305", "05/03/2026", "2026-03-05T00:00"])
def test_a_day_is_written_in_full(file: Callable[[str | bytes], Path], text: str) -> None:
    with pytest.raises(InputFileError) as raised:
        read_rate_plans(file(f"{HEADER},valid_to\n{GOOD},{text}\n"))
    assert f"line 2: valid_to is {text!r}; expected a day such as 2026-11-01" in str(raised.value)
