-- What the month charges besides its days, the lines of its bills, and then one bill for every holder of a number who is active
-- postpaid or has a line. Each line is rounded once, to the decimals of the currency.
--
-- Variables: month, month_first, month_last, discount_pct, tax_pct, currency, scale. Tables: priced, prices, customers; the views
-- rated_cdrs, suspended_cdrs. Macro: billed(amount), which rounds to the scale and has its type.

-- A deferred session counts as the smallest known volume of its holder in the month, as none where none is known. What costs
-- more than an amount holds is on no bill.
CREATE TABLE period_charges AS
WITH smallest AS (
    SELECT customer_id, holder_no, min(billable_units) AS smallest_mb FROM priced
    WHERE (record_type = 'data' OR record_type IN (SELECT record_type FROM other_types WHERE is_imputed)) AND NOT imputed GROUP BY customer_id, holder_no
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
SELECT customer_id, holder_no, region, rate_plan_id, record_type, event_ts, event_date, billable_units, amount FROM rated_cdrs
UNION ALL BY NAME
SELECT customer_id, holder_no, region, rate_plan_id, record_type, event_ts, event_date, billable_units, amount FROM period_charges
WHERE amount IS NOT NULL;

-- One line for each service, plan and region of a holder of a number. The month has one tax rate and one discount.
CREATE TABLE bill_lines AS
WITH sums AS (
    SELECT customer_id, holder_no, record_type AS service, rate_plan_id, region, count(*) AS events,
        sum(billable_units)::DECIMAL(28,6) AS units, sum(amount)::DECIMAL(28,6) AS exact_amount
    FROM charges GROUP BY ALL
)
SELECT customer_id, holder_no,
    row_number() OVER (
        PARTITION BY customer_id, holder_no
        ORDER BY coalesce(list_position(['voice', 'sms', 'data'], service), 4), service, rate_plan_id, region
    )::INTEGER AS line_no,
    'bill' AS document, 'usage' AS kind, NULL::VARCHAR AS line_kind, service, rate_plan_id, region,
    CASE WHEN getvariable('tax_pct') > 0 THEN 'S' ELSE 'Z' END AS tax_category,
    getvariable('tax_pct') AS tax_pct, getvariable('discount_pct') AS discount_pct, NULL::VARCHAR AS original_period,
    events, units, exact_amount, billed(exact_amount) AS amount, getvariable('month') AS billing_period
FROM sums;

-- What a document comes to at each tax rate: the discount of each group of lines with equal terms, then one tax.
CREATE MACRO totals_of(lines) AS TABLE
WITH groups AS (
    SELECT customer_id, holder_no, document, tax_category, tax_pct, discount_pct, sum(amount) AS amount,
        billed(sum(amount)::DECIMAL(22,4) * discount_pct * 0.01::DECIMAL(3,2)) AS discount
    FROM query_table(lines) GROUP BY customer_id, holder_no, document, tax_category, tax_pct, discount_pct
), rates AS (
    SELECT customer_id, holder_no, document, tax_category, tax_pct, sum(amount) AS amount, sum(discount) AS discount
    FROM groups GROUP BY ALL
)
SELECT *, billed((amount - discount)::DECIMAL(22,4) * tax_pct * 0.01::DECIMAL(3,2)) AS tax, amount - discount + tax AS due
FROM rates;

CREATE TABLE due_by_rate AS FROM totals_of('bill_lines');

CREATE TABLE facturation_complete AS
WITH lined AS (
    SELECT customer_id, holder_no,
        sum(amount) FILTER (service = 'voice') AS voice_total, sum(amount) FILTER (service = 'sms') AS sms_total,
        sum(amount) FILTER (service = 'data') AS data_total,
        sum(amount) FILTER (service NOT IN ('voice', 'sms', 'data')) AS other_total,
        sum(events) FILTER (service = 'voice') AS voice_count, sum(events) FILTER (service = 'sms') AS sms_count,
        sum(events) FILTER (service = 'data') AS data_count,
        sum(exact_amount) AS exact_amount, max(region) AS region, max(rate_plan_id) AS rate_plan_id, true AS is_used
    FROM bill_lines GROUP BY customer_id, holder_no
), taxed AS (
    SELECT customer_id, holder_no, sum(amount) AS amount, sum(discount) AS discount, sum(tax) AS tax
    FROM due_by_rate GROUP BY customer_id, holder_no
), latest AS (  -- the version of the last day of the month, else the last one before
    SELECT DISTINCT ON (customer_id, holder_no) customer_id, holder_no, region, rate_plan_id,
        subscription_type = 'postpaid' AND status = 'active'
            AND coalesce(valid_to, 'infinity'::DATE) > getvariable('month_last') AS is_active
    FROM customers WHERE coalesce(valid_from, '-infinity'::DATE) <= getvariable('month_last')
    ORDER BY customer_id, holder_no, coalesce(valid_from, '-infinity'::DATE) DESC
)
SELECT customer_id, holder_no, coalesce(b.region, l.region) AS region, coalesce(b.rate_plan_id, l.rate_plan_id) AS rate_plan_id,
    billed(coalesce(voice_total, 0)) AS voice_total, billed(coalesce(sms_total, 0)) AS sms_total,
    billed(coalesce(data_total, 0)) AS data_total,
    coalesce(voice_count, 0)::BIGINT AS voice_count, coalesce(sms_count, 0)::BIGINT AS sms_count,
    coalesce(data_count, 0)::BIGINT AS data_count,
    billed(0) AS adjustments_total, billed(coalesce(other_total, 0)) AS other_total,
    billed(coalesce(amount, 0)) AS amount_before_tax, getvariable('discount_pct') AS discount_pct,
    billed(coalesce(discount, 0)) AS discount, billed(coalesce(amount - discount, 0)) AS after_discount,
    getvariable('tax_pct') AS tax_pct, billed(coalesce(tax, 0)) AS tax, billed(coalesce(amount - discount + tax, 0)) AS amount_due,
    coalesce(amount - exact_amount, 0)::DECIMAL(18,6) AS rounding_difference,
    getvariable('currency') AS currency, 'draft' AS status, getvariable('month') AS billing_period
FROM latest b FULL JOIN lined l USING (customer_id, holder_no) LEFT JOIN taxed USING (customer_id, holder_no)
WHERE is_active OR is_used;
