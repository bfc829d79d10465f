"""What was in force in periods that are closed is changed by nobody by accident; who changes reference rows is told."""

import datetime as dt
import getpass
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner, Result

from resources.warehouse import Partitions, Warehouse
from telecom_assets.cli.tariff import register
from telecom_assets.model.stretches import Stretch
from telecom_assets.periods.journal import change_state, changed_now
from telecom_assets.reference.as_of import differing_on
from telecom_assets.reference.change_log import Origin, record_changes
from telecom_assets.reference.past import NewVersion, PastChanged, assert_past_stays, assert_terms_stay
from telecom_assets.reference.tables import BILLING_TERMS, CUSTOMERS
from telecom_assets.reference.tariffs import import_tariffs, read_tariffs
from telecom_assets_tests.reference.test_tariffs import CATALOGUE, sms_prices, tariffs

#: October is closed, November approved; December is open.
FROZEN = ("2026-10", "2026-11")
IN_OCTOBER, IN_DECEMBER = dt.date(2026, 10, 15), dt.date(2026, 12, 1)


def _close(warehouse: Warehouse) -> None:
    for month, states in zip(
        FROZEN, (("drafted", "approved", "closing", "closed"), ("drafted", "approved")), strict=True
    ):
        for state in states:
            change_state(warehouse, lambda _, to=state, of=month: changed_now(of, to))  # type: ignore[misc]


def _bill(warehouse: Warehouse, month: str, *lines: tuple[str, str, str, str]) -> None:
    """Lines of a closed bill: customer, plan, service, amount."""
    schema = warehouse.contracts["bill_lines"].arrow_schema()
    names = ("customer_id", "rate_plan_id", "service", "amount")
    rows = [dict(zip(names, line, strict=True)) | {"billing_period": month} for line in lines]
    typed: list[dict[str, Any]] = [
        row | {"amount": pa.scalar(row["amount"]).cast(schema.field("amount").type)} for row in rows
    ]
    warehouse.overwrite_arrow("bill_lines", pa.Table.from_pylist(typed, schema=schema), Partitions(month, month))


@pytest.fixture
def closed(plain: Warehouse, tmp_path: Path) -> Warehouse:
    """A warehouse with tariffs from all days on, two bills of closed October and one of approved November."""
    (tmp_path / "plans.csv").write_text(tariffs("0.5"))
    (tmp_path / "catalogue.csv").write_text(CATALOGUE)
    paths: dict[str, Path | None] = {
        "rate_plans": tmp_path / "plans.csv",
        "product_catalog": tmp_path / "catalogue.csv",
    }
    import_tariffs(plain, [path for path in paths.values() if path], None, paths)
    _bill(plain, "2026-10", ("A", "P", "sms", "10.25"), ("A", "P", "voice", "7.00"), ("B", "Q", "sms", "5.00"))
    _bill(plain, "2026-11", ("A", "P", "sms", "1.50"))
    _close(plain)
    return plain


@pytest.fixture
def settings() -> SimpleNamespace:
    return SimpleNamespace(rate_plans=None, product_catalog=None, adjustment_months=12)


@pytest.fixture
def run(closed: Warehouse, settings: SimpleNamespace, tmp_path: Path) -> Callable[..., Result]:
    """Type `telecom tariff import` with new prices from a day on."""
    app = typer.Typer()
    register(app)
    context = SimpleNamespace(settings=settings, deployment=SimpleNamespace(warehouse=closed))
    new = tmp_path / "new.csv"
    new.write_text(tariffs("0.6"))

    def invoke(day: dt.date, *options: str) -> Result:
        return CliRunner().invoke(
            app, ["tariff", "import", str(new), "--valid-from", f"{day}", *options], obj=context, catch_exceptions=True
        )

    return invoke


def told(warehouse: Warehouse) -> list[dict[str, Any]]:
    rows = warehouse.pin("reference_changes").arrow().to_pylist()
    return sorted(
        rows, key=lambda row: (row["reference_table"], row["reference_version"], row["valid_from"] or dt.date.min)
    )


