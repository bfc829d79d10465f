"""The one error of the bench."""

from resources.expected_errors import ExpectedError


class BenchError(ExpectedError):
    """A measurement cannot be made, or its result is wrong. The message says why, and what to do."""
