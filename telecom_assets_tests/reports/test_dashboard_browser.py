"""The dashboard in headless Chromium: it draws, asks for nothing, says what the tables say, fits a phone.

Uses the Chromium it finds. Without one these tests are skipped, but fail where CI=true: there it must be installed.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from telecom_assets.model.text import for_people, legible
from telecom_assets.reports.dashboard import render_dashboard, write_dashboard
from telecom_assets.reports.dashboard_panels import DashboardData
from telecom_assets.reports.trend import Counts
from telecom_assets.reports.trend_page import render_trend
from telecom_assets_tests.reports.months import FUNNEL, HOSTILE_TEXTS, empty_month, hostile_month, month

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESKTOP, PHONE = (1280, 800), (360, 740)
MONTHS = {"ordinary": month, "hostile": hostile_month, "empty": empty_month}
PANELS = ("daily-revenue", "plan-by-region", "top-consumers")


@dataclass
class Visit:
    """A page that was opened, what it asked for and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def rows(self, panel: str) -> list[list[str]]:
        """The machine-readable figures of a table, row by row."""
        found: list[list[str]] = self.page.eval_on_selector_all(
            f"table[data-panel='{panel}'] tbody tr",
            "rows => rows.map(row => [...row.querySelectorAll('[data-value]')].map(cell => cell.dataset.value))",
        )
        return found

    def foot(self, panel: str) -> list[str]:
        found: list[str] = self.page.eval_on_selector_all(
            f"table[data-panel='{panel}'] tfoot [data-value]", "cells => cells.map(cell => cell.dataset.value)"
        )
        return found

    def texts(self, panel: str) -> list[str]:
        """Every text that is drawn in a chart."""
        found: list[str] = self.page.eval_on_selector_all(
            f"#chart-{panel} svg text", "texts => texts.map(text => text.textContent)"
        )
        return found

    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        found: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        line = "no Chromium found (chromium, chromium-browser or google-chrome): the dashboard was not looked at"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(line)
        pytest.skip(line)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("dash boards")
    for name, make in MONTHS.items():
        write_dashboard(render_dashboard(make()), folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in MONTHS}


@pytest.fixture
def visit(browser: Browser, pages: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Visit]:
    name, (width, height) = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    seen = Visit(page)

    def dismissed(dialog: Dialog) -> None:
        seen.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("request", lambda sent: seen.requests.append(sent.url))
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    page.on("dialog", dismissed)
    page.goto(pages[name].as_uri())
    if name != "empty":
        page.wait_for_selector("body[data-charts]", timeout=60_000)
        assert page.evaluate("document.body.dataset.charts") == "drawn", seen.complaints
    yield seen
    page.close()


def on(*visits: tuple[str, tuple[int, int]]) -> pytest.MarkDecorator:
    names = [f"{name}-{width}" for name, (width, _) in visits]
    return pytest.mark.parametrize("visit", visits, ids=names, indirect=True)


