"""The dashboard as text: figures, escaping, size, no address of a network, the same text for the same data."""

import dataclasses
import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from telecom_assets.model.text import for_people
from telecom_assets.reports.dashboard import render_dashboard, write_dashboard
from telecom_assets.reports.dashboard_panels import cells_for_chart, plan_colours
from telecom_assets.reports.funnel import MadeFrom, Remedy
from telecom_assets_tests.reports.months import FUNNEL, HOSTILE_TEXTS, empty_month, hostile_month, month


@pytest.fixture(scope="module")
def page() -> str:
    return render_dashboard(month())


def specs_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="chart-specs">(.*?)</script>', page, re.DOTALL)
    specs: dict[str, Any] = json.loads(text)
    return specs


def test_the_page_is_small_and_asks_nothing_of_a_network(page: str) -> None:
    assert len(page.encode()) < 1_500_000
    tree = html.fromstring(page)
    addresses = [*tree.xpath("//@src"), *tree.xpath("//@href"), *tree.xpath("//@action")]
    assert addresses == ["data:,"]
    assert "@import" not in page and "url(" not in "".join(tree.xpath("//style/text()"))
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert "default-src 'none'" in policy
    script = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert re.fullmatch(r"script-src( 'sha256-[A-Za-z0-9+/]{43}=')+", script)


def test_the_same_data_give_the_same_page(page: str) -> None:
    shuffled = dataclasses.replace(
        month(), daily_revenue=month().daily_revenue[::-1], plan_by_region=month().plan_by_region
    )
    assert render_dashboard(shuffled) == page


def test_the_page_says_which_month_and_what_is_before_and_after_tax(page: str) -> None:
    text = " ".join(html.fromstring(page).text_content().split())
    assert "May 2025 Billing period 1–31 May 2025 · amounts in MAD" in text
    assert "Daily revenue before discount and tax" in text
    assert "Revenue by plan and region after discount, tax included" in text
    assert "51,447.42 MAD" in text
    assert "The books balance" in text


def test_an_empty_month_says_so_and_carries_no_script() -> None:
    page = render_dashboard(empty_month())
    text = " ".join(html.fromstring(page).text_content().split())
    for sentence in (
        "No usage was rated in June 2025.",
        "No customer was billed for June 2025.",
        "No customer used data in June 2025.",
        "No CDR was received for June 2025.",
    ):
        assert sentence in text
    assert "<script" not in page


def test_books_that_do_not_balance_are_the_first_thing_said() -> None:
    broken = dataclasses.replace(month(), funnel=dataclasses.replace(FUNNEL, rated=1))
    tree = html.fromstring(render_dashboard(broken))
    assert tree.get_element_by_id("balance").get("data-value") == "no"
    assert (
        "cleaned = rated + suspended + excluded + deferred: 152321 and 5302"
        in tree.xpath("//*[@role='alert']")[0].text_content()
    )


def test_the_page_says_when_and_from_which_bills_it_was_made(page: str) -> None:
    made = html.fromstring(page).get_element_by_id("made")
    assert " ".join(made.text_content().split()) == (
        "From the bills of 2025-06-04 09:00:05, version 7; tables as of 2025-06-04 09:00:07 (Africa/Casablanca)"
    )
    assert made.get("data-version") == "7"


def test_the_page_says_whether_its_bills_are_drafts_or_closed(page: str) -> None:
    """A month without bills has neither."""
    closed = render_dashboard(dataclasses.replace(month(), state="closed"))
    found = [html.fromstring(each).get_element_by_id("state").text_content() for each in (page, closed)]
    assert found == ["Draft bills", "Closed bills"]
    assert 'id="state"' not in render_dashboard(empty_month())


def test_a_commit_that_has_left_the_log_has_no_time() -> None:
    old = MadeFrom(bills_version=7, bills_made=None, tables_as_of=None)
    made = html.fromstring(render_dashboard(dataclasses.replace(month(), made_from=old))).get_element_by_id("made")
    assert " ".join(made.text_content().split()) == "From the bills of version 7"


def test_a_month_without_bills_is_said_to_have_none() -> None:
    made = html.fromstring(render_dashboard(empty_month())).get_element_by_id("made")
    assert made.text_content().strip() == "No bills of this month"


def test_what_was_looked_at_is_named(page: str) -> None:
    looked_at = html.fromstring(page).get_element_by_id("looked-at").text_content()
    for identity in (
        "received = cleaned + rejected",
        "amount due = amount before tax − discount + tax",
        "daily revenue = rated amount",
        "revenue by plan and region = amount due",
        "offsets landed = offsets consumed",
        "every day of the month is mediated",
    ):
        assert identity in looked_at


@pytest.mark.parametrize(
    ("change", "says"),
    [
        # The funnel of May 2025: 45,129.321928 rated, 51,447.42 due.
        ({"daily_revenue": [(dt.date(2025, 5, 2), Decimal("45129.321929"))]}, "daily revenue = rated amount"),
        ({"plan_by_region": [("Oriental", "PLAN_A", Decimal("51447.41"))]}, "revenue by plan and region = amount due"),
        ({"differences": ["raw = cleaned + rejected: does not hold: 2025-05-03"]}, "does not hold: 2025-05-03"),
    ],
)
def test_the_books_balance_only_when_all_that_is_shown_agrees(change: dict[str, Any], says: str) -> None:
    tree = html.fromstring(render_dashboard(dataclasses.replace(month(), **change)))
    assert tree.get_element_by_id("balance").get("data-value") == "no"
    assert says in tree.xpath("//*[@role='alert']")[0].text_content()
    assert "The books balance" not in tree.text_content()


