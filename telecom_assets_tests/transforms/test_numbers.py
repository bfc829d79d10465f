"""Numbers and money on both engines, to the last digit.

Belongs here: text to number, number to DECIMAL, the one rounding. Expected values come from Python's `decimal`, or from
the pencil.
"""

import random
from decimal import ROUND_HALF_UP, Decimal

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from telecom_assets.transforms.numbers import number, percent_of, round_half_up, to_decimal, zero_if_null
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.oracle import admit, read_number, typed
from telecom_assets_tests.transforms.chain import schema_of

HUGE = 1e11

#: Text beside its number; None where it is none.
NUMBERS = {
    "0": 0.0,
    "-0": 0.0,
    "60": 60.0,
    "060": 60.0,
    "-5": -5.0,
    "1e2": 100.0,
    "1E+2": 100.0,
    "5e-1": 0.5,
    "99999999999.5": 99_999_999_999.5,
    "100000000001": HUGE,
    "1e400": HUGE,
    "-1e400": -HUGE,
    "1e-400": 0.0,
    **dict.fromkeys(("", " 60", "60 ", "60\n", "+60", "60.", ".5", "1e", "1e5.0", "0x10", "1_000", "1,5"), None),
    **dict.fromkeys(
        ("60d", "60f", "NaN", "nan", "Infinity", "inf", "-", "--1", "٦٠", "６０", "½", "true", "null"), None
    ),
}


def texts() -> list[str]:
    """The written-out cases, all numbers of the corpus, and 4,000 more: ties at the third and sixth decimal among them."""
    named = ("duration_sec", "data_volume_mb", "session_duration_sec")
    from_corpus = [
        fields[name]
        for value in cdrs.HOSTILE_CORPUS
        for fields in [admit(value)[0]]
        for name in named
        if name in fields
    ]
    dice = random.Random(1024)
    drawn = [f"{dice.uniform(0, 10 ** dice.randint(0, 7)):.{dice.randint(0, 9)}f}" for _ in range(2_500)]
    drawn += [f"{dice.randrange(10**6)}.{dice.randrange(1_000):03d}5" for _ in range(750)]
    drawn += [f"-{dice.randrange(10**4)}.{dice.randrange(10**6):06d}5" for _ in range(750)]
    return [*NUMBERS, *from_corpus, *drawn]


@pytest.fixture(scope="module")
def numbers(engine) -> dict[str, tuple[float | None, Decimal | None, Decimal | None]]:
    """Text to its number, and to DECIMAL of three and of six decimals."""
    value = number(F.col("text"))
    # Types of the contracts hold quantities; beyond ten million none is stored.
    small = F.when(F.abs(value) <= 10_000_000, value)
    frame = engine.spark_session.createDataFrame(pa.table({"text": texts()}))
    frame = frame.select(
        "text", value.alias("n"), to_decimal(small, 3).alias("three"), to_decimal(small, 6).alias("six")
    )
    assert schema_of(frame)[2:] == [("three", "decimal(18,3)"), ("six", "decimal(18,6)")]
    return {row["text"]: (row["n"], row["three"], row["six"]) for row in frame.toArrow().to_pylist()}


@pytest.mark.parametrize(("text", "expected"), NUMBERS.items())
def test_a_number_is_what_is_written_like_one(numbers, text, expected):
    assert numbers[text][0] == expected


def test_many_numbers(numbers):
    def expected(text: str) -> float | None:
        value = read_number(text)
        return None if value is None else max(min(value, HUGE), -HUGE)

    assert {text: found[0] for text, found in numbers.items()} == {text: expected(text) for text in numbers}


def test_to_decimal_rounds_the_double_half_up(numbers):
    small = {text: found for text, found in numbers.items() if found[0] is not None and abs(found[0]) <= 10_000_000}
    assert len(small) > 3_500
    assert {text: found[1] for text, found in small.items()} == {
        text: typed(found[0], 3) for text, found in small.items()
    }
    assert {text: found[2] for text, found in small.items()} == {
        text: typed(found[0], 6) for text, found in small.items()
    }


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
    ("99.99", "100.00"): "99.99",
    ("99.99", "0.00"): "0.00",
    ("9999999999999999.99", "100.00"): "9999999999999999.99",
}


def amounts() -> list[tuple[Decimal, Decimal]]:
    dice = random.Random(5)
    drawn = [
        (
            Decimal(dice.randrange(-(10**7), 10**7)).scaleb(-2),
            Decimal(dice.choice([500, 2000, dice.randrange(10_001)])).scaleb(-2),
        )
        for _ in range(2_000)
    ]
    return [*((Decimal(amount), Decimal(pct)) for amount, pct in PERCENTAGES), *drawn]


def half_up(amount: Decimal, places: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


@pytest.fixture(scope="module")
def percentages(engine) -> dict[tuple[Decimal, Decimal], Decimal]:
    pairs = amounts()
    columns = {
        "amount": pa.array([amount for amount, _ in pairs], pa.decimal128(18, 2)),
        "pct": pa.array([pct for _, pct in pairs], pa.decimal128(5, 2)),
    }
    frame = engine.spark_session.createDataFrame(pa.table(columns))
    frame = frame.withColumn("part", percent_of(F.col("amount"), F.col("pct")))
    assert schema_of(frame)[2] == ("part", "decimal(18,2)")
    return {(row["amount"], row["pct"]): row["part"] for row in frame.toArrow().to_pylist()}


@pytest.mark.parametrize(("given", "expected"), PERCENTAGES.items())
def test_percent_of(percentages, given, expected):
    amount, pct = map(Decimal, given)
    assert percentages[amount, pct] == Decimal(expected)


def test_many_percentages(percentages):
    assert percentages == {(amount, pct): half_up(amount * pct / 100, 2) for amount, pct in percentages}
    assert len(percentages) > 1_500


def test_the_one_rounding(engine):
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


def test_zero_stands_for_no_amount(engine):
    frame = engine.spark_session.createDataFrame(
        pa.table({"a": pa.array([None, Decimal("1.500000")], pa.decimal128(18, 6))})
    )
    assert [row["z"] for row in frame.select(zero_if_null(F.col("a")).alias("z")).toArrow().to_pylist()] == [
        0,
        Decimal("1.5"),
    ]
