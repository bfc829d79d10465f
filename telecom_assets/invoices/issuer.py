"""Who sends the bills: one TOML file, which `TELECOM_ISSUER` names, or the demonstration operator.

Belongs here: what may stand in the file, and the sentence for what may not. Does not belong here: where it is shown
(`telecom_assets.invoices.document`, `telecom_assets.invoices.pdf`).

    name = "Atlas Télécom SA"
    address = ["12, avenue Hassan II", "Immeuble B"]
    postal_code = "10000"
    city = "Rabat"
    country = "MA"
    legal_registration = "SA au capital de 10 000 000 MAD"
    vat_id = "MA00000000"
    email = "factures@example.com"
    phone = "+212 5 37 00 00 00"
    website = "www.example.com"
    logo = "logo.svg"                    # .svg or .png, beside the file
    invoice_language = "fr"              # of every bill: fr or en
    note = "Payable à réception."
    fonts = "fonts"                      # folder of further fonts, for names in any script
    font = "Inter"                       # a family in it, for all text

    [tax_numbers]                        # Morocco; each may be left out
    ice = "001234567000089"
    if = "12345678"
    rc = "Rabat 54321"

    [bank]                               # iban or rib, and what else is known
    name = "Banque de démonstration"
    iban = "FR1420041010050500013M02606"
    bic = "PSSTFRPPXXX"

    [customer_languages]                 # customers who are written to in another language
    212600000001 = "en"
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from resources.expected_errors import ExpectedError

Language = Literal["fr", "en"]
LANGUAGES: tuple[Language, ...] = ("fr", "en")


class IssuerError(ExpectedError, ValueError):
    """The issuer's file cannot be used. The message names the file, the key and what is expected."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a control character; expected one line of text")
    return text


def _iban(text: str) -> str:
    """The IBAN without blanks. Raises ValueError unless its check digits are right (ISO 13616, ISO 7064 mod 97-10)."""
    iban = text.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", iban):
        raise ValueError("expected an IBAN: two letters, two check digits and 11 to 30 letters and digits")
    if int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 != 1:
        raise ValueError("the check digits of this IBAN are wrong; expected it as the bank writes it")
    return iban


def _rib(text: str) -> str:
    """The Moroccan RIB without blanks: bank, town, account, and a key that makes the 24 digits a multiple of 97."""
    rib = text.replace(" ", "")
    if not re.fullmatch(r"[0-9]{24}", rib):
        raise ValueError("expected a RIB of 24 digits")
    if int(rib) % 97:
        raise ValueError("the key of this RIB is wrong; expected it as the bank writes it")
    return rib


def _logo(path: Path) -> Path:
    if path.suffix.lower() not in (".svg", ".png"):
        raise ValueError("expected a file that ends in .svg or .png")
    if not path.is_file():
        raise ValueError(f"no file at {path}")
    return path


def _fonts(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"no folder at {path}")
    return path


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), AfterValidator(_printable)
]
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class TaxNumbers:
    """Numbers that a bill of Morocco names: ICE (15 digits), identifiant fiscal (`if`), registre de commerce."""

    ice: Annotated[str, StringConstraints(pattern=r"\A[0-9]{15}\z")] | None = None
    fiscal_id: Annotated[Line | None, Field(alias="if")] = None
    rc: Line | None = None


@dataclass(frozen=True, config=_STRICT)
class BankAccount:
    """Where to pay: an IBAN with its BIC, a Moroccan RIB, or both."""

    name: Line | None = None
    iban: Annotated[Line, AfterValidator(_iban)] | None = None
    bic: Annotated[str, StringConstraints(pattern=r"\A[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?\z")] | None = None
    rib: Annotated[Line, AfterValidator(_rib)] | None = None

    def __post_init__(self) -> None:
        if self.iban is None and self.rib is None:
            raise ValueError("expected iban or rib, so that a customer knows where to pay")


@dataclass(frozen=True, config=_STRICT)
class Issuer:
    """Who sends the bills. `country`: ISO 3166, two letters. Without arguments: the demonstration operator."""

    name: Line = "Demonstration operator"
    address: tuple[Line, ...] = ()
    postal_code: Line | None = None
    city: Line | None = None
    country: Annotated[str, StringConstraints(pattern=r"\A[A-Z]{2}\z")] = "MA"
    legal_registration: Line | None = None
    vat_id: Line | None = None
    email: Line | None = None
    phone: Line | None = None
    website: Line | None = None
    logo: Annotated[Path, AfterValidator(_logo)] | None = None
    invoice_language: Language = "en"
    note: Note | None = None
    fonts: Annotated[Path, AfterValidator(_fonts)] | None = None
    font: Line | None = None
    tax_numbers: TaxNumbers = field(default_factory=TaxNumbers)
    bank: BankAccount | None = None
    customer_languages: dict[str, Language] = field(default_factory=dict)

    @property
    def tax_id(self) -> str | None:
        """The number by which the tax office knows the issuer: the ICE, or the VAT number where there is none."""
        return self.tax_numbers.ice or self.vat_id

    def language_of(self, customer_id: str) -> Language:
        """The language of a customer's documents."""
        return self.customer_languages.get(customer_id, self.invoice_language)


_ISSUER = TypeAdapter(Issuer)


def read_issuer(path: Path | None) -> Issuer:
    """The issuer of a file; None: the demonstration operator. Raises IssuerError with everything that is wrong."""
    if path is None:
        return Issuer()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IssuerError(f"{path}: cannot be read ({error.strerror}); expected the issuer's file") from None
    except UnicodeDecodeError:
        raise IssuerError(f"{path}: not UTF-8; save the issuer's file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise IssuerError(f"{path}: not TOML: {error}") from None
    if "name" not in found:
        raise IssuerError(f'{path}: name is missing; expected the name of who sends the bills, name = "…"')
    for key in ("logo", "fonts"):
        if isinstance(found.get(key), str):
            found[key] = path.absolute().parent / found[key]
    try:
        return _ISSUER.validate_python(found)
    except ValidationError as error:
        problems = "; ".join(_one_line(item) for item in error.errors())
    raise IssuerError(f"{path}: {problems}")


def kept(issuer: Issuer) -> dict[str, Any]:
    """An issuer for JSON, as a close keeps it: the inverse is `issuer_of`. Of logo and fonts it has the place."""
    said: dict[str, Any] = _ISSUER.dump_python(issuer, mode="json", by_alias=True, exclude_defaults=True)
    return {"name": issuer.name, **said}


def issuer_of(said: Mapping[str, Any]) -> Issuer:
    """The issuer that a close has kept. A logo or fonts that are not in their place any more are left out."""
    gone = [key for key in ("logo", "fonts") if key in said and not Path(said[key]).exists()]
    return _ISSUER.validate_python({key: value for key, value in said.items() if key not in gone})


def _one_line(problem: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "unexpected_keyword_argument":
        return f"{key} is no key of this file; see docs/configuration.md for those there are"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(problem["input"], dict) else f" {str(problem['input'])[:60]!r}:"
    return f"{key}:{shown} {reason[0].lower()}{reason[1:]}"
