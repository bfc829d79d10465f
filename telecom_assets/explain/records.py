"""A record through every stage: its messages, the event they became, what it cost, on which line and document it stands.

Belongs here: which rows of which stage belong to a record, and what became of it in one word. Does not belong here: rules (each stage
has its own), how it is shown (`telecom_assets.cli`).
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from pyspark.errors import PySparkException

from resources.warehouse import Partitions, PinnedTable, Warehouse, WarehouseError, committed_at, newest_change
from resources.warehouse.conditions import among, equal
from telecom_assets.billing.tables import ADJUSTMENT, BILL, BILL_LINES, USAGE
from telecom_assets.closing.tables import DOCUMENTS
from telecom_assets.corrections.tables import ADJUSTMENTS, UNSETTLED
from telecom_assets.explain.reading import ExplainError, Row, days_of, grouped, is_holder, of_days, rows
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.choosing import PLACE
from telecom_assets.mediation.copies import DUPLICATE_REASONS
from telecom_assets.mediation.resubmitting import digest
from telecom_assets.mediation.tables import CLEANED_CDRS, MESSAGE_KEY, REJECTED_CDRS, RESUBMISSIONS
from telecom_assets.model.text import legible
from telecom_assets.periods.journal import read_periods
from telecom_assets.periods.states import Periods
from telecom_assets.rating.tables import PERIOD_CHARGES, RATED_CDRS, SUSPENDED_CDRS, SUSPENSE_DECISIONS, WRITE_OFF
from telecom_assets.reference.tables import CUSTOMERS, PRODUCT_CATALOG, RATE_PLANS

#: What became of an event, where no row of rating says it: cleaned after its month was approved; charged, and there no more; to come.
LATE, GONE, NOT_RATED, IMPUTED, RATED = "late", "gone", "not rated", "imputed", "rated"
#: The columns that name a holder's row of customers.
_CUSTOMER = ("customer_id", "holder_no")


@dataclass(frozen=True)
class Message:
    """A landed message of the record. `text`: its bytes as they came, where they are text. `reason`: why it is no event; None: it is
    the event, or mediation has not seen it (`outcome`). corrects: the row of resubmissions that it was sent for, which names the
    refused message; corrected: the last row of those that were sent for it.
    """

    row: Row
    outcome: str
    reason: str | None
    detail: str | None
    corrects: Row | None = None
    corrected: Row | None = None

    @property
    def text(self) -> str | None:
        value = self.row["value"]
        return None if value is None else legible(bytes(value).decode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class OnBill:
    """The line of a bill that an amount stands on, and the document that was issued with it; None while its month is open.

    outdated: the amount was made after this draft, which may be without it.
    """

    line: Row
    document: Row | None
    outdated: bool = False

    @property
    def rounding(self) -> Decimal:
        """What rounding has added to the line's exact sum."""
        return Decimal(self.line["amount"] - self.line["exact_amount"])


@dataclass(frozen=True)
class Adjustment:
    """A difference of a closed month, and the line that corrects it; None for what is on no bill."""

    row: Row
    on_bill: OnBill | None


@dataclass(frozen=True)
class Event:
    """What became of a record on one day. `outcome`: rated, imputed, suspended, excluded, deferred, late, gone or not rated.

    cleaned, rated, suspended, imputed: its rows of cleaned_cdrs, rated_cdrs, suspended_cdrs, period_charges. customer, price, product:
    the rows of the reference tables that it was rated with, in the version that was read then; where that is kept no longer, as they
    are now. customer_now: that row of the customer as it is now. None where there is none. write_offs: what people have decided of it
    (rows of suspense_decisions), in their order.
    """

    day: dt.date
    outcome: str
    reason: str | None
    month_state: str
    cleaned: Row | None
    rated: Row | None
    suspended: Row | None
    imputed: Row | None
    write_offs: tuple[Row, ...]
    customer: Row | None
    customer_now: Row | None
    price: Row | None
    product: Row | None
    on_bill: OnBill | None
    adjustments: tuple[Adjustment, ...]

    @property
    def month(self) -> str:
        return f"{self.day:%Y-%m}"

    @property
    def charge(self) -> Row | None:
        """The row that says what it costs."""
        return self.rated or self.imputed

    @property
    def written_off(self) -> Row | None:
        """The decision that it is written off, where that counts: nothing charges it, and it is suspended for that reason."""
        last = self.write_offs[-1] if self.write_offs else None
        if (
            last is None
            or last["decision"] != WRITE_OFF
            or self.outcome != "suspended"
            or self.reason != last["reason"]
        ):
            return None
        settled = (each.row for each in self.adjustments if each.row["disposition"] not in UNSETTLED)
        return None if sum(row["events"] for row in settled) > 0 else last

    @cached_property
    def formula(self) -> str | None:
        """How the amount follows from units and prices; None without an amount."""
        return None if self.charge is None or self.charge["amount"] is None else _formula(self.charge, self.product)


