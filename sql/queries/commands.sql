-- list_registered --
-- $1 application id
SELECT command_id FROM registered_commands WHERE application_id = $1;

-- add_registered --
-- $1 application id, $2 command id, $3 name
INSERT INTO registered_commands (application_id, command_id, name) VALUES ($1, $2, $3)
ON CONFLICT (application_id, command_id) DO UPDATE SET name = excluded.name;

-- forget_registered --
-- $1 application id, $2 command ids
DELETE FROM registered_commands WHERE application_id = $1 AND command_id = ANY ($2::numeric[]);

-- are_withdrawn --
-- $1 application id
SELECT EXISTS (SELECT FROM withdrawn_commands WHERE application_id = $1);

-- withdraw --
-- $1 application id
INSERT INTO withdrawn_commands (application_id) VALUES ($1) ON CONFLICT DO NOTHING;

-- put_back --
-- $1 application id
DELETE FROM withdrawn_commands WHERE application_id = $1;
