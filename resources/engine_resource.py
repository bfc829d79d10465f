"""The engine as a resource of Dagster's.

Belongs here: what Dagster's own type asks for. Does not belong here: the engine, which commands use
without Dagster (`resources.engine`).
"""

from typing import Literal

import dagster as dg
from dagster_pyspark import PySparkResource
from pydantic import Field
from pyspark.sql import DataFrame, SparkSession

from resources.engine import SparkEngine


class EngineResource(PySparkResource):
    """`dagster-pyspark`'s resource over Spark Connect; its fields are those of `SparkEngine`, which it hands everything to.

    Dagster makes copies of a resource from its fields: all of them have the session of the process.
    """

    kind: Literal["sail", "spark"] = "sail"
    remote: str | None = Field(default=None, repr=False)  # with its token
    stack_file: str | None = None
    memory_mb: int | None = None

    @classmethod
    def of(cls, engine: SparkEngine) -> "EngineResource":
        """The engine as a resource."""
        return cls(
            kind=engine.kind,
            remote=engine.remote,
            stack_file=engine.stack_file,
            memory_mb=engine.memory_mb,
            spark_config=dict(engine.spark_config),
        )

    @property
    def engine(self) -> SparkEngine:
        return SparkEngine(self.kind, self.remote, self.stack_file, self.memory_mb, self.spark_config)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Does nothing: the session starts on first use, so a run that needs no engine does not wait for one."""

    @property
    def spark_session(self) -> SparkSession:
        """The session. Raises EngineUnavailable with what to do when the engine cannot be reached."""
        return self.engine.spark_session

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def shuffles(self) -> bool:
        return self.engine.shuffles

    def keep(self, rows: DataFrame) -> DataFrame:
        return self.engine.keep(rows)
