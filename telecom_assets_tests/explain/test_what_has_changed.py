"""What an explanation says of a draft, or of a customer, that is not any more as it was: figures by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from resources.engine import SparkEngine
from resources.warehouse import Partitions
from telecom_assets.cli.show_explained import print_record
from telecom_assets.cli.show_explained_bill import print_bill
from telecom_assets.explain.bills import explain_bill
from telecom_assets.explain.reading import ExplainError
from telecom_assets.explain.records import explain_record
from telecom_assets.explain.usage import explain_usage
from telecom_assets.intake.tables import RAW_CDRS
from telecom_assets.mediation.tables import REJECTED_CDRS
from telecom_assets_tests.closed_periods.project import Project
from telecom_assets_tests.closed_periods.system import House, MonthTerms, Price, Usage, Version
from telecom_assets_tests.stages.chain import contract_table

pytestmark = pytest.mark.thorough

JANUARY, FEBRUARY = "2026-01", "2026-02"
NUMBER = "212600000001"


@pytest.fixture
def project(sail: SparkEngine, tmp_path: Path) -> Project:
    """January is drafted with one message at 1.004."""
    project = Project(House({JANUARY: MonthTerms(), FEBRUARY: MonthTerms()}), tmp_path, sail)
    project.set_customer(NUMBER, [Version()])
    for plan in ("PLAN_A", "PLAN_B"):
        project.set_price(plan, "sms", [Price(Decimal("1.004"))])
    project.receive(Usage("one", NUMBER, date(2026, 1, 5), "sms", 1))
    project.run(JANUARY)
    return project


def test_a_draft_that_is_older_than_its_charges_says_so(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The draft has 1.004 on its line; since another message is rated, there are 2.008."""
    (event,) = explain_record(project.warehouse, "one").events
    assert event.on_bill is not None
    assert not event.on_bill.outdated
    rated = project.warehouse.pin("rated_cdrs").arrow()
    day = date(2026, 1, 7)
    other = rated.set_column(0, rated.schema.field(0), pa.array(["new"]))
    number = rated.column_names.index("event_date")
    other = other.set_column(number, rated.schema.field(number), pa.array([day]))
    project.warehouse.overwrite_arrow("rated_cdrs", other, Partitions(day, day))
    (event,) = explain_record(project.warehouse, "new").events
    assert event.on_bill is not None
    assert event.on_bill.outdated
    found = explain_bill(project.warehouse, NUMBER, JANUARY)
    (line,) = found.documents[0].lines
    assert (line.row["exact_amount"], line.exact_sum) == (Decimal("1.004"), Decimal("2.008"))
    print_record(explain_record(project.warehouse, "new"))
    print_bill(found)
    printed = " ".join(capsys.readouterr().out.split())
    assert "rated after this draft" in printed
    assert "add up to 2.008000, not to 1.004000" in printed


def test_the_customer_is_told_as_he_was_charged(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Corrected to PLAN_B after January was closed: its charge was by PLAN_A."""
    project.approve(JANUARY)
    project.close(JANUARY)
    project.set_customer(NUMBER, [Version(plan="PLAN_B", region="R2")])
    project.run(FEBRUARY)
    found = explain_record(project.warehouse, "one")
    (event,) = found.events
    assert event.customer is not None
    assert event.customer_now is not None
    assert (event.customer["rate_plan_id"], event.customer_now["rate_plan_id"]) == ("PLAN_A", "PLAN_B")
    assert event.on_bill is not None
    assert not event.on_bill.outdated
    print_record(found)
    printed = capsys.readouterr().out
    assert "PLAN_A, R1" in printed
    assert "rate_plan_id: PLAN_B, region: R2" in printed


def test_events_of_a_day_read_their_customer_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2, 5):
        project.receive(Usage(f"more {number}", NUMBER, date(2026, 1, 5), "sms", number))
    project.run(JANUARY)
    pinned: list[str] = []
    pin = project.warehouse.pin

    def counting(name: str, *args: object, **named: object) -> object:
        pinned.append(name)
        return pin(name, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(project.warehouse, "pin", counting)
    assert len(explain_usage(project.warehouse, NUMBER, "2026-01-05")) == 4
    assert (pinned.count("customers"), pinned.count("rate_plans"), pinned.count("product_catalog")) == (1, 1, 1)


def test_a_malformed_message_is_found_by_its_place(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no record id, so its topic, partition and offset name it."""
    day = date(2026, 1, 5)
    message = {
        "source_id": "a topic",
        "source_part": 2,
        "source_position": 7,
        "received_at": datetime(2026, 1, 5, 12, tzinfo=UTC),
        "event_date": day,
    }
    landed = {**message, "kafka_topic": "cdr_topic", "value": b"{oh", "admission_error": "malformed_json"}
    within = Partitions(day, day)
    project.warehouse.overwrite_arrow(RAW_CDRS.name, contract_table(RAW_CDRS, [landed]), within)
    rejected = {**message, "reason": "malformed_json"}
    project.warehouse.overwrite_arrow(REJECTED_CDRS.name, contract_table(REJECTED_CDRS, [rejected]), within)
    found = explain_record(project.warehouse, "cdr_topic/2/7")
    assert [(each.text, each.outcome, each.reason) for each in found.messages] == [
        ("{oh", "rejected", "malformed_json")
    ]
    assert found.events == ()
    print_record(found)
    assert "costs nothing" in capsys.readouterr().out
    with pytest.raises(ExplainError, match="^record 'cdr_topic/2/8': no landed message"):
        explain_record(project.warehouse, "cdr_topic/2/8")
