"""`telecom customers import`: which rows are good, what is said of the others, what is written."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from resources.postgres import PostgresConnection, read_customers
from telecom_assets.cli.customers import register
from telecom_assets.generator import GeneratorSpec, write_files
from telecom_assets.home.deployment import Deployment
from telecom_assets.home.settings import Settings
from telecom_assets.reference.csv_files import InputFileError
from telecom_assets.reference.customer_import import FILE_SCHEMA, BadRow, read_customer_file
from telecom_assets.reference.judging import known_plans
from telecom_assets.reference.tables import CUSTOMER_LIST
from telecom_assets.reference.tariff_files import read_rate_plans
from telecom_assets.tables import TABLES

HEADER = ",".join(CUSTOMER_LIST.column_names)
PLANS = ["PLAN_A", "PLAN_B"]
TODAY = dt.date(2026, 11, 20)
ROW = {
    "customer_id": "212600000001",
    "customer_name": "Aïcha Benali",
    "subscription_type": "postpaid",
    "rate_plan_id": "PLAN_A",
    "activation_date": "2024-02-29",
    "status": "active",
    "region": "Souss-Massa",
}


def line(**values: str) -> str:
    """A row as a line of the file, everything quoted."""
    return ",".join('"' + value.replace('"', '""') + '"' for value in (ROW | values).values())


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file: lines or bytes -> path."""

    def write(*lines: str, content: bytes | None = None) -> Path:
        path = tmp_path / "my customers.csv"
        path.write_bytes("\n".join([*lines, ""]).encode() if content is None else content)
        return path

    return write


# -- judging a file --------------------------------------------------------------------------------------------------


def test_good_rows_are_typed(file: Callable[..., Path]) -> None:
    found = read_customer_file(
        file(HEADER, line(), line(customer_id="212712345678", status="terminated")), PLANS, TODAY
    )
    assert found.bad_rows == ()
    assert found.rows.schema == FILE_SCHEMA
    typed = {**ROW, "activation_date": dt.date(2024, 2, 29), "valid_from": None, "new_holder": False}
    assert found.rows.to_pylist() == [typed, {**typed, "customer_id": "212712345678", "status": "terminated"}]


def test_a_plan_that_ends_in_a_blank_is_seen_to(file: Callable[..., Path]) -> None:
    [bad] = read_customer_file(file(HEADER, line(rate_plan_id="PLAN_A")), ["PLAN_B", "PLAN_A "], TODAY).bad_rows
    assert bad.reason == "rate_plan_id is 'PLAN_A'; expected one of 'PLAN_A ', PLAN_B"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        *(
            ({"customer_id": value}, f"customer_id is {value!r}; expected a Morocco mobile number")
            for value in (
                "212500000001",
                "21260000000",
                "2126000000011",
                "+212500000001",
                "0500000001",
                "33612345678",
                "212600000001\n",
                "21260000000٣",
            )
        ),
        ({"customer_id": ""}, "customer_id is missing"),
        ({"customer_name": " \t"}, "customer_name is missing"),
        ({"customer_name": "a\x00b"}, "customer_name holds the control character U+0000"),
        ({"customer_name": "a\x1bb"}, "customer_name holds the control character U+001B"),
        ({"subscription_type": "Postpaid"}, "subscription_type is 'Postpaid'; expected one of postpaid, prepaid"),
        ({"status": "gone"}, "status is 'gone'; expected one of active, inactive, suspended, terminated"),
        ({"rate_plan_id": "PLAN_X"}, "rate_plan_id is 'PLAN_X'; expected one of PLAN_A, PLAN_B"),
        ({"rate_plan_id": "PLAN_A "}, "rate_plan_id is 'PLAN_A '; expected one of"),
        *(
            ({"activation_date": value}, f"activation_date is {value!r}; expected a date, YYYY-MM-DD")
            for value in ("2023-02-29", "29/02/2024", "20240229", "2024-2-9", "2024-W01-1", "0000-01-01", "infinity")
        ),
        ({"region": ""}, "region is missing"),
        (
            {"status": "", "region": "", "customer_id": "1"},
            "customer_id is '1'; expected a Morocco mobile number: 2126 or 2127 and 8 digits; status is missing; "
            "region is missing",
        ),
    ],
)
def test_a_bad_row_is_listed_with_its_line_and_every_reason(
    file: Callable[..., Path], values: dict[str, str], reason: str
) -> None:
    found = read_customer_file(file(HEADER, line(customer_id="212600000009"), line(**values)), PLANS, TODAY)
    assert found.rows["customer_id"].to_pylist() == ["212600000009"]
    assert [row.line for row in found.bad_rows] == [3]
    assert found.bad_rows[0].reason.startswith(reason)


