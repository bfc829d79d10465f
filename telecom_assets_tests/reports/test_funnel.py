"""The funnel: sums over reasons, identities, JSON."""

import dataclasses
import json
from decimal import Decimal

import pytest

from telecom_assets.mediation.rules import REJECTION_REASONS
from telecom_assets.reports.dashboard_funnel import not_rated, not_rated_reasons, not_rated_total, stages
from telecom_assets.reports.funnel_counts import _ordered
from telecom_assets_tests.reports.months import FUNNEL, empty_month

#: The same month, of whose events 20 were left to it by their days.
DEFERRED = dataclasses.replace(
    FUNNEL,
    rated=147_000,
    rated_amount=Decimal("45000.000000"),
    deferred=20,
    imputed=20,
    imputed_amount=Decimal("129.321928"),
)


def test_totals_are_sums_over_reasons() -> None:
    assert FUNNEL.rejected_total == 47_679
    assert FUNNEL.duplicates_total == 1_988
    assert FUNNEL.invalid_total == 45_691
    assert FUNNEL.suspended_total == 589
    assert FUNNEL.excluded_total == 4_712
    assert not_rated_total(FUNNEL) == 5_301
    assert FUNNEL.after_discount == Decimal("42872.85")


def test_a_month_that_balances_has_no_imbalance() -> None:
    assert FUNNEL.imbalances() == []
    assert empty_month().funnel.imbalances() == []


@pytest.mark.parametrize(
    "change, rule",
    [
        ({"received": 200_001}, "received = cleaned + rejected: 200001 and 200000"),
        ({"rejected": {"duplicate": 47_678}}, "received = cleaned + rejected: 200000 and 199999"),
        ({"rated": 147_019}, "cleaned = rated + suspended + excluded + deferred: 152321 and 152320"),
        (
            {"rated_amount": Decimal("45129.321929")},
            "rated + imputed amount = amount before tax − rounding difference: 45129.321929",
        ),
        ({"tax": Decimal("8574.58")}, "amount due = amount before tax − discount + tax: 51447.42 and 51447.43"),
    ],
)
def test_one_record_or_one_centime_too_many_is_seen(change: dict[str, object], rule: str) -> None:
    (problem,) = dataclasses.replace(FUNNEL, **change).imbalances()  # type: ignore[arg-type]
    assert problem.startswith(rule)


def test_what_the_month_has_priced_is_charged_as_what_its_days_have() -> None:
    assert DEFERRED.imbalances() == []
    assert (DEFERRED.charged, DEFERRED.charged_amount) == (FUNNEL.charged, FUNNEL.charged_amount)
    assert (FUNNEL.charged, FUNNEL.charged_amount) == (147_020, Decimal("45129.321928"))
    assert (DEFERRED.without_price, not_rated_total(DEFERRED)) == (0, 5_301)
    assert stages(DEFERRED) == stages(FUNNEL)
    assert not_rated_reasons(DEFERRED) == not_rated_reasons(FUNNEL)


def test_what_its_month_has_not_priced_waits() -> None:
    waiting = dataclasses.replace(DEFERRED, imputed=0, imputed_amount=Decimal(0))
    assert waiting.imbalances() == [
        "deferred = imputed: 20 and 0",
        "rated + imputed amount = amount before tax − rounding difference: 45000.000000 and 45129.321928",
    ]
    assert (waiting.charged, waiting.without_price, not_rated_total(waiting)) == (147_000, 0, 5_321)
    assert ("missing_volume", "deferred", 20) in not_rated(waiting)
    assert ("deferred", "deferred", 20) in [lost[:3] for lost in stages(waiting)[-1].lost]


def test_what_its_month_cannot_charge_is_suspended() -> None:
    """Three of the twenty have no amount: they are known, and on no bill."""
    dear = dataclasses.replace(
        DEFERRED, imputed_out_of_range=3, suspended={**FUNNEL.suspended, "amount_out_of_range": 0}
    )
    assert dear.imbalances() == []
    assert (dear.charged, not_rated_total(dear)) == (147_017, 5_304)
    assert ("amount_out_of_range", "suspended", 3) in not_rated(dear)
    assert ("suspended", "suspended", 592) in [lost[:3] for lost in stages(dear)[-1].lost]


def test_what_came_late_for_an_approved_month_is_in_no_figure_of_it() -> None:
    """Seven cleaned since the approval: the books balance, and say so; without the approval seven would have no price."""
    late = dataclasses.replace(FUNNEL, received=FUNNEL.received + 7, cleaned=FUNNEL.cleaned + 7, late=7)
    assert (late.imbalances(), late.without_price) == ([], 0)
    assert late.identities()[1][0] == "cleaned = rated + suspended + excluded + deferred + late"
    assert dataclasses.replace(late, late=0).without_price == 7


def test_json_holds_every_figure_with_decimals_as_text() -> None:
    funnel = dataclasses.replace(FUNNEL, rounding_difference=Decimal("0E-6"), rated_amount=Decimal("45129.320000"))
    found = json.loads(json.dumps(funnel.to_dict()))
    assert {field.name for field in dataclasses.fields(funnel)} <= set(found)
    assert found["rounding_difference"] == "0.000000"
    assert found["rated_amount"] == "45129.320000"
    assert found["rejected"]["duplicate"] == 1_973
    assert (found["rejected_total"], found["suspended_total"], found["excluded_total"]) == (47_679, 589, 4_712)
    assert found["imbalances"] == []


def test_reasons_of_other_record_types_come_behind_those_of_the_projects_own() -> None:
    counts = {"missing_size": 2, "duplicate": 1, "invalid_size": 3, "missing_record_id": 4}
    assert list(_ordered(counts, REJECTION_REASONS).items()) == [
        ("missing_record_id", 4),
        ("duplicate", 1),
        ("invalid_size", 3),
        ("missing_size", 2),
    ]
