"""The exceptions whose message is a clear sentence, and is printed without a traceback."""

from resources.expected_errors import ExpectedError
from telecom_assets.cli.archives import ArchiveError
from telecom_assets.cli.data import WriteError
from telecom_assets.generator import SpecError
from telecom_assets.home.paths import PathError
from telecom_assets.home.settings import SettingsError
from telecom_assets.home.sqlite_databases import InstanceError
from telecom_assets.local_stack import LocalStackError
from telecom_assets.model.months import MonthError, NothingBilled

USAGE_ERRORS = (MonthError, PathError, SettingsError, SpecError)
EXPECTED_ERRORS = (
    ExpectedError,
    ArchiveError,
    InstanceError,
    LocalStackError,
    NothingBilled,
    WriteError,
)
