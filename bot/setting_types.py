"""How single settings are written: durations, ids, addresses. No error repeats a value, for it may be a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, SecretStr
from pydantic_settings import NoDecode

from bot.durations import parse_duration
from bot.errors import InvalidInput
from bot.names import check_snowflake
from sandbox_worker.addresses import split_addresses

EMBEDDED = "embedded"
"""In place of an address: the bot itself runs the server."""

_NATS = ("nats", "tls", "ws", "wss")


class Section(BaseModel):
    """An unknown key is an error that names it, and no error repeats a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def is_address(text: str, schemes: tuple[str, ...]) -> bool:
    """Whether a driver could read it. PostgreSQL's takes several hosts, and Redis's several Sentinels."""
    try:
        parts = urlsplit(text)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        ports = [urlsplit(f"//{host}").port for host in hosts]
    except ValueError:
        return False
    takes_several = parts.scheme.startswith("postgres") or parts.scheme.endswith("+sentinel")
    return parts.scheme in schemes and (len(ports) == 1 or takes_several)


def password_in(url: str) -> str:
    """As it stands there; empty if there is none. With NATS, a user alone is a token."""
    parts = urlsplit(url)
    return parts.password or (parts.scheme in _NATS and parts.username) or ""


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("write a duration in quotes, like “90s”, “45m”, “24h” or “7d”")
    try:
        return parse_duration(value)
    except InvalidInput as error:
        raise ValueError("write a duration like 90s, 45m, 24h or 7d, above zero") from error


def _words(value: object) -> object:
    """The environment's way to write a list: with commas, or as JSON."""
    return re.findall(r'[^\s,"\[\]]+', value) if isinstance(value, str) else value


def _snowflakes(value: object) -> object:
    parts = _words(value)
    if not isinstance(parts, list | tuple | set | frozenset):
        raise ValueError("write a list of Discord ids")
    try:
        return frozenset(check_snowflake(part, "Discord id") for part in parts)
    except InvalidInput as error:
        raise ValueError("a Discord id is a number of 17 to 20 digits") from error


def _token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value().strip()
    if not token.isascii() or any(not character.isprintable() or character.isspace() for character in token):
        raise ValueError("a token is one word of ASCII; set DISCORD_TOKEN to the bot's token")
    return value


def _address(variable: str, example: str, *schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text not in {"", EMBEDDED} and not is_address(text, schemes):
            raise ValueError(f"write {variable} like {example}, special characters of the password as %XX")
        return value

    return AfterValidator(check)


def _nats_addresses(value: SecretStr) -> SecretStr:
    urls = value.get_secret_value()
    if urls in {"", EMBEDDED}:
        return value
    parts = split_addresses(urls)
    if not all(is_address(part, _NATS) and urlsplit(part).hostname for part in parts):
        raise ValueError(
            "write NATS_URL like nats://user:password@host:4222, special characters of the password as %XX, and those "
            "of a cluster with commas between"
        )
    if len({urlsplit(part).scheme.startswith("ws") for part in parts}) > 1:
        raise ValueError("all addresses of a cluster in NATS_URL are WebSockets, ws:// and wss://, or none is")
    if len({login for part in parts if (login := urlsplit(part).netloc.rpartition("@")[0])}) > 1:
        raise ValueError("all addresses of a cluster in NATS_URL have the same user and password")
    return value


def _listen(value: object) -> object:
    if value in (None, "", "auto"):
        return None
    text = str(value)
    host, _, port = text.rpartition(":")
    is_number = port.isascii() and port.isdecimal() and int(port) < 65_536
    if text not in ("off", "systemd") and not (host and is_number):
        raise ValueError("write an address like 127.0.0.1:8791, fd:3, systemd, or off")
    return text


def _databases(value: object) -> object:
    if value in (None, "") or isinstance(value, range):
        return value or None
    first, _, last = str(value).partition("-")
    if not all(part.isascii() and part.isdecimal() for part in (first, last or "none")) or int(first) > int(last):
        raise ValueError("write two numbers of databases that are the bot's alone, like 100-199")
    return range(int(first), int(last) + 1)


def _levels(value: object) -> object:
    """The environment's way to write a table: `bot.relay=DEBUG, nats=ERROR`."""
    if isinstance(value, str):
        return dict(word.partition("=")[::2] for word in value.replace(",", " ").split())
    return value


Databases = Annotated[InstanceOf[range] | None, BeforeValidator(_databases)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Snowflakes = Annotated[frozenset[int], BeforeValidator(_snowflakes), NoDecode]
Intents = Annotated[tuple[Literal["members", "message_content", "presences"], ...], BeforeValidator(_words), NoDecode]
Listen = Annotated[str | None, BeforeValidator(_listen)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogLevels = Annotated[Mapping[str, LogLevel], BeforeValidator(_levels), NoDecode]
Numbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_words), NoDecode]
Token = Annotated[SecretStr, AfterValidator(_token)]
PostgresAddress = Annotated[
    SecretStr, _address("DATABASE_URL", "postgresql://user:password@host:5432/database", "postgresql", "postgres")
]
_SENTINELS = ("redis+sentinel", "rediss+sentinel")
RedisAddress = Annotated[
    SecretStr, _address("REDIS_URL", "redis://default:password@host:6379/0", "redis", "rediss", "unix", *_SENTINELS)
]
NatsAddress = Annotated[SecretStr, AfterValidator(_nats_addresses)]
