"""Two homes with one warehouse: each message counts once, rows stay as they are, newer ones are not overwritten.

Belongs here: what two processes do at the same moment, on disk and on S3. Does not belong here: what one of them does
(`intake/test_landing`, `resources/test_maintenance`).
"""

from decimal import Decimal

import pyarrow.compute as pc

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets_tests.faults import work
from telecom_assets_tests.faults.conftest import Shared, counted_by_a_stranger
from telecom_assets_tests.faults.processes import Running, barrier
from telecom_assets_tests.intake.test_landing import produced
from telecom_assets_tests.sample_tables import MONTHLY_SAMPLE, TABLES

FLOORS = MONTHLY_SAMPLE.name
ROUNDS = 200


def ledger(shared: Shared) -> dict[int, list[tuple[int, int, int]]]:
    """(from, to, records) of each range of messages in the ledger, by part, in order."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for row in sorted(shared.rows("landing_ranges"), key=lambda row: row["from_position"]):
        if row["from_position"] < row["to_position"]:
            found.setdefault(row["source_part"], []).append((row["from_position"], row["to_position"], row["records"]))
    return found


def test_two_homes_that_land_one_topic_at_once_land_each_message_once(shared: Shared) -> None:
    """Both have read the same ranges and written their files; one commits first. Both end well, and later ones go on."""
    first, second = ([b"%d" % number for number in range(part, part + 30)] for part in (0, 100))
    produced(shared.kafka, *first)
    produced(shared.kafka, *second, partition=1)
    homes = [Running(work.landed, shared.home(number), chunk_rows=30, halts=True) for number in (1, 2)]
    for home in homes:
        home.halted("commit")
    # 60 offsets in two chunks. The one that is let go first lands both, while the other stands before its first commit.
    winner, loser = homes
    winner.goes_on()
    winner.halted("commit")
    winner.goes_on()
    assert winner.answer()["records"] == 60
    loser.goes_on()
    lost = loser.answer()
    assert (lost["records"], lost["days"]) == (0, {})
    assert lost["lines"] == ["another process has written raw_cdrs; what is left on the topic is looked at anew"]
    assert shared.values() == {0: list(enumerate(first)), 1: list(enumerate(second))}
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (60, 60)
    assert ledger(shared) == {0: [(0, 15, 15), (15, 30, 15)], 1: [(0, 15, 15), (15, 30, 15)]}

    for number, lands in enumerate((2, 1, 2)):
        produced(shared.kafka, b"later %d" % number)
        assert Running(work.landed, shared.home(lands)).answer()["records"] == 1
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (63, 63)


def test_homes_that_land_beside_each_other_share_the_work(shared: Shared) -> None:
    """Neither waits for the other: chunk after chunk, as it happens. Together they land each message once."""
    values = [b"%d" % number for number in range(80)]
    produced(shared.kafka, *values)
    homes = [Running(work.landed, shared.home(number), chunk_rows=10) for number in (1, 2)]
    assert sum(home.answer()["records"] for home in homes) == 80
    assert shared.values() == {0: list(enumerate(values))}
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (80, 80)
    ranges = ledger(shared)[0]
    assert [start for start, *_ in ranges] == [0, *(end for _, end, _ in ranges[:-1])]
    assert sum(records for *_, records in ranges) == 80


def test_of_two_commits_on_one_version_exactly_one_stands(shared: Shared) -> None:
    """In 200 rounds two processes each commit a row on the version that both have read."""
    Warehouse(shared.root, SparkEngine(kind="sail"), TABLES, s3=shared.s3).make_tables([FLOORS])  # version 0
    meet = barrier(2)
    both = {who: Running(work.compared_and_set, shared.home(1), meet, who, ROUNDS) for who in ("a", "b")}
    won = {who: process.answer() for who, process in both.items()}
    assert [a + b for a, b in zip(won["a"], won["b"], strict=True)] == [1] * ROUNDS
    table = shared.table(FLOORS)
    assert table.version() == ROUNDS
    rows = table.to_pyarrow_table()
    winners = [f"{who} {number}" for who, rounds in won.items() for number in range(sum(rounds))]
    assert sorted(rows["customer_id"].to_pylist()) == sorted(winners)
    assert pc.sum(rows["floor_mb"]).as_py() == Decimal(ROUNDS)


def test_two_maintenances_at_once_leave_the_rows_as_they_are(shared: Shared) -> None:
    """Both have merged the same four files, and then commit one after the other."""
    for number in range(4):
        produced(shared.kafka, b"%d" % number)
        assert Running(work.landed, shared.home(1)).answer()["records"] == 1
    before = shared.values()
    assert len(shared.table("raw_cdrs").file_uris()) == 4
    homes = [Running(work.maintained, shared.home(number), halts="raw_cdrs") for number in (1, 2)]
    for home in homes:
        home.halted("commit")
    for home in homes:
        home.goes_on()
    done = [home.answer()["raw_cdrs"] for home in homes]
    said = "not all compacted: somebody wrote the table at the same time"
    assert sorted(done) == [(0, said), (4, "")]
    assert shared.values() == before == {0: [(number, b"%d" % number) for number in range(4)]}
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (4, 4)
    assert len(shared.table("raw_cdrs").file_uris()) == 1

    produced(shared.kafka, b"4")
    assert Running(work.landed, shared.home(2)).answer()["records"] == 1
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (5, 5)
