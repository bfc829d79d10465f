-- Mediation: every line becomes one cleaned event or one rejection with the first reason that applies.
--
-- Variables: calling_codes (a file), calendar_start, max_age_days, dedupe_days, chosen (lines of the copies that people have chosen,
-- the last choice last). Tables: utc_offsets (see duckdb_pipeline.py),
-- product_catalog. Macro is_open(day): whether the month of a day was opened by name. View lines (file_lines.sql or
-- message_lines.sql): the fields' texts; is_object, whether the line is one JSON object; received_day, local; place, its rank
-- in the order of receipt, NULL where that is the order of reading.

-- A number goes to its final DECIMAL in one step, half up. An exponent moves the point in the text; only whether the number
-- is far beyond any quantity, or next to nothing, is told from a DOUBLE. What does not fit is 10^11.
CREATE MACRO minus(text) AS CASE WHEN starts_with(text, '-') THEN '-' ELSE '' END;
CREATE MACRO digits(text) AS replace(ltrim(split_part(lower(text), 'e', 1), '-'), '.', '');
CREATE MACRO point(text) AS
    (length(split_part(ltrim(split_part(lower(text), 'e', 1), '-'), '.', 1)) + split_part(lower(text), 'e', 2)::INT)::INT;
CREATE MACRO with_point(digits, point) AS CASE WHEN point > 0
    THEN rpad(digits, point, '0') || '.' || digits[point + 1:] || '0' ELSE '0.' || repeat('0', -point) || digits END;
CREATE MACRO without_exponent(text) AS CASE
    WHEN NOT regexp_matches(digits(text), '[1-9]') THEN '0'
    WHEN coalesce(abs(try_cast(text AS DOUBLE)), 1e300) >= 1e12 THEN minus(text) || '100000000000'
    WHEN abs(text::DOUBLE) < 1e-12 THEN minus(text) || '0.' || repeat('0', 12) || digits(text)
    ELSE minus(text) || with_point(digits(text), point(text)) END;
CREATE MACRO plain_number(text) AS CASE
    WHEN regexp_full_match(text, '-?[0-9]{1,11}(\.[0-9]+)?') THEN text
    WHEN regexp_full_match(text, '-?[0-9]+(\.[0-9]+)?') THEN
        CASE WHEN try_cast(text AS DECIMAL(18,6)) IS NULL THEN minus(text) || '100000000000' ELSE text END
    WHEN regexp_full_match(text, '-?[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+') THEN without_exponent(text) END;
CREATE MACRO is_negative(plain) AS starts_with(plain, '-') AND regexp_matches(plain, '[1-9]');
CREATE MACRO exceeds_ten_million(plain, rounded) AS
    rounded > 10000000 OR (rounded = 10000000 AND regexp_full_match(plain, '0*10000000\.0*[1-9][0-9]*'));

-- A number as it is written, as digits of E.164. What has neither prefix nor anything between its digits is looked at no
-- further: its integer, written out again, is the text.
CREATE MACRO bare(text) AS regexp_replace(text, '[ \t\x{a0}\x{202f}().-]', '', 'g');
CREATE MACRO in_one_form(text, number) AS CASE
    WHEN number > 999999999 AND number::VARCHAR = text THEN text
    WHEN regexp_full_match(bare(text), '[5-8][0-9]{8}') THEN '212' || bare(text)
    ELSE regexp_replace(regexp_replace(bare(text), '^([+]|00)', ''), '^0([0-9]{9})$', '212\1') END;

-- Subscribers: Morocco mobile, then countries with their count of digits. As ranges of integers: half the time of a
-- regular expression. No valid number begins with a zero or a sign, so the integer written out again must be the text.
CREATE MACRO is_subscriber(text, number) AS
    coalesce((number BETWEEN 212600000000 AND 212799999999
              OR number BETWEEN 33000000000 AND 34999999999
              OR number BETWEEN 10000000000 AND 19999999999
              OR number BETWEEN 440000000000 AND 449999999999
              OR number BETWEEN 4900000000000 AND 4999999999999
              OR number BETWEEN 390000000000 AND 399999999999
              OR number BETWEEN 70000000000 AND 79999999999
              OR number BETWEEN 810000000000 AND 819999999999
              OR number BETWEEN 971000000000 AND 971999999999
              OR number BETWEEN 966000000000 AND 966999999999)
             AND number::VARCHAR = text, false);

