-- list_expected --
-- The sandboxes whose stream has to be there.
SELECT id FROM sandboxes WHERE status IN ('running', 'expired');

-- is_expected --
-- $1 sandbox id
SELECT EXISTS (SELECT FROM sandboxes WHERE id = $1 AND status IN ('running', 'expired'));
