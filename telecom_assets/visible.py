"""How a message names a value that people have written.

Belongs here: that alone. Does not belong here: whether the value is right.
"""


def visible(value: object) -> str:
    """The value as text; in quotes where a blank at its ends, or no text at all, would not be seen."""
    text = str(value)
    return text if text and text == text.strip() else repr(text)
