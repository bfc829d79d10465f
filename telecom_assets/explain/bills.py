"""A holder's bill of a month from its totals down to its events, and what has been corrected of the month since.

Belongs here: which rows make up which figure. Does not belong here: rules (`telecom_assets.billing`), how it is shown
(`telecom_assets.cli`).
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pyspark.sql import functions as F

from resources.warehouse import PinnedTable, Warehouse, of_month, read_rows
from resources.warehouse.conditions import equal
from telecom_assets.billing.adjustment_lines import document_totals
from telecom_assets.billing.corrections import history_of
from telecom_assets.billing.lines import DOCUMENT
from telecom_assets.billing.tables import (
    ADJUSTMENT,
    BILL,
    BILL_LINES,
    CORRECTION_DOCUMENTS,
    FACTURATION_COMPLETE,
    MANUAL,
    MANUAL_LINES,
    OF_DOCUMENT,
    USAGE,
)
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.corrections.suspense import OF_EVENT, waiting_rows, write_offs_in_force
from telecom_assets.corrections.tables import ADJUSTMENTS, BILLED
from telecom_assets.explain.reading import ExplainError, Row, grouped, rows
from telecom_assets.model.currencies import currency_scale
from telecom_assets.periods.journal import read_periods
from telecom_assets.rating.charges import charges_of_month
from telecom_assets.rating.tables import RATED_CDRS, SUSPENDED_CDRS, SUSPENSE_DECISIONS

_TAX = ("tax_category", "tax_pct")


@dataclass(frozen=True)
class Line:
    """A line of a document and the rows that it adds up: charges, differences (adjustments) or what a person has added."""

    row: Row
    rows: tuple[Row, ...]

    @property
    def exact_sum(self) -> Decimal:
        """The sum of the rows, which is the line's exact_amount."""
        return sum((row["amount"] for row in self.rows), Decimal(0))

    @property
    def rounding(self) -> Decimal:
        """What rounding has added to the exact amount."""
        return Decimal(self.row["amount"] - self.row["exact_amount"])


@dataclass(frozen=True)
class Document:
    """A bill or a document of corrections. rates: what it comes to at each tax rate (amount, discount, tax, due), which its totals
    add up. issued: its row of documents; None until its month is closed.
    """

    name: str
    totals: Row
    rates: tuple[Row, ...]
    lines: tuple[Line, ...]
    issued: Row | None


@dataclass(frozen=True)
class Corrections:
    """The differences of one closed month that a later one has found, for one reason, with one disposition."""

    billing_period: str
    original_period: str
    reason: str
    disposition: str
    records: int
    amount: Decimal


@dataclass(frozen=True)
class WrittenOff:
    """Suspended usage that a person has written off by one decision. estimate: what it would have cost, where a price was known."""

    reason: str
    decided_at: dt.datetime
    decided_by: str
    why: str
    records: int
    estimate: Decimal | None


@dataclass(frozen=True)
class Bill:
    """A customer's month. documents: of each holder the bill, then others. corrects: what it corrects of months before; corrected:
    what later months correct of it. written_off: his usage of the month that is written off, and is on no bill.
    """

    customer_id: str
    month: str
    state: str
    documents: tuple[Document, ...]
    corrects: tuple[Corrections, ...]
    corrected: tuple[Corrections, ...]
    written_off: tuple[WrittenOff, ...]


def explain_bill(warehouse: Warehouse, customer_id: str, month: str) -> Bill:
    """The bill of a customer for a month, with all that stands on it. Raises ExplainError where he has neither bill nor document."""
    his = equal("customer_id", customer_id)
    lines = warehouse.pin_period(BILL_LINES.name, month)
    bills: list[Row] = [
        {"document": BILL, **row} for row in rows(warehouse.pin_period(FACTURATION_COMPLETE.name, month), his)
    ]
    totals = bills + rows(warehouse.pin_period(CORRECTION_DOCUMENTS.name, month), his)
    adjustments = rows(warehouse.pin(ADJUSTMENTS.name), his)
    periods = read_periods(warehouse)
    if not totals:
        raise ExplainError(
            f"customer {customer_id}: no bill of {month}; expected a customer with a bill of that month: {periods.says(month)}"
        )
    stand = grouped(rows(lines, his), *DOCUMENT)
    rates = grouped(_rates(totals, stand, lines), *DOCUMENT)
    issued = grouped(rows(warehouse.pin_period(DOCUMENTS.name, month), his), *DOCUMENT)
    ours = [row for row in adjustments if row["billing_period"] == month]
    found: dict[str, list[Row]] = {
        USAGE: rows_of_charges(warehouse, customer_id, month),
        ADJUSTMENT: [row for row in ours if row["disposition"] == BILLED],
    }
    by_hand = rows(warehouse.pin_period(MANUAL_LINES.name, month), his)
    documents = []
    for row in sorted(totals, key=lambda row: (row["holder_no"], row["document"] != BILL, row["document"])):
        key = tuple(row[name] for name in DOCUMENT)
        made_of = {**found, MANUAL: [each for each in by_hand if each["document"] == row["document"]]}
        documents.append(
            Document(
                name=row["document"],
                totals=row,
                rates=tuple(sorted(rates.get(key, ()), key=lambda rate: (rate["tax_category"], rate["tax_pct"]))),
                lines=tuple(_lines(stand.get(key, []), made_of)),
                issued=next(iter(issued.get(key, ())), None),
            )
        )
    return Bill(
        customer_id=customer_id,
        month=month,
        state=periods.state(month) or "open",
        documents=tuple(documents),
        corrects=_by_reason(ours),
        corrected=_by_reason([row for row in adjustments if row["original_period"] == month]),
        written_off=tuple(_written_off(warehouse, customer_id, month)),
    )


