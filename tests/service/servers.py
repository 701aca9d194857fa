"""What the tests of the embedded servers do to them and find out about them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg
import nats
import pytest
import redis.asyncio

REDIS = frozenset({"redis"})
INSTALLED_REDIS = Path(shutil.which("redis-server") or "/nowhere")
needs_redis = pytest.mark.skipif(not INSTALLED_REDIS.exists(), reason="no Redis is installed (apt: redis-server)")


async def until(condition, seconds=10.0):
    """Waits for a state of the system that nothing announces."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def write_everywhere(stores):
    """Something to find again in each store."""
    connection = await asyncpg.connect(stores.database_url)
    await connection.execute("CREATE TABLE kept (value int); INSERT INTO kept VALUES (42)")
    await connection.close()
    client = await nats.connect(stores.nats_url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"42")
    await client.close()
    async with redis.asyncio.from_url(stores.redis_url) as cache:
        await cache.set("kept", 42)


async def read_everywhere(stores):
    """What `write_everywhere` wrote, by store."""
    connection = await asyncpg.connect(stores.database_url)
    value = await connection.fetchval("SELECT value FROM kept")
    await connection.close()
    client = await nats.connect(stores.nats_url)
    messages = (await client.jetstream().stream_info("KEPT")).state.messages
    await client.close()
    async with redis.asyncio.from_url(stores.redis_url) as cache:
        return {"postgres": value, "redis": await cache.get("kept"), "nats": messages}


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
