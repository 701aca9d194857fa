-- A worker may keep its role's row in pg_authid to itself: ALTER ROLE CURRENT_USER in a transaction that it holds open. So
-- what changes in a role is noted first, with its membership in sandbox_worker revoked (the row of another table, without
-- which nobody may connect); then its sessions are ended, it is altered, and it is let in again, each in a transaction of
-- its own. Who dies in between leaves the note to whoever finds it.

-- What its role may do has changed, and the role has not followed yet. An older bot does not know of it, and so does not
-- take it for done.
ALTER TABLE sandboxes ADD COLUMN role_changed_at timestamptz;
CREATE INDEX sandboxes_role_changed_idx ON sandboxes (role_changed_at) WHERE role_changed_at IS NOT NULL;

-- A role is ours if it has the name of a sandbox's schema and carries the mark of this database; or of one that the server
-- does not have, for a restored database has another number, and its roles the old one.
CREATE OR REPLACE FUNCTION sandbox_role_exists(role_name text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((
        SELECT role_name ~ '^sandbox_[0-9a-f]{8}$'
           AND NOT EXISTS (SELECT FROM pg_database WHERE oid = made_by AND datname <> current_database())
          FROM CAST(substring(shobj_description(to_regrole(quote_ident(role_name)), 'pg_authid')
                              FROM '^discord-sandboxes, database ([0-9]+), made ') AS oid) AS made_by
         WHERE made_by IS NOT NULL), false)
$$;

CREATE FUNCTION sandbox_role_may_connect(role_name text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_auth_members
                    WHERE member = to_regrole(quote_ident(role_name)) AND roleid = to_regrole('sandbox_worker'))
$$;

-- Into the group; safe to repeat. From PostgreSQL 16 on without SET: what a worker makes as sandbox_worker is everybody's.
CREATE FUNCTION admit_sandbox_role(role_name text) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT sandbox_worker TO %I', role_name)
         || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
END $$;

CREATE OR REPLACE FUNCTION create_sandbox_role(sandbox_id uuid, valid_until timestamptz, max_connections integer)
    RETURNS void LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
    inherit constant text := CASE WHEN current_setting('server_version_num')::int >= 160000
                                  THEN ' WITH INHERIT TRUE, SET FALSE' ELSE '' END;
BEGIN
    IF public.sandbox_role_exists(role_name) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE ROLE %I LOGIN CONNECTION LIMIT %s VALID UNTIL %L', role_name, max_connections, valid_until);
    EXECUTE format('ALTER ROLE %I SET search_path = %I', role_name, role_name);
    EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', role_name, '60s');
    EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', role_name, '10s');
    EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role_name, '60s');
    PERFORM public.mark_sandbox_role(sandbox_id);
    EXECUTE format('GRANT %I TO CURRENT_USER%s', role_name, inherit);  -- to end its sessions and drop what it owns
    PERFORM public.admit_sandbox_role(role_name);
    PERFORM public.grant_sandbox_schema(sandbox_id);
END $$;

-- What waits for the role's row, or fails, is a statement without the verifier: an error's context is logged.
CREATE OR REPLACE FUNCTION set_sandbox_role_password(sandbox_id uuid, verifier text) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF verifier NOT LIKE 'SCRAM-SHA-256$%' THEN
        RAISE EXCEPTION 'not a SCRAM verifier' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT public.sandbox_role_exists(role_name) THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER ROLE %I INHERIT', role_name);  -- as it is; the row is ours until the commit
    BEGIN
        EXECUTE format('ALTER ROLE %I PASSWORD %L', role_name, verifier);
    EXCEPTION
        WHEN query_canceled OR OTHERS THEN
            RAISE EXCEPTION 'the password of % was not set', role_name USING ERRCODE = SQLSTATE;
    END;
END $$;

-- No new login to this database from the commit on, whatever the role's sessions hold.
CREATE OR REPLACE FUNCTION cut_sandbox_role(sandbox_id uuid) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := public.sandbox_schema_name(sandbox_id);
BEGIN
    IF public.sandbox_role_exists(role_name) AND public.sandbox_role_may_connect(role_name) THEN
        EXECUTE format('REVOKE sandbox_worker FROM %I', role_name);
    END IF;
END $$;

-- The same, with the note that its role is to be altered before it is let in again.
CREATE FUNCTION shut_out_sandbox_role(sandbox_id uuid) RETURNS void
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.sandboxes SET role_changed_at = clock_timestamp() WHERE id = sandbox_id;
    SELECT public.cut_sandbox_role(sandbox_id)
$$;

