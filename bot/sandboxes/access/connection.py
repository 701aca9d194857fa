"""What a worker has to know to reach its sandbox, as environment variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlsplit

from bot import names
from bot.sandboxes.access.isolation import Isolation
from bot.sandboxes.access.tokens import make_bot_token
from bot.sandboxes.model import Sandbox
from bot.stores.urls import with_database, with_login
from sandbox_worker import variables
from sandbox_worker.addresses import Host, Sentinels, fit
from sandbox_worker.dotenv_file import write_dotenv, write_exports
from sandbox_worker.standard_names import DatabaseForm, standard_names


@dataclass(frozen=True, slots=True)
class WorkerAddresses:
    """Where workers reach the stores: URLs without credentials; Discord's HTTP API; and the relay, without a path and
    empty if there is none, with the id of the bot's user. `relay_is_usual`: nobody has chosen its address, which is
    handed out only while a relay of ours serves there. `has_own_authority`: certificates are signed by the team's own.
    `redis_primary`: whom the Sentinels name now, if `redis` is theirs."""

    postgres: str = ""
    redis: str = ""
    nats: str = ""
    discord: str = ""
    relay: str = ""
    bot_id: int = 0
    relay_is_usual: bool = False
    has_own_authority: bool = False
    redis_primary: Callable[[], Host | None] = lambda: None


@dataclass(frozen=True, slots=True)
class ConnectionDetails:
    """The environment of a sandbox's workers. Of credentials it holds the sandbox's own at most.

    `is_repeat`: a token was issued before with the same idempotency key, and was shown then or is lost.
    """

    sandbox: Sandbox
    environment: Mapping[str, str] = field(repr=False)
    remarks: tuple[str, ...] = ()
    has_token: bool = False
    is_repeat: bool = False

    @property
    def has_bot_token(self) -> bool:
        """Whether a bot can log in to the relay with it."""
        return variables.SANDBOX_BOT_TOKEN in self.environment

    @property
    def loopback_variables(self) -> tuple[str, ...]:
        """Those with an address that is reached on the bot's own machine alone."""
        return tuple(name for name in variables.ADDRESSES if is_loopback(self.environment.get(name, "")))

    def with_standard_names(self, form: DatabaseForm) -> Self:
        """Also under the names that tools look for."""
        return replace(self, environment={**self.environment, **standard_names(self.environment, form)})

    def with_remarks(self, *remarks: str) -> Self:
        """With more to say to whoever reads the file."""
        return replace(self, remarks=(*self.remarks, *remarks))

    def as_dotenv(self, *, secret: bool = True) -> str:
        """Lines for a `.env` file, which every reader of such files reads alike, and of which a shell that sources it
        runs nothing; with `secret` false, the lines that hold the token are left out."""
        heading = f"Sandbox {self.sandbox.name}, expires {self.sandbox.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        shown = {name: value for name, value in self.environment.items() if secret or name not in variables.SECRETS}
        return write_dotenv(shown, (heading, *self.remarks, *self._reach_remarks()))

    def _reach_remarks(self) -> list[str]:
        """Of the stores; what there is to say of the relay is among the other remarks."""
        found = [name for name in self.loopback_variables if name not in variables.BOT]
        return [f"{', '.join(found)}: reached on the bot's own machine alone"] if found else []

    def as_exports(self) -> str:
        """The same for a shell's `eval`."""
        return write_exports(self.environment)


