"""`config.toml`, `.env` and the environment, checked and merged into one frozen `Settings`.

The environment wins over `.env`, `.env` over `config.toml`, and that over the defaults below. Nothing is read
at import time, and no value ever stands in an error, for it may be a secret.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot import constants
from bot.secret_files import SUFFIX, read_secret_files
from bot.setting_sections import Discord, Health, Log, Relay, Routing, Sandboxes
from bot.setting_types import EMBEDDED, password_in
from bot.store_sections import Embedded, Isolation, Nats, Postgres, Redis, Tls, Workers
from sandbox_worker.addresses import read_parameters, split_addresses

__all__ = [
    "Discord",
    "Embedded",
    "Health",
    "Isolation",
    "Log",
    "Nats",
    "Postgres",
    "Redis",
    "Relay",
    "Routing",
    "Sandboxes",
    "Settings",
    "SettingsError",
    "Tls",
    "Workers",
    "load_settings",
]

CONFIG_VARIABLE = "BOT_CONFIG"

_SEE_CONFIG = "see config.toml for the keys."

COMMON_NAMES = {
    "DISCORD_TOKEN": "BOT_DISCORD__TOKEN",
    "DATABASE_URL": "BOT_POSTGRES__DSN",
    "REDIS_URL": "BOT_REDIS__URL",
    "NATS_URL": "BOT_NATS__URL",
    "NATS_AUTH_URL": "BOT_NATS__AUTH_URL",
    "NATS_SYSTEM_URL": "BOT_NATS__SYSTEM_URL",
    "NATS_ACCOUNT_SEED": "BOT_NATS__ACCOUNT_SEED",
    "NATS_CREDENTIALS": "BOT_NATS__CREDENTIALS",
    "NATS_NKEY_SEED": "BOT_NATS__NKEY_SEED",
}
"""Variables by the names that everybody gives them, and what they are called here."""


class SettingsError(Exception):
    """The configuration cannot be used. `str(error)` is one line that names the key and the mend."""


class _Environment(EnvSettingsSource):
    """`.env` below the real environment, with the common names translated and unknown sections reported."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        merged: dict[str, str | None] = {}
        files = {theirs + SUFFIX: ours + SUFFIX for theirs, ours in COMMON_NAMES.items()}
        for layer in (dotenv, os.environ):
            common = {ours: layer[theirs] for theirs, ours in (COMMON_NAMES | files).items() if layer.get(theirs)}
            ours = {name.upper(): value for name, value in layer.items() if name.upper().startswith("BOT_")}
            merged |= common | ours
        merged.pop(CONFIG_VARIABLE, None)
        try:
            merged = read_secret_files(merged, _secret_variables())
        except ValueError as error:
            raise SettingsError(str(error)) from None
        self.env_vars = {name.lower(): value for name, value in merged.items()}

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
    tls: Tls = Tls()
    workers: Workers = Workers()
    relay: Relay = Relay()
    health: Health = Health()
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

    @property
    def redis_databases(self) -> range | None:
        """Those of Valkey's that sandboxes may have, None for none; of the embedded one nearly all."""
        if self.redis.databases is None and "redis" in self.embedded_stores:
            return constants.REDIS_DATABASES
        return self.redis.databases

    @property
    def redis_scripts(self) -> bool | None:
        """Whether sandboxes may run scripts in Valkey or Redis; None: if it has no known flaw that they reach."""
        if self.redis.scripts is None and "redis" not in self.embedded_stores:
            return False
        return self.redis.scripts

    @property
    def relay_listen(self) -> str:
        """Where the relay listens, or `off`."""
        return self.relay.listen or (constants.RELAY_LISTEN if self.embedded_stores else "off")

    @property
    def health_listen(self) -> str:
        """Where health is told, or `off`."""
        return self.health.listen or "off"

    @property
    def relay_address(self) -> str:
        """Where developers reach the relay, without a path; empty if that is not known."""
        chosen, (host, _, port) = self.relay, self.relay_listen.rpartition(":")
        if chosen.address or self.relay_listen == "off" or host in ("", "fd"):
            return chosen.address
        return f"{'http' if chosen.certificate is None else 'https'}://{host}:{port}"

    def secrets(self) -> list[str]:
        """What must never be read in a log: the token, and the passwords inside the addresses."""
        nats = self.nats
        addresses = (self.postgres.dsn, self.redis.url, nats.url, nats.auth_url, nats.system_url)
        urls = [url for address in addresses for url in split_addresses(address.get_secret_value())]
        passwords = [password_in(url) for url in urls]
        parameters = [each for url in addresses for each in read_parameters(url.get_secret_value()).items()]
        passwords += [value for name, value in parameters if name.endswith("password")]
        keys = (self.discord.token, nats.account_seed, nats.nkey_seed)
        found = [*(key.get_secret_value().strip() for key in keys), *passwords, *map(unquote, passwords)]
        return [secret for secret in found if secret]

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
        if section in Settings.model_fields:
            if not isinstance(keys, dict):
                raise SettingsError(f"{section}: it is a section; write [{section}], and its keys below.")
            _refuse_secrets(path, section, keys)
    return values


def _refuse_secrets(path: Path, section: str, keys: Mapping[str, object]) -> None:
    """They come from the environment alone: a file of settings is shown, copied and committed."""
    known = type(Settings.model_fields[section].default).model_fields
    for key, value in keys.items():
        if key in known and known[key].annotation is SecretStr and value not in ("", EMBEDDED):
            raise SettingsError(
                f"{section}.{key}: a secret, which does not belong into {path}; take it out, and set "
                f"{_variable(section, key)} in the environment or in .env."
            )


def _secret_variables() -> dict[str, str]:
    """What each is called by everybody."""
    return {
        f"BOT_{section}__{key}".upper(): _variable(section, key)
        for section, field in Settings.model_fields.items()
        for key, kind in type(field.default).model_fields.items()
        if kind.annotation is SecretStr
    }


def _variable(section: str, key: str) -> str:
    ours = f"BOT_{section}__{key}".upper()
    return next((theirs for theirs, name in COMMON_NAMES.items() if name == ours), ours)


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
