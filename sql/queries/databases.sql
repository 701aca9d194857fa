-- list_databases --
-- Those that are in use, with their sandboxes.
SELECT redis_database AS number, id FROM sandboxes WHERE redis_database IS NOT NULL AND status <> 'destroyed';

-- find_holder --
-- $1 number
SELECT id FROM sandboxes WHERE redis_database = $1 AND status <> 'destroyed';

-- replace_database --
-- Of a sandbox that is being made: another one, or NULL for none. $1 sandbox id, $2 the one it has, $3 candidates
UPDATE sandboxes
   SET redis_database = (
       SELECT number FROM unnest($3::int[]) AS number
        WHERE NOT EXISTS (SELECT FROM sandboxes AS other
                           WHERE other.redis_database = number AND other.status <> 'destroyed') LIMIT 1)
 WHERE id = $1 AND redis_database = $2 AND status IN ('pending', 'creating')
RETURNING redis_database;
