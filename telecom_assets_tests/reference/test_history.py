"""The history of customers: what was stored, and what was read or imported on a day, make the new history."""

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecom_assets.model.stretches import Stretch
from telecom_assets.reference.as_of import differing_days, validity_findings
from telecom_assets.reference.history import (
    after_import,
    after_read,
    as_history,
    ended_active,
    present,
    with_ends,
)
from telecom_assets.reference.tables import CUSTOMER_LIST, CUSTOMERS, NEW_HOLDER

Row = dict[str, Any]
CONTENT = [name for name in CUSTOMER_LIST.column_names if name != "customer_id"]
A, B = "212600000001", "212600000002"


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(f"2026-{text}")


TODAY, TOMORROW = day("11-20"), day("11-21")


def person(customer_id: str = A, **changed: Any) -> Row:
    about = {
        "customer_name": "Aïcha Benali",
        "subscription_type": "postpaid",
        "rate_plan_id": "PLAN_A",
        "activation_date": day("03-01"),
        "status": "active",
        "region": "Souss-Massa",
    }
    return {"customer_id": customer_id, **about, **changed}


def version(first: str | None, end: str | None, holder: int = 1, **changed: Any) -> Row:
    """A version of a person: in force from the first of these days up to and without the second."""
    bounds = {"valid_from": day(first) if first else None, "valid_to": day(end) if end else None}
    return {**person(**changed), **bounds, "holder_no": holder}


def listed(*rows: Row) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=CUSTOMER_LIST.arrow_schema())


def history(*rows: Row) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=CUSTOMERS.arrow_schema())


def filed(*rows: Row) -> pa.Table:
    """Rows of a file: people, with `valid_from` and `new_holder` where they have them."""
    schema = pa.schema([*CUSTOMER_LIST.arrow_schema(), ("valid_from", pa.date32()), (NEW_HOLDER, pa.bool_())])
    return pa.Table.from_pylist([{"valid_from": None, NEW_HOLDER: False, **row} for row in rows], schema=schema)


def ordered(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["customer_id"], row["valid_from"] or dt.date.min))


def is_now(found: pa.Table, *rows: Row) -> None:
    assert found.schema == CUSTOMERS.arrow_schema()
    assert ordered(found.to_pylist()) == ordered(rows)


# -- a list that was read --------------------------------------------------------------------------------------------


def test_who_is_seen_first_is_valid_from_his_activation_date() -> None:
    is_now(after_read(history(), listed(person()), TODAY), version("03-01", None))


def test_who_is_seen_first_without_an_activation_date_is_valid_without_bound() -> None:
    read = listed(person(activation_date=None))
    is_now(after_read(history(), read, TODAY), version(None, None, activation_date=None))


def test_who_is_as_he_was_stays() -> None:
    stored = history(version(None, "05-01"), version("05-01", None, region="L'Oriental"))
    is_now(after_read(stored, listed(person(region="L'Oriental")), TODAY), *stored.to_pylist())


@pytest.mark.parametrize("changed", [{name: None} for name in CONTENT] + [{"rate_plan_id": "PLAN_B"}])
def test_a_change_holds_from_the_day_on_which_it_was_read(changed: Row) -> None:
    found = after_read(history(version("03-01", None)), listed(person(**changed)), TODAY)
    is_now(found, version("03-01", "11-20"), version("11-20", None, **changed))


def test_of_two_changes_on_one_day_the_later_one_holds_the_whole_day() -> None:
    stored = history(version("03-01", "11-20"), version("11-20", None, rate_plan_id="PLAN_B"))
    found = after_read(stored, listed(person(rate_plan_id="PLAN_C")), TODAY)
    is_now(found, version("03-01", "11-20"), version("11-20", None, rate_plan_id="PLAN_C"))


def test_a_change_that_is_taken_back_on_its_day_leaves_no_trace() -> None:
    stored = history(version("03-01", "11-20"), version("11-20", None, rate_plan_id="PLAN_B"))
    is_now(after_read(stored, listed(person()), TODAY), version("03-01", None))


