-- What a sandbox says of itself beside its description: `tags` (names to short texts), `created_from`, `template`, and
-- whatever else its maker gives. A bot that does not know the column goes on: it names none of it.
ALTER TABLE sandboxes ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT sandboxes_metadata_check CHECK (jsonb_typeof(metadata) = 'object'),
    ADD CONSTRAINT sandboxes_metadata_size_check CHECK (octet_length(metadata::text) <= 4096);

-- Living sandboxes by their tags, however many have been destroyed.
CREATE INDEX sandboxes_tags_idx ON sandboxes USING gin ((metadata -> 'tags') jsonb_path_ops) WHERE status <> 'destroyed';

-- The notices of one sandbox, the newest first.
CREATE INDEX sandbox_notices_sandbox_idx ON sandbox_notices (sandbox_id, id DESC);
