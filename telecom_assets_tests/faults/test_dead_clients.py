"""A client of Apache Spark is killed while the server executes its write, and the server goes on: nothing counts twice."""

from collections.abc import Callable
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from resources.kafka import KafkaConnection
from resources.kafka_producer import MessageProducer
from telecom_assets_tests.faults import work
from telecom_assets_tests.faults.conftest import Shared, counted_by_a_stranger
from telecom_assets_tests.faults.processes import Running

MESSAGES = 12_000


def attempts(shared: Shared) -> list[Path]:
    """Folders of attempts to write raw_cdrs, oldest first."""
    return sorted(Path(shared.root, "raw_cdrs").glob("rows-*"), key=lambda path: path.stat().st_ctime_ns)


def complete(attempt: Path) -> bool:
    """Whether the server has finished what it was asked to write there."""
    return any(attempt.glob("event_date=*/*.parquet"))


def until(condition: Callable[[], bool], seconds: float, pause: float) -> None:
    Retrying(retry=retry_if_result(lambda done: not done), stop=stop_after_delay(seconds), wait=wait_fixed(pause))(
        condition
    )


def test_what_the_server_finishes_for_a_dead_client_counts_for_nothing(
    tmp_path: Path, new_kafka_topic: Callable[..., KafkaConnection], spark_remote: str
) -> None:
    """The next landing runs at once, beside the write that outlived its client. Each message counts once."""
    shared = Shared(tmp_path, str(tmp_path / "shared warehouse"), new_kafka_topic(partitions=2))
    values = [b"%d" % number for number in range(MESSAGES)]
    assert MessageProducer(shared.kafka).send([values]) == MESSAGES
    homes = {number: shared.home(number, engine="spark", spark_remote=spark_remote) for number in (1, 2)}
    dead = Running(work.landed, homes[1])
    # The server makes the folder when it begins to execute the write.
    until(lambda: bool(attempts(shared)), seconds=120, pause=0.002)
    dead.kill()
    [left] = attempts(shared)
    assert not complete(left), "the write is under way"
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (0, 0)

    assert Running(work.landed, homes[2]).answer()["records"] == MESSAGES
    until(lambda: complete(left), seconds=120, pause=0.1)
    assert Running(work.landed, homes[1]).answer()["records"] == 0
    assert counted_by_a_stranger(shared.table("raw_cdrs")) == (MESSAGES, MESSAGES)
    assert sorted(int(value or b"") for part in shared.values().values() for _, value in part) == list(range(MESSAGES))
    named = {path.split("/raw_cdrs/")[1].split("/")[0] for path in shared.table("raw_cdrs").file_uris()}
    assert left.name not in named