def test_a_row_of_another_width_is_bad(file: Callable[..., Path]) -> None:
    found = read_customer_file(file(HEADER, line() + ",more", "212600000002,x", line()), PLANS, TODAY)
    assert found.bad_rows == (BadRow(2, "has 8 values, expected 7"), BadRow(3, "has 2 values, expected 7"))
    assert found.rows.num_rows == 1


def test_of_one_customer_twice_the_first_counts(file: Callable[..., Path]) -> None:
    found = read_customer_file(file(HEADER, line(region="Fès-Meknès"), "", line(), line(status="x")), PLANS, TODAY)
    assert found.rows["region"].to_pylist() == ["Fès-Meknès"]
    twice = "customer_id '212600000001' is already on line 2"
    assert [(row.line, row.reason.endswith(twice)) for row in found.bad_rows] == [(4, True), (5, True)]


def test_a_number_is_read_as_people_write_it(file: Callable[..., Path]) -> None:
    ways = ["+212600000001", "00212600000002", "0600000003", "700000004", " 212-600.000 (005)"]
    found = read_customer_file(file(HEADER, *(line(customer_id=way) for way in ways)), PLANS, TODAY)
    assert found.bad_rows == ()
    numbers = ["212600000001", "212600000002", "212600000003", "212700000004", "212600000005"]
    assert found.rows["customer_id"].to_pylist() == numbers


def test_two_ways_to_write_one_number_are_one_customer(file: Callable[..., Path]) -> None:
    found = read_customer_file(
        file(HEADER, line(), line(customer_id="06 00 00 00 01", region="Oriental")), PLANS, TODAY
    )
    assert found.rows["region"].to_pylist() == ["Souss-Massa"]
    assert found.bad_rows == (BadRow(3, "customer_id '06 00 00 00 01' is already on line 2"),)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_line_ends_and_blank_lines(file: Callable[..., Path], end: str) -> None:
    content = "\ufeff" + end.join([HEADER, "", line(), "  ", line(customer_id="x"), ""])
    found = read_customer_file(file(content=content.encode()), PLANS, TODAY)
    assert found.rows.num_rows == 1
    assert [row.line for row in found.bad_rows] == [5]


