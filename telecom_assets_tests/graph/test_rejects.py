"""Refused messages that a person corrects: exported, sent again through the topic, told by `explain`, through the real graph.

One small story; the tests go on from each other in their order.
"""

import base64
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telecom_assets_tests.graph.conftest import customers
from telecom_assets_tests.graph.project import MONTH, Project
from telecom_assets_tests.graph.test_cli_month import Finished, one_line, typed
from telecom_assets_tests.graph.test_sensor import sms

__all__ = ["typed"]

FIFTH = dt.date(2025, 6, 5)
NOT_UTF8 = b'{"record_ID": "bytes\xff"}'


@pytest.fixture(scope="module")
def project(new_project: Callable[..., Project]) -> Project:
    """June with a sound message and five that are refused: three on its days, two on the day of their receipt."""
    made = new_project(partitions=1)
    made.store_customers(customers())
    made.produce(
        [
            sms(FIFTH, "sound"),
            sms(FIFTH, "no sender", sender_id=None),
            sms(FIFTH, "left", sender_id="nobody"),
            sms(FIFTH, None),  # type: ignore[arg-type]
            sms(FIFTH, "no time", timestamp=None),
            NOT_UTF8,
        ]
    )
    made.open_month()
    made.run_month()
    return made


@pytest.fixture
def exported(project: Project, typed: Callable[..., Finished], tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    def export(*arguments: str) -> list[dict[str, Any]]:
        file = tmp_path / "refused.jsonl"
        told = typed(project, "rejects", "export", str(file), *arguments, "--json")
        lines = file.read_text().splitlines()
        assert told.json == {"file": str(file), "exported": len(lines)}
        return [json.loads(line) for line in lines]

    return export


def written(tmp_path: Path, lines: list[dict[str, Any]]) -> str:
    file = tmp_path / "corrected.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return str(file)


def test_refused_messages_are_exported_as_they_came(exported: Callable[..., list[dict[str, Any]]]) -> None:
    found = exported()
    assert [(each["record_id"], each["reason"], each["offset"], each["resubmitted_at"]) for each in found] == [
        ("no sender", "missing_subscriber", 1, None),
        ("left", "invalid_subscriber", 2, None),
        (None, "missing_record_id", 3, None),
        ("no time", "missing_timestamp", 4, None),
        (None, "malformed_utf8", 5, None),
    ]
    assert found[1]["text"].encode() == sms(FIFTH, "left", sender_id="nobody")
    assert (found[4]["text"], base64.b64decode(found[4]["base64"])) == (None, NOT_UTF8)
    assert {each["offset"] for each in exported("--month", MONTH)} == {1, 2, 3}
    assert [each["record_id"] for each in exported("--reason", "invalid_subscriber")] == ["left"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "no text of the file was changed"),
        ({"text": "{"}, "line 1: it would be refused again, for malformed_json; nothing was sent"),
        (
            {"text": sms(FIFTH, "another").decode()},
            "line 1: record_ID is 'another', and 'no sender' was refused; expected the same; nothing was sent",
        ),
        (
            {"text": sms(dt.date(2024, 1, 1), "no sender").decode()},
            "line 1: it would be refused again, for outside_acceptance_window; nothing was sent",
        ),
        ({"offset": 0, "text": sms(FIFTH, "sound").decode()}, "line 1: partition 0, offset 0 of source"),
        ({"offset": "1"}, "line 1: offset is '1'; expected a whole number; nothing was sent"),
        ({"text": None}, "line 1: text is None; expected a text; nothing was sent"),
    ],
)
def test_what_is_no_correction_is_refused_in_a_sentence(
    project: Project,
    typed: Callable[..., Finished],
    exported: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
    changed: dict[str, Any],
    said: str,
) -> None:
    """A good correction in the same file is not sent either."""
    first, second, *_ = exported()
    good = {**second, "text": sms(FIFTH, "left").decode()}
    file = written(tmp_path, [{**first, **changed}, *([good] if changed else [])])
    one_line(typed(project, "rejects", "resubmit", file), 1, said)
    assert project.deployment.kafka().topic_state().partitions[0].latest == 6
    assert not project.warehouse.pin("resubmissions").rows_by_partition()


def test_a_file_that_is_none_and_an_unknown_reason(
    project: Project, typed: Callable[..., Finished], tmp_path: Path
) -> None:
    one_line(typed(project, "rejects", "resubmit", str(tmp_path / "none")), 1, "no such file")
    one_line(typed(project, "rejects", "resubmit", written(tmp_path, [])), 1, "no text of the file was changed")
    one_line(typed(project, "rejects", "export", str(tmp_path), "--reason", "odd"), 2, "reason 'odd': expected one of")
    one_line(typed(project, "rejects", "export", str(tmp_path)), 1, "a folder")


def test_corrections_come_back_under_the_same_id(
    project: Project,
    typed: Callable[..., Finished],
    exported: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    """Each original stays refused, and hides nothing: not on its own day, and not from another (its time was missing).

    Sent twice, as after a crash, a correction is a duplicate of itself and noted once.
    """
    no_sender, left, no_id, no_time, _ = exported()
    texts = {1: sms(FIFTH, "no sender"), 3: sms(FIFTH, "named now"), 4: sms(FIFTH, "no time")}
    lines = [{**each, "text": texts.get(each["offset"], each["text"].encode()).decode()} for each in (no_sender, left, no_id, no_time)]  # fmt: skip
    file = written(tmp_path, lines)
    for _ in range(2):
        told = typed(project, "rejects", "resubmit", file, "--by", "Anna", "--why", "a switch was wrong", "--json")
        assert (told.status, told.json["resubmitted"]) == (0, 3)
    project.run_month()
    cleaned = {row["record_id"]: row["source_position"] for row in project.rows("cleaned_cdrs")}
    assert cleaned == {"sound": 0, "no sender": 6, "named now": 7, "no time": 8}
    rejected = {row["source_position"]: row["reason"] for row in project.rows("rejected_cdrs")}
    assert rejected == {
        1: "missing_subscriber",
        2: "invalid_subscriber",
        3: "missing_record_id",
        4: "missing_timestamp",
        5: "malformed_utf8",
        9: "duplicate",
        10: "duplicate",
        11: "duplicate",
    }
    noted = project.rows("resubmissions")
    assert sorted((row["source_position"], row["record_id"], row["decided_by"]) for row in noted) == [
        (1, "no sender", "Anna"),
        (3, "named now", "Anna"),
        (4, "no time", "Anna"),
    ]
    assert [each["offset"] for each in exported() if each["resubmitted_at"]] == [1, 3, 4]


def test_explain_names_the_original_of_a_correction(project: Project, typed: Callable[..., Finished]) -> None:
    """By the corrected id, also where the original had none."""
    messages = typed(project, "explain", "no time", "--json").json["messages"]
    places = {each["source_position"]: (each["outcome"], (each["corrects"] or {}).get("source_position")) for each in messages}  # fmt: skip
    assert places == {4: ("rejected", None), 8: ("kept", 4), 11: ("rejected", 4)}
    assert next(each for each in messages if each["source_position"] == 4)["corrected"]["record_id"] == "no time"
    shown = typed(project, "explain", "named now").stdout
    assert "partition 0, offset 3" in " ".join(shown.split())
    original = typed(project, "explain", f"{project.settings.kafka_topic}/0/3").stdout
    assert "record named now was sent" in " ".join(original.split())
