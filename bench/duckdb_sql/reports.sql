-- The six reports of the month.
--
-- Variables: month, scale. The view charges, and the tables bill_lines, due_by_rate and facturation_complete. Macros: billed(amount),
-- billed_sum(amount), smallest(): the smallest unit of the currency.

CREATE TABLE daily_revenue AS
SELECT event_date AS billing_date, sum(amount)::DECIMAL(28,6) AS revenue, getvariable('month') AS billing_period
FROM charges GROUP BY event_date;

CREATE TABLE mix_by_region AS
SELECT region, record_type, sum(amount)::DECIMAL(28,6) AS revenue, getvariable('month') AS billing_period
FROM charges GROUP BY region, record_type;

-- What is due at a tax rate, shared out to its lines: each line with its discount and tax, rounded; the remainder one smallest unit at
-- a time, the largest line first, and round again. No line of a bill without one: its own home counts with nothing.
CREATE TABLE due_by_home AS
WITH parts AS (
    SELECT l.customer_id, holder_no, document, tax_category, tax_pct, region, rate_plan_id, due,
        billed(l.amount::DECIMAL(20,4) * ((100 - discount_pct) * (100 + tax_pct))::DECIMAL(13,8) * 0.0001::DECIMAL(4,4)) AS part,
        row_number() OVER (
            PARTITION BY l.customer_id, holder_no, document, tax_category, tax_pct ORDER BY abs(l.amount) DESC, line_no
        ) AS place
    FROM bill_lines l JOIN due_by_rate USING (customer_id, holder_no, document, tax_category, tax_pct)
), remainders AS (
    SELECT *, (due - sum(part) OVER of_rate) * 10 ** getvariable('scale') AS units, count(*) OVER of_rate AS lines
    FROM parts WINDOW of_rate AS (PARTITION BY customer_id, holder_no, document, tax_category, tax_pct)
), given AS (
    SELECT *, abs(round(units))::BIGINT AS left_units FROM remainders
)
SELECT region, rate_plan_id,
    part + sign(units)::INTEGER * (left_units // lines + (place <= left_units % lines)::INTEGER) * smallest() AS due
FROM given
UNION ALL SELECT region, rate_plan_id, 0 FROM facturation_complete;

CREATE TABLE revenue_by_plan AS
SELECT rate_plan_id, billed_sum(sum(due)) AS revenue_incl_tax, getvariable('month') AS billing_period
FROM due_by_home GROUP BY rate_plan_id;

CREATE TABLE plan_by_region AS
SELECT region, rate_plan_id, billed_sum(sum(due)) AS revenue_incl_tax, getvariable('month') AS billing_period
FROM due_by_home GROUP BY region, rate_plan_id;

CREATE TABLE top10_consumers AS
WITH volumes AS (
    SELECT customer_id, sum(billable_units)::DECIMAL(24,6) AS total_mb
    FROM charges WHERE record_type = 'data' GROUP BY customer_id
    ORDER BY total_mb DESC, customer_id LIMIT 10
)
SELECT customer_id, total_mb, billed(sum(amount_due)) AS amount_due, getvariable('month') AS billing_period
FROM volumes JOIN facturation_complete USING (customer_id) GROUP BY customer_id, total_mb;

-- Clocks change at full hours, so that hours of UTC are added up first and their local hour is asked for once each.
-- Two hours of UTC can be one local hour: rounding comes after both.
CREATE TABLE traffic_hourly AS
WITH hours AS (
    SELECT event_date, epoch_us(event_ts) // 3600000000 AS utc_hour, sum(billable_units) AS mb
    FROM charges WHERE record_type = 'data' GROUP BY ALL
), local_hours AS (
    SELECT event_date AS billing_date,
        hour(timezone('Africa/Casablanca', make_timestamptz(utc_hour * 3600000000)))::INTEGER AS "hour", sum(mb) AS mb
    FROM hours GROUP BY ALL
)
SELECT billing_date, "hour",
    round(mb::DECIMAL(24,6) * 0.0009765625::DECIMAL(10,10), 6)::DECIMAL(24,6) AS total_gb,
    getvariable('month') AS billing_period
FROM local_hours;
