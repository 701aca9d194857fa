"""A sandbox's one token, which opens all three stores and the relay, and what it is checked by. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import NamedTuple

_ITERATIONS = 4096
"""Fewer would do for a random token, but RFC 7677 advises against it, and some clients refuse them."""


_BOT_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,40}\.(?P<sandbox>[A-Za-z0-9_-]{6})\.(?P<secret>[A-Za-z0-9_-]{20,})")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The token is shown once and kept nowhere; PostgreSQL checks the SCRAM verifier, Redis and NATS the hash."""

    token: str = field(repr=False)
    scram_verifier: str = field(repr=False)
    token_sha256: str = field(repr=False)


class BotToken(NamedTuple):
    """Which sandbox it names, by its short id, and the secret that has to be that sandbox's."""

    short_id: str
    secret: str


def new_credentials() -> Credentials:
    """With more than 255 random bits. Takes milliseconds of CPU, which is why it belongs in a thread."""
    token = _new_token()
    return Credentials(token, scram_verifier(token, secrets.token_bytes(16)), hash_token(token))


def _new_token() -> str:
    """It begins with a letter: behind the user in an address, nats.js takes a colon and a digit for the port."""
    while not (token := secrets.token_urlsafe(32))[0].isalpha():
        continue
    return token


def hash_token(token: str) -> str:
    """SHA-256 in hexadecimal digits: the token is random, so it needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def make_bot_token(bot_id: int, short_id: str, secret: str) -> str:
    """In the form of Discord's own: libraries read the bot's id in the first part, and measure the others."""
    bot = base64.b64encode(str(bot_id).encode()).decode().rstrip("=")
    sandbox = base64.urlsafe_b64encode(bytes.fromhex(short_id)).decode().rstrip("=")
    return f"{bot}.{sandbox}.{secret}"


def read_bot_token(text: str) -> BotToken | None:
    """With or without Discord's `Bot `; None for what is no token of a sandbox."""
    found = _BOT_TOKEN.fullmatch(text.strip().removeprefix("Bot ").strip())
    if found is None:
        return None
    try:
        short_id = base64.urlsafe_b64decode(found["sandbox"] + "==").hex()
    except binascii.Error:
        return None
    return BotToken(short_id, found["secret"])


def scram_verifier(password: str, salt: bytes) -> str:
    """As PostgreSQL stores it (RFC 5803), so that the password never reaches the server or its log. ASCII only."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server = _hmac(salted, b"Server Key")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def bot_id_of(discord_token: str) -> int | None:
    """Whose token of Discord's it is, as its first part says; None if that says nothing."""
    try:
        return int(base64.b64decode(discord_token.partition(".")[0] + "==", validate=True))
    except ValueError:
        return None
