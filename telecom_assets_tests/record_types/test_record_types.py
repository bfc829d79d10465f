"""What a record type may be: what follows from one, and the sentences for those that contradict themselves or each other."""

from dataclasses import replace

import pytest

from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.mediation.rules import rejection_reasons
from telecom_assets.record_types.data import DATA, SESSION_DURATION, VOLUME
from telecom_assets.record_types.in_force import RECORD_TYPES, RecordTypes
from telecom_assets.record_types.record_type import RecordType, RecordTypeError, Units
from telecom_assets.record_types.sms import SMS
from telecom_assets.record_types.voice import DURATION, VOICE
from telecom_assets.tables import tables_of
from telecom_assets_tests import oracle

MMS = RecordType(name="mms", events="pictures", subscriber="sender_id", other_party="receiver_id", units=Units("event"))


def test_the_record_types_are_those_of_the_requirements():
    assert {each.name: (*oracle._COMMON_FIELDS, *each.fields) for each in RECORD_TYPES} == oracle.FIELDS_OF_TYPE
    assert rejection_reasons(RECORD_TYPES) == oracle.REJECTION_REASONS
    assert set(RECORD_TYPES.forgiven_fields) == oracle._missing_when_nested(oracle.KINDS)


def test_what_follows_from_them():
    """10,000,000 s are 166,666 minutes and 40 s: 166,667 that have begun."""
    assert {each.name: each.most_units for each in RECORD_TYPES} == {"voice": 166_667, "sms": 1, "data": 10_000_000}
    assert RECORD_TYPES.imputed == (DATA, VOLUME)
    assert RECORD_TYPES.counted_in("MB") == ("data",)
    assert RECORD_TYPES.told == "voice, sms or data"
    assert RecordTypes([SMS]).told == "sms"
    assert dict(RecordTypes([SMS, MMS]).made_products) == {
        "SMS_NAT": "sms",
        "SMS_INT": "sms",
        "MMS_NAT": "mms",
        "MMS_INT": "mms",
    }


def test_a_field_of_two_types_is_one_column():
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
def test_a_type_that_contradicts_itself_is_refused(changed: dict, problem: str):
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
def test_types_that_do_not_go_together_are_refused(types: list[RecordType], problem: str):
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
):
    types = (*RECORD_TYPES, record_type)
    with pytest.raises(RecordTypeError, match=problem):
        tables_of(types)
    with pytest.raises(RecordTypeError, match=problem):
        build_defs(Settings(), record_types=types)


def test_tables_of_other_types_keep_the_columns_there_are():
    """A column of the contract stays where it is; the new type's come behind the others of their kind."""
    size = replace(SESSION_DURATION, field="size_kb", noun="size")
    own, wider = tables_of(RECORD_TYPES), tables_of((*RECORD_TYPES, replace(MMS, quantities=(size,))))
    for name, before in (("raw_cdrs", "product_code"), ("cleaned_cdrs", "session_duration_sec")):
        columns = wider[name].column_names
        assert [each for each in columns if each != "size_kb"] == own[name].column_names
        assert columns[columns.index("size_kb") - 1] == before
    assert {name: each for name, each in wider.items() if name not in ("raw_cdrs", "cleaned_cdrs")} == {
        name: each for name, each in own.items() if name not in ("raw_cdrs", "cleaned_cdrs")
    }