@dataclass(frozen=True)
class Record:
    """All that is known of a record id, or of a message without one, which is then named by its place in its topic."""

    record_id: str
    messages: tuple[Message, ...]
    events: tuple[Event, ...]

    @property
    def copies(self) -> tuple[Message, ...]:
        """The messages that are copies of an earlier one."""
        return tuple(each for each in self.messages if each.reason in DUPLICATE_REASONS)


def explain_record(warehouse: Warehouse, record_id: str, *, day: dt.date | None = None, dedupe_days: int = 0) -> Record:
    """A record by its id. day: its home day, which is then looked at alone, with the `dedupe_days` around it where copies can lie.

    An id that no table has may be the place of a message, TOPIC/PARTITION/OFFSET: that finds a message without an id.
    Raises ExplainError for an id that no table has.
    """
    within = None if day is None else Partitions(day, day).widened(dedupe_days)
    days = days_of(warehouse, [record_id], within)
    if not days and (found := _at_place(warehouse, record_id, within, dedupe_days)):
        return found
    if not days:
        where = "no landed message" if within is None else f"no message of {within}"
        advice = "look at the id" if within is None else "look without --day"
        raise ExplainError(
            f"record {record_id!r}: {where} has this id; {advice}, or ask by --subscriber NUMBER --at TIME"
        )
    return explain_records(warehouse, [record_id], days)[0]


def _at_place(warehouse: Warehouse, place: str, within: Partitions | None, dedupe_days: int) -> Record | None:
    """The record of the message at a place; None where the text is no place of a message."""
    named = PLACE.fullmatch(place)
    if named is None:
        return None
    landed = rows(
        warehouse.pin(RAW_CDRS.name, within),
        equal("source_part", int(named["part"])),
        equal("source_position", int(named["position"])),
        equal("kafka_topic", named["topic"]),
    )
    if not landed:
        return None
    days = {row["event_date"] for row in landed}
    if (record_id := landed[0]["record_id"]) is not None:
        around = Partitions(min(days), max(days)).widened(dedupe_days)
        return explain_records(warehouse, [record_id], [around.first, around.last])[0]
    same = [equal(name, landed[0][name]) for name in MESSAGE_KEY]
    sent = rows(warehouse.pin(RESUBMISSIONS.name), *same)
    return Record(place, _messages(landed, [], rows(of_days(warehouse, REJECTED_CDRS, days), *same), sent), ())


def explain_records(warehouse: Warehouse, record_ids: Collection[str], days: Collection[dt.date]) -> list[Record]:
    """Records by their ids, in the order of these; days: those on which their rows lie, all between the first and the last read."""
    is_one = among("record_id", record_ids)
    by_day = {
        contract.name: rows(of_days(warehouse, contract, days), is_one)
        for contract in (RAW_CDRS, CLEANED_CDRS, REJECTED_CDRS, RATED_CDRS, SUSPENDED_CDRS)
    }
    months = sorted({f"{day:%Y-%m}" for day in days})
    in_months = Partitions(months[0], months[-1])
    for contract in (PERIOD_CHARGES, SUSPENSE_DECISIONS):
        by_day[contract.name] = rows(warehouse.pin(contract.name, in_months), is_one)
    by_day[ADJUSTMENTS.name] = rows(warehouse.pin(ADJUSTMENTS.name), is_one, among("original_period", months))
    by_day[RESUBMISSIONS.name] = rows(warehouse.pin(RESUBMISSIONS.name), is_one)
    found = {name: grouped(listed, "record_id") for name, listed in by_day.items()}
    stages = _Stages(warehouse)
    return [stages.record(each, {name: of.get((each,), []) for name, of in found.items()}) for each in record_ids]


