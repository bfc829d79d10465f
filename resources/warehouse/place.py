"""Where the tables of a warehouse are, and how each client reaches them.

Belongs here: paths, file systems, the one question whether a bucket can be used. Does not belong here: the tables themselves.
"""

import pyarrow.fs as pafs
from deltalake.fs import DeltaStorageHandler
from pyspark.errors import PySparkException

from resources.engine import SparkEngine, readable_path
from resources.s3 import S3Error, S3Storage
from resources.warehouse.errors import WarehouseError


class Place:
    """The root of a warehouse: a local folder, or a prefix in a bucket."""

    def __init__(self, root: str, engine: SparkEngine, s3: S3Storage | None) -> None:
        self.root = root.rstrip("/").replace("s3a://", "s3://", 1)
        self.engine = engine
        self.s3 = s3
        #: Options for delta-rs.
        self.storage_options = s3.delta_options() if s3 else None
        #: The clients that have reached the bucket already: delta-rs, the engine.
        self._reached: set[str] = set()

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def engine_path(self, name: str) -> str:
        """The path of a table in the form that the engine reads."""
        self._check_bucket_by_spark(name)
        return f"{readable_path(self.engine, self.root)}/{name}"

    def files(self, name: str) -> pafs.FileSystem:
        """The folder of a table as a file system, local or in a bucket."""
        return pafs.PyFileSystem(DeltaStorageHandler(self.path(name), options=self.storage_options))

    def stored(self, name: str) -> pafs.FileSystem:
        """The same folder for reading alone.

        For a local folder this is Arrow's own file system. delta-rs's file system is called through Python, and threads that
        read many small files would wait for Python's lock, up to 5 ms each time.
        """
        if "://" in self.root:
            return self.files(name)
        return pafs.SubTreeFileSystem(self.path(name), pafs.LocalFileSystem())

    def check_bucket(self) -> None:
        """Check once that the bucket can be used, if the warehouse is in one. Raises WarehouseError."""
        if self.s3 is None or "delta-rs" in self._reached:
            return
        try:
            self.s3.check(self.root)
        except S3Error as error:
            raise WarehouseError(f"warehouse {self.root}: {error}") from error
        self._reached.add("delta-rs")

    def _check_bucket_by_spark(self, name: str) -> None:
        """Check once that Apache Spark reaches the bucket too."""
        if self.s3 is None or self.engine.name != "spark" or "spark" in self._reached:
            return
        try:
            # The engine reads this first in any case.
            path = f"{readable_path(self.engine, self.root)}/{name}"
            self.engine.spark_session.read.format("delta").load(path).schema  # noqa: B018
        except PySparkException as error:
            raise WarehouseError(
                f"warehouse {self.root}: Apache Spark does not reach it ({str(error).splitlines()[0][:300]}); its "
                "executors and its server need the S3A jars, the endpoint and credentials, see docs/scaling.md"
            ) from error
        self._reached.add("spark")
