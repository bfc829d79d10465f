"""The one error of the bench."""


class BenchError(Exception):
    """A measurement cannot be made, or what was measured is wrong. The message says what, and what to do."""
