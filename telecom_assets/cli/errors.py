"""Which exceptions are a clear message already."""

from telecom_assets.cli.archives import ArchiveError
from telecom_assets.cli.data import WriteError
from telecom_assets.expected_errors import STEP_ERRORS
from telecom_assets.generator import SpecError
from telecom_assets.local_stack import LocalStackError
from telecom_assets.months import MonthError, NothingBilled
from telecom_assets.paths import PathError
from telecom_assets.settings import SettingsError
from telecom_assets.sqlite_databases import InstanceError

USAGE_ERRORS = (MonthError, PathError, SettingsError, SpecError)
EXPECTED_ERRORS = (
    *STEP_ERRORS,
    ArchiveError,
    InstanceError,
    LocalStackError,
    NothingBilled,
    WriteError,
)
