"""Custom ids that the bot has signed: a worker may post any button in the bot's name, and then somebody presses it.

`sbx:v2:<action>:<asker or 0>:<arguments>:<signature>`. The signature is over all that stands before it, and in an id
without an asker over the channel too: what everybody may press works only where the bot has put it. The ids stand in
messages for as long as people keep those, so that their format may only be added to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from bot import constants
from bot.keys import KeyRing
from bot.stores.postgres import Pool, connected, load_queries

COMPONENT_PREFIX = "sbx:"
"""What the custom ids of our own buttons begin with: every other one belongs to a sandbox's worker."""

_VERSION = "v2"
_PURPOSE = "custom ids"
_SIGNATURE_BYTES = 12
"""96 bits: nobody tries so many, and they are 16 of the hundred characters that Discord allows."""


@dataclass(frozen=True, slots=True)
class CustomId:
    """What a button does, with what; None as asker: for whoever may."""

    action: str
    arguments: str
    asker_id: int | None

    def __str__(self) -> str:
        return f"{COMPONENT_PREFIX}{_VERSION}:{self.action}:{self.asker_id or 0}:{self.arguments}"

    @property
    def fits(self) -> bool:
        """Whether Discord takes it when it is signed."""
        return len(str(self)) + len(":") + _SIGNATURE_BYTES * 4 // 3 <= constants.CUSTOM_ID_CHARS


class CustomIds:
    """Signs what the bot's buttons are about, and reads what is pressed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._keys = KeyRing(pool)
        self._sql = load_queries("keys")

    async def sign(self, custom_id: CustomId, channel_id: int | None = None) -> str:
        """The text of a button; without an asker it needs the channel."""
        assert custom_id.fits, custom_id
        assert custom_id.asker_id is not None or channel_id is not None
        key = await self._keys.current(_PURPOSE)
        return f"{custom_id}:{_signature(key, custom_id, channel_id)}"

    async def read(self, text: str, channel_id: int | None) -> CustomId | None:
        """What was pressed in that channel; None if the bot has not signed it for there."""
        custom_id, signature = _split(text)
        if custom_id is None:
            return None
        keys = await self._keys.valid(_PURPOSE)
        expected = (_signature(key, custom_id, channel_id) for key in keys)
        is_signed = any(hmac.compare_digest(one, signature) for one in expected)
        return custom_id if is_signed else None

    async def rotate_key(self) -> None:
        """What was signed so far is taken for a day."""
        await self._keys.rotate(_PURPOSE)

    async def get_since(self) -> int:
        """The snowflake from which on every id is signed."""
        async with connected(self._pool) as connection:
            return int(await connection.fetchval(self._sql["get_custom_ids_since"]))


def claimed_action(text: str) -> str | None:
    """What a button seems to do; whether the bot has signed it, `CustomIds.read` tells. None without the form."""
    custom_id, _ = _split(text)
    return custom_id.action if custom_id else None


def _split(text: str) -> tuple[CustomId | None, str]:
    """The id as it was signed and its signature; None for what has not its form, to the character."""
    body, _, signature = text.rpartition(":")
    parts = body.removeprefix(COMPONENT_PREFIX).split(":", 3)
    if len(parts) != 4 or not parts[2].isdecimal() or not signature.isascii():
        return None, ""
    custom_id = CustomId(parts[1], parts[3], int(parts[2]) or None)
    return (custom_id if str(custom_id) == body else None), signature


def _signature(key: bytes, custom_id: CustomId, channel_id: int | None) -> str:
    where = f"in:{channel_id}" if custom_id.asker_id is None else "anywhere"
    digest = hmac.digest(key, f"{where}\n{custom_id}".encode(errors="surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()
