"""Two homes on one warehouse and one topic, what was sent to it, and what must be there in the end.

Belongs here: sending messages and remembering them, starting a home's work, the last judgement. Does not belong here: what
goes wrong meanwhile (`kinds`).
"""

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg

from telecom_assets.generator import GeneratorSpec, generate_cdr_chunks
from telecom_assets_tests import oracle
from telecom_assets_tests.faults import work
from telecom_assets_tests.faults.conftest import Shared, counted_by_a_stranger
from telecom_assets_tests.faults.processes import Running
from telecom_assets_tests.graph.project import DATA, MONTH
from telecom_assets_tests.strategies import HOSTILE_CORPUS

HOMES = (1, 2)
PARTS = 3
#: Months that records belong to. MONTH is billed in the end; the others lie within and beyond the reach of a copy.
MONTHS = (MONTH, "2025-05", "2025-03")
_HOSTILE = [value for value in HOSTILE_CORPUS if value is None or len(value) < 10_000]


def _pool() -> list[bytes | None]:
    """CDRs of a few days of each month; a record of one month comes in another one too, as a copy or as another record."""
    spec = GeneratorSpec(cdrs=4_000, customers=60, month=MONTH, seed=7)
    lines = [line.encode() for chunk in generate_cdr_chunks(spec) for line in chunk.to_pylist()]
    days = [f'"timestamp": "{MONTH}-{day:02}'.encode() for day in (1, 2, 3)]
    mine = [line for line in lines if any(day in line for day in days)][:600]
    edge = f'"timestamp": "{MONTH}-01'.encode()
    before = [line.replace(edge, b'"timestamp": "2025-05-31') for line in mine if edge in line][:60]
    long_ago = [line.replace(edge, b'"timestamp": "2025-03-31') for line in mine if edge in line][40:80]
    timeless = [line for line in lines if b'"timestamp": null' in line][:40]
    return [*mine, *before, *long_ago, *timeless, *_HOSTILE]


