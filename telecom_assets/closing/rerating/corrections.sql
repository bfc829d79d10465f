-- What the month corrects of closed months and what people have added: lines, and all documents of the month with them.
--
-- Tables: bill_lines and facturation_complete of the month's usage (`billing.sql`); adjustments and manual_lines of the month;
-- closed_lines (bill_lines of the closed months before); stored_lines (those of the month, for the document that each correction
-- stands on). Macros: billed, totals_of.

-- What remains of a closed month: the own lines of its bill, and all corrections of it so far. Its name stands as the document, so
-- that discount and tax are those of a bill of it.
CREATE TABLE remained AS
SELECT customer_id, holder_no, CASE kind WHEN 'adjustment' THEN original_period ELSE billing_period END AS document,
    coalesce(line_kind, kind) AS line_kind, service, rate_plan_id, region, tax_category, tax_pct, discount_pct, exact_amount, amount
FROM closed_lines WHERE kind = 'adjustment' OR document = 'bill';

-- The sum of the differences of one key, exact; its amount is what the rounded sum of all that remains moves by.
CREATE TABLE adjustment_lines AS
WITH differences AS (
    SELECT customer_id, holder_no, original_period AS document, 'usage' AS line_kind, service, rate_plan_id, region, tax_category,
        tax_pct, discount_pct, sum(events)::BIGINT AS events, sum(units)::DECIMAL(28,6) AS units,
        sum(amount)::DECIMAL(28,6) AS exact_amount
    FROM adjustments WHERE disposition = 'billed' GROUP BY ALL
), so_far AS (
    SELECT * EXCLUDE (exact_amount, amount), sum(exact_amount)::DECIMAL(28,6) AS exact_before, sum(amount) AS amount_before
    FROM remained GROUP BY ALL
)
SELECT customer_id, holder_no, document, line_kind, service, rate_plan_id, region, tax_category, tax_pct, discount_pct, events, units,
    exact_amount, billed(coalesce(exact_before, 0)::DECIMAL(28,6) + exact_amount) - coalesce(amount_before, 0) AS amount
FROM differences LEFT JOIN so_far
    USING (customer_id, holder_no, document, line_kind, service, rate_plan_id, region, tax_category, tax_pct, discount_pct);

CREATE TABLE remains AS
SELECT * EXCLUDE (events, units) FROM adjustment_lines UNION ALL BY NAME
FROM remained SEMI JOIN adjustment_lines USING (customer_id, holder_no, document);

-- The document on which the corrections of a closed month stand.
CREATE TABLE stands AS
SELECT DISTINCT customer_id, holder_no, original_period, document FROM stored_lines WHERE kind = 'adjustment';

-- Discount and tax of what remains, less those of what remained.
CREATE TABLE changes AS
SELECT customer_id, holder_no, coalesce(s.document, 'bill') AS document,
    a.amount - coalesce(b.amount, 0) AS amount, a.discount - coalesce(b.discount, 0) AS discount, a.tax - coalesce(b.tax, 0) AS tax
FROM totals_of('remains') a
LEFT JOIN totals_of('remained') b USING (customer_id, holder_no, document, tax_category, tax_pct)
LEFT JOIN stands s ON s.customer_id = a.customer_id AND s.holder_no = a.holder_no AND s.original_period = a.document;

-- What the month itself brings: its usage, and the lines of people, without a discount.
CREATE TABLE own_lines AS
SELECT customer_id, holder_no, document, kind, tax_category, tax_pct, discount_pct, exact_amount, amount FROM bill_lines
UNION ALL BY NAME
SELECT customer_id, holder_no, document, 'manual' AS kind, tax_category, tax_pct, 0::DECIMAL(7,4) AS discount_pct,
    amount::DECIMAL(28,6) AS exact_amount, amount FROM manual_lines;

CREATE TABLE documents AS
WITH lines AS (
    SELECT customer_id, holder_no, document, kind, exact_amount, amount FROM own_lines
    UNION ALL BY NAME
    SELECT l.customer_id, l.holder_no, coalesce(s.document, 'bill') AS document, 'adjustment' AS kind, exact_amount, amount
    FROM adjustment_lines l LEFT JOIN stands s ON s.customer_id = l.customer_id AND s.holder_no = l.holder_no AND s.original_period = l.document
), sums AS (
    SELECT customer_id, holder_no, document, coalesce(sum(amount) FILTER (kind <> 'usage'), 0) AS adjustments_total,
        sum(amount) - sum(exact_amount) AS rounding_difference, bool_or(amount <> 0) AS has_an_amount
    FROM lines GROUP BY ALL
), rates AS (
    SELECT customer_id, holder_no, document, amount, discount, tax FROM totals_of('own_lines')
    UNION ALL BY NAME FROM changes
), totals AS (
    SELECT customer_id, holder_no, document, sum(amount) AS amount, sum(discount) AS discount, sum(tax) AS tax
    FROM rates GROUP BY ALL
)
SELECT customer_id, holder_no, document, has_an_amount, billed(adjustments_total) AS adjustments_total, billed(amount) AS amount_before_tax,
    billed(discount) AS discount, billed(amount - discount) AS after_discount, billed(tax) AS tax,
    billed(amount - discount + tax) AS amount_due, rounding_difference::DECIMAL(18,6) AS rounding_difference
FROM totals JOIN sums USING (customer_id, holder_no, document);

-- A bill of each holder whose usage makes one, or who has another line on it.
CREATE TABLE bills AS
SELECT customer_id, holder_no,
    billed(coalesce(voice_total, 0)) AS voice_total, billed(coalesce(sms_total, 0)) AS sms_total,
    billed(coalesce(data_total, 0)) AS data_total, billed(coalesce(other_total, 0)) AS other_total,
    coalesce(voice_count, 0) AS voice_count, coalesce(sms_count, 0) AS sms_count, coalesce(data_count, 0) AS data_count,
    getvariable('discount_pct') AS discount_pct, getvariable('tax_pct') AS tax_pct, getvariable('currency') AS currency,
    billed(coalesce(d.adjustments_total, 0)) AS adjustments_total, billed(coalesce(d.amount_before_tax, 0)) AS amount_before_tax,
    billed(coalesce(d.discount, 0)) AS discount, billed(coalesce(d.after_discount, 0)) AS after_discount,
    billed(coalesce(d.tax, 0)) AS tax, billed(coalesce(d.amount_due, 0)) AS amount_due,
    coalesce(d.rounding_difference, 0)::DECIMAL(18,6) AS rounding_difference
FROM facturation_complete u FULL JOIN (FROM documents WHERE document = 'bill') d USING (customer_id, holder_no);

-- The other documents; one whose lines are all 0 is none.
CREATE TABLE correction_documents AS
SELECT * EXCLUDE (has_an_amount), CASE WHEN amount_due < 0 THEN 'credit_note' ELSE 'supplementary' END AS kind
FROM documents WHERE document <> 'bill' AND has_an_amount;