def connection_details(
    sandbox: Sandbox,
    isolation: Isolation,
    addresses: WorkerAddresses,
    *,
    token: str | None = None,
    is_repeat: bool = False,
    serves: bool = True,
) -> ConnectionDetails:
    """With a token, the addresses of the stores that check it; the others' are the team's own business. `serves`: the
    relay at its address is known to be ours. `WrongAddress` for one that doesn't fit into a `.env`."""
    environment = {
        variables.SANDBOX_ID: str(sandbox.id),
        variables.SANDBOX_NAME: sandbox.name,
        variables.SANDBOX_SCHEMA: sandbox.schema_name,
        variables.SANDBOX_REDIS_PREFIX: sandbox.redis_prefix,
        variables.SANDBOX_NATS_PREFIX: sandbox.nats_prefix,
        variables.SANDBOX_NATS_STREAM: sandbox.stream,
        variables.SANDBOX_GUILD_IDS: ",".join(map(str, sandbox.guild_ids)),
        variables.SANDBOX_DISCORD_API: addresses.discord,
    }
    if token is not None:
        environment |= _urls(sandbox, isolation, addresses, token)
        if addresses.relay and (serves or not addresses.relay_is_usual):
            environment |= _bot(sandbox, addresses, token)
    remarks = [f"{line}; use your team's own address" for line in isolation.without_logins()]
    remarks += _authority_remarks(addresses) + _relay_remarks(addresses, serves=serves)
    return ConnectionDetails(sandbox, environment, tuple(remarks), has_token=token is not None, is_repeat=is_repeat)


def _urls(sandbox: Sandbox, isolation: Isolation, addresses: WorkerAddresses, token: str) -> dict[str, str]:
    redis, sentinels = _redis(addresses)
    redis = with_database(redis, sandbox.redis_database) if redis else ""
    logins = (
        (variables.SANDBOX_DATABASE_URL, isolation.postgres, addresses.postgres, names.role_name(sandbox.id)),
        (variables.SANDBOX_REDIS_URL, isolation.redis, redis, names.redis_user(sandbox.id)),
        (variables.SANDBOX_NATS_URL, isolation.nats, addresses.nats, str(sandbox.id)),
    )
    found: dict[str, str] = {}
    for variable, store, address, user in logins:
        if store.confines and address:
            fitting, others = fit(address)
            found |= {variable: with_login(fitting, user, token), **others}
    if variables.SANDBOX_NATS_URL in found:
        found |= {variables.SANDBOX_NATS_USER: str(sandbox.id), variables.SANDBOX_NATS_PASSWORD: token}
    if variables.SANDBOX_REDIS_URL in found:
        found |= sentinels
    return found


def _redis(addresses: WorkerAddresses) -> tuple[str, dict[str, str]]:
    """The plain address, which every client understands, and what those need that move with a failover."""
    sentinels = Sentinels.read(addresses.redis)
    if sentinels is None:
        return addresses.redis, {}
    told = {
        variables.SANDBOX_REDIS_SENTINELS: ",".join(map(str, sentinels.hosts)),
        variables.SANDBOX_REDIS_SENTINEL_MASTER: sentinels.master,
    }
    primary = addresses.redis_primary()
    return sentinels.url_of(primary) if primary else "", told


def _bot(sandbox: Sandbox, addresses: WorkerAddresses, token: str) -> dict[str, str]:
    return {
        variables.SANDBOX_BOT_TOKEN: make_bot_token(addresses.bot_id, names.short_id(sandbox.id), token),
        variables.SANDBOX_BOT_API: f"{addresses.relay}/api/v10",
        variables.SANDBOX_BOT_GATEWAY: addresses.relay.replace("http", "ws", 1),
    }


def _authority_remarks(addresses: WorkerAddresses) -> list[str]:
    if not addresses.has_own_authority:
        return []
    return [
        "The servers' certificates are signed by an authority of your team's: save its ca.pem, which the operator has, "
        f"and set {variables.SANDBOX_TLS_CA} to where it is"
    ]


def _relay_remarks(addresses: WorkerAddresses, *, serves: bool) -> list[str]:
    """What somebody has to know who is about to start a bot."""
    if not addresses.relay:
        return []
    if not serves and addresses.relay_is_usual:
        return [f"The relay doesn't serve at {addresses.relay}, so there is no bot token; its operator sees why"]
    found = [] if serves else [f"No relay serves at {addresses.relay} just now"]
    if is_loopback(addresses.relay):
        found.append(f"{addresses.relay}, for SANDBOX_BOT_TOKEN, is reached on the bot's own machine alone")
    return found


def is_loopback(address: str) -> bool:
    """Whether it leads to the machine that asks; of several, whether the first one does."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
