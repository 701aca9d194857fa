-- What a sandbox is called where others may read it, such as in a button: its id is a secret, and the first digits of
-- that may be used again.
ALTER TABLE sandboxes ADD COLUMN reference bigint GENERATED ALWAYS AS IDENTITY
    CONSTRAINT sandboxes_reference_key UNIQUE;

-- From this snowflake on the bot signs its buttons: what a later message has without a signature somebody else made.
CREATE TABLE custom_ids_since (snowflake numeric(20) NOT NULL);
INSERT INTO custom_ids_since SELECT ((extract(epoch FROM now()) * 1000)::bigint - 1420070400000) << 22;
