"""`Sandbox`: all that a worker has of its sandbox, in one object."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
from loguru import logger

from bot import names
from sandbox_worker.discord_api import DiscordApi
from sandbox_worker.environment import Environment, read_environment
from sandbox_worker.errors import SandboxEnded
from sandbox_worker.events import Event, Reader, StoredEvent
from sandbox_worker.feed import Feed
from sandbox_worker.link import Link
from sandbox_worker.messages import Messages
from sandbox_worker.redis import PrefixedRedis
from sandbox_worker.watch import Watch

_MOST_SESSIONS = 4
_BATCH = 64
_REACH_WITHIN_S = 8.0


class Sandbox:
    """`async with` it. Nothing is connected to before it is used: a worker that reads no table needs no PostgreSQL."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._link = Link(
            environment.nats_url, sandbox=environment.name, inbox_prefix=names.inbox_prefix(environment.sandbox_id)
        )
        self._discord = DiscordApi(environment.discord_api)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._redis: PrefixedRedis | None = None
        self._feeds: set[Feed] = set()
        self.dropped = 0
        """Messages that were no events of this sandbox."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, *, dotenv: Path = Path(".env")) -> Self:
        """As `/sandbox connect` hands it out: from a `.env` in the working directory, over which `environ` wins.
        `WrongEnvironment` names what is missing."""
        return cls(read_environment(environ, dotenv))

    async def __aenter__(self) -> Self:
        if url := self.environment.database_url:
            search_path = {"search_path": self.environment.schema}
            self._pool = await asyncpg.create_pool(
                url, min_size=0, max_size=_MOST_SESSIONS, server_settings=search_path, connect=self._connect
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for feed in tuple(self._feeds):
            await feed.close()
        await self._link.close()
        await self._discord.close()
        if self._redis is not None:
            await self._redis.aclose()
        if self._pool is not None:
            await self._pool.close()

    async def _connect(self, *arguments: Any, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
        try:
            return await asyncpg.connect(*arguments, **options)
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            if not self.environment.has_own_database:
                raise
            raise SandboxEnded(self.environment.name, "refused") from error

    @property
    def pg(self) -> asyncpg.Pool[asyncpg.Record]:
        """Sessions whose `search_path` is the sandbox's schema."""
        if self._pool is None:
            self.environment.require_database()
            raise RuntimeError("the sandbox is used outside its `async with`")
        return self._pool

    @property
    def redis(self) -> PrefixedRedis:
        """The sandbox's keys and channels, under the names without its prefix."""
        if self._redis is None:
            self._redis = PrefixedRedis(self.environment.require_redis(), self.environment.redis_prefix)
        return self._redis

    async def events(self, *wanted: str, batch: int = _BATCH) -> AsyncGenerator[Event]:
        """The sandbox's events, shared among its workers, what was missed while away first. Those that are not
        `wanted` (without names, all are) are acknowledged and passed over.

        Up to `batch` events are fetched at a time; what is not handed out goes back at the end. Goes on over outages;
        `SandboxEnded` when there is nothing to go on with.
        """
        feed = Feed(self._link, self.environment, batch=batch)
        reader = Reader(self.environment.event_prefix)
        self._feeds.add(feed)
        try:
            await feed.open()
            while True:
                message = await feed.next()
                fields = reader.read(message)
                if fields is not None and (not wanted or fields["name"] in wanted):
                    yield Event(**fields, _settle=message.reply, _link=self._link, _discord=self._discord)
                    continue
                if fields is None:
                    self.dropped += 1
                    logger.warning("not an event of the sandbox, dropped", subject=message.subject)
                if message.reply:
                    await self._link.publish(message.reply)
        finally:
            await feed.close()
            self._feeds.discard(feed)

    async def watch(self, *wanted: str, since: float | None = None) -> AsyncGenerator[StoredEvent]:
        """The events to come, or those since a time (Unix, seconds), without taking them from the workers.

        `ServiceUnavailable` if NATS or the bot is away at the start; later on both are waited for.
        """
        await self._link.reach(_REACH_WITHIN_S)
        async with aclosing(Watch(self._link, self.environment, wanted).events(since)) as events:
            async for event in events:
                yield event

    async def publish(self, subject: str, data: bytes | str = b"") -> None:
        """To the sandbox's workers that listen now. Waits out an outage."""
        await self._link.publish(
            self.environment.work_prefix + subject, data.encode() if isinstance(data, str) else data
        )

    def subscribe(self, subject: str) -> Messages:
        """What workers publish, `*` and `>` being NATS's wildcards: `async with sandbox.subscribe("jobs.*") as …`."""
        return Messages(self._link, self.environment.work_prefix, subject)
