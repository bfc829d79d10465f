"""Tariffs and catalogue into their tables: judged before they are stored, imported with a day."""

import datetime as dt
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner, Result

from resources.warehouse import Overtaken, Warehouse
from telecom_assets.cli.tariff import register
from telecom_assets.model.stretches import Stretch
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.tariffs import Reading, read_tariffs

#: Prices of one plan for the four products that mediation makes.
PRODUCTS = {"VOICE_NAT": "voice", "VOICE_INT": "voice", "SMS_NAT": "sms", "SMS_INT": "sms"}
HEADER = "rate_plan_id,product_code,service_type,unit_price,free_units,tier_threshold,tier_price"
CATALOGUE = "product_code,service_type,unit,rate_type,description\n" + "".join(
    f"{product},{service},{'minute' if service == 'voice' else 'event'},flat,{product}\n"
    for product, service in PRODUCTS.items()
)
DAY = dt.date(2026, 11, 15)


def tariffs(sms: str = "0.5", *, without: str = "") -> str:
    prices = dict.fromkeys(PRODUCTS, "1") | {"SMS_NAT": sms}
    lines = [f"P,{product},{PRODUCTS[product]},{price},0,," for product, price in prices.items() if product != without]
    return "\n".join([HEADER, *lines, ""])


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def read(plain: Warehouse, file: Callable[[str, str], Path]) -> Callable[..., dict[str, Reading]]:
    """A run reads and stores these files."""

    def store(plans: str = tariffs(), catalogue: str = CATALOGUE) -> dict[str, Reading]:
        paths: dict[str, Path | None] = {
            "rate_plans": file("plans.csv", plans),
            "product_catalog": file("catalogue.csv", catalogue),
        }
        readings = read_tariffs(plain, paths)
        for name, reading in readings.items():
            plain.overwrite_arrow(name, reading.rows, reads={name: reading.stored.version})
        return readings

    return store


@pytest.fixture
def run(plain: Warehouse, tmp_path: Path) -> Callable[..., Result]:
    """Run `telecom tariff import …` on the warehouse; runs read plans.csv and catalogue.csv."""
    app = typer.Typer()
    register(app)
    settings = SimpleNamespace(
        rate_plans=tmp_path / "plans.csv", product_catalog=tmp_path / "catalogue.csv", adjustment_months=12
    )
    context = SimpleNamespace(settings=settings, deployment=SimpleNamespace(warehouse=plain))

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["tariff", "import", *map(str, arguments)], obj=context)

    return invoke


def sms_prices(warehouse: Warehouse) -> list[tuple[str, dt.date | None, dt.date | None]]:
    """Price, first day and first day no more of the rows for national messages, in order."""
    rows = warehouse.pin("rate_plans").arrow().to_pylist()
    found = [
        (f"{row['unit_price'].normalize():f}", row["valid_from"], row["valid_to"])
        for row in rows
        if row["product_code"] == "SMS_NAT"
    ]
    return sorted(found, key=lambda each: each[1] or dt.date.min)


# -- what a run reads ------------------------------------------------------------------------------------------------


def test_reading_the_same_files_again_makes_no_version(
    plain: Warehouse, read: Callable[..., dict[str, Reading]]
) -> None:
    read()
    versions = [plain.version(name) for name in ("rate_plans", "product_catalog")]
    read()
    assert [plain.version(name) for name in ("rate_plans", "product_catalog")] == versions


def test_a_run_refuses_a_file_that_changes_prices_without_a_day(
    plain: Warehouse, read: Callable[..., dict[str, Reading]]
) -> None:
    read()
    with pytest.raises(
        InputFileError, match=r"plans\.csv: has no dates and differs .*telecom tariff import .*plans\.csv"
    ):
        read(tariffs("0.6"))
    assert sms_prices(plain) == [("0.5", None, None)]