@given(
    st.lists(
        st.tuples(st.booleans(), st.text(st.sampled_from('aé",;\n'), min_size=1).filter(str.strip)),
        min_size=1,
        max_size=12,
    )
)
def test_the_line_is_that_of_the_file_whatever_the_names_hold(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bool, str]]
) -> None:
    path = tmp_path_factory.mktemp("names") / "customers.csv"
    lines, expected, number = [HEADER], [], 2
    for index, (good, name) in enumerate(rows):
        lines.append(line(customer_id=f"2126{index:08}", customer_name=name, status="active" if good else "bad"))
        if not good:
            expected.append(number)
        number += 1 + name.count("\n")
    path.write_bytes("\n".join(lines).encode())
    found = read_customer_file(path, PLANS, TODAY)
    assert [row.line for row in found.bad_rows] == expected
    assert found.rows["customer_name"].to_pylist() == [name for good, name in rows if good]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected a header line: customer_id,"),
        (f"{HEADER}\n\n".encode(), "has no rows; expected at least one of customers"),
        (HEADER.replace("status,", "").encode(), "no column 'status'"),
        (f"{HEADER},email\n".encode(), "unknown column 'email'"),
        (HEADER.replace(",", ";").encode(), "separated by commas"),
        (f"{HEADER}\n{line()}\n".encode("latin-1"), "line 2: byte 0xef is not UTF-8"),
        (f'{HEADER}\n{line()}\n2126,"Aïcha,postpaid\n{line()}'.encode(), "line 3: the quotes"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(file: Callable[..., Path], content: bytes, message: str) -> None:
    path = file(content=content)
    with pytest.raises(InputFileError) as raised:
        read_customer_file(path, PLANS, TODAY)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_what_the_generator_writes_is_good(tmp_path: Path) -> None:
    files = write_files(GeneratorSpec(cdrs=10, customers=300, month="2025-05", seed=1), tmp_path)
    found = read_customer_file(files.customers_file, known_plans(read_rate_plans()), TODAY)
    assert (found.rows.num_rows, found.bad_rows) == (300, ())


def test_a_row_may_say_its_day_and_that_another_person_has_the_number(file: Callable[..., Path]) -> None:
    header = f"new_holder,{HEADER},valid_from"
    path = file(header, f"true,{line()},2026-11-20", f",{line()},", f"false,{line()},2026-05-01")
    rows = read_customer_file(path, PLANS, TODAY).rows.select(["valid_from", "new_holder"]).to_pylist()
    days = [TODAY, None, dt.date(2026, 5, 1)]
    assert [row["valid_from"] for row in rows] == days
    assert [row["new_holder"] for row in rows] == [True, False, False]
    rows = read_customer_file(path, PLANS, TODAY, dt.date(2026, 7, 1)).rows.to_pylist()
    assert [row["valid_from"] for row in rows] == [TODAY, dt.date(2026, 7, 1), dt.date(2026, 5, 1)]


@pytest.mark.parametrize(
    ("day", "mark", "reason"),
    [
        (
            "2026-11-21",
            "",
            "valid_from is '2026-11-21'; expected a date up to today, 2026-11-20, YYYY-MM-DD, or nothing",
        ),
        ("1.5.2026", "", "valid_from is '1.5.2026'; expected a date up to today, 2026-11-20, YYYY-MM-DD, or nothing"),
        (
            "2026-02-30",
            "",
            "valid_from is '2026-02-30'; expected a date up to today, 2026-11-20, YYYY-MM-DD, or nothing",
        ),
        ("", "yes", "new_holder is 'yes'; expected true, false or nothing"),
    ],
)
def test_a_wrong_day_or_mark_is_a_bad_row(file: Callable[..., Path], day: str, mark: str, reason: str) -> None:
    path = file(f"{HEADER},valid_from,new_holder", f"{line()},{day},{mark}")
    assert read_customer_file(path, PLANS, TODAY).bad_rows == (BadRow(2, reason),)


def test_a_customer_has_one_row_a_day(file: Callable[..., Path]) -> None:
    path = file(
        f"{HEADER},valid_from", f"{line()},2026-05-01", f"{line()},2026-05-02", f"{line(region='x')},2026-05-01"
    )
    found = read_customer_file(path, PLANS, TODAY)
    assert found.rows.num_rows == 2
    assert found.bad_rows == (BadRow(4, "customer_id '212600000001' of 2026-05-01 is already on line 2"),)


# -- the command -----------------------------------------------------------------------------------------------------


class Context:
    """What the app hands to the command."""

    def __init__(self, home: Path, dsn: str) -> None:
        self.settings = Settings(home=home)
        self.dsn = dsn
        self.deployment = Deployment(self.settings, TABLES)
        self.deployment.now = lambda: dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)  # type: ignore[method-assign]

    def postgres(self) -> PostgresConnection:
        return PostgresConnection(self.dsn, retry_seconds=0)


@pytest.fixture
def run(tmp_path: Path, postgres_dsn: str) -> Callable[..., Result]:
    """Run `telecom customers import …` against a fresh database."""
    app = typer.Typer()
    register(app)

    def invoke(*arguments: object, dsn: str = postgres_dsn) -> Result:
        return CliRunner().invoke(
            app, ["customers", "import", *map(str, arguments)], obj=Context(tmp_path / "home", dsn)
        )

    return invoke


@pytest.fixture
def stored(postgres_dsn: str) -> Callable[[], dict[str, str] | None]:
    """The customers in the database as a dictionary id -> region; None when there is no table."""

    def read() -> dict[str, str] | None:
        with psycopg.connect(postgres_dsn) as session:
            if session.execute("SELECT to_regclass('customers')").fetchone() == (None,):
                return None
        rows = read_customers(PostgresConnection(postgres_dsn), CUSTOMER_LIST).to_pylist()
        return {row["customer_id"]: row["region"] for row in rows}

    return read


