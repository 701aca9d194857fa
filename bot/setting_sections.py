"""The sections of the settings: every key with its type, its default and its bounds."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bot import constants
from bot.names import LONGEST_NAME, SHORTEST_NAME
from bot.setting_types import (
    EMBEDDED,
    Databases,
    Duration,
    Intents,
    Listen,
    NatsAddress,
    Numbers,
    PostgresAddress,
    RedisAddress,
    Snowflakes,
    Token,
    is_address,
)
from sandbox_worker.addresses import PLAIN, fit, split_addresses

DISCORD_API = "https://discord.com/api/v10"

_HOST = re.compile(r"[A-Za-z0-9.-]*|\[?[0-9A-Fa-f:.]+\]?")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


class Section(BaseModel):
    """An unknown key is an error that names it, and no error repeats a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Discord(Section):
    """Which Discord the bot logs in to, as whom, with which shards, and who its admins are.

    `token` comes from DISCORD_TOKEN and may be empty: `Settings.require_token` is for the commands that need one.
    """

    token: Token = SecretStr("")
    api_base: str = DISCORD_API
    admins: Snowflakes = frozenset()
    privileged_intents: Intents = ("members", "message_content")
    notice_channel: int | None = Field(default=None, ge=10**16, lt=2**64)
    sync_commands: bool = True
    shard_count: int = Field(default=0, ge=0, le=100_000)
    shard_ids: Numbers = ()

    @model_validator(mode="after")
    def _shards_exist(self) -> Self:
        if self.shard_ids and max(self.shard_ids) >= self.shard_count:
            raise ValueError("shard_ids count from 0 and end below shard_count; set shard_count, or leave them out")
        return self

    @field_validator("api_base")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not is_address(value, ("http", "https")) or not urlsplit(value).hostname or not PLAIN.fullmatch(value):
            raise ValueError("write an address like https://discord.com/api/v10")
        return value.rstrip("/")


class Sandboxes(Section):
    """How many sandboxes there may be, how long they live, and how often what is due is done.

    `template` is None for the one that comes with the bot.
    """

    max_per_owner: int = Field(default=5, ge=1, le=1000)
    max_guilds: int = Field(default=10, ge=1, le=1000)
    default_ttl: Duration = timedelta(hours=24)
    max_ttl: Duration = timedelta(hours=168)
    min_name_length: int = Field(default=SHORTEST_NAME, ge=SHORTEST_NAME, le=LONGEST_NAME)
    max_name_length: int = Field(default=LONGEST_NAME, ge=8, le=LONGEST_NAME)
    warn_before: Duration = timedelta(hours=1)
    grace: Duration = timedelta(hours=1)
    sweep_every: Duration = timedelta(seconds=1)
    stuck_after: Duration = Field(default=timedelta(minutes=2), ge=timedelta(seconds=constants.MIN_STUCK_AFTER_S))
    mend_every: Duration = timedelta(minutes=1)
    orphans_every: Duration = timedelta(hours=1)
    activity_every: Duration = timedelta(seconds=10)
    template: Path | None = None

    @field_validator("template", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.default_ttl > self.max_ttl:
            raise ValueError("default_ttl is longer than max_ttl; lower the one or raise the other")
        if self.min_name_length > self.max_name_length:
            raise ValueError("min_name_length is above max_name_length; lower the one or raise the other")
        return self


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
    named = parts.query.removeprefix("db=") if parts.scheme == "unix" else parts.path.strip("/")
    return int(named) if named.isdecimal() else 0


class Nats(Section):
    """The server of the events, and what each sandbox's stream keeps.

    The addresses and the seed come from NATS_URL and, for the auth callout, NATS_AUTH_URL, NATS_SYSTEM_URL and
    NATS_ACCOUNT_SEED; an empty one means that there is no callout.
    """

    url: NatsAddress = SecretStr(EMBEDDED)
    auth_url: NatsAddress = SecretStr("")
    system_url: NatsAddress = SecretStr("")
    account_seed: SecretStr = SecretStr("")
    stream_max_age: Duration = timedelta(hours=72)
    stream_max_messages: int = Field(default=100_000, ge=1)
    stream_max_megabytes: int = Field(default=256, ge=1)


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


class Relay(Section):
    """Discord's gateway and HTTP API for the sandboxes' own bots.

    `listen` is an address, `fd:N`, `systemd` or `off`; None is on loopback beside embedded stores, and off otherwise.
    """

    listen: Listen = None
    address: str = ""
    plaintext: bool = False
    certificate: Path | None = None
    key: Path | None = None
    catch_up: Duration | Literal["off"] = timedelta(seconds=60)
    max_clients: int = Field(default=20, ge=1, le=1000)
    direct_messages: Literal["owner", "members", "nobody"] = "owner"
    webhooks: bool = True

    @field_validator("certificate", "key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        is_plain = is_address(value, ("http", "https")) and PLAIN.fullmatch(value) and not parts.query
        if value and (not is_plain or parts.path.strip("/")):
            raise ValueError("write an address like https://relay.example.com, without a path")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _has_both_files(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; name both files, or neither")
        return self

    @property
    def catch_up_s(self) -> float:
        """0 for off."""
        return 0.0 if self.catch_up == "off" else self.catch_up.total_seconds()


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


class Routing(Section):
    """The way of an event: `window` counts events, an empty `unbound_subject` drops those of unbound servers.

    `unanswered_after` is in seconds, 0 for never.
    """

    unbound_subject: str = ""
    window: int = Field(default=4096, ge=1, le=65_536)
    ack_timeout: Duration = timedelta(seconds=5)
    reload_every: Duration = timedelta(seconds=30)
    unanswered_after: float = Field(default=constants.UNANSWERED_AFTER_S, ge=0, le=constants.UNANSWERED_AFTER_S)

    @field_validator("unbound_subject")
    @classmethod
    def _is_no_sandbox_subject(cls, value: str) -> str:
        if value and (not _SUBJECT.fullmatch(value) or value.split(".")[0] == "sandbox"):
            raise ValueError("write a NATS subject like events, outside sandbox.>")
        return value


class Log(Section):
    """What is logged to standard error, and how."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    json_lines: bool = False
