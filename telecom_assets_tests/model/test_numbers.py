"""Numbers and money on both engines, to the last digit.

Belongs here: text to DECIMAL, the one rounding. Expected values come from Python's `fractions` and `decimal`, or from the
pencil.
"""

import random
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from resources.engine import SparkEngine
from telecom_assets.model.numbers import (
    exceeds,
    is_negative,
    percent_of,
    plain_number,
    round_half_up,
    to_decimal,
    zero_if_null,
)
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import admit, read_number, typed
from telecom_assets_tests.stages.chain import drawn, schema_of

HUGE = 10**11

#: Text beside its number with three and with six decimals; None where it is none.
NUMBERS: dict[str, tuple[str, str] | None] = {
    "0": ("0", "0"),
    "-0": ("0", "0"),
    "60": ("60", "60"),
    "060": ("60", "60"),
    "-5": ("-5", "-5"),
    "1e2": ("100", "100"),
    "1E+2": ("100", "100"),
    "5e-1": ("0.5", "0.5"),
    "-2.5e-3": ("-0.003", "-0.0025"),
    # the nearest double is another number
    "16440.0005": ("16440.001", "16440.0005"),
    "4.1234565": ("4.123", "4.123457"),
    "60.00049999999999999": ("60.000", "60.000500"),
    "-60.00049999999999999": ("-60.000", "-60.000500"),
    "60.0004" + "9" * 69: ("60.000", "60.0005"),
    "60.0004" + "9" * 70: ("60.000", "60.0005"),
    "60.0004" + "9" * 200: ("60.000", "60.0005"),
    "60.0005" + "0" * 200: ("60.001", "60.0005"),
    "0" * 200 + "60.0005": ("60.001", "60.0005"),
    # the point moves in the text
    "60000499999999999e-15": ("60.000", "60.0005"),
    "0.0600005E+3": ("60.001", "60.0005"),
    "0." + "0" * 400 + "600005e402": ("60.001", "60.0005"),
    "600005" + "0" * 400 + "e-404": ("60.001", "60.0005"),
    "1e-3": ("0.001", "0.001"),
    "4e-4": ("0", "0.0004"),
    "5e-7": ("0", "0.000001"),
    "499999999e-15": ("0", "0"),
    "1e-400": ("0", "0"),
    "1e-999999999999999999999": ("0", "0"),
    "0e999999999999999999999": ("0", "0"),
    "0.000e12": ("0", "0"),
    "1e00000000000000000000002": ("100", "100"),
    # as large as a quantity never is
    "99999999999.5": ("99999999999.5", "99999999999.5"),
    "99999999999.9999995": ("100000000000", "100000000000"),
    "100000000000": (f"{HUGE}", f"{HUGE}"),
    "100000000001": (f"{HUGE}", f"{HUGE}"),
    "9999999999.95e1": ("99999999999.5", "99999999999.5"),
    "1e11": (f"{HUGE}", f"{HUGE}"),
    "1e30": (f"{HUGE}", f"{HUGE}"),
    "1" * 40: (f"{HUGE}", f"{HUGE}"),
    "-" + "1" * 40 + ".5": (f"-{HUGE}", f"-{HUGE}"),
    "1e400": (f"{HUGE}", f"{HUGE}"),
    "-1e400": (f"-{HUGE}", f"-{HUGE}"),
    "1e999999999999999999999": (f"{HUGE}", f"{HUGE}"),
    "9" * 5_000: (f"{HUGE}", f"{HUGE}"),
    **dict.fromkeys(("", " 60", "60 ", "60\n", "+60", "60.", ".5", "1e", "1e5.0", "0x10", "1_000", "1,5"), None),
    **dict.fromkeys(
        ("60d", "60f", "NaN", "nan", "Infinity", "inf", "-", "--1", "٦٠", "６０", "½", "true", "null"), None
    ),
}

#: Beside the limit of ten million: text, whether it is more, whether it is less than zero. As written, not as rounded.
EDGES = {
    "10000000": (False, False),
    "10000000.000": (False, False),
    "1e7": (False, False),
    "9999999.9999999999": (False, False),
    "10000000.0000001": (True, False),
    "0010000000.0000000000000000000000000001": (True, False),
    "10000000." + "0" * 300 + "1": (True, False),
    "1." + "0" * 100 + "1e7": (True, False),
    "1e30": (True, False),
    "0": (False, False),
    "-0": (False, False),
    "-0.000": (False, False),
    "-0e5": (False, False),
    "-0.0000001": (False, True),
    "-0." + "0" * 300 + "1": (False, True),
    "-1e-300": (False, True),
    "-10000001": (False, True),
}


