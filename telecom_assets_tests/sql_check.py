"""The same sums once more, in SQL on DuckDB: a third computation beside the engines and the oracle.

Belongs here: one compact chain of queries from CDRs to amounts due, which shares no code with `oracle` nor with the
project, for JSON Lines files and messages that look like CDRs (the generator's, the sample's).

Does not belong here: hostile input. DuckDB's JSON reader takes NaN, rewrites the text of numbers (1.50 becomes 1.5) and
keeps the first of duplicate keys; those cases are the oracle's.

By hand, for the sample::

    python -m telecom_assets_tests.sql_check cdr.jsonl customers.csv rate_plans.csv product_catalog.csv 2025-05 \\
        --received-at 2026-11-23T12:00:00Z --accept-month 2025-05
"""

import argparse
import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

_REFERENCE_COLUMNS = {
    "customers": ("customer_id", "subscription_type", "rate_plan_id", "status", "region"),
    "rate_plans": ("rate_plan_id", "product_code", "unit_price", "free_units", "tier_threshold", "tier_price"),
    "catalogue": ("product_code", "service_type"),
}

_READ = r"""
-- Brackets of a text, its strings left out; eight pairs in each other inside the message's own, and one more is too many.
CREATE MACRO brackets(t) AS regexp_replace(regexp_replace(t, '"([^"\\]|\\.)*"', '', 'g'), '[^\[\]{}]', '', 'g');
CREATE MACRO peeled(t) AS regexp_replace(t, '\[\]|\{\}', '', 'g');
CREATE MACRO is_deep(t) AS
    peeled(peeled(peeled(peeled(peeled(peeled(peeled(peeled(peeled(brackets(t)))))))))) <> '';
CREATE MACRO unless_nested(j, name) AS
    CASE WHEN json_type(j, name) NOT IN ('ARRAY', 'OBJECT') THEN nullif(j->>name, '') END;
CREATE TABLE fields AS
WITH texts AS (
    SELECT *, coalesce(json_valid(value) AND json_type(value) = 'OBJECT' AND NOT is_deep(value), false) AS is_object FROM raw
), extracted AS (
    SELECT source_part, source_position, received_at, is_object,
           timezone('Africa/Casablanca', received_at)::DATE AS receipt_day,
           CASE WHEN is_object THEN value END AS j
    FROM texts
)
SELECT * EXCLUDE j,
       unless_nested(j, '$.record_ID') AS record_id, nullif(j->>'$.record_type', '') AS record_type,
       nullif(j->>'$.timestamp', '') AS ts, unless_nested(j, '$.cell_id') AS cell_id,
       unless_nested(j, '$.technology') AS technology, nullif(j->>'$.product_code', '') AS product_code,
       CASE record_type WHEN 'voice' THEN nullif(j->>'$.caller_id', '') WHEN 'sms' THEN nullif(j->>'$.sender_id', '')
                        WHEN 'data' THEN nullif(j->>'$.user_id', '') END AS subscriber,
       CASE record_type WHEN 'voice' THEN unless_nested(j, '$.callee_id')
                        WHEN 'sms' THEN unless_nested(j, '$.receiver_id') END AS other_party,
       CASE record_type WHEN 'voice' THEN nullif(j->>'$.duration_sec', '')
                        WHEN 'data' THEN nullif(j->>'$.data_volume_mb', '') END AS quantity,
       CASE record_type WHEN 'data' THEN unless_nested(j, '$.session_duration_sec') END AS session
FROM extracted
"""

