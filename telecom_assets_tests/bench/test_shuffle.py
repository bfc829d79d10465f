"""Reading Apache Spark's event log, and which stage a task worked for."""

import json
from pathlib import Path

from bench.cases.shuffle import work_by_stage
from bench.event_log import Work, tasks_of


def ended(at: float, written: int, read: int) -> str:
    """A task's line as Spark 4.1 writes it, with what is read here."""
    metrics = {
        "Executor CPU Time": 1_500_000_000,
        "Result Size": 7,
        "Disk Bytes Spilled": 3,
        "Shuffle Read Metrics": {"Remote Bytes Read": read, "Local Bytes Read": 1},
        "Shuffle Write Metrics": {"Shuffle Bytes Written": written},
    }
    event = {"Event": "SparkListenerTaskEnd", "Task Info": {"Finish Time": round(at * 1000)}, "Task Metrics": metrics}
    return json.dumps(event, separators=(",", ":"))


def test_tasks_are_added_up_by_the_stage_in_which_they_ended(tmp_path: Path) -> None:
    lines = ['{"Event":"SparkListenerLogStart","Spark Version":"4.1.1"}', ended(10.5, 100, 50), ended(11.5, 20, 0)]
    lines += [
        ended(20.5, 5, 5),
        '{"Event":"SparkListenerTaskEnd","Task Info":{"Finish Time":20600}}',
        ended(99.0, 9, 9),
    ]
    (tmp_path / "app-1").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spans = [("mediation", 10.0, 12.0), ("rating", 20.0, 21.0)]
    assert work_by_stage(spans, tasks_of(tmp_path)) == {
        "mediation": Work(2, 3.0, 120, 52, 6, 14),
        "rating": Work(1, 1.5, 5, 6, 3, 7),
    }
