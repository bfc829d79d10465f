-- The six reports of the month.
--
-- Variables: month. The view charges, and the table facturation_complete.

CREATE TABLE daily_revenue AS
SELECT event_date AS billing_date, sum(amount)::DECIMAL(28,6) AS revenue, getvariable('month') AS billing_period
FROM charges GROUP BY event_date;

CREATE TABLE mix_by_region AS
SELECT region, record_type, sum(amount)::DECIMAL(28,6) AS revenue, getvariable('month') AS billing_period
FROM charges GROUP BY region, record_type;

CREATE TABLE revenue_by_plan AS
SELECT rate_plan_id, sum(amount_due)::DECIMAL(28,2) AS revenue_incl_tax, billing_period
FROM facturation_complete GROUP BY rate_plan_id, billing_period;

CREATE TABLE plan_by_region AS
SELECT region, rate_plan_id, sum(amount_due)::DECIMAL(28,2) AS revenue_incl_tax, billing_period
FROM facturation_complete GROUP BY region, rate_plan_id, billing_period;

CREATE TABLE top10_consumers AS
WITH volumes AS (
    SELECT customer_id, sum(billable_units)::DECIMAL(24,6) AS total_mb
    FROM charges WHERE record_type = 'data' GROUP BY customer_id
    ORDER BY total_mb DESC, customer_id LIMIT 10
)
SELECT customer_id, total_mb, amount_due, billing_period FROM volumes JOIN facturation_complete USING (customer_id);

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
