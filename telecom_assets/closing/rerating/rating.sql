-- Rating: every cleaned event of the month gets its price, or the first reason why it has none. A data session without a
-- volume is deferred to the month (`billing.sql`).
--
-- Variables: month, month_first, month_last, missing_volume_policy. Tables: customers, rate_plans, product_catalog, and the
-- view cleaned_cdrs. Customers have the numbers of their calls. Where there are other record types than voice, sms and data, the
-- table other_types says how each is charged, and cleaned_cdrs has what is measured of their events as other_quantity.

CREATE TABLE IF NOT EXISTS other_types (record_type VARCHAR, is_measured BOOLEAN, started INTEGER, is_imputed BOOLEAN);
CREATE VIEW measured_cdrs AS
FROM cleaned_cdrs UNION ALL BY NAME SELECT NULL::DECIMAL(18,6) AS other_quantity WHERE false;

-- All that is to be known of a subscriber on a day in one row, so that an event is joined once: from begins up to and without ends.
-- From the end of the last holder on the number is over; before the first and between two there is no row.
CREATE TABLE subscribers AS
SELECT c.customer_id, holder_no, valid_from AS customer_valid_from, subscription_type, status, region, c.rate_plan_id,
       c.rate_plan_id IN (SELECT rate_plan_id FROM rate_plans) AS plan_is_known,
       coalesce(valid_from, '-infinity'::DATE) AS begins, coalesce(valid_to, 'infinity'::DATE) AS ends, false AS is_over
FROM customers c
UNION ALL BY NAME
SELECT customer_id, max(valid_to) AS begins, 'infinity'::DATE AS ends, true AS is_over
FROM customers GROUP BY customer_id HAVING count(*) = count(valid_to);

-- A price holds on the days on which both its row of the plan and its row of the catalogue are in force: from first_day up to and
-- without end_day.
CREATE TABLE prices AS
SELECT r.rate_plan_id, r.product_code, unit_price, free_units, tier_price,
       tier_threshold, rate_type = 'tiered' AND tier_threshold IS NOT NULL AS is_tiered,
       r.valid_from AS plan_valid_from, c.valid_from AS product_valid_from,
       greatest(coalesce(r.valid_from, '-infinity'::DATE), coalesce(c.valid_from, '-infinity'::DATE)) AS first_day,
       least(coalesce(r.valid_to, 'infinity'::DATE), coalesce(c.valid_to, 'infinity'::DATE)) AS end_day
FROM rate_plans r JOIN product_catalog c USING (product_code)
WHERE first_day < end_day;

-- What is subtracted fits DECIMAL(18,6); a product has twelve places until it is rounded, and more digits than DuckDB gives one of
-- two short factors.
CREATE MACRO cost_of(units, free_units, unit_price, is_tiered, tier_threshold, tier_price) AS round(CASE
    WHEN is_tiered THEN
        greatest((least(units, tier_threshold) - free_units)::DECIMAL(18,6), 0::DECIMAL(18,6))::DECIMAL(28,6) * unit_price
        + greatest((units - tier_threshold)::DECIMAL(18,6), 0::DECIMAL(18,6))::DECIMAL(28,6) * tier_price
    ELSE greatest((units - free_units)::DECIMAL(18,6), 0::DECIMAL(18,6))::DECIMAL(28,6) * unit_price
    END, 6)::DECIMAL(28,6);

