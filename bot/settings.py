"""`config.toml`, `.env` and the environment, checked and merged into one frozen `Settings`.

The environment wins over `.env`, `.env` over `config.toml`, and that over the defaults below. Nothing is read
at import time, and no value ever stands in an error, for it may be a secret.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.names import LONGEST_NAME, SHORTEST_NAME
from bot.setting_types import (
    EMBEDDED,
    Duration,
    Intents,
    NatsAddress,
    Numbers,
    PostgresAddress,
    RedisAddress,
    Snowflakes,
    Token,
    is_address,
)

DISCORD_API = "https://discord.com/api/v10"
CONFIG_VARIABLE = "BOT_CONFIG"

_SEE_CONFIG = "see config.toml for the keys."
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

COMMON_NAMES = {
    "DISCORD_TOKEN": "BOT_DISCORD__TOKEN",
    "DATABASE_URL": "BOT_POSTGRES__DSN",
    "REDIS_URL": "BOT_REDIS__URL",
    "NATS_URL": "BOT_NATS__URL",
    "NATS_AUTH_URL": "BOT_NATS__AUTH_URL",
    "NATS_SYSTEM_URL": "BOT_NATS__SYSTEM_URL",
    "NATS_ACCOUNT_SEED": "BOT_NATS__ACCOUNT_SEED",
}
"""Variables by the names that everybody gives them, and what they are called here."""


class SettingsError(Exception):
    """The configuration cannot be used. `str(error)` is one line that names the key and the mend."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Discord(Section):
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
        if not is_address(value, ("http", "https")) or not urlsplit(value).hostname:
            raise ValueError("write an address like https://discord.com/api/v10")
        return value.rstrip("/")


class Sandboxes(Section):
    max_per_owner: int = Field(default=5, ge=1, le=1000)
    max_guilds: int = Field(default=10, ge=1, le=1000)
    default_ttl: Duration = timedelta(hours=24)
    max_ttl: Duration = timedelta(hours=168)
    min_name_length: int = Field(default=SHORTEST_NAME, ge=SHORTEST_NAME, le=LONGEST_NAME)
    max_name_length: int = Field(default=LONGEST_NAME, ge=8, le=LONGEST_NAME)
    warn_before: Duration = timedelta(hours=1)
    grace: Duration = timedelta(hours=1)
    sweep_every: Duration = timedelta(seconds=1)
    stuck_after: Duration = Field(default=timedelta(minutes=2), ge=timedelta(seconds=30))
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
    dsn: PostgresAddress = SecretStr(EMBEDDED)
    pool_size: int = Field(default=10, ge=2, le=200)


class Redis(Section):
    url: RedisAddress = SecretStr(EMBEDDED)


class Nats(Section):
    url: NatsAddress = SecretStr(EMBEDDED)
    auth_url: NatsAddress = SecretStr("")
    system_url: NatsAddress = SecretStr("")
    account_seed: SecretStr = SecretStr("")
    stream_max_age: Duration = timedelta(hours=72)
    stream_max_messages: int = Field(default=100_000, ge=1)
    stream_max_megabytes: int = Field(default=256, ge=1)


