"""The review of a billed month, with its second rating in SQL."""

import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from telecom_assets.closing.findings import Finding
from telecom_assets.closing.review import Review, ReviewBlocks, assert_nothing_blocks, blocking, review
from telecom_assets.lineage.failures import innermost_message
from telecom_assets.runs.reviewing import customers_read_at
from telecom_assets_tests.graph.conftest import FLOOR_CUSTOMER, MonthRun
from telecom_assets_tests.graph.project import MONTH, Project, Row
from telecom_assets_tests.graph.test_cli_month import Finished, typed

__all__ = ["typed"]


def reviewed(project: Project, **options: Any) -> Review:
    deployment = project.deployment
    read_at = customers_read_at(project.instance)
    resources = (project.settings, deployment.warehouse, deployment.record_types)
    return review(*resources, MONTH, customers_read_at=read_at, **options)


def blocks(project: Project) -> list[Finding]:
    """The blocking findings."""
    deployment = project.deployment
    found = blocking(project.settings, deployment.warehouse, deployment.record_types, MONTH)
    assert all(each.blocking for each in found)
    return found


def stops(project: Project) -> dict[str, Finding]:
    """The blocking findings by name; of several identities the last."""
    return {each.name: each for each in blocks(project)}


def test_nothing_blocks_a_good_month_and_every_customer_is_rated_again(billed: MonthRun) -> None:
    """There are fewer customers than the sample: all who have a bill or are postpaid."""
    project = billed.project
    found = reviewed(project)
    assert found.blocking == []
    expected = {row["customer_id"] for row in project.rows("facturation_complete")}
    expected |= {row["customer_id"] for row in project.rows("customers") if row["subscription_type"] == "postpaid"}
    assert (found.rerated, found.not_rerated) == (len(expected), None)
    by_name = {each.name: each for each in found.findings}
    zero = {row["customer_id"] for row in project.rows("facturation_complete") if row["amount_due"] == 0}
    assert {row["customer_id"] for row in by_name["zero_bills"].rows} == zero
    assert "212600009999" in zero
    used = {row["event_date"].day for row in project.rows("cleaned_cdrs") if f"{row['event_date']:%Y-%m}" == MONTH}
    assert {row["day"].day for row in by_name["days_without_usage"].rows} == set(range(1, 31)) - used
    assert any("SMS_NAT" in row["price"] for row in by_name["unreachable_prices"].rows)
    assert found.customers_read_at is not None
    assert "customers_read" not in by_name


def test_a_smaller_sample_has_the_ten_largest_bills_too(billed: MonthRun) -> None:
    """The same ones whenever it is asked; of none only the largest are rated."""
    assert reviewed(billed.project, sample=0).rerated == 10
    three = reviewed(billed.project, sample=3).rerated
    assert three is not None
    assert 10 <= three <= 13


def test_a_volume_that_was_rated_as_another_is_found_by_the_second_rating(damaged: Project) -> None:
    """10 + 9 MB, and twice 9 for sessions without volume, are on the bill; with 8 for 9 it is 10 + 8 + 2 × 8."""

    def smaller(row: Row) -> Row:
        return row | ({"data_volume_mb": row["data_volume_mb"] - 1} if row["record_id"] == "floor-9" else {})

    damaged.change("cleaned_cdrs", smaller)
    found = stops(damaged)["rerating"]
    units = [row for row in found.rows if row["column"] == "units"]
    assert [(row["customer_id"], row["service"], f"{row['stored']}", f"{row['again']}") for row in units] == [
        (FLOOR_CUSTOMER, "data", "37.000000", "34.000000")
    ]
    assert (
        f"customer {FLOOR_CUSTOMER}: lines of usage (data, PLAN_B, Oriental): units is 37.000000, and 34.000000"
        in found.text
    )
    assert {row["customer_id"] for row in found.rows} == {FLOOR_CUSTOMER}


def test_a_bill_that_is_not_what_its_lines_say_blocks(damaged: Project) -> None:
    """A centime of tax less on one bill: an identity, and the second rating, say whose."""
    first = min(row["customer_id"] for row in damaged.rows("facturation_complete") if row["tax"])

    def less(row: Row) -> Row:
        return row | ({"tax": row["tax"] - Decimal("0.01")} if row["customer_id"] == first else {})

    damaged.change("facturation_complete", less)
    found = blocks(damaged)
    identities = [each.text for each in found if each.name == "identity"]
    assert [f"customer {first}: tax" in text for text in identities] == [True, False]
    assert "amount before tax − discount + tax = amount due" in identities[1]
    [rerated] = [each for each in found if each.name == "rerating"]
    assert [(row["customer_id"], row["column"]) for row in rerated.rows] == [(first, "tax")]
    with pytest.raises(
        ReviewBlocks, match=r"approving 2025-06 is refused: .*tax.*; `telecom bill review` lists all that blocks"
    ):
        assert_nothing_blocks(found, f"approving {MONTH}")


