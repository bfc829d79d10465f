"""The errors that are expected: each is raised with a sentence for people, so its message is told as it is.

Belongs here: what they have in common. Every other exception is a fault of the program.
"""


class ExpectedError(Exception):
    """Something outside the program is not as it must be. The message names it, what was expected and what to do."""