# -- refused -----------------------------------------------------------------------------------------------------------


def test_a_price_of_a_closed_period_is_not_changed_by_accident(run: Callable[..., Result], closed: Warehouse) -> None:
    """From 15 October on: of P's messages 10.25 and 1.50 were billed; not his calls, and not Q's messages."""
    refused = run(IN_OCTOBER)
    assert isinstance(refused.exception, PastChanged)
    said = str(refused.exception)
    assert (
        "new.csv: would change what was in force in 2026-10 (closed), 2026-11 (approved): rate_plans P/SMS_NAT." in said
    )
    assert "add up to 11.75 before tax" in said
    assert "new.csv --valid-from 2026-10-15 --correct-past --by NAME --why REASON` stores it" in said
    assert sms_prices(closed) == [("0.5", None, None)]


def test_a_price_of_an_open_period_is_changed_as_ever(run: Callable[..., Result], closed: Warehouse) -> None:
    """Although the row that ends was in force in the closed ones: on their days it is the same row."""
    assert run(IN_DECEMBER).exit_code == 0
    assert sms_prices(closed) == [("0.5", None, IN_DECEMBER), ("0.6", IN_DECEMBER, None)]


@pytest.mark.parametrize(
    "options", [["--correct-past"], ["--correct-past", "--by", "Anna"], ["--correct-past", "--by", " ", "--why", "x"]]
)
def test_a_correction_names_who_and_why(run: Callable[..., Result], closed: Warehouse, options: list[str]) -> None:
    refused = run(IN_OCTOBER, *options)
    assert refused.exit_code == 2
    assert "--correct-past needs --by NAME and --why REASON" in refused.output.replace("\n", " ").replace(
        "│", ""
    ).replace("  ", " ")
    assert sms_prices(closed) == [("0.5", None, None)]


def test_a_correction_is_stored_and_told(run: Callable[..., Result], closed: Warehouse) -> None:
    """Who, why, from what to what, and which periods."""
    assert run(IN_OCTOBER, "--correct-past", "--by", "Anna B.", "--why", "typing error").exit_code == 0
    assert sms_prices(closed) == [("0.5", None, IN_OCTOBER), ("0.6", IN_OCTOBER, None)]
    ended, begun = (row for row in told(closed) if row["change"] != "begun")
    assert (ended["change"], ended["entity"], begun["change"], begun["valid_from"]) == (
        "changed",
        "P/SMS_NAT",
        "added",
        IN_OCTOBER,
    )
    assert json.loads(ended["was"]).get("valid_to") is None
    assert json.loads(ended["now"])["valid_to"] == "2026-10-15"
    assert (begun["was"], json.loads(begun["now"])["unit_price"]) == (None, "0.600000")
    for row in (ended, begun):
        assert (row["changed_by"], row["why"], row["corrected"]) == ("Anna B.", "typing error", "2026-10, 2026-11")
        assert row["source"].endswith("new.csv")
        assert row["system_user"] == getpass.getuser()
        assert abs(row["changed_at"] - dt.datetime.now(dt.UTC)) < dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (
            IN_OCTOBER,
            "from 2026-10-15 on. The differences of 2026-10, 2026-11 come on a later bill. telecom run rates the other days again: "
            "from 2026-12-01 on.",
        ),
        (IN_DECEMBER, f"from {IN_DECEMBER} on. telecom run rates these days again."),
    ],
)
def test_what_follows_is_told_of_frozen_and_of_open_days(run: Callable[..., Result], day: dt.date, said: str) -> None:
    stored = run(day, "--correct-past", "--by", "Anna", "--why", "typing error").output
    assert stored == f"rate_plans: 5 rows stored; others are in force: {said}\n"


