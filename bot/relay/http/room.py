"""What the requests of one sandbox may take of the relay's memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from aiohttp import web

from bot import constants
from bot.relay.fairness import TooManyRequests

_AGAIN_AFTER_S = 1.0


class Room:
    """By the lengths that are announced; a body of no such length counts as the largest."""

    def __init__(self) -> None:
        self._requests: Counter[UUID] = Counter()
        self._bytes: Counter[UUID] = Counter()

    @asynccontextmanager
    async def taken(self, sandbox_id: UUID, request: web.Request) -> AsyncIterator[None]:
        """From before its body is read until it is answered; `TooManyRequests` if the sandbox has no room left."""
        size = _size_of(request)
        if (
            self._requests[sandbox_id] >= constants.RELAY_REQUESTS_AT_WORK
            or self._bytes[sandbox_id] + size > constants.RELAY_BODIES_BYTES
        ):
            raise TooManyRequests(_AGAIN_AFTER_S)
        self._requests[sandbox_id] += 1
        self._bytes[sandbox_id] += size
        try:
            yield
        finally:
            self._give_back(sandbox_id, size)

    def _give_back(self, sandbox_id: UUID, size: int) -> None:
        self._requests[sandbox_id] -= 1
        self._bytes[sandbox_id] -= size
        if not self._requests[sandbox_id]:
            del self._requests[sandbox_id], self._bytes[sandbox_id]


def _size_of(request: web.Request) -> int:
    if not request.can_read_body:
        return 0
    length = request.content_length
    if length is None:
        return constants.RELAY_BODY_BYTES
    if length > constants.RELAY_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(constants.RELAY_BODY_BYTES, length)
    return length
