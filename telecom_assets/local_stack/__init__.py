"""The local stack: real PostgreSQL, Kafka and Apache Spark servers in one home folder, without Docker.

>>> from telecom_assets.local_stack import LocalStack    # doctest: +SKIP
"""

from telecom_assets.local_stack.errors import LocalStackError, UnknownService
from telecom_assets.local_stack.spark import SparkShape
from telecom_assets.local_stack.stack import SERVICES, LocalStack, ServiceStatus

__all__ = ["SERVICES", "LocalStack", "LocalStackError", "ServiceStatus", "SparkShape", "UnknownService"]