def test_who_is_gone_is_ended_on_the_day_of_the_read() -> None:
    stored = history(version("03-01", None), version(None, None, customer_id=B))
    is_now(after_read(stored, listed(person(B)), TODAY), version("03-01", "11-20"), version(None, None, customer_id=B))


def test_who_was_gone_already_keeps_his_end() -> None:
    is_now(after_read(history(version("03-01", "06-01")), listed(), TODAY), version("03-01", "06-01"))


def test_who_goes_on_the_day_of_his_change_has_no_version_of_that_day() -> None:
    stored = history(version("03-01", "11-20"), version("11-20", None, rate_plan_id="PLAN_B"))
    is_now(after_read(stored, listed(), TODAY), version("03-01", "11-20"))


def test_who_goes_before_his_activation_was_never_there() -> None:
    stored = history(version("12-05", None, activation_date=day("12-05")))
    is_now(after_read(stored, listed(), TODAY))


def test_who_comes_back_on_the_same_day_was_never_away() -> None:
    is_now(after_read(history(version("03-01", "11-20")), listed(person()), TODAY), version("03-01", None))
    changed = after_read(history(version("03-01", "11-20")), listed(person(region="L'Oriental")), TODAY)
    is_now(changed, version("03-01", "11-20"), version("11-20", None, region="L'Oriental"))


def test_who_comes_again_is_the_next_holder_from_his_new_activation() -> None:
    stored = history(version("03-01", "06-01"))
    found = after_read(stored, listed(person(activation_date=day("11-10"))), TODAY)
    is_now(found, version("03-01", "06-01"), version("11-10", None, 2, activation_date=day("11-10")))


@pytest.mark.parametrize("activation", [day("03-01"), day("05-31"), None])
def test_who_comes_again_with_an_earlier_activation_is_the_next_holder_from_the_day_of_the_read(
    activation: dt.date | None,
) -> None:
    stored = history(version("03-01", "06-01"))
    found = after_read(stored, listed(person(activation_date=activation)), TODAY)
    is_now(found, version("03-01", "06-01"), version("11-20", None, 2, activation_date=activation))


def test_who_comes_again_on_the_day_after_his_end_is_the_next_holder() -> None:
    found = after_read(history(version("03-01", "11-20")), listed(person()), TOMORROW)
    is_now(found, version("03-01", "11-20"), version("11-21", None, 2))


def test_an_activation_to_come_that_moves_is_followed() -> None:
    stored = history(version("12-05", None, activation_date=day("12-05")))
    for moved, begins in ((day("12-09"), "12-09"), (day("12-01"), "12-01"), (day("11-01"), "11-20"), (None, "11-20")):
        found = after_read(stored, listed(person(activation_date=moved)), TODAY)
        is_now(found, version(begins, None, activation_date=moved))


def test_no_list_ends_all() -> None:
    assert after_read(history(), listed(), TODAY).num_rows == 0
    is_now(after_read(history(version(None, None)), listed(), TODAY), version(None, "11-20"))


# -- how many a read ends --------------------------------------------------------------------------------------------


def test_the_active_customers_that_a_read_ends_are_counted() -> None:
    c, d, e = "212600000003", "212600000004", "212600000005"
    stored = history(
        version("03-01", None),
        version("03-01", "05-01", customer_id=B),
        version("05-01", None, customer_id=B, region="L'Oriental"),
        version("03-01", None, customer_id=c, status="terminated"),
        version("03-01", "06-01", customer_id=d),
        version("12-05", None, customer_id=e),
    )
    found = ended_active(stored, after_read(stored, listed(person()), TODAY), TODAY)
    assert (found.active, found.ended, found.first) == (2, 1, (B,))


# -- a file ----------------------------------------------------------------------------------------------------------


def dated(first: str, **changed: Any) -> Row:
    return {
        **person(**{name: each for name, each in changed.items() if name != NEW_HOLDER}),
        "valid_from": day(first),
    } | {name: each for name, each in changed.items() if name == NEW_HOLDER}


