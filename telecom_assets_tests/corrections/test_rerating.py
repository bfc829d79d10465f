"""`telecom rerate` as a user types it, on a month that was closed by other rules."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from resources.warehouse import Partitions, Warehouse
from telecom_assets.corrections.inputs import EVERYBODY
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets.definitions import build_defs
from telecom_assets.home.settings import Settings
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.periods.reach import assert_reach
from telecom_assets.periods.states import APPROVED, DRAFTED, Change, PeriodError, Periods, State
from telecom_assets.rating.tables import RATED_CDRS
from telecom_assets_tests.corrections.closed_june import JULY, JUNE, Books, inputs_closed_with
from telecom_assets_tests.corrections.test_rules import AT_CLOSE, told
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import contract_table
from telecom_assets_tests.typed import Finished, type_command

DAY = date(2026, 6, 15)
#: Two minutes were counted, by rules that are others now; three are right, which costs 0.01 more.
AWAITING = ("rules", "charged", "awaiting_acceptance", "rules_changed", "rated", 0, 1, Decimal("0.01"))


@pytest.fixture
def books(plain: Warehouse) -> Books:
    books = Books(plain)
    books.refer()
    books.mediate(AT_CLOSE)
    books.close(JUNE, inputs_closed_with(books))
    rated: list[Row] = plain.pin(RATED_CDRS.name).arrow().to_pylist()
    [call] = [row for row in rated if row["record_id"] == "rules"]
    call.update(billable_units=Decimal(2), amount=Decimal("0.01"))
    plain.overwrite_arrow(RATED_CDRS.name, contract_table(RATED_CDRS, rated), Partitions(DAY, DAY))
    return books


@pytest.fixture
def typed(
    books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Types a command in a home with the warehouse of the test."""
    given = {"COLUMNS": "250", "TELECOM_HOME": str(tmp_path / "home"), "TELECOM_WAREHOUSE": books.warehouse.root}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: type_command(monkeypatch, capfd, arguments)


def _becomes(month: str, state: State, _: Periods) -> Change:
    return changed_now(month, state)


@pytest.mark.thorough
def test_what_other_rules_make_is_billed_once_it_is_accepted(books: Books, typed: Callable[..., Finished]) -> None:
    """A month is quiet while only rules differ; asked for, the difference is noted, and it comes again until it is accepted."""

    def adjustments() -> list[Row]:
        return list(books.warehouse.pin_period(ADJUSTMENTS.name, JULY).arrow().to_pylist())

    assert books.adjust(JULY) == []
    shown = json.loads(typed("rerate", "--month", JUNE, "--dry-run", "--json").stdout)
    assert (shown["difference"], shown["awaiting"], shown["dry_run"]) == ("0.010000", "0.010000", True)
    assert shown["reasons"] == [
        {"key": "rules_changed awaiting_acceptance", "rows": 1, "events": 0, "amount": "0.010000"}
    ]
    assert adjustments() == []

    finished = typed("rerate", "--month", JUNE)
    assert finished.exit_code == 0, finished
    assert "--accept" in finished.stdout
    assert told(adjustments()) == [AWAITING]
    assert typed("rerate", "--month", JUNE, "--accept", "--by", "A. Analyst").exit_code == 2
    assert (
        typed("rerate", "--month", JUNE, "--accept", "--by", "A. Analyst", "--why", "minutes begun count").exit_code
        == 0
    )
    assert [(row["disposition"], row["amount"]) for row in adjustments()] == [("billed", Decimal("0.01"))]
    again = typed("rerate", "--month", JUNE, "--accept", "--by", "A. Analyst", "--why", "twice")
    assert (again.exit_code, "no difference awaits acceptance" in again.stderr) == (1, True)

    for state in (DRAFTED, APPROVED):
        change_state(books.warehouse, partial(_becomes, JULY, state))
    refused = typed("rerate", "--month", JUNE)
    assert refused.exit_code == 1
    assert f"correction of {JUNE}: {JULY} is approved" in refused.stderr
    refused = typed("rerate", "--month", JULY, "--dry-run")
    assert (refused.exit_code, f"{JULY} is approved" in refused.stderr) == (1, True)


def test_an_id_stays_one_record_once_a_period_is_frozen() -> None:
    drafted = Periods().with_change(changed_now(JUNE, DRAFTED))
    assert_reach(drafted, 7)
    approved = drafted.with_change(changed_now(JUNE, APPROVED))
    assert_reach(approved, 30)
    with pytest.raises(PeriodError, match=r"TELECOM_DEDUPE_DAYS is 29; expected 30 or more, since 2026-06 is approved"):
        assert_reach(approved, 29)


@pytest.mark.thorough
def test_the_job_decides_as_the_command_does(books: Books) -> None:
    """It refuses a month that is not closed, in a sentence, and notes what is asked of one that is."""
    defs = build_defs(Settings.load(), {"warehouse": books.warehouse})

    def decide(**config: object) -> dg.ExecuteInProcessResult:
        job = defs.resolve_job_def("rerate_job")
        said = {"by": "A. Analyst", "why": "a check", **config}
        return job.execute_in_process(run_config={"ops": {"rerate_month": {"config": said}}}, raise_on_error=False)

    refused = decide(month=JULY)
    assert f"{JULY} has no bills" in str(refused.get_step_failure_events()[0].step_failure_data.error)
    assert decide(month=JUNE).success
    assert books.look().affected == EVERYBODY
    assert "no difference awaits acceptance" in str(
        decide(month=JUNE, accept=True).get_step_failure_events()[0].step_failure_data.error
    )