def rows_of_charges(warehouse: Warehouse, customer_id: str, month: str) -> list[Row]:
    """What a customer is charged in a month, event by event, in the order of time."""
    his, columns = equal("customer_id", customer_id), RATED_CDRS.column_names
    charges = charges_of_month(warehouse, month)
    found = read_rows(charges.rated, columns, his) + read_rows(charges.imputed, columns, his)
    priced: list[Row] = [row for row in found if row["amount"] is not None]
    return sorted(priced, key=lambda row: (row["event_ts"], row["record_id"]))


def _written_off(warehouse: Warehouse, customer_id: str, month: str) -> Iterator[WrittenOff]:
    """What is written off of a customer's month, by decision and reason."""
    if not any(warehouse.pin_period(SUSPENSE_DECISIONS.name, month).rows_by_partition().values()):
        return
    suspended = waiting_rows(warehouse, of_month(SUSPENDED_CDRS, month))
    his = suspended.where(F.col("customer_id") == F.lit(customer_id)).select(*OF_EVENT)
    decided: list[Row] = write_offs_in_force(warehouse).join(his, on=list(OF_EVENT), how="inner").toArrow().to_pylist()
    for _, same in sorted(grouped(decided, "decision_no", "reason").items()):
        first, known = same[0], [row["estimate"] for row in same if row["estimate"] is not None]
        said = {name: first[name] for name in ("reason", "decided_at", "decided_by", "why")}
        yield WrittenOff(**said, records=len(same), estimate=sum(known, Decimal(0)) if known else None)


def _rates(totals: Sequence[Row], stand: Mapping[Any, Sequence[Row]], lines: PinnedTable) -> list[Row]:
    """What the customer's documents of a month come to at each tax rate. stand: their lines, by document; lines: those of all."""
    of_one_rate: list[Row] = []
    for document in totals:
        rates = {
            tuple(line[name] for name in _TAX) for line in stand.get(tuple(document[name] for name in DOCUMENT), ())
        }
        if len(rates) > 1:
            return _rates_by_the_rule(lines, document["customer_id"], document["currency"])
        money = {of_rate: document[name] for name, of_rate in OF_DOCUMENT.items() if name in document}
        of_one_rate += [
            {**{name: document[name] for name in DOCUMENT}, **dict(zip(_TAX, rate, strict=True)), **money}
            for rate in rates
        ]
    return of_one_rate


def _rates_by_the_rule(lines: PinnedTable, customer_id: str, currency: str) -> list[Row]:
    """The same where a document has several rates: by the rule that has billed them, on the engine."""
    his = F.col("customer_id") == F.lit(customer_id)
    history = history_of(lines)
    before = None if history is None else history.where(his)
    found: list[Row] = document_totals(lines.df.where(his), before, currency_scale(currency)).toArrow().to_pylist()
    return found


def _lines(stand: Sequence[Row], made_of: Mapping[str, list[Row]]) -> Iterator[Line]:
    """The lines of a document in their order. What a person has added has a line of its own each, so two equal ones have two."""
    by_hand = list(made_of[MANUAL])
    for line in sorted(stand, key=lambda line: line["line_no"]):
        if line["kind"] == MANUAL:
            row = next(each for each in by_hand if _is_on(each, line) and each["amount"] == line["amount"])
            by_hand.remove(row)
            yield Line(line, (row,))
        else:
            yield Line(line, tuple(each for each in made_of[line["kind"]] if _is_on(each, line)))


def _is_on(row: Row, line: Row) -> bool:
    """Whether a line adds a row up. row: a charge, a difference or a person's line of its month."""
    names = ["rate_plan_id", "region"]
    if line["kind"] != USAGE:
        names += ["original_period", "tax_category", "tax_pct"]
    if line["kind"] == ADJUSTMENT:
        names.append("discount_pct")
    service = row.get("service", row.get("record_type"))
    return (
        (row["holder_no"] or 1) == line["holder_no"]
        and service == line["service"]
        and all(row[name] == line[name] for name in names)
    )


def _by_reason(adjustments: Sequence[Row]) -> tuple[Corrections, ...]:
    """Differences added up by what they are for."""
    names = ("billing_period", "original_period", "reason", "disposition")
    found = grouped(adjustments, *names)
    return tuple(_added_up(found[key]) for key in sorted(found))


def _added_up(same: Sequence[Row]) -> Corrections:
    first = same[0]
    return Corrections(
        billing_period=first["billing_period"],
        original_period=first["original_period"],
        reason=first["reason"],
        disposition=first["disposition"],
        records=len({row["record_id"] for row in same}),
        amount=sum((row["amount"] for row in same), Decimal(0)),
    )
