"""`telecom warehouse upgrade` as a user types it, with the topic that the warehouse was filled from."""

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from resources.engine import SparkEngine
from resources.kafka import KafkaConnection
from resources.process_locks import lock_or_refuse
from resources.warehouse import Warehouse
from telecom_assets.home.instance import open_instance
from telecom_assets.home.settings import Settings
from telecom_assets.intake.journal import read_state
from telecom_assets.tables import TABLES
from telecom_assets_tests.intake.test_landing import assert_sound, cdr, landing, produced, today, values_of
from telecom_assets_tests.oracle import Message
from telecom_assets_tests.typed import Finished, type_command, without_other_users
from telecom_assets_tests.upgrade.former import FormerWarehouse

KEY = ", ".join(TABLES["facturation_complete"].key)
NARROW = "ALTER TABLE facturation_complete ALTER COLUMN discount_pct TYPE numeric(3,1)"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", "")  # commands set it; it is as it was afterwards
    for name, value in {"COLUMNS": "250", "TELECOM_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"


@pytest.fixture
def typed(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Types a command in the home."""
    return lambda *arguments: type_command(monkeypatch, capfd, ("warehouse", "upgrade", *arguments))


def opened(home: Path, sail: SparkEngine) -> Warehouse:
    return Warehouse(str(home / "warehouse"), sail, TABLES)


@pytest.fixture
def former(home: Path, kafka: KafkaConnection, monkeypatch: pytest.MonkeyPatch) -> FormerWarehouse:
    """Two of three messages of a real topic landed, the second twice."""
    for name, value in {
        "TELECOM_KAFKA_TOPIC": kafka.topic,
        "TELECOM_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TELECOM_KAFKA_OPTIONS": json.dumps(kafka.options),
    }.items():
        monkeypatch.setenv(name, value)
    values = [cdr(record, today()) for record in ("a", "b", "c")]
    produced(kafka, *values)
    source_id = kafka.topic_state().topic_id
    made = FormerWarehouse(str(home / "warehouse"), topic=kafka.topic, topic_id=source_id)
    made.watch([0, 1])
    messages = [Message(0, offset, datetime.now(UTC), value, source_id) for offset, value in enumerate(values[:2])]
    made.land(messages)
    made.append(messages[1:])
    return made


def open_formerly(home: Path, month: str) -> None:
    """A month opened in the home's instance, as the version before kept it."""
    instance = open_instance(Settings.load(home=home))
    instance.daemon_cursor_storage.set_cursor_values({f"telecom_assets/accept_months/{month}": "true"})


def test_a_dry_run_says_all_and_changes_nothing(
    former: FormerWarehouse, home: Path, typed: Callable[..., Finished]
) -> None:
    open_formerly(home, "2026-05")
    before = {path: path.read_bytes() for path in Path(former.root).rglob("*") if path.is_file()}
    finished = typed("--dry-run", "--json")
    assert (finished.exit_code, without_other_users(finished.stderr)) == (0, "")
    said = json.loads(finished.stdout)
    assert {each["table"]: (each["rows"], each["files"]) for each in said.pop("tables")} == {
        "raw_cdrs": (3, 2),
        "landing_ranges": (3, 2),
        **dict.fromkeys(("cleaned_cdrs", "rejected_cdrs", "mediated_days", "rated_cdrs", "suspended_cdrs"), (0, 0)),
    }
    assert said.pop("postgres_note").startswith("published tables were not looked at: no PostgreSQL")
    assert said == {
        "dry_run": True,
        "up_to_date": False,
        "doubled_rows": 1,
        "conflicting_positions": 0,
        "first_conflicts": [],
        "unrecorded": [],
        "opened_months": {"2026-05": 0},
        "days_to_mediate": [str(today())],
        "tables_added": ["period_charges"],
        "months_to_rate": [],
        "months_to_bill": [],
        "imbalances": [],
        "postgres": [],
    }
    printed = typed("--dry-run").stdout
    assert "Would be done" in printed
    assert "kafka_offset becomes source_position" in printed
    assert "1 rows of equal position and bytes go; the one that was received first stays" in printed
    assert "month 2026-05 is opened in the warehouse; 0 rows move to their own days" in printed
    assert f"`telecom run` will mediate again: {today()}" in printed
    assert "table period_charges is to be made, without rows" in printed
    assert {path: path.read_bytes() for path in Path(former.root).rglob("*") if path.is_file()} == before


def test_landing_goes_on_with_the_same_topic(
    former: FormerWarehouse,
    home: Path,
    typed: Callable[..., Finished],
    sail: SparkEngine,
    kafka: KafkaConnection,
) -> None:
    open_formerly(home, "2026-05")
    finished = typed()
    assert (finished.exit_code, "Upgraded" in finished.stdout) == (0, True)
    assert "landing_ranges: 3 rows in 2 files" in finished.stderr
    warehouse = opened(home, sail)
    assert read_state(warehouse).opened_months == ["2026-05"]
    landed = landing(warehouse, kafka)
    assert (landed.records, [(each.start, each.end) for each in landed.ranges]) == (1, [(2, 3)])
    assert [offset for offset, _ in values_of(warehouse)[0]] == [0, 1, 2]
    assert_sound(warehouse)
    again = typed()
    assert (again.exit_code, again.stdout.splitlines()[0]) == (0, "The warehouse is of this version; nothing to do.")
    assert json.loads(typed("--json").stdout)["up_to_date"] is True


def test_positions_with_other_bytes_are_named(former: FormerWarehouse, typed: Callable[..., Finished]) -> None:
    former.append([Message(0, 0, datetime.now(UTC), b"another", former.topic_id)])
    finished = typed()
    assert finished.exit_code == 0
    assert (
        "1 positions have rows of other bytes, which are left alone: partition 0 offset 0 (2 rows); the books do not balance "
        "while they are there"
    ) in finished.stdout
    assert "does not balance: 2 messages consumed, 3 rows in raw_cdrs" in finished.stdout


def test_published_bills_get_the_types_of_their_contract(
    former: FormerWarehouse, postgres_dsn: str, typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELECOM_POSTGRES_DSN", postgres_dsn)
    expected = next(each.type for each in TABLES["facturation_complete"].columns if each.name == "discount_pct")
    with psycopg.connect(postgres_dsn, autocommit=True) as session:
        columns = ", ".join(f"{each.name} {sql_type(each.type)}" for each in TABLES["facturation_complete"].columns)
        session.execute(f"CREATE TABLE facturation_complete ({columns}, PRIMARY KEY ({KEY}))")
        session.execute(NARROW)
        session.execute("CREATE VIEW discounts AS SELECT discount_pct FROM facturation_complete")
        refused = typed()
        assert refused.exit_code == 1
        assert "Upgraded" in refused.stdout
        assert "published tables are as they were: " in refused.stdout
        assert "cannot alter type of a column used by a view" in refused.stdout
        session.execute("DROP VIEW discounts")
    drift = [f"column discount_pct is numeric(3,1), expected {sql_type(expected)}"]
    for arguments, found in ((("--dry-run",), drift), ((), drift), ((), [])):
        finished = typed("--json", *arguments)
        said = json.loads(finished.stdout)
        assert (finished.exit_code, said["postgres"], said["postgres_note"]) == (0, found, None)


def test_published_bills_of_a_version_without_lines_get_their_columns(
    former: FormerWarehouse, postgres_dsn: str, typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.51 before tax, of which 1.26 are voice, sms and data: 0.25 were of other services."""
    monkeypatch.setenv("TELECOM_POSTGRES_DSN", postgres_dsn)
    amount = "numeric(18,2)"
    new = {"holder_no": "integer", "adjustments_total": amount, "other_total": amount, "status": "text"}
    columns = [each for each in TABLES["facturation_complete"].columns if each.name not in new]
    with psycopg.connect(postgres_dsn, autocommit=True) as session:
        defined = ", ".join(f"{each.name} {sql_type(each.type)}" for each in columns)
        session.execute(f"CREATE TABLE facturation_complete ({defined}, PRIMARY KEY (billing_period, customer_id))")
        session.execute(
            "INSERT INTO facturation_complete (customer_id, voice_total, sms_total, data_total, amount_before_tax, billing_period)"
            " VALUES ('c', 1.00, 0.14, 0.12, 1.51, '2026-06')"
        )
        said = json.loads(typed("--json").stdout)
        drift = [*(f"no column {name} ({kind})" for name, kind in new.items()), f"its primary key is not ({KEY})"]
        assert sorted(said["postgres"]) == sorted(drift)
        [row] = session.execute(f"SELECT {', '.join(new)} FROM facturation_complete").fetchall()
        assert row == (1, Decimal("0.00"), Decimal("0.25"), "draft")
        assert json.loads(typed("--json").stdout)["postgres"] == []


def test_published_amounts_are_not_cut_to_another_currency(
    former: FormerWarehouse, postgres_dsn: str, typed: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELECOM_POSTGRES_DSN", postgres_dsn)
    columns = ", ".join(f"{each.name} {sql_type(each.type)}" for each in TABLES["facturation_complete"].columns)
    with psycopg.connect(postgres_dsn, autocommit=True) as session:
        session.execute(f"CREATE TABLE facturation_complete ({columns})")
        session.execute("INSERT INTO facturation_complete (amount_due) VALUES (12.34)")
        monkeypatch.setenv("TELECOM_CURRENCY", "JPY")
        refused = typed()
        assert refused.exit_code == 1
        assert "column amount_due is numeric(18,2), expected numeric(18,0)" in refused.stdout
        assert "set TELECOM_CURRENCY to the currency of the bills" in refused.stdout
        assert session.execute("SELECT amount_due FROM facturation_complete").fetchall() == [(Decimal("12.34"),)]


def test_no_warehouse_is_one_sentence(home: Path, typed: Callable[..., Finished]) -> None:
    finished = typed()
    assert (finished.exit_code, finished.stdout) == (1, "")
    assert re.search("no warehouse at .*: none of its tables is there, .*`telecom run` makes one", finished.stderr)
    assert not (home / "warehouse" / "raw_cdrs").exists()


def test_a_landing_of_the_home_is_not_disturbed(
    former: FormerWarehouse, home: Path, typed: Callable[..., Finished]
) -> None:
    with lock_or_refuse(Settings.load(home=home).dagster_home, "landing"):
        finished = typed()
    assert finished.exit_code == 1
    assert f"landing is under way in process {os.getpid()} (since " in finished.stderr
    assert former.version("raw_cdrs") == 2


def sql_type(name: str) -> str:
    """A contract's type as PostgreSQL spells it."""
    names = {"string": "text", "int": "integer", "timestamp": "timestamp with time zone"}
    return names.get(name, name.replace("decimal", "numeric"))
