"""Whether the embedded servers answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg

from bot import constants
from bot.stores.embedded.configuration import NATS_USER, SUPERUSER, Layout
from bot.stores.embedded.postgres import bootstrap, postgres_url

_NOT_YET = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,  # another program's server, which has taken the port before ours
)


async def _postgres_is_ready(layout: Layout) -> bool:
    """With the bot's role and database made, too."""
    try:
        url = postgres_url(layout, SUPERUSER, "postgres")
        connection = await asyncpg.connect(url, timeout=constants.EMBEDDED_ANSWER_WITHIN_S)
    except _NOT_YET:
        return False
    await connection.close()
    await bootstrap(layout)
    return True


async def _redis_is_ready(layout: Layout) -> bool:
    """It listens before it has read its data, and says so to whoever is logged in."""
    question = f"AUTH {layout.passwords['redis']}\r\nPING\r\n".encode()
    return await _ask(layout.ports["redis"], question, lines=2) == b"+PONG\r\n"


async def _nats_is_ready(layout: Layout) -> bool:
    """It speaks first, and another program's server, which has taken the port before ours, does the same."""
    login = {"verbose": False, "user": NATS_USER, "pass": layout.passwords["nats"]}
    question = f"CONNECT {json.dumps(login)}\r\nPING\r\n".encode()
    return await _ask(layout.ports["nats"], question, lines=2) == b"PONG\r\n"


async def _ask(port: int, question: bytes, *, lines: int) -> bytes:
    """The last of the lines that the server says; empty if there are fewer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    line = b""
    try:
        writer.write(question)
        async with asyncio.timeout(constants.EMBEDDED_ANSWER_WITHIN_S):
            for _ in range(lines):
                line = await reader.readline()
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return line


IS_READY: dict[str, Callable[[Layout], Awaitable[bool]]] = {
    "postgres": _postgres_is_ready,
    "redis": _redis_is_ready,
    "nats": _nats_is_ready,
}
"""By store: asks once."""