def test_importing_twice_changes_nothing_and_a_change_changes_one(
    run: Callable[..., Result], stored: Callable[[], dict[str, str] | None], file: Callable[..., Path]
) -> None:
    path = file(HEADER, line(), line(customer_id="212600000002"))
    first, second = run(path), run(path)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "2 customers imported: 2 new, 0 changed, 0 as before." in first.output
    assert "2 customers imported: 0 new, 0 changed, 2 as before." in second.output
    third = run(file(HEADER, line(region="Oriental"), line(customer_id="212600000002")))
    assert "0 new, 1 changed, 1 as before." in third.output
    assert stored() == {"212600000001": "Oriental", "212600000002": "Souss-Massa"}


def test_with_a_bad_row_nothing_is_written(
    run: Callable[..., Result], stored: Callable[[], dict[str, str] | None], file: Callable[..., Path]
) -> None:
    result = run(file(HEADER, line(), line(customer_id="212600000002", status="[bold]")))
    assert result.exit_code == 1
    assert "│    3 │" in result.stderr
    assert "status is '[bold]'" in result.stderr
    assert "Nothing was written: 1 bad row, 1 good row; correct the file, or" in result.stderr
    assert "--skip-bad" in result.stderr
    assert stored() is None


def test_skip_bad_writes_the_good_rows(
    run: Callable[..., Result], stored: Callable[[], dict[str, str] | None], file: Callable[..., Path]
) -> None:
    result = run("--skip-bad", file(HEADER, line(), line(customer_id="212600000002", status="x")))
    assert result.exit_code == 0
    assert "1 customer imported: 1 new, 0 changed, 0 as before. 1 bad row skipped." in result.output
    assert stored() == {"212600000001": "Souss-Massa"}


def test_skip_bad_without_a_good_row_fails(
    run: Callable[..., Result], stored: Callable[[], dict[str, str] | None], file: Callable[..., Path]
) -> None:
    result = run("--skip-bad", file(HEADER, line(status="x")))
    assert result.exit_code == 1
    assert stored() is None


def test_json_tells_everything(run: Callable[..., Result], file: Callable[..., Path]) -> None:
    path = file(HEADER, line(), line(customer_id="212600000002", status="x"))
    bad_rows = [{"line": 3, "reason": "status is 'x'; expected one of active, inactive, suspended, terminated"}]
    refused = run("--json", path)
    assert refused.exit_code == 1
    assert json.loads(refused.stdout) == {
        "written": False,
        "good_rows": 1,
        "inserted": 0,
        "updated": 0,
        "unchanged": 0,
        "changed_days": [],
        "bad_rows": bad_rows,
    }
    written = run("--json", "--skip-bad", path)
    assert written.exit_code == 0
    assert json.loads(written.stdout) == {
        "written": True,
        "good_rows": 1,
        "inserted": 1,
        "updated": 0,
        "unchanged": 0,
        "changed_days": [],
        "bad_rows": bad_rows,
    }


def test_many_bad_rows_are_cut_short_on_screen_and_whole_in_json(
    run: Callable[..., Result], file: Callable[..., Path]
) -> None:
    path = file(HEADER, *(line(customer_id=f"2126{number:08}", status="x") for number in range(80)))
    assert "and 30 more; --json lists them all" in run(path).stderr
    assert [row["line"] for row in json.loads(run("--json", path).stdout)["bad_rows"]] == list(range(2, 82))


def test_what_stops_the_import_is_one_line(
    run: Callable[..., Result], file: Callable[..., Path], tmp_path: Path
) -> None:
    none = run(tmp_path / "none.csv")
    assert (none.exit_code, none.stderr.count("\n")) == (1, 1)
    assert "none.csv: cannot be read (No such file or directory)" in none.stderr
    empty = run(file(HEADER))
    assert (empty.exit_code, empty.stdout, empty.stderr.count("\n")) == (1, "", 1)
    assert "has no rows; expected at least one of customers" in empty.stderr
    down = run(file(HEADER, line()), dsn="postgresql://me:hidden@127.0.0.1:1/bills")
    assert (down.exit_code, down.stderr.count("\n")) == (1, 1)
    assert "127.0.0.1:1/bills" in down.stderr
    assert "hidden" not in down.output + down.stderr


# -- the history of the customers that are imported ------------------------------------------------------------------


