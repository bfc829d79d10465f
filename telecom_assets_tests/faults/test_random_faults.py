"""`make faults`: two homes on one warehouse and one topic, and whatever befalls them, in seeded rounds.

FAULTS_SEED and FAULTS_ROUNDS say which story (`make faults SEED=… ROUNDS=…`); without them it is the short one of the suite.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.kafka import KafkaConnection
from resources.postgres import PostgresConnection
from telecom_assets.reference.customer_storing import store_customers
from telecom_assets_tests.faults import work
from telecom_assets_tests.faults.conftest import Shared
from telecom_assets_tests.faults.kinds import TASKS, befall
from telecom_assets_tests.faults.processes import Running
from telecom_assets_tests.faults.town import HOMES, MONTHS, PARTS, Town
from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import MONTH

SEED, ROUNDS = int(os.environ.get("FAULTS_SEED") or 1), int(os.environ.get("FAULTS_ROUNDS") or 0)
#: The short story has landings and what is as quick alone; the long one says `telecom run` in between.
SHORT_ROUNDS, SHORT_TASKS = 12, {"land": 80, "open": 10, "maintain": 10}


@pytest.fixture
def town(tmp_path: Path, new_kafka_topic: Callable[..., KafkaConnection], postgres_dsn: str) -> Town:
    store_customers(PostgresConnection(postgres_dsn), customers())
    shared = Shared(tmp_path, str(tmp_path / "shared warehouse"), new_kafka_topic(partitions=PARTS))
    return Town(shared, postgres_dsn, random.Random(SEED), tasks=TASKS if ROUNDS else SHORT_TASKS)


def test_no_fault_loses_or_doubles_anything(town: Town, capfd: pytest.CaptureFixture[str]) -> None:
    rounds = ROUNDS or SHORT_ROUNDS
    again = f"make faults SEED={SEED} ROUNDS={rounds}"

    def tell(text: str) -> None:
        if ROUNDS:
            with capfd.disabled():
                print(text, flush=True)

    tell(f"\n{again}")
    try:
        for _ in range(2):  # the first waits for all that is imported
            town.send(30)
            began = time.monotonic()
            landed = Running(work.landed, town.home(1), trips=work.Trips(0, False, False)).answer()
            assert landed["records"] == 30
            town.usual, town.steps = time.monotonic() - began, landed["calls"]
        for number in range(1, rounds + 1):
            befall(town, number)
            tell(", ".join(town.log[-1]))
        assert_all_is_well(town)
    except BaseException:
        tell(f"play it again: {again}")
        raise
    befell = ", ".join(f"{count} times {what}" for what, count in town.befell.most_common())
    tell(f"{len(town.sent)} messages in {rounds} rounds ({befell}): lost 0, doubled 0, the money is the oracle's")
    assert town.befell.total() > rounds / 3, "the faults came when the homes had ended"


def assert_all_is_well(town: Town) -> None:
    """Months are opened in one home, all is landed in the other, and each (in the short story one) bills the month.

    A month that was to be opened by a process that was killed is opened again: it may have been before, or not.
    """
    for month in sorted({*MONTHS[:2], *town.opened}):
        Running(work.month_opened, town.home(1), month).answer()
        town.opened.add(month)
    Running(work.landed, town.home(2)).answer()
    town.assert_nothing_lost_or_doubled()
    for home in HOMES if ROUNDS else HOMES[:1]:
        said = Running(work.month_run, town.home(home), MONTH).answer()
        assert said["failures"] == []
        town.assert_books(said["books"])
    town.assert_nothing_lost_or_doubled()
