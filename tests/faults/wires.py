"""TCP proxies before the stores that count what a client asks, and strike when a certain answer comes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from urllib.parse import urlsplit

_CHUNK = 1 << 16


EVERY_STATEMENT = "EVERY_STATEMENT" in os.environ
"""Strike inside transactions too. PostgreSQL undoes those, so that it takes long and shows little."""


def asks(store: str, data: bytes) -> bool:
    """Whether what a client sends makes the server do something for good, rather than log in or prepare."""
    if store == "postgres":
        return data[:1] in {b"B", b"Q"} if EVERY_STATEMENT else data.startswith(b"Q") and b"COMMIT" in data
    if store == "nats_auth":
        return False  # answers, to logins that are no part of what the process does
    if store.startswith("nats"):
        return data.startswith((b"PUB", b"HPUB")) or b"\r\nPUB " in data
    return b"CLIENT" not in data and b"AUTH" not in data


class Gate:
    """Counts requests on all wires once it is `armed`. When the answer to number `limit` comes, `strike` is called,
    and unless it is to be handed on, the client never hears of what the server has done."""

    def __init__(self, limit: int | None = None, *, hand_on: bool = False) -> None:
        self.limit, self.hand_on = limit, hand_on
        self.strike: Callable[[], None] = lambda: None
        self.armed = False
        self.count = 0
        self.asked: list[str] = []

    def counts(self, store: str, data: bytes) -> bool:
        """Whether this request is the one."""
        if not self.armed or not asks(store, data):
            return False
        self.count += 1
        self.asked.append(store)
        return self.count == self.limit


class Wire:
    """One store's proxy."""

    def __init__(self, store: str, host: str, port: int, gate: Gate) -> None:
        self._store, self._host, self._port, self._gate = store, host, port, gate
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._away = False
        self._connections = 0
        self._flows, self._answers = _open(), _open()
        self._dead: list[asyncio.Event] = []
        self.one_way_s = 0.0
        """How long what is sent is under way, in either direction, on connections to come."""

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for flows in (self._flows, self._answers, *self._dead):
            flows.set()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def go_away(self) -> None:
        """End all connections, and every new one, until `come_back`."""
        self._away = True
        self.cut()

    def come_back(self) -> None:
        self._away = False
        self._flows.set()
        self._answers.set()

    @property
    def connections(self) -> int:
        """How many have come so far, those included that were refused."""
        return self._connections

    def freeze(self) -> None:
        """Carry nothing more and end nothing: to both sides the line looks as if the other one thought."""
        self._flows.clear()

    def halve(self) -> None:
        """Carry what is asked, and no answer, on new connections either: half-open, as where packets of one direction
        are dropped."""
        self._answers.clear()

    def thaw(self) -> None:
        """Carry what has come meanwhile, and what comes from now on."""
        self._flows.set()

    def lose(self) -> None:
        """The connections that there are carry nothing any more, and are never ended; new ones are as ever."""
        self._flows.clear()
        self._dead.append(self._flows)
        self._flows = _open()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        task.add_done_callback(self._tasks.discard)
        try:
            if self._away:
                raise ConnectionRefusedError
            await asyncio.sleep(2 * self.one_way_s)  # as TCP's own first exchange takes
            server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        struck, flows = asyncio.Event(), self._flows
        try:
            await asyncio.gather(
                self._carry_requests(reader, server_writer, struck, flows),
                self._carry_answers(server_reader, writer, struck, flows),
            )
        finally:
            self._writers -= {writer, server_writer}

    async def _read(self, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
        """What comes until its end, late on a slow line, however much is under way."""
        if not self.one_way_s:
            while data := await reader.read(_CHUNK):
                yield data
            return
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.create_task(self._send(reader, on_the_way))
        try:
            while True:
                arrives_at, data = await on_the_way.get()
                await asyncio.sleep(arrives_at - time.monotonic())
                if not data:
                    return
                yield data
        finally:
            sending.cancel()

    async def _send(self, reader: asyncio.StreamReader, on_the_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"any"
        while data:
            try:
                data = await reader.read(_CHUNK)
            except OSError:
                data = b""
            on_the_way.put_nowait((time.monotonic() + self.one_way_s, data))

    async def _carry_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, struck: asyncio.Event, flows: asyncio.Event
    ) -> None:
        with suppress(OSError):
            async with aclosing(self._read(reader)) as sent:
                async for data in sent:
                    await flows.wait()
                    if self._gate.counts(self._store, data):
                        struck.set()
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort() if struck.is_set() else writer.close()

    async def _carry_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, struck: asyncio.Event, flows: asyncio.Event
    ) -> None:
        with suppress(OSError):
            async with aclosing(self._read(reader)) as sent:
                async for data in sent:
                    await flows.wait()
                    await self._answers.wait()
                    if struck.is_set():
                        struck.clear()
                        self._gate.strike()
                        if not self._gate.hand_on:
                            continue
                    writer.write(data)
                    await writer.drain()
        writer.close()


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@asynccontextmanager
async def wired(urls: dict[str, str], gate: Gate) -> AsyncIterator[tuple[dict[str, str], dict[str, Wire]]]:
    """The same URLs, but by way of a wire each; and the wires by the names of the URLs."""
    async with AsyncExitStack() as stack:
        wires, detours = {}, {}
        for name, url in urls.items():
            parts = urlsplit(url)
            assert parts.hostname
            assert parts.port
            wires[name] = await stack.enter_async_context(Wire(name, parts.hostname, parts.port, gate))
            detours[name] = url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{wires[name].port}")
        yield detours, wires
