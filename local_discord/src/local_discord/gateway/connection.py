"""One WebSocket: frames go out in their order, and it ends in one of the ways in which Discord's do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from local_discord import wire
from local_discord.gateway.compression import Compress, compression

ABNORMAL = 1006
_UNSUPPORTED = 4012
_VERSIONS = ("9", "10")
_ENDED_FOR_GOOD = (1000, 1001)
_PATIENCE_S = 1.0
"""For a client that does not answer a close: a real one takes milliseconds, and a test waits for it."""
_MOST_BYTES = 1 << 20
"""Above what the gateway takes, so that it can say why it hangs up."""


class HangUp(Exception):
    """The client did what Discord closes the connection for, with that code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Connection:
    """Open inside `async with`. What is sent goes out from a task of its own, so that nobody waits for the client."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._socket = web.WebSocketResponse(timeout=_PATIENCE_S / 2, max_msg_size=_MOST_BYTES)
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._compress: Compress | None = None
        self._gone = asyncio.Event()
        self._hung_up = False

    async def __aenter__(self) -> Self:
        await self._socket.prepare(self._request)
        self._writer = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.cancel()
        with suppress(asyncio.CancelledError):
            await self._writer
        while not self._outbox.empty():  # whoever waits in `flushed` waits for nothing any more
            self._outbox.get_nowait()
            self._outbox.task_done()
        self._gone.set()

    @property
    def response(self) -> web.WebSocketResponse:
        """What the request's handler returns at the end."""
        return self._socket

    @property
    def ended_for_good(self) -> bool:
        """The client has closed it in a way that gives up the session too."""
        return not self._hung_up and self._socket.close_code in _ENDED_FOR_GOOD

    def compress(self) -> None:
        """From the first frame on, by the method that the client's address names; `HangUp` if that is not installed."""
        try:
            self._compress = compression(self._request.query.get("compress"))
        except ModuleNotFoundError:
            reason = "zstd-stream needs the package zstandard beside local-discord."
            raise HangUp(_UNSUPPORTED, reason) from None

    @property
    def version(self) -> str:
        """Of the API that the client speaks; the latest if it does not say."""
        return self._request.query.get("v", _VERSIONS[-1])

    def require_version(self) -> None:
        """`HangUp` for a client that speaks another version, or something else than JSON."""
        query = self._request.query
        if self.version not in _VERSIONS or query.get("encoding", "json") != "json":
            raise HangUp(_UNSUPPORTED, "Invalid API version")

    def send(self, text: str) -> None:
        """After all that was sent before; lost if the connection is."""
        self._outbox.put_nowait(text)

    def send_op(self, op: int, data: object = None) -> None:
        """A frame that is no event."""
        self.send(wire.encode({"t": None, "s": None, "op": op, "d": data}).decode())

    async def flushed(self) -> None:
        """Until all that was sent has been handed to the socket, or the connection is gone."""
        await self._outbox.join()

    async def receive(self) -> str | bytes | None:
        """The client's next frame; None when it or this side has closed."""
        async for frame in self._socket:
            if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                return frame.data  # type: ignore[no-any-return]
        return None

    def abort(self) -> None:
        """Without a word, as when a line is cut."""
        self._hung_up = True
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self, code: int, reason: str = "") -> None:
        """After all that was sent before; the reason goes along."""
        await self._outbox.join()
        self._hung_up = True
        await self._socket.close(code=code, message=reason.encode())

    async def hang_up(self, code: int) -> None:
        """Returns when the connection is gone; a client that does not listen is cut off."""
        if code != ABNORMAL:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await self.close(code)
                    await self._gone.wait()
        if not self._gone.is_set():
            self.abort()
        await self._gone.wait()

    async def _write(self) -> None:
        while True:
            text = await self._outbox.get()
            try:
                if self._compress is None:
                    await self._socket.send_str(text)
                else:
                    await self._socket.send_bytes(self._compress(text.encode()))
            except (ConnectionError, RuntimeError):
                pass  # the reader sees the end of the connection too, and ends it
            finally:
                self._outbox.task_done()
