"""Who the application is, as every sandbox's bot is told."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from bot import constants
from bot.relay.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Identity:
    """The application's user and itself, as Discord shows them to it."""

    user: dict[str, Any]
    application: dict[str, Any]

    @property
    def user_id(self) -> str:
        """Of the bot's user, in digits as in JSON."""
        return str(self.user["id"])

    @property
    def application_id(self) -> str:
        """In digits as in JSON."""
        return str(self.application["id"])


class IdentitySource:
    """Asks Discord once, and now and then again."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream, self._asking = upstream, asyncio.Lock()
        self._known: Identity | None = None
        self._known_at = 0.0

    async def get(self) -> Identity:
        """`DiscordAway` or `Refused` only if it was never known."""
        async with self._asking:
            if self._known is None or time.monotonic() - self._known_at > constants.RELAY_IDENTITY_KEPT_S:
                self._known = Identity(
                    await self._upstream.get("/users/@me"), await self._upstream.get("/applications/@me")
                )
                self._known_at = time.monotonic()
        return self._known
