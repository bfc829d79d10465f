"""What a record type may be: what follows from one, and the sentences for those that contradict themselves or each other."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from resources.engine import SparkEngine
from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.intake.admission import admit
from telecom_assets.mediation.rules import mediate, rejection_reasons
from telecom_assets.rating.month_rules import smallest_volumes
from telecom_assets.rating.rules import rate
from telecom_assets.record_types.data import DATA, SESSION_DURATION, VOLUME
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import Quantity, RecordType, RecordTypeError, Units
from telecom_assets.record_types.sms import SMS
from telecom_assets.record_types.voice import DURATION, VOICE
from telecom_assets.reports.rules import BilledMonth, report
from telecom_assets.reports.tables import TOP10_CONSUMERS, TRAFFIC_HOURLY
from telecom_assets.tables import TABLES, tables_of
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import Message
from telecom_assets_tests.stages.chain import (
    CALENDAR_START,
    contract_frame,
    imputed,
    messages_frame,
    reference_data,
    rows_of,
    stored,
)

MMS = RecordType(name="mms", events="pictures", subscriber="sender_id", other_party="receiver_id", units=Units("event"))
THREE = RecordTypes((VOICE, SMS, DATA))


def test_the_record_types_are_those_of_the_requirements() -> None:
    assert {each.name: (*oracle._COMMON_FIELDS, *each.fields) for each in RECORD_TYPES} == oracle.FIELDS_OF_TYPE
    assert rejection_reasons(RECORD_TYPES) == oracle.REJECTION_REASONS
    assert set(RECORD_TYPES.forgiven_fields) == oracle._missing_when_nested(oracle.KINDS)


def test_what_follows_from_them() -> None:
    """10,000,000 s are 166,666 minutes and 40 s: 166,667 that have begun."""
    assert {each.name: each.most_units for each in THREE} == {"voice": 166_667, "sms": 1, "data": 10_000_000}
    assert THREE.imputed == (DATA, VOLUME)
    assert THREE.counted_in("MB") == ("data",)
    assert THREE.in_words == "voice, sms or data"
    assert RecordTypes([SMS]).in_words == "sms"
    assert dict(RecordTypes([SMS, MMS]).made_products) == {
        "SMS_NAT": "sms",
        "SMS_INT": "sms",
        "MMS_NAT": "mms",
        "MMS_INT": "mms",
    }


def test_a_field_of_two_types_is_one_column() -> None:
    assert RecordTypes([SMS, MMS]).own_fields == ("sender_id", "receiver_id")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"name": "Voice"}, "its name is none"),
        ({"name": "é"}, "its name is none"),
        ({"subscriber": "caller id"}, "'caller id' is no name of a field"),
        ({"subscriber": "timestamp"}, "a field stands twice"),
        ({"other_party": "caller_id"}, "a field stands twice"),
        ({"other_party": None}, "expected either other_party"),
        ({"product_field": "product_code"}, "expected either other_party"),
        ({"units": Units("minute", "length_sec")}, "units are counted of 'length_sec'"),
        ({"quantities": (replace(DURATION, required=False),)}, "duration_sec is charged; expected it judged"),
        ({"quantities": (replace(DURATION, judged=False),)}, "duration_sec is charged; expected it judged"),
        ({"quantities": (replace(DURATION, imputed=True),)}, "a quantity is imputed"),
        ({"quantities": (DURATION, replace(SESSION_DURATION, imputed=True))}, "a quantity is imputed"),
    ],
)
def test_a_type_that_contradicts_itself_is_refused(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(RecordTypeError, match=rf"record type .*: .*{problem}"):
        replace(VOICE, **changed)


@pytest.mark.parametrize(
    ("types", "problem"),
    [
        ([], "no record types are given"),
        ([SMS, replace(MMS, name="sms")], "a name stands twice"),
        ([SMS, replace(MMS, subscriber="receiver_id", other_party="sender_id")], "field receiver_id is another thing"),
        (
            [VOICE, replace(VOICE, name="video", quantities=(replace(DURATION, scale=0),))],
            "field duration_sec is another",
        ),
        ([DATA, replace(DATA, name="data5g")], "two record types have a quantity that is imputed"),
    ],
)
def test_types_that_do_not_go_together_are_refused(types: list[RecordType], problem: str) -> None:
    with pytest.raises(RecordTypeError, match=problem):
        RecordTypes(types)


@pytest.mark.parametrize(
    ("record_type", "problem"),
    [
        (
            replace(MMS, on_bill=True),
            "'mms' is to have columns of its own on the bill, which has those of voice, sms, data",
        ),
        (replace(MMS, subscriber="value"), "table raw_cdrs: value stands twice among its columns"),
        (replace(MMS, subscriber="event_ts"), "table raw_cdrs: event_ts stands twice among its columns"),
    ],
)
def test_types_without_a_place_in_the_tables_are_refused_when_definitions_are_made(
    record_type: RecordType, problem: str
) -> None:
    types = (*RECORD_TYPES, record_type)
    with pytest.raises(RecordTypeError, match=problem):
        tables_of(types)
    with pytest.raises(RecordTypeError, match=problem):
        build_defs(Settings(), record_types=types)


def test_tables_of_other_types_keep_the_columns_there_are() -> None:
    """A column of the contract stays where it is; the new type's come behind the others of their kind."""
    size = replace(SESSION_DURATION, field="size_kb", noun="size")
    own, wider = tables_of(THREE), tables_of((*THREE, replace(MMS, quantities=(size,))))
    for name, before in (("raw_cdrs", "product_code"), ("cleaned_cdrs", "session_duration_sec")):
        columns = wider[name].column_names
        assert [each for each in columns if each != "size_kb"] == own[name].column_names
        assert columns[columns.index("size_kb") - 1] == before
    assert {name: each for name, each in wider.items() if name not in ("raw_cdrs", "cleaned_cdrs")} == {
        name: each for name, each in own.items() if name not in ("raw_cdrs", "cleaned_cdrs")
    }