def test_files_that_change_together_are_named_in_one_command(
    plain: Warehouse, read: Callable[..., dict[str, Reading]]
) -> None:
    read()
    with pytest.raises(InputFileError) as raised:
        read(tariffs() + "P,DATA_BASIC,data,1,0,,\n", CATALOGUE + "DATA_BASIC,data,MB,flat,Data\n")
    assert "stored rate_plans (new: P/DATA_BASIC)" in str(raised.value)
    assert "stored product_catalog (new: DATA_BASIC)" in str(raised.value)
    assert re.search(
        r"telecom tariff import \S*/plans\.csv \S*/catalogue\.csv --valid-from yyyy-MM-dd\Z", str(raised.value)
    )


def test_a_fault_is_said_before_a_day_is_asked_for(plain: Warehouse, read: Callable[..., dict[str, Reading]]) -> None:
    read()
    with pytest.raises(
        InputFileError, match=r"rate_plans P/SMS_NAT: unit_price is -1\.000000; expected 0 or more; nothing"
    ):
        read(tariffs("-1"))
    assert sms_prices(plain) == [("0.5", None, None)]


def test_what_is_not_valid_is_not_stored(plain: Warehouse, read: Callable[..., dict[str, Reading]]) -> None:
    """Neither of both tables: they are judged together."""
    with pytest.raises(InputFileError, match=r"rate_plans P: no price for product SMS_INT; nothing was stored"):
        read(tariffs(without="SMS_INT"))
    assert [plain.version(name) for name in ("rate_plans", "product_catalog")] == [0, 0]


def test_a_file_with_dates_is_stored_as_it_is(plain: Warehouse, read: Callable[..., dict[str, Reading]]) -> None:
    read()
    lines = tariffs().splitlines()
    dated = [f"{lines[0]},valid_from,valid_to"]
    for line in lines[1:]:
        if ",SMS_NAT," in line:
            dated += [f"{line},,{DAY}", f"{line.replace(',0.5,', ',0.6,')},{DAY},"]
        else:
            dated.append(f"{line},,")
    readings = read("\n".join(dated))
    assert sms_prices(plain) == [("0.5", None, DAY), ("0.6", DAY, None)]
    assert readings["rate_plans"].changes == [Stretch(DAY, None)]


def test_without_a_file_of_ones_own_what_is_stored_stays(
    plain: Warehouse, read: Callable[..., dict[str, Reading]]
) -> None:
    """The packaged tariffs are for the first time."""
    first = read_tariffs(plain, {"rate_plans": None, "product_catalog": None})
    assert first["rate_plans"].rows.num_rows == 18
    read()
    later = read_tariffs(plain, {"rate_plans": None, "product_catalog": None})
    assert later["rate_plans"].rows.num_rows == len(PRODUCTS)


def test_a_reading_does_not_undo_an_import_that_came_in_between(
    plain: Warehouse,
    read: Callable[..., dict[str, Reading]],
    run: Callable[..., Result],
    file: Callable[[str, str], Path],
) -> None:
    before = read()["rate_plans"]
    slow = Reading(plain.pin("rate_plans"), before.rows)
    assert run(file("new.csv", tariffs("0.6")), "--valid-from", DAY).exit_code == 0
    with pytest.raises(Overtaken):
        plain.overwrite_arrow("rate_plans", slow.rows, reads={"rate_plans": slow.stored.version})
    assert sms_prices(plain) == [("0.5", None, DAY), ("0.6", DAY, None)]


# -- the command -----------------------------------------------------------------------------------------------------


