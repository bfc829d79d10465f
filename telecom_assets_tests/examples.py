"""How many examples a property is tried with: all of them, and fewer in `make check`.

Belongs here: the profile of `make check`, and what it makes of a number that a test has fixed for itself.
"""

from hypothesis import settings

#: `pytest --hypothesis-profile=check`. A fault that only the full number finds is found by `make test`.
CHECK = "check"
#: All other runs.
_WHOLE = "whole"
#: What Hypothesis tries where nothing else is said; the numbers of the tests are meant beside it.
_USUAL = 100


def register_profiles() -> None:
    """Before the tests are collected, for decorators ask by which profile they are tried.

    An example may take as long as it needs: beside other work a machine takes longer for it, and that is no fault.
    """
    settings.register_profile(_WHOLE, settings.default, deadline=None)
    settings.register_profile(CHECK, settings.default, deadline=None, max_examples=10)
    settings.load_profile(_WHOLE)


def examples(full: int) -> int:
    """`full`, or the part of it that the profile takes of Hypothesis's usual hundred; one at least."""
    assert settings.default is not None
    return max(1, full * settings.default.max_examples // _USUAL)