-- Parties abroad: the calling code with a count of digits that it may have. Codes are of one to three digits, and none
-- begins another; here each stands as the hundreds of three digits that begin with it: for each of the thousand, how long
-- a number may be, as bits.
SET VARIABLE whole_lengths = (
    WITH codes AS (
        FROM read_csv(getvariable('calling_codes'), columns = {code: 'VARCHAR', digits: 'INTEGER'}) WHERE code <> '212'
    )
    SELECT list(bits ORDER BY head) FROM (
        SELECT head, coalesce(bit_or(1 << (length(code) + digits)), 0) AS bits
        FROM range(1000) AS heads(head) LEFT JOIN codes ON starts_with(lpad(head::VARCHAR, 3, '0'), code)
        GROUP BY head)
);
CREATE MACRO is_abroad(text, number) AS coalesce(number::VARCHAR = text AND number > 99999
    AND getvariable('whole_lengths')[try_cast(text[:3] AS INTEGER) + 1] & (1 << length(text)) > 0, false);

-- An array or object is its JSON text here, and missing where that refuses nobody. A string that is the same text is taken
-- for one.
CREATE MACRO unless_nested(text) AS
    CASE WHEN ascii(text) IN (91, 123) THEN CASE WHEN NOT json_valid(text) THEN text END ELSE nullif(text, '') END;

-- ISO 8601, extended or basic: seconds, fraction and offset may be left out; 24:00:00 is the first moment of the next day,
-- and so many hours after the first of its own.
CREATE MACRO is_extended(text) AS regexp_full_match(text, '[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]'
    || '(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?|24:00(:00([.,]0+)?)?)'
    || '([Zz]|[+-]((0[0-9]|1[0-7])(:?[0-5][0-9])?|18(:?00)?))?');
CREATE MACRO is_basic(text) AS regexp_full_match(text, '[0-9]{8}[Tt]'
    || '(([01][0-9]|2[0-3])[0-5][0-9]([0-5][0-9]([.,][0-9]+)?)?|2400(00([.,]0+)?)?)'
    || '([Zz]|[+-]((0[0-9]|1[0-7])([0-5][0-9])?|18(00)?))?');
CREATE MACRO clock_digits(clock) AS rpad(replace(regexp_extract(clock, '^[0-9:]+'), ':', ''), 6, '0');
CREATE MACRO civil_time(day, clock) AS try_cast(CASE WHEN contains(day, '-') THEN day
    ELSE day[:4] || '-' || day[5:6] || '-' || day[7:] END AS DATE) + to_microseconds(
        3600000000 * clock_digits(clock)[:2]::BIGINT + 60000000 * clock_digits(clock)[3:4]::BIGINT
        + 1000000 * clock_digits(clock)[5:6]::BIGINT
        + rpad(regexp_extract(clock, '[.,]([0-9]+)', 1), 6, '0')[:6]::BIGINT);

