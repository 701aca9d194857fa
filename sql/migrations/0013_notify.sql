-- What changes a route needs no NOTIFY any more: its queue is the whole server's, any role may fill it, and then whatever
-- notifies fails. A revision carries the truth, and the hint that shortens the wait for it comes after the commit.

-- Secrets that the bots share and that can be rotated. They are made here, so that none is in a statement or a log of it.
CREATE TABLE bot_keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose    text NOT NULL,
    secret     bytea NOT NULL DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
CREATE UNIQUE INDEX bot_keys_current_idx ON bot_keys (purpose) WHERE retired_at IS NULL;

-- The current key of each purpose and, for a day, the one before it. Two rotations in a row end a key at once.
CREATE VIEW valid_bot_keys AS
SELECT id, purpose, secret FROM (
    SELECT id, purpose, secret, retired_at, row_number() OVER (PARTITION BY purpose ORDER BY id DESC) AS age FROM bot_keys
) AS key
 WHERE age <= 2 AND (retired_at IS NULL OR retired_at > now() - interval '1 day');

-- Which revision changed a guild's route last. The one row of the counter is locked from there to the commit, so that
-- revisions are committed in their order: who has read one has read all before it.
CREATE TABLE sandbox_route_revision (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT sandbox_route_revision_only_row_check CHECK (only_row),
    revision bigint NOT NULL
);
INSERT INTO sandbox_route_revision (revision) VALUES (0);
CREATE TABLE sandbox_route_changes (
    guild_id numeric(20) PRIMARY KEY,
    revision bigint NOT NULL
);
CREATE INDEX sandbox_route_changes_revision_idx ON sandbox_route_changes (revision);

CREATE FUNCTION raise_route_revision(guild_ids numeric[]) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    WITH raised AS (UPDATE public.sandbox_route_revision SET revision = revision + 1 RETURNING revision)
    INSERT INTO public.sandbox_route_changes (guild_id, revision)
    SELECT DISTINCT guild_id, raised.revision FROM raised, unnest(guild_ids) AS guild_id
        ON CONFLICT (guild_id) DO UPDATE SET revision = excluded.revision
$$;

CREATE OR REPLACE FUNCTION announce_mapping() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.raise_route_revision(array_remove(ARRAY[OLD.guild_id, NEW.guild_id], NULL));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION announce_sandbox() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bound constant numeric[] := ARRAY(SELECT guild_id FROM public.sandbox_guild_mapping WHERE sandbox_id = NEW.id);
BEGIN
    IF cardinality(bound) > 0 THEN
        PERFORM public.raise_route_revision(bound);
    END IF;
    RETURN NULL;
END $$;

-- Deferred to the commit: the counter's row is held for its moment, and by whoever holds all other locks already. The
-- tables are locked in the order of a running bot's transactions.
LOCK TABLE sandboxes, sandbox_guild_mapping IN ACCESS EXCLUSIVE MODE;
DROP TRIGGER sandbox_guild_mapping_announce ON sandbox_guild_mapping;
CREATE CONSTRAINT TRIGGER sandbox_guild_mapping_announce AFTER INSERT OR UPDATE OR DELETE ON sandbox_guild_mapping
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION announce_mapping();
DROP TRIGGER sandboxes_announce ON sandboxes;
CREATE CONSTRAINT TRIGGER sandboxes_announce AFTER UPDATE OF status, expires_at ON sandboxes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION announce_sandbox();

-- If more than that share of the queue of notifications is used, ends the sandboxes' sessions that may be what it waits
-- for, which the server shows nowhere, and says how many. It waits for a listener whose transaction goes on, or whose
-- client reads nothing, though that looks idle. First go all whose transaction or statement is too old, the oldest first. A
-- session may have one after the other without a moment between them; so if that was not it, the others follow, one by one,
-- the longest connected first, until the queue goes on.
CREATE FUNCTION relieve_notify_queue(most_used double precision, longest interval) RETURNS integer
    LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    suspect record;
    ended integer := 0;
BEGIN
    IF pg_notification_queue_usage() <= most_used THEN
        RETURN 0;
    END IF;
    FOR suspect IN
        SELECT pid, since < clock_timestamp() - longest AS is_overlong
          FROM pg_stat_activity,
               LATERAL (SELECT least(xact_start, CASE WHEN state = 'active' THEN query_start
                                                      WHEN wait_event = 'ClientWrite' THEN state_change END) AS since) AS work
         WHERE usename ~ '^sandbox_[0-9a-f]{8}$' AND public.sandbox_role_exists(usename) AND since IS NOT NULL
         ORDER BY is_overlong DESC, CASE WHEN since < clock_timestamp() - longest THEN since ELSE backend_start END
    LOOP
        EXIT WHEN NOT suspect.is_overlong AND pg_notification_queue_usage() <= most_used;
        ended := ended + pg_terminate_backend(suspect.pid, 200)::integer;
    END LOOP;
    RETURN ended;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
