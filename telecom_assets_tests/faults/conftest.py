"""Two homes with one warehouse and one topic, and what somebody who knows nothing of us counts in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from resources.kafka import KafkaConnection
from resources.s3 import S3Storage
from telecom_assets_tests.s3_server import S3Server, s3_server

_POSITIONS = "source_id, source_part, source_position"


@dataclass(frozen=True)
class Shared:
    """One warehouse and one topic; `home(n)` is what the user of a home sets."""

    folder: Path
    root: str
    kafka: KafkaConnection
    s3: S3Storage | None = None

    def home(self, number: int, **more: Any) -> dict[str, Any]:
        given = {
            "home": self.folder / f"home {number}",
            "warehouse": self.root,
            "kafka_bootstrap_servers": self.kafka.bootstrap_servers,
            "kafka_options": self.kafka.options,
            "kafka_topic": self.kafka.topic,
        }
        if self.s3 is not None:
            given |= {
                "aws_endpoint_url": self.s3.endpoint,
                "aws_region": self.s3.region,
                "aws_access_key_id": self.s3.access_key_id,
                "aws_secret_access_key": self.s3.secret_access_key,
            }
        return {**given, **more}

    def table(self, name: str) -> DeltaTable:
        options = self.s3.delta_options() if self.s3 else None
        return DeltaTable(f"{self.root}/{name}", storage_options=options)

    def rows(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table(name).to_pyarrow_table().to_pylist()
        return rows

    def values(self) -> dict[int, list[tuple[int, bytes | None]]]:
        """Positions and bytes of raw_cdrs by part, in order."""
        found: dict[int, list[tuple[int, bytes | None]]] = {}
        for row in sorted(self.rows("raw_cdrs"), key=lambda row: (row["source_part"], row["source_position"])):
            found.setdefault(row["source_part"], []).append((row["source_position"], row["value"]))
        return found


def counted_by_a_stranger(table: DeltaTable) -> tuple[int, int]:
    """Rows of raw_cdrs and distinct positions among them, as DuckDB counts them in the files that the log names.

    That is what its `delta_scan` does, whose extension is not to be had without a network.
    """
    rows: pa.Table = table.to_pyarrow_table(columns=_POSITIONS.split(", "))  # noqa: F841  (DuckDB reads it by its name)
    relation = duckdb.sql(f"SELECT count(*), count(DISTINCT ({_POSITIONS})) FROM rows")
    assert relation is not None  # as of a statement that answers nothing
    [(count, distinct)] = relation.fetchall()
    return count, distinct


@pytest.fixture(scope="session")
def s3_of_faults() -> Iterator[S3Server]:
    """An S3 server for processes that are told its address themselves."""
    with s3_server() as server:
        yield server


@pytest.fixture(params=["disk", "s3"])
def shared(request: pytest.FixtureRequest, tmp_path: Path, new_kafka_topic: Callable[..., KafkaConnection]) -> Shared:
    """An empty warehouse and a fresh topic of two partitions, on disk and on S3."""
    kafka = new_kafka_topic(partitions=2)
    if request.param == "disk":
        return Shared(tmp_path, str(tmp_path / "shared warehouse"), kafka)
    server: S3Server = request.getfixturevalue("s3_of_faults")
    return Shared(tmp_path, f"s3://{server.new_bucket()}/warehouse", kafka, server.storage)


@pytest.fixture
def on_disk(tmp_path: Path, new_kafka_topic: Callable[..., KafkaConnection]) -> Shared:
    """An empty warehouse on disk and a fresh topic of two partitions."""
    return Shared(tmp_path, str(tmp_path / "shared warehouse"), new_kafka_topic(partitions=2))
