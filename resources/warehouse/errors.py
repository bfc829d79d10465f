"""What can go wrong with a table, in sentences for people."""

from resources.expected_errors import ExpectedError


class WarehouseError(ExpectedError):
    """A table cannot be read or written. The message names it, what was expected and what to do."""


class Refused(WarehouseError):
    """Another commit came after the version that this one was to follow. Nothing was changed."""


class MissingTable(WarehouseError):
    """A table was never written. Whoever pins it sees an empty one; this is for those who must tell the two apart."""


class Overtaken(WarehouseError):
    """The same partitions were written from newer inputs meanwhile. Nothing was changed."""


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