def test_a_row_with_the_day_of_a_version_corrects_it() -> None:
    stored = history(version("03-01", "05-01"), version("05-01", None, region="L'Oriental"))
    found = after_import(stored, filed(dated("03-01", rate_plan_id="PLAN_B")), TODAY)
    is_now(found, version("03-01", "05-01", rate_plan_id="PLAN_B"), version("05-01", None, region="L'Oriental"))


def test_a_row_between_two_versions_holds_up_to_the_next() -> None:
    stored = history(version("03-01", "05-01"), version("05-01", None, region="L'Oriental"))
    found = after_import(stored, filed(dated("04-01", rate_plan_id="PLAN_B")), TODAY)
    is_now(
        found,
        version("03-01", "04-01"),
        version("04-01", "05-01", rate_plan_id="PLAN_B"),
        version("05-01", None, region="L'Oriental"),
    )


def test_a_row_before_the_first_version_belongs_to_the_same_holder() -> None:
    found = after_import(history(version("03-01", None)), filed(dated("01-01", rate_plan_id="PLAN_B")), TODAY)
    is_now(found, version("01-01", "03-01", rate_plan_id="PLAN_B"), version("03-01", None))
    is_now(after_import(history(version("03-01", None)), filed(dated("01-01")), TODAY), version("01-01", None))


def test_a_row_of_a_new_customer_begins_his_history() -> None:
    is_now(after_import(history(), filed(dated("05-01")), TODAY), version("05-01", None))


def test_a_row_marked_as_new_holder_begins_one_there() -> None:
    stored = history(version("03-01", "10-01"), version("10-01", None, region="L'Oriental"))
    found = after_import(stored, filed(dated("05-01", customer_name="Ali Bahi", new_holder=True)), TODAY)
    is_now(
        found,
        version("03-01", "05-01"),
        version("05-01", "10-01", 2, customer_name="Ali Bahi"),
        version("10-01", None, 2, region="L'Oriental"),
    )


def test_a_new_holder_may_be_like_the_one_before() -> None:
    found = after_import(history(version("03-01", None)), filed(dated("05-01", new_holder=True)), TODAY)
    is_now(found, version("03-01", "05-01"), version("05-01", None, 2))


def test_a_corrected_version_begins_a_holder_where_it_did() -> None:
    stored = history(version("03-01", "05-01"), version("05-01", None, 2))
    found = after_import(stored, filed(dated("05-01", rate_plan_id="PLAN_B")), TODAY)
    is_now(found, version("03-01", "05-01"), version("05-01", None, 2, rate_plan_id="PLAN_B"))
    gap = history(version("03-01", "05-01"), version("06-01", None, 2))
    found = after_import(gap, filed(dated("06-01", rate_plan_id="PLAN_B")), TODAY)
    is_now(found, version("03-01", "05-01"), version("06-01", None, 2, rate_plan_id="PLAN_B"))


def test_a_row_within_a_gap_belongs_to_the_holder_after_it() -> None:
    stored = history(version("03-01", "05-01"), version("09-01", None, 2))
    found = after_import(stored, filed(dated("07-01"), dated("08-01", region="L'Oriental")), TODAY)
    is_now(
        found,
        version("03-01", "05-01"),
        version("07-01", "08-01", 2),
        version("08-01", "09-01", 2, region="L'Oriental"),
        version("09-01", None, 2),
    )


def test_a_row_on_the_day_of_an_end_goes_on_with_that_holder() -> None:
    stored = history(version("03-01", "05-01"), version("09-01", None, 2))
    is_now(after_import(stored, filed(dated("05-01")), TODAY), version("03-01", "09-01"), version("09-01", None, 2))


def test_a_row_after_an_end_begins_the_next_holder() -> None:
    found = after_import(history(version("03-01", "05-01")), filed(dated("07-01")), TODAY)
    is_now(found, version("03-01", "05-01"), version("07-01", None, 2))