# A clock that jumps does so within a day in Morocco, so a time without an offset keeps the date it is written with.
_JUDGE = r"""
CREATE MACRO is_number(t) AS regexp_full_match(t, '-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?');
-- A number's text without its exponent, which moves the point; what is far beyond any quantity, or next to nothing, is
-- told from a DOUBLE.
CREATE MACRO minus(t) AS CASE WHEN t LIKE '-%' THEN '-' ELSE '' END;
CREATE MACRO mantissa(t) AS ltrim(split_part(lower(t), 'e', 1), '-');
CREATE MACRO point(t) AS (length(split_part(mantissa(t), '.', 1)) + split_part(lower(t), 'e', 2)::INT)::INT;
CREATE MACRO moved(digits, point) AS CASE WHEN point > 0
    THEN rpad(digits, point, '0') || '.' || digits[point + 1:] || '0' ELSE '0.' || repeat('0', -point) || digits END;
CREATE MACRO magnitude(t) AS CASE WHEN NOT regexp_matches(mantissa(t), '[1-9]') THEN 0
    ELSE coalesce(abs(try_cast(t AS DOUBLE)), 1e300) END;
CREATE MACRO plain(t) AS CASE WHEN NOT regexp_matches(t, '[eE]') THEN t
    WHEN magnitude(t) >= 1e12 THEN minus(t) || '100000000000'
    WHEN magnitude(t) < 1e-12 THEN minus(t) || '0.' || repeat('0', 12) || replace(mantissa(t), '.', '')
    ELSE minus(t) || moved(replace(mantissa(t), '.', ''), point(t)) END;
-- Half up in one step, away from zero; a text that does not fit is beyond any quantity.
CREATE MACRO millionths(t) AS CASE WHEN is_number(t) THEN
    coalesce(try_cast(plain(t) AS DECIMAL(18,6)), (minus(t) || '100000000000')::DECIMAL(18,6)) END;
CREATE MACRO thousandths(t) AS CASE WHEN abs(millionths(t)) < 100000000000 THEN try_cast(plain(t) AS DECIMAL(18,3))
    ELSE millionths(t)::DECIMAL(18,3) END;
CREATE MACRO is_less_than_nothing(t) AS t LIKE '-%' AND regexp_matches(mantissa(t), '[1-9]');
CREATE MACRO is_too_much(t) AS millionths(t) > 10000000
    OR millionths(t) = 10000000 AND regexp_full_match(plain(t), '0*10000000\.0*[1-9].*');
CREATE MACRO bare(t) AS regexp_replace(t, '[ \t\x{a0}\x{202f}().-]', '', 'g');
CREATE MACRO number(t) AS CASE WHEN regexp_full_match(bare(t), '[5-8][0-9]{8}') THEN '212' || bare(t)
    ELSE regexp_replace(regexp_replace(bare(t), '^([+]|00)', ''), '^0([0-9]{9})$', '212\1') END;
CREATE MACRO is_subscriber(n) AS regexp_full_match(n,
    '212[67][0-9]{8}|(1|44|39|7|81)[0-9]{10}|(33|34|971|966)[0-9]{9}|49[0-9]{11}');
CREATE MACRO is_abroad(n) AS coalesce(regexp_full_match(n, '[1-9][0-9]*') AND list_contains(getvariable('abroad'), CASE
    WHEN n[1] IN ('1', '7') THEN n[1] WHEN list_contains(getvariable('abroad'), n[:2]) THEN n[:2] ELSE n[:3] END || '+' || CASE
    WHEN n[1] IN ('1', '7') THEN length(n) - 1 WHEN list_contains(getvariable('abroad'), n[:2]) THEN length(n) - 2
    ELSE length(n) - 3 END), false);
-- A time of day in the extended format with capital letters, a point and seconds, if it is one in another form.
CREATE MACRO with_capitals(t) AS translate(t, 'tz,', 'TZ.');
CREATE MACRO with_colons(t) AS CASE WHEN
    regexp_full_match(t, '[0-9]{8}T[0-9]{4}([0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}([0-9]{2})?)?')
    THEN regexp_replace(regexp_replace(t, '^(....)(..)(..)T(..)(..)', '\1-\2-\3T\4:\5'), '^(.{16})([0-9]{2})', '\1:\2') ELSE t END;
CREATE MACRO spelt_out(t) AS regexp_replace(with_colons(with_capitals(t)), '^(.{16})($|[Z+-])', '\1:00\2');
CREATE TABLE judged AS
WITH clocks AS (
    SELECT *, spelt_out(ts) AS told, CASE WHEN regexp_full_match(told,
        '[0-9]{4}-[0-9]{2}-[0-9]{2}T(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?|24:00:00(\.0+)?)'
        || '(Z|[+-](0[0-9]|1[0-7])(:?[0-5][0-9])?|[+-]18(:?00)?)?') THEN try_cast(replace(told[:19], 'T24', 'T00') AS TIMESTAMP)
            + CASE WHEN contains(told, 'T24') THEN INTERVAL 1 DAY ELSE INTERVAL 0 DAY END END AS wall,
        nullif(regexp_extract(told, '(Z|[+-][0-9]{2}:?([0-9]{2})?)$', 1), '') AS shift
    FROM fields
), days AS (
    SELECT * EXCLUDE (told, wall, shift), CASE WHEN shift IS NULL THEN wall::DATE
        ELSE timezone('Africa/Casablanca', timezone('UTC', wall - CASE WHEN shift = 'Z' THEN INTERVAL 0 MINUTE ELSE
            to_minutes((shift[1] || '1')::INT * (60 * shift[2:3]::INT + coalesce(nullif(right(shift, -3)
                .replace(':', ''), ''), '0')::INT)) END))::DATE END AS told_day
    FROM clocks
), homes AS (
    SELECT *, told_day <= receipt_day + 1 AND (told_day >= receipt_day - $max_age_days
              OR list_contains($accept_months, strftime(told_day, '%Y-%m'))) AS is_home,
        CASE WHEN is_home THEN told_day ELSE receipt_day END AS home_day,
        CASE record_type WHEN 'voice' THEN thousandths(quantity)::DECIMAL(18,6) ELSE millionths(quantity) END AS q,
        number(subscriber) AS payer,
        CASE WHEN record_type = 'data' THEN product_code
             ELSE upper(record_type) || CASE WHEN is_abroad(number(other_party)) THEN '_INT' ELSE '_NAT' END END AS product
    FROM days
)
SELECT *, CASE
    WHEN NOT is_object THEN 'malformed_json'
    WHEN record_id IS NULL THEN 'missing_record_id'
    WHEN record_type IS NULL THEN 'missing_record_type'
    WHEN record_type NOT IN ('voice', 'sms', 'data') THEN 'unknown_record_type'
    WHEN ts IS NULL THEN 'missing_timestamp'
    WHEN told_day IS NULL THEN 'invalid_timestamp'
    WHEN NOT is_home THEN 'outside_acceptance_window'
    WHEN subscriber IS NULL THEN 'missing_subscriber'
    WHEN NOT is_subscriber(payer) THEN 'invalid_subscriber'
    WHEN record_type = 'voice' AND quantity IS NULL THEN 'missing_duration'
    WHEN record_type = 'voice' AND q IS NULL THEN 'invalid_duration'
    WHEN record_type = 'voice' AND q <= 0 THEN 'non_positive_duration'
    WHEN record_type = 'data' AND quantity IS NOT NULL AND (q IS NULL OR is_less_than_nothing(quantity))
        THEN 'invalid_volume'
    WHEN record_type = 'voice' AND q > 10000000 THEN 'quantity_out_of_range'
    WHEN record_type = 'data' AND is_too_much(quantity) THEN 'quantity_out_of_range'
    WHEN NOT EXISTS (FROM catalogue c WHERE c.product_code = product AND c.service_type = record_type)
        THEN 'unknown_product' END AS reason
FROM homes
"""

