"""The project as a `System`: the steps of the machine on the tables of a warehouse, by the rules of the project.

Belongs here: calling the project's pure rules and its warehouse in the order of the assets. Does not belong here: expected values.

Records become cleaned rows by the model's rule of copies, which has tests of its own on both engines; all that follows is the
project's: rating, what the month decides, differences, write-offs, lines, documents, states, what is frozen. Records and reference rows
are stored when a month is run, as a run of the project would.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import partial, reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from resources.engine import SparkEngine
from resources.expected_errors import ExpectedError
from resources.warehouse import Partitions, Warehouse
from telecom_assets.billing.corrections import Corrections, closed_lines, dispose
from telecom_assets.billing.lines import usage_lines
from telecom_assets.billing.manual import Wanted, note_line
from telecom_assets.billing.placing import Placing
from telecom_assets.billing.rules import bill, correction_documents
from telecom_assets.billing.tables import BILL_LINES, CORRECTION_DOCUMENTS, FACTURATION_COMPLETE, MANUAL_LINES
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.closing import empty
from telecom_assets.closing.approving import withdraw
from telecom_assets.closing.order import assert_in_order, assert_none_before
from telecom_assets.closing.rerating.comparison import Compared, Inputs, compared
from telecom_assets.corrections.inputs import inputs_of
from telecom_assets.corrections.looking_back import look_back
from telecom_assets.corrections.tables import ADJUSTED_MONTHS, ADJUSTMENTS
from telecom_assets.mediation.tables import CLEANED_CDRS, MEDIATED_DAYS
from telecom_assets.model.months import month_days
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.digest import digest_of
from telecom_assets.periods.guard import may_write, refuse_frozen
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets.periods.states import APPROVED, CLOSED, CLOSING, DRAFTED, Change, PeriodError, Periods, State, Way
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.month_rules import impute
from telecom_assets.rating.rules import MissingVolumePolicy, Ratings, ReferenceData, price_list, rate
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS
from telecom_assets.record_types.in_force import RECORD_TYPES
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS
from telecom_assets.tables import tables_of
from telecom_assets_tests import strategies as cdrs
from telecom_assets_tests.closed_periods.model import (
    DEDUPE_DAYS,
    cleaned_row,
    customer_rows,
    kept_copies,
    month_of,
    price_rows,
)
from telecom_assets_tests.closed_periods.system import (
    BILL,
    Document,
    Holder,
    House,
    Price,
    Refused,
    Service,
    Usage,
    Version,
)
from telecom_assets_tests.stages.chain import contract_table

CURRENCIES = {0: "JPY", 2: "MAD", 3: "TND"}
MONTHS_BACK = 12
POLICY: MissingVolumePolicy = "customer_min"
WHO = "somebody"
#: A holder's lines and manual lines about a month, at one tax rate.
_ABOUT = ("customer_id", "holder_no", "about", "tax_category", "tax_pct")


@contextmanager
def _refusing() -> Iterator[None]:
    """What the project refuses by a sentence is a refusal."""
    try:
        yield
    except ExpectedError as error:
        raise Refused(str(error)) from error


class Project:
    """A `System` on a warehouse of its own. The tables have the decimals of the house's currency."""

    def __init__(self, house: House, folder: Path, engine: SparkEngine) -> None:
        self.house = house
        self.currency = CURRENCIES[house.decimals]
        tables = tables_of(RECORD_TYPES, self.currency)
        self.warehouse = Warehouse(str(folder), engine, tables, guard=refuse_frozen)
        self.warehouse.make_tables()
        self._records: list[Usage] = []
        self._customers: dict[str, Sequence[Version]] = {}
        self._prices: dict[tuple[str, Service], Sequence[Price]] = {}
        self._stale_days: set[date] = set()
        self._stale_tables: set[str] = set()
        #: Months whose drafts are made of all that came.
        self._made_of_all: set[str] = set()
        self._read: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self.warehouse.overwrite_arrow(PRODUCT_CATALOG.name, contract_table(PRODUCT_CATALOG, cdrs.CATALOGUE))

    # ------------------------------------------------------------------------------------------------------------ steps

    def receive(self, usage: Usage) -> None:
        self._made_of_all.clear()
        self._records.append(usage)
        self._stale_days |= {each.day for each in self._records if each.record_id == usage.record_id}

    def set_customer(self, customer_id: str, versions: Sequence[Version]) -> None:
        self._made_of_all.clear()
        self._customers[customer_id] = versions
        self._stale_tables.add(CUSTOMERS.name)

    def set_price(self, plan: str, service: Service, prices: Sequence[Price]) -> None:
        self._made_of_all.clear()
        self._prices[plan, service] = prices
        self._stale_tables.add(RATE_PLANS.name)

    def run(self, month: str, *, anew: bool = False) -> None:
        with _refusing():
            read_periods(self.warehouse).assert_open(month, "billing")
            if anew or month not in self._made_of_all:
                self._store_what_came()
                self._rate(month)
                self._adjust(month)
                self._bill(month)
                self._made_of_all.add(month)
            change_state(self.warehouse, partial(_drafted, month))

    def approve(self, month: str) -> None:
        with _refusing():
            self._assert_may_be_approved(month)
            assert self.rated_again(month).findings == []
            kept = self._closed_with(month, inputs_of(self.warehouse, month)).as_json()
            self._change(month, APPROVED, digest=digest_of(self.warehouse, month), closed_with=kept)

    def withdraw(self, month: str) -> None:
        with _refusing():
            withdraw(self.warehouse, month, by=WHO, why="a mistake")

    def close(self, month: str) -> None:
        self._made_of_all.clear()
        with _refusing():
            approved = read_periods(self.warehouse).last(month)
            kept = approved.closed_with if approved and approved.state == APPROVED else None
            digest = digest_of(self.warehouse, month)
            assert kept is None or approved is None or approved.digest == digest
            self._change(month, CLOSING, "bills", digest=digest, closed_with=kept)
            self._change(month, CLOSED, "bills", digest=digest, closed_with=kept)

    def close_empty(self, month: str) -> None:
        self._made_of_all.clear()
        with _refusing():
            assert_none_before(self.warehouse, read_periods(self.warehouse), month, "closing")
            empty.assert_may_be_empty(self.warehouse, month)
            kept = self._closed_with(month, None).as_json()
            self._change(month, CLOSING, "empty", closed_with=kept)
            with may_write(month):
                empty.remove_rows(self.warehouse, month)
            self._change(month, CLOSED, "empty", closed_with=kept)

    def add_line(
        self, holder: Holder, month: str, amount: Decimal, tax_pct: Decimal, *, own_document: bool = False
    ) -> None:
        wanted = Wanted(holder[0], month, abs(amount), tax_pct, WHO, "a complaint", amount < 0, holder[1], own_document)
        self._made_of_all.clear()
        with _refusing():
            note_line(self.warehouse, wanted)

    # -------------------------------------------------------------------------------------------------------- questions

    def documents(self) -> Mapping[Document, Decimal]:
        found: dict[Document, Decimal] = {}
        for name in (FACTURATION_COMPLETE.name, CORRECTION_DOCUMENTS.name):
            for row in self._rows(name):
                holder = (row["customer_id"], row["holder_no"])
                found[holder, row["billing_period"], row.get("document", BILL)] = row["amount_due"]
        return found

    def settled(self, month: str) -> Mapping[Holder, Decimal]:
        found: defaultdict[Holder, Decimal] = defaultdict(Decimal)
        rated = (row for row in self._rows(RATED_CDRS.name) if month_of(row["event_date"]) == month)
        charged = (row for row in self._rows(PERIOD_CHARGES.name) if row["billing_period"] == month)
        adjusted = (row for row in self._rows(ADJUSTMENTS.name) if row["original_period"] == month)
        for row in (*rated, *charged, *adjusted):
            found[row["customer_id"], row["holder_no"]] += row["amount"] or Decimal(0)
        return found

    def rated_again(self, month: str) -> Compared:
        """The second rating of all customers, in SQL."""
        names = (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG)
        customers, plans, catalogue = (self.warehouse.pin(each.name) for each in names)
        of_month = partial(self.warehouse.pin_period, period=month)
        inputs = Inputs(
            month=month,
            cleaned=of_month(CLEANED_CDRS.name),
            customers=customers,
            rate_plans=plans,
            product_catalog=catalogue,
            adjustments=of_month(ADJUSTMENTS.name),
            manual_lines=of_month(MANUAL_LINES.name),
            closed_lines=closed_lines(self.warehouse, month),
            lines=of_month(BILL_LINES.name),
            bills=of_month(FACTURATION_COMPLETE.name),
            correction_documents=of_month(CORRECTION_DOCUMENTS.name),
            terms=self._terms(month),
            missing_volume_policy=POLICY,
            record_types=RECORD_TYPES,
        )
        return compared(inputs, len(self._customers))

    # ------------------------------------------------------------------------------------------------------------ stages

    def _store_what_came(self) -> None:
        """The days on which a record came or is a copy now, and reference tables that are others."""
        kept = kept_copies(self._records)
        for day in sorted(self._stale_days):
            rows = [cleaned_row(each) for each in kept if each.day == day]
            self._store(CLEANED_CDRS.name, rows, Partitions(day, day))
            mediated = {
                "raw_rows": sum(each.day == day for each in self._records),
                "raw_positions": sum(each.received for each in self._records if each.day == day),
                "raw_version": len(self._records),
                "cleaned_version": self.warehouse.version(CLEANED_CDRS.name),
                "rejected_version": 1,
                "product_catalog_version": 1,
                "dedupe_days": DEDUPE_DAYS,
                "event_date": day,
            }
            self._store(MEDIATED_DAYS.name, [mediated], Partitions(day, day))
        customers = [row for number, own in self._customers.items() for row in customer_rows(number, own)]
        prices = [row for (plan, service), own in self._prices.items() for row in price_rows(plan, service, own)]
        for name, rows in ((CUSTOMERS.name, customers), (RATE_PLANS.name, prices)):
            if name in self._stale_tables:
                self._store(name, rows, None)
        self._stale_days, self._stale_tables = set(), set()

    def _rate(self, month: str) -> None:
        reference = self._reference()
        cleaned = self.warehouse.pin_period(CLEANED_CDRS.name, month).df
        ratings = Ratings(self.warehouse.engine.keep(rate(cleaned, reference, missing_volume=POLICY).rows))
        days = Partitions(month_days(month)[0], month_days(month)[-1])
        self.warehouse.overwrite(RATED_CDRS.name, ratings.rated, days)
        self.warehouse.overwrite(SUSPENDED_CDRS.name, ratings.suspended, days)
        rated, suspended = (self.warehouse.pin_period(each.name, month).df for each in (RATED_CDRS, SUSPENDED_CDRS))
        prices = price_list(reference.rate_plans, reference.product_catalog)
        self.warehouse.overwrite(PERIOD_CHARGES.name, impute(rated, suspended, prices), Partitions(month, month))

    def _adjust(self, month: str) -> None:
        looked = list(look_back(self.warehouse, month, MONTHS_BACK))
        made = [
            each.month.adjustments(each.affected, keep=self.warehouse.engine.keep)
            for each in looked
            if not each.affected.is_empty
        ]
        partition = Partitions(month, month)
        if made:
            rows = self.warehouse.engine.keep(reduce(DataFrame.unionByName, made))
            rows = dispose(self.warehouse, rows, month, self.house.threshold, self.house.decimals)
            self.warehouse.overwrite(ADJUSTMENTS.name, rows, partition)
        else:
            self._store(ADJUSTMENTS.name, [], partition)
        self._store(ADJUSTED_MONTHS.name, [each.as_row() for each in looked], partition)

    def _bill(self, month: str) -> None:
        customers, terms, partition = self._reference().customers, self._terms(month), Partitions(month, month)
        corrections = Corrections.pin(self.warehouse, month)
        usage = usage_lines(charges_of_month(self.warehouse, month).df, month, terms)
        how: Placing = "separate" if self.house.separate else "on_invoice"
        self.warehouse.overwrite(BILL_LINES.name, corrections.lines(usage, customers, terms, how), partition)
        lines = self.warehouse.pin_period(BILL_LINES.name, month).df
        before = closed_lines(self.warehouse, month)
        history = None if before is None else before.df
        self.warehouse.overwrite(FACTURATION_COMPLETE.name, bill(lines, customers, month, terms, history), partition)
        if history is not None:
            documents = correction_documents(lines, history, month, self.currency, self.house.decimals)
            self.warehouse.overwrite(CORRECTION_DOCUMENTS.name, documents, partition)

    def _assert_may_be_approved(self, month: str) -> None:
        periods = read_periods(self.warehouse)
        if periods.is_frozen(month) or periods.why_drafted_again(month):
            raise PeriodError(f"approving {month}: {periods.says(month)}")
        assert_in_order(self.warehouse, periods, month, "approving")
        if self._breaches():
            raise PeriodError(f"approving {month}: more was given back than was charged")

    def _breaches(self) -> bool:
        """Whether, of a month, a holder was given back more at one tax rate than he was charged."""
        found: defaultdict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
        for row in self._rows(BILL_LINES.name):
            about = row["original_period"] or row["billing_period"]
            found[row["customer_id"], row["holder_no"], about, row["tax_pct"]] += row["amount"]
        return any(amount < 0 for amount in found.values())

    def _terms(self, month: str) -> BillingTerms:
        terms = self.house.of(month)
        return BillingTerms(terms.discount_pct, terms.tax_pct, self.currency)

    def _closed_with(self, month: str, inputs: str | None) -> ClosedWith:
        terms = self._terms(month)
        return ClosedWith(
            currency=terms.currency,
            discount_pct=terms.discount_pct,
            tax_pct=terms.tax_pct,
            tax_category=terms.tax_category,
            exemption_reason=None,
            payment_days=terms.payment_days,
            missing_volume_policy=POLICY,
            dedupe_days=DEDUPE_DAYS,
            inputs=inputs,
        )

    def _change(self, month: str, state: State, way: Way | None = None, **kept: str | None) -> None:
        issued = month_days(month)[-1] if way else None
        change = changed_now(month, state, by=WHO, way=way, issue_date=issued, **kept)
        change_state(self.warehouse, lambda _: change)

    # ------------------------------------------------------------------------------------------------------------ tables

    def _reference(self) -> ReferenceData:
        pinned = [self.warehouse.pin(contract.name) for contract in (CUSTOMERS, RATE_PLANS, PRODUCT_CATALOG)]
        customers, rate_plans, catalogue = (each.all() for each in pinned)
        return ReferenceData(customers, rate_plans, catalogue, {each.name: each.version for each in pinned})

    def _store(self, name: str, rows: Sequence[Mapping[str, Any]], partitions: Partitions | None) -> None:
        self.warehouse.overwrite_arrow(name, contract_table(self.warehouse.contracts[name], rows), partitions)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table, read once of each version."""
        version = self.warehouse.version(name)
        if self._read.get(name, (-1,))[0] != version:
            self._read[name] = (version, self.warehouse.pin(name).arrow().to_pylist())
        return self._read[name][1]


def _drafted(month: str, periods: Periods) -> Change | None:
    """The change of a run, where there is one."""
    return changed_now(month, DRAFTED) if periods.why_drafted_again(month) else None
