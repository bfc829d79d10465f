"""Numbers of documents: without a gap, by series and year."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecom_assets.closing.numbering import SERIES, Numbers, last_given
from telecom_assets.invoices.document import Kind
from telecom_assets_tests.examples import examples


def test_numbers_go_on_in_their_series_and_year() -> None:
    """Supplementary invoices are in the series of invoices, credit notes in their own; another year begins again."""
    last = last_given(["INV-2026-000002", "INV-2026-000001", "CRN-2026-000009", "INV-2025-000077"], 2026)
    assert last == {"INV": 2, "CRN": 9}
    numbers = Numbers(2026, last)
    kinds: list[Kind] = ["invoice", "credit_note", "supplementary", "invoice"]
    assert [numbers.next(kind) for kind in kinds] == [
        "INV-2026-000003",
        "CRN-2026-000010",
        "INV-2026-000004",
        "INV-2026-000005",
    ]
    assert Numbers(2027, last_given(["INV-2026-000002"], 2027)).next("invoice") == "INV-2027-000001"


def test_numbers_grow_past_six_digits() -> None:
    """As text INV-2026-1000000 comes before INV-2026-999999; as a number after it."""
    numbers = Numbers(2026, {"INV": 999_998})
    given = [numbers.next("invoice") for _ in range(3)]
    assert given == ["INV-2026-999999", "INV-2026-1000000", "INV-2026-1000001"]
    assert last_given(given, 2026) == {"INV": 1_000_001}


@pytest.mark.parametrize(
    "number", ["INV-2026-1", "INV-2026-0000001", "INV-26-000001", "ABC-2026-000001", "", "inv-2026-000001"]
)
def test_what_is_no_number_is_refused(number: str) -> None:
    """Rather than be left out, and given again."""
    with pytest.raises(ValueError, match="expected the number of a document"):
        last_given([number], 2026)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.lists(st.sampled_from(sorted(SERIES)), max_size=8), max_size=6))
def test_no_number_is_left_out_or_given_twice(closes: list[list[Kind]]) -> None:
    """Over several closes of a year, each from the numbers that are there: 1 to n in each series."""
    given: list[str] = []
    for kinds in closes:
        numbers = Numbers(2026, last_given(given, 2026))
        given += [numbers.next(kind) for kind in kinds]
    for series in ("INV", "CRN"):
        found = [number for number in given if number.startswith(series)]
        assert found == [f"{series}-2026-{place:06d}" for place in range(1, len(found) + 1)]
