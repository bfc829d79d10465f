"""The one error of the bench."""


class BenchError(Exception):
    """A measurement cannot be made, or its result is wrong. The message says why, and what to do."""
