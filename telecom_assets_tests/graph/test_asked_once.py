"""What a month's identities have found out of some files is not asked of the engine again, and is asked of others."""

import pytest

from telecom_assets.billing.gate import BillingInputs, assert_billed
from telecom_assets.billing.left_aside import NO_HOLDERS
from telecom_assets.billing.period_identities import bills_add_up, documents_add_up
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.identities import missing_volumes_follow
from telecom_assets.rating.tables import SUSPENDED_CDRS
from telecom_assets_tests.graph.project import MONTH, Project, day_tags, month_tag, open_project

#: So far from the month that no copy of its records is looked for there.
FAR = "2025-09-15"


def findings(project: Project) -> dict[str, list[str]]:
    """What is wrong, by identity, as the tables are now."""
    warehouse, settings = project.warehouse, project.settings
    charges = charges_of_month(warehouse, MONTH)
    suspended = warehouse.pin_period(SUSPENDED_CDRS.name, MONTH)
    inputs = BillingInputs.pin(warehouse, MONTH, charges, suspended)
    verdicts = [question() for question in inputs.conserved(settings.dedupe_days)]
    verdicts.append(missing_volumes_follow(settings.missing_volume_policy, charges.rated, suspended))
    return {verdict.identity: list(verdict.findings) for verdict in verdicts}


def test_identities_are_asked_once_of_the_files_that_hold_the_rows(
    damaged: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = findings(damaged)
    assert not any(first.values())
    before = damaged.versions(["cleaned_cdrs", "rejected_cdrs", "rated_cdrs", "suspended_cdrs"])
    assert damaged.run("mediation_job", day_tags(FAR)).success
    after = damaged.versions(before)
    assert all(after[name] > version for name, version in before.items())
    with monkeypatch.context() as patch:
        patch.setattr("resources.warehouse.pinned_table.read_frame", None)
        assert findings(damaged) == first

    # Rows of the month that are gone are seen: other files hold what is left.
    gone = next(row for row in damaged.rows("rated_cdrs") if f"{row['event_date']:%Y-%m}" == MONTH)
    assert damaged.delete("rated_cdrs", f"record_id = '{gone['record_id']}'") == 1
    [told] = findings(damaged)["cleaned = rated + suspended"]
    assert told.startswith(f"{gone['event_date']}: ")


def test_the_money_of_a_month_that_was_run_is_added_up_without_a_query(
    untouched: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process, from what the stages have noted."""
    warehouse = open_project(untouched.settings, untouched.instance).warehouse
    lines, bills, documents = (
        warehouse.pin_period(each.name, MONTH) for each in (BILL_LINES, FACTURATION_COMPLETE, CORRECTION_DOCUMENTS)
    )
    monkeypatch.setattr("resources.warehouse.pinned_table.read_frame", None)
    verdict = bills_add_up(charges_of_month(warehouse, MONTH), lines, bills, NO_HOLDERS)
    assert verdict.findings == []
    assert verdict.figures[f"left side {MONTH}: deferred = imputed"] > 0
    assert documents_add_up(lines, documents).passed


def test_what_the_checks_of_bills_have_found_is_not_asked_again_by_what_passes_bills_on(
    untouched: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks of the run that makes the bills, and then the stages that pass them on, in one process."""
    for asset in ("bill_lines", "facturation_complete"):
        assert all(check.passed for check in untouched.check(asset, month_tag()).values())
    warehouse, dedupe_days = untouched.warehouse, untouched.settings.dedupe_days
    charges, bills = charges_of_month(warehouse, MONTH), warehouse.pin_period(FACTURATION_COMPLETE.name, MONTH)
    for question in BillingInputs.behind(bills, charges).conserved(dedupe_days):
        assert question().passed
    monkeypatch.setattr("resources.warehouse.pinned_table.read_frame", None)
    assert_billed(charges, bills, dedupe_days, "bills.csv")
