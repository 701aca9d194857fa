-- Which installation this is, wherever its database is restored to. Worked out from what has been there since the first
-- start, so that a backup from before this migration comes to the same.
CREATE TABLE installation (id uuid NOT NULL);
INSERT INTO installation
SELECT md5(format('%s %s', (SELECT extract(epoch FROM min(applied_at)) FROM schema_migrations), snowflake))::uuid
  FROM custom_ids_since;

-- When it was noticed that this database lacks a change that other stores know of: it was restored from a backup.
-- known_at: when that change was made; newest_at: the last one that is here.
CREATE TABLE restores (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    noticed_at         timestamptz NOT NULL DEFAULT now(),
    known_at           timestamptz NOT NULL,
    newest_at          timestamptz,
    told_at            timestamptz,
    settled_at         timestamptz,
    settlement_told_at timestamptz
);
CREATE UNIQUE INDEX restores_unsettled_key ON restores ((settled_at IS NULL)) WHERE settled_at IS NULL;

-- They may have been replaced or revoked since the backup, so nobody is let in by them until they are replaced.
ALTER TABLE sandbox_credentials ADD COLUMN is_held boolean NOT NULL DEFAULT false;

CREATE FUNCTION restore_is_unsettled() RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM sandbox_control.restores WHERE settled_at IS NULL)
$$;

-- Which installation has made a role, for roles are the whole server's, when, and in which database of which server: of
-- two copies of an installation on one server each has its own roles.
CREATE OR REPLACE FUNCTION sandbox_role_mark() RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('discord-sandboxes, installation %s, server %s, database %s, made ', installation.id, system_identifier,
                  pg_database.oid)
      FROM sandbox_control.installation, pg_control_system(), pg_database WHERE datname = current_database()
$$;

-- When this installation made the role, NULL if it is not its own. On another server, or when its database has gone, a
-- role that was restored is as good as made here; a mark from before there were installations counts in its database.
CREATE FUNCTION sandbox_role_made_at(role_name text) RETURNS timestamptz
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT part[4]::timestamptz
      FROM regexp_match(shobj_description(to_regrole(quote_ident(role_name)), 'pg_authid'),
                        '^discord-sandboxes, (?:installation (\S+), server (\d+), )?database (\d+), made (.+)$') AS part
     WHERE role_name ~ '^sandbox_[0-9a-f]{8}$'
       AND CASE WHEN part[1] IS NULL
                THEN EXISTS (SELECT FROM pg_database WHERE oid = part[3]::oid AND datname = current_database())
                ELSE part[1] = (SELECT id::text FROM sandbox_control.installation)
                     AND NOT EXISTS (SELECT FROM pg_database
                                      WHERE oid = part[3]::oid AND datname <> current_database()
                                        AND part[2] = (SELECT system_identifier::text FROM pg_control_system())) END
$$;