CREATE TABLE judged AS
WITH fields AS (
    SELECT is_object, received_day, place,
           unless_nested(record_ID) AS record_id, nullif(record_type, '') AS record_type, nullif("timestamp", '') AS ts,
           unless_nested(cell_id) AS cell_id, unless_nested(technology) AS technology,
           CASE record_type WHEN 'voice' THEN nullif(caller_id, '') WHEN 'sms' THEN nullif(sender_id, '')
                            WHEN 'data' THEN nullif(user_id, '') END AS subscriber_text,
           CASE record_type WHEN 'voice' THEN unless_nested(callee_id)
                            WHEN 'sms' THEN unless_nested(receiver_id) END AS other_text,
           CASE record_type WHEN 'voice' THEN nullif(duration_sec, '') END AS duration_text,
           CASE record_type WHEN 'data' THEN nullif(data_volume_mb, '') END AS volume_text,
           CASE record_type WHEN 'data' THEN unless_nested(session_duration_sec) END AS session_text,
           CASE record_type WHEN 'data' THEN nullif(product_code, '') END AS data_product
    FROM lines
), clocks AS (
    SELECT *,
        -- What nearly every line has: neither fraction nor offset to look for.
        regexp_full_match(ts, '[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]') AS is_usual,
        CASE WHEN starts_with(ts, '0000') THEN NULL
             WHEN is_usual THEN try_cast(ts AS TIMESTAMP)
             WHEN is_extended(ts) OR is_basic(ts) THEN civil_time(split_part(upper(ts), 'T', 1), split_part(upper(ts), 'T', 2))
             END AS civil,
        -- '+01:00', '-0530', '+01' or 'Z'.
        CASE WHEN NOT is_usual
             THEN nullif(regexp_extract(upper(ts), 'T.*?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$', 1), '') END AS shift,
        in_one_form(subscriber_text, try_cast(subscriber_text AS BIGINT)) AS subscriber_id,
        in_one_form(other_text, try_cast(other_text AS BIGINT)) AS other,
        try_cast(subscriber_id AS BIGINT) AS subscriber_number, try_cast(other AS BIGINT) AS other_number
    FROM fields
), instants AS (
    SELECT c.* EXCLUDE (civil, shift, is_usual), civil IS NOT NULL AS is_timestamp, shift IS NOT NULL AS has_shift,
        civil::DATE AS civil_day,
        epoch_us(civil) - 1000000 * CASE
            WHEN shift IS NULL THEN CASE WHEN civil < o.changes_at THEN o.before_sec ELSE o.after_sec END
            WHEN shift = 'Z' THEN 0
            ELSE (shift[1] || '1')::BIGINT * (3600 * shift[2:3]::BIGINT
                 + 60 * coalesce(nullif(replace(shift[4:], ':', ''), ''), '0')::BIGINT) END AS micros
    FROM clocks c LEFT JOIN utc_offsets o ON o.civil_day = c.civil::DATE
), days AS (
    -- Instants that files cannot hold (before 1900, after 2199) have no event_ts and no day.
    SELECT * EXCLUDE (micros, civil_day, has_shift),
        CASE WHEN micros >= epoch_us(TIMESTAMP '1900-01-01') AND micros < epoch_us(TIMESTAMP '2200-01-01')
             THEN make_timestamptz(micros) END AS event_ts,
        CASE WHEN event_ts IS NULL THEN NULL
             WHEN has_shift THEN timezone('Africa/Casablanca', event_ts)::DATE ELSE civil_day END AS event_day
    FROM instants
), homes AS (
    SELECT *,
        coalesce(event_day <= received_day + 1
                 AND (event_day >= received_day - getvariable('max_age_days') OR is_open(event_day))
                 AND event_day >= getvariable('calendar_start'), false) AS is_home,
        CASE WHEN is_home THEN event_day ELSE received_day END AS event_date,
        is_abroad(other, other_number) AS calls_abroad,
        coalesce(other_number BETWEEN 212000000000 AND 212999999999 AND other_number::VARCHAR = other, false) AS calls_home,
        CASE WHEN record_type IN ('voice', 'sms')
             THEN CASE WHEN calls_abroad OR calls_home THEN other ELSE 'inconnu' END END AS other_party,
        CASE record_type
            WHEN 'voice' THEN CASE WHEN calls_abroad THEN 'VOICE_INT' ELSE 'VOICE_NAT' END
            WHEN 'sms' THEN CASE WHEN calls_abroad THEN 'SMS_INT' ELSE 'SMS_NAT' END
            WHEN 'data' THEN data_product END AS product_code,
        try_cast(plain_number(duration_text) AS DECIMAL(18,3)) AS duration_sec,
        CASE technology WHEN 'LTE' THEN '4G' WHEN 'NR' THEN '5G' WHEN 'UMTS' THEN '3G'
                        ELSE coalesce(technology, '4G') END AS generation,
        plain_number(volume_text) AS volume,
        plain_number(session_text) AS session,
        try_cast(volume AS DECIMAL(18,6)) AS data_volume_mb,
        try_cast(session AS DECIMAL(18,3)) AS session_sec,
        CASE WHEN NOT is_negative(session) AND NOT exceeds_ten_million(session, session_sec)
             THEN session_sec END AS session_duration_sec
    FROM days
)
SELECT place, record_id, subscriber_id, h.record_type, event_ts, other_party,
    coalesce(cell_id, 'inconnu') AS cell_id,
    generation AS technology,
    duration_sec, data_volume_mb, session_duration_sec, h.product_code,
    CASE WHEN h.record_type = 'data' AND (data_volume_mb IS NULL OR session_duration_sec IS NULL)
         THEN 'needs_review' ELSE 'ready' END AS rating_status,
    event_date,
    CASE WHEN NOT is_object THEN 'malformed_json'
         WHEN record_id IS NULL THEN 'missing_record_id'
         WHEN h.record_type IS NULL THEN 'missing_record_type'
         WHEN h.record_type NOT IN ('voice', 'sms', 'data') THEN 'unknown_record_type'
         WHEN ts IS NULL THEN 'missing_timestamp'
         WHEN NOT is_timestamp THEN 'invalid_timestamp'
         WHEN event_day IS NULL OR event_day <> event_date THEN 'outside_acceptance_window'
         WHEN subscriber_text IS NULL THEN 'missing_subscriber'
         WHEN NOT is_subscriber(subscriber_id, subscriber_number) THEN 'invalid_subscriber'
         WHEN h.record_type = 'voice' AND duration_text IS NULL THEN 'missing_duration'
         WHEN h.record_type = 'voice' AND duration_sec IS NULL THEN 'invalid_duration'
         WHEN duration_sec <= 0 THEN 'non_positive_duration'
         WHEN volume_text IS NOT NULL AND (volume IS NULL OR is_negative(volume)) THEN 'invalid_volume'
         WHEN duration_sec > 10000000 OR exceeds_ten_million(volume, data_volume_mb) THEN 'quantity_out_of_range'
         WHEN p.product_code IS NULL THEN 'unknown_product' END AS reason,
    CASE WHEN reason IS NOT NULL THEN CASE reason
        WHEN 'unknown_record_type' THEN h.record_type
        WHEN 'invalid_timestamp' THEN ts
        WHEN 'outside_acceptance_window' THEN ts
        WHEN 'invalid_subscriber' THEN subscriber_text
        WHEN 'invalid_duration' THEN duration_text
        WHEN 'non_positive_duration' THEN duration_text
        WHEN 'invalid_volume' THEN volume_text
        WHEN 'quantity_out_of_range' THEN coalesce(duration_text, volume_text)
        WHEN 'unknown_product' THEN h.product_code END[:200] END AS detail,
    -- What two copies of one record must share: the values of the fields of their type.
    hash(h.record_type, event_ts, coalesce(cell_id, 'inconnu'), generation, subscriber_id, other_party, duration_sec,
         data_volume_mb, session_duration_sec, h.product_code) AS fingerprint
