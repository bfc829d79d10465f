-- What the month charges besides its days, and then one bill for every customer that is active postpaid or has rated usage. Each line is rounded once.
--
-- Variables: month, month_first, month_last, discount_pct, tax_pct, currency. Tables: priced, prices,
-- customers; the views rated_cdrs, suspended_cdrs.

-- A deferred session counts as the smallest known volume of its holder in the month, as none where none is known. What costs
-- more than an amount holds is on no bill.
CREATE TABLE period_charges AS
WITH smallest AS (
    SELECT customer_id, holder_no, min(billable_units) AS smallest_mb FROM priced
    WHERE record_type = 'data' AND NOT imputed GROUP BY customer_id, holder_no
), deferred AS (
    SELECT s.* EXCLUDE (billable_units, plan_valid_from, product_valid_from),
        p.* EXCLUDE (rate_plan_id, product_code, first_day, end_day),
        coalesce(smallest_mb, 0)::DECIMAL(18,6) AS units,
        cost_of(units, free_units, unit_price, is_tiered, tier_threshold, tier_price) AS cost
    FROM suspended_cdrs s JOIN prices p
        ON p.rate_plan_id = s.rate_plan_id AND p.product_code = s.product_code
        AND s.event_date >= p.first_day AND s.event_date < p.end_day
    LEFT JOIN smallest USING (customer_id, holder_no)
    WHERE disposition = 'deferred'
)
SELECT record_id, customer_id, record_type, event_ts, rate_plan_id, region, product_code, units AS billable_units,
    least(units, free_units) AS free_units_applied, unit_price, tier_threshold, tier_price,
    CASE WHEN cost < 1000000000000 THEN cost::DECIMAL(18,6) END AS amount, rating_status, true AS imputed,
    source_id, source_part, source_position, customers_version, rate_plans_version, product_catalog_version,
    holder_no, customer_valid_from, plan_valid_from, product_valid_from, event_date, billing_period
FROM deferred;

CREATE VIEW charges AS
SELECT customer_id, region, rate_plan_id, record_type, event_ts, event_date, billable_units, amount FROM rated_cdrs
UNION ALL BY NAME
SELECT customer_id, region, rate_plan_id, record_type, event_ts, event_date, billable_units, amount FROM period_charges
WHERE amount IS NOT NULL;

CREATE TABLE facturation_complete AS
WITH usage AS (
    SELECT customer_id,
        sum(amount) FILTER (record_type = 'voice') AS voice_exact,
        sum(amount) FILTER (record_type = 'sms') AS sms_exact,
        sum(amount) FILTER (record_type = 'data') AS data_exact,
        count(*) FILTER (record_type = 'voice') AS voice_count,
        count(*) FILTER (record_type = 'sms') AS sms_count,
        count(*) FILTER (record_type = 'data') AS data_count,
        max(region) AS region, max(rate_plan_id) AS rate_plan_id, true AS is_used
    FROM charges GROUP BY customer_id
), latest AS (  -- the version of the last day of the month, else the last one before
    SELECT DISTINCT ON (customer_id) customer_id, region, rate_plan_id,
        subscription_type = 'postpaid' AND status = 'active'
            AND coalesce(valid_to, 'infinity'::DATE) > getvariable('month_last') AS is_active
    FROM customers WHERE coalesce(valid_from, '-infinity'::DATE) <= getvariable('month_last')
    ORDER BY customer_id, coalesce(valid_from, '-infinity'::DATE) DESC
), lines AS (
    SELECT customer_id, coalesce(b.region, u.region) AS region, coalesce(b.rate_plan_id, u.rate_plan_id) AS rate_plan_id,
        coalesce(voice_exact, 0)::DECIMAL(28,6) AS voice_exact, coalesce(sms_exact, 0)::DECIMAL(28,6) AS sms_exact,
        coalesce(data_exact, 0)::DECIMAL(28,6) AS data_exact,
        coalesce(voice_count, 0)::BIGINT AS voice_count, coalesce(sms_count, 0)::BIGINT AS sms_count,
        coalesce(data_count, 0)::BIGINT AS data_count,
        round(coalesce(voice_exact, 0)::DECIMAL(28,6), 2)::DECIMAL(18,2) AS voice_total,
        round(coalesce(sms_exact, 0)::DECIMAL(28,6), 2)::DECIMAL(18,2) AS sms_total,
        round(coalesce(data_exact, 0)::DECIMAL(28,6), 2)::DECIMAL(18,2) AS data_total
    FROM latest b FULL JOIN usage u USING (customer_id)
    WHERE is_active OR is_used
), totals AS (
    SELECT *, (voice_total + sms_total + data_total)::DECIMAL(18,2) AS amount_before_tax,
        getvariable('discount_pct') AS discount_pct, getvariable('tax_pct') AS tax_pct,
        round(amount_before_tax::DECIMAL(28,2) * discount_pct * 0.01::DECIMAL(3,2), 2)::DECIMAL(18,2) AS discount,
        (amount_before_tax - discount)::DECIMAL(18,2) AS after_discount,
        round(after_discount::DECIMAL(28,2) * tax_pct * 0.01::DECIMAL(3,2), 2)::DECIMAL(18,2) AS tax
    FROM lines
)
SELECT customer_id, region, rate_plan_id, voice_total, sms_total, data_total, voice_count, sms_count, data_count,
    amount_before_tax, discount_pct, discount, after_discount, tax_pct, tax,
    (after_discount + tax)::DECIMAL(18,2) AS amount_due,
    (amount_before_tax - (voice_exact + sms_exact + data_exact))::DECIMAL(18,6) AS rounding_difference,
    getvariable('currency') AS currency, getvariable('month') AS billing_period
FROM totals;
