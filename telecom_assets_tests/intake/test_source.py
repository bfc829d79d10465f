"""A source of another kind than a topic: the lines of a file are landed exactly once, and nothing of the product changes for it.

Belongs here: that `Source` is all that landing asks. The stories of a topic (retention, kills, two homes) are in `test_landing`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from resources.engine import SparkEngine
from resources.kafka import TopicState, Watermarks
from resources.kafka_source import OffsetRange
from resources.warehouse import Warehouse
from telecom_assets.intake.decisions import accept_source
from telecom_assets.intake.journal import landed_sources
from telecom_assets.intake.landing import Landed, LandingSettings, land
from telecom_assets.intake.plan import LandingError
from telecom_assets.intake.source import Source
from telecom_assets.mediation.rules import mediate
from telecom_assets.tables import TABLES
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.stages.chain import contract_frame


@dataclass(frozen=True)
class Lines:
    """A file of lines. Its identity is what it holds, it has one part, and a position is the number of a line, from 0 on."""

    path: Path

    @property
    def topic(self) -> str:
        return self.path.name

    def topic_id(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def topic_state(self) -> TopicState:
        return TopicState(self.topic_id(), {0: Watermarks(0, len(self._lines()))}, log_append_time=False)

    def messages(
        self, spark: SparkSession, state: TopicState, ranges: Sequence[OffsetRange], *, by_value: bool
    ) -> DataFrame:
        del by_value  # the rows are read here, and no executor runs anything of this file
        lines = self._lines()
        rows = [(number, lines[number]) for asked in ranges for number in range(asked.start, asked.end)]
        return spark.createDataFrame(rows, "position bigint, value binary").select(
            F.lit(self.topic).alias("topic"),
            F.lit(state.topic_id).alias("source"),
            F.lit(0).alias("part"),
            "position",
            F.lit(None).cast("timestamp").alias("received"),
            "value",
        )

    def positions(self, offsets: OffsetRange) -> set[int]:
        return set(range(len(self._lines()))) & set(range(offsets.start, offsets.end))

    def _lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines()


def sms(record_id: str) -> str:
    return (
        f'{{"record_ID": "{record_id}", "record_type": "sms", "timestamp": "2026-10-31T10:00:00", '
        '"sender_id": "212600000001", "receiver_id": "212700000002"}'
    )


LINES = [sms("a"), "no JSON", sms("b"), sms("a"), sms("c")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cdr.jsonl"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def warehouse(tmp_path: Path, engine: SparkEngine) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"), engine, TABLES)


def landing(warehouse: Warehouse, source: Source) -> Landed:
    return land(warehouse, source, LandingSettings("run", 400, 31, date(2026, 10, 1), chunk_rows=2))


def raw(warehouse: Warehouse) -> list[dict[str, Any]]:
    columns = ["source_id", "source_part", "source_position", "kafka_topic", "value"]
    rows = warehouse.pin("raw_cdrs").arrow().select(columns).to_pylist()
    return sorted(rows, key=lambda row: (row["source_id"], row["source_position"]))


def test_each_line_of_a_file_is_one_row(warehouse: Warehouse, file: Path) -> None:
    """Five lines in chunks of two; nothing is new the second time."""
    source = Lines(file)
    assert landing(warehouse, source).records == 5
    assert landing(warehouse, source).records == 0
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert raw(warehouse) == [
        {
            "source_id": digest,
            "source_part": 0,
            "source_position": number,
            "kafka_topic": "cdr.jsonl",
            "value": line.encode(),
        }
        for number, line in enumerate(LINES)
    ]
    [known] = landed_sources(warehouse)
    assert (known.source_id, known.ends, known.records, known.current) == (digest, {0: 5}, {0: 5}, True)


@pytest.mark.thorough
def test_each_line_of_a_file_is_one_outcome(tmp_path: Path, sail: SparkEngine, file: Path) -> None:
    """The second line is no JSON, the fourth a copy of the first. Whichever engine: it is mediation as of any rows."""
    warehouse = Warehouse(str(tmp_path / "warehouse"), sail, TABLES)
    landing(warehouse, Lines(file))
    rows = warehouse.pin("raw_cdrs").all()
    catalog = contract_frame(sail, TABLES["product_catalog"], cdrs.CATALOGUE)
    outcomes = mediate(rows, rows, catalog, dedupe_days=31)
    cleaned = {(row["source_position"], row["record_id"]) for row in outcomes.cleaned.collect()}
    rejected = {(row["source_position"], row["reason"]) for row in outcomes.rejected.collect()}
    assert cleaned == {(0, "a"), (2, "b"), (4, "c")}
    assert rejected == {(1, "malformed_json"), (3, "duplicate")}


@pytest.mark.thorough
def test_a_file_that_grew_is_another_source_until_somebody_accepts_it(warehouse: Warehouse, file: Path) -> None:
    """Its first lines would be landed a second time: they are, once a person says so, and are copies then."""
    assert landing(warehouse, Lines(file)).records == 5
    with file.open("a", encoding="utf-8") as end:
        end.write(sms("d") + "\n")
    with pytest.raises(LandingError, match=r"topic 'cdr\.jsonl' is not the topic this warehouse was filled from"):
        landing(warehouse, Lines(file))
    assert len(raw(warehouse)) == 5
    accept_source(warehouse, Lines(file), by="somebody", why="the day's second delivery")
    assert landing(warehouse, Lines(file)).records == 6
    assert len(raw(warehouse)) == 11


@pytest.mark.thorough
def test_a_line_that_the_engine_leaves_out_stops_the_landing(warehouse: Warehouse, file: Path) -> None:
    """Rows are counted by what the source itself says that it has."""

    class Leaking(Lines):
        def messages(
            self, spark: SparkSession, state: TopicState, ranges: Sequence[OffsetRange], *, by_value: bool
        ) -> DataFrame:
            rows = super().messages(spark, state, ranges, by_value=by_value)
            return rows.where(F.col("position") != 3)

    with pytest.raises(
        LandingError, match="offsets 3 to 4: 1 messages of the topic, the first at offset 3, are not among"
    ):
        landing(warehouse, Leaking(file))
    assert [row["source_position"] for row in raw(warehouse)] == [0, 1, 2]  # of the chunks before