@dataclass
class Town:
    """The state of the story. `rng` decides everything that is decided by chance."""

    shared: Shared
    dsn: str
    rng: random.Random
    #: Every message that the broker has acknowledged: bytes and the broker's time, by part and position.
    sent: dict[tuple[int, int], tuple[bytes | None, dt.datetime]] = field(default_factory=dict)
    #: Seconds that a landing took which nobody disturbed: within this the moments of faults are drawn.
    usual: float = 1.0
    #: Calls of the warehouse that it made.
    steps: int = 30
    #: What has befallen the homes, and how often.
    befell: Counter[str] = field(default_factory=Counter)
    #: What the homes do, and how often it is that.
    tasks: Mapping[str, int] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    log: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pool = _pool()

    # -- what happens ------------------------------------------------------------------------------------------------

    def send(self, count: int) -> None:
        """Send messages to parts as it happens; some were sent before. Returns when the broker has them."""

        def remember(error: Any, message: Any) -> None:
            assert error is None, error
            at = dt.datetime.fromtimestamp(message.timestamp()[1] / 1000, dt.UTC)
            self.sent[message.partition(), message.offset()] = (message.value(), at)

        kafka = self.shared.kafka
        producer = kafka.producer(on_delivery=remember)
        for _ in range(count):
            producer.produce(kafka.topic, self.rng.choice(self._pool), partition=self.rng.randrange(PARTS))
        assert producer.flush(60) == 0

    def home(self, number: int) -> dict[str, Any]:
        return self.shared.home(number, postgres_dsn=self.dsn)

    def begin(self, task: str, number: int, **options: Any) -> Running:
        """Begin some work in a home: `land`, `maintain`, `mediate`, `month`, or `open` another month."""
        self.note(f"{task} in home {number}")
        given = self.home(number)
        if task == "land":
            return Running(work.landed, given, chunk_rows=self.rng.choice((7, 25, 1_000_000)), **options)
        if task == "open":
            month = self.rng.choice(MONTHS)
            self.opened.add(month)
            return Running(work.month_opened, given, month, **options)
        if task == "month":
            return Running(work.month_run, given, MONTH, **options)
        others: dict[str, Callable[..., Any]] = {"maintain": work.maintained, "mediate": work.mediated}
        return Running(others[task], given, **options)

    def happened(self, what: str) -> None:
        """Something did befall a home: it was at work."""
        self.befell[what] += 1
        self.note(what)

    def note(self, text: str) -> None:
        """What is told of the round."""
        self.log[-1].append(text)

    # -- what must be there in the end ---------------------------------------------------------------------------------

    def assert_nothing_lost_or_doubled(self) -> None:
        """Positions and bytes of raw_cdrs are those that the broker acknowledged, each once."""
        rows = self.shared.rows("raw_cdrs")
        found = {(row["source_part"], row["source_position"]): row["value"] for row in rows}
        lost, strange = sorted(set(self.sent) - set(found)), sorted(set(found) - set(self.sent))
        assert (len(lost), len(rows) - len(found), strange) == (0, 0, []), (
            f"{len(lost)} lost: {lost[:5]}, {len(rows) - len(found)} doubled, never sent: {strange[:5]}"
        )
        assert found == {place: value for place, (value, _) in self.sent.items()}
        assert counted_by_a_stranger(self.shared.table("raw_cdrs")) == (len(self.sent), len(self.sent))

    def expected(self, customers: Iterable[Mapping[str, Any]]) -> oracle.Result:
        """What the oracle makes of what was sent."""
        messages = [
            oracle.Message(part, offset, at, value, self.shared.kafka.topic_id())
            for (part, offset), (value, at) in sorted(self.sent.items())
        ]
        plans, catalogue = (oracle.read_csv(DATA / f"{name}.csv") for name in ("rate_plans", "product_catalog"))
        parameters = oracle.Parameters(accept_months=frozenset(self.opened))
        return oracle.run(messages, [dict(each) for each in customers], plans, catalogue, parameters)

    def assert_books(self, books: Mapping[str, Any]) -> None:
        """Outcomes, money and what is published are the oracle's, and the funnel of the month balances."""
        with psycopg.connect(self.dsn) as session:
            columns = ("customer_id", "subscription_type", "rate_plan_id", "status", "region")
            rows = session.execute(f"SELECT {', '.join(columns)} FROM customers").fetchall()
            published = session.execute("SELECT customer_id, amount_due FROM facturation_complete").fetchall()
        expected = self.expected(dict(zip(columns, row, strict=True)) for row in rows)
        for name, outcomes in (("cleaned_cdrs", expected.cleaned), ("rejected_cdrs", expected.rejected)):
            found, wanted = _outcomes(self.shared.rows(name)), _outcomes(outcomes)
            surplus, missing = (
                [row for row in one if row not in other] for one, other in ((found, wanted), (wanted, found))
            )
            assert found == wanted, f"{name}, {len(found)} of {len(wanted)}: {surplus[:3]} instead of {missing[:3]}"
        bills = expected.bills(MONTH)
        due = {row["customer_id"]: row["amount_due"] for row in bills}
        assert dict(published) == due
        stored = [row for row in self.shared.rows("facturation_complete") if row["billing_period"] == MONTH]
        assert {row["customer_id"]: row["amount_due"] for row in stored} == due
        funnel = expected.funnel(MONTH)
        assert (books["imbalances"], books["received"], books["cleaned"]) == ([], funnel.received, funnel.cleaned)
        assert (books["rejected"], books["rated"]) == (funnel.rejected, funnel.rated)
        assert (books["deferred"], books["imputed"]) == (funnel.deferred, funnel.imputed)
        assert Decimal(books["imputed_amount"]) == funnel.imputed_amount
        assert Decimal(books["rated_amount"]) == funnel.rated_amount > 0
        assert Decimal(books["amount_due"]) == funnel.amount_due == sum(due.values()) > 0


def _outcomes(rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """What became of each message: its place, its day, and its reason or the figures that money is made of."""
    names = ("source_part", "source_position", "event_date", "record_id", "reason", "duration_sec", "data_volume_mb")
    return sorted((tuple(row.get(name) for name in names) for row in rows), key=lambda row: row[:2])
