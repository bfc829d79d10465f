"""Which exceptions are a clear message already."""

from resources.delta import WarehouseError
from resources.engine import EngineUnavailable
from resources.java import JavaError
from resources.kafka import KafkaUnavailable
from resources.kafka_source import KafkaRangeError
from resources.postgres import PostgresError
from resources.stack_state import StackStateError
from telecom_assets.cli.archives import ArchiveError
from telecom_assets.cli.data import WriteError
from telecom_assets.conservation import ConservationError
from telecom_assets.csv_files import InputFileError
from telecom_assets.generator import SpecError
from telecom_assets.landing import LandingError
from telecom_assets.local_stack import LocalStackError
from telecom_assets.months import MonthError
from telecom_assets.paths import PathError
from telecom_assets.process_locks import Busy
from telecom_assets.settings import SettingsError
from telecom_assets.sqlite_databases import InstanceError

USAGE_ERRORS = (MonthError, PathError, SettingsError, SpecError)
EXPECTED_ERRORS = (
    ArchiveError,
    Busy,
    ConservationError,
    EngineUnavailable,
    InputFileError,
    InstanceError,
    JavaError,
    KafkaRangeError,
    KafkaUnavailable,
    LandingError,
    LocalStackError,
    PostgresError,
    StackStateError,
    WarehouseError,
    WriteError,
)
