"""The check that every table has: it keeps its contract."""

from telecom_assets.books.contracts import keeps_contract
from telecom_assets.books.factory import Check


def contract_check(name: str, *, unique: bool = False) -> Check:
    """The check of one table's contract; `unique`: also that its key is unique, where no other check does."""
    return Check(
        "keeps_contract",
        f"Columns, types and required values of {name} are as declared"
        + (", and its key is unique." if unique else "."),
        lambda inputs: keeps_contract(inputs.pin(name), unique=unique),
    )