_DEDUPE = """
CREATE TABLE mediated AS
WITH valid AS (
    SELECT *, row(received_at, source_part, source_position) AS place,
        [record_type, ts, cell_id, technology, subscriber, other_party, quantity, session,
         CASE record_type WHEN 'data' THEN product_code END] AS words
    FROM judged WHERE reason IS NULL
), verdicts AS (
    SELECT late.source_part, late.source_position,
        CASE WHEN arg_min(early.words, early.place) = any_value(late.words)
             THEN 'duplicate' ELSE 'duplicate_conflict' END AS verdict
    FROM valid late JOIN valid early
      ON early.record_id = late.record_id AND early.place < late.place
     AND abs(date_diff('day', early.home_day, late.home_day)) <= $dedupe_days
    GROUP BY ALL
)
SELECT j.* REPLACE (coalesce(j.reason, v.verdict, 'cleaned') AS reason), strftime(home_day, '%Y-%m') AS month
FROM judged j LEFT JOIN verdicts v USING (source_part, source_position)
"""

_RATE = """
UPDATE customers SET customer_id = number(customer_id) WHERE regexp_full_match(number(customer_id), '[0-9]+');
CREATE TABLE priced AS
WITH usage AS (
    SELECT *, CASE record_type
        WHEN 'sms' THEN 1::DECIMAL(18,6)
        WHEN 'voice' THEN (((q * 1000)::BIGINT + 59999) // 60000)::DECIMAL(18,6)
        ELSE q END AS mb
    FROM mediated WHERE reason = 'cleaned'
), imputed AS (
    SELECT *, CASE $policy WHEN 'suspend' THEN mb WHEN 'zero' THEN coalesce(mb, 0) ELSE coalesce(mb,
        min(mb) FILTER (record_type = 'data') OVER (PARTITION BY month, payer), 0) END::DECIMAL(18,6) AS units
    FROM usage
)
SELECT u.record_id, u.month, u.record_type, u.home_day, c.customer_id, c.region, u.units,
    round(greatest(least(u.units, coalesce(p.threshold, u.units)) - p.free, 0)::DECIMAL(28,6) * p.unit
        + coalesce(greatest(u.units - p.threshold, 0)::DECIMAL(28,6) * p.tier, 0), 6)::DECIMAL(28,6) AS amount, CASE
    WHEN c.customer_id IS NULL THEN 'unknown_customer'
    WHEN c.subscription_type <> 'postpaid' THEN 'prepaid_customer'
    WHEN c.status <> 'active' THEN 'inactive_customer'
    WHEN c.rate_plan_id NOT IN (SELECT rate_plan_id FROM rate_plans) THEN 'unknown_plan'
    WHEN p.product_code IS NULL THEN 'no_price'
    WHEN u.units IS NULL THEN 'missing_volume'
    WHEN amount >= 1000000000000 THEN 'amount_out_of_range'
    WHEN u.mb IS NULL AND $policy = 'customer_min' THEN 'imputed' ELSE 'rated' END AS reason
FROM imputed u
LEFT JOIN customers c ON c.customer_id = u.payer
LEFT JOIN (
    SELECT rate_plan_id, product_code, unit_price::DECIMAL(12,6) AS unit, free_units::DECIMAL(18,6) AS free,
           nullif(tier_threshold, '')::DECIMAL(18,6) AS threshold, nullif(tier_price, '')::DECIMAL(12,6) AS tier
    FROM rate_plans) p ON p.rate_plan_id = c.rate_plan_id AND p.product_code = u.product
"""