class _Stages:
    """The tables that the events of several records share, each read once."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.periods: Periods = read_periods(warehouse)
        self._referenced: dict[tuple[Any, ...], Row | None] = {}

    def record(self, record_id: str, found: dict[str, list[Row]]) -> Record:
        cleaned = found[CLEANED_CDRS.name]
        sent, decided = found.pop(RESUBMISSIONS.name), found.pop(SUSPENSE_DECISIONS.name)
        messages = _messages(found[RAW_CDRS.name], cleaned, found[REJECTED_CDRS.name], sent)
        charged = (RATED_CDRS, SUSPENDED_CDRS, PERIOD_CHARGES, ADJUSTMENTS)
        days = {row["event_date"] for row in cleaned}.union(
            row["event_date"] for contract in charged for row in found[contract.name]
        )
        events = tuple(
            self._event(
                day, {name: [row for row in of if row["event_date"] == day] for name, of in found.items()}, decided
            )
            for day in sorted(days)
        )
        return Record(record_id, messages, events)

    def _event(self, day: dt.date, found: dict[str, list[Row]], decided: Sequence[Row]) -> Event:
        cleaned, rated, suspended, imputed = (
            next(iter(found[contract.name]), None)
            for contract in (CLEANED_CDRS, RATED_CDRS, SUSPENDED_CDRS, PERIOD_CHARGES)
        )
        month = f"{day:%Y-%m}"
        outcome, reason = self._outcome(month, cleaned, rated, suspended, imputed)
        named = rated or imputed or suspended
        charge = rated or imputed
        of_day, of_month = (
            of_days(self.warehouse, RATED_CDRS, [day]),
            self.warehouse.pin_period(PERIOD_CHARGES.name, month),
        )
        line = (
            self._usage_line(charge, month, of_month if rated is None else of_day)
            if charge and charge["amount"] is not None
            else None
        )
        return Event(
            day=day,
            outcome=outcome,
            reason=reason,
            month_state=self.periods.state(month) or "open",
            cleaned=cleaned,
            rated=rated,
            suspended=suspended,
            imputed=imputed,
            write_offs=tuple(row for row in decided if row["billing_period"] == month),
            customer=self._reference(CUSTOMERS.name, named, "customer_valid_from", *_CUSTOMER),
            customer_now=self._reference(CUSTOMERS.name, named, "customer_valid_from", *_CUSTOMER, as_rated=False),
            price=self._reference(RATE_PLANS.name, charge, "plan_valid_from", "rate_plan_id", "product_code"),
            product=self._reference(PRODUCT_CATALOG.name, charge, "product_valid_from", "product_code"),
            on_bill=line,
            adjustments=tuple(Adjustment(row, self._adjustment_line(row)) for row in found[ADJUSTMENTS.name]),
        )

    def _outcome(
        self, month: str, cleaned: Row | None, rated: Row | None, suspended: Row | None, imputed: Row | None
    ) -> tuple[str, str | None]:
        """What became of an event, and the reason that suspended_cdrs gives."""
        if cleaned is None:
            return GONE, None
        if rated is not None:
            return RATED, None
        if imputed is not None:
            return IMPUTED, None if suspended is None else suspended["reason"]
        if suspended is not None:
            return suspended["disposition"], suspended["reason"]
        return (LATE if self.periods.is_frozen(month) else NOT_RATED), None

    def _reference(
        self, table: str, charge: Row | None, valid_from: str, *names: str, as_rated: bool = True
    ) -> Row | None:
        """The row of a reference table that a charge names; a charge of a former version names none by its date.

        as_rated: as it was in the version that rating has read. Events share these rows, so each is read once.
        """
        if charge is None or any(charge[name] is None for name in names):
            return None
        newest = self.warehouse.version(table)
        version = charge[f"{table}_version"] if as_rated else newest
        key = (table, version, charge[valid_from], *(charge[name] for name in names))
        if key not in self._referenced:
            same = [equal(name, charge[name]) for name in names]
            same.append(equal("valid_from", charge[valid_from]))
            try:
                found = rows(self.warehouse.pin(table, version=version), *same)
            except (WarehouseError, PySparkException):
                if version == newest:
                    raise
                # Versions are removed some time after another has taken their place.
                found = rows(self.warehouse.pin(table), *same)
            self._referenced[key] = next(iter(found), None)
        return self._referenced[key]

    def _usage_line(self, charge: Row, month: str, charges: PinnedTable) -> OnBill | None:
        """The line that a charge is added up on. charges: the partition that it is a row of."""
        on_bill = self._line(month, charge, kind=USAGE, service=charge["record_type"], document=BILL)
        if on_bill is None or self.periods.is_frozen(month):
            return on_bill
        drafted = self._written(self.warehouse.pin_period(BILL_LINES.name, month))
        return replace(on_bill, outdated=drafted is not None and (self._written(charges) or drafted) > drafted)

    def _written(self, pinned: PinnedTable) -> dt.datetime | None:
        """When the rows of a partition were written last; None where the log does not say it any more."""
        return committed_at(self.warehouse, pinned.name, newest_change(pinned))

    def _adjustment_line(self, row: Row) -> OnBill | None:
        """The line of a difference that is billed."""
        if row["disposition"] != "billed":
            return None
        terms = {name: row[name] for name in ("original_period", "tax_category", "tax_pct", "discount_pct")}
        return self._line(row["billing_period"], row, kind=ADJUSTMENT, service=row["service"], **terms)

    def _line(self, month: str, of: Row, **same: Any) -> OnBill | None:
        """The first line of the holder, plan and region of a row that has some values."""
        same |= {name: of[name] for name in ("rate_plan_id", "region")}
        for line in rows(self.warehouse.pin_period(BILL_LINES.name, month), *is_holder(of)):
            if all(line[name] == value for name, value in same.items()):
                return OnBill(line, document_of(self.warehouse, line))
        return None


def document_of(warehouse: Warehouse, line: Row) -> Row | None:
    """The issued document that a line of a bill stands on; None while its month is not closed, or for one without documents."""
    issued = warehouse.pin_period(DOCUMENTS.name, line["billing_period"])
    return next(iter(rows(issued, *is_holder(line), equal("document", line["document"]))), None)


def _messages(
    landed: Sequence[Row], cleaned: Sequence[Row], rejected: Sequence[Row], sent: Sequence[Row]
) -> tuple[Message, ...]:
    """Landed messages with what mediation made of them, in the order in which they were received. sent: rows of resubmissions."""
    kept = {_message_key(row) for row in cleaned}
    corrections = {row["correction_digest"]: row for row in reversed(sent)}
    corrected = {_message_key(row): row for row in sent}
    refused = {_message_key(row): row for row in rejected}
    messages = []
    for row in sorted(landed, key=lambda row: (row["received_at"], *_message_key(row))):
        why = refused.get(_message_key(row))
        outcome = "kept" if _message_key(row) in kept else "rejected" if why else "not mediated"
        corrects = corrections.get(digest(row["value"])) if row["value"] is not None else None
        messages.append(Message(row, outcome, *_refusal(why), corrects, corrected.get(_message_key(row))))
    return tuple(messages)


def _refusal(rejected: Row | None) -> tuple[str | None, str | None]:
    """Reason and detail of a row of rejected_cdrs; none without one."""
    return (None, None) if rejected is None else (rejected["reason"], rejected["detail"])


def _message_key(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in MESSAGE_KEY)


def _formula(charge: Row, product: Row | None) -> str:
    """The terms of `telecom_assets.rating.rules.charge` with the figures of a row that it has priced."""
    units, free = charge["billable_units"], charge["free_units_applied"]
    price, threshold = charge["unit_price"], charge["tier_threshold"]
    tiered = threshold is not None and (product is None or product["rate_type"] == "tiered")
    if not tiered or units <= threshold:
        return f"({units.normalize():f} − {free.normalize():f} free) × {price.normalize():f} = {charge['amount']:f}"
    lower = max(threshold - free, Decimal(0))
    return (
        f"{lower.normalize():f} × {price.normalize():f} + ({units.normalize():f} − {threshold.normalize():f}) × "
        f"{charge['tier_price'].normalize():f} = {charge['amount']:f}"
    )
