-- The bot's own tables and functions leave `public` for a schema of their own, so that `public` can hold what a server
-- shares with its sandboxes. A bot of the release before goes on meanwhile: it finds views and functions under the old
-- names. The next release drops those, and moves `sandbox_status`, to which such a bot casts: no other type, nor a domain,
-- would do for it.

-- In the order in which a running bot's transactions take them.
LOCK TABLE sandbox_owners, sandboxes, sandbox_guild_mapping IN ACCESS EXCLUSIVE MODE;

CREATE SCHEMA sandbox_control;
ALTER TYPE sandbox_notice_kind SET SCHEMA sandbox_control;
ALTER TYPE sandbox_control.sandbox_notice_kind ADD VALUE 'too_large';

DO $$
DECLARE
    moved constant text[] := ARRAY[
        'sandbox_owners', 'sandboxes', 'sandbox_guild_mapping', 'sandbox_audit_log', 'sandbox_notices',
        'sandbox_notice_deliveries', 'command_syncs', 'sandbox_credentials', 'sandbox_orphan_sweeps', 'sandbox_template',
        'bot_keys', 'valid_bot_keys', 'sandbox_route_revision', 'sandbox_route_changes', 'custom_ids_since',
        'sandbox_binding_checks', 'registered_commands', 'withdrawn_commands', 'gateway_leases', 'gateway_processes',
        'sandbox_idempotency_keys', 'relay_commands', 'relay_guild_commands', 'relay_guild_claims',
        'relay_wanted_commands', 'relay_webhooks', 'relay_usage', 'sandbox_overview', 'schema_migrations'];
    -- What an older bot says ON CONFLICT ON CONSTRAINT of, which a view has none of: a table whose only partition is ours
    -- has it, and gives it its columns from now on. By the column that divides it.
    partitioned constant jsonb := '{"sandbox_guild_mapping": "guild_id", "sandbox_idempotency_keys": "key",
                                    "gateway_leases": "application_id", "relay_commands": "sandbox_id"}';
    named text;
    granted record;
BEGIN
    FOREACH named IN ARRAY moved LOOP
        EXECUTE format('ALTER TABLE public.%I SET SCHEMA sandbox_control', named);
        IF partitioned ? named THEN
            EXECUTE format('CREATE TABLE public.%1$I (LIKE sandbox_control.%1$I INCLUDING DEFAULTS) PARTITION BY LIST (%2$I)',
                           named, partitioned ->> named);
            EXECUTE (SELECT string_agg(format('ALTER TABLE public.%I ADD CONSTRAINT %I %s', named, conname,
                                              pg_get_constraintdef(oid)), ';')
                       FROM pg_constraint WHERE conrelid = to_regclass('sandbox_control.' || named) AND contype IN ('p', 'u')
                        AND conname IN ('sandbox_guild_mapping_pkey', 'sandbox_idempotency_keys_pkey',
                                        'gateway_leases_pkey', 'relay_commands_name_key'));
            EXECUTE format('ALTER TABLE public.%1$I ATTACH PARTITION sandbox_control.%1$I DEFAULT', named);
        ELSE
            EXECUTE format('CREATE VIEW public.%1$I AS SELECT * FROM sandbox_control.%1$I', named);
        END IF;
        FOR granted IN  -- to whoever may read it
            SELECT acl.privilege_type, acl.grantee::regrole AS grantee
              FROM pg_class, aclexplode(relacl) AS acl
             WHERE pg_class.oid = to_regclass('sandbox_control.' || named) AND acl.grantee NOT IN (0, relowner)
        LOOP
            EXECUTE format('GRANT %s ON public.%I TO %s', granted.privilege_type, named, granted.grantee);
        END LOOP;
    END LOOP;
END $$;

-- An older bot stops at a kind of notice that it does not know, and so sees none.
CREATE OR REPLACE VIEW public.sandbox_notices AS SELECT * FROM sandbox_control.sandbox_notices
 WHERE kind::text IN ('expiry_warning', 'expired', 'guild_removed');
