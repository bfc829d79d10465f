"""The errors of tables, each with a sentence for people."""

from resources.expected_errors import ExpectedError


class WarehouseError(ExpectedError):
    """A table cannot be read or written. The message names it, what was expected and what to do."""


class Refused(WarehouseError):
    """Another commit came after the version that this one was to follow. Nothing was changed."""


class MissingTable(WarehouseError):
    """A table does not exist. A pinned table that does not exist is empty; this error is for callers that must know the difference."""


class Overtaken(WarehouseError):
    """The same partitions were written from newer inputs meanwhile. Nothing was changed."""


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
