"""`telecom sources` as a user types it, with a topic of a real broker that lost something or is another one."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic

from resources.engine import SparkEngine
from resources.kafka import KafkaConnection
from resources.warehouse import Warehouse
from telecom_assets.intake.plan import LandingError
from telecom_assets.tables import TABLES
from telecom_assets_tests.intake.test_landing import (
    assert_sound,
    cdr,
    delete_records,
    landing,
    produced,
    today,
    values_of,
)
from telecom_assets_tests.typed import Finished, type_command

WHO = ("--by", "A. Analyst", "--why", "retention was [2 h]")


@pytest.fixture
def typed(
    plain: Warehouse,
    kafka: KafkaConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Finished]:
    """Types a command in a home with the warehouse and the topic of the test."""
    given = {
        "COLUMNS": "250",
        "TELECOM_HOME": str(tmp_path / "home"),
        "TELECOM_WAREHOUSE": plain.root,
        "TELECOM_KAFKA_TOPIC": kafka.topic,
        "TELECOM_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TELECOM_KAFKA_OPTIONS": json.dumps(kafka.options),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: type_command(monkeypatch, capfd, arguments)


def made_again(connection: KafkaConnection) -> None:
    """Delete the topic and make it anew under its name."""
    admin, name = connection.admin(), connection.topic
    admin.delete_topics([name], operation_timeout=30)[name].result(30)
    topic = NewTopic(name, num_partitions=2, replication_factor=1, config={"message.timestamp.type": "LogAppendTime"})
    admin.create_topics([topic], operation_timeout=30)[name].result(30)


def test_another_source_is_accepted_and_shown(
    typed: Callable[..., Finished], plain: Warehouse, kafka: KafkaConnection
) -> None:
    """The old one is closed where it was; landing goes on with the new one from its beginning."""
    produced(kafka, cdr("a", today()), cdr("b", today()))
    landing(plain, kafka)
    old = kafka.topic_state().topic_id
    made_again(kafka)
    produced(kafka, cdr("c", today()))
    new = kafka.topic_state().topic_id
    with pytest.raises(LandingError, match="telecom sources accept --by NAME --why REASON"):
        landing(plain, kafka)

    accepted = typed("sources", "accept", *WHO)
    summary = (
        f"source {new} accepted; closes {kafka.topic} ({old}): partition 0 up to offset 2, partition 1 up to offset 0"
    )
    assert (accepted.exit_code, accepted.stderr) == (0, "")
    assert accepted.stdout == f"✓ {summary}; `telecom run` goes on\n"

    assert landing(plain, kafka).records == 1
    assert_sound(plain)
    assert sorted(offset for offset, _ in values_of(plain)[0]) == [0, 0, 1]

    said = json.loads(typed("sources", "list", "--json").stdout)
    assert [(each["source_id"], each["current"], each["ends"], each["records"]) for each in said["sources"]] == [
        (old, False, {"0": 2, "1": 0}, {"0": 2, "1": 0}),
        (new, True, {"0": 1, "1": 0}, {"0": 1, "1": 0}),
    ]
    [decision] = said["decisions"]
    assert (decision["kind"], decision["decided_by"], decision["why"]) == ("source_accepted", WHO[1], WHO[3])

    shown = typed("sources", "list").stdout
    assert f"{old} (closed)" in shown
    assert all(text in shown for text in (summary, WHO[1], WHO[3]))
    assert summary in typed("funnel", "--month", f"{today() - timedelta(days=40):%Y-%m}").stdout
    status = typed("status")
    assert summary in status.stdout

    again = typed("sources", "accept", *WHO)
    assert (again.exit_code, again.stdout) == (1, "")
    assert (
        again.stderr
        == f"telecom: topic '{kafka.topic}' (id {new}) is the source that is landed already; nothing to accept\n"
    )


def test_offsets_that_retention_took_are_given_up_and_shown(
    typed: Callable[..., Finished], plain: Warehouse, kafka: KafkaConnection
) -> None:
    produced(kafka, b"0", b"1")
    landing(plain, kafka)
    produced(kafka, b"2", b"3", b"4")
    delete_records(kafka, 4)
    with pytest.raises(LandingError, match="telecom sources skip --partition 0 --to 4 --by NAME --why REASON"):
        landing(plain, kafka)

    for to in ("5", "2"):
        refused = typed("sources", "skip", "--partition", "0", "--to", to, *WHO)
        assert refused.exit_code == 1
        assert f"--to {to} would give up offsets that are not lost; offsets 2 to 3 are" in refused.stderr
    refused = typed("sources", "skip", "--partition", "7", "--to", "4", *WHO)
    assert f"topic '{kafka.topic}' has no partition 7; expected one of 0, 1" in refused.stderr
    refused = typed("sources", "skip", "--partition", "1", "--to", "4", *WHO)
    assert "partition 1: nothing is missing; it is landed up to offset 0, and the topic begins at 0" in refused.stderr

    skipped = typed("sources", "skip", "--partition", "0", "--to", "4", *WHO, "--json")
    said = json.loads(skipped.stdout)
    assert (said["kind"], said["source_part"], said["from_position"], said["to_position"]) == (
        "positions_skipped",
        0,
        2,
        4,
    )
    assert said["detail"] == "at most 2 records lost"
    assert landing(plain, kafka).records == 1
    assert values_of(plain) == {0: [(0, b"0"), (1, b"1"), (4, b"4")]}
    assert_sound(plain)
    assert "partition 0: offsets 2 to 3 given up, at most 2 records lost" in typed("status").stdout


def test_before_anything_landed_there_is_nothing_to_decide(
    typed: Callable[..., Finished], plain: Warehouse, kafka: KafkaConnection
) -> None:
    assert json.loads(typed("sources", "list", "--json").stdout) == {"sources": [], "decisions": []}
    assert not Path(plain.root).exists()
    refused = typed("sources", "accept", *WHO)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("telecom: nothing was landed yet")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("accept", "--why", "x"), "Missing option '--by'"),
        (("accept", "--by", " ", "--why", "x"), "expected a text that is not empty"),
        (("skip", *WHO, "--to", "4"), "Missing option '--partition'"),
        (("skip", *WHO, "--to", "four", "--partition", "0"), "Input should be a valid integer"),
        (("skip", *WHO, "--to=-1", "--partition", "0"), "Input should be greater than or equal to 0"),
    ],
)
def test_arguments_that_cannot_be_used(typed: Callable[..., Finished], arguments: tuple[str, ...], says: str) -> None:
    refused = typed("sources", *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert says in refused.stderr


def test_a_warehouse_without_an_engine_tells_its_sources(tmp_path: Path) -> None:
    """Reading decisions starts no engine and makes no table."""
    from telecom_assets.intake.journal import landed_sources, source_decisions  # noqa: PLC0415

    warehouse = Warehouse(str(tmp_path / "none"), SparkEngine(kind="sail"), TABLES)
    assert (landed_sources(warehouse), source_decisions(warehouse)) == ([], [])
    assert not (tmp_path / "none").exists()