CREATE OR REPLACE VIEW public.sandbox_notice_deliveries AS SELECT * FROM sandbox_control.sandbox_notice_deliveries
 WHERE EXISTS (SELECT FROM sandbox_control.sandbox_notices
                WHERE id = notice_id AND kind::text IN ('expiry_warning', 'expired', 'guild_removed'));

-- What is the bot's own there, and of no extension. Triggers, checks and prepared statements go on with what has moved.
DO $$
DECLARE
    functions constant oid[] := ARRAY(
        SELECT oid FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
           AND proowner = (SELECT relowner FROM pg_class WHERE oid = 'sandbox_control.sandboxes'::regclass)
           AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'));
    statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER FUNCTION %s SET SCHEMA sandbox_control', oid::regprocedure) FROM unnest(functions) AS oid
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT regexp_replace(pg_get_functiondef(oid), '\mpublic\.', 'sandbox_control.', 'g')
          FROM pg_proc WHERE oid = ANY (functions) AND prosrc ~ '\mpublic\.'
    LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE sql AS %L',
                      proname, pg_get_function_arguments(oid), pg_get_function_result(oid),
                      format('SELECT %s sandbox_control.%I(%s)',
                             CASE WHEN proretset OR prorettype = 'record'::regtype THEN '* FROM' END, proname,
                             (SELECT string_agg('$' || number, ', ') FROM generate_series(1, pronargs) AS number)))
          FROM pg_proc WHERE oid = ANY (functions) AND prorettype <> 'trigger'::regtype
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;

-- For whoever comes as the bot without saying so: psql, or a pooler that swallows it. The bot's own sessions do.
DO $$ BEGIN
    EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET search_path = sandbox_control, public', current_database());
END $$;
SET LOCAL search_path = sandbox_control, public;

-- Sandboxes that take more of the disk than they are to, as far as they were measured last. is_over: more than they may.
CREATE TABLE sandbox_sizes (
    sandbox_id uuid PRIMARY KEY REFERENCES sandboxes (id),
    bytes      bigint NOT NULL,
    is_over    boolean NOT NULL
);

-- With indexes and toast. One that somebody keeps locked is as large as when it was vacuumed or analysed last.
CREATE FUNCTION sandbox_relation_bytes(relation oid, pages integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms' AS $$
BEGIN
    RETURN coalesce(pg_total_relation_size(relation), 0);
EXCEPTION WHEN lock_not_available THEN
    RETURN pages * current_setting('block_size')::bigint;
END $$;

-- The running sandboxes that take more than `above` bytes: by what is in their schemas, and by what their roles own
-- elsewhere, such as temporary tables. It reads the catalogue and the files' sizes, and nothing that a sandbox has made.
CREATE FUNCTION measure_sandboxes(above bigint) RETURNS TABLE (sandbox_id uuid, bytes bigint)
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    WITH locked AS MATERIALIZED (
        SELECT relation FROM pg_locks
         WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    SELECT id, total FROM (
        SELECT sandbox.id, sum(CASE WHEN relkind = 'S' OR pg_class.oid IN (SELECT relation FROM locked)
                                    THEN relpages * current_setting('block_size')::bigint
                                    ELSE sandbox_control.sandbox_relation_bytes(pg_class.oid, relpages) END)::bigint AS total
          FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
          JOIN sandbox_control.sandboxes AS sandbox ON sandbox.schema_name =
               CASE WHEN nspname ~ '^sandbox_[0-9a-f]{8}$' THEN nspname ELSE pg_get_userbyid(relowner) END
         WHERE relkind IN ('r', 'm', 'S') AND sandbox.status = 'running'
         GROUP BY sandbox.id) AS measured
     WHERE total > above
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public, sandbox_control FROM PUBLIC;
