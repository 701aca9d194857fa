-- Who may have a shard's gateway session: one process at a time, until `expires_at` by the clock of this server. `holder`
-- is a process; given back, the lease is expired at once. Each takeover has a higher epoch, which is a time
-- (milliseconds): so it is higher, too, than one from before this database was restored or made anew. With another number
-- of shards Discord divides the guilds differently, and the sessions are others.
CREATE TABLE gateway_leases (
    application_id numeric(20) NOT NULL,
    shard_count    integer NOT NULL,
    shard_id       integer NOT NULL,
    holder         uuid NOT NULL,
    epoch          bigint NOT NULL,
    expires_at     timestamptz NOT NULL,
    CONSTRAINT gateway_leases_pkey PRIMARY KEY (application_id, shard_count, shard_id)
);

-- The bots that run shards or wait for them, for people to read. `name` is a host and a process. One that was not seen
-- for as long as a lease lasts is gone.
CREATE TABLE gateway_processes (
    id             uuid PRIMARY KEY,
    application_id numeric(20) NOT NULL,
    shard_count    integer NOT NULL,
    shard_ids      integer[] NOT NULL,
    name           text NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT now(),
    seen_at        timestamptz NOT NULL DEFAULT now()
);