-- Has the role follow what is committed, if that is still what was noted: its expiry; if it is shut out, its password; and
-- no login at all if the sandbox is over. False if another session holds the role's row.
CREATE FUNCTION alter_sandbox_role(sandbox_id uuid, noted_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sandbox record;
BEGIN
    SELECT schema_name, status, expires_at INTO sandbox FROM public.sandboxes
     WHERE id = sandbox_id AND role_changed_at = noted_at FOR UPDATE;
    IF NOT FOUND OR NOT public.sandbox_role_exists(sandbox.schema_name) THEN
        RETURN true;
    END IF;
    PERFORM set_config('lock_timeout', '300ms', true);
    EXECUTE format('ALTER ROLE %I VALID UNTIL %L', sandbox.schema_name, sandbox.expires_at);
    IF sandbox.status NOT IN ('running', 'expired') THEN
        EXECUTE format('ALTER ROLE %I NOLOGIN CONNECTION LIMIT 0', sandbox.schema_name);
    ELSIF NOT public.sandbox_role_may_connect(sandbox.schema_name) THEN
        PERFORM public.set_sandbox_role_password(credentials.sandbox_id, credentials.scram_verifier)
           FROM public.sandbox_credentials AS credentials
          WHERE credentials.sandbox_id = alter_sandbox_role.sandbox_id;
    END IF;
    RETURN true;
EXCEPTION
    WHEN lock_not_available OR internal_error THEN  -- the latter is what "tuple concurrently updated" is called
        RETURN false;
END $$;

-- The end of a change: lets it in again, unless the sandbox is over. False if there is a newer note, or none.
CREATE FUNCTION readmit_sandbox_role(sandbox_id uuid, noted_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sandbox record;
BEGIN
    -- A login that is under way has read the password of before, and would find itself let in, to set that password again.
    PERFORM pg_sleep(0.25) FROM public.sandboxes
      WHERE id = sandbox_id AND status IN ('running', 'expired') AND NOT public.sandbox_role_may_connect(schema_name)
        AND public.sandbox_role_exists(schema_name);
    UPDATE public.sandboxes SET role_changed_at = NULL WHERE id = sandbox_id AND role_changed_at = noted_at
 RETURNING schema_name, status INTO sandbox;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF sandbox.status IN ('running', 'expired') AND public.sandbox_role_exists(sandbox.schema_name)
       AND NOT public.sandbox_role_may_connect(sandbox.schema_name) THEN
        PERFORM public.admit_sandbox_role(sandbox.schema_name);
    END IF;
    RETURN true;
END $$;

-- Roles named like ours, marked or grouped, whose sandbox does not live in this database, but for the young ones.
-- is_ours: this database has made it; was_destroyed: it knows the sandbox as destroyed.
CREATE OR REPLACE FUNCTION orphaned_sandbox_roles(min_age interval)
    RETURNS TABLE (role_name text, is_ours boolean, was_destroyed boolean)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    WITH marked AS MATERIALIZED (
        SELECT rolname::text AS name, coalesce(shobj_description(oid, 'pg_authid'), '') AS mark,
               public.sandbox_role_mark() AS our_mark
          FROM pg_roles WHERE rolname ~ '^sandbox_[0-9a-f]{8}$'
           AND NOT EXISTS (SELECT FROM public.sandboxes WHERE schema_name = rolname AND status <> 'destroyed')),
    candidate AS (
        SELECT name, mark, our_mark FROM marked
         WHERE starts_with(mark, 'discord-sandboxes, database ') OR public.sandbox_role_may_connect(name))
    SELECT name, starts_with(mark, our_mark), public.sandbox_was_destroyed(name, min_age)
      FROM candidate
     WHERE NOT starts_with(mark, our_mark) OR substr(mark, length(our_mark) + 1)::timestamptz <= now() - min_age
     ORDER BY name
$$;

-- Before it is dropped, in a transaction of its own: no new login, if it is an orphan still.
CREATE FUNCTION shut_out_orphaned_sandbox_role(orphan text, min_age interval) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF public.sandbox_role_may_connect(orphan)
       AND EXISTS (SELECT FROM public.orphaned_sandbox_roles(min_age) WHERE role_name = orphan AND is_ours) THEN
        EXECUTE format('REVOKE sandbox_worker FROM %I', orphan);
    END IF;
END $$;

-- Of the group itself, which is where a worker of PostgreSQL 15 may still make some; every worker may read those. Up to
-- `most`; how many they were. One that a worker holds is left to a later call.
CREATE FUNCTION drop_stray_large_objects(most integer) RETURNS integer
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms' AS $$
DECLARE
    stray oid;
    dropped integer := 0;
BEGIN
    FOR stray IN
        SELECT objid FROM pg_shdepend
         WHERE refclassid = 'pg_authid'::regclass AND refobjid = to_regrole('sandbox_worker')
           AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND classid = 'pg_largeobject'::regclass AND deptype = 'o'
         LIMIT most
    LOOP
        BEGIN
            PERFORM lo_unlink(stray);
            dropped := dropped + 1;
        EXCEPTION
            WHEN lock_not_available OR undefined_object OR internal_error THEN NULL;
        END;
    END LOOP;
    RETURN dropped;
END $$;

-- PostgreSQL 15 lets a role grant itself to others, who then hold its row, or have what is its, when its password has been
-- replaced. Revokes what sandboxes have granted each other; whose sessions are to be ended after the commit.
CREATE FUNCTION revoke_borrowed_sandbox_roles() RETURNS SETOF text
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lent record;
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        RETURN;
    END IF;
    FOR lent IN
        SELECT owner.rolname AS owner, borrower.rolname AS borrower
          FROM pg_auth_members AS membership JOIN pg_roles AS owner ON owner.oid = membership.roleid
          JOIN pg_roles AS borrower ON borrower.oid = membership.member
         WHERE public.sandbox_role_exists(owner.rolname) AND public.sandbox_role_exists(borrower.rolname)
    LOOP
        EXECUTE format('REVOKE %I FROM %I', lent.owner, lent.borrower);
        RETURN NEXT lent.borrower;
    END LOOP;
END $$;

-- Roles that are there already: the proof of today becomes their mark, and they lose SET.
DO $$
DECLARE
    sandbox record;
BEGIN
    FOR sandbox IN
        SELECT id, schema_name, to_regrole(schema_name)::oid AS role FROM public.sandboxes
         WHERE status <> 'destroyed' AND public.sandbox_role_may_connect(schema_name)
    LOOP
        IF NOT starts_with(coalesce(shobj_description(sandbox.role, 'pg_authid'), ''), public.sandbox_role_mark()) THEN
            EXECUTE format('COMMENT ON ROLE %I IS %L', sandbox.schema_name, public.sandbox_role_mark() || now());
        END IF;
        PERFORM public.admit_sandbox_role(sandbox.schema_name);
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
