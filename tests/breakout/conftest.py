"""Two sandboxes with data, live workers and the real control plane, on embedded servers and on ones set up by hand."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import nats
import pytest
import redis.asyncio

from bot import names
from bot.control_plane import open_control_plane, serve_workers
from bot.errors import InvalidTransition
from bot.sandboxes.manager import SandboxManager
from bot.sandboxes.model import Actor, Sandbox
from bot.settings import Sandboxes, Settings
from bot.stores.opening import Stores, open_stores
from bot.supervisor import Supervisor
from tests.breakout.by_hand import other_nats, servers_by_hand
from tests.breakout.relay_arena import open_arena
from tests.conftest import (
    TEMPLATE,
    address,
    bootstrap_database,
    create_database,
    drop_database,
    store_settings,
)

ADA = Actor(100_000_000_000_000_001, "ada")
BOB = Actor(100_000_000_000_000_002, "bob")


@dataclass
class Worker:
    """A sandbox and the live connections of its worker, made of its credentials and nothing else."""

    sandbox: Sandbox
    urls: dict[str, str] = field(repr=False)
    pg: Any = None
    redis: Any = None
    nats: Any = None
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def token(self):
        return self.urls["SANDBOX_REDIS_URL"].partition("@")[0].rpartition(":")[2]

    async def connect(self):
        """Also again, after its sessions were ended."""
        if self.pg is not None:
            await self.close()
        self.pg = await asyncpg.connect(self.urls["SANDBOX_DATABASE_URL"])
        self.redis = redis.asyncio.from_url(self.urls["SANDBOX_REDIS_URL"])
        self.nats = await self.connect_nats()
        for subject in (f"{self.sandbox.nats_prefix}>", f"{names.inbox_prefix(self.sandbox.id)}.>"):
            await self.nats.subscribe(subject, cb=self._hear)
        await self.nats.flush()

    async def connect_nats(self, **options):
        return await nats.connect(
            self.urls["SANDBOX_NATS_URL"],
            inbox_prefix=names.inbox_prefix(self.sandbox.id).encode(),
            error_cb=self._note,
            **{"allow_reconnect": False, **options},
        )

    async def close(self):
        self.pg.terminate()
        await self.redis.aclose()
        await self.nats.close()

    async def _hear(self, message):
        self.heard.append((message.subject, message.data))

    async def _note(self, error):
        self.errors.append(str(error))


@dataclass
class World:
    """A attacks; B, the bot and the superuser (who looks whether anything has changed) are the others."""

    servers: Any
    database: str
    settings: Settings
    stores: Stores
    manager: SandboxManager
    superuser: Any
    a: Worker
    b: Worker
    b_lo: int = 0

    @property
    def names(self):
        """What an attacker may know, for the placeholders of a try; `{b_id}` is more than any server tells."""
        of_pg = self.a.pg.get_settings()
        return {
            "a": self.a.sandbox.schema_name,
            "b": self.b.sandbox.schema_name,
            "a_id": str(self.a.sandbox.id),
            "b_id": str(self.b.sandbox.id),
            "a_hex": self.a.sandbox.id.hex,
            "b_hex": self.b.sandbox.id.hex,
            "a_stream": self.a.sandbox.stream,
            "b_stream": self.b.sandbox.stream,
            "a_key": self.a.sandbox.redis_prefix,
            "b_key": self.b.sandbox.redis_prefix,
            "b_user": names.redis_user(self.b.sandbox.id),
            "a_token": self.a.token,
            "a_pid": self.a.pg.get_server_pid(),
            "b_pid": self.b.pg.get_server_pid(),
            "database": self.database,
            "version": of_pg.server_version,
        }

    async def add(self, actor=ADA):
        """Another sandbox with a worker."""
        sandbox = await self.manager.create(actor)
        return await self.employ(sandbox, actor)

    async def employ(self, sandbox, actor=ADA):
        details = await self.manager.issue_credentials(actor, sandbox.id, rotate=True)
        worker = Worker(sandbox, dict(details.environment))
        await worker.connect()
        return worker


NATS_KINDS = {
    "nats-domain": {"domain": "hub"},
    "nats-flag": {"flag": True},
    "nats-flag-domain": {"flag": True, "domain": "hub"},
}
"""Of NATS servers: how they write acknowledgements."""


@pytest.fixture(scope="package", params=["embedded", pytest.param("by-hand", marks=pytest.mark.long)])
async def servers(request, stores, tmp_path_factory):
    if request.param == "embedded":
        yield stores
        return
    folder = tmp_path_factory.mktemp("by-hand")
    chosen = NATS_KINDS.get(request.param)
    async with servers_by_hand(folder) if chosen is None else other_nats(folder, stores, **chosen) as running:
        yield running


@pytest.fixture(scope="package")
async def world(servers):
    async with open_world(servers) as world:
        yield world


@pytest.fixture(scope="module")
async def arena(stores):
    """Two sandboxes on one relay, on a database of its own."""
    database = f"breakout_{uuid.uuid4().hex[:8]}"
    await create_database(stores, database, TEMPLATE)
    async with open_arena(stores, address(stores, database)) as arena:
        yield arena
    await drop_database(stores, database)


@asynccontextmanager
async def open_world(servers, **of_redis):
    """On a database of its own."""
    database = f"breakout_{uuid.uuid4().hex[:8]}"
    await create_database(servers, database, "template1")
    await bootstrap_database(servers, database)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(drop_database, servers, database)
        dsn = servers.database_url.rpartition("/")[0] + "/" + database
        settings = Settings(**store_settings(servers, dsn, **of_redis), sandboxes=Sandboxes(max_per_owner=100))
        opened = await stack.enter_async_context(open_stores(settings))
        supervisor = await stack.enter_async_context(Supervisor())
        manager = await stack.enter_async_context(open_control_plane(settings, opened, supervisor=supervisor))
        await stack.enter_async_context(serve_workers(opened, manager, supervisor))
        assert not manager.access.isolation.unenforced()
        superuser = await asyncpg.connect(servers.superuser_url(database))
        stack.push_async_callback(superuser.close)
        world = World(servers, database, settings, opened, manager, superuser, None, None)
        world.a, world.b = await world.add(ADA), await world.add(BOB)
        for worker in (world.a, world.b):
            await _furnish(opened, worker)
        yield world
        for worker in (world.a, world.b):
            await worker.close()
        for sandbox in await manager.list():
            with suppress(InvalidTransition):  # a test has begun to
                await manager.destroy(Actor(sandbox.owner_id, "owner"), sandbox.id)


async def _furnish(opened, worker):
    """Rows, keys of every type and events."""
    await worker.pg.execute(
        "INSERT INTO communities (guild_id, name) VALUES (1, 'secret');"
        "CREATE TABLE own (id int PRIMARY KEY, value text); INSERT INTO own VALUES (1, 'secret')"
    )
    await furnish_redis(worker)
    for number in range(3):
        await opened.nats.jetstream().publish(f"{worker.sandbox.nats_prefix}events.SECRET", b'{"n":%d}' % number)


async def furnish_redis(worker):
    prefix, client = worker.sandbox.redis_prefix, worker.redis
    await client.set(prefix + "string", "secret")
    await client.hset(prefix + "hash", "field", "secret")
    await client.rpush(prefix + "list", "secret", "second")
    await client.sadd(prefix + "set", "secret")
    await client.zadd(prefix + "zset", {"secret": 1})
    await client.xadd(prefix + "stream", {"field": "secret"}, id="1-1")
    await client.xgroup_create(prefix + "stream", "group", id="0")
    await client.geoadd(prefix + "geo", (13.4, 52.5, "secret"))
    await client.pfadd(prefix + "hll", "secret")


async def until(condition, seconds=2.0):
    """Waits for a state that nothing announces."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def try_all(tries, attempt):
    """Every row of a table; what fails is named, and keeps the others from nothing."""
    failed = {}
    for name, what in tries.items():
        try:
            await attempt(what)
        except (Exception, pytest.fail.Exception) as error:
            failed[name] = str(error)[:500]
    assert failed == {}
