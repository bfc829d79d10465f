"""What is done to months that close, and what is asked of them: the steps that the model and the project both know.

Belongs here: the values of a step, and the protocol `System`. Does not belong here: what should come out (`model`), in which order
steps come (`machine`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal, Protocol

#: Who is billed: number of the customer, and which holder of it.
Holder = tuple[str, int]
#: A document: who is billed, the period it is of, and its name: "bill", the original period of a separate one, or "manual-<n>".
Document = tuple[Holder, str, str]
Service = Literal["sms", "data"]

BILL = "bill"


class Refused(Exception):
    """A step that the state of its period does not allow; nothing has changed."""


@dataclass(frozen=True)
class Usage:
    """A record as it arrived: a message, or a session of so many megabytes (None: not known).

    Of the records with one id the one that was received first counts; `received` says when, and no two are alike in it.
    """

    record_id: str
    customer_id: str
    day: date
    service: Service
    received: int
    megabytes: Decimal | None = None


@dataclass(frozen=True)
class Version:
    """How a customer is on some days; None is without bound."""

    plan: str = "PLAN_A"
    region: str = "R1"
    holder_no: int = 1
    postpaid: bool = True
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True)
class Price:
    """What one unit costs on some days; None is without bound."""

    unit_price: Decimal
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True)
class MonthTerms:
    """Discount and tax of a month, percent."""

    discount_pct: Decimal = Decimal(0)
    tax_pct: Decimal = Decimal(20)


@dataclass(frozen=True)
class House:
    """What is set once for a warehouse.

    terms: those of each month; `MonthTerms()` for any other. threshold: what is due below it is written off. separate: adjustments
    have documents of their own.
    """

    terms: Mapping[str, MonthTerms]
    decimals: int = 2
    threshold: Decimal = Decimal(0)
    separate: bool = False

    def of(self, month: str) -> MonthTerms:
        return self.terms.get(month, MonthTerms())


class System(Protocol):
    """Months of a warehouse. Each step raises `Refused` where the period's state does not allow it."""

    def receive(self, usage: Usage) -> None:
        """A record arrives, late or not, for the first time or again."""

    def set_customer(self, customer_id: str, versions: Sequence[Version]) -> None:
        """The customer was so all the time, whatever was known before."""

    def set_price(self, plan: str, service: Service, prices: Sequence[Price]) -> None:
        """The price of a service in a plan was so all the time."""

    def run(self, month: str, *, anew: bool = False) -> None:
        """Drafts of an open month; of the oldest one after every closed month also the adjustments.

        anew: they are made again where nothing has come since too.
        """

    def approve(self, month: str) -> None:
        """The drafts are frozen."""

    def withdraw(self, month: str) -> None:
        """An approved month is open again."""

    def close(self, month: str) -> None:
        """The approved drafts are out, for good."""

    def close_empty(self, month: str) -> None:
        """An open month is closed without bills: its frozen usage is none."""

    def add_line(
        self, holder: Holder, month: str, amount: Decimal, tax_pct: Decimal, *, own_document: bool = False
    ) -> None:
        """A manual line about a closed month in the oldest open one after it: a credit when it is below 0.

        It is on the bill, or on a document of its own: "manual-<n>", where n counts all manual lines.
        """

    def documents(self) -> Mapping[Document, Decimal]:
        """Amount due of every document, drafts too. One that comes to 0 may be missing."""

    def settled(self, month: str) -> Mapping[Holder, Decimal]:
        """What was charged for a closed month before discount and tax, exact: frozen usage, adjustments, written off ones too."""
