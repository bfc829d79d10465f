-- The messages of a topic, as mediation.sql wants them: any text, received at any time.
--
-- Table: raw (value; received_at; place, the rank of the message in the order of receipt).

-- Brackets of a text, its strings left out; eight pairs in each other inside the message's own, and one more is too many.
CREATE MACRO brackets(t) AS regexp_replace(regexp_replace(t, '"([^"\\]|\\.)*"', '', 'g'), '[^\[\]{}]', '', 'g');
CREATE MACRO peeled(t) AS regexp_replace(t, '\[\]|\{\}', '', 'g');
CREATE MACRO is_deep(t) AS
    peeled(peeled(peeled(peeled(peeled(peeled(peeled(peeled(peeled(brackets(t)))))))))) <> '';

CREATE VIEW lines AS
WITH texts AS (
    SELECT *, coalesce(json_valid(value) AND json_type(value) = 'OBJECT' AND NOT is_deep(value), false) AS is_object FROM raw
)
SELECT unnest(json_transform(CASE WHEN is_object THEN value END, '{
        "record_ID": "VARCHAR", "record_type": "VARCHAR", "timestamp": "VARCHAR", "cell_id": "VARCHAR",
        "technology": "VARCHAR", "caller_id": "VARCHAR", "callee_id": "VARCHAR", "duration_sec": "VARCHAR",
        "sender_id": "VARCHAR", "receiver_id": "VARCHAR", "user_id": "VARCHAR", "data_volume_mb": "VARCHAR",
        "session_duration_sec": "VARCHAR", "product_code": "VARCHAR"}')),
    is_object, timezone('Africa/Casablanca', received_at)::DATE AS received_day, place
FROM texts;
