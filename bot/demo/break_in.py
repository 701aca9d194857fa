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

_REFUSAL_WITHIN_S = 5.0
"""NATS refuses a subscription by a message of its own, later than the subscription returns."""


async def read_rows(attacker: Environment, target: Sandbox) -> tuple[str, str | None]:
    """What was tried, and how it was refused; None if it was not."""
    tried = f"TABLE {target.schema_name}.communities"
    connection = await asyncpg.connect(attacker.database_url)
    try:
        await connection.fetch(tried)
    except asyncpg.InsufficientPrivilegeError as error:
        return tried, f"PostgreSQL says: {error}"
    finally:
        await connection.close()
    return tried, None


async def read_keys(attacker: Environment, target: Sandbox) -> tuple[str, str | None]:
    """As `read_rows`."""
    number = target.redis_database
    tried = ("GET", f"{target.redis_prefix}greeting") if number is None else ("SELECT", str(number))
    client = redis.asyncio.from_url(attacker.redis_url)
    try:
        await client.execute_command(*tried)  # type: ignore[no-untyped-call]
    except NoPermissionError as error:
        return " ".join(tried), f"Valkey says: {error}"
    finally:
        await client.aclose()
    return " ".join(tried), None


async def read_events(attacker: Environment, target: Sandbox) -> tuple[str, str | None]:
    """As `read_rows`."""
    subject = names.event_subjects(target.id)
    error = await _subscribe(attacker, subject)
    return f"SUB {subject}", f"NATS says: {error}" if error else None


async def _subscribe(attacker: Environment, subject: str) -> Exception | None:
    """The server's refusal; None if there was none in time."""
    refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def on_error(error: Exception) -> None:
        if not refused.done():
            refused.set_result(error)

    client, inbox = Client(), names.inbox_prefix(attacker.sandbox_id).encode()
    await client.connect(attacker.nats_url, inbox_prefix=inbox, error_cb=on_error)
    try:
        await client.subscribe(subject)
        await client.flush()
        return await asyncio.wait_for(refused, _REFUSAL_WITHIN_S)
    except TimeoutError:
        return None
    finally:
        with suppress(nats.errors.Error):
            await client.close()


ATTEMPTS = (read_rows, read_keys, read_events)
