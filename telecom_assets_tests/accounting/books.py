"""Two closed months with their documents, and usage of a third: what the worked journals of docs/accounting.md are about.

Belongs here: making them, by the project's own steps. Does not belong here: figures that a test expects.
"""

import datetime as dt
from decimal import Decimal
from itertools import count
from pathlib import Path

from resources.engine import SparkEngine
from resources.warehouse import Warehouse
from telecom_assets.closing.issuing import issue_documents
from telecom_assets.home.settings import Settings
from telecom_assets.periods.closed_with import ClosedWith
from telecom_assets.periods.guard import may_write
from telecom_assets.periods.journal import change_state, changed_now, read_periods
from telecom_assets_tests.closed_periods.project import Project
from telecom_assets_tests.closed_periods.system import House, MonthTerms, Price, Service, Usage, Version

JANUARY, FEBRUARY, MARCH = "2026-01", "2026-02", "2026-03"
C, D, E, F = (f"21260000000{number}" for number in (1, 2, 3, 4))
UNKNOWN = "212600000009"


def close(project: Project, folder: Path, month: str, today: dt.date) -> None:
    """Close an approved month with its documents, issued on a day."""
    warehouse = project.warehouse
    approved = read_periods(warehouse).last(month)
    assert approved is not None and approved.closed_with is not None
    for state in ("closing", "closed"):
        change = changed_now(
            month, state, way="bills", issue_date=today, digest=approved.digest, closed_with=approved.closed_with
        )
        if state == "closed":
            with may_write(month):
                issue_documents(
                    warehouse,
                    Settings.load(home=folder / "home", invoice_formats="xml"),
                    month,
                    today,
                    ClosedWith.read(approved.closed_with),
                    approved_at=approved.changed_at,
                    other_usage=False,
                    at_phase=lambda _: None,
                    progress=lambda *_: None,
                )
        change_state(warehouse, lambda _, change=change: change)  # type: ignore[misc]


def two_months(folder: Path, engine: SparkEngine) -> Warehouse:
    """January at 10 % tax, closed on 3 February; February at 20 %, closed on 3 March; both at 5 % discount.

    A message costs 1.004. C writes two in January, D and E one; C has 3 MB at 2; F has 4 MB, which have no price yet. Then one message
    more of C and 0.1 MB of E come late for January, D was never to pay, F's data cost 1.5, and E is charged 2.00 by hand. In February C
    writes one message, and somebody unknown; in March C writes one on the 2nd and one on the 5th.
    """
    terms = {JANUARY: MonthTerms(Decimal(5), Decimal(10)), FEBRUARY: MonthTerms(Decimal(5), Decimal(20))}
    project = Project(House(terms, threshold=Decimal("0.5")), folder / "warehouse", engine)
    for customer in (C, D, E, F):
        project.set_customer(customer, [Version(plan="PLAN_B" if customer == F else "PLAN_A")])
    project.set_price("PLAN_A", "sms", [Price(Decimal("1.004"))])
    project.set_price("PLAN_A", "data", [Price(Decimal(2))])
    project.set_price("PLAN_B", "sms", [Price(Decimal(1))])

    numbers = count()

    def used(day: str, customer: str, megabytes: str | None = None) -> None:
        number = next(numbers)
        volume = Decimal(megabytes) if megabytes else None
        service: Service = "data" if megabytes else "sms"
        project.receive(Usage(f"r{number}", customer, dt.date.fromisoformat(day), service, number, volume))

    for day, customer in (("2026-01-05", C), ("2026-01-06", C), ("2026-01-05", D), ("2026-01-05", E)):
        used(day, customer)
    used("2026-01-07", C, "3")
    used("2026-01-07", F, "4")
    project.run(JANUARY)
    project.approve(JANUARY)
    close(project, folder, JANUARY, dt.date(2026, 2, 3))
    used("2026-01-20", C)
    used("2026-01-20", E, "0.1")
    used("2026-02-10", C)
    used("2026-02-11", UNKNOWN)
    project.set_customer(D, [Version(postpaid=False)])
    project.set_price("PLAN_B", "data", [Price(Decimal("1.5"))])
    project.add_line((E, 1), JANUARY, Decimal(2), Decimal(10), own_document=True)
    project.run(FEBRUARY)
    project.approve(FEBRUARY)
    close(project, folder, FEBRUARY, dt.date(2026, 3, 3))
    used("2026-03-02", C)
    used("2026-03-05", C)
    project.run(MARCH)
    return project.warehouse
