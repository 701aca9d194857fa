"""What a worker may try with its own credentials against another sandbox, one attempt for each store."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import nats.errors
import redis.asyncio
from nats.aio.client import Client
from redis.exceptions import NoPermissionError

from bot import names
from bot.sandboxes.model import Sandbox
from sandbox_worker import Environment

_ANSWER_WITHIN_S = 5.0


async def read_rows(burglar: Environment, victim: Sandbox) -> tuple[str, str | None]:
    """What was tried, and how it was refused; None if it was not."""
    tried = f"TABLE {victim.schema_name}.communities"
    connection = await asyncpg.connect(burglar.database_url)
    try:
        await connection.fetch(tried)
    except asyncpg.InsufficientPrivilegeError as error:
        return tried, f"PostgreSQL says: {error}"
    finally:
        await connection.close()
    return tried, None


async def read_keys(burglar: Environment, victim: Sandbox) -> tuple[str, str | None]:
    """As `read_rows`."""
    key = f"{victim.redis_prefix}greeting"
    client = redis.asyncio.from_url(burglar.redis_url)
    try:
        await client.get(key)
    except NoPermissionError as error:
        return f"GET {key}", f"Valkey says: {error}"
    finally:
        await client.aclose()
    return f"GET {key}", None


async def read_events(burglar: Environment, victim: Sandbox) -> tuple[str, str | None]:
    """As `read_rows`."""
    refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def on_error(error: Exception) -> None:
        if not refused.done():
            refused.set_result(error)

    subject = names.event_subjects(victim.id)
    client = Client()
    await client.connect(
        burglar.nats_url, inbox_prefix=names.inbox_prefix(burglar.sandbox_id).encode(), error_cb=on_error
    )
    try:
        await client.subscribe(subject)
        await client.flush()
        error = await asyncio.wait_for(refused, _ANSWER_WITHIN_S)
    except TimeoutError:
        return f"SUB {subject}", None
    finally:
        with suppress(nats.errors.Error):
            await client.close()
    return f"SUB {subject}", f"NATS says: {error}"


ATTEMPTS = (read_rows, read_keys, read_events)