def test_a_row_that_says_what_holds_already_changes_nothing() -> None:
    stored = history(version("03-01", "05-01"), version("09-01", None, 2))
    is_now(after_import(stored, filed(dated("04-01"), dated("10-01")), TODAY), *stored.to_pylist())


def test_what_differs_in_rows_without_a_day_holds_from_today() -> None:
    c = "212600000003"
    stored = history(version("03-01", None), version("03-01", None, customer_id=B), version(None, None, customer_id=c))
    found = after_import(stored, filed(person(rate_plan_id="PLAN_B"), person(B)), TODAY)
    is_now(
        found,
        version("03-01", "11-20"),
        version("11-20", None, rate_plan_id="PLAN_B"),
        version("03-01", None, customer_id=B),
        version(None, None, customer_id=c),
    )


def test_a_new_holder_without_a_day_begins_today() -> None:
    found = after_import(history(version("03-01", None)), filed({**person(), NEW_HOLDER: True}), TODAY)
    is_now(found, version("03-01", "11-20"), version("11-20", None, 2))


def test_the_rows_that_say_how_customers_are_now() -> None:
    """…1 has a later version than the row, …2 not; …3 is new, without a day."""
    c = "212600000003"
    stored = history(
        version("03-01", "05-01"),
        version("05-01", None, region="L'Oriental"),
        version("03-01", None, customer_id=B),
    )
    file = filed(
        dated("04-01", rate_plan_id="PLAN_B"),
        dated("04-01", customer_id=B, rate_plan_id="PLAN_B"),
        dated("05-01", customer_id=B, rate_plan_id="PLAN_C"),
        person(c),
    )
    found = present(file, after_import(stored, file, TODAY))
    assert found.schema == CUSTOMER_LIST.arrow_schema()
    assert found.to_pylist() == [person(B, rate_plan_id="PLAN_C"), person(c)]


# -- a table that has the dates itself -------------------------------------------------------------------------------


def test_a_table_with_dates_is_the_history_itself() -> None:
    rows = [
        version(None, "05-01"),
        version("05-01", "07-01"),  # equal to the one before: it stays as it is
        version("09-01", None, 2),
        version("03-01", "04-01", customer_id=B),
    ]
    read = history(*reversed(rows)).drop_columns(["holder_no"])
    is_now(as_history(read), *rows)


# -- by hypothesis: against a model that looks at single days --------------------------------------------------------

#: The days of the model. Before the first and after the last all days are alike.
DAYS = [day("11-01") + dt.timedelta(number) for number in range(12)]
ids = st.sampled_from([A, B])
plans = st.sampled_from(["PLAN_A", "PLAN_B"])
activations = st.sampled_from([None, *DAYS])
people = st.builds(
    lambda who, plan, since: person(who, rate_plan_id=plan, activation_date=since), ids, plans, activations
)
lists = st.lists(people, unique_by=lambda row: row["customer_id"])
reads = st.lists(st.tuples(st.sampled_from(DAYS), lists), max_size=6).map(
    lambda found: sorted(found, key=lambda each: each[0])
)


def state(table: pa.Table, who: str, on: dt.date) -> tuple[Any, ...] | None:
    """What a history says of a number on a day: holder, plan and activation; None when nothing is in force."""
    found = [
        row
        for row in table.to_pylist()
        if row["customer_id"] == who
        and (row["valid_from"] is None or row["valid_from"] <= on)
        and (row["valid_to"] is None or on < row["valid_to"])
    ]
    assert len(found) <= 1
    return (found[0]["holder_no"], found[0]["rate_plan_id"], found[0]["activation_date"]) if found else None


def is_a_history(table: pa.Table) -> None:
    """No overlap, no empty version, holders counted from 1 without a gap, and no two equal versions in a row."""
    assert validity_findings(table, CUSTOMERS) == []
    rows = ordered(table.to_pylist())
    for who in (A, B):
        own = [row for row in rows if row["customer_id"] == who]
        assert [row["holder_no"] for row in own[:1]] in ([], [1])
        for before, after in pairwise(own):
            assert after["holder_no"] - before["holder_no"] in (0, 1)
            adjoins = before["valid_to"] == after["valid_from"]
            assert adjoins or after["holder_no"] == before["holder_no"] + 1
            same = all(before[name] == after[name] for name in CONTENT)
            assert not (adjoins and same and after["holder_no"] == before["holder_no"])


