-- The application commands that the bot has made, or found under its own names: no others may it delete. An application
-- may be shared with a team's own bot.
CREATE TABLE registered_commands (
    application_id numeric(20) NOT NULL,
    command_id     numeric(20) NOT NULL,
    name           text NOT NULL,
    registered_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (application_id, command_id)
);

-- Applications that an operator has taken the commands from: no bot puts them back by itself.
CREATE TABLE withdrawn_commands (
    application_id numeric(20) PRIMARY KEY,
    withdrawn_at   timestamptz NOT NULL DEFAULT now()
);
