-- Discord sends an interaction again to a bot that was killed before it could say how far it had come. Its id is written
-- down in the transaction of the change that it asks for, so that the change is made once. A day is long enough: the
-- answer to an interaction may be changed for fifteen minutes.
CREATE TABLE sandbox_idempotency_keys (
    key      numeric(20) NOT NULL,
    action   text        NOT NULL,
    actor_id numeric(20) NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    -- What it came to, without secrets. NULL: it takes several transactions, and the last has not come yet.
    result   jsonb,
    CONSTRAINT sandbox_idempotency_keys_pkey PRIMARY KEY (key, action)
);
CREATE INDEX sandbox_idempotency_keys_begun_idx ON sandbox_idempotency_keys (begun_at);
