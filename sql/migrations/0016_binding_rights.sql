-- The right of whoever bound a guild is looked at again. Beside the mapping, for each of its changes is announced; a row
-- goes with the binding, whoever removes that.
CREATE TABLE sandbox_binding_checks (
    guild_id numeric(20) PRIMARY KEY REFERENCES sandbox_guild_mapping (guild_id) ON DELETE CASCADE,
    next_at  timestamptz NOT NULL
);

-- Why a guild of a 'guild_removed' is unbound, and by whom or on whose account; NULL: the bot was removed from it. No kind
-- of its own: a running bot of the release before stops at a kind that it does not know.
ALTER TABLE sandbox_notices
    ADD COLUMN guild_reason text CONSTRAINT sandbox_notices_guild_reason_check
               CHECK (guild_reason IN ('right_lost', 'unbound_by_manager')),
    ADD COLUMN person_id numeric(20);