@pytest.fixture
def versions(tmp_path: Path) -> Callable[[], list[tuple[str, str | None, str | None, int]]]:
    """The stored history of the customer: region, first day, end, holder."""

    def read() -> list[tuple[str, str | None, str | None, int]]:
        warehouse = Deployment(Settings(home=tmp_path / "home"), TABLES).warehouse
        rows = warehouse.pin("customers").arrow().sort_by("holder_no").to_pylist()
        in_order = sorted(rows, key=lambda row: row["valid_from"] or dt.date.min)
        days = [[each and each.isoformat() for each in (row["valid_from"], row["valid_to"])] for row in in_order]
        return [(row["region"], *of_it, row["holder_no"]) for row, of_it in zip(in_order, days, strict=True)]

    return read


def test_a_file_without_days_before_the_first_read_leaves_the_history_to_it(
    run: Callable[..., Result], file: Callable[..., Path], versions: Callable[[], object]
) -> None:
    assert run(file(HEADER, line())).exit_code == 0
    assert versions() == []


def test_rows_with_days_go_into_the_history_and_the_present_into_postgresql(
    run: Callable[..., Result],
    stored: Callable[[], dict[str, str] | None],
    file: Callable[..., Path],
    versions: Callable[[], object],
) -> None:
    header = f"{HEADER},valid_from"
    first = run(file(header, f"{line()},2026-03-01"))
    assert (first.exit_code, stored()) == (0, {"212600000001": "Souss-Massa"})
    assert "Others are in force than before: from 2026-03-01 on. telecom run rates these days again." in first.output
    between = run(file(header, f"{line(region='Oriental')},2026-05-01", f"{line()},2026-06-01"))
    assert between.exit_code == 0
    assert "Others are in force than before: from 2026-05-01 on" in between.output
    assert stored() == {"212600000001": "Souss-Massa"}
    known = [("Souss-Massa", "2026-03-01", "2026-05-01", 1), ("Oriental", "2026-05-01", "2026-06-01", 1)]
    assert versions() == [*known, ("Souss-Massa", "2026-06-01", None, 1)]
    assert "Others" not in run(file(header, f"{line()},2026-06-01")).output
    corrected = run("--valid-from", "2026-05-01", file(HEADER, line(region="Rabat")))
    assert "Others are in force than before: 2026-05-01 to 2026-05-31." in corrected.output
    assert stored() == {"212600000001": "Souss-Massa"}


def test_what_differs_without_a_day_holds_from_today(
    run: Callable[..., Result],
    stored: Callable[[], dict[str, str] | None],
    file: Callable[..., Path],
    versions: Callable[[], object],
) -> None:
    run("--valid-from", "2026-03-01", file(HEADER, line()))
    assert run(file(HEADER, line(region="Oriental"))).exit_code == 0
    assert stored() == {"212600000001": "Oriental"}
    assert versions() == [("Souss-Massa", "2026-03-01", "2026-11-20", 1), ("Oriental", "2026-11-20", None, 1)]


def test_a_number_with_a_new_holder(
    run: Callable[..., Result], file: Callable[..., Path], versions: Callable[[], object]
) -> None:
    run("--valid-from", "2026-03-01", file(HEADER, line()))
    path = file(f"{HEADER},valid_from,new_holder", f"{line(region='Oriental')},2026-05-01,true")
    assert run("--json", path).exit_code == 0
    assert versions() == [("Souss-Massa", "2026-03-01", "2026-05-01", 1), ("Oriental", "2026-05-01", None, 2)]


def test_a_day_to_come_changes_nothing(
    run: Callable[..., Result], file: Callable[..., Path], stored: Callable[[], dict[str, str] | None]
) -> None:
    refused = run("--valid-from", "2026-11-21", file(HEADER, line()))
    assert (refused.exit_code, refused.stderr.count("\n"), stored()) == (2, 1, None)
    assert "--valid-from 2026-11-21 is after today, 2026-11-20; import the file on that day" in refused.stderr


def test_a_table_with_dates_is_the_history_itself_and_is_not_imported_into(
    run: Callable[..., Result], file: Callable[..., Path], postgres_dsn: str
) -> None:
    run(file(HEADER, line()))
    with psycopg.connect(postgres_dsn) as session:
        session.execute("ALTER TABLE customers ADD valid_from date, ADD valid_to date")
    refused = run(file(HEADER, line(region="Oriental")))
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "has valid_from and valid_to, so it is the history of its customers itself" in refused.stderr
