"""Telephone numbers on both engines, and the list of calling codes.

Belongs here: numbers as they are written against the oracle's reading of them, one by one and by thousands; that the
lists are libphonenumber's. What a whole record becomes is tested with mediation.
"""

import csv
import re
from functools import cache

import pyarrow as pa
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from pyspark.sql import functions as F

from bench.duckdb_pipeline import SQL
from resources.engine import SparkEngine
from telecom_assets.mediation.parties import party, subscriber
from telecom_assets.model.calling_codes import CALLING_CODES
from telecom_assets.model.party_numbers import PARTY, STEPS, SUBSCRIBER, USUAL_PARTY, normalised, with_normalised
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import UNKNOWN, in_one_form, is_subscriber, lengths_of_region, other_party
from telecom_assets_tests.stages.chain import drawn

NO_COUNTRY = {"800", "808", "870", "878", "881", "882", "883", "888", "979"}


def libphonenumbers_list() -> dict[str, tuple[int, ...]]:
    """Calling code to the possible lengths of its main country, from the package's own metadata."""
    return {
        str(code): lengths_of_region(regions[0])
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        if regions != ("001",)
    }


def test_the_calling_codes_are_libphonenumbers() -> None:
    """After an update of the package the difference is what has to change in the list."""
    expected = libphonenumbers_list()
    assert expected == CALLING_CODES
    assert not NO_COUNTRY & CALLING_CODES.keys()
    assert CALLING_CODES["1"] == (10,)
    with (SQL / "calling_codes.csv").open(newline="", encoding="utf-8") as lines:
        listed = {(row["code"], int(row["digits"])) for row in csv.DictReader(lines)}
    assert listed == {(code, digits) for code, lengths in expected.items() for digits in lengths}


def test_no_calling_code_begins_another() -> None:
    """Otherwise a number could be read in two ways."""
    assert not [
        (code, other) for code in CALLING_CODES for other in CALLING_CODES if other.startswith(code) and other != code
    ]


@cache
def texts() -> list[str]:
    """Every code with every length from one to nineteen, with and without a plus, and 6,000 drawn."""
    codes = [*CALLING_CODES, *NO_COUNTRY, "210", "999", "0", "5", "6", "06"]
    lengths = [f"{sign}{code}{'7' * more}" for sign in ("", "+") for code in codes for more in range(1, 20)]
    return list(
        dict.fromkeys(["", " ", "inconnu", "0" * 10, *lengths, *drawn(cdrs.written_parties(), examples(6_000))])
    )


@pytest.fixture(scope="module")
def read(engine: SparkEngine) -> dict[str, tuple[str | None, str | None]]:
    """Each text as a party and as a subscriber."""
    frame = engine.spark_session.createDataFrame(pa.table({"text": texts()}))
    rows = frame.select("text", party(F.col("text")).alias("p"), subscriber(F.col("text")).alias("s")).toArrow()
    return {row["text"]: (row["p"], row["s"]) for row in rows.to_pylist()}


@pytest.mark.thorough
def test_numbers_are_read_as_the_oracle_reads_them(read: dict[str, tuple[str | None, str | None]]) -> None:
    def expected(text: str) -> tuple[str | None, str | None]:
        other, number = other_party(text), in_one_form(text)
        return None if other == UNKNOWN else other, number if is_subscriber(number) else None

    wrong = {text: found for text, found in read.items() if found != expected(text)}
    assert wrong == {}
    assert sum(found[0] is not None for found in read.values()) > 1_000


def test_a_missing_number_is_none(engine: SparkEngine) -> None:
    frame = engine.spark_session.createDataFrame(pa.table({"text": pa.array([None], pa.string())}))
    row = frame.select(party(F.col("text")).alias("p"), subscriber(F.col("text")).alias("s")).toArrow().to_pylist()
    assert row == [{"p": None, "s": None}]


def test_a_text_without_end_does_not_stop_an_engine(engine: SparkEngine) -> None:
    long = ["1" * 1_000_000, "+" * 1_000_000, " " * 1_000_000 + "212600000001", "a" * 1_000_000]
    frame = engine.spark_session.createDataFrame(pa.table({"text": long}))
    rows = frame.select(party(F.col("text")).alias("p"), subscriber(F.col("text")).alias("s")).toArrow().to_pylist()
    number = "212600000001"
    assert rows == [{"p": found, "s": found} for found in (None, None, number, None)]


def test_what_is_usual_is_a_party_that_no_step_changes() -> None:
    """The engines take such a text as it stands."""
    for pattern in (USUAL_PARTY, SUBSCRIBER):
        alternatives = pattern.removeprefix(r"\A(?:").removesuffix(r")\z").replace("[67]", "6").split("|")
        for text in (re.sub(r"\[0-9\]\{([0-9]+)\}", lambda match: "4" * int(match[1]), each) for each in alternatives):
            assert re.fullmatch(PARTY.removeprefix(r"\A").removesuffix(r"\z"), text)
            assert normalised(text) == text


@pytest.mark.thorough
def test_python_reads_a_number_as_the_engines_do() -> None:
    """Customers are few enough for Python, and are found by what the engines make of their calls."""
    for text in texts():
        number = in_one_form(text)
        assert normalised(text) == (number if re.fullmatch("[0-9]+", number) else text)
    assert len(STEPS) == 4


def test_customers_that_are_no_numbers_keep_their_names() -> None:
    ids = ["212600000001", "+212 6 00 00 00 02", "0700000003", None, "CUST-7", "(no number)", "33612345678"]
    table = pa.table({"n": list(range(len(ids))), "customer_id": pa.chunked_array([ids[:2], ids[2:]])})
    assert with_normalised(table, "customer_id").to_pydict() == {
        "n": list(range(len(ids))),
        "customer_id": ["212600000001", "212600000002", "212700000003", None, "CUST-7", "(no number)", "33612345678"],
    }
    assert with_normalised(table.slice(0, 0), "customer_id").num_rows == 0
