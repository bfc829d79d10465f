"""Accounts of the close journal: one TOML file, which `TELECOM_ACCOUNTS` names, or the packaged example.

Belongs here: what may stand in the file, and the sentence for what may not or is missing. Does not belong here: which entries there are
(`entries`). The packaged file, `telecom_assets/data/accounts.toml`, is the description of the format.
"""

import tomllib
from collections.abc import Collection
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from resources.expected_errors import ExpectedError
from telecom_assets.model.text import percentage

_PACKAGED = "accounts.toml"
_STRICT = ConfigDict(extra="forbid")
Account = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"\A[0-9A-Za-z][0-9A-Za-z._-]{0,31}\z")]


class AccountsError(ExpectedError, ValueError):
    """The file of accounts cannot be used. The message names the file, the key and what is expected."""


def _tax(key: str) -> str:
    """A category, or a category and one of its rates, such as "S 10"; as the journal writes it."""
    category, _, pct = key.partition(" ")
    if category not in ("S", "Z", "E", "O"):
        raise ValueError("expected a tax category (S, Z, E, O), or one with a rate, such as S 10")
    return f"{category} {_rate(pct)}" if pct else category


def _rate(text: str) -> str:
    try:
        pct = Decimal(text)
        is_one = 0 <= pct <= 100
    except ArithmeticError:
        is_one = False
    if not is_one:
        raise ValueError("expected a rate of 0 to 100 percent after the tax category, such as S 10")
    return percentage(pct)


@dataclass(frozen=True, config=_STRICT)
class Memorandum:
    """Accounts outside of the ledger."""

    contra: Account
    write_offs: Account
    awaiting_acceptance: Account
    refused: Account
    unbilled_open: Account
    unbilled_suspended: Account


@dataclass(frozen=True, config=_STRICT)
class Accounts:
    """The accounts by entry. revenue: by service. vat: by tax category, or category and rate ("S 10.00")."""

    receivables: Account
    discounts: Account
    rounding: Account
    adjustments: Account
    manual: Account
    revenue: dict[str, Account]
    vat: dict[Annotated[str, AfterValidator(_tax)], Account]
    memorandum: Memorandum

    def of_service(self, service: str) -> str:
        """The revenue account of a service. Raises AccountsError where there is none."""
        if service not in self.revenue:
            raise AccountsError(
                f"TELECOM_ACCOUNTS: revenue.{service} is missing; expected the account of this service in [revenue]"
            )
        return self.revenue[service]

    def of_tax(self, tax_category: str, tax_pct: Decimal) -> str:
        """The VAT account of a rate: its own, or that of its category. Raises AccountsError where there is none."""
        rate = f"{tax_category} {percentage(tax_pct)}"
        found = self.vat.get(rate) or self.vat.get(tax_category)
        if found is None:
            raise AccountsError(
                f'TELECOM_ACCOUNTS: vat.{tax_category} is missing; expected the account of "{rate}" in [vat]'
            )
        return found


_ACCOUNTS = TypeAdapter(Accounts)


def read_accounts(path: Path | None, services: Collection[str]) -> Accounts:
    """The accounts of a file; None: the packaged example. services: record types in force, which alone have revenue.

    Raises AccountsError with everything that is wrong: a key that is unknown, missing, or no account.
    """
    try:
        source = path or files("telecom_assets").joinpath("data", _PACKAGED)
        found = _ACCOUNTS.validate_python(tomllib.loads(source.read_text(encoding="utf-8")))
    except OSError as error:
        raise AccountsError(f"{path}: cannot be read ({error.strerror}); expected the file of accounts") from None
    except UnicodeDecodeError:
        raise AccountsError(f"{path}: not UTF-8; save the file of accounts as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise AccountsError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(_problem(item["type"], item["loc"], item["msg"]) for item in error.errors())
        raise AccountsError(f"{path}: {problems}") from None
    if path is not None and (unknown := sorted(set(found.revenue) - set(services))):
        known = ", ".join(sorted(services))
        raise AccountsError(f"{path}: revenue.{unknown[0]} is no service; expected one of {known}")
    return found


def _problem(kind: str, loc: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(part) for part in loc if part != "[key]")
    if kind == "unexpected_keyword_argument":
        return f"{key} is no key of this file; telecom_assets/data/accounts.toml has those there are"
    if kind == "missing":
        return f"{key} is missing; expected the number of its account"
    if kind in ("string_pattern_mismatch", "string_type"):
        return f'{key}: expected the number of an account as a text, such as "3421"'
    reason = message.removeprefix("Value error, ")
    return f"{key}: {reason[0].lower()}{reason[1:]}"
