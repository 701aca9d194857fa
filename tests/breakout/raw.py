"""Connections by hand: they send what no client library would, and fail without a trace."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit


class RawConnection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.info: dict[str, Any] = {}

    @property
    def is_closed(self):
        return self.reader.at_eof() or self.writer.is_closing()

    async def send(self, *lines: bytes):
        """What a NATS server has answered by its PONG, or until it hung up."""
        self.writer.write(b"\r\n".join([*lines, b"PING", b""]))
        answers = []
        with suppress(ConnectionError):
            async with asyncio.timeout(8):
                while line := await self.reader.readline():
                    answers.append(line.strip())
                    if line.startswith(b"PONG"):
                        break
        return answers

    async def log_in(self, **options):
        """Whether NATS lets it in."""
        line = b"CONNECT " + json.dumps({"verbose": False, **options}).encode()
        return b"PONG" in await self.send(line)

    async def authenticate(self, user, password):
        """Whether Redis lets it in."""
        self.writer.write(f"AUTH {user} {password}\r\n".encode())
        with suppress(ConnectionError):
            return await self.reader.readline() == b"+OK\r\n"
        return False

    async def close(self):
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


async def open_raw(url):
    address = urlsplit(url)
    return RawConnection(*await asyncio.open_connection(address.hostname, address.port))


@asynccontextmanager
async def dial(world):
    """To NATS, greeted and not logged in."""
    connection = await open_raw(world.servers.nats_url)
    try:
        connection.info = json.loads((await connection.reader.readline()).removeprefix(b"INFO "))
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def logged_in(world, worker):
    """As the worker, and as clients say that they understand the server."""
    async with dial(world) as connection:
        login = {"user": str(worker.sandbox.id), "pass": worker.token, "headers": True, "no_responders": True}
        assert await connection.log_in(**login)
        yield connection
