"""Custom ids that the bot has signed: a worker may post any button in the bot's name, and then somebody presses it.

`sbx:v2:<action>:<asker or 0>:<arguments>:<signature>`. The signature is over all that stands before it, and in an id
without an asker over the channel too: what everybody may press works only where the bot has put it. The ids stand in
messages for as long as people keep those, so that their format may only be added to.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.keys import KeyRing
from bot.stores.postgres import Pool, fetch_value, load_queries

COMPONENT_PREFIX = "sbx:"
"""What the custom ids of our own buttons begin with. A worker's may, too: only the signature tells."""

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
    """Signs what the bot's buttons are about, and reads what is pressed.

    What may be acted upon PostgreSQL is asked each time. Whose a button is has to be known before its press is routed,
    so that the keys seen so far are remembered for that, those too that are good for nothing else any more.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._keys = KeyRing(pool)
        self._sql = load_queries("keys")
        self._seen: set[bytes] = set()
        self._since = 0
        self._asked_at = -constants.OWN_INTERACTION_ASKED_EVERY_S

    async def sign(self, custom_id: CustomId, channel_id: int | None = None) -> str:
        """The text of a button; without an asker it needs the channel."""
        assert custom_id.fits, custom_id
        assert custom_id.asker_id is not None or channel_id is not None
        key = await self._keys.current(_PURPOSE)
        self._seen.add(key)
        return f"{custom_id}:{_signature(key, custom_id, channel_id)}"

    async def read(self, text: str, channel_id: int | None) -> CustomId | None:
        """What was pressed in that channel; None if the bot has not signed it for there."""
        return _read(text, channel_id, await self._keys.valid(_PURPOSE))

    async def learn(self) -> None:
        """Before the first `is_own`, and when there may be other keys."""
        keys, self._since = await asyncio.gather(self._keys.all_of(_PURPOSE), self.get_since())
        self._seen.update(keys)

    async def prepare(self, text: str, channel_id: int | None) -> None:
        """Before `is_own` of what has the form of ours: another bot may have signed it with a key that is new. Takes a
        bounded time; without PostgreSQL, which no new key comes from, nothing changes."""
        now = time.monotonic()
        is_clear = _split(text)[0] is None or _read(text, channel_id, self._seen) is not None
        if is_clear or now - self._asked_at < constants.OWN_INTERACTION_ASKED_EVERY_S:
            return
        self._asked_at = now
        try:
            async with asyncio.timeout(constants.OWN_INTERACTION_KNOWN_WITHIN_S):
                await self.learn()
        except (ServiceUnavailable, TimeoutError) as error:
            logger.warning("whose a button is may be wrong, PostgreSQL does not answer", error=repr(error))

    def is_own(self, text: str, channel_id: int | None, message_id: int | None) -> bool:
        """Whether the bot has made the button: signed it, or sent it before it signed any."""
        is_older = message_id is not None and message_id < self._since
        return is_older or _read(text, channel_id, self._seen) is not None

    async def rotate_key(self) -> None:
        """What was signed so far is taken for a day."""
        await self._keys.rotate(_PURPOSE)

    async def get_since(self) -> int:
        """The snowflake from which on every id is signed."""
        return int(await fetch_value(self._pool, self._sql["get_custom_ids_since"]))


def claimed_action(text: str) -> str | None:
    """What a button seems to do; whether the bot has signed it, `CustomIds.read` tells. None without the form."""
    custom_id, _ = _split(text)
    return custom_id.action if custom_id else None


def _read(text: str, channel_id: int | None, keys: Iterable[bytes]) -> CustomId | None:
    custom_id, signature = _split(text)
    if custom_id is None:
        return None
    expected = (_signature(key, custom_id, channel_id) for key in keys)
    return custom_id if any(hmac.compare_digest(one, signature) for one in expected) else None


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
