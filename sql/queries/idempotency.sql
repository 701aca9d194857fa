-- begin --
-- No row if the key was used for it before; whose transaction has used it and is not over yet is waited for. $1 key,
-- $2 action, $3 who asks, $4 result as far as it is known, or NULL
INSERT INTO sandbox_idempotency_keys (key, action, actor_id, result) VALUES ($1, $2, $3, $4)
ON CONFLICT ON CONSTRAINT sandbox_idempotency_keys_pkey DO NOTHING RETURNING key;

-- get --
-- Separate on purpose: inside begin it would not see what that has waited for. $1 key, $2 action
SELECT actor_id, result FROM sandbox_idempotency_keys WHERE key = $1 AND action = $2;

-- finish --
-- $1 key, $2 action, $3 result
UPDATE sandbox_idempotency_keys SET result = $3 WHERE key = $1 AND action = $2;

-- take_over --
-- No row unless it was begun $3 ago: whoever did that may be at it. Of several one gets it. $1 key, $2 action
UPDATE sandbox_idempotency_keys SET begun_at = clock_timestamp()
 WHERE key = $1 AND action = $2 AND begun_at <= clock_timestamp() - $3::interval
RETURNING key;

-- expire --
-- $1 how long keys are kept
DELETE FROM sandbox_idempotency_keys WHERE begun_at <= now() - $1::interval RETURNING key;