_BILL = """
WITH lines AS (
    SELECT c.customer_id,
        round(coalesce(sum(amount) FILTER (record_type = 'voice'), 0), 2)
        + round(coalesce(sum(amount) FILTER (record_type = 'sms'), 0), 2)
        + round(coalesce(sum(amount) FILTER (record_type = 'data'), 0), 2) AS before_tax
    FROM customers c LEFT JOIN priced p ON p.customer_id = c.customer_id AND p.reason IN ('rated', 'imputed') AND p.month = $month
    WHERE c.subscription_type = 'postpaid' AND c.status = 'active' GROUP BY ALL
), discounted AS (
    SELECT customer_id, before_tax::DECIMAL(18,2) AS before_tax,
           (before_tax - round(before_tax::DECIMAL(28,2) * $discount_pct::DECIMAL(7,4) * 0.01::DECIMAL(3,2), 2)
           )::DECIMAL(18,2) AS net FROM lines
)
SELECT customer_id, before_tax, (net + round(net::DECIMAL(28,2) * $tax_pct::DECIMAL(7,4) * 0.01::DECIMAL(3,2), 2))::DECIMAL(18,2)
FROM discounted ORDER BY customer_id
"""


class _Message(Protocol):
    """What is read of a message; `oracle.Message` is one."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def received_at(self) -> datetime: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True)
class SqlTotals:
    """What SQL makes of a file: outcomes of every record by home month, and the rating and bills of one month."""

    month: str
    #: Records by (home month, 'cleaned' or the reason of rejection).
    outcomes: dict[tuple[str, str], int]
    #: Cleaned records of the month by 'rated', 'imputed' (deferred by its day, priced by the month) or the reason of suspension.
    rating: dict[str, int]
    #: Exact sum of the charged amounts of the month, for every customer with charged usage.
    rated_by_customer: dict[str, Decimal]
    #: Amounts of the month for every active postpaid customer.
    before_tax_by_customer: dict[str, Decimal]
    amount_due_by_customer: dict[str, Decimal]
    #: Charged amounts of the month by day and by (region, record_type).
    revenue_by_day: dict[Any, Decimal]
    revenue_by_region_and_type: dict[tuple[str, str], Decimal]

    def outcomes_of_month(self) -> dict[str, int]:
        return {outcome: count for (month, outcome), count in self.outcomes.items() if month == self.month}

    @property
    def rated_amount(self) -> Decimal:
        return sum(self.rated_by_customer.values(), Decimal(0))

    @property
    def amount_due(self) -> Decimal:
        return sum(self.amount_due_by_customer.values(), Decimal(0))


def _abroad() -> list[str]:
    """Calling codes, and each with its possible counts of digits, 32+9; codes of no country and Morocco's left out."""
    found = []
    for code, (region, *_) in COUNTRY_CODE_TO_REGION_CODE.items():
        if region not in {"001", "MA"}:
            lengths = PhoneMetadata.metadata_for_region(region).general_desc.possible_length
            found += [str(code), *(f"{code}+{length}" for length in lengths)]
    return found