def test_books_that_do_not_balance_say_what_to_run() -> None:
    remedy = Remedy(["1 day is stale (2025-05-03)"], "telecom run --month 2025-05")
    data = dataclasses.replace(month(), differences=["x"], remedy=remedy)
    alert = html.fromstring(render_dashboard(data)).xpath("//*[@role='alert']")[0]
    assert "1 day is stale (2025-05-03)" in alert.text_content()
    assert alert.xpath(".//code/text()") == ["telecom run --month 2025-05"]


def test_a_month_without_records_has_no_books_that_balance() -> None:
    tree = html.fromstring(render_dashboard(empty_month()))
    assert tree.get_element_by_id("balance").get("data-value") == "empty"
    assert tree.get_element_by_id("balance").text_content() == "No record in this month"
    text = tree.text_content()
    for claim in ("every record has an outcome", "Every cleaned CDR was rated", "Nothing was rejected"):
        assert claim not in text


def test_an_outcome_for_every_record_is_claimed_only_when_there_is_one() -> None:
    complete, broken = (
        " ".join(html.fromstring(render_dashboard(dataclasses.replace(month(), funnel=funnel))).text_content().split())
        for funnel in (FUNNEL, dataclasses.replace(FUNNEL, received=200_003, rated=147_016, suspended={}, excluded={}))
    )
    assert "every record has an outcome" in complete
    # 200,003 − 152,321 cleaned − 47,679 rejected = 3; 152,321 − 147,016 rated = 5,305.
    assert "5,308 records without an outcome" in broken
    assert "every record has an outcome" not in broken
    assert "Every cleaned CDR was rated" not in broken
    assert "5,305 cleaned CDRs have neither a price nor a reason." in broken


def test_nothing_is_claimed_of_invoices_or_weekends(page: str) -> None:
    """The page looks at neither the documents nor at what weekends brought."""
    assert "one invoice each" not in page
    assert "Weekends are lighter" not in page


def test_malformed_messages_of_the_time_are_counted(page: str) -> None:
    said = html.fromstring(page).get_element_by_id("malformed")
    assert (said.get("data-value"), said.get("data-on-its-days")) == ("12", "5")
    assert " ".join(said.text_content().split()) == (
        "12 malformed messages were received while May 2025 was open for its records (2025-04-30 to 2025-08-01), "
        "5 of them on its own days. Malformed messages have no readable time, and are at home on the day they were "
        "received."
    )


def test_no_text_becomes_markup() -> None:
    page = render_dashboard(hostile_month())
    ordinary = render_dashboard(month())
    assert page.count("<script") == ordinary.count("<script") == 3
    tree = html.fromstring(page)
    assert tree.xpath("//img | //*[local-name() = 'svg'] | //@onerror | //@onload") == []
    shown = tree.xpath("//table[@data-panel='plan-by-region']/tbody/tr/th/@data-value")
    assert set(shown) == {text.replace("\x00", "\ufffd") for text in HOSTILE_TEXTS}
    datasets = specs_of(page)["plan-by-region"]["datasets"].values()
    drawn = {row["region"] for rows in datasets for row in rows if "region" in row}
    assert drawn == {text.replace("\x00", "\ufffd") for text in HOSTILE_TEXTS}


def test_many_regions_and_plans_are_drawn_together_and_listed_apart() -> None:
    regions = tuple(f"Region {number:03d}" for number in range(40))
    plans = tuple(f"PLAN_{number:02d}" for number in range(12))
    data = month(regions, plans)
    colours = plan_colours(data.plan_by_region)
    cells = cells_for_chart(data.plan_by_region, colours)
    assert "5 other plans" in colours and len(colours) == 8
    assert len({region for region, _, _ in cells}) == 16
    assert "25 other regions" in {region for region, _, _ in cells}
    assert sum(amount for _, _, amount in cells) == sum(amount for _, _, amount in data.plan_by_region)
    page = render_dashboard(data)
    assert len(html.fromstring(page).xpath("//table[@data-panel='plan-by-region']/tbody/tr")) == 480
    assert len(page.encode()) < 1_500_000


def test_a_day_of_another_month_is_refused() -> None:
    stray = dataclasses.replace(month(), daily_revenue=[(dt.date(2025, 6, 1), Decimal(1))])
    with pytest.raises(ValueError, match="2025-06-01 on the dashboard of 2025-05"):
        render_dashboard(stray)


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "out" / "dashboard.html"
    write_dashboard("<p>é</p>", path)
    assert path.read_bytes() == "<p>é</p>".encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "value, digits, shown",
    [
        ("1234567.005", 2, "1,234,567.01"),
        ("-0.004", 2, "0.00"),
        ("-1234.5", 0, "−1,235"),
        ("0", 2, "0.00"),
        ("1E+3", 1, "1,000.0"),
        ("0.0000005", 6, "0.000001"),
    ],
)
def test_numbers_for_people(value: str, digits: int, shown: str) -> None:
    assert for_people(Decimal(value), digits) == shown
