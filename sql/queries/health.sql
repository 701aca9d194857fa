-- limit_memory --
-- So that some thousand rows take a temporary file.
SET work_mem = '64kB';

-- change --
-- What a change takes, and leaves none: room on the disk (a temporary file of some pages) and in the log, whose way to the
-- disk is waited for.
SELECT pg_logical_emit_message(true, 'sandbox-bot', 'health')
  FROM (SELECT count(*) FROM generate_series(1, 8000)) AS written;