def test_a_bill_that_nobody_made_blocks(damaged: Project) -> None:
    """Of one who is active and never calls: no identity misses it."""
    damaged.delete("facturation_complete", "customer_id = '212600009999'")
    found = stops(damaged)
    assert {row["customer_id"] for row in found["rerating"].rows} == {"212600009999"}
    assert "voice_total is not there, and 0.00 when rated again" in found["rerating"].text


def test_a_correction_that_no_difference_explains_blocks(damaged: Project) -> None:
    """A line that corrects a month, without rows of adjustments behind it."""
    [line, *_] = [row for row in damaged.rows("bill_lines") if row["customer_id"] == FLOOR_CUSTOMER]
    corrects = {"kind": "adjustment", "original_period": "2025-05", "line_kind": "usage", "line_no": 90}
    damaged.add("bill_lines", [line | corrects])
    assert {(row["what"], row["again"]) for row in stops(damaged)["rerating"].rows} == {("lines of corrections", None)}


def test_without_duckdb_the_review_says_what_it_did_not_check(
    billed: MonthRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    found = reviewed(billed.project)
    assert found.rerated is None
    assert found.not_rerated == "DuckDB is not installed; `pip install 'telecom_assets[review]'`"
    assert found.blocking == []


def test_the_command_and_the_job_say_the_same(damaged: Project, typed: Callable[..., Finished]) -> None:
    """What blocks ends the command with 1, and fails the job with a sentence."""
    good = typed(damaged, "bill", "review", "--month", MONTH, "--sample", "5")
    assert good.status == 0, good.stderr
    assert "nothing blocks" in good.stdout
    damaged.delete("facturation_complete", "customer_id = '212600009999'")
    bad = typed(damaged, "bill", "review", "--month", MONTH, "--json")
    assert bad.status == 1
    assert '"finding": "rerating", "blocking": true' in bad.stdout
    job = damaged.defs.resolve_job_def("review_job")
    outcome = job.execute_in_process(
        run_config={"ops": {"review_bills": {"config": {"month": MONTH}}}},
        instance=damaged.instance,
        resources=damaged.resources(),
        raise_on_error=False,
    )
    [message] = [innermost_message(event) for event in outcome.all_events if event.is_step_failure]
    assert message.startswith(f"approving or closing {MONTH} is refused: ")
    assert "212600009999" in message


def test_a_month_without_bills_has_nothing_to_review(billed: MonthRun, typed: Callable[..., Finished]) -> None:
    refused = typed(billed.project, "bill", "review", "--month", "2025-05")
    assert refused.status == 1
    assert "reviewing 2025-05: it has no bills; `telecom run --month 2025-05` makes them" in refused.stderr


def test_the_bill_of_a_customer_is_written_as_pdf(
    billed: MonthRun, tmp_path: Path, typed: Callable[..., Finished]
) -> None:
    customer = billed.project.warehouse.pin_period("facturation_complete", MONTH).arrow()["customer_id"][0].as_py()
    file = tmp_path / "bill.pdf"
    shown = typed(
        billed.project, "bill", "show", "--month", MONTH, "--customer", customer, "--pdf", str(file), "--json"
    )
    assert shown.status == 0, shown.stderr
    assert json.loads(shown.stdout) == [{"document": "bill", "number": None, "file": str(file)}]
    assert file.read_bytes().startswith(b"%PDF")


def test_a_draft_is_no_ubl(billed: MonthRun, tmp_path: Path, typed: Callable[..., Finished]) -> None:
    customer = billed.project.warehouse.pin_period("facturation_complete", MONTH).arrow()["customer_id"][0].as_py()
    file = tmp_path / "bill.xml"
    refused = typed(billed.project, "bill", "show", "--month", MONTH, "--customer", customer, "--ubl", str(file))
    assert refused.status == 1 and f"{MONTH} is not closed" in refused.stderr
    assert not file.exists()
