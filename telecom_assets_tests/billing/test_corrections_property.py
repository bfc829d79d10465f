"""Any series of corrections, on the embedded engine: what is billed in the end is the right bill, and no bill is below zero.

Belongs here: the property, with a model of its own. Worked scenarios are in `test_adjustment_lines` and `test_write_off`.
"""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.engine import SparkEngine
from telecom_assets.billing.tables import bill_lines
from telecom_assets.billing.write_off import disposed
from telecom_assets.corrections.tables import ADJUSTMENTS
from telecom_assets_tests import oracle
from telecom_assets_tests.billing.corrected import Corrected, difference, line, subscriber
from telecom_assets_tests.examples import examples
from telecom_assets_tests.oracle import Row
from telecom_assets_tests.stages.chain import contract_frame, rows_of

MARCH, LATER = "2026-03", ("2026-04", "2026-05", "2026-06")
KEYS = (("voice", "PLAN_A"), ("voice", "PLAN_B"), ("data", "PLAN_A"))

EXACT = st.one_of(st.just(0), st.integers(0, 30_000), st.integers(0, 6_000_000)).map(
    lambda millionths: Decimal(millionths) / 10**6
)
RIGHT = st.tuples(*(EXACT for _ in KEYS))
PERCENTS = st.sampled_from([Decimal(each) for each in ("0", "2.4375", "5", "20", "100")])
#: Discount, tax, whether he is subscribed, March as billed, and for each later month: March as is right, and the month's own usage.
HOLDERS = st.tuples(PERCENTS, PERCENTS, st.booleans(), RIGHT, st.lists(st.tuples(RIGHT, EXACT), min_size=3, max_size=3))


def owed(amounts: tuple[Decimal, ...], discount: Decimal, tax: Decimal) -> Decimal:
    """The amount due of a bill with a line for each exact amount."""
    lines: list[Row] = [
        {"tax_category": "S", "tax_pct": tax, "discount_pct": discount, "amount": oracle.half_up(each, 2)}
        for each in amounts
    ]
    [(off, taxes)] = oracle.rate_totals(lines, 2).values()
    return sum((each["amount"] for each in lines), Decimal(0)) - off + taxes


@pytest.mark.thorough
@settings(
    max_examples=examples(3), derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    holders=st.lists(HOLDERS, min_size=5, max_size=25),
    how=st.sampled_from(["on_invoice", "separate"]),
    threshold=st.sampled_from([Decimal(0), Decimal("0.05"), Decimal(2)]),
)
def test_what_is_billed_in_the_end_is_the_right_bill(
    sail: SparkEngine, holders: list[Any], how: Any, threshold: Decimal
) -> None:
    """Model: a month is billed as it was right last, unless the step to there is too little to be asked for."""
    names = [f"c{place:02d}" for place in range(len(holders))]
    terms = {
        name: {"discount_pct": str(each[0]), "tax_pct": str(each[1])} for name, each in zip(names, holders, strict=True)
    }
    first = [
        line(
            name,
            MARCH,
            str(exact),
            str(oracle.half_up(exact, 2)),
            service=service,
            rate_plan_id=plan,
            line_no=no,
            **terms[name],
        )
        for name, each in zip(names, holders, strict=True)
        for no, ((service, plan), exact) in enumerate(zip(KEYS, each[3], strict=True), 1)
    ]
    known = [subscriber(name) for name, each in zip(names, holders, strict=True) if each[2]]
    months = Corrected(sail, first, known, how=how)
    billed = {name: each[3] for name, each in zip(names, holders, strict=True)}
    right, kept = dict(billed), list[Row]()
    paid: defaultdict[str, Decimal] = defaultdict(Decimal)
    for place, period in enumerate(LATER):
        found = []
        own = []
        for name, (discount, tax, _, _, steps) in zip(names, holders, strict=True):
            now, usage = steps[place]
            own.append(line(name, period, str(usage), str(oracle.half_up(usage, 2)), **terms[name]))
            found += [
                difference(
                    name,
                    MARCH,
                    str(new - old),
                    record_id=f"{service} {plan}",
                    service=service,
                    rate_plan_id=plan,
                    **terms[name],
                )
                for (service, plan), new, old in zip(KEYS, now, right[name], strict=True)
                if new != old
            ]
            step = owed(now, discount, tax) - owed(billed[name], discount, tax)
            if now != right[name] and not 0 < step < threshold:
                billed[name] = now
            right[name] = now
            paid[name] -= owed((usage,), discount, tax)
        contract = bill_lines(2)
        rows = disposed(
            contract_frame(sail, ADJUSTMENTS, [{**row, "billing_period": period} for row in found]),
            contract_frame(sail, ADJUSTMENTS, [row for row in kept if row["disposition"] == "written_off"]),
            contract_frame(sail, contract, months.history),
            period,
            threshold,
            2,
        )
        corrects = rows_of(rows)
        keys = [tuple(row[name] for name in ADJUSTMENTS.key) for row in corrects]
        assert len(set(keys)) == len(keys)
        kept += corrects
        lines = months.lines(period, corrects, own)
        bills, documents = months.documents(period, lines)
        assert all(row["amount_due"] >= 0 and row["amount_before_tax"] >= row["discount"] for row in bills)
        for row in (*bills, *documents):
            paid[row["customer_id"]] += row["amount_due"]
        months.closes(lines)
        expected = {
            name: owed(billed[name], discount, tax) - owed(each, discount, tax)
            for name, (discount, tax, _, each, _) in zip(names, holders, strict=True)
        }
        assert {name: paid[name] for name in names} == expected
        # All that is settled, written off or not, is what is right.
        settled: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in kept:
            settled[row["customer_id"]] += row["amount"]
        assert {name: sum(each[3], Decimal(0)) + settled[name] for name, each in zip(names, holders, strict=True)} == {
            name: sum(right[name], Decimal(0)) for name in names
        }
