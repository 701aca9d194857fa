"""Whether the embedded servers answer, and why one has ended instead."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from bot import constants
from bot.stores.embedded import append_only
from bot.stores.embedded.configuration import NATS_USER, SUPERUSER, Layout
from bot.stores.embedded.errors import AppendOnlyDamaged, EmbeddedError, PortTaken
from bot.stores.embedded.folder import is_free
from bot.stores.embedded.postgres import bootstrap, last_line, postgres_url
from bot.stores.embedded.reach import LOOPBACK

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
    server = _Server(LOOPBACK, layout.ports["redis"], layout.reach.client_tls())
    return await _ask(server, question, lines=2) == b"+PONG\r\n"


async def _nats_is_ready(layout: Layout) -> bool:
    """It speaks first, and another program's server, which has taken the port before ours, does the same."""
    login = {"verbose": False, "user": NATS_USER, "pass": layout.passwords["nats"]}
    question = f"CONNECT {json.dumps(login)}\r\nPING\r\n".encode()
    server = _Server(layout.reach.own_nats, layout.ports["nats"], layout.reach.client_tls(), speaks_first=True)
    return await _ask(server, question, lines=1) == b"PONG\r\n"


@dataclass(frozen=True, slots=True)
class _Server:
    """`speaks_first`: it says a line in the clear before TLS begins, if that does."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    speaks_first: bool = False


async def _ask(server: _Server, question: bytes, *, lines: int) -> bytes:
    """The last of the lines that the server says; empty if there are fewer."""
    try:
        at_once = None if server.speaks_first else server.tls
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=at_once)
    except OSError:
        return b""
    line = b""
    try:
        async with asyncio.timeout(constants.EMBEDDED_ANSWER_WITHIN_S):
            if server.speaks_first:
                await reader.readline()
                if server.tls is not None:
                    await writer.start_tls(server.tls)
            writer.write(question)
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


def why_ended(layout: Layout, name: str) -> EmbeddedError:
    """What has kept a server from its start, as its log tells, or as its port does."""
    said = layout.log(name).read_bytes()
    if name == "redis" and append_only.is_refused(said):
        kind: type[EmbeddedError] = AppendOnlyDamaged
    else:
        kind = EmbeddedError if is_free(layout.ports[name], layout.reach.listened) else PortTaken
    return kind(f"{name} does not start: {last_line(said)}")