# ------------------------------------------------------------------------------- a quantity of its own, that is charged

PAGES = Quantity("pages_count", "pages", "pages", 1, "Pages.", most=1_000, required=True, positive=True)
WEIGHT = Quantity("weight_mg", "weight", "milligrams", 0, "Weight.", most=100)
#: Charged by sheets of two pages, of which one that has begun is a whole one.
FAX = RecordType(
    name="fax",
    events="faxes",
    subscriber="caller_id",
    other_party="callee_id",
    quantities=(PAGES, WEIGHT),
    units=Units("sheet", PAGES.field, started=2),
)
WITH_FAX = RecordTypes((*RECORD_TYPES, FAX))
#: Fields of a fax, with the reason why it is refused or its sheets, and what its detail says.
FAXES: tuple[tuple[dict[str, Any], Decimal | str, str | None], ...] = (
    ({"pages_count": 1, "weight_mg": 5}, Decimal("1.000000"), "ready"),
    ({"pages_count": 4}, Decimal("2.000000"), "needs_review"),
    ({"pages_count": 4.1, "weight_mg": 0}, Decimal("3.000000"), "ready"),
    ({"pages_count": 1000.04, "weight_mg": 100}, Decimal("500.000000"), "ready"),
    ({}, "missing_pages", None),
    ({"pages_count": [1]}, "invalid_pages", "[…]"),
    ({"pages_count": "two"}, "invalid_pages", "two"),
    ({"pages_count": 0.04}, "non_positive_pages", "0.04"),
    ({"pages_count": 1000.06}, "quantity_out_of_range", "1000.06"),
    ({"pages_count": 2, "weight_mg": "-0.1"}, "invalid_weight", "-0.1"),
    ({"pages_count": 2, "weight_mg": 100.1}, "quantity_out_of_range", "2"),
)


def test_a_charged_quantity_of_its_own_is_judged_counted_and_refused(engine: SparkEngine) -> None:
    """By hand; pages are judged as they are stored, to a tenth, and a weight as it is written."""
    common = {"record_type": "fax", "timestamp": "2026-03-31T12:00:00"}
    parties = {"caller_id": "212600000001", "callee_id": "212700000003"}
    values = [
        json.dumps({"record_ID": f"fax-{number}", **common, **parties, **own}).encode()
        for number, (own, _, _) in enumerate(FAXES)
    ]
    messages = [Message(0, offset, cdrs.FIRST_RECEIPT, value) for offset, value in enumerate(values)]
    admitted = admit(
        messages_frame(engine, messages),
        max_age_days=62,
        accept_months=set(),
        calendar_start=CALENDAR_START,
        now=datetime(2026, 12, 1, tzinfo=UTC),
        record_types=WITH_FAX,
    )
    product = {"product_code": "FAX_NAT", "service_type": "fax", "unit": "sheet", "rate_type": "flat"}
    price = {
        "rate_plan_id": "PLAN_A",
        "product_code": "FAX_NAT",
        "service_type": "fax",
        "unit_price": 1,
        "free_units": 0,
    }
    prices = reference_data(engine, rate_plans=[price], catalogue=[product])
    raw = stored(engine, admitted)
    outcomes = mediate(raw, raw, prices.product_catalog, dedupe_days=31, record_types=WITH_FAX)
    cleaned = stored(engine, outcomes.cleaned)
    rated = rows_of(rate(cleaned, prices, missing_volume="customer_min", record_types=WITH_FAX).rated)

    found = {row["source_position"]: (row["billable_units"], row["rating_status"]) for row in rated}
    assert all(row["amount"] == row["billable_units"] for row in rated)
    found |= {row["source_position"]: (row["reason"], row["detail"]) for row in rows_of(outcomes.rejected)}
    assert found == {offset: (outcome, in_words) for offset, (_, outcome, in_words) in enumerate(FAXES)}
    assert {outcome for _, outcome, _ in FAXES if isinstance(outcome, str)} <= set(rejection_reasons(WITH_FAX))


def test_without_a_type_that_imputes_and_without_one_in_megabytes_nothing_is_found(engine: SparkEngine) -> None:
    types = RecordTypes([VOICE, SMS])
    event = {"record_id": "a", "subscriber_id": "212600000001", "record_type": "voice", "duration_sec": "61"}
    day = {"event_date": date(2026, 3, 31), "product_code": "VOICE_NAT", "rating_status": "ready"}
    cleaned = contract_frame(engine, tables_of(types)["cleaned_cdrs"], [{**event, **day}])
    ratings = rate(cleaned, reference_data(engine), missing_volume="customer_min", record_types=types)
    assert rows_of(smallest_volumes(ratings.rated, ratings.suspended, types)) == []
    assert rows_of(imputed(engine, ratings.rated, ratings.suspended, record_types=types)) == []
    rated = stored(engine, ratings.rated)
    [row] = rows_of(rated)
    assert (row["billable_units"], row["imputed"]) == (Decimal("2.000000"), False)
    lines, bills = (contract_frame(engine, TABLES[name], []) for name in ("bill_lines", "facturation_complete"))
    for contract in (TOP10_CONSUMERS, TRAFFIC_HOURLY):
        assert rows_of(report(contract, BilledMonth(rated, lines, bills, types=types), "2026-03")) == []
