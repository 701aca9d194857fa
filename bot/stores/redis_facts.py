"""Valkey or Redis: what a server says of itself. Every function raises `ServiceUnavailable` when it gives no answer."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from bot.stores.failures import asking_redis


async def read_clock(client: redis.asyncio.Redis) -> float:
    """Its time (Unix)."""
    with asking_redis():
        seconds, microseconds = await client.time()
    return int(seconds) + int(microseconds) / 1e6


async def read_memory_limit(client: redis.asyncio.Redis) -> tuple[int, str]:
    """In bytes, 0 for none, and what it does when it is reached (`maxmemory-policy`)."""
    told = await _info(client, "memory")
    return int(told.get("maxmemory", 0)), str(told.get("maxmemory_policy", "noeviction"))


async def describe_replica(client: redis.asyncio.Redis) -> str:
    """Its name and version, also of one that takes no writes."""
    told = await _info(client, "server")
    product = "Valkey" if "valkey_version" in told else "Redis"
    return f"{product} {told[f'{product.lower()}_version']}"


async def _info(client: redis.asyncio.Redis, section: str) -> dict[str, Any]:
    with asking_redis():
        told: dict[str, Any] = await client.info(section)
    return told