def test_an_import_says_which_days_change(
    plain: Warehouse,
    read: Callable[..., dict[str, Reading]],
    run: Callable[..., Result],
    file: Callable[[str, str], Path],
) -> None:
    read()
    new = file("new.csv", tariffs("0.6"))
    result = run(new, "--valid-from", DAY)
    assert result.exit_code == 0, result.output
    assert "rate_plans: 5 rows stored; others are in force: from 2026-11-15 on." in result.stdout
    assert "let TELECOM_RATE_PLANS name the imported file" in result.stderr
    assert sms_prices(plain) == [("0.5", None, DAY), ("0.6", DAY, None)]
    again = run(new, "--valid-from", DAY, "--json")
    assert json.loads(again.stdout) == {"rate_plans": {"rows": 5, "changed_days": []}}


def test_a_file_that_runs_read_is_imported_without_a_word_more(
    read: Callable[..., dict[str, Reading]], run: Callable[..., Result], file: Callable[[str, str], Path]
) -> None:
    read()
    result = run(file("plans.csv", tariffs("0.6")), "--valid-from", DAY, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["rate_plans"]["changed_days"] == [{"first": "2026-11-15", "end": None}]


def test_both_tables_are_imported_at_once(
    plain: Warehouse,
    read: Callable[..., dict[str, Reading]],
    run: Callable[..., Result],
    file: Callable[[str, str], Path],
) -> None:
    """A product that both need: alone, each would be refused."""
    read()
    plans = file("plans.csv", tariffs() + "P,DATA_BASIC,data,1,0,,\n")
    catalogue = file("catalogue.csv", CATALOGUE + "DATA_BASIC,data,MB,flat,Data\n")
    alone = run(catalogue, "--valid-from", DAY)
    assert isinstance(alone.exception, InputFileError)
    assert "rate_plans P: no price for product DATA_BASIC" in str(alone.exception)
    both = run(plans, catalogue, "--valid-from", DAY)
    assert both.exit_code == 0, both.output
    assert plain.pin("product_catalog").arrow().num_rows == 5


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.csv",
            "a,b\n1,2\n",
            "x.csv: is neither a file of tariffs nor a catalogue; expected the columns rate_plan_id,",
        ),
        (
            "x.csv",
            tariffs("-1"),
            "rate_plans P/SMS_NAT from 2026-11-15: unit_price is -1.000000; expected 0 or more; nothing",
        ),
        (
            "x.csv",
            f"{HEADER},valid_from\nP,SMS_NAT,sms,1,0,,,2026-02-30\n",
            "line 2: valid_from is '2026-02-30'; expected a day",
        ),
    ],
)
def test_bad_files_change_nothing(
    plain: Warehouse,
    read: Callable[..., dict[str, Reading]],
    run: Callable[..., Result],
    file: Callable[[str, str], Path],
    name: str,
    text: str,
    message: str,
) -> None:
    read()
    versions = [plain.version(each) for each in ("rate_plans", "product_catalog")]
    result = run(file(name, text), "--valid-from", DAY)
    assert isinstance(result.exception, InputFileError)
    assert message in str(result.exception)
    assert [plain.version(each) for each in ("rate_plans", "product_catalog")] == versions


def test_two_files_of_one_table_are_refused(
    read: Callable[..., dict[str, Reading]], run: Callable[..., Result], file: Callable[[str, str], Path]
) -> None:
    read()
    result = run(file("a.csv", tariffs()), file("b.csv", tariffs()))
    assert isinstance(result.exception, InputFileError)
    assert "rate_plans comes twice; expected one file of each table" in str(result.exception)


def test_an_import_that_the_next_run_would_undo_is_refused(
    plain: Warehouse,
    read: Callable[..., dict[str, Reading]],
    run: Callable[..., Result],
    file: Callable[[str, str], Path],
) -> None:
    dated = "\n".join(f"{line},{'valid_from' if line == HEADER else ''}" for line in tariffs().splitlines())
    read(dated)
    result = run(file("new.csv", tariffs("0.6")), "--valid-from", DAY)
    assert isinstance(result.exception, InputFileError)
    assert "plans.csv, which has dates and is the whole history of rate_plans; change that file" in str(
        result.exception
    )
    assert sms_prices(plain) == [("0.5", None, None)]