@given(reads)
def test_a_read_changes_no_day_before_it_and_says_what_holds_from_then_on(
    found: list[tuple[dt.date, list[Row]]],
) -> None:
    stored = history()
    for on, rows in found:
        before, stored = stored, after_read(stored, listed(*rows), on)
        is_a_history(stored)
        for who in (A, B):
            known = next((row for row in rows if row["customer_id"] == who), None)
            was = [row for row in before.to_pylist() if row["customer_id"] == who]
            now = state(stored, who, dt.date.max - dt.timedelta(1))
            assert (now and now[1:]) == (known and (known["rate_plan_id"], known["activation_date"]))
            if was and (known is None or was[-1]["valid_to"] is None):
                assert all(state(stored, who, each) == state(before, who, each) for each in DAYS if each < on)
            if known is None:
                assert all(state(stored, who, each) is None for each in DAYS if each >= on)
        assert after_read(stored, listed(*rows), on).equals(stored)


imported = st.lists(
    st.builds(
        lambda row, since, new: {**row, "valid_from": since, NEW_HOLDER: new},
        people,
        st.sampled_from(DAYS),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda row: (row["customer_id"], row["valid_from"]),
)


@pytest.mark.thorough
@given(reads, imported)
def test_dated_rows_hold_up_to_the_next_moment_of_their_customer(
    found: list[tuple[dt.date, list[Row]]], rows: list[Row]
) -> None:
    stored = history()
    for on, people_then in found:
        stored = after_read(stored, listed(*people_then), on)
    new = after_import(stored, filed(*rows), DAYS[-1])
    is_a_history(new)
    for who in (A, B):
        own = [row for row in stored.to_pylist() if row["customer_id"] == who]
        moments = {row[bound] for row in own for bound in ("valid_from", "valid_to")} - {None}
        given_rows = {row["valid_from"]: row for row in rows if row["customer_id"] == who}
        for each in [DAYS[0] - dt.timedelta(1), *DAYS]:
            latest = max((moment for moment in moments | set(given_rows) if moment <= each), default=None)
            was, now = state(stored, who, each), state(new, who, each)
            if latest in given_rows:
                row = given_rows[latest]
                assert now is not None and now[1:] == (row["rate_plan_id"], row["activation_date"])
            else:
                assert (now and now[1:]) == (was and was[1:])
    assert after_import(new, filed(*[{**row, NEW_HOLDER: False} for row in rows]), DAYS[-1]).equals(new)


# -- what a newer history changes ------------------------------------------------------------------------------------


def test_who_is_ended_has_a_row_without_content_from_then_on() -> None:
    """Of a customer with a later holder, or a version without an end, there is none."""
    c = "212600000003"
    stored = history(
        version("03-01", "05-01"),
        version("05-01", "06-01", rate_plan_id="PLAN_B"),
        version("03-01", "05-01", customer_id=B),
        version("07-01", None, 2, customer_id=B),
        version(None, None, customer_id=c),
    )
    nothing = dict.fromkeys(CUSTOMERS.column_names) | {"customer_id": A, "valid_from": day("06-01")}
    is_now(with_ends(stored), *stored.to_pylist(), nothing)


def test_the_days_of_a_gap_differ_when_the_next_holder_comes() -> None:
    """Usage of these days was excluded, being after an end, and is of nobody now."""
    then = history(version("03-01", "05-01"))
    now = history(version("03-01", "05-01"), version("09-01", None, 2))
    assert differing_days(with_ends(then), with_ends(now)) == [Stretch(day("05-01"), None)]
    changed = history(version("03-01", "05-01"), version("09-01", None, 2, region="L'Oriental"))
    assert differing_days(with_ends(now), with_ends(changed)) == [Stretch(day("09-01"), None)]