CREATE TABLE priced AS
WITH joined AS (
    SELECT e.*, s.rate_plan_id, s.region, s.holder_no, s.customer_valid_from, p.* EXCLUDE (rate_plan_id, product_code, first_day, end_day),
        CASE e.record_type WHEN 'data' THEN e.data_volume_mb IS NULL
            ELSE coalesce(o.is_imputed AND e.other_quantity IS NULL, false) END AS missing,
        CASE e.record_type
            WHEN 'voice' THEN (((e.duration_sec * 1000)::BIGINT + 59999) // 60000)::DECIMAL(18,6)
            WHEN 'sms' THEN 1::DECIMAL(18,6)
            WHEN 'data' THEN e.data_volume_mb
            ELSE CASE WHEN NOT o.is_measured THEN 1
                      WHEN o.started IS NULL THEN e.other_quantity
                      ELSE ((e.other_quantity * 1000000)::HUGEINT + o.started::HUGEINT * 1000000 - 1) // (o.started::HUGEINT * 1000000)
                      END::DECIMAL(18,6)
            END AS measured,
        coalesce(measured, CASE getvariable('missing_volume_policy') WHEN 'zero' THEN 0 END)::DECIMAL(18,6) AS units,
        CASE WHEN s.customer_id IS NULL THEN 'unknown_customer'
             WHEN s.is_over THEN 'inactive_customer'
             WHEN s.subscription_type <> 'postpaid' THEN 'prepaid_customer'
             WHEN s.status <> 'active' THEN 'inactive_customer'
             WHEN NOT s.plan_is_known THEN 'unknown_plan'
             WHEN p.unit_price IS NULL THEN 'no_price'
             WHEN units IS NULL THEN 'missing_volume' END AS reason
    FROM measured_cdrs e
    LEFT JOIN other_types o ON o.record_type = e.record_type
    LEFT JOIN subscribers s ON s.customer_id = e.subscriber_id AND e.event_date >= s.begins AND e.event_date < s.ends
    LEFT JOIN prices p ON p.rate_plan_id = s.rate_plan_id AND p.product_code = e.product_code
        AND e.event_date >= p.first_day AND e.event_date < p.end_day
    WHERE e.event_date BETWEEN getvariable('month_first') AND getvariable('month_last')
), charged AS (
    SELECT * EXCLUDE (reason), cost_of(units, free_units, unit_price, is_tiered, tier_threshold, tier_price) AS cost,
        coalesce(joined.reason, CASE WHEN cost >= 1000000000000 THEN 'amount_out_of_range' END) AS reason
    FROM joined
)
SELECT record_id, subscriber_id AS customer_id, record_type, event_ts, rate_plan_id, region, product_code,
    units AS billable_units,
    least(units, free_units) AS free_units_applied, unit_price, tier_threshold, tier_price,
    CASE WHEN reason IS NULL THEN cost::DECIMAL(18,6) END AS amount,
    rating_status, missing AS imputed, reason, source_id, source_part, source_position,
    holder_no, customer_valid_from, plan_valid_from, product_valid_from, event_date
FROM charged;

CREATE VIEW rated_cdrs AS
SELECT record_id, customer_id, record_type, event_ts, rate_plan_id, region, product_code, billable_units,
       free_units_applied, unit_price, tier_threshold, tier_price, amount, rating_status, imputed,
       getvariable('month') AS billing_period, source_id, source_part, source_position, 0::BIGINT AS customers_version,
       0::BIGINT AS rate_plans_version, 0::BIGINT AS product_catalog_version, holder_no, customer_valid_from, plan_valid_from,
       product_valid_from, event_date
FROM priced WHERE reason IS NULL;

CREATE VIEW suspended_cdrs AS
SELECT record_id, customer_id, record_type, event_ts, reason,
       CASE WHEN reason IN ('prepaid_customer', 'inactive_customer') THEN 'excluded'
            WHEN reason = 'missing_volume' AND getvariable('missing_volume_policy') = 'customer_min' THEN 'deferred'
            ELSE 'suspended' END AS disposition,
       product_code, rate_plan_id, region, billable_units, rating_status, getvariable('month') AS billing_period,
       source_id, source_part, source_position, 0::BIGINT AS customers_version, 0::BIGINT AS rate_plans_version,
       0::BIGINT AS product_catalog_version, holder_no, customer_valid_from, plan_valid_from, product_valid_from, event_date
FROM priced WHERE reason IS NOT NULL;
