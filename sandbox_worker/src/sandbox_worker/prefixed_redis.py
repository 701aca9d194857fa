"""A Redis client for a sandbox: its prefix is added to the keys and channels sent, and taken off those returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from sandbox_worker.addresses import Sentinels
from sandbox_worker.redis_connections import PrimaryPool, make_pool

_POPS = "BLPOP BRPOP BZPOPMIN BZPOPMAX LMPOP BLMPOP ZMPOP BZMPOP"
_READS = "XREAD XREADGROUP"


class PrefixedRedis(Redis):
    """redis-py's client, with the commands that a sandbox may use; any other is refused before it is sent, by
    `UnsupportedCommand`.

    The prefix is added where commands become bytes, which all of them pass: pipelines, transactions and pub/sub too.
    The one pattern to subscribe to is `*`: Redis lets a user that is confined to channels have no other.
    """

    def __init__(self, url: str, prefix: str, *, sentinels: Sentinels | None = None, tls_ca: str = "") -> None:
        """With Sentinels, at the server that they name, whichever the address does."""
        self._prefix = prefix
        super().__init__(connection_pool=make_pool(url, prefix, sentinels, tls_ca))
        self.auto_close_connection_pool = True
        for command in _POPS.split():
            self._wrap(command, lambda reply: reply and type(reply)([self._strip(reply[0]), *reply[1:]]))
        for command in _READS.split():
            self._wrap(command, lambda reply: reply and [[self._strip(stream), entries] for stream, entries in reply])

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """As redis-py's."""
        if isinstance(self.connection_pool, PrimaryPool):
            await self.connection_pool.stop()
        await super().aclose(close_connection_pool)

    def pubsub(self, **options: Any) -> PubSub:
        """As redis-py's; channels and patterns have no prefix in what it returns either."""
        return _PrefixedPubSub(self.connection_pool, self._strip, **options)

    def _wrap(self, command: str, change: Callable[[Any], Any]) -> None:
        parse = self.response_callbacks.get(command, lambda reply, **_: reply)

        def parse_and_change(response: Any, **options: Any) -> Any:
            return change(parse(response, **options))

        self.set_response_callback(command, parse_and_change)

    def _strip(self, name: Any) -> Any:
        """As bytes or text, as the client was told to decode."""
        return name.removeprefix(self._prefix if isinstance(name, str) else self._prefix.encode())


class _PrefixedPubSub(PubSub):
    def __init__(self, pool: Any, strip: Callable[[Any], Any], **options: Any) -> None:
        self._strip = strip
        super().__init__(pool, **options)

    async def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        response = await super().parse_response(block=block, timeout=timeout)
        if not isinstance(response, list) or response[0] in {b"pong", "pong"}:
            return response
        names = 2 if response[0] in {b"pmessage", "pmessage"} else 1
        return [response[0], *(name and self._strip(name) for name in response[1 : names + 1]), *response[names + 1 :]]
