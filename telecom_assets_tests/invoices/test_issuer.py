"""The issuer's file: read whole, or refused with one sentence that names the file and the key."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from telecom_assets.invoices.issuer import BankAccount, Issuer, IssuerError, TaxNumbers, issuer_of, kept, read_issuer

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def written(folder: Path, text: str) -> Path:
    path = folder / "issuer.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_file_of_the_documentation_is_read(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    example = DOCS.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    issuer = read_issuer(written(tmp_path, example))
    assert issuer.tax_numbers == TaxNumbers(**{"ice": "001234567000089", "if": "12345678", "rc": "Rabat 54321"})
    assert issuer.bank == BankAccount(
        name="Banque de démonstration", iban="FR1420041010050500013M02606", bic="PSSTFRPPXXX"
    )
    assert issuer.address == ("12, avenue Hassan II", "Immeuble B")
    assert (issuer.logo, issuer.tax_id) == (tmp_path / "logo.svg", "001234567000089")
    assert (issuer.language_of("212600000001"), issuer.language_of("212600000002")) == ("en", "fr")
    with pytest.raises(FrozenInstanceError):
        issuer.name = "Another"  # type: ignore[misc]
    said = json.loads(json.dumps(kept(issuer)))
    assert issuer_of(said) == issuer
    (tmp_path / "logo.svg").unlink()
    assert issuer_of(said) == replace(issuer, logo=None)


def test_without_a_file_it_is_the_demonstration_operator() -> None:
    issuer = Issuer(name="Demonstration operator", country="MA", invoice_language="en")
    assert read_issuer(None) == issuer == issuer_of(kept(issuer))


@pytest.mark.parametrize(
    "text, said",
    [
        ('country = "MA"', "name is missing"),
        ('name = ""', "name: '': string should have at least 1 character"),
        ('name = "A"\ncolour = "red"', "colour is no key of this file"),
        (
            'name = "A"\n[bank]\niban = "FR1420041010050500013M02607"',
            "bank.iban: .*check digits of this IBAN are wrong",
        ),
        ('name = "A"\n[bank]\nrib = "011780000012345678901234"', "bank.rib: .*the key of this RIB is wrong"),
        ('name = "A"\n[bank]\nname = "B"', "bank: expected iban or rib"),
        ('name = "A"\n[tax_numbers]\nsiret = "1"', "tax_numbers.siret is no key of this file"),
        ('name = "A"\n[tax_numbers]\nice = "1"', "tax_numbers.ice: '1'"),
        ('name = "A"\nlogo = "none.svg"', "logo: .*no file at .*none.svg"),
        ('name = "A"\nlogo = "issuer.toml"', r"logo: .*ends in .svg or .png"),
        ('name = "A"\ninvoice_language = "de"', "invoice_language: 'de': input should be 'fr' or 'en'"),
        ('name = "A"\n[customer_languages]\n1 = "de"', "customer_languages.1: 'de'"),
        ("name = A", "not TOML"),
    ],
)
def test_what_cannot_be_used_is_said_with_file_and_key(text: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(IssuerError, match=rf"\A{path}: {said}"):
        read_issuer(path)


def test_an_account_of_morocco() -> None:
    # 97 − (0117800000123456789012 × 100 mod 97): the key that makes the whole a multiple of 97.
    number = "0117800000123456789012"
    key = 97 - int(number) * 100 % 97
    assert BankAccount(rib=f"011 780 0000123456789012 {key:02}").rib == f"{number}{key:02}"
