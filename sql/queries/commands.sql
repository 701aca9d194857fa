-- get_checksum --
-- $1 application id
SELECT checksum FROM command_syncs WHERE application_id = $1;

-- set_checksum --
-- $1 application id, $2 checksum
INSERT INTO command_syncs (application_id, checksum) VALUES ($1, $2)
ON CONFLICT (application_id) DO UPDATE SET checksum = excluded.checksum, synced_at = now();
