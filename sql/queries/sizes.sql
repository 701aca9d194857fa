-- measure --
-- Running sandboxes that take more. $1 bytes
SELECT sandbox_id, bytes FROM measure_sandboxes($1);

-- lock --
-- For the rest of the transaction against other bots that record what they have measured.
LOCK TABLE sandbox_sizes IN SHARE ROW EXCLUSIVE MODE;

-- record --
-- What measure has found, and no others: with a notice of each that was not among them before, and an audit row of each
-- that has come to be more than it may. The rows are those that are. $1 sandbox ids, $2 bytes of each, $3 how much they may
-- take, $4 event type
WITH measured AS (
    SELECT sandbox.id, sandbox.schema_name, sandbox.expires_at, measured.bytes, before.sandbox_id IS NULL AS is_new,
           measured.bytes > $3 AS is_over, measured.bytes > $3 AND before.is_over IS NOT TRUE AS is_newly_over
      FROM unnest($1::uuid[], $2::bigint[]) AS measured (id, bytes) JOIN sandboxes AS sandbox ON sandbox.id = measured.id
      LEFT JOIN sandbox_sizes AS before ON before.sandbox_id = measured.id),
small AS (
    DELETE FROM sandbox_sizes WHERE sandbox_id <> ALL ($1::uuid[])),
saved AS (
    INSERT INTO sandbox_sizes (sandbox_id, bytes, is_over) SELECT id, bytes, is_over FROM measured
    ON CONFLICT (sandbox_id) DO UPDATE SET bytes = excluded.bytes, is_over = excluded.is_over),
told AS (
    INSERT INTO sandbox_notices (sandbox_id, kind, expires_at) SELECT id, 'too_large', expires_at FROM measured WHERE is_new
    ON CONFLICT (sandbox_id, kind, expires_at) WHERE guild_id IS NULL DO NOTHING),
audited AS (
    INSERT INTO sandbox_audit_log (sandbox_id, event_type, details)
    SELECT id, $4, jsonb_build_object('reason', 'size', 'bytes', bytes) FROM measured WHERE is_newly_over)
SELECT id, schema_name, bytes, is_newly_over, sandbox_role_may_connect(schema_name) AS may_connect
  FROM measured WHERE is_over;

-- shut_out --
-- Those that are not, and those whose note is getting old: its age lets them in again. $1 sandbox ids
SELECT shut_out_sandbox_role(id)
  FROM (SELECT id FROM sandboxes
         WHERE id = ANY ($1::uuid[]) AND status = 'running'
           AND (sandbox_role_may_connect(schema_name) OR role_changed_at < now() - interval '5 s')
           FOR UPDATE SKIP LOCKED) AS barred;

-- end_sessions --
-- How many. $1 sandbox ids
SELECT coalesce(sum(end_sandbox_sessions(id)), 0)::int FROM unnest($1::uuid[]) AS id;

-- is_over --
-- $1 sandbox id
SELECT EXISTS (SELECT FROM sandbox_sizes WHERE sandbox_id = $1 AND is_over);
