"""What `/sandbox connect` hands out, read from the environment and a `.env` file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from dotenv import dotenv_values

from sandbox_worker.errors import WrongEnvironment

_DISCORD_API = "https://discord.com/api/v10"
_MEND = (
    "Save the file that `/sandbox connect` attaches as .env in the folder you start the worker in, or export its "
    "variables."
)
_REQUIRED = (
    "SANDBOX_ID",
    "SANDBOX_NAME",
    "SANDBOX_SCHEMA",
    "SANDBOX_REDIS_PREFIX",
    "SANDBOX_NATS_PREFIX",
    "SANDBOX_NATS_STREAM",
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the sandbox's own is, and how to reach it. An address is empty if it is not known."""

    sandbox_id: UUID
    name: str
    schema: str
    redis_prefix: str
    nats_prefix: str
    stream: str
    guild_ids: tuple[int, ...]
    discord_api: str
    nats_url: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)

    def require_database(self) -> str:
        return self.database_url or _missing("DATABASE_URL")

    def require_redis(self) -> str:
        return self.redis_url or _missing("REDIS_URL")

    @property
    def has_own_database(self) -> bool:
        """Whether the login is the sandbox's, which is named like its schema."""
        return urlsplit(self.database_url).username == self.schema

    @property
    def event_prefix(self) -> str:
        """What the subject of an event has before its name."""
        return f"{self.nats_prefix}events."

    @property
    def work_prefix(self) -> str:
        """What the subject of a message between workers has before what they call it."""
        return f"{self.nats_prefix}work."


def read_environment(environ: Mapping[str, str], dotenv: Path) -> Environment:
    """`environ` wins over the file, which need not exist. `WrongEnvironment` names all that is not there."""
    of_file = dotenv_values(dotenv, interpolate=False) if dotenv.is_file() else {}
    values = {name: value for name, value in of_file.items() if value is not None} | dict(environ)
    missing = [name for name in _REQUIRED if not values.get(name)]
    if missing:
        raise WrongEnvironment(f"Not set: {', '.join(missing)}. {_MEND}")
    return Environment(
        sandbox_id=_id(values["SANDBOX_ID"]),
        name=values["SANDBOX_NAME"],
        schema=values["SANDBOX_SCHEMA"],
        redis_prefix=values["SANDBOX_REDIS_PREFIX"],
        nats_prefix=values["SANDBOX_NATS_PREFIX"],
        stream=values["SANDBOX_NATS_STREAM"],
        guild_ids=tuple(int(part) for part in values.get("SANDBOX_GUILD_IDS", "").split(",") if part.strip().isdigit()),
        discord_api=(values.get("SANDBOX_DISCORD_API") or _DISCORD_API).rstrip("/"),
        nats_url=_address(values, "NATS_URL") or _missing("NATS_URL"),
        database_url=_address(values, "DATABASE_URL"),
        redis_url=_address(values, "REDIS_URL"),
    )


def _address(values: Mapping[str, str], name: str) -> str:
    """The sandbox's own, otherwise the team's."""
    return values.get(f"SANDBOX_{name}") or values.get(name) or ""


def _missing(name: str) -> str:
    raise WrongEnvironment(
        f"Neither SANDBOX_{name} nor {name} is set. The first comes with `/sandbox connect` where the store keeps "
        f"sandboxes apart; otherwise set {name} to your team's address."
    )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise WrongEnvironment(f"SANDBOX_ID is not a sandbox's id. {_MEND}") from None
