"""`Sandbox`: all that a worker has of its sandbox, in one object."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sandbox_worker import constants, protocol
from sandbox_worker.discord_api import DiscordApi
from sandbox_worker.environment import Environment, read_environment
from sandbox_worker.errors import MissingExtra
from sandbox_worker.events import Event, EventParser, StoredEvent
from sandbox_worker.nats_connection import NatsConnection
from sandbox_worker.nats_servers import NatsServers
from sandbox_worker.pull_consumer import PullConsumer
from sandbox_worker.requests import fetch_variables
from sandbox_worker.tail import Tail
from sandbox_worker.trust import trusted_by
from sandbox_worker.work_messages import MessageStream

try:
    import asyncpg

    from sandbox_worker.postgres_sessions import PostgresSessions
except ModuleNotFoundError:  # the extra `postgres`, which `Sandbox.pg` names
    _has_asyncpg = False
else:
    _has_asyncpg = True

if TYPE_CHECKING:
    from sandbox_worker.prefixed_redis import PrefixedRedis

_logger = logging.getLogger(__name__)


class Sandbox:
    """`async with` it. Nothing is connected to before it is used: a worker that reads no table needs no PostgreSQL."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        trust = trusted_by(environment.tls_ca)
        self._connection = NatsConnection(
            NatsServers(environment.nats_url, user=environment.nats_user, password=environment.nats_password),
            sandbox=environment.name,
            inbox_prefix=protocol.inbox_prefix(environment.sandbox_id),
            trust=trust,
        )
        self._discord = DiscordApi(environment.discord_api, trust=trust)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._redis: PrefixedRedis | None = None
        self._consumers: set[PullConsumer] = set()
        self.dropped = 0
        """Messages that were no events of this sandbox."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, *, dotenv: Path = Path(".env")) -> Self:
        """As `/sandbox connect` hands it out: from a `.env` in the working directory, over which `environ` wins.
        `WrongEnvironment` names what is missing."""
        return cls(read_environment(environ, dotenv))

    async def __aenter__(self) -> Self:
        if _has_asyncpg and (url := self.environment.database_url):
            self._pool = await asyncpg.create_pool(
                url,
                min_size=0,
                max_size=constants.PG_SESSIONS,
                server_settings=self._pg_settings,
                connect=PostgresSessions(self.environment).connect,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for consumer in tuple(self._consumers):
            await consumer.close()
        await self._connection.close()
        await self._discord.close()
        if self._redis is not None:
            await self._redis.aclose()
        if self._pool is not None:
            await self._pool.close()

    @property
    def _pg_settings(self) -> dict[str, str]:
        """Of the sandbox's own role, the schema is the search path anyway, which PgBouncer would not let it ask for."""
        return {} if self.environment.has_own_database else {"search_path": self.environment.schema}

    @property
    def pg(self) -> asyncpg.Pool[asyncpg.Record]:
        """Sessions whose `search_path` is the sandbox's schema. `MissingExtra` without asyncpg."""
        if self._pool is None:
            self.environment.require_database()
            if not _has_asyncpg:
                raise MissingExtra("sandbox.pg", "asyncpg", "postgres")
            raise RuntimeError("the sandbox is used outside its `async with`")
        return self._pool

    @property
    def redis(self) -> PrefixedRedis:
        """The sandbox's keys and channels, under the names without its prefix. `MissingExtra` without redis-py."""
        if self._redis is None:
            url, its = self.environment.require_redis(), self.environment
            try:
                from sandbox_worker.prefixed_redis import PrefixedRedis
            except ModuleNotFoundError as error:
                raise MissingExtra("sandbox.redis", "redis-py", "redis") from error
            self._redis = PrefixedRedis(url, its.redis_prefix, sentinels=its.sentinels, tls_ca=its.tls_ca)
        return self._redis

    async def events(self, *wanted: str, batch: int = constants.BATCH) -> AsyncGenerator[Event]:
        """The sandbox's events, shared among its workers, what was missed while away first. Those that are not
        `wanted` (without names, all are) are acknowledged and passed over.

        Up to `batch` events are fetched at a time; what is not handed out goes back at the end. Goes on over outages;
        `SandboxEnded` when there is nothing to go on with.
        """
        consumer = PullConsumer(self._connection, self.environment, batch=batch)
        parser = EventParser(self.environment.event_prefix, stream=self.environment.stream)
        self._consumers.add(consumer)
        try:
            await consumer.open()
            while True:
                message = await consumer.next()
                fields, delivery = parser.fields(message), parser.delivery(message)
                if fields is not None and delivery is not None and (not wanted or fields["name"] in wanted):
                    fields |= await consumer.facts(delivery)
                    yield Event(
                        **fields, _ack_subject=message.reply, _connection=self._connection, _discord=self._discord
                    )
                    continue
                if fields is None:
                    self.dropped += 1
                    _logger.warning("not an event of the sandbox, dropped: %s", message.subject)
                if delivery is not None:
                    await self._connection.publish(message.reply)
        finally:
            await consumer.close()
            self._consumers.discard(consumer)

    async def tail(self, *wanted: str, since: float | None = None) -> AsyncGenerator[StoredEvent]:
        """The events to come, or those since a time (Unix, seconds), without taking them from the workers.

        `ServiceUnavailable` if NATS or the bot is away at the start; later on both are waited for. `ReplayRefused` if
        the bot does not play them, as to a sandbox with too many listeners.
        """
        await self._connection.require(constants.REACHABLE_WITHIN_S)
        async with aclosing(Tail(self._connection, self.environment, wanted).events(since)) as events:
            async for event in events:
                yield event

    async def fetch_variables(self) -> dict[str, str]:
        """As `/sandbox connect` would hand them out now, with this sandbox's own token. `ServiceUnavailable` if NATS or
        the bot is away; `ReplayRefused` by a bot that is too old for it."""
        await self._connection.require(constants.REACHABLE_WITHIN_S)
        return await fetch_variables(await self._connection.client(), self.environment)

    async def publish(self, subject: str, data: bytes | str = b"") -> None:
        """To the sandbox's workers that listen now. Waits out an outage."""
        await self._connection.publish(
            self.environment.work_prefix + subject,
            data.encode() if isinstance(data, str) else data,
            headers={protocol.AGENT_HEADER: protocol.agent()},
        )

    def subscribe(self, subject: str) -> MessageStream:
        """What workers publish, `*` and `>` being NATS's wildcards: `async with sandbox.subscribe("jobs.*") as …`."""
        return MessageStream(self._connection, self.environment.work_prefix, subject)
