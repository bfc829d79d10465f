"""Expected errors: each is raised with a sentence for people, so its message is shown as it is.

Belongs here: their base class. Every other exception is a fault of the program.
"""


class ExpectedError(Exception):
    """Something outside the program is not as it must be. The message names it, what was expected and what to do."""
