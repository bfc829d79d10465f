"""A month opened by name, before or after its records landed, beside a landing, in another home: the same rows, the same days.

Belongs here: where the rows of an opened month lie, and what it costs. Does not belong here: which day a record is at home
on (`intake/test_admission`).
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from deltalake import DeltaTable

from resources.kafka import KafkaConnection
from resources.warehouse import Warehouse, maintain
from telecom_assets.intake import decisions
from telecom_assets.intake.decisions import open_month
from telecom_assets.intake.journal import read_state
from telecom_assets.mediation.stale_days import stale_days
from telecom_assets.model.calendar import local_today
from telecom_assets.tables import TABLES
from telecom_assets_tests.faults import work
from telecom_assets_tests.faults.conftest import Shared, counted_by_a_stranger
from telecom_assets_tests.faults.processes import Running
from telecom_assets_tests.graph.conftest import (
    customers,
    new_project,  # noqa: F401  (a fixture)
)
from telecom_assets_tests.graph.project import MONTH, Project, day_tags
from telecom_assets_tests.graph.project import cdr as cdr_of_month
from telecom_assets_tests.intake.test_landing import assert_sound, cdr, landing, mediated, produced, rows_of

OPENED = "2015-05"
FIRST, LAST = date(2015, 5, 1), date(2015, 5, 31)
#: What is sent, with the day in OPENED that it is at home on; None: the day it was received. Local time was UTC+1 then.
SENT: list[tuple[bytes, date | None]] = [
    (cdr("first", FIRST), FIRST),
    (cdr("last", LAST), LAST),
    (cdr("before", "2015-04-30"), None),
    (cdr("after", "2015-06-01"), None),
    (cdr("in June at home", LAST).replace(b"T12:00:00", b"T23:30:00Z"), None),
    (cdr("in May at home", "2015-04-30").replace(b"T12:00:00", b"T23:30:00Z"), FIRST),
    (cdr("no time", FIRST).replace(b"2015-05-01T12:00:00", b"2015-05-01"), None),
    (b"not a record", None),
    (b'{"timestamp": "2015-05-31T12:00:00"}', LAST),
]


def opening(warehouse: Warehouse, month: str = OPENED) -> int:
    return open_month(warehouse, month, calendar_start=date(2010, 1, 1), dedupe_days=31)


def days_of(rows: list[dict[str, Any]]) -> dict[int, date | None]:
    """The day of each message, by its offset; None: the day it was received."""
    return {row["source_position"]: None if row["event_date"] == local_today() else row["event_date"] for row in rows}


@pytest.mark.parametrize("order", ["land, open", "open, land", "land half, open, land", "open twice, land, open"])
def test_the_order_of_two_commands_does_not_decide_a_day(plain: Warehouse, kafka: KafkaConnection, order: str) -> None:
    half = len(SENT) // 2
    produced(kafka, *(value for value, _ in SENT[:half]))
    moved = []
    for number, step in enumerate(order.split(", ")):
        if number == 1:
            produced(kafka, *(value for value, _ in SENT[half:]))
        if step.startswith("open"):
            moved.append(opening(plain))
            moved += [opening(plain)] if "twice" in step else []
        else:
            landing(plain, kafka)
    landing(plain, kafka)
    rows = rows_of(plain)
    assert days_of(rows) == {offset: day for offset, (_, day) in enumerate(SENT)}
    assert [row["value"] for row in rows] == [value for value, _ in SENT]
    assert {row["source_id"] for row in rows} == {kafka.topic_id()}
    # In the first half two rows are at home in the opened month.
    assert (
        moved
        == {
            "land, open": [2],
            "open, land": [0],
            "land half, open, land": [2],
            "open twice, land, open": [0, 0, 0],
        }[order]
    )
    assert read_state(plain).opened_months == [OPENED]
    assert_sound(plain)


def test_rows_that_move_stay_what_they_are(plain: Warehouse, kafka: KafkaConnection) -> None:
    """All columns but the day; a month that was opened already makes no version."""
    produced(kafka, *(value for value, _ in SENT))
    landing(plain, kafka)
    before = rows_of(plain)
    assert opening(plain) == 4
    after = rows_of(plain)
    assert days_of(after) == {offset: day for offset, (_, day) in enumerate(SENT)}
    assert [{**row, "event_date": None} for row in after] == [{**row, "event_date": None} for row in before]
    version = plain.version("raw_cdrs")
    assert opening(plain) == 0
    assert plain.version("raw_cdrs") == version


def test_the_days_that_give_and_take_are_mediated_again(plain: Warehouse, kafka: KafkaConnection) -> None:
    """Also a day that has as many rows as were mediated, since it gave four away and four others have landed."""
    produced(kafka, *(value for value, _ in SENT))
    landing(plain, kafka)
    mediated(plain, local_today())
    assert stale_days(plain) == {}
    assert opening(plain) == 4
    produced(kafka, *[b"later"] * 4)
    landing(plain, kafka)
    assert plain.pin("raw_cdrs").rows_by_partition()[local_today()] == len(SENT)
    assert set(stale_days(plain)) == {local_today(), FIRST, LAST}
    mediated(plain, FIRST, LAST)
    assert set(stale_days(plain)) == {local_today()}


def test_a_copy_of_what_moves_is_looked_for_beside_its_new_day(plain: Warehouse, kafka: KafkaConnection) -> None:
    """Two days later a copy of it, which came later, was kept: its day is mediated again."""
    produced(kafka, cdr("same", "2015-04-29"))
    landing(plain, kafka)
    opening(plain, "2015-05")
    produced(kafka, cdr("same", FIRST), cdr("alone", LAST))
    landing(plain, kafka)
    mediated(plain, *plain.pin("raw_cdrs").rows_by_partition())
    assert stale_days(plain) == {}
    opening(plain, "2015-04")
    assert set(stale_days(plain)) == {date(2015, 4, 29), FIRST, local_today()}


@pytest.mark.parametrize("other", ["maintenance", "landing", "opening"])
def test_what_comes_before_an_openings_commit_is_not_undone(
    plain: Warehouse, kafka: KafkaConnection, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has written the rows of the days that give some away, and begins anew when somebody commits first."""
    for value, _ in SENT[:4]:
        produced(kafka, value)
        landing(plain, kafka)
    produced(kafka, *(value for value, _ in SENT[4:]))
    beside, decided = Warehouse(plain.root, plain.engine, TABLES), decisions._decided

    def overtaken(*arguments: Any, **options: Any) -> bool:
        monkeypatch.setattr(decisions, "_decided", decided)
        if other == "landing":
            landing(beside, kafka)
        elif other == "opening":
            assert opening(beside) == 2
        else:
            maintain(beside, target_file_bytes=10**8, now=datetime.now(UTC))
        return decided(*arguments, **options)

    monkeypatch.setattr(decisions, "_decided", overtaken)
    assert opening(plain) == {"maintenance": 2, "landing": 4, "opening": 0}[other]
    landing(plain, kafka)
    assert days_of(rows_of(plain)) == {offset: day for offset, (_, day) in enumerate(SENT)}
    assert counted_by_a_stranger(DeltaTable(plain.path("raw_cdrs"))) == (len(SENT), len(SENT))
    assert len(read_state(plain).decisions) == 1
    assert_sound(plain)


