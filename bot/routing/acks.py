"""Reads JetStream's acknowledgements by the run, for nats-py spends 8 µs on each and a regular expression 1 µs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec
from nats.aio.client import Client
from nats.protocol.parser import AWAITING_CONTROL_LINE

from bot import private_api
from bot.errors import Lack
from bot.stores.nats_client import OVER_LIMITS, lack_of_jetstream

private_api.verify("nats-py")

_SERVER_ERRORS = 500
_PASSING = OVER_LIMITS | {10158, 10167}
"""JetStream's codes for what it may do another time, among them that it has the message and waits for its replicas, and
that it has too many."""
_PLAIN_ACK = rb'\{"stream":"[^"]*", ?"seq":\d+\}'


class AckError(msgspec.Struct):
    """Why JetStream has not stored a message, in its words and by its codes."""

    description: str = ""
    code: int = 0
    err_code: int = 0

    @property
    def may_pass(self) -> bool:
        """Whether it may be stored another time: the server cannot write now, is as full as it may be, or is at it.

        A stream that takes no more for its own limits was made so.
        """
        is_of_stream = self.description.startswith("maximum ")
        return not is_of_stream and (self.code >= _SERVER_ERRORS or self.err_code in _PASSING)

    @property
    def lack(self) -> Lack | None:
        """What JetStream has no more of."""
        return lack_of_jetstream(self.err_code, self.description)


class Ack(msgspec.Struct):
    """JetStream's answer to one message; a duplicate was stored before, under the same message id."""

    duplicate: bool = False
    error: AckError | None = None


_decode = msgspec.json.Decoder(Ack).decode


def read_ack(body: bytes) -> Ack | None:
    """None for what is no acknowledgement."""
    try:
        return _decode(body)
    except msgspec.MsgspecError:
        return None


class AckReader:
    """Takes the replies to an inbox out of what a client receives, before nats-py parses it.

    Replies come to `<inbox><number>`. `on_acks(numbers)` is called for plain acknowledgements, by the run;
    `on_reply(number, body)` for any other one-line reply. Replies with headers and everything else go nats-py's own
    way: the inbox has to be subscribed to there.
    """

    def __init__(
        self,
        client: Client,
        inbox: str,
        on_acks: Callable[[Sequence[int]], object],
        on_reply: Callable[[int, bytes], object],
    ) -> None:
        self._parser = client._ps
        self._parse_rest = client._ps.parse
        self._on_acks, self._on_reply = on_acks, on_reply
        self._start = f"MSG {inbox}".encode()
        self._reply = re.compile(
            rb"MSG %b(\d+) \d+ \d+\r\n(?:(%b)|([^\r\n]*))\r\n" % (re.escape(inbox).encode(), _PLAIN_ACK)
        )
        # On the parser, not the client: nats-py's reading loop looks `_ps.parse` up for each piece, also after a
        # reconnect, and keeps this parser for the client's life. On the instance, so that other clients keep theirs.
        client._ps.parse = self.parse  # type: ignore[method-assign]

    def remove(self) -> None:
        """nats-py parses for itself again. What the reader has put back for later lies in nats-py's own buffer."""
        self._parser.parse = self._parse_rest  # type: ignore[method-assign]

    async def parse(self, data: bytes = b"") -> None:
        """In place of nats-py's own: `data` is what the socket gave, cut anywhere."""
        parser = self._parser
        # Inside another message's payload what looks like a reply may be anybody's text: nats-py has to end it first.
        if parser.state == AWAITING_CONTROL_LINE:
            if parser.buf:
                data = bytes(parser.buf) + data
                parser.buf.clear()
            data = data[self._consume(data) :]
            if data.startswith(self._start) and data.count(b"\r\n") < 2:
                # The rest of it is still to come. nats-py would take the head of it and wait for the payload, and this
                # reply would go its slow way; in its buffer it waits, and is thrown away there on a reconnect.
                parser.buf.extend(data)
                return
        await self._parse_rest(data)

    def _consume(self, data: bytes) -> int:
        """Reports the replies that the data begin with; where what follows them begins."""
        end = 0
        numbers: list[int] = []
        while match := self._reply.match(data, end):
            number, is_plain, body = match.groups()
            if is_plain:
                numbers.append(int(number))
            else:
                self._on_reply(int(number), body)
            end = match.end()
        if numbers:
            self._on_acks(numbers)
        return end
