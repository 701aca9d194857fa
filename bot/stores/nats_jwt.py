"""The JSON web tokens of NATS: signed with Ed25519 by nkeys. Pure."""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import Any

import nkeys
import orjson
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}


class InvalidJwt(Exception):
    """It is no token of NATS, or its signature does not fit."""


class Issuer:
    """Signs as one account. The seed is a secret."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._pair = nkeys.from_seed(bytearray(self._seed))
        self.account: str = self._pair.public_key.decode()

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims with issuer and a fresh id. Their times are the business of whoever's clock will judge them."""
        complete = {"iss": self.account, "jti": secrets.token_hex(16), **claims}
        signed = _encode(orjson.dumps(_HEADER)) + b"." + _encode(orjson.dumps(complete))
        signature: bytes = self._pair.sign(signed)
        return (signed + b"." + _encode(signature)).decode()

    def derive(self, purpose: str) -> str:
        """A password that only those who have the seed know."""
        return hmac.digest(self._seed, purpose.encode(), "sha256").hex()


def new_account_seed() -> str:
    seed: bytes = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_ACCOUNT)
    return seed.decode()


def account_of(seed: str) -> str:
    """The account's public key."""
    return Issuer(seed).account


def verify(token: bytes) -> dict[str, Any]:
    """The claims of a token that the server it names has signed; `InvalidJwt` otherwise."""
    try:
        signed, _, signature = token.rpartition(b".")
        claims: dict[str, Any] = orjson.loads(_decode(signed.partition(b".")[2]))
        public = base64.b32decode(claims["iss"] + "=" * (-len(claims["iss"]) % 8))
        VerifyKey(public[1:33]).verify(signed, _decode(signature))
    except (ValueError, KeyError, TypeError, BadSignatureError) as error:
        raise InvalidJwt(str(error)) from error
    return claims


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))
