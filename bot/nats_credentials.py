"""What one logs in to NATS with where that is no password: a file of credentials, or the seed of an NKey."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import nkeys

_PART = r"-{3,}\s*BEGIN %s\s*-{3,}\s*(\S+)\s*-{3,}\s*END %s\s*-{3,}"
_JWT = re.compile(_PART % ("NATS USER JWT", "NATS USER JWT"))
_SEED = re.compile(_PART % ("USER NKEY SEED", "USER NKEY SEED"))


class WrongCredentials(ValueError):
    """They can't be used. `str(error)` says why, without a secret."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is in a `.creds` file: who one is, by somebody's signature, and the key that proves it."""

    jwt: str
    seed: str = field(repr=False)

    @classmethod
    def read(cls, file: Path) -> Self:
        """`WrongCredentials` if that can't be."""
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise WrongCredentials(f"{file} cannot be read ({getattr(error, 'strerror', 'no text')})") from None
        jwt, seed = _JWT.search(text), _SEED.search(text)
        if jwt is None or seed is None:
            raise WrongCredentials(f"{file} is no file of NATS's credentials, with a user's JWT and seed")
        require_user_seed(seed[1])
        return cls(jwt[1], seed[1])

    def sign(self, nonce: str) -> bytes:
        """The server's nonce, as it wants it."""
        return base64.b64encode(nkeys.from_seed(bytearray(self.seed.encode())).sign(nonce.encode()))


def require_user_seed(seed: str) -> None:
    """`WrongCredentials` if it is none."""
    try:
        key = nkeys.from_seed(bytearray(seed.encode()))
    except Exception:  # nkeys raises whatever its decoder does
        key = None
    if key is None or not seed.startswith("SU"):
        raise WrongCredentials("it is no seed of a NATS user, which begins with SU")
