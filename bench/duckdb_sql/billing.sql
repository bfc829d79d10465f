-- Billing: one bill for every customer that is active postpaid or has rated usage. Each line is rounded once.
--
-- Variables: month, discount_pct, tax_pct, currency. Tables: priced, customers.

CREATE TABLE facturation_complete AS
WITH usage AS (
    SELECT customer_id,
        sum(amount) FILTER (record_type = 'voice') AS voice_exact,
        sum(amount) FILTER (record_type = 'sms') AS sms_exact,
        sum(amount) FILTER (record_type = 'data') AS data_exact,
        count(*) FILTER (record_type = 'voice') AS voice_count,
        count(*) FILTER (record_type = 'sms') AS sms_count,
        count(*) FILTER (record_type = 'data') AS data_count,
        max(region) AS region, max(rate_plan_id) AS rate_plan_id
    FROM priced WHERE reason IS NULL GROUP BY customer_id
), billable AS (
    SELECT customer_id, region, rate_plan_id FROM customers
    WHERE subscription_type = 'postpaid' AND status = 'active'
), lines AS (
    SELECT customer_id, coalesce(b.region, u.region) AS region, coalesce(b.rate_plan_id, u.rate_plan_id) AS rate_plan_id,
        coalesce(voice_exact, 0)::DECIMAL(28,6) AS voice_exact, coalesce(sms_exact, 0)::DECIMAL(28,6) AS sms_exact,
        coalesce(data_exact, 0)::DECIMAL(28,6) AS data_exact,
        coalesce(voice_count, 0)::BIGINT AS voice_count, coalesce(sms_count, 0)::BIGINT AS sms_count,
        coalesce(data_count, 0)::BIGINT AS data_count,
        round(coalesce(voice_exact, 0)::DECIMAL(28,6), 2)::DECIMAL(18,2) AS voice_total,
        round(coalesce(sms_exact, 0)::DECIMAL(28,6), 2)::DECIMAL(18,2) AS sms_total,
        round(coalesce(data_exact, 0)::DECIMAL(28,6), 2)::DECIMAL(18,2) AS data_total
    FROM billable b FULL JOIN usage u USING (customer_id)
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
