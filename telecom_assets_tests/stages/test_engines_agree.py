"""The whole chain on both engines, row by row as the oracle has it, and once more in SQL by a third engine.

Belongs here: many CDRs through every stage and table. Does not belong here: single rules; each has its own module.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.engine import SparkEngine
from resources.warehouse import Partitions, Warehouse
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.rules import bill
from telecom_assets.billing.tables import BILL_LINES, FACTURATION_COMPLETE
from telecom_assets.books.totals import note_totals, totals_of
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.rules import mediate
from telecom_assets.mediation.tables import CLEANED_CDRS, REJECTED_CDRS
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.rules import MissingVolumePolicy, ReferenceData, rate
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.reports.rules import BilledMonth, report
from telecom_assets.reports.tables import DAILY_REVENUE, REPORTS
from telecom_assets.tables import TABLES
from telecom_assets_tests import oracle
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Message, Parameters, Result, Row
from telecom_assets_tests.sql_check import sql_totals
from telecom_assets_tests.stages import chain
from telecom_assets_tests.stages.chain import (
    TERMS,
    admitted,
    assert_outcomes,
    assert_rows,
    billed,
    collected,
    contract_frame,
    drawn,
    imputed,
    mediated,
    rejections,
    rows_of,
    side_by_side,
    stored,
)

MONTH = "2026-03"
POLICIES: tuple[MissingVolumePolicy, ...] = ("customer_min", "zero", "suspend")
#: Two of the months that few of the batch's records are of are opened by name.
PARAMETERS = Parameters(accept_months={"2019-01", "2019-12"})


def expected_of(messages: list[Message], parameters: Parameters) -> Result:
    return oracle.run(messages, cdrs.DATED_CUSTOMERS, cdrs.DATED_RATE_PLANS, cdrs.DATED_CATALOGUE, parameters)


def reference_data(engine: SparkEngine, customers: list[Row] = cdrs.DATED_CUSTOMERS) -> ReferenceData:
    """Reference data whose customers and prices change within the month."""
    return chain.reference_data(engine, customers, cdrs.DATED_RATE_PLANS, cdrs.DATED_CATALOGUE)


# --------------------------------------------------------------------------- a month and more, through all the tables


@dataclass(frozen=True)
class Month:
    """Messages, the tables an engine made of them, and what the oracle makes of them."""

    messages: list[Message]
    expected: Result
    warehouse: Warehouse

    @property
    def engine(self) -> SparkEngine:
        return self.warehouse.engine

    def rows(self, name: str) -> list[Row]:
        """A table's rows, read by neither engine."""
        rows: list[Row] = self.warehouse.pin(name).arrow().to_pylist()
        return rows


@pytest.fixture(scope="module")
def messages(engine: SparkEngine) -> list[Message]:
    """The requirements' error mix; 5 % repeated or changed, some of those on other days.

    Two months for the embedded engine; for Spark, which takes long for many small files, the last days of them.
    """
    batch = cdrs.cdr_batch(seed=2026, count=max(3_000, examples(6_000)))
    if engine.name == "sail":
        return batch
    return [item for item in batch if oracle.home_day(item, PARAMETERS) >= date(2026, 3, 21)]


@pytest.fixture(scope="module")
def expected(messages: list[Message]) -> Result:
    return expected_of(messages, PARAMETERS)


