"""Random steps on months that close: the model by itself, and systems beside it.

Belongs here: how many steps are tried, and that a wrong system is found. What a step is, and what holds after it, is in `machine`.
`make model STEPS=2000` tries more.
"""

import os
from collections.abc import Mapping
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from resources.engine import SparkEngine
from telecom_assets_tests.closed_periods.machine import ClosedPeriods
from telecom_assets_tests.closed_periods.model import Correction, Key, Line, Made, Model, half_up, totals
from telecom_assets_tests.closed_periods.project import Project
from telecom_assets_tests.closed_periods.system import Holder, House, Price, Refused, Service
from telecom_assets_tests.examples import examples

pytestmark = pytest.mark.thorough

#: Steps of one story, which begins with an empty warehouse: enough for some closed months and corrections of each.
STEPS_OF_A_STORY = 50
ASKED = "MODEL_STEPS"
EVERY_PHASE = tuple(Phase)


def asked_for() -> int:
    """The steps that `make model` asks for; none in other runs."""
    return int(os.environ.get(ASKED, "0"))


def stories(number: int, steps: int = STEPS_OF_A_STORY, phases: tuple[Phase, ...] = EVERY_PHASE) -> settings:
    """So many stories, the same in every run, unless `make model` asks for others."""
    return settings(
        max_examples=number,
        stateful_step_count=steps,
        phases=phases,
        deadline=None,
        database=None,
        derandomize=ASKED not in os.environ,
        suppress_health_check=list(HealthCheck),
    )


def test_what_is_charged_is_what_is_right_however_months_were_closed() -> None:
    run_state_machine_as_test(ClosedPeriods, settings=stories(max(asked_for() // STEPS_OF_A_STORY, examples(100))))


class RoundsEachCorrection(Model):
    """A correction is rounded by itself, and not what remains."""

    def _correction(self, original: str, holder: Holder, exact: Mapping[Key, Decimal]) -> Correction:
        decimals = self.house.decimals
        lines = tuple(
            Line(holder, original, "adjustment", key, each, half_up(each, decimals)) for key, each in exact.items()
        )
        return Correction(lines, totals(lines, decimals))


class ForgetsWriteOffs(Model):
    """What was written off is charged again with the next month."""

    def _written_off(self, original: str, holder: Holder) -> dict[Key, Decimal]:
        return {}


class RatesClosedMonths(Model):
    """A new price is in the documents that are out."""

    def set_price(self, plan: str, service: Service, prices: list[Price]) -> None:  # type: ignore[override]
        super().set_price(plan, service, prices)
        for month in self.closed:
            self.months[month].made = self.make(month)


class AdjustsWhatIsApproved(Model):
    """Nothing is frozen before it is closed."""

    def run(self, month: str, *, anew: bool = False) -> None:
        if self.months[month].state == "closed":
            super().run(month, anew=anew)
        made: Made = self.make(month)
        self.months[month].made = made


@pytest.mark.parametrize("wrong", [RoundsEachCorrection, ForgetsWriteOffs, RatesClosedMonths, AdjustsWhatIsApproved])
def test_a_wrong_system_is_found(wrong: type[Model]) -> None:
    beside = type("Beside", (ClosedPeriods,), {"beside": wrong})
    with pytest.raises((AssertionError, Refused)):
        run_state_machine_as_test(beside, settings=stories(300, phases=(Phase.generate,)))


def test_the_project_charges_what_the_model_does(engine: SparkEngine, tmp_path: Path) -> None:
    """Two hundred steps on the embedded engine, four on Apache Spark, where each takes several times as long."""
    warehouses = count()

    def beside(house: House) -> Project:
        return Project(house, tmp_path / f"warehouse {next(warehouses)}", engine)

    machine = type("Beside", (ClosedPeriods,), {"beside": staticmethod(beside)})
    steps = max(asked_for(), 200) if engine.name == "sail" else 4
    story = min(steps, STEPS_OF_A_STORY)
    run_state_machine_as_test(machine, settings=stories(steps // story, story, (Phase.generate,)))