def _reference_table(name: str, source: Path | Iterable[Mapping[str, Any]]) -> pa.Table:
    """The columns that are needed of a CSV file or of rows, as texts; None becomes ''."""
    if isinstance(source, Path):
        with source.open(newline="", encoding="utf-8") as lines:
            rows: list[Mapping[str, Any]] = list(csv.DictReader(lines))
    else:
        rows = list(source)
    texts = {
        column: ["" if row.get(column) is None else str(row[column]) for row in rows]
        for column in _REFERENCE_COLUMNS[name]
    }
    return pa.table({column: pa.array(values, pa.string()) for column, values in texts.items()})


def _raw_table(source: Path | Iterable[_Message], received_at: datetime | None) -> pa.Table:
    if isinstance(source, Path):
        if received_at is None:
            raise ValueError(f"{source} does not say when its records were received: give received_at")
        lines = source.read_text(encoding="utf-8").splitlines()
        places = [(0, offset, received_at) for offset in range(len(lines))]
        values: list[str | None] = list(lines)
    else:
        messages = list(source)
        places = [(message.partition, message.offset, message.received_at) for message in messages]
        values = [None if message.value is None else message.value.decode("utf-8") for message in messages]
    return pa.table(
        {
            "source_part": pa.array([place[0] for place in places], pa.int32()),
            "source_position": pa.array([place[1] for place in places], pa.int64()),
            "received_at": pa.array([place[2] for place in places], pa.timestamp("us", tz="UTC")),
            "value": pa.array(values, pa.string()),
        }
    )


