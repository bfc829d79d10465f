"""What the engine's session does beside queries: keeping rows that several queries need."""

import gc
import os
import subprocess
import sys
from typing import Any

import pytest
from pyspark.sql import functions as F

from resources.engine import SparkEngine


def test_kept_rows_are_computed_once(engine: SparkEngine) -> None:
    """Rows that would come out otherwise every time are the same in every query."""
    kept = engine.keep(engine.spark_session.range(100).select("id", F.rand().alias("chance")))
    first, second = (sorted((row["id"], row["chance"]) for row in kept.collect()) for _ in range(2))
    assert first == second
    assert [number for number, _ in first] == list(range(100))
    assert len({chance for _, chance in first}) > 90


def test_kept_rows_belong_to_their_own_session(sail: SparkEngine, engine: SparkEngine) -> None:
    """Two engines in one process: the rows of one can be joined with its own, whichever spoke last."""
    sail.spark_session.range(1).count()
    rows = engine.spark_session.range(5)
    assert sail.keep(sail.spark_session.range(3)).join(sail.spark_session.range(2), on="id").count() == 2
    assert rows.join(engine.keep(engine.spark_session.range(3)), on="id").count() == 3


def test_apache_spark_sends_few_kept_rows_to_those_it_joins(spark_remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept counts for as much as it was made from, so without a word the larger side would be sent as well."""
    engine = SparkEngine(kind="spark", remote=spark_remote)
    many = engine.spark_session.range(40_000_000)
    few = many.where(F.col("id") % 10_000_000 == 3)

    def joined() -> Any:
        return many.join(engine.keep(few), on="id", how="left_semi")

    assert "BroadcastHashJoin" in joined()._explain_string()
    monkeypatch.setattr("resources.engine._SENT_TO_ALL_ROWS", 3)
    assert "SortMergeJoin" in joined()._explain_string()


def test_no_rows_are_kept_too(engine: SparkEngine) -> None:
    kept = engine.keep(engine.spark_session.range(0).select(F.col("id"), F.lit("a").alias("text")))
    assert (kept.columns, kept.collect()) == (["id", "text"], [])


def test_kept_rows_are_not_given_up_by_the_garbage_collector(
    engine: SparkEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request from a finalizer may fall into another request of the same thread, and then neither ends."""
    session: Any = engine.spark_session
    kept = engine.keep(session.range(3))
    assert kept.count() == 3
    asked: list[Any] = []
    monkeypatch.setattr(session.client._channel, "unary_unary", lambda *call, **_: asked.append(call), raising=False)
    rows: Any = getattr(kept._plan, "_child", None) or kept._plan  # below the word that they are few
    rows.__del__()
    del rows, kept
    gc.collect()
    assert asked == []


_WITHIN_BOUNDS = """
from pyspark.sql import functions as F
from resources.engine import SparkEngine

session = SparkEngine(kind="sail", memory_mb=128).spark_session
rows = session.range(4_000_000).select(F.sha2(F.col("id").cast("string"), 256).alias("text"))
largest = rows.orderBy("text").agg(F.count("*").alias("rows"), F.max("text").alias("last")).collect()[0]
print(largest["rows"], len(largest["last"]))
try:
    rows.agg(F.size(F.collect_list("text"))).collect()
except Exception as error:
    print("exhausted" if "memory pool" in str(error) else error)
"""


@pytest.mark.processes
def test_the_embedded_engine_keeps_within_its_memory() -> None:
    """In a process of its own: sorting more than that uses files, and what cannot is refused with a reason."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAIL_")}
    done = subprocess.run(
        [sys.executable, "-c", _WITHIN_BOUNDS], check=False, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["4000000 64", "exhausted"], done.stderr
