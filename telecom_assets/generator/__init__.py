"""Synthetic CDRs and customers: what a month of a Moroccan operator looks like, errors included.

Belongs here: pure generation with numpy and pyarrow, and the two files made from it. Does not belong here: Kafka
(`resources.kafka_producer`), the command line (`telecom_assets.cli.data`), any rule of mediation or rating: the
generator knows the input contract only.
"""

from telecom_assets.generator.cdrs import generate_cdr_chunks
from telecom_assets.generator.customers import generate_customers
from telecom_assets.generator.files import GeneratedFiles, write_files
from telecom_assets.generator.spec import DEFAULT_SEED, GeneratorSpec, SpecError, parse_month

__all__ = [
    "DEFAULT_SEED",
    "GeneratedFiles",
    "GeneratorSpec",
    "SpecError",
    "generate_cdr_chunks",
    "generate_customers",
    "parse_month",
    "write_files",
]
