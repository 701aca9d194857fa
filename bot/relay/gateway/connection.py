"""One client's WebSocket: whole frames out, as many as there are in one write, and its messages in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import WSMsgType, web

from bot import constants
from bot.relay.gateway.frames import Encode, close_frame, encoder
from bot.relay.gateway.numbering import operation

_CLOSES_WITHIN_S = 1.0
_decode = msgspec.json.Decoder().decode


class HangUp(Exception):
    """The connection is to be closed with that code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Connection:
    """Open inside `async with`. What is sent is in the transport's buffer, from which backpressure is seen."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._socket = web.WebSocketResponse(
            timeout=_CLOSES_WITHIN_S, max_msg_size=constants.RELAY_FRAME_BYTES, compress=False
        )
        self._encode: Encode | None = None
        self._received_at: deque[float] = deque(maxlen=constants.RELAY_FRAMES_A_MINUTE)
        self._goodbye: asyncio.Task[None] | None = None
        self._close_received: int | None = None
        self._receiving: asyncio.Event | None = None
        """While the client's next message is waited for; set when that ends."""
        self._written = 0

    async def __aenter__(self) -> Self:
        await self._socket.prepare(self._request)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._goodbye is not None:
            await self._goodbye

    @property
    def response(self) -> web.WebSocketResponse:
        """What the request's handler returns at the end."""
        return self._socket

    @property
    def ended_for_good(self) -> bool:
        """The client itself has closed it in a way that gives up the session too."""
        return self._close_received in (1000, 1001)

    @property
    def is_open(self) -> bool:
        """False as soon as nothing more can be sent, also because the client is being said goodbye."""
        transport = self._request.transport
        return not (transport is None or transport.is_closing() or self._socket.closed or self._goodbye is not None)

    @property
    def written_bytes(self) -> int:
        """What was sent in all."""
        return self._written

    @property
    def taken_bytes(self) -> int | None:
        """How much of that has left this process; None if the connection is lost, for what was unsent is then too."""
        transport = self._request.transport
        if transport is None or transport.is_closing():
            return None
        return self._written - transport.get_write_buffer_size()

    @property
    def unsent_bytes(self) -> int:
        """What the client has not read yet, as far as the connection still says so."""
        transport = self._request.transport
        try:
            return transport.get_write_buffer_size() if transport is not None else 0
        except AttributeError:  # of asyncio's TLS: whoever closes it twice has nothing more to ask
            return 0

    def open(self) -> None:
        """Settle how messages are written, as the client's address says; `HangUp` if that can't be."""
        query = self._request.query
        if query.get("encoding", "json") != "json":
            raise HangUp(4012, "The relay speaks JSON: switch etf off (eris and discord.js use it where erlpack is).")
        if query.get("v", "10") not in ("9", "10"):
            raise HangUp(4012, "Invalid API version")
        self._encode = encoder(query.get("compress"))
        if self._encode is None:
            raise HangUp(4012, "Unknown compression: zlib-stream or zstd-stream")

    def send(self, messages: Iterable[bytes]) -> None:
        """Each is one frame. Lost if the connection is."""
        if not self.is_open:
            return
        assert self._encode is not None
        assert self._request.transport is not None
        frames = self._encode(messages)
        self._written += len(frames)
        self._request.transport.write(frames)

    def send_operation(self, op: int, data: object = None) -> None:
        """A message that is no event."""
        self.send([operation(op, data)])

    async def receive(self) -> dict[str, Any] | None:
        """The client's next message; None when the connection is closed. `HangUp` for what Discord doesn't take."""
        self._receiving = asyncio.Event()
        try:
            message = await self._socket.receive()
        finally:
            self._receiving.set()
            self._receiving = None
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            if message.type is WSMsgType.CLOSE and self._goodbye is None:
                self._close_received = message.data
            return None
        self._count()
        try:
            decoded = _decode(message.data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            decoded = None
        if not isinstance(decoded, dict) or type(decoded.get("op")) is not int:
            raise HangUp(4002, "Error while decoding payload.")
        return decoded

    def hang_up(self, code: int, reason: str = "") -> None:
        """From a task of its own: what calls it is often ended by it, and the client would be told nothing."""
        if self._goodbye is None:
            self._goodbye = asyncio.create_task(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        """What waits for the client's next message reads its answer to the goodbye, too. aiohttp would end that wait,
        and the connection before the answer: a reset may then keep the client from reading the code."""
        with suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(_CLOSES_WITHIN_S):
                if self._receiving is not None and self._request.transport is not None:
                    self._request.transport.write(close_frame(code, reason))
                    await self._receiving.wait()
        with suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(2 * _CLOSES_WITHIN_S):
                await self._socket.close(code=code, message=reason.encode()[:120])
        if self.unsent_bytes and self._request.transport is not None:
            self._request.transport.abort()  # else it waits for as long as the client reads nothing

    def _count(self) -> None:
        now = time.monotonic()
        if len(self._received_at) == self._received_at.maxlen and now - self._received_at[0] < 60:
            raise HangUp(4008, "Rate limited.")
        self._received_at.append(now)
