"""A number of things in words."""


def counted(number: int, thing: str) -> str:
    """`1 minute`, `2 minutes`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")
