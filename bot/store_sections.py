"""The sections of the settings about the stores: every key with its type, its default and its bounds."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.nats_credentials import Credentials, require_user_seed
from bot.setting_types import (
    EMBEDDED,
    Databases,
    Duration,
    NatsAddress,
    PostgresAddress,
    RedisAddress,
    Section,
)
from sandbox_worker.addresses import fit, split_addresses
from sandbox_worker.tls import client_context

_HOST = re.compile(r"[A-Za-z0-9.-]*|\[?[0-9A-Fa-f:.]+\]?")


class Postgres(Section):
    """The server of the facts. `dsn` comes from DATABASE_URL, or is `EMBEDDED`; `pool_size` counts for each process."""

    dsn: PostgresAddress = SecretStr(EMBEDDED)
    pool_size: int = Field(default=10, ge=2, le=200)


class Redis(Section):
    """The server of keys and sessions. `url` comes from REDIS_URL, or is `EMBEDDED`.

    `databases` are those that sandboxes may have; None: of the embedded server nearly all, of another one none.
    `scripts`: whether they may run some; None: in the embedded server, if that has no known flaw they reach.
    """

    url: RedisAddress = SecretStr(EMBEDDED)
    databases: Databases = None
    scripts: bool | None = None

    @field_validator("scripts", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _has_its_own(self) -> Self:
        if self.databases is not None and _database_of(self.url.get_secret_value()) in self.databases:
            raise ValueError("the bot's own database, which REDIS_URL ends in, is among databases; take it out")
        return self


def _database_of(address: str) -> int:
    parts = urlsplit(address)
    named = parts.query.removeprefix("db=") if parts.scheme == "unix" else parts.path.rpartition("/")[2]
    return int(named) if named.isdecimal() else 0


class Nats(Section):
    """The server of the events, and what each sandbox's stream keeps.

    The addresses and the seed come from NATS_URL and, for the auth callout, NATS_AUTH_URL, NATS_SYSTEM_URL and
    NATS_ACCOUNT_SEED; an empty one means that there is no callout. The bot itself logs in as NATS_URL says, or with the
    file of credentials of NATS_CREDENTIALS, or with NATS_NKEY_SEED.
    """

    url: NatsAddress = SecretStr(EMBEDDED)
    auth_url: NatsAddress = SecretStr("")
    system_url: NatsAddress = SecretStr("")
    account_seed: SecretStr = SecretStr("")
    credentials: Path | None = None
    nkey_seed: SecretStr = SecretStr("")
    stream_max_age: Duration = timedelta(hours=72)
    stream_max_messages: int = Field(default=100_000, ge=1)
    stream_max_megabytes: int = Field(default=256, ge=1)
    stream_replicas: int = Field(default=1, ge=1, le=5)

    @field_validator("credentials", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("credentials")
    @classmethod
    def _are_credentials(cls, value: Path | None) -> Path | None:
        if value is not None:
            Credentials.read(value)
        return value

    @field_validator("nkey_seed")
    @classmethod
    def _is_a_users(cls, value: SecretStr) -> SecretStr:
        if seed := value.get_secret_value():
            require_user_seed(seed)
        return value

    @model_validator(mode="after")
    def _has_one_login(self) -> Self:
        url, others = self.url.get_secret_value(), (self.credentials, self.nkey_seed.get_secret_value())
        if url == EMBEDDED and (any(others) or self.stream_replicas > 1):
            raise ValueError("the embedded server is one, with a login of its own; set NATS_URL to use another")
        if sum(map(bool, (*others, "@" in url))) > 1:
            raise ValueError(
                "NATS_URL with a user, NATS_CREDENTIALS and NATS_NKEY_SEED are different logins; leave one of them"
            )
        return self


class Tls(Section):
    """Whose certificates the bot trusts beside those that the system does: `ca` is a file (PEM) of an authority's."""

    ca: Path | None = None

    @field_validator("ca", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("ca")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        try:
            client_context(value)
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(
                f"no certificate can be read there ({error.strerror}); name the authority's file"
            ) from None
        return value


class Workers(Section):
    """Where workers reach the stores; empty: where the bot does. Without credentials, each sandbox has its own.

    `listen` is the address that embedded ones listen on, `host` what other machines call it.
    """

    postgres: str = ""
    redis: str = ""
    nats: str = ""
    listen: str = "127.0.0.1"
    host: str = ""
    certificates: Path | None = None
    plaintext: bool = False

    @field_validator("certificates", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("listen")
    @classmethod
    def _is_an_ip(cls, value: str) -> str:
        try:
            return str(ip_address(value or "127.0.0.1"))
        except ValueError:
            raise ValueError("write an address of this machine like 10.0.0.3, or 0.0.0.0 for all of them") from None

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, value: str) -> str:
        if not _HOST.fullmatch(value):
            raise ValueError("write a name or address like stores.example.com, without a port")
        return value.strip("[]")

    @model_validator(mode="after")
    def _is_safe_and_known(self) -> Self:
        listen = ip_address(self.listen)
        if listen.is_loopback:
            return self
        if self.certificates is None and not self.plaintext:
            raise ValueError(
                f"listen = {self.listen} can be reached from elsewhere, so that tokens would pass in the clear; set "
                "certificates to the folder that `sandbox-bot certificates` has written, or plaintext = true if the "
                "network is protected otherwise"
            )
        if listen.is_unspecified and not self.host:
            raise ValueError(f"host is missing; nobody reaches {self.listen}, which means all addresses")
        return self

    @field_validator("postgres", "redis", "nats")
    @classmethod
    def _is_an_address_without_login(cls, value: str) -> str:
        for part in map(urlsplit, split_addresses(value) if value else ()):
            if not part.scheme or not part.hostname or "@" in part.netloc:
                raise ValueError("write an address like nats://nats.example.com:4222, without user and password")
        fit(value)
        return value


class Isolation(Section):
    """Whether the stores have to keep sandboxes apart by themselves, and what one sandbox may take of them."""

    require: bool = False
    max_connections: int = Field(default=10, ge=1, le=1000)
    longest_transaction: Duration = timedelta(seconds=60)
    warn_megabytes: int = Field(default=1024, ge=1)
    max_megabytes: int = Field(default=4096, ge=1)

    @model_validator(mode="after")
    def _is_warned_before(self) -> Self:
        if self.warn_megabytes > self.max_megabytes:
            raise ValueError("warn_megabytes is above max_megabytes; lower the one or raise the other")
        return self


class Embedded(Section):
    """The servers that the bot runs by itself. `folder` is relative to the working directory."""

    folder: Path = Path("data")
    durable: bool = True
    valkey: Path | None = None
    postgres: Path | None = None
    extensions: tuple[Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")], ...] = ()

    @field_validator("valkey", "postgres", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value
