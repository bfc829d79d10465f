-- The smallest known data volume of each subscriber in the month: what a session of unknown volume counts as.
--
-- Variables: month, month_first, month_last. The view cleaned_cdrs.

CREATE TABLE data_volume_floor AS
SELECT subscriber_id AS customer_id, min(data_volume_mb) AS floor_mb, getvariable('month') AS billing_period
FROM cleaned_cdrs
WHERE record_type = 'data' AND data_volume_mb IS NOT NULL
  AND event_date BETWEEN getvariable('month_first') AND getvariable('month_last')
GROUP BY subscriber_id;