def sql_totals(
    source: Path | Iterable[_Message],
    customers: Path | Iterable[Mapping[str, Any]],
    rate_plans: Path | Iterable[Mapping[str, Any]],
    catalogue: Path | Iterable[Mapping[str, Any]],
    month: str,
    *,
    received_at: datetime | None = None,
    max_age_days: int = 62,
    dedupe_days: int = 31,
    accept_months: Iterable[str] = (),
    missing_volume_policy: str = "customer_min",
    discount_pct: Decimal | int = 5,
    tax_pct: Decimal | int = 20,
) -> SqlTotals:
    """Counts and money of one month from CDRs (a JSON Lines file, or messages whose values are UTF-8 or None).

    A file's records get partition 0, offsets from 0 in its order, and all the same `received_at`.
    """
    references = {"customers": customers, "rate_plans": rate_plans, "catalogue": catalogue}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("raw", _raw_table(source, received_at))
        for name, reference in references.items():
            connection.register(f"given_{name}", _reference_table(name, reference))
            connection.execute(f"CREATE TABLE {name} AS FROM given_{name}")
        connection.execute(_READ)
        connection.execute("SET VARIABLE abroad = CAST(? AS VARCHAR[])", [_abroad()])
        connection.execute(_JUDGE, {"max_age_days": max_age_days, "accept_months": list(accept_months)})
        connection.execute(_DEDUPE, {"dedupe_days": dedupe_days})
        connection.execute(_RATE, {"policy": missing_volume_policy})

        def grouped(table: str, keys: str, value: str, where: str) -> dict[Any, Any]:
            query = f"SELECT {keys}, {value} FROM {table} WHERE {where} GROUP BY ALL ORDER BY ALL"
            rows = connection.execute(query, {"month": month} if "$month" in where else None).fetchall()
            return {row[0] if len(row) == 2 else row[:-1]: row[-1] for row in rows}

        rated = "reason IN ('rated', 'imputed') AND month = $month"
        percents = {"month": month, "discount_pct": discount_pct, "tax_pct": tax_pct}
        bills = connection.execute(_BILL, percents).fetchall()
        return SqlTotals(
            month=month,
            outcomes=grouped("mediated", "month, reason", "count(*)", "true"),
            rating=grouped("priced", "reason", "count(*)", "month = $month"),
            rated_by_customer=grouped("priced", "customer_id", "sum(amount)", rated),
            before_tax_by_customer={customer: before_tax for customer, before_tax, _ in bills},
            amount_due_by_customer={customer: due for customer, _, due in bills},
            revenue_by_day=grouped("priced", "home_day", "sum(amount)", rated),
            revenue_by_region_and_type=grouped("priced", "region, record_type", "sum(amount)", rated),
        )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Totals of one month of a JSON Lines file of CDRs, by SQL.")
    for name in ("cdrs", "customers", "rate_plans", "catalogue"):
        parser.add_argument(name, type=Path)
    parser.add_argument("month")
    parser.add_argument("--received-at", type=datetime.fromisoformat, required=True)
    parser.add_argument("--accept-month", action="append", default=[])
    given = parser.parse_args()
    totals = sql_totals(
        given.cdrs,
        given.customers,
        given.rate_plans,
        given.catalogue,
        given.month,
        received_at=given.received_at,
        accept_months=given.accept_month,
    )
    for (month, outcome), count in totals.outcomes.items():
        print(f"{month}  {outcome:28} {count:>9}")
    for outcome, count in totals.rating.items():
        print(f"{totals.month}  {outcome:28} {count:>9}")
    print(f"{totals.month}  rated amount {totals.rated_amount}, bills {len(totals.amount_due_by_customer)}")
    print(f"{totals.month}  before tax {sum(totals.before_tax_by_customer.values())}, due {totals.amount_due}")


if __name__ == "__main__":
    _main()
