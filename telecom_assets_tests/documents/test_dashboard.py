"""The dashboard as text: figures, escaping, size, no address of a network, the same text for the same data."""

import dataclasses
import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import html

from telecom_assets.documents.dashboard import render_dashboard, write_dashboard
from telecom_assets.documents.dashboard_panels import cells_for_chart, plan_colours
from telecom_assets.documents.text import for_people
from telecom_assets_tests.documents.months import FUNNEL, HOSTILE_TEXTS, empty_month, hostile_month, month


@pytest.fixture(scope="module")
def page() -> str:
    return render_dashboard(month())


def specs_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="chart-specs">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


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
        "cleaned = rated + suspended + excluded: 152321 and 5302" in tree.xpath("//*[@role='alert']")[0].text_content()
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
