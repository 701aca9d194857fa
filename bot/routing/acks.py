"""Reads JetStream's acknowledgements by the run, for nats-py spends 8 µs on each and a regular expression 1 µs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from nats.aio.client import Client
from nats.protocol.parser import AWAITING_CONTROL_LINE

_CLEAN = rb'\{"stream":"[^"]*", ?"seq":\d+\}'


class AckReader:
    """Takes the replies to an inbox out of what a client receives, before nats-py parses it.

    `settle(numbers)` is called for plain acknowledgements, by the run; `examine(number, body)` for any other one-line
    reply. Replies with headers and everything else go nats-py's own way: the inbox has to be subscribed to
    there.
    """

    def __init__(
        self,
        client: Client,
        inbox: str,
        settle: Callable[[Sequence[int]], object],
        examine: Callable[[int, bytes], object],
    ) -> None:
        self._parser = client._ps
        self._parse_rest = client._ps.parse
        self._settle, self._examine = settle, examine
        self._start = f"MSG {inbox}".encode()
        self._reply = re.compile(
            rb"MSG %b(\d+) \d+ \d+\r\n(?:(%b)|([^\r\n]*))\r\n" % (re.escape(inbox).encode(), _CLEAN)
        )
        client._ps.parse = self.parse  # type: ignore[method-assign]

    def remove(self) -> None:
        """nats-py parses for itself again."""
        self._parser.parse = self._parse_rest  # type: ignore[method-assign]

    async def parse(self, data: bytes = b"") -> None:
        """In place of nats-py's own: `data` is what the socket gave."""
        parser = self._parser
        if parser.state == AWAITING_CONTROL_LINE:
            if parser.buf:
                data = bytes(parser.buf) + data
                parser.buf.clear()
            data = data[self._take(data) :]
            if data.startswith(self._start) and data.count(b"\r\n") < 2:
                parser.buf.extend(data)  # the rest of it is still to come
                return
        await self._parse_rest(data)

    def _take(self, data: bytes) -> int:
        """Settles the replies that the data begin with; where what follows them begins."""
        end = 0
        numbers: list[int] = []
        while match := self._reply.match(data, end):
            number, is_clean, body = match.groups()
            if is_clean:
                numbers.append(int(number))
            else:
                self._examine(int(number), body)
            end = match.end()
        if numbers:
            self._settle(numbers)
        return end
