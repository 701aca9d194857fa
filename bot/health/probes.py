"""Whether each store takes a change just now. A probe returns when its store has, or raises `ServiceUnavailable`."""

from __future__ import annotations

from collections.abc import Mapping

import redis.asyncio
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import BadRequestError

from bot import constants, names
from bot.clock import elapsed
from bot.errors import ServiceUnavailable
from bot.health.readiness import Probe
from bot.stores.failures import asking_redis, postgres_failure
from bot.stores.nats_client import asking
from bot.stores.opening import Stores
from bot.stores.postgres import LOST, load_queries
from bot.stores.postgres_hosts import connect

_CHANGE = bytes(constants.HEALTH_CHANGE_BYTES)
_NAME_IN_USE, _BYTES_REQUIRED = 10058, 10113
"""JetStream's codes for a stream that is configured differently, and for an account whose streams want a limit."""


class StoreProbes:
    """Those of the three stores."""

    def __init__(self, stores: Stores, *, replicas: int) -> None:
        """`replicas`: on how many servers of NATS a stream lies."""
        self.jetstream = JetStreamProbe(stores.nats, replicas)
        self.all: Mapping[str, Probe] = {
            "postgres": PostgresProbe(stores.addresses.postgres).ask,
            "redis": RedisProbe(stores.redis).ask,
            "nats": self.jetstream.ask,
        }


class PostgresProbe:
    """On a connection of its own, opened each time: it waits for no other, and finds when there are no more."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._sql = dsn, load_queries("health")

    async def ask(self) -> None:
        """A `Probe`."""
        try:
            connection = await connect(self._dsn)
            try:
                await connection.execute(self._sql["limit_memory"])
                await connection.execute(self._sql["change"])
                await connection.close()
            finally:
                connection.terminate()
        except LOST as error:
            raise postgres_failure(error) from error


class RedisProbe:
    """By a key that ends by itself."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def ask(self) -> None:
        """A `Probe`."""
        with asking_redis():
            await self._client.set(names.HEALTH_KEY, _CHANGE, ex=constants.HEALTH_KEY_KEPT_S)


class JetStreamProbe:
    """By a stream of the bots' own, which keeps one message: those of sandboxes hold nothing but their events."""

    def __init__(self, client: Client, replicas: int) -> None:
        """`replicas`: as many as the sandboxes' streams have."""
        self._client, self._is_made = client, False
        self._fails_since: float | None = None
        self._jetstream = client.jetstream(timeout=constants.NATS_ANSWER_WITHIN_S)
        self._config = StreamConfig(
            name=names.HEALTH_STREAM,
            subjects=[names.HEALTH_SUBJECT],
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_msgs=1,
            num_replicas=replicas,
        )

    @property
    def fails_for_s(self) -> float:
        """0 if the last message was acknowledged, or none was sent."""
        return 0.0 if self._fails_since is None else elapsed() - self._fails_since

    async def ask(self) -> None:
        """A `Probe`. Without a connection it is not asked: what is sent then would only wait for the next one."""
        if not self._client.is_connected:
            raise ServiceUnavailable("NATS", str(self._client.last_error or "") or "the connection is lost")
        self._fails_since = self._fails_since or elapsed()
        with asking():
            if not self._is_made:
                await _make(self._jetstream, self._config)
            self._is_made = False  # unless it acknowledges
            await self._jetstream.publish(names.HEALTH_SUBJECT, _CHANGE, stream=names.HEALTH_STREAM)
        self._is_made, self._fails_since = True, None


async def _make(jetstream: JetStreamContext, config: StreamConfig) -> None:
    """Safe to repeat."""
    try:
        await jetstream.add_stream(config)
    except BadRequestError as error:
        if error.err_code == _BYTES_REQUIRED and config.max_bytes is None:
            await _make(jetstream, config.evolve(max_bytes=constants.HEALTH_STREAM_BYTES))
        elif error.err_code == _NAME_IN_USE:
            await jetstream.update_stream(config)
        else:
            raise
