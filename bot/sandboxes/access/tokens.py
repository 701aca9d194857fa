"""A sandbox's one token, which opens all three stores, and what it is checked by. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

_ITERATIONS = 4096
"""Fewer would do for a random token, but RFC 7677 advises against it, and some clients refuse them."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The token is shown once and kept nowhere; PostgreSQL checks the SCRAM verifier, Redis and NATS the hash."""

    token: str = field(repr=False)
    scram_verifier: str = field(repr=False)
    token_sha256: str = field(repr=False)


def new_credentials() -> Credentials:
    """With 256 random bits. Takes milliseconds of CPU, which is why it belongs in a thread."""
    token = secrets.token_urlsafe(32)
    return Credentials(token, scram_verifier(token, secrets.token_bytes(16)), hash_token(token))


def hash_token(token: str) -> str:
    """SHA-256 in hexadecimal digits: the token is random, so it needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


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
