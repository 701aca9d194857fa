"""A Redis client for a sandbox: its prefix is added to the keys and channels sent, and taken off those returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.client import PubSub
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from sandbox_worker import constants
from sandbox_worker.redis_keys import key_positions

_POPS = "BLPOP BRPOP BZPOPMIN BZPOPMAX LMPOP BLMPOP ZMPOP BZMPOP"
_READS = "XREAD XREADGROUP"


class PrefixedRedis(Redis):
    """redis-py's client, with the commands that a sandbox may use; any other is refused before it is sent, by
    `UnsupportedCommand`.

    The prefix is added where commands become bytes, which all of them pass: pipelines, transactions and pub/sub too.
    The one pattern to subscribe to is `*`: Redis lets a user that is confined to channels have no other.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._prefix = prefix
        super().__init__(connection_pool=_pool(url, prefix))
        self.auto_close_connection_pool = True
        for command in _POPS.split():
            self._wrap(command, lambda reply: reply and type(reply)([self._strip(reply[0]), *reply[1:]]))
        for command in _READS.split():
            self._wrap(command, lambda reply: reply and [[self._strip(stream), entries] for stream, entries in reply])

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
    def __init__(self, pool: ConnectionPool, strip: Callable[[Any], Any], **options: Any) -> None:
        self._strip = strip
        super().__init__(pool, **options)

    async def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        response = await super().parse_response(block=block, timeout=timeout)
        if not isinstance(response, list) or response[0] in {b"pong", "pong"}:
            return response
        names = 2 if response[0] in {b"pmessage", "pmessage"} else 1
        return [response[0], *(name and self._strip(name) for name in response[1 : names + 1]), *response[names + 1 :]]


class _Prefixing:
    """Before one of redis-py's classes of connections."""

    def __init__(self, *, prefix: str, **options: Any) -> None:
        self._prefix = prefix.encode()
        super().__init__(**options)
        # What a connection tells of itself at its start, by CLIENT, which is not a sandbox's to use: the first is asked
        # by newer versions of redis-py, the others by older ones. `UnsupportedCommand` at the first command of all
        # would show another name for it.
        for name in ("driver_info", "lib_name", "lib_version"):
            setattr(self, name, None)

    def pack_command(self, *arguments: Any) -> list[bytes]:
        command, *rest = arguments
        words = command.split() if isinstance(command, bytes) else str(command).encode().split()
        whole = [*words, *rest]
        for position in key_positions(whole):
            whole[position] = self._prefix + self.encoder.encode(whole[position])  # type: ignore[attr-defined]
        packed: list[bytes] = super().pack_command(*whole)  # type: ignore[misc]
        return packed


class _PlainConnection(_Prefixing, Connection):
    pass


class _TlsConnection(_Prefixing, SSLConnection):
    pass


class _SocketConnection(_Prefixing, UnixDomainSocketConnection):
    pass


_CONNECTIONS = {
    Connection: _PlainConnection,
    SSLConnection: _TlsConnection,
    UnixDomainSocketConnection: _SocketConnection,
}


def _pool(url: str, prefix: str) -> ConnectionPool:
    """RESP 2, for HELLO is not a sandbox's to use."""
    options: dict[str, Any] = {**parse_url(url), "protocol": 2, "prefix": prefix}
    options["retry"] = Retry(ExponentialBackoff(cap=1, base=0.05), retries=constants.REDIS_RETRIES)
    options["socket_connect_timeout"] = constants.REDIS_TIMEOUT_S
    kind = _CONNECTIONS[options.pop("connection_class", Connection)]
    return ConnectionPool(kind, max_connections=constants.REDIS_CONNECTIONS, **options)  # type: ignore[type-abstract]
