"""What a worker has to know to reach its sandbox, as environment variables."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from bot.sandboxes.model import Sandbox


@dataclass(frozen=True, slots=True)
class ConnectionDetails:
    """The environment of a sandbox's workers. It holds no credentials of the bot."""

    sandbox: Sandbox
    environment: Mapping[str, str]

    def as_dotenv(self) -> str:
        """Lines for a `.env` file, quoted so that a shell that sources it runs nothing."""
        heading = f"# Sandbox {self.sandbox.name}, expires {self.sandbox.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        lines = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return "\n".join([heading, *lines]) + "\n"


def connection_details(sandbox: Sandbox) -> ConnectionDetails:
    return ConnectionDetails(
        sandbox,
        {
            "SANDBOX_ID": str(sandbox.id),
            "SANDBOX_NAME": sandbox.name,
            "SANDBOX_SCHEMA": sandbox.schema_name,
            "SANDBOX_REDIS_PREFIX": sandbox.redis_prefix,
            "SANDBOX_NATS_PREFIX": sandbox.nats_prefix,
            "SANDBOX_NATS_STREAM": sandbox.stream,
            "SANDBOX_GUILD_IDS": ",".join(map(str, sandbox.guild_ids)),
        },
    )
