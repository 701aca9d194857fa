-- The control plane's tables. Discord ids are unsigned 64-bit numbers, hence numeric(20).

CREATE TYPE sandbox_status AS ENUM ('pending', 'creating', 'running', 'expired', 'destroying', 'destroyed');

-- One row per developer, there to be locked: it serialises one owner's creates against the quota.
CREATE TABLE sandbox_owners (
    id         numeric(20) PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION sandbox_schema_name(sandbox_id uuid) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN 'sandbox_' || left(replace(sandbox_id::text, '-', ''), 8);

CREATE TABLE sandboxes (
    id                uuid PRIMARY KEY,
    name              text NOT NULL CONSTRAINT sandboxes_name_check CHECK (name ~ '^[a-z0-9-]{3,40}$'),
    owner_id          numeric(20) NOT NULL REFERENCES sandbox_owners (id),
    description       text CONSTRAINT sandboxes_description_check CHECK (length(description) <= 200),
    status            sandbox_status NOT NULL DEFAULT 'pending',
    schema_name       text NOT NULL CONSTRAINT sandboxes_schema_name_check
                      CHECK (schema_name = sandbox_schema_name(id)),
    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL CONSTRAINT sandboxes_expires_at_check CHECK (expires_at > created_at),
    status_changed_at timestamptz NOT NULL DEFAULT now(),
    last_activity_at  timestamptz,
    destroyed_at      timestamptz,
    CONSTRAINT sandboxes_destroyed_at_check CHECK ((status = 'destroyed') = (destroyed_at IS NOT NULL))
);

-- Names and schema names are taken only as long as the sandbox lives.
CREATE UNIQUE INDEX sandboxes_name_key ON sandboxes (name) WHERE status <> 'destroyed';
CREATE UNIQUE INDEX sandboxes_schema_name_key ON sandboxes (schema_name) WHERE status <> 'destroyed';
CREATE INDEX sandboxes_owner_idx ON sandboxes (owner_id, created_at DESC) WHERE status <> 'destroyed';
CREATE INDEX sandboxes_expiry_idx ON sandboxes (status, expires_at) WHERE status <> 'destroyed';

CREATE TABLE sandbox_guild_mapping (
    guild_id   numeric(20) NOT NULL CONSTRAINT sandbox_guild_mapping_pkey PRIMARY KEY,
    sandbox_id uuid NOT NULL REFERENCES sandboxes (id),
    bound_by   numeric(20) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sandbox_guild_mapping_sandbox_idx ON sandbox_guild_mapping (sandbox_id);

-- A sandbox with its guilds: what every reader of a sandbox reads.
CREATE VIEW sandbox_overview AS
SELECT sandbox.id, sandbox.name, sandbox.owner_id, sandbox.description, sandbox.status, sandbox.schema_name,
       sandbox.created_at, sandbox.expires_at, sandbox.last_activity_at,
       ARRAY(SELECT mapping.guild_id FROM sandbox_guild_mapping AS mapping
              WHERE mapping.sandbox_id = sandbox.id ORDER BY mapping.created_at, mapping.guild_id) AS guild_ids
  FROM sandboxes AS sandbox;

-- Rows outlive the sandbox: no foreign key, no cascade.
CREATE TABLE sandbox_audit_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sandbox_id uuid NOT NULL,
    event_type text NOT NULL,
    actor_id   numeric(20),
    details    jsonb NOT NULL DEFAULT '{}' CONSTRAINT sandbox_audit_log_details_check
               CHECK (jsonb_typeof(details) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sandbox_audit_log_sandbox_idx ON sandbox_audit_log (sandbox_id, id DESC);

-- The outbox of direct messages. A notice is written with the change that it tells of; the bot then addresses
-- it (one delivery per recipient) and delivers. An extension moves expires_at and so makes a new notice possible.
CREATE TYPE sandbox_notice_kind AS ENUM ('expiry_warning', 'expired');

CREATE TABLE sandbox_notices (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sandbox_id   uuid NOT NULL REFERENCES sandboxes (id),
    kind         sandbox_notice_kind NOT NULL,
    expires_at   timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    addressed_at timestamptz,
    CONSTRAINT sandbox_notices_once UNIQUE (sandbox_id, kind, expires_at)
);
CREATE INDEX sandbox_notices_unaddressed_idx ON sandbox_notices (id) WHERE addressed_at IS NULL;

CREATE TABLE sandbox_notice_deliveries (
    notice_id       bigint NOT NULL REFERENCES sandbox_notices (id),
    recipient_id    numeric(20) NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    settled_at      timestamptz,
    outcome         text,
    PRIMARY KEY (notice_id, recipient_id)
);
CREATE INDEX sandbox_notice_deliveries_due_idx ON sandbox_notice_deliveries (next_attempt_at) WHERE settled_at IS NULL;

-- What Discord was last told of our commands, so that a start tells it only what has changed.
CREATE TABLE command_syncs (
    application_id numeric(20) PRIMARY KEY,
    checksum       text NOT NULL,
    synced_at      timestamptz NOT NULL DEFAULT now()
);