def test_what_is_too_long_ago_is_not_said_to_be_corrected(
    run: Callable[..., Result], closed: Warehouse, settings: SimpleNamespace
) -> None:
    """December corrects, and looks back one month: October stays as it was billed."""
    settings.adjustment_months = 1
    for state in ("closing", "closed"):
        change_state(closed, lambda _, to=state: changed_now("2026-11", to))  # type: ignore[misc]
    said = run(IN_OCTOBER, "--correct-past", "--by", "Anna", "--why", "typing error").output
    assert (
        "The differences of 2026-11 come on a later bill. 2026-10: too long ago to be corrected (TELECOM_ADJUSTMENT_MONTHS is 1)."
        in said
    )


def test_a_run_refuses_a_file_with_dates_that_changes_the_past(closed: Warehouse, tmp_path: Path) -> None:
    """With the command that stores it."""
    header, *lines = tariffs("0.5").strip().splitlines()
    dated = [f"{header},valid_from,valid_to", *(f"{line},2026-11-30," for line in lines)]
    (tmp_path / "dated.csv").write_text("\n".join([*dated, ""]))
    with pytest.raises(
        PastChanged,
        match=r"2026-10 \(closed\), 2026-11 \(approved\): rate_plans P/SMS_INT, P/SMS_NAT.*`telecom tariff import \S*dated.csv --correct-past",
    ):
        read_tariffs(closed, {"rate_plans": tmp_path / "dated.csv", "product_catalog": None})


def _customer(region: str, first: dt.date | None, end: dt.date | None, customer: str = "A") -> dict[str, Any]:
    fixed = {
        "customer_name": "N",
        "subscription_type": "postpaid",
        "rate_plan_id": "P",
        "status": "active",
        "holder_no": 1,
    }
    return {**fixed, "customer_id": customer, "region": region, "valid_from": first, "valid_to": end}


def _customers(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=CUSTOMERS.arrow_schema())


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        pytest.param([_customer("East", None, dt.date(2026, 12, 5))], None, id="ended in the open month"),
        pytest.param([_customer("East", None, dt.date(2026, 11, 30))], "2026-11 (approved): customers A. ", id="ended on the last frozen day"),
        pytest.param(
            [_customer("East", None, None), _customer("East", dt.date(2026, 10, 31), None, "new")],
            "2026-10 (closed), 2026-11 (approved): customers new. Their lines there add up to 0 before tax",
            id="a new one who was there already",
        ),
        pytest.param(
            [_customer("West", None, None)],
            "2026-10 (closed), 2026-11 (approved): customers A. Their lines there add up to 18.75 before tax",
            id="moved on all days: 10.25 + 7.00 + 1.50",
        ),
    ],
)  # fmt: skip
def test_customers_of_closed_periods_stay(closed: Warehouse, rows: list[dict[str, Any]], refused: str | None) -> None:
    closed.overwrite_arrow("customers", _customers([_customer("East", None, None)]))
    new = NewVersion(closed.pin("customers"), _customers(rows))
    if refused is None:
        assert assert_past_stays([new], Origin("customers"), "telecom customers read") == []
        return
    with pytest.raises(PastChanged) as raised:
        assert_past_stays([new], Origin("customers"), "telecom customers read")
    assert refused in str(raised.value)
    corrected = assert_past_stays([new], Origin("customers", "A", "b", corrects_past=True), "telecom customers read")
    assert corrected and refused.startswith(corrected[0])


def _terms(*rows: tuple[dt.date | None, dt.date | None, int]) -> pa.Table:
    """Terms with their days and tax."""
    fixed = {"discount_pct": 5, "tax_category": "S", "payment_days": 30}
    named = [{**fixed, "valid_from": first, "valid_to": end, "tax_pct": tax} for first, end, tax in rows]
    return pa.Table.from_pylist(named, schema=BILLING_TERMS.arrow_schema())