def texts() -> list[str]:
    """The written-out cases, all numbers of the corpus, 4,000 with ties at the third and sixth decimal, 2,000 drawn."""
    named = ("duration_sec", "data_volume_mb", "session_duration_sec")
    from_corpus = [
        fields[name]
        for value in cdrs.HOSTILE_CORPUS
        for fields in [admit(value)[0]]
        for name in named
        if name in fields
    ]
    dice = random.Random(1024)
    tossed = [f"{dice.uniform(0, 10 ** dice.randint(0, 7)):.{dice.randint(0, 9)}f}" for _ in range(2_500)]
    tossed += [f"{dice.randrange(10**6)}.{dice.randrange(1_000):03d}5" for _ in range(750)]
    tossed += [f"-{dice.randrange(10**4)}.{dice.randrange(10**6):06d}5" for _ in range(750)]
    return [*NUMBERS, *EDGES, *from_corpus, *tossed, *drawn(cdrs.written_numbers(), examples(2_000))]


@dataclass(frozen=True)
class Read:
    """What an engine makes of a text."""

    three: Decimal | None
    six: Decimal | None
    negative: bool
    more: bool


@pytest.fixture(scope="module")
def numbers(engine: SparkEngine) -> dict[str, Read]:
    plain = plain_number(F.col("text"))
    three, six = to_decimal(plain, 3), to_decimal(plain, 6)
    frame = engine.spark_session.createDataFrame(pa.table({"text": texts()})).select(
        "text",
        three.alias("three"),
        six.alias("six"),
        is_negative(plain, six).alias("negative"),
        exceeds(plain, six, 10_000_000).alias("more"),
    )
    assert schema_of(frame)[1:3] == [("three", "decimal(18,3)"), ("six", "decimal(18,6)")]
    rows = frame.toArrow().to_pylist()
    return {row["text"]: Read(row["three"], row["six"], row["negative"], row["more"]) for row in rows}


@pytest.mark.parametrize(("text", "expected"), NUMBERS.items(), ids=lambda item: str(item)[:40])
def test_a_number_is_what_is_written_like_one(
    numbers: dict[str, Read], text: str, expected: tuple[str, str] | None
) -> None:
    wanted = (None, None) if expected is None else tuple(map(Decimal, expected))
    assert (numbers[text].three, numbers[text].six) == wanted


@pytest.mark.parametrize(("text", "expected"), EDGES.items(), ids=lambda item: str(item)[:40])
def test_limits_are_of_what_is_written(numbers: dict[str, Read], text: str, expected: tuple[bool, bool]) -> None:
    assert (numbers[text].more, numbers[text].negative) == expected


def test_many_numbers(numbers: dict[str, Read]) -> None:
    def expected(text: str) -> Read:
        value = read_number(text)
        if value is None:
            return Read(None, None, False, False)
        near = max(min(value, Fraction(HUGE)), Fraction(-HUGE))
        return Read(typed(near, 3), typed(near, 6), value < 0, value > 10_000_000)

    assert len(numbers) > 3_000 + examples(2_000)
    assert {text: found for text, found in numbers.items() if found != expected(text)} == {}


#: Amount and percentage beside the percentage's amount, rounded half away from zero.
PERCENTAGES = {
    ("0.10", "5.00"): "0.01",  # 0.005
    ("-0.10", "5.00"): "-0.01",
    ("0.09", "5.00"): "0.00",  # 0.0045
    ("0.30", "5.00"): "0.02",  # 0.015
    ("2.50", "5.00"): "0.13",  # 0.125
    ("12.07", "5.00"): "0.60",  # 0.6035
    ("11.47", "20.00"): "2.29",  # 2.294
    ("0.02", "20.00"): "0.00",  # 0.004
    ("0.03", "20.00"): "0.01",  # 0.006
    ("0.01", "50.00"): "0.01",  # 0.005
    ("0.01", "49.99"): "0.00",  # 0.004999
    ("100.00", "2.35"): "2.35",
    ("1000.00", "0.01"): "0.10",
    ("10.50", "7.57"): "0.79",  # 0.79485
    ("1000.00", "0.0005"): "0.01",  # 0.005
    ("1000.00", "0.0004"): "0.00",  # 0.004
    ("15.00", "33.3333"): "5.00",  # 4.999995
    ("80.00", "33.3333"): "26.67",  # 26.66664
    ("9999.99", "19.6255"): "1962.55",  # 1962.54803745
    ("9999999999999999.99", "99.9999"): "9999989999999999.99",  # less 9999999999.99999999
    ("99.99", "100.00"): "99.99",
    ("99.99", "0.00"): "0.00",
    ("9999999999999999.99", "100.00"): "9999999999999999.99",
}


