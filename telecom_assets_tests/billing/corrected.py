"""Months that correct closed ones, for tests: rows of adjustments and lines, and the chain from them to bills and documents.

Belongs here: making the input and calling the product's rules in their order. Does not belong here: expected figures.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from resources.engine import SparkEngine
from telecom_assets.billing.adjustment_lines import adjustment_lines
from telecom_assets.billing.placing import Placing, placed
from telecom_assets.billing.rules import bill, correction_documents
from telecom_assets.billing.tables import bill_lines
from telecom_assets.billing.terms import BillingTerms
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets.reference.tables import CUSTOMERS
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import TERMS, contract_frame, rows_of


def line(customer: str, period: str, exact: str, amount: str | None = None, **changed: Any) -> Row:
    """A usage line of a holder's bill of a period; without an amount it is the exact one."""
    return {
        "customer_id": customer,
        "holder_no": 1,
        "line_no": 1,
        "document": "bill",
        "kind": "usage",
        "line_kind": None,
        "service": "voice",
        "rate_plan_id": "PLAN_A",
        "region": "R1",
        "tax_category": "S",
        "tax_pct": "20",
        "discount_pct": "5",
        "original_period": None,
        "events": 1,
        "units": "1",
        "exact_amount": exact,
        "amount": exact if amount is None else amount,
        "billing_period": period,
        **changed,
    }


def difference(customer: str, original_period: str, amount: str, **changed: Any) -> Row:
    """A row of adjustments that is billed: late usage unless something else is said."""
    return {
        "customer_id": customer,
        "holder_no": 1,
        "record_id": "r",
        "original_period": original_period,
        "side": "charged",
        "disposition": "billed",
        "reason": "late_usage",
        "outcome": "rated",
        "event_date": dt.date.fromisoformat(f"{original_period}-10"),
        "service": "voice",
        "product_code": "VOICE_NAT",
        "rate_plan_id": "PLAN_A",
        "region": "R1",
        "tax_category": "S",
        "tax_pct": "20",
        "discount_pct": "5",
        "events": 1,
        "units": "1",
        "amount": amount,
        **changed,
    }


def subscriber(customer: str, since: dt.date | None = None, until: dt.date | None = None) -> Row:
    """A version of a postpaid customer."""
    return {
        "customer_id": customer,
        "holder_no": 1,
        "region": "R1",
        "rate_plan_id": "PLAN_A",
        "subscription_type": "postpaid",
        "status": "active",
        "valid_from": since,
        "valid_to": until,
    }


@dataclass
class Corrected:
    """A warehouse in memory: the lines of the periods so far, on an engine."""

    engine: SparkEngine
    history: list[Row] = field(default_factory=list)
    customers: list[Row] = field(default_factory=list)
    terms: BillingTerms = TERMS
    how: Placing = "on_invoice"

    def lines(self, period: str, differences: Sequence[Row], own: Sequence[Row] = ()) -> list[Row]:
        """The lines of a period that corrects the ones before it. They are not kept."""
        contract = bill_lines(self.terms.scale)
        before = contract_frame(self.engine, contract, self.history)
        rows = contract_frame(self.engine, ADJUSTMENTS, [{**row, "billing_period": period} for row in differences])
        corrects = adjustment_lines(rows, before, period, self.terms.scale)
        known = contract_frame(self.engine, CUSTOMERS, self.customers)
        frame = contract_frame(self.engine, contract, own)
        return rows_of(placed(frame, corrects, before, known, period, self.terms.scale, self.how))

    def documents(self, period: str, lines: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        """The bills, and the documents of corrections, of lines of a period."""
        scale = self.terms.scale
        before, frame = (contract_frame(self.engine, bill_lines(scale), rows) for rows in (self.history, lines))
        bills = bill(frame, contract_frame(self.engine, CUSTOMERS, self.customers), period, self.terms, before)
        return rows_of(bills), rows_of(correction_documents(frame, before, period, self.terms.currency, scale))

    def closes(self, lines: Sequence[Row]) -> None:
        """The period is closed: its lines are what later ones correct."""
        self.history += lines