def test_terms_of_closed_periods_stay_whoever_asks(closed: Warehouse) -> None:
    """Those of their last days: other terms within a closed month change nothing, nor do those of the open one."""
    closed.overwrite_arrow("billing_terms", _terms((None, None, 20)))
    stored = closed.pin("billing_terms")
    december = dt.date(2026, 12, 1)
    assert_terms_stay(NewVersion(stored, _terms((None, december, 20), (december, None, 10))), "terms.csv")
    within = [
        (None, dt.date(2026, 11, 5), 20),
        (dt.date(2026, 11, 5), dt.date(2026, 11, 9), 7),
        (dt.date(2026, 11, 9), None, 20),
    ]
    assert_terms_stay(NewVersion(stored, _terms(*within)), "terms.csv")
    with pytest.raises(
        PastChanged, match=r"terms.csv: would change the terms of 2026-11 \(approved\); nothing was stored"
    ):
        assert_terms_stay(
            NewVersion(stored, _terms((None, dt.date(2026, 11, 30), 20), (dt.date(2026, 11, 30), None, 10))),
            "terms.csv",
        )
    with pytest.raises(PastChanged, match=r"terms of 2026-10 \(closed\), 2026-11 \(approved\)"):
        assert_terms_stay(NewVersion(stored, _terms((december, None, 20))), "terms.csv")


def test_rows_that_differ_on_some_days() -> None:
    """Of a price that changes on the 15th: none before it, both as it was and as it is from then on; a later end is none."""
    then = _customers([_customer("East", None, None), _customer("South", None, None, "B")])
    now = _customers(
        [
            _customer("East", None, IN_OCTOBER),
            _customer("West", IN_OCTOBER, None),
            _customer("South", None, IN_DECEMBER, "B"),
        ]
    )
    first = Stretch(None, IN_OCTOBER)
    assert differing_on(then, now, [first]).num_rows == 0
    of_day = differing_on(
        then, now, [Stretch(dt.date(2026, 9, 1), dt.date(2026, 9, 2)), Stretch(IN_OCTOBER, IN_DECEMBER)]
    )
    assert sorted((row["customer_id"], row["region"]) for row in of_day.to_pylist()) == [("A", "East"), ("A", "West")]


# -- told --------------------------------------------------------------------------------------------------------------


def test_what_others_left_untold_is_told_once(closed: Warehouse) -> None:
    """A process that died after its change, and another hand; asked again there is nothing more."""
    before = told(closed)
    assert [(row["reference_table"], row["change"], row["now"]) for row in before] == [
        ("product_catalog", "begun", '{"rows": 4}'),
        ("rate_plans", "begun", '{"rows": 4}'),
    ]
    reads = closed.pin("rate_plans")
    rows = reads.arrow()
    said = Origin("a file", "Anna", "cheaper").said()
    closed.overwrite_arrow("rate_plans", rows.slice(1), info=said)
    closed.overwrite_arrow("rate_plans", rows.slice(2))
    assert record_changes(closed) == 2
    removed = told(closed)[2:]
    assert [(row["change"], row["entity"]) for row in removed] == [
        ("removed", f"P/{row['product_code']}") for row in rows.slice(0, 2).to_pylist()
    ]
    assert [(row["changed_by"], row["source"]) for row in removed] == [("Anna", "a file"), (None, None)]
    assert all(row["now"] is None and json.loads(row["was"])["unit_price"] for row in removed)
    assert record_changes(closed) == 0
    assert told(closed)[:2] == before


def test_a_table_from_before_begins_as_it_was_found(plain: Warehouse) -> None:
    """Its versions of before are not told of; the first change that says where it comes from is."""
    plain.overwrite_arrow("customers", _customers([_customer("East", None, None)]))
    plain.overwrite_arrow("customers", _customers([_customer("East", None, None), _customer("East", None, None, "B")]))
    plain.overwrite_arrow("customers", _customers([_customer("West", None, None)]), info=Origin("PostgreSQL").said())
    assert record_changes(plain) == 3
    begun, *changed = told(plain)
    assert (begun["change"], begun["now"], begun["reference_version"]) == ("begun", '{"rows": 2}', 2)
    assert sorted((row["entity"], row["change"], row["source"]) for row in changed) == [
        ("A", "changed", "PostgreSQL"),
        ("B", "removed", "PostgreSQL"),
    ]
