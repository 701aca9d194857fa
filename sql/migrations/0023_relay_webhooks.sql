-- The webhooks that sandboxes' own bots have made, which Discord would keep for ever, and how much these bots change.

CREATE TABLE relay_webhooks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id  numeric(20) UNIQUE,
    sandbox_id  uuid NOT NULL REFERENCES sandboxes (id),
    guild_id    numeric(20) NOT NULL,
    channel_id  numeric(20) NOT NULL,
    begun_at    timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX relay_webhooks_sandbox_idx ON relay_webhooks (sandbox_id);
COMMENT ON TABLE relay_webhooks IS 'webhook_id is Discord''s, NULL between the intent and its answer; next_try_at is when it may be deleted in Discord, if it is to be.';

CREATE TABLE relay_usage (
    sandbox_id uuid NOT NULL,
    hour       timestamptz NOT NULL,
    operation  text NOT NULL,
    requests   bigint NOT NULL,
    refused    bigint NOT NULL,
    PRIMARY KEY (sandbox_id, hour, operation)
);
COMMENT ON TABLE relay_usage IS 'Changes that sandboxes'' own bots have asked Discord for, counted by the hour: the audit of what is too much for lines.';
