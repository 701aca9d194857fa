"""The environment variables of a worker, which `/sandbox connect` hands out. Pure."""

from __future__ import annotations

SANDBOX_ID = "SANDBOX_ID"
SANDBOX_NAME = "SANDBOX_NAME"
SANDBOX_SCHEMA = "SANDBOX_SCHEMA"
SANDBOX_REDIS_PREFIX = "SANDBOX_REDIS_PREFIX"
SANDBOX_NATS_PREFIX = "SANDBOX_NATS_PREFIX"
SANDBOX_NATS_STREAM = "SANDBOX_NATS_STREAM"

SANDBOX_GUILD_IDS = "SANDBOX_GUILD_IDS"
"""The servers that are bound, by commas; empty if none is."""

SANDBOX_DISCORD_API = "SANDBOX_DISCORD_API"
"""The base address of Discord's HTTP API; empty for Discord's own."""

SANDBOX_DATABASE_URL = "SANDBOX_DATABASE_URL"
SANDBOX_REDIS_URL = "SANDBOX_REDIS_URL"
SANDBOX_NATS_URL = "SANDBOX_NATS_URL"
"""Addresses with the sandbox's own login, of the stores that keep sandboxes apart."""

SANDBOX_NATS_USER = "SANDBOX_NATS_USER"
SANDBOX_NATS_PASSWORD = "SANDBOX_NATS_PASSWORD"  # noqa: S105
"""The login in `SANDBOX_NATS_URL`, for clients that read none in an address."""

SANDBOX_REDIS_SENTINELS = "SANDBOX_REDIS_SENTINELS"
SANDBOX_REDIS_SENTINEL_MASTER = "SANDBOX_REDIS_SENTINEL_MASTER"
"""Where Sentinels fail Redis or Valkey over: each one's host and port, by commas, and what they call the server that
takes writes. `SANDBOX_REDIS_URL` has the address that it had when it was handed out."""

SANDBOX_TLS_CA = "SANDBOX_TLS_CA"
"""A file (PEM) on this machine: the authority of the servers' certificates, if it is one that the system doesn't know.
Nobody hands it out; whoever starts the worker sets it."""

SANDBOX_BOT_TOKEN = "SANDBOX_BOT_TOKEN"  # noqa: S105
SANDBOX_BOT_API = "SANDBOX_BOT_API"
SANDBOX_BOT_GATEWAY = "SANDBOX_BOT_GATEWAY"
"""What the sandbox's own bot logs in with in place of Discord's token, and the relay's addresses in place of Discord's.
Not there if no relay serves."""

ADDRESSES = (SANDBOX_DATABASE_URL, SANDBOX_REDIS_URL, SANDBOX_NATS_URL, SANDBOX_BOT_API)

BOT = (SANDBOX_BOT_TOKEN, SANDBOX_BOT_API, SANDBOX_BOT_GATEWAY)

DATABASE_URL = "DATABASE_URL"
REDIS_URL = "REDIS_URL"
NATS_URL = "NATS_URL"
"""The team's addresses, used where there is none of the sandbox's own; on request the latter, for tools that look here.
"""

NATS_USER = "NATS_USER"
NATS_PASSWORD = "NATS_PASSWORD"  # noqa: S105
NATS_CA = "NATS_CA"
PGHOST = "PGHOST"
PGPORT = "PGPORT"
PGUSER = "PGUSER"
PGPASSWORD = "PGPASSWORD"
PGDATABASE = "PGDATABASE"
PGOPTIONS = "PGOPTIONS"
PGSSLROOTCERT = "PGSSLROOTCERT"
PGTARGETSESSIONATTRS = "PGTARGETSESSIONATTRS"
"""What tools of NATS and PostgreSQL look for, on request."""

SECRETS = frozenset(
    {
        SANDBOX_DATABASE_URL,
        SANDBOX_REDIS_URL,
        SANDBOX_NATS_URL,
        SANDBOX_NATS_PASSWORD,
        SANDBOX_BOT_TOKEN,
        DATABASE_URL,
        REDIS_URL,
        NATS_URL,
        NATS_PASSWORD,
        PGPASSWORD,
    }
)
"""Whoever reads one of these has the sandbox; everything else may be shown."""

REQUIRED = (
    SANDBOX_ID,
    SANDBOX_NAME,
    SANDBOX_SCHEMA,
    SANDBOX_REDIS_PREFIX,
    SANDBOX_NATS_PREFIX,
    SANDBOX_NATS_STREAM,
)
"""Without each of these there is no worker."""