def amounts() -> list[tuple[Decimal, Decimal]]:
    dice = random.Random(5)
    drawn = [
        (
            Decimal(dice.randrange(-(10**7), 10**7)).scaleb(-2),
            Decimal(dice.choice([50_000, 200_000, dice.randrange(1_000_001)])).scaleb(-4),
        )
        for _ in range(2_000)
    ]
    return [*((Decimal(amount), Decimal(pct)) for amount, pct in PERCENTAGES), *drawn]


def half_up(amount: Decimal, places: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


@pytest.fixture(scope="module")
def percentages(engine: SparkEngine) -> dict[tuple[Decimal, Decimal], Decimal]:
    pairs = amounts()
    columns = {
        "amount": pa.array([amount for amount, _ in pairs], pa.decimal128(18, 2)),
        "pct": pa.array([pct for _, pct in pairs], pa.decimal128(7, 4)),
    }
    frame = engine.spark_session.createDataFrame(pa.table(columns))
    frame = frame.withColumn("part", percent_of(F.col("amount"), F.col("pct"), 2))
    assert schema_of(frame)[2] == ("part", "decimal(18,2)")
    return {(row["amount"], row["pct"]): row["part"] for row in frame.toArrow().to_pylist()}


@pytest.mark.parametrize(("given", "expected"), PERCENTAGES.items())
def test_percent_of(percentages: dict[tuple[Decimal, Decimal], Decimal], given: tuple[str, str], expected: str) -> None:
    amount, pct = map(Decimal, given)
    assert percentages[amount, pct] == Decimal(expected)


def test_many_percentages(percentages: dict[tuple[Decimal, Decimal], Decimal]) -> None:
    assert percentages == {(amount, pct): half_up(amount * pct / 100, 2) for amount, pct in percentages}
    assert len(percentages) > 1_500


@pytest.mark.parametrize(
    ("scale", "amount", "pct", "expected"),
    [
        (0, "1245", "5", "62"),  # 62.25
        (0, "50", "3", "2"),  # 1.5
        (3, "0.010", "5", "0.001"),  # 0.0005
        (
            3,
            "999999999999999.999",
            "99.9999",
            "999998999999999.999",
        ),  # less 999,999,999.999999999: …999.999 000 000 001
        (4, "10.0010", "2.4375", "0.2438"),  # 0.243774375
    ],
)
def test_percent_of_other_decimals(engine: SparkEngine, scale: int, amount: str, pct: str, expected: str) -> None:
    """Of yen, dinars and CLF."""
    columns = {
        "amount": pa.array([Decimal(amount)], pa.decimal128(18, scale)),
        "pct": pa.array([Decimal(pct)], pa.decimal128(7, 4)),
    }
    frame = engine.spark_session.createDataFrame(pa.table(columns))
    [row] = frame.select(percent_of(F.col("amount"), F.col("pct"), scale).alias("part")).toArrow().to_pylist()
    assert str(row["part"]) == expected


def test_the_one_rounding(engine: SparkEngine) -> None:
    """Half away from zero at six and at two decimals; ties come from products of twelve decimals."""
    dice = random.Random(7)
    values = [
        Decimal(text) for text in ("0.0000005", "-0.0000005", "0.000000499999", "0.005", "-0.005", "0.004999999999")
    ]
    values += [Decimal("1.045"), Decimal("2.675"), Decimal("999999999999.9999994"), Decimal(0)]
    values += [Decimal(dice.randrange(-(10**15), 10**15)).scaleb(-12) for _ in range(1_000)]
    values += [Decimal(dice.randrange(10**9) * 10 + 5).scaleb(-dice.choice([3, 7])) for _ in range(1_000)]
    frame = engine.spark_session.createDataFrame(pa.table({"exact": pa.array(values, pa.decimal128(31, 12))}))
    exact = F.col("exact")
    frame = frame.select("exact", round_half_up(exact, 6).alias("six"), round_half_up(exact, 2).alias("two"))
    assert schema_of(frame)[1:] == [("six", "decimal(18,6)"), ("two", "decimal(18,2)")]
    rows = frame.toArrow().to_pylist()
    assert [row["six"] for row in rows] == [half_up(row["exact"], 6) for row in rows]
    assert [row["two"] for row in rows] == [half_up(row["exact"], 2) for row in rows]
    found = {row["exact"]: row for row in rows}
    assert found[Decimal("0.0000005")]["six"] == Decimal("0.000001")
    assert found[Decimal("-0.0000005")]["six"] == Decimal("-0.000001")
    assert found[Decimal("2.675")]["two"] == Decimal("2.68")


def test_zero_stands_for_no_amount(engine: SparkEngine) -> None:
    frame = engine.spark_session.createDataFrame(
        pa.table({"a": pa.array([None, Decimal("1.500000")], pa.decimal128(18, 6))})
    )
    assert [row["z"] for row in frame.select(zero_if_null(F.col("a")).alias("z")).toArrow().to_pylist()] == [
        0,
        Decimal("1.5"),
    ]
