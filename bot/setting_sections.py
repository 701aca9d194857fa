"""The sections of the settings about the bot itself: every key with its type, its default and its bounds."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bot import constants
from bot.names import LONGEST_NAME, SHORTEST_NAME
from bot.setting_types import (
    Duration,
    Intents,
    Listen,
    LogLevel,
    LogLevels,
    Numbers,
    Section,
    Snowflakes,
    Token,
    is_address,
)
from sandbox_worker.addresses import PLAIN

DISCORD_API = "https://discord.com/api/v10"

_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


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
    stuck_after: Duration = Field(default=timedelta(seconds=30), ge=timedelta(seconds=constants.MIN_STUCK_AFTER_S))
    mend_every: Duration = timedelta(minutes=1)
    orphans_every: Duration = timedelta(hours=1)
    activity_every: Duration = timedelta(seconds=10)
    audit_retention: Duration = Field(default=timedelta(days=90), ge=constants.IDEMPOTENCY_KEYS_KEPT)
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


class Listening(Section):
    """Something that is served: off loopback by TLS alone, unless `plaintext` says that something else protects it.

    `listen` is None where nothing is said.
    """

    says: ClassVar[str] = "tokens"
    """What nobody else is to read on the way."""
    listen: Listen = None
    plaintext: bool = False
    certificate: Path | None = None
    key: Path | None = None

    @field_validator("certificate", "key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _has_both_files(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; name both files, or neither")
        return self


class Relay(Listening):
    """Discord's gateway and HTTP API for the sandboxes' own bots.

    `listen` is an address, `fd:N`, `systemd` or `off`; None is on loopback beside embedded stores, and off otherwise.
    """

    address: str = ""
    catch_up: Duration | Literal["off"] = timedelta(seconds=60)
    max_clients: int = Field(default=20, ge=1, le=1000)
    direct_messages: Literal["owner", "members", "nobody"] = "owner"
    webhooks: bool = True

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        is_plain = is_address(value, ("http", "https")) and PLAIN.fullmatch(value) and not parts.query
        if value and (not is_plain or parts.path.strip("/")):
            raise ValueError("write an address like https://relay.example.com, without a path")
        return value.rstrip("/")

    @property
    def catch_up_s(self) -> float:
        """0 for off."""
        return 0.0 if self.catch_up == "off" else self.catch_up.total_seconds()


class Health(Listening):
    """Whether the bot is ready, for whoever watches it. `listen` is an address or `off`."""

    says: ClassVar[str] = "how the bot is"
    listen: Listen = "off"

    @field_validator("listen")
    @classmethod
    def _is_an_address_or_off(cls, value: str | None) -> str | None:
        if value is not None and (value == "systemd" or value.startswith("fd:")):
            raise ValueError("write an address like 127.0.0.1:8792, or off")
        return value


class Routing(Section):
    """The way of an event: `window` counts events, an empty `unbound_subject` drops those of unbound servers.

    `unanswered_after` is in seconds, 0 for never.
    """

    unbound_subject: str = ""
    window: int = Field(default=4096, ge=1, le=65_536)
    ack_timeout: Duration = timedelta(seconds=2)
    reload_every: Duration = timedelta(seconds=30)
    unanswered_after: float = Field(default=constants.UNANSWERED_AFTER_S, ge=0, le=constants.UNANSWERED_AFTER_S)

    @field_validator("unbound_subject")
    @classmethod
    def _is_no_sandbox_subject(cls, value: str) -> str:
        if value and (not _SUBJECT.fullmatch(value) or value.split(".")[0] == "sandbox"):
            raise ValueError("write a NATS subject like events, outside sandbox.>")
        return value


class Log(Section):
    """What is logged to standard error, and how.

    `levels` are those of single modules. `json_lines`: None is as lines of JSON wherever nobody looks, off a terminal.
    """

    level: LogLevel = "INFO"
    levels: LogLevels = Field(default_factory=dict)
    json_lines: bool | None = None

    @field_validator("json_lines", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value
