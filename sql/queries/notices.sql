-- write_notice --
-- At most once per expiry. $1 sandbox id, $2 kind, $3 the expiry it tells of
INSERT INTO sandbox_notices (sandbox_id, kind, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (sandbox_id, kind, expires_at) WHERE guild_id IS NULL DO NOTHING;

-- write_removal --
-- $1 sandbox id, $2 its expiry, $3 guild id, $4 guild name or NULL
INSERT INTO sandbox_notices (sandbox_id, kind, expires_at, guild_id, guild_name)
VALUES ($1, 'guild_removed', $2, $3, $4);

-- write_cause --
-- At most once per expiry. $1 sandbox id, $2 its expiry, $3 what it tells of
INSERT INTO sandbox_notices (sandbox_id, kind, expires_at, cause) VALUES ($1, 'guild_removed', $2, $3)
ON CONFLICT (sandbox_id, kind, expires_at) WHERE guild_id IS NULL DO NOTHING;

-- write_unbinding --
-- With its deliveries, for the owner is not the only one. $1 sandbox id, $2 its expiry, $3 guild id, $4 guild name or NULL,
-- $5 reason, $6 by whom or on whose account, $7 recipient ids
WITH notice AS (
    INSERT INTO sandbox_notices (sandbox_id, kind, expires_at, guild_id, guild_name, guild_reason, person_id, addressed_at)
    VALUES ($1, 'guild_removed', $2, $3, $4, $5, $6, now()) RETURNING id
)
INSERT INTO sandbox_notice_deliveries (notice_id, recipient_id) SELECT id, unnest($7::numeric[]) FROM notice;

-- write_warnings --
-- For what expires soon: within $1, or, of a life shorter than twice that, in its second half. In order of the ids, for
-- two that write the same ones in another order would wait for each other.
INSERT INTO sandbox_notices (sandbox_id, kind, expires_at)
SELECT sandbox.id, 'expiry_warning', sandbox.expires_at FROM sandboxes AS sandbox
 WHERE sandbox.status = 'running' AND sandbox.expires_at > now()
   AND sandbox.expires_at - now() <= least($1::interval, (sandbox.expires_at - sandbox.created_at) / 2)
   AND NOT EXISTS (SELECT FROM sandbox_notices AS notice
                    WHERE notice.sandbox_id = sandbox.id AND notice.kind = 'expiry_warning'
                      AND notice.expires_at = sandbox.expires_at)
 ORDER BY sandbox.id
ON CONFLICT (sandbox_id, kind, expires_at) WHERE guild_id IS NULL DO NOTHING
RETURNING id;

-- lock_new --
-- Those that have no deliveries yet. $1 limit
SELECT notice.id, notice.kind, notice.cause, sandbox.owner_id FROM sandbox_notices AS notice
  JOIN sandboxes AS sandbox ON sandbox.id = notice.sandbox_id
 WHERE notice.addressed_at IS NULL ORDER BY notice.id LIMIT $1 FOR UPDATE OF notice SKIP LOCKED;

-- fan_out --
-- One delivery per recipient. $1 notice id, $2 recipient ids
WITH marked AS (UPDATE sandbox_notices SET addressed_at = now() WHERE id = $1)
INSERT INTO sandbox_notice_deliveries (notice_id, recipient_id)
SELECT $1, unnest($2::numeric[]) ON CONFLICT DO NOTHING;

-- claim_delivery --
-- The next one that is due, leased for $1: if the process dies, another one goes on after that.
UPDATE sandbox_notice_deliveries AS delivery
   SET attempts = delivery.attempts + 1, next_attempt_at = now() + $1::interval
  FROM (SELECT due.notice_id, due.recipient_id FROM sandbox_notice_deliveries AS due
         WHERE due.settled_at IS NULL AND due.next_attempt_at <= now()
         ORDER BY due.next_attempt_at, due.notice_id LIMIT 1 FOR UPDATE SKIP LOCKED) AS next,
       sandbox_notices AS notice
 WHERE delivery.notice_id = next.notice_id AND delivery.recipient_id = next.recipient_id
   AND notice.id = delivery.notice_id
RETURNING delivery.notice_id, delivery.recipient_id, delivery.attempts,
          notice.kind, notice.sandbox_id, notice.expires_at, notice.guild_id, notice.guild_name,
          notice.guild_reason AS unbinding, notice.person_id, notice.cause;

-- settle_delivery --
-- $1 notice id, $2 recipient id, $3 outcome
UPDATE sandbox_notice_deliveries SET settled_at = now(), outcome = $3
 WHERE notice_id = $1 AND recipient_id = $2 AND settled_at IS NULL
RETURNING notice_id;

-- last_outcome --
-- Of the latest notice of a sandbox that was attempted. $1 sandbox id, $2 recipient id
SELECT delivery.outcome FROM sandbox_notices AS notice
  JOIN sandbox_notice_deliveries AS delivery ON delivery.notice_id = notice.id AND delivery.recipient_id = $2
 WHERE notice.sandbox_id = $1 AND delivery.settled_at IS NOT NULL AND delivery.outcome <> 'obsolete'
 ORDER BY notice.id DESC LIMIT 1;

-- postpone_delivery --
-- $1 notice id, $2 recipient id, $3 by how long
UPDATE sandbox_notice_deliveries SET next_attempt_at = now() + $3::interval
 WHERE notice_id = $1 AND recipient_id = $2 AND settled_at IS NULL;
