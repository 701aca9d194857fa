"""Reads events out of what a NATS client receives, by the run: nats-py itself spends 10 µs on each."""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple, Protocol

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from bot import constants, private_api
from bot.errors import ServiceUnavailable
from bot.stores.nats_client import unavailable
from bot.supervisor import Part

private_api.verify("nats-py")

# Possessive throughout: nothing of it matches in a second way, and looking for one costs a tenth more.
_HEAD = rb"H?MSG sandbox\.[0-9a-f-]{36}\.events\.(\w++) ([0-9]++) \$JS\.ACK\."
_SIZES = rb" (?:([0-9]++) )?([0-9]++)\r\n"
_ACK = rb"[^ .\r]++\.[^ .\r]++\.[0-9]++\.([0-9]++)\.[0-9]++\.([0-9]++)\.[0-9]++"
"""Stream, consumer, times delivered, sequence in the stream and in the consumer, time, and how many are to come."""
# No group runs over the end of a line: the payload behind it may look like more of the head.
_EVENT = re.compile(_HEAD + _ACK + _SIZES)
_EVENT_OF_DOMAIN = re.compile(_HEAD + rb"[^ .\r]++\.[^ .\r]++\." + _ACK + rb"(?:\.[^ \r]++)?" + _SIZES)
"""As newer servers write it where JetStream has a domain: that and the account come first, and a token may be last."""
_MESSAGE = re.compile(rb"H?MSG (\S+) (\d+) (?:\S+ )??(?:(\d+) )?(\d+)\r\n")
_STATUS = re.compile(rb"NATS/1\.0 (\d{3})")
_LEFT_OVER = re.compile(rb"Nats-Pending-Messages: (\d+)")


class StoredEvent(NamedTuple):
    """Its name, its sequence in the stream, the message as Discord sent it, and since when it is there (Unix time in
    nanoseconds, in digits)."""

    name: bytes
    sequence: int
    payload: bytes
    stored_ns: bytes

    @property
    def stored_at(self) -> float:
        """Unix time, by NATS's clock."""
        return int(self.stored_ns) / 1e9


class Receiver(Protocol):
    """Whoever pulls events. Nothing of it may wait, for what others pull comes over the same connection."""

    def on_events(self, events: list[StoredEvent]) -> None:
        """In the stream's order."""

    def on_status(self, status: int, left_over: int) -> None:
        """What the server says of a pull, like 408; `left_over` of its events will not come."""

    def on_lost(self) -> None:
        """The connection is a new one: nothing comes of what was asked for over the old one."""


class StreamReader:
    """One NATS connection, which many receivers pull over. It reads nothing of an event but where it ends."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._parser, self._parse_one = client._ps, client._ps.parse
        self._receivers: dict[bytes, Receiver] = {}
        # On the instance, for the client's life: its reading loop looks `_ps.parse` up for each piece.
        client._ps.parse = self.parse  # type: ignore[method-assign]

    async def open(self, inbox: str, receiver: Receiver) -> Subscription:
        """From now on the receiver gets what comes to the inbox, until `close`."""
        subscription = await self.client.subscribe(inbox, cb=_ignore)
        self._receivers[b"%d" % subscription._id] = receiver
        return subscription

    async def close(self, subscription: Subscription) -> None:
        """Safe to repeat."""
        if self._receivers.pop(b"%d" % subscription._id, None) is not None and self.client.is_connected:
            await subscription.unsubscribe()

    async def run(self, part: Part) -> None:
        """For ever: tells the receivers of a new connection, and the part whether there is one."""
        connections = self.client.stats["reconnects"]
        while not self.client.is_closed:
            if connections != self.client.stats["reconnects"]:
                connections = self.client.stats["reconnects"]
                for receiver in list(self._receivers.values()):
                    receiver.on_lost()
            if self.client.is_connected:
                part.running()
            else:
                part.failing(unavailable(self.client.last_error or ConnectionError("the connection is lost")))
            await asyncio.sleep(constants.RELAY_CONNECTION_WATCHED_EVERY_S)
        raise ServiceUnavailable("NATS", "the connection is closed")

    async def parse(self, data: bytes = b"") -> None:
        """In place of nats-py's own, which is given all that is nobody's, whole and in its order."""
        parser = self._parser
        if parser.buf:
            data = bytes(parser.buf) + data
            parser.buf.clear()
        position, size = 0, len(data)
        while position < size:
            position = self._take_events(data, position)
            if position == size or (end := _end_of_message(data, position)) is None:
                break
            await self._pass_on(data, position, end)
            position = end
        if position < size:
            parser.buf.extend(data[position:])  # nats-py throws it away on a reconnect, as it has to be

    def _take_events(self, data: bytes, position: int) -> int:
        """Hands out the events that the data go on with; where what follows them begins."""
        taken: dict[bytes, list[StoredEvent]] = {}
        while found := _EVENT.match(data, position) or _EVENT_OF_DOMAIN.match(data, position):
            name, subscription, sequence, stored_ns, header, total = found.groups()
            start = found.end()
            end = start + int(total)
            if subscription not in self._receivers or end + 2 > len(data):
                break
            event = StoredEvent(name, int(sequence), data[start + int(header or 0) : end], stored_ns)
            taken.setdefault(subscription, []).append(event)
            position = end + 2
        for subscription, events in taken.items():
            if receiver := self._receivers.get(subscription):
                receiver.on_events(events)
        return position

    async def _pass_on(self, data: bytes, position: int, end: int) -> None:
        message = data[position:end]
        found = _MESSAGE.match(message)
        receiver = self._receivers.get(found[2]) if found else None
        if found is None or receiver is None:
            await self._parse_one(message)
        elif status := _STATUS.match(message, found.end()):
            left_over = _LEFT_OVER.search(message, found.end())
            receiver.on_status(int(status[1]), int(left_over[1]) if left_over else 0)


def _end_of_message(data: bytes, position: int) -> int | None:
    """None if the rest of it is still to come."""
    if found := _MESSAGE.match(data, position):
        end = found.end() + int(found[4]) + 2
        return end if end <= len(data) else None
    line = data.find(b"\r\n", position)
    return line + 2 if line >= 0 else None


async def _ignore(_: object) -> None:
    """nats-py wants somebody to call."""
