"""What `/sandbox connect` hands out, read from the environment and a `.env` file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from sandbox_worker import protocol, variables
from sandbox_worker.addresses import (
    POSTGRES_VARIABLES,
    Sentinels,
    WrongAddress,
    read_parameters,
    with_parameters,
)
from sandbox_worker.dotenv_file import read_dotenv
from sandbox_worker.errors import WrongEnvironment

_OF_ASYNCPG = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "application_name",
    "options",
)
"""Of PostgreSQL's parameters, those that every asyncpg takes in an address."""
_DISCORD_API = "https://discord.com/api/v10"
_OF_RUN = "SANDBOX_RUN_"
"""What `sandbox-worker run` tells its hooks is of that run alone."""
_MEND = (
    "Save the file that `/sandbox connect` attaches as .env in the folder you start the worker in, or export its "
    "variables."
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
    nats_user: str = ""
    nats_password: str = field(default="", repr=False)
    """For an address without a login."""
    sentinels: Sentinels | None = field(default=None, repr=False)
    """Who knows where Redis or Valkey is now, if that can change."""
    tls_ca: str = ""
    """The file of an authority that is trusted beside the system's; empty for none."""

    def require_database(self) -> str:
        """Its address; `WrongEnvironment` if it is not known."""
        return self.database_url or _missing(variables.DATABASE_URL)

    def require_redis(self) -> str:
        """As `require_database`."""
        return self.redis_url or _missing(variables.REDIS_URL)

    @property
    def has_own_database(self) -> bool:
        """Whether the login is the sandbox's, which is named like its schema."""
        return urlsplit(self.database_url).username == self.schema

    @property
    def event_prefix(self) -> str:
        """What the subject of an event has before its name."""
        return self.nats_prefix + protocol.EVENTS

    @property
    def work_prefix(self) -> str:
        """What the subject of a message between workers has before what they call it."""
        return self.nats_prefix + protocol.WORK


@dataclass(frozen=True, slots=True)
class BotLogin:
    """What a bot needs to be one of the sandbox: its token, and the relay's addresses in place of Discord's."""

    sandbox: str
    token: str = field(repr=False)
    api: str
    gateway: str


def read_bot_login(environ: Mapping[str, str], dotenv: Path) -> tuple[BotLogin, dict[str, str]]:
    """As `read_environment`; with the sandbox's own variables, those of the file too."""
    values = _own_values(environ, dotenv)
    missing = [name for name in variables.BOT if not values.get(name)]
    if missing:
        raise WrongEnvironment(
            f"Not set: {', '.join(missing)}. {_MEND} If that file has none of them, no relay serves: ask whoever "
            "operates the bot."
        )
    token, api, gateway = (values[name] for name in variables.BOT)
    return BotLogin(values.get(variables.SANDBOX_NAME, ""), token, api.rstrip("/"), gateway), values


def read_own(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """What was handed out for the sandbox, and nothing else. `WrongEnvironment` as of `read_environment`."""
    values = _own_values(environ, dotenv)
    _require(variables.REQUIRED, values)
    return values


def find_store(environ: Mapping[str, str], dotenv: Path, name: str) -> tuple[str, dict[str, str]]:
    """The address of `DATABASE_URL` or `REDIS_URL`, the sandbox's own or otherwise the team's, and all that is the
    sandbox's. `WrongEnvironment` without one."""
    own = read_own(environ, dotenv)
    return _address(read_dotenv_file(dotenv) | dict(environ), name) or _missing(name), own


def _own_values(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    in_file = read_dotenv_file(dotenv)
    own = {name for name in (*in_file, *environ) if name.startswith("SANDBOX_") and not name.startswith(_OF_RUN)}
    own |= in_file.keys() & set(POSTGRES_VARIABLES.values())
    values = in_file | dict(environ)
    return {name: values[name] for name in values if name in own}


def _require(names: Iterable[str], values: Mapping[str, str]) -> None:
    if missing := [name for name in names if not values.get(name)]:
        raise WrongEnvironment(f"Not set: {', '.join(missing)}. {_MEND}")


def read_dotenv_file(dotenv: Path) -> dict[str, str]:
    """Its assignments; none if it isn't there."""
    return read_dotenv(dotenv.read_text(encoding="utf-8")) if dotenv.is_file() else {}


def read_environment(environ: Mapping[str, str], dotenv: Path) -> Environment:
    """`environ` wins over the file, which need not exist. `WrongEnvironment` names all that is not there."""
    in_file = read_dotenv_file(dotenv)
    values = in_file | dict(environ)
    _require(variables.REQUIRED, values)
    return Environment(
        sandbox_id=_id(values[variables.SANDBOX_ID]),
        name=values[variables.SANDBOX_NAME],
        schema=values[variables.SANDBOX_SCHEMA],
        redis_prefix=values[variables.SANDBOX_REDIS_PREFIX],
        nats_prefix=values[variables.SANDBOX_NATS_PREFIX],
        stream=values[variables.SANDBOX_NATS_STREAM],
        guild_ids=_guild_ids(values.get(variables.SANDBOX_GUILD_IDS, "")),
        discord_api=(values.get(variables.SANDBOX_DISCORD_API) or _DISCORD_API).rstrip("/"),
        nats_url=_address(values, variables.NATS_URL) or _missing(variables.NATS_URL),
        database_url=_with_variables(_address(values, variables.DATABASE_URL), in_file, values),
        redis_url=_address(values, variables.REDIS_URL),
        nats_user=values.get(variables.SANDBOX_NATS_USER, ""),
        nats_password=values.get(variables.SANDBOX_NATS_PASSWORD, ""),
        sentinels=read_sentinels(_address(values, variables.REDIS_URL), values),
        tls_ca=values.get(variables.SANDBOX_TLS_CA, ""),
    )


def _address(values: Mapping[str, str], name: str) -> str:
    """The sandbox's own, otherwise the team's."""
    return values.get(_own(name)) or values.get(name) or ""


def read_sentinels(url: str, values: Mapping[str, str]) -> Sentinels | None:
    """Who is asked where Redis is now, by its address or what stands beside it; `WrongEnvironment` for a wrong one."""
    hosts = values.get(variables.SANDBOX_REDIS_SENTINELS)
    master = values.get(variables.SANDBOX_REDIS_SENTINEL_MASTER)
    try:
        return Sentinels.of(url, hosts, master) if hosts and master else Sentinels.read(url)
    except WrongAddress as error:
        raise WrongEnvironment(f"The Sentinels of Redis cannot be asked: {error}.") from None


def _with_variables(url: str, in_file: Mapping[str, str], values: Mapping[str, str]) -> str:
    """asyncpg asks the environment for what the address doesn't say, but no file."""
    names = {name: POSTGRES_VARIABLES[name] for name in _OF_ASYNCPG if in_file.get(POSTGRES_VARIABLES[name])}
    told = {name: values[variable] for name, variable in names.items() if values[variable]}
    if values.get(variables.SANDBOX_TLS_CA) and not values.get(variables.PGSSLROOTCERT):
        told["sslrootcert"] = values[variables.SANDBOX_TLS_CA]
    if not url or not told:
        return url
    try:
        return with_parameters(url, told | read_parameters(url))
    except WrongAddress:  # a team's own, with a password as it should not be written
        return url


def _missing(name: str) -> str:
    raise WrongEnvironment(
        f"Neither {_own(name)} nor {name} is set. The first comes with `/sandbox connect` where the store keeps "
        f"sandboxes apart; otherwise set {name} to your team's address."
    )


def _own(name: str) -> str:
    return f"SANDBOX_{name}"


def _guild_ids(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip().isdigit())


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise WrongEnvironment(f"{variables.SANDBOX_ID} is not a sandbox's id. {_MEND}") from None
