-- change --
-- What a change takes, and leaves none: room on the disk (a temporary file of some pages) and in the log, whose way to the
-- disk is waited for.
SET work_mem = '64kB';
SELECT count(*) FROM generate_series(1, 8000);
SELECT pg_logical_emit_message(true, 'sandbox-bot', 'health')
