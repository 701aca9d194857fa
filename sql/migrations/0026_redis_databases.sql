-- A database of Valkey's own for a sandbox, from its creation to its end; NULL: it shares one with others, by its prefix.
-- Two bots that take the same number at the same moment: one of them finds it taken.
ALTER TABLE sandboxes
    ADD COLUMN redis_database integer CONSTRAINT sandboxes_redis_database_check CHECK (redis_database >= 0),
    -- Its user may run no scripts any more, for one has stopped the server.
    ADD COLUMN scripts_withdrawn_at timestamptz;
CREATE UNIQUE INDEX sandboxes_redis_database_key ON sandboxes (redis_database)
 WHERE redis_database IS NOT NULL AND status <> 'destroyed';

ALTER TYPE sandbox_control.sandbox_notice_kind ADD VALUE 'scripts_withdrawn';