@on(*((name, size) for name in MONTHS for size in (DESKTOP, PHONE)))
def test_the_page_draws_without_a_complaint_or_a_request_and_fits(visit: Visit) -> None:
    assert visit.complaints == []
    assert len(visit.requests) == 1 and visit.requests[0].startswith("file://")
    assert visit.overflow() <= 0
    visit.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    assert visit.overflow() <= 0


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_twelve_months_fit_and_show_the_day_that_is_out_of_line(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    """A year of equal days, and one on which half of the CDRs were rejected: no chart, table or script needs anything else."""
    width, height = size
    days = {date(2025, 7, 1) + timedelta(days=number): Counts(received=100, cleaned=100) for number in range(365)}
    days[date(2026, 5, 4)] = Counts(received=100, cleaned=50, rejected={"invalid_duration": 50})
    path = tmp_path / "year.html"
    write_dashboard(render_trend(days, "2026-06", "MAD", 3.5, dashboard="month.html"), path)
    write_dashboard(render_dashboard(month(), twelve_months="year.html"), tmp_path / "month.html")
    page = browser.new_page(viewport={"width": width, "height": height})
    seen = Visit(page)
    page.on("request", lambda sent: seen.requests.append(sent.url))
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.goto(path.as_uri())
    assert (seen.complaints, len(seen.requests), seen.overflow()) == ([], 1, 0)
    assert page.locator("#rejected_share svg rect").count() == 365
    far = page.locator("#rejected_share svg rect.far")
    assert far.all_text_contents() == ["Mon 2026-05-04: 50.0 %"]
    box = far.bounding_box()
    assert box is not None and box["height"] > 80
    cells = page.locator("table[data-panel='out-of-line'] tbody tr").first.locator("th, td").all_text_contents()
    assert cells[:5] == ["2026-05-04", "Mon", "Rejected CDRs, of the received", "50.0 %", "0.0 %"]
    page.click("#dashboard")
    page.wait_for_selector("body[data-charts='drawn']", timeout=60_000)
    assert (page.url, seen.overflow()) == ((tmp_path / "month.html").as_uri(), 0)
    page.click("#twelve-months")
    assert page.url == path.as_uri()
    page.close()


@on(("ordinary", DESKTOP), ("ordinary", PHONE))
def test_every_panel_is_drawn_with_every_mark_inside_its_card(visit: Visit) -> None:
    data = month()
    marks = {panel: visit.page.locator(f"#chart-{panel} svg [aria-roledescription='bar']").count() for panel in PANELS}
    assert marks == {
        "daily-revenue": len(data.daily_revenue),
        "plan-by-region": len(data.plan_by_region),
        "top-consumers": len(data.top10),
    }
    for panel in PANELS:
        card = visit.page.locator(f"#{panel}").bounding_box()
        drawing = visit.page.locator(f"#chart-{panel} svg").bounding_box()
        assert card is not None and drawing is not None
        assert drawing["width"] > 0.8 * card["width"]
        assert card["x"] <= drawing["x"] and drawing["x"] + drawing["width"] <= card["x"] + card["width"]


@on(("ordinary", PHONE))
def test_names_and_figures_in_a_chart_do_not_overlap_on_a_phone(visit: Visit) -> None:
    for panel in ("plan-by-region", "top-consumers"):
        boxes = visit.page.eval_on_selector_all(
            f"#chart-{panel} svg text",
            "texts => texts.map(text => { const box = text.getBoundingClientRect(); return [box.left, box.right]; })",
        )
        rows = len(boxes) // 2  # all names, then all figures
        assert rows >= 10
        assert all(name[1] < figure[0] for name, figure in zip(boxes[:rows], boxes[rows:], strict=True))


@on(("ordinary", DESKTOP))
def test_the_tables_hold_the_figures_they_were_given(visit: Visit) -> None:
    data: DashboardData = month()
    assert visit.rows("daily-revenue") == [[day.isoformat(), str(amount)] for day, amount in data.daily_revenue]
    assert visit.foot("daily-revenue")[-1] == str(sum(amount for _, amount in data.daily_revenue))
    assert visit.rows("plan-by-region") == [[*key, str(amount)] for *key, amount in sorted(data.plan_by_region)]
    assert visit.foot("plan-by-region")[-1] == str(sum(amount for _, _, amount in data.plan_by_region))
    assert visit.rows("top-consumers") == [[customer, str(mb), str(due)] for customer, mb, due in data.top10]


@on(("ordinary", DESKTOP))
def test_the_funnel_holds_the_figures_it_was_given(visit: Visit) -> None:
    assert dict(visit.rows("rejected")) == {reason: str(count) for reason, count in FUNNEL.rejected.items()}
    not_rated = {**FUNNEL.suspended, **FUNNEL.excluded}
    assert dict(visit.rows("not-rated")) == {reason: str(count) for reason, count in not_rated.items()}
    assert dict(visit.rows("money")) == {
        "rated_amount": "45129.321928",
        "rounding_difference": "-0.001928",
        "amount_before_tax": "45129.32",
        "discount": "2256.47",
        "after_discount": "42872.85",
        "tax": "8574.57",
        "amount_due": "51447.42",
    }
    stages = visit.page.eval_on_selector_all(
        "[data-stage]", "all => all.map(one => [one.dataset.stage, one.dataset.value])"
    )
    assert stages == [["received", "200000"], ["cleaned", "152321"], ["rated", "147020"], ["billed", "4312"]]
    lost = visit.page.eval_on_selector_all(
        "[data-lost]", "all => all.map(one => [one.dataset.lost, one.dataset.value])"
    )
    assert lost == [["duplicate", "1988"], ["invalid", "45691"], ["suspended", "589"], ["excluded", "4712"]]


@on(("ordinary", DESKTOP))
def test_the_charts_say_what_the_tables_say(visit: Visit) -> None:
    data = month()
    totals: dict[str, Decimal] = {}
    for region, _, amount in data.plan_by_region:
        totals[region] = totals.get(region, Decimal(0)) + amount
    drawn = visit.texts("plan-by-region")
    for region, amount in totals.items():
        assert region in drawn
        assert f"{for_people(amount, 2)} MAD" in drawn
    drawn = visit.texts("top-consumers")
    for place, (customer, _, due) in enumerate(data.top10, start=1):
        assert f"{place}.  {customer}" in drawn
        assert any(text.endswith(f"{for_people(due, 2)} MAD") for text in drawn)
    heights = visit.page.eval_on_selector_all(
        "#chart-daily-revenue svg [aria-roledescription='bar']",
        "bars => bars.map(bar => bar.getBoundingClientRect()).sort((a, b) => a.left - b.left).map(box => box.height)",
    )
    ratios = [height / float(amount) for height, (_, amount) in zip(heights, data.daily_revenue, strict=True)]
    assert max(ratios) < 1.02 * min(ratios)


@on(("hostile", DESKTOP))
def test_text_from_data_is_shown_and_never_run(visit: Visit) -> None:
    assert visit.page.evaluate("window.owned") is None
    assert visit.page.locator("img").count() == 0
    regions = {row[0] for row in visit.rows("plan-by-region")}
    assert regions == {legible(text) for text in HOSTILE_TEXTS}
    visit.page.locator("#chart-plan-by-region svg [aria-roledescription='bar']").first.hover()
    visit.page.wait_for_selector("#vg-tooltip-element.visible")
    assert visit.page.locator("#vg-tooltip-element img, #vg-tooltip-element script").count() == 0
    assert visit.complaints == []


@on(("empty", DESKTOP))
def test_an_empty_month_has_no_drawing_and_says_so(visit: Visit) -> None:
    assert visit.page.locator("svg, canvas").count() == 0
    assert visit.page.get_by_text("No usage was rated in June 2025.").is_visible()
