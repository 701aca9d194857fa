-- add --
-- $1 sandbox id, $2 operation, $3 requests, $4 how many of them were refused
INSERT INTO relay_usage AS usage (sandbox_id, hour, operation, requests, refused)
VALUES ($1, date_trunc('hour', now(), 'UTC'), $2, $3, $4)
    ON CONFLICT (sandbox_id, hour, operation)
    DO UPDATE SET requests = usage.requests + EXCLUDED.requests, refused = usage.refused + EXCLUDED.refused;

-- delete_old --
-- $1 for how long they are kept
DELETE FROM relay_usage WHERE hour < now() - $1::interval;
