"""Expected errors: each is raised with a sentence for people, so its message is shown as it is.

Belongs here: their base classes. Every other exception is a fault of the program.
"""

from typing import ClassVar


class ExpectedError(Exception):
    """Something outside the program is not as it must be. The message names it, what was expected and what to do."""

    #: With which status a command ends.
    exit_status: ClassVar[int] = 1


class UsageError(ExpectedError):
    """An argument or a setting cannot be used, whatever the data."""

    exit_status: ClassVar[int] = 2
