-- The commands that sandboxes' own bots have registered, and what of them is in Discord, as commands of the sandboxes' guilds.

CREATE TABLE relay_commands (
    id         numeric(20) PRIMARY KEY,
    sandbox_id uuid NOT NULL REFERENCES sandboxes (id),
    guild_id   numeric(20),
    type       smallint NOT NULL,
    name       text NOT NULL,
    definition jsonb NOT NULL,
    version    numeric(20) NOT NULL,
    CONSTRAINT relay_commands_name_key UNIQUE NULLS NOT DISTINCT (sandbox_id, guild_id, type, name)
);
COMMENT ON TABLE relay_commands IS 'As their bots have registered them, under the ids that these were told; guild_id is NULL for global ones.';

CREATE TABLE relay_guild_commands (
    guild_id   numeric(20) NOT NULL,
    type       smallint NOT NULL,
    name       text NOT NULL,
    id         numeric(20),
    command_id numeric(20) NOT NULL,
    sandbox_id uuid NOT NULL,
    definition jsonb NOT NULL,
    replaced   jsonb,
    PRIMARY KEY (guild_id, type, name)
);
CREATE INDEX relay_guild_commands_id_idx ON relay_guild_commands (id);
COMMENT ON TABLE relay_guild_commands IS 'What the relay has made in Discord: id is Discord''s, NULL between the intent and its answer; replaced is what somebody else had there under that name.';

-- One process at a time changes the commands of a guild. Claimed for some time, so that one that dies holds up nobody.
CREATE TABLE relay_guild_claims (
    guild_id numeric(20) PRIMARY KEY,
    claimed_until timestamptz NOT NULL
);

-- What belongs in a guild: the commands of the running sandbox that has it, a guild's own before a global one of its name.
CREATE VIEW relay_wanted_commands AS
SELECT DISTINCT ON (mapping.guild_id, command.type, command.name)
       mapping.guild_id, command.type, command.name, command.id, command.sandbox_id, command.definition
  FROM sandbox_guild_mapping AS mapping
  JOIN sandboxes AS sandbox ON sandbox.id = mapping.sandbox_id AND sandbox.status = 'running'
  JOIN relay_commands AS command ON command.sandbox_id = sandbox.id
   AND (command.guild_id IS NULL OR command.guild_id = mapping.guild_id)
 ORDER BY mapping.guild_id, command.type, command.name, command.guild_id IS NULL;