@pytest.fixture(scope="module")
def month(
    engine: SparkEngine, messages: list[Message], expected: Result, tmp_path_factory: pytest.TempPathFactory
) -> Month:
    """Every stage reads what the stage before it has written, as the assets do."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("chain") / "entrepôt du mois"), engine, TABLES)
    warehouse.append(RAW_CDRS.name, admitted(engine, messages, PARAMETERS))
    raw = warehouse.pin(RAW_CDRS.name)
    outcomes = mediate(raw.all(), raw.all(), reference_data(engine).product_catalog, dedupe_days=PARAMETERS.dedupe_days)
    every_day = Partitions(min(raw.rows_by_partition()), max(raw.rows_by_partition()))
    warehouse.overwrite(CLEANED_CDRS.name, outcomes.cleaned, every_day)
    warehouse.overwrite(REJECTED_CDRS.name, outcomes.rejected, every_day)
    cleaned = warehouse.pin(CLEANED_CDRS.name)
    ratings = rate(cleaned.all(), reference_data(engine), missing_volume="customer_min")
    warehouse.overwrite(RATED_CDRS.name, ratings.rated, every_day)
    warehouse.overwrite(SUSPENDED_CDRS.name, ratings.suspended, every_day)
    this_month = Partitions(MONTH, MONTH)
    rated, suspended = (warehouse.pin_period(name, MONTH) for name in (RATED_CDRS.name, SUSPENDED_CDRS.name))
    warehouse.overwrite(
        PERIOD_CHARGES.name, imputed(engine, rated.df, suspended.df, reference_data(engine)), this_month
    )
    charges, customers = charges_of_month(warehouse, MONTH), reference_data(engine).customers
    warehouse.overwrite(BILL_LINES.name, usage_lines(charges.df, MONTH, TERMS), this_month)
    lines = warehouse.pin(BILL_LINES.name)
    warehouse.overwrite(FACTURATION_COMPLETE.name, bill(lines.df, customers, MONTH, TERMS), this_month)
    bills = warehouse.pin(FACTURATION_COMPLETE.name)
    of_month = BilledMonth(charges.df, lines.df, bills.df)
    warehouse.overwrite(DAILY_REVENUE.name, report(DAILY_REVENUE, of_month, MONTH), this_month)
    return Month(messages, expected, warehouse)


@pytest.mark.thorough
def test_the_batch_is_worth_it(engine: SparkEngine, expected: Result) -> None:
    """Otherwise what follows would prove little."""
    assert len(expected.outcomes) > 1_000
    funnel = expected.funnel(MONTH)
    assert set(funnel.suspended) == set(oracle.SUSPENSION_REASONS) - {"missing_volume", "amount_out_of_range"}
    copies = [item for item in expected.outcomes if item.original]
    across_days = [
        item for item in copies if item.original and oracle.home_day(item.original, PARAMETERS) != item.home_day
    ]
    assert len(copies) > 50
    assert {item.reason for item in across_days} == {"duplicate_conflict"}
    assert across_days
    assert engine.name == "spark" or any(row["event_date"].year == 2019 for row in expected.rated)
    assert funnel.deferred == funnel.imputed >= 10
    assert any(row["rounding_difference"] > 0 for row in expected.bills(MONTH))


@pytest.mark.thorough
def test_mediation_is_the_oracles(month: Month) -> None:
    cleaned, rejected = month.rows(CLEANED_CDRS.name), month.rows(REJECTED_CDRS.name)
    assert_rows(CLEANED_CDRS, cleaned, month.expected.cleaned)
    assert_rows(REJECTED_CDRS, rejected, rejections(month.expected.outcomes))


def test_rating_is_the_oracles(month: Month) -> None:
    assert_rows(RATED_CDRS, month.rows(RATED_CDRS.name), month.expected.rated)
    assert_rows(SUSPENDED_CDRS, month.rows(SUSPENDED_CDRS.name), month.expected.suspended)


@pytest.mark.thorough
@pytest.mark.parametrize("policy", ["zero", "suspend"])
def test_rating_by_other_policies_is_the_oracles(month: Month, policy: MissingVolumePolicy) -> None:
    expected = expected_of(month.messages, Parameters(PARAMETERS.max_age_days, 31, PARAMETERS.accept_months, policy))
    cleaned = month.warehouse.pin(CLEANED_CDRS.name).all()
    ratings = rate(cleaned, reference_data(month.engine), missing_volume=policy)
    assert_rows(RATED_CDRS, rows_of(ratings.rated), expected.rated)
    assert_rows(SUSPENDED_CDRS, rows_of(ratings.suspended), expected.suspended)


def test_what_the_month_prices_is_the_oracles(month: Month) -> None:
    expected = [row for row in month.expected.imputed if row["billing_period"] == MONTH]
    assert_rows(PERIOD_CHARGES, month.rows(PERIOD_CHARGES.name), expected)


def test_lines_are_the_oracles(month: Month) -> None:
    assert_rows(BILL_LINES, month.rows(BILL_LINES.name), month.expected.lines(MONTH))


def test_bills_are_the_oracles(month: Month) -> None:
    assert_rows(FACTURATION_COMPLETE, month.rows(FACTURATION_COMPLETE.name), month.expected.bills(MONTH))


def test_reports_are_the_oracles(month: Month) -> None:
    lines, bills = (month.warehouse.pin(name).df for name in (BILL_LINES.name, FACTURATION_COMPLETE.name))
    of_month = BilledMonth(charges_of_month(month.warehouse, MONTH).df, lines, bills)
    for contract in REPORTS:
        found = rows_of(report(contract, of_month, MONTH))
        assert_rows(contract, found, month.expected.reports(MONTH)[contract.name])


# ----------------------------------------------------------------------------------------- a third engine, by itself


@pytest.fixture(scope="module")
def sql(month: Month) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB over the tables as delta-rs reads them: whole, since DuckDB and a dataset of pyarrow can wait for each other for ever."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in (
            RAW_CDRS.name,
            CLEANED_CDRS.name,
            REJECTED_CDRS.name,
            RATED_CDRS.name,
            SUSPENDED_CDRS.name,
            PERIOD_CHARGES.name,
            BILL_LINES.name,
            FACTURATION_COMPLETE.name,
            DAILY_REVENUE.name,
        ):
            connection.register(name, DeltaTable(month.warehouse.path(name)).to_pyarrow_table())
        connection.execute(f"""CREATE VIEW charges AS
            SELECT customer_id, holder_no, record_type, event_date, amount FROM rated_cdrs WHERE billing_period = '{MONTH}'
            UNION ALL SELECT customer_id, holder_no, record_type, event_date, amount FROM period_charges
            WHERE amount IS NOT NULL""")
        yield connection


#: A query beside the rows that stand only on one side of an identity: there are none.
IDENTITIES = {
    "raw = cleaned + rejected, record by record": """
        SELECT source_id, source_part, source_position, event_date FROM raw_cdrs
        EXCEPT ALL (SELECT source_id, source_part, source_position, event_date FROM cleaned_cdrs
                    UNION ALL SELECT source_id, source_part, source_position, event_date FROM rejected_cdrs)""",
    "cleaned + rejected = raw, record by record": """
        (SELECT source_id, source_part, source_position, event_date FROM cleaned_cdrs
         UNION ALL SELECT source_id, source_part, source_position, event_date FROM rejected_cdrs)
        EXCEPT ALL SELECT source_id, source_part, source_position, event_date FROM raw_cdrs""",
    "cleaned = rated + suspended, record by record": """
        SELECT record_id, source_id, source_part, source_position, event_date FROM cleaned_cdrs
        EXCEPT ALL (SELECT record_id, source_id, source_part, source_position, event_date FROM rated_cdrs
                    UNION ALL SELECT record_id, source_id, source_part, source_position, event_date FROM suspended_cdrs)""",
    "rated + suspended = cleaned, by day": """
        SELECT event_date, count(*) FROM (SELECT event_date FROM rated_cdrs UNION ALL SELECT event_date FROM suspended_cdrs)
        GROUP BY ALL EXCEPT ALL SELECT event_date, count(*) FROM cleaned_cdrs GROUP BY ALL""",
    "deferred = imputed, record by record": """
        SELECT * FROM (SELECT record_id, source_id, source_part, source_position, event_date FROM suspended_cdrs
                       WHERE disposition = 'deferred' AND billing_period = '2026-03') d
        FULL JOIN period_charges p USING (record_id, source_id, source_part, source_position, event_date)
        WHERE d.record_id IS NULL OR p.billing_period IS NULL""",
    "an imputed volume is the smallest of its holder": """
        WITH usage AS (
            SELECT c.*, holder_no FROM cleaned_cdrs c JOIN (
                SELECT record_id, event_date, holder_no FROM rated_cdrs UNION ALL
                SELECT record_id, event_date, holder_no FROM suspended_cdrs) USING (record_id, event_date))
        SELECT * FROM period_charges p WHERE billable_units <> coalesce((SELECT min(data_volume_mb) FROM usage c
            WHERE c.subscriber_id = p.customer_id AND c.holder_no = p.holder_no
              AND strftime(c.event_date, '%Y-%m') = '2026-03'), 0)""",
    "charged = bills before tax - rounding, by holder": """
        SELECT * FROM (SELECT customer_id, holder_no, sum(amount) AS rated FROM charges GROUP BY ALL) r
        FULL JOIN facturation_complete b USING (customer_id, holder_no)
        WHERE coalesce(rated, 0) <> coalesce(amount_before_tax - rounding_difference, 0)""",
    "charged = lines, by holder and service": """
        SELECT * FROM (
            SELECT customer_id, holder_no, record_type, sum(amount) AS rated, count(*) AS events FROM charges GROUP BY ALL) r
        FULL JOIN (SELECT customer_id, holder_no, service AS record_type, sum(exact_amount) AS lined, sum(events) AS events
                   FROM bill_lines GROUP BY ALL) l USING (customer_id, holder_no, record_type)
        WHERE rated IS DISTINCT FROM lined OR r.events IS DISTINCT FROM l.events""",
    "a line is rounded once": "SELECT * FROM bill_lines WHERE amount <> round(exact_amount, 2)",
    "lines = amount before tax, by holder": """
        SELECT * FROM (SELECT customer_id, holder_no, sum(amount) AS lined FROM bill_lines GROUP BY ALL) l
        FULL JOIN facturation_complete USING (customer_id, holder_no) WHERE coalesce(lined, 0) IS DISTINCT FROM amount_before_tax""",
    "the figures of a bill": """
        SELECT * FROM facturation_complete
        WHERE amount_before_tax <> voice_total + sms_total + data_total + other_total
           OR discount <> round(amount_before_tax::DECIMAL(28,2) * discount_pct * 0.01::DECIMAL(3,2), 2)
           OR after_discount <> amount_before_tax - discount
           OR tax <> round(after_discount::DECIMAL(28,2) * tax_pct * 0.01::DECIMAL(3,2), 2)
           OR amount_due <> after_discount + tax""",
    "daily revenue = charged, by day": """
        SELECT * FROM (SELECT event_date, sum(amount) AS rated FROM charges GROUP BY ALL) r
        FULL JOIN daily_revenue d ON d.billing_date = r.event_date WHERE rated IS DISTINCT FROM revenue""",
    "a record is cleaned once within 31 days": """
        SELECT record_id FROM cleaned_cdrs a JOIN cleaned_cdrs b USING (record_id)
        WHERE (a.source_id, a.source_part, a.source_position) < (b.source_id, b.source_part, b.source_position)
          AND abs(date_diff('day', a.event_date, b.event_date)) <= 31""",
}


@pytest.mark.thorough
@pytest.mark.parametrize("identity", IDENTITIES)
def test_identities_in_sql(sql: duckdb.DuckDBPyConnection, identity: str) -> None:
    assert sql.execute(IDENTITIES[identity]).fetchall() == []


@pytest.mark.thorough
def test_the_tables_hold_what_sql_makes_of_the_messages(month: Month, sql: duckdb.DuckDBPyConnection) -> None:
    """From the bytes to the amounts due, without the project and without the oracle."""
    references = (cdrs.DATED_CUSTOMERS, cdrs.DATED_RATE_PLANS, cdrs.DATED_CATALOGUE)
    totals = sql_totals(month.messages, *references, MONTH, accept_months=PARAMETERS.accept_months)
    outcomes = """SELECT strftime(event_date, '%Y-%m') AS month, reason, count(*) FROM (
        SELECT event_date, 'cleaned' AS reason FROM cleaned_cdrs UNION ALL SELECT event_date, reason FROM rejected_cdrs)
        GROUP BY ALL"""
    assert {(period, reason): count for period, reason, count in sql.execute(outcomes).fetchall()} == totals.outcomes
    charged = sql.execute("SELECT customer_id, sum(amount) FROM charges GROUP BY ALL").fetchall()
    assert dict(charged) == totals.rated_by_customer
    due = sql.execute("SELECT customer_id, sum(amount_due) FROM facturation_complete GROUP BY ALL").fetchall()
    assert dict(due) == totals.amount_due_by_customer
    assert totals.amount_due > 0
    lines = sql.execute("SELECT customer_id, holder_no, line_no, amount FROM bill_lines").fetchall()
    assert {tuple(line): amount for *line, amount in lines} == totals.lines
    assert totals.due_by_region_and_plan == {
        (row["region"], row["rate_plan_id"]): row["revenue_incl_tax"]
        for row in month.expected.reports(MONTH)["plan_by_region"]
    }


#: What the rows of each table come to, in the words of its control totals.
TOTALS = {
    "raw_cdrs": "event_date, type, 'received', '', count(*), sum(source_position), NULL, NULL, NULL",
    "cleaned_cdrs": "event_date, type, 'cleaned', '', count(*), sum(source_position), "
    "sum(CASE WHEN duration_sec IS NOT NULL OR session_duration_sec IS NOT NULL "
    "THEN coalesce(duration_sec, 0) + coalesce(session_duration_sec, 0) END), sum(data_volume_mb), NULL",
    "rejected_cdrs": "event_date, type, 'rejected', reason, count(*), sum(source_position), NULL, NULL, NULL",
    "rated_cdrs": "event_date, type, 'rated', CASE WHEN imputed THEN 'missing_volume' ELSE '' END, count(*), sum(source_position), "
    "sum(billable_units * 60) FILTER (type = 'voice'), sum(billable_units) FILTER (type = 'data'), sum(amount)",
    "suspended_cdrs": "event_date, type, disposition, reason, count(*), sum(source_position), "
    "sum(billable_units * 60) FILTER (type = 'voice'), sum(billable_units) FILTER (type = 'data'), NULL",
    "period_charges": "billing_period, type, 'imputed', CASE WHEN amount IS NULL THEN 'amount_out_of_range' ELSE '' END, count(*), "
    "sum(source_position), sum(billable_units * 60) FILTER (type = 'voice'), sum(billable_units) FILTER (type = 'data'), sum(amount)",
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", TOTALS)
def test_control_totals_are_those_of_the_rows(month: Month, sql: duckdb.DuckDBPyConnection, name: str) -> None:
    """Worked out by each engine, noted, and read again: what SQL counts. A text that is no record type counts as other."""
    pinned = month.warehouse.pin(name)
    of_type = "CASE WHEN record_type IN ('voice', 'sms', 'data') THEN record_type ELSE 'other' END AS type"
    expected = sql.execute(f"SELECT {TOTALS[name]} FROM (SELECT *, {of_type} FROM {name}) GROUP BY ALL").fetchall()
    worked_out = totals_of(pinned)
    assert note_totals(pinned) == len({row[0] for row in expected})
    for totals in (worked_out, totals_of(pinned)):
        assert sorted((tuple(vars(each).values()) for each in totals), key=str) == sorted(expected, key=str)
    assert note_totals(pinned) == 0


# --------------------------------------------------------------------------------------------- small ones, many of them


def month_charges(engine: SparkEngine, rated: list[Row], suspended: list[Row], period: str) -> list[Row]:
    """Rows of period_charges of one month."""
    tables = ((RATED_CDRS, rated), (SUSPENDED_CDRS, suspended))
    of_month = ([row for row in rows if row["billing_period"] == period] for _, rows in tables)
    rated_rows, suspended_rows = (
        contract_frame(engine, table, rows) for (table, _), rows in zip(tables, of_month, strict=True)
    )
    return rows_of(imputed(engine, rated_rows, suspended_rows, reference_data(engine)))


def assert_chain(engine: SparkEngine, batch: list[Message], parameters: Parameters, months: list[str]) -> None:
    """Mediation and rating of everything; bills and reports of some months."""
    expected = expected_of(batch, parameters)
    outcomes = mediated(engine, batch, parameters)
    assert_outcomes(outcomes, expected.outcomes)
    cleaned = contract_frame(engine, CLEANED_CDRS, collected(outcomes)[0])
    ratings = rate(cleaned, reference_data(engine), missing_volume=parameters.missing_volume_policy)
    rated, suspended = rows_of(ratings.rated), rows_of(ratings.suspended)
    assert_rows(RATED_CDRS, rated, expected.rated)
    assert_rows(SUSPENDED_CDRS, suspended, expected.suspended)
    deferring = {row["billing_period"] for row in suspended if row["disposition"] == "deferred"}
    of_months = [row for period in sorted(deferring) for row in month_charges(engine, rated, suspended, period)]
    assert_rows(PERIOD_CHARGES, of_months, expected.imputed)
    for period in months:
        both = [*rated, *(row for row in of_months if row["amount"] is not None)]
        usage = contract_frame(engine, RATED_CDRS, (row for row in both if row["billing_period"] == period))
        lines, made = billed(engine, usage, reference_data(engine).customers, period)
        bills = stored(engine, made)
        assert_rows(BILL_LINES, rows_of(lines), expected.lines(period))
        assert_rows(FACTURATION_COMPLETE, rows_of(bills), expected.bills(period))
        reports, of_month = expected.reports(period), BilledMonth(usage, lines, bills)
        for contract in REPORTS:
            assert_rows(contract, rows_of(report(contract, of_month, period)), reports[contract.name])


@pytest.fixture(scope="module")
def collections() -> list[Message]:
    """70 collections of up to 25 plausible messages: repetitions, late ones, ties, every edge of the calendar."""
    return side_by_side(drawn(cdrs.cdr_messages(), max(20, examples(70))))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(dedupe_days=31, missing_volume_policy="customer_min"),
        pytest.param(
            Parameters(dedupe_days=0, missing_volume_policy="zero", max_age_days=20),
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            Parameters(dedupe_days=1, missing_volume_policy="suspend", accept_months={"2026-02", "2015-05"}),
            marks=pytest.mark.thorough,
        ),
    ],
    ids=lambda parameters: parameters.missing_volume_policy,
)
def test_small_collections_side_by_side(
    engine: SparkEngine, collections: list[Message], parameters: Parameters
) -> None:
    assert_chain(engine, collections, parameters, ["2026-03"] if engine.name == "sail" else [])


SMALL = settings(
    max_examples=examples(8),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.thorough
@SMALL
@given(batch=cdrs.cdr_messages(min_size=3), dedupe_days=st.sampled_from([0, 31]), policy=st.sampled_from(POLICIES))
def test_any_small_collection(
    sail: SparkEngine, batch: list[Message], dedupe_days: int, policy: MissingVolumePolicy
) -> None:
    """One by one, so that a failure shrinks."""
    assert_chain(sail, batch, Parameters(dedupe_days=dedupe_days, missing_volume_policy=policy), [])


@pytest.mark.thorough
@SMALL
@given(batch=cdrs.hostile_messages().filter(bool))
def test_any_hostile_collection(sail: SparkEngine, batch: list[Message]) -> None:
    assert_outcomes(mediated(sail, batch, Parameters()), oracle.mediate(batch, cdrs.CATALOGUE, Parameters()))


def test_sums_are_exact_where_doubles_are_not(engine: SparkEngine) -> None:
    """0.1 a thousand times is 100 and not 99.9999999999986: money never was a float."""
    usage: list[dict[str, Any]] = [
        {"customer_id": "c", "record_type": "data", "amount": "0.1", "billing_period": MONTH} for _ in range(1_000)
    ]
    customers = reference_data(engine, [{**cdrs.CUSTOMERS[0], "customer_id": "c"}]).customers
    _, bills = billed(engine, contract_frame(engine, RATED_CDRS, usage), customers, MONTH)
    [row] = rows_of(bills)
    assert (row["data_total"], row["rounding_difference"]) == (Decimal(100), Decimal(0))
