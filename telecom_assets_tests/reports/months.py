"""A month's figures for the tests of the dashboard: an ordinary one, a hostile one, an empty one."""

import datetime as dt
from decimal import Decimal

from telecom_assets.model.calendar import ZONE
from telecom_assets.reports.dashboard_panels import DashboardData
from telecom_assets.reports.funnel import Funnel, MadeFrom, Malformed

D = Decimal

FUNNEL = Funnel(
    received=200_000,
    cleaned=152_321,
    rejected={
        "missing_duration": 11_204,
        "non_positive_duration": 10_233,
        "missing_timestamp": 9_876,
        "outside_acceptance_window": 9_321,
        "missing_subscriber": 3_122,
        "invalid_subscriber": 1_935,
        "duplicate": 1_973,
        "duplicate_conflict": 15,
    },
    rated=147_020,
    suspended={"unknown_customer": 512, "no_price": 77},
    excluded={"prepaid_customer": 3_901, "inactive_customer": 811},
    rated_amount=D("45129.321928"),
    billed_customers=4_312,
    amount_before_tax=D("45129.32"),
    discount=D("2256.47"),
    tax=D("8574.57"),
    amount_due=D("51447.42"),
    rounding_difference=D("-0.001928"),
)

REGIONS = (
    "Casablanca-Settat",
    "Rabat-Salé-Kénitra",
    "Marrakech-Safi",
    "Fès-Meknès",
    "Tanger-Tétouan-Al Hoceïma",
    "Souss-Massa",
    "Béni Mellal-Khénifra",
    "L'Oriental",
    "Drâa-Tafilalet",
    "Guelmim-Oued Noun",
    "Laâyoune-Sakia El Hamra",
    "Dakhla-Oued Ed Dahab",
)


#: From bills of 4 June 2025, 09:00:05 in Casablanca, and tables that were last written two seconds later.
MADE_FROM = MadeFrom(
    bills_version=7,
    bills_made=dt.datetime(2025, 6, 4, 9, 0, 5, tzinfo=ZONE),
    tables_as_of=dt.datetime(2025, 6, 4, 9, 0, 7, tzinfo=ZONE),
)
MALFORMED = Malformed(first=dt.date(2025, 4, 30), last=dt.date(2025, 8, 1), messages=12, on_its_days=5)


def month(regions: tuple[str, ...] = REGIONS, plans: tuple[str, ...] = ("PLAN_A", "PLAN_B", "PLAN_C")) -> DashboardData:
    """May 2025, with a day without usage. The first figure of a panel makes its sum that of the funnel."""
    days = [(dt.date(2025, 5, day), D(1_200_000_001 + day * 7_654_321).scaleb(-6)) for day in range(1, 32) if day != 9]
    cells = [
        (region, plan, D(90_000 - place * 4_321 + turn * 1_111).scaleb(-2))
        for place, region in enumerate(regions)
        for turn, plan in enumerate(plans)
    ]
    days[0] = (days[0][0], FUNNEL.rated_amount - sum(revenue for _, revenue in days[1:]))
    cells[0] = (*cells[0][:2], FUNNEL.amount_due - sum(amount for *_, amount in cells[1:]))
    return DashboardData(
        period="2025-05",
        currency="MAD",
        funnel=FUNNEL,
        daily_revenue=days,
        plan_by_region=cells,
        top10=[
            (f"2126{number:08d}", D(39_000_123_456 - number * 3_000_000_001).scaleb(-6), D(45_634 + number).scaleb(-2))
            for number in range(10)
        ],
        made_from=MADE_FROM,
        malformed=MALFORMED,
        looked_at=("offsets landed = offsets consumed", "every day of the month is mediated"),
    )


HOSTILE_TEXTS = (
    "</script><script>window.owned=1</script>",
    '<img src=x onerror="window.owned=1">',
    "<!--<script>",
    "\"'><svg/onload=window.owned=1>",
    "{{ 7*7 }}{% raw %}${7*7}",
    "javascript:window.owned=1",
    "مراكش \u202eآسفي",
    "a\x00b\u2028c\u2029d&amp;",
)


def hostile_month() -> DashboardData:
    """May 2025 where every text is an attack on the page."""
    plain = month(HOSTILE_TEXTS, (HOSTILE_TEXTS[0], HOSTILE_TEXTS[1]))
    return DashboardData(
        period=plain.period,
        currency=plain.currency,
        funnel=Funnel(
            **{
                **vars(FUNNEL),
                "rejected": dict.fromkeys(HOSTILE_TEXTS, 5),
                "suspended": dict.fromkeys(HOSTILE_TEXTS, 3),
                "excluded": {},
            }
        ),
        daily_revenue=plain.daily_revenue,
        plan_by_region=plain.plan_by_region,
        top10=[(text, D(100 - place), D(1)) for place, text in enumerate(HOSTILE_TEXTS)],
    )


def empty_month() -> DashboardData:
    """June 2025, in which nothing happened."""
    zero = D("0.00")
    return DashboardData("2025-06", "MAD", Funnel(0, 0, 0, zero, 0, zero, zero, zero, zero, zero))