CREATE OR REPLACE FUNCTION sandbox_role_exists(role_name text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT sandbox_control.sandbox_role_made_at(role_name) IS NOT NULL
$$;

-- In the transaction that has made the role; and again where it has come from elsewhere, or from an earlier version.
CREATE OR REPLACE FUNCTION mark_sandbox_role(sandbox_id uuid) RETURNS void
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role_name constant text := sandbox_control.sandbox_schema_name(sandbox_id);
    mark constant text := shobj_description(to_regrole(role_name)::oid, 'pg_authid');
BEGIN
    IF mark IS NULL
       OR sandbox_control.sandbox_role_exists(role_name) AND NOT starts_with(mark, sandbox_control.sandbox_role_mark()) THEN
        EXECUTE format('COMMENT ON ROLE %I IS %L', role_name, sandbox_control.sandbox_role_mark()
                       || coalesce(sandbox_control.sandbox_role_made_at(role_name), now()));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION orphaned_sandbox_roles(min_age interval)
    RETURNS TABLE (role_name text, is_ours boolean, was_destroyed boolean)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    WITH candidate AS MATERIALIZED (
        SELECT rolname::text AS name, sandbox_control.sandbox_role_made_at(rolname) AS made_at
          FROM pg_roles WHERE rolname ~ '^sandbox_[0-9a-f]{8}$'
           AND NOT EXISTS (SELECT FROM sandbox_control.sandboxes WHERE schema_name = rolname AND status <> 'destroyed')
           AND (starts_with(coalesce(shobj_description(oid, 'pg_authid'), ''), 'discord-sandboxes, ')
                OR sandbox_control.sandbox_role_may_connect(rolname)))
    SELECT name, made_at IS NOT NULL, sandbox_control.sandbox_was_destroyed(name, min_age)
      FROM candidate WHERE coalesce(made_at, '-infinity') <= now() - min_age
     ORDER BY name
$$;

-- The end of a change: lets it in again, unless the sandbox is over or its credentials are held. False if there is a
-- newer note, or none.
CREATE OR REPLACE FUNCTION readmit_sandbox_role(sandbox_id uuid, noted_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sandbox record;
BEGIN
    -- A login that is under way has read the password of before, and would find itself let in, to set that password again.
    PERFORM pg_sleep(0.25) FROM sandbox_control.sandboxes
      WHERE id = sandbox_id AND status IN ('running', 'expired')
        AND NOT sandbox_control.sandbox_role_may_connect(schema_name) AND sandbox_control.sandbox_role_exists(schema_name);
    UPDATE sandbox_control.sandboxes SET role_changed_at = NULL WHERE id = sandbox_id AND role_changed_at = noted_at
 RETURNING schema_name, status INTO sandbox;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF sandbox.status IN ('running', 'expired') AND sandbox_control.sandbox_role_exists(sandbox.schema_name)
       AND NOT sandbox_control.sandbox_role_may_connect(sandbox.schema_name)
       AND NOT EXISTS (SELECT FROM sandbox_control.sandbox_credentials AS credentials
                        WHERE credentials.sandbox_id = readmit_sandbox_role.sandbox_id AND is_held) THEN
        PERFORM sandbox_control.admit_sandbox_role(sandbox.schema_name);
    END IF;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION end_barred_sandbox_sessions() RETURNS bigint
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE usename ~ '^sandbox_[0-9a-f]{8}$' AND datname = current_database()
       AND sandbox_control.sandbox_role_exists(usename)
       AND NOT EXISTS (SELECT FROM sandbox_control.sandboxes AS sandbox
                         JOIN sandbox_control.sandbox_credentials AS credentials ON credentials.sandbox_id = sandbox.id
                        WHERE schema_name = usename AND status = 'running' AND expires_at > now()
                          AND cut_at <= backend_start AND NOT is_held)
$$;

-- Roles that are there already, as far as their mark is this database's, or that of one which has gone and has brought a
-- sandbox here. One whose mark cannot be changed keeps it.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT rolname, part[2] AS at
          FROM pg_roles, regexp_match(shobj_description(pg_roles.oid, 'pg_authid'),
                                      '^discord-sandboxes, database (\d+), made (.+)$') AS part
         WHERE rolname ~ '^sandbox_[0-9a-f]{8}$'
           AND (EXISTS (SELECT FROM pg_database WHERE oid = part[1]::oid AND datname = current_database())
                OR NOT EXISTS (SELECT FROM pg_database WHERE oid = part[1]::oid)
                   AND EXISTS (SELECT FROM sandboxes WHERE schema_name = rolname))
    LOOP
        BEGIN
            EXECUTE format('COMMENT ON ROLE %I IS %L', made.rolname, sandbox_role_mark() || made.at);
        EXCEPTION
            WHEN insufficient_privilege OR lock_not_available OR internal_error THEN NULL;
        END;
    END LOOP;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sandbox_control FROM PUBLIC;
