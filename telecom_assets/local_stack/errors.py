"""The errors of the local stack."""

from resources.expected_errors import ExpectedError, UsageError


class LocalStackError(ExpectedError):
    """A server of the local stack cannot be started, stopped or asked. Its text is one line that says what to do.

    `details` are the last lines of the server's log, when they help.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details
        if details:
            self.add_note(details)  # a traceback shows notes


class UnknownService(LocalStackError, UsageError):
    """No server of the local stack has this name."""