def test_a_month_opened_in_the_other_home_while_a_landing_stands_before_its_commit(shared: Shared) -> None:
    """On disk and on S3: the landing's rows were made for the days of receipt; it begins anew."""
    homes = {number: shared.home(number, partitions_start=date(2010, 1, 1)) for number in (1, 2)}
    produced(shared.kafka, *(value for value, _ in SENT[:2]))
    assert Running(work.landed, homes[1]).answer()["records"] == 2
    produced(shared.kafka, *(value for value, _ in SENT[2:]))
    lander = Running(work.landed, homes[1], halts=True)
    lander.halted("commit")
    assert Running(work.month_opened, homes[2], OPENED).answer() == 2
    lander.goes_on()
    lander.halted("commit")
    lander.goes_on()
    landed = lander.answer()
    assert landed["records"] == len(SENT) - 2
    assert landed["lines"][0].startswith("another process has written raw_cdrs")
    rows = shared.rows("raw_cdrs")
    assert days_of(rows) == {offset: day for offset, (_, day) in enumerate(SENT)}
    assert shared.values() == {0: [(offset, value) for offset, (value, _) in enumerate(SENT)]}
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (len(SENT), len(SENT))


def test_what_landed_before_its_month_was_opened_is_billed(new_project: Callable[..., Project]) -> None:  # noqa: F811
    """It was landed and mediated as a record of no month; the bill is as if the month had been opened first."""
    project = new_project(partitions=2)
    project.store_customers(customers())
    call = {"caller_id": "212600000001", "callee_id": "33612345678", "duration_sec": 300}
    project.produce(
        [cdr_of_month("voice", 3, "five minutes", **call), cdr_of_month("sms", 4, "sms", sender_id="212600000001")]
    )
    assert project.run("reference_job").success
    assert project.run("landing_job").success
    assert project.run("mediation_job", day_tags(f"{local_today()}")).success
    assert {row["reason"] for row in project.rows("rejected_cdrs")} == {"outside_acceptance_window"}
    project.open_month()
    project.run_month()
    assert project.rows("rejected_cdrs") == []
    due = {row["customer_id"]: row["amount_due"] for row in project.rows("facturation_complete")}
    assert due == {row["customer_id"]: row["amount_due"] for row in project.expected().bills(MONTH)}
    assert due["212600000001"] > Decimal(0)
