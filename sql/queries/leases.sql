-- beat --
-- The process is there. Written at most so often, for one that waits asks more often than it renews.
-- $1 process, $2 application, $3 number of shards, $4 its shards, $5 name, $6 how often (interval)
INSERT INTO gateway_processes AS process (id, application_id, shard_count, shard_ids, name)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET seen_at = now() WHERE process.seen_at < now() - $6::interval;

-- keep --
-- Renews what the process holds, also after its expiry as long as nobody else has taken it; takes what is free, if it
-- may. What others hold is not even locked. $1 process, $2 application, $3 number of shards, $4 its shards,
-- $5 how long (interval), $6 whether it may take
INSERT INTO gateway_leases AS lease (application_id, shard_count, shard_id, holder, epoch, expires_at)
SELECT $2, $3, wanted.id, $1, extract(epoch FROM clock_timestamp()) * 1000, clock_timestamp() + $5::interval
FROM unnest($4::integer[]) AS wanted (id)
LEFT JOIN gateway_leases AS had
       ON (had.application_id, had.shard_count, had.shard_id) = ($2::numeric, $3::integer, wanted.id)
WHERE had.holder = $1 OR ($6 AND (had.holder IS NULL OR had.expires_at <= clock_timestamp()))
ORDER BY wanted.id
ON CONFLICT ON CONSTRAINT gateway_leases_pkey DO UPDATE
SET holder = excluded.holder,
    epoch = CASE WHEN lease.holder = excluded.holder THEN lease.epoch ELSE greatest(lease.epoch + 1, excluded.epoch) END,
    expires_at = clock_timestamp() + $5::interval
WHERE lease.holder = $1 OR ($6 AND lease.expires_at <= clock_timestamp())
RETURNING shard_id, epoch;

-- give_back --
-- All that the process holds, which is there no more. $1 process
WITH gone AS (DELETE FROM gateway_processes WHERE id = $1)
UPDATE gateway_leases SET expires_at = '-infinity' WHERE holder = $1;

-- free_all --
-- But the process's own: of the others none is there any more. $1 process
UPDATE gateway_leases SET expires_at = '-infinity' WHERE holder <> $1;

-- forget_gone --
-- Those that have ended without a word. $1 how long ago (interval)
DELETE FROM gateway_processes WHERE seen_at < now() - $1::interval;

-- list_processes --
-- Those of an application that were seen lately, with the shards that each holds; the one that was started first comes
-- first. $1 application, $2 how lately (interval)
SELECT id, name, shard_count, shard_ids, started_at,
       ARRAY (SELECT shard_id FROM gateway_leases AS lease
              WHERE lease.holder = process.id AND lease.shard_count = process.shard_count
                AND lease.application_id = process.application_id AND lease.expires_at > clock_timestamp()
              ORDER BY shard_id) AS held
FROM gateway_processes AS process
WHERE application_id = $1 AND seen_at > now() - $2::interval
ORDER BY started_at, id;
