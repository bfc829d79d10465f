-- The lines of files of CDRs, as mediation.sql wants them. A line is one JSON object, nested at most eight deep; a file that
-- holds anything else ends the script.
--
-- Variables: cdrs (the files), received_day (local: all were received on that day).

CREATE VIEW lines AS
SELECT *, true AS is_object, getvariable('received_day') AS received_day, NULL::BIGINT AS place
FROM read_json(getvariable('cdrs'), format = 'newline_delimited', columns = {
    record_ID: 'VARCHAR', record_type: 'VARCHAR', "timestamp": 'VARCHAR', cell_id: 'VARCHAR',
    technology: 'VARCHAR', caller_id: 'VARCHAR', callee_id: 'VARCHAR', duration_sec: 'VARCHAR',
    sender_id: 'VARCHAR', receiver_id: 'VARCHAR', user_id: 'VARCHAR', data_volume_mb: 'VARCHAR',
    session_duration_sec: 'VARCHAR', product_code: 'VARCHAR'});
