"""`telecom explain` as a user types it, on the billed month with its rejected messages and copies."""

from collections.abc import Callable

import pytest

from telecom_assets_tests.graph.conftest import MonthRun
from telecom_assets_tests.graph.project import MONTH
from telecom_assets_tests.graph.test_cli_month import Finished, typed

__all__ = ["typed"]


def test_a_copy_a_rejected_record_and_a_bill(billed: MonthRun, typed: Callable[..., Finished]) -> None:
    """The copy's original is kept and told; a rejected record shows its text and reason; a bill adds up."""
    warehouse = billed.project.deployment.warehouse
    rejected = warehouse.pin_period("rejected_cdrs", MONTH).arrow().to_pylist()
    kept = {row["record_id"] for row in warehouse.pin_period("rated_cdrs", MONTH).arrow().to_pylist()}
    copy = next(row for row in rejected if row["reason"] == "duplicate" and row["record_id"] in kept)
    told = typed(billed.project, "explain", copy["record_id"], "--day", str(copy["event_date"]), "--json").json
    assert sorted({each["outcome"] for each in told["messages"]}) == ["kept", "rejected"]
    assert told["events"][0]["outcome"] == "rated"
    wrong = next(row for row in rejected if row["reason"] == "invalid_duration" and row["record_id"] not in kept)
    shown = typed(billed.project, "explain", wrong["record_id"])
    assert (shown.status, shown.stderr) == (0, "")
    assert "invalid_duration" in shown.stdout
    assert "duration_sec" in shown.stdout
    customer = warehouse.pin_period("facturation_complete", MONTH).arrow().to_pylist()[0]
    bill = typed(billed.project, "explain", "--customer", customer["customer_id"], "--month", MONTH, "--json").json
    assert bill["documents"][0]["totals"]["amount_due"] == f"{customer['amount_due']:f}"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "expected one of RECORD_ID"),
        (("a", "--customer", "212600000001", "--month", MONTH), 2, "expected one of RECORD_ID"),
        (("--customer", "212600000001", "--month", "May"), 2, "expected yyyy-MM"),
        (("--subscriber", "212600000001", "--at", "noon"), 2, "expected a day, a minute or a second"),
        (("a", "--day", "noon"), 2, "expected YYYY-MM-DD"),
        (("there is none",), 1, "no landed message has this id"),
    ],
)
def test_bad_input_is_one_sentence(
    billed: MonthRun, typed: Callable[..., Finished], arguments: tuple[str, ...], status: int, said: str
) -> None:
    finished = typed(billed.project, "explain", *arguments)
    assert (finished.status, finished.stdout) == (status, "")
    assert said in " ".join(finished.stderr.replace("│", " ").split())
