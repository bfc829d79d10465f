"""The errors that a step expects: each is raised with a sentence for people, so its message is told as it is.

Belongs here: the list. Every other exception is a fault of the program. The command expects some more, of its own work
(`telecom_assets.cli.errors`).
"""

from resources.engine import EngineUnavailable
from resources.java import JavaError
from resources.kafka import KafkaUnavailable
from resources.kafka_source import KafkaRangeError
from resources.postgres import PostgresError
from resources.stack_state import StackStateError
from resources.warehouse import WarehouseError
from telecom_assets.conservation import ConservationError
from telecom_assets.csv_files import InputFileError
from telecom_assets.documents.atomic import PublishError
from telecom_assets.documents.invoice_document import InvoiceError
from telecom_assets.documents.report_files import ReportFileError
from telecom_assets.landing import LandingError
from telecom_assets.months import MonthError
from telecom_assets.process_locks import Busy
from telecom_assets.settings import SettingsError

STEP_ERRORS = (
    Busy,
    ConservationError,
    EngineUnavailable,
    InputFileError,
    InvoiceError,
    JavaError,
    KafkaRangeError,
    KafkaUnavailable,
    LandingError,
    MonthError,
    PostgresError,
    PublishError,
    ReportFileError,
    SettingsError,
    StackStateError,
    WarehouseError,
)