-- A product is known whenever the catalogue has it, on whatever days.
FROM homes h LEFT JOIN (SELECT DISTINCT product_code, service_type FROM product_catalog) p ON p.product_code = h.product_code AND p.service_type = h.record_type;

CREATE VIEW numbered AS SELECT *, coalesce(place, judged.rowid) AS line FROM judged;

-- Copies: of the otherwise valid records with one identity, all that have an earlier one within so many days, or a chosen one, which
-- comes before all others; of two chosen ones the one that was chosen last. Identities are
-- counted by their hash, and compared as they are only where a hash comes twice.
CREATE TABLE copies AS
WITH repeated AS (
    SELECT hash(record_id) AS id_hash FROM judged WHERE reason IS NULL GROUP BY ALL HAVING count(*) > 1
), suspects AS (
    SELECT line, record_id, event_date, fingerprint,
           line - 1000000000000000 * coalesce(list_position(getvariable('chosen'), line), 0) AS standing
    FROM numbered SEMI JOIN repeated ON id_hash = hash(record_id) WHERE reason IS NULL
), compared AS (
    SELECT line, fingerprint, arg_min(line, standing) OVER near AS earliest,
           arg_min(fingerprint, standing) OVER near AS earliest_fingerprint
    FROM suspects
    WINDOW near AS (PARTITION BY record_id ORDER BY event_date - DATE '1970-01-01'
                    RANGE BETWEEN getvariable('dedupe_days') PRECEDING AND getvariable('dedupe_days') FOLLOWING)
)
SELECT line, CASE WHEN earliest_fingerprint = fingerprint THEN 'duplicate' ELSE 'duplicate_conflict' END AS copy_reason,
       'copy of: partition 0 offset ' || earliest AS copy_of
FROM compared WHERE earliest <> line;

CREATE VIEW cleaned_cdrs AS
SELECT record_id, subscriber_id, record_type, event_ts, other_party, cell_id, technology, duration_sec, data_volume_mb,
       session_duration_sec, product_code, rating_status, getvariable('received_at') AS received_at,
       'file' AS source_id, 0::INTEGER AS source_part, line AS source_position, event_date
FROM numbered ANTI JOIN copies USING (line) WHERE reason IS NULL;

CREATE VIEW rejected_cdrs AS
SELECT record_id, coalesce(reason, copy_reason) AS reason, coalesce(copy_of, detail) AS detail, record_type, event_ts,
       getvariable('received_at') AS received_at, 'file' AS source_id, 0::INTEGER AS source_part,
       line AS source_position, event_date
FROM numbered LEFT JOIN copies USING (line) WHERE reason IS NOT NULL OR copy_reason IS NOT NULL;

-- Customers have their calls' numbers, however the file writes them.
UPDATE customers SET customer_id = in_one_form(customer_id, try_cast(customer_id AS BIGINT))
WHERE try_cast(customer_id AS BIGINT)::VARCHAR IS DISTINCT FROM customer_id
  AND regexp_full_match(in_one_form(customer_id, try_cast(customer_id AS BIGINT)), '[0-9]+');