class Workers(Section):
    postgres: str = ""
    redis: str = ""
    nats: str = ""

    @field_validator("postgres", "redis", "nats")
    @classmethod
    def _is_an_address_without_login(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (not parts.scheme or not parts.hostname or "@" in parts.netloc):
            raise ValueError("write an address like nats://nats.example.com:4222, without user and password")
        return value


class Isolation(Section):
    require: bool = False
    max_connections: int = Field(default=10, ge=1, le=1000)
    longest_transaction: Duration = timedelta(seconds=60)


class Embedded(Section):
    folder: Path = Path("data")
    durable: bool = True


class Routing(Section):
    unbound_subject: str = ""
    window: int = Field(default=4096, ge=1, le=65_536)
    ack_timeout: Duration = timedelta(seconds=5)
    reload_every: Duration = timedelta(seconds=30)

    @field_validator("unbound_subject")
    @classmethod
    def _is_no_sandbox_subject(cls, value: str) -> str:
        if value and (not _SUBJECT.fullmatch(value) or value.split(".")[0] == "sandbox"):
            raise ValueError("write a NATS subject like events, outside sandbox.>")
        return value


class Log(Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    json_lines: bool = False


class _Environment(EnvSettingsSource):
    """`.env` below the real environment, with the common names translated and unknown sections reported."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: Mapping[str, str | None]) -> None:
        self._dotenv = dotenv
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        merged: dict[str, str | None] = {}
        for layer in (self._dotenv, os.environ):
            common = {ours: layer[theirs] for theirs, ours in COMMON_NAMES.items() if layer.get(theirs)}
            ours = {name.upper(): value for name, value in layer.items() if name.upper().startswith("BOT_")}
            merged |= common | ours
        merged.pop(CONFIG_VARIABLE, None)
        return {name.lower(): value for name, value in merged.items()}

    def __call__(self) -> dict[str, Any]:
        known = {f"bot_{section}" for section in self.settings_cls.model_fields}
        for name in self.env_vars:
            if name.partition("__")[0] not in known or name.count("__") != 1:
                raise SettingsError(f"{name.upper()}: there is no such setting; see config.toml for the keys.")
        return super().__call__()


class Settings(BaseSettings):
    """Every knob, checked. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="BOT_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        nested_model_default_partial_update=True,
    )

    discord: Discord = Discord()
    sandboxes: Sandboxes = Sandboxes()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    nats: Nats = Nats()
    workers: Workers = Workers()
    isolation: Isolation = Isolation()
    embedded: Embedded = Embedded()
    routing: Routing = Routing()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller passes: `load_settings` names the layers, code and tests pass values."""
        return (init_settings,)

    @property
    def embedded_stores(self) -> frozenset[str]:
        """Which of `postgres`, `redis` and `nats` the bot itself has to run."""
        addresses = {"postgres": self.postgres.dsn, "redis": self.redis.url, "nats": self.nats.url}
        return frozenset(name for name, url in addresses.items() if url.get_secret_value() == EMBEDDED)

    def secrets(self) -> list[str]:
        """What must never be read in a log: the token, and the passwords inside the addresses."""
        nats = self.nats
        addresses = (self.postgres.dsn, self.redis.url, nats.url, nats.auth_url, nats.system_url)
        passwords = [urlsplit(address.get_secret_value()).password or "" for address in addresses]
        keys = (self.discord.token, nats.account_seed)
        return [*(key.get_secret_value().strip() for key in keys), *passwords, *map(unquote, passwords)]

    def require_token(self) -> str:
        """Discord's token, or `SettingsError` that says where it comes from."""
        token = self.discord.token.get_secret_value().strip()
        if not token:
            raise SettingsError(
                "discord.token: missing; set DISCORD_TOKEN in the environment or in .env to the bot's token."
            )
        return token


def load_settings(config: Path | None = None, dotenv: Path = Path(".env")) -> Settings:
    """Read every layer. `config` (or `$BOT_CONFIG`) must exist; `./config.toml` is read if it does.

    `SettingsError` names the key that is unknown or wrong, and how to mend it.
    """
    path = config or _config_from_environment()
    values = _read_toml(path) if path else {}
    environment = _Environment(Settings, _read_dotenv(dotenv) if dotenv.is_file() else {})
    try:
        layers = (environment(), InitSettingsSource(Settings, values)())
        return Settings(**_merged(layers))
    except ValidationError as error:
        raise SettingsError(_explain(error.errors()[0])) from None


def _config_from_environment() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    beside = Path("config.toml")
    return beside if beside.is_file() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; name a readable file with --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}.") from None
    for section, keys in values.items():
        if section in Settings.model_fields and not isinstance(keys, dict):
            raise SettingsError(f"{section}: it is a section; write [{section}], and its keys below.")
    return values


def _read_dotenv(path: Path) -> dict[str, str | None]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            broken = [binding.original.line for binding in parse_stream(lines) if binding.error]
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{path}: not readable as UTF-8 text; mend it or remove it.") from None
    if broken:
        raise SettingsError(f"{path}: line {broken[0]} is not understood; write NAME=value.")
    return dotenv_values(path, encoding="utf-8-sig")


def _merged(layers: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        for section, values in layer.items():
            both = isinstance(values, dict) and isinstance(merged.get(section), dict)
            merged[section] = merged[section] | values if both else values
    return merged


def _explain(detail: ErrorDetails) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] != "extra_forbidden":
        return f"{key}: {detail['msg'].removeprefix('Value error, ')}."
    close = difflib.get_close_matches(key, _known_keys(), n=1, cutoff=0.5)
    mend = f"did you mean {close[0]}?" if close else _SEE_CONFIG
    return f"{key}: there is no such setting; {mend}"


def _known_keys() -> list[str]:
    sections = {name: type(field.default) for name, field in Settings.model_fields.items()}
    return [*sections, *(f"{name}.{key}" for name, kind in sections.items() for key in kind.model_fields)]
