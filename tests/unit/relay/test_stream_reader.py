"""Events are read out of NATS's bytes, however these are cut."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from nats.protocol.parser import Parser

from bot.relay.gateway.stream_reader import StreamReader

PREFIX = "sandbox.0189d2b2-0000-4000-8000-000000000000.events."


class Connection:
    """What nats-py's parser and the reader need of a client."""

    def __init__(self):
        self.pings, self.messages = 0, []
        self._ps = Parser(self)
        self.is_connected = True

    async def subscribe(self, inbox, cb):
        return SimpleNamespace(_id=7)

    async def _process_ping(self):
        self.pings += 1

    async def _process_msg(self, sid, subject, reply, data, headers):
        self.messages.append((sid, data))


class Received:
    def __init__(self):
        self.events, self.statuses = [], []

    def on_events(self, events):
        self.events += events

    def on_status(self, status, left_over):
        self.statuses.append((status, left_over))


def event(name, sequence, payload, sid=7, tokens="SANDBOX_x.relay-1.1"):
    header = b"NATS/1.0\r\nNats-Msg-Id: a:0:1\r\n\r\n"
    ack = f"$JS.ACK.{tokens}.{sequence}.9.1700000000000000000.0"
    total = len(header) + len(payload)
    head = f"HMSG {PREFIX}{name} {sid} {ack} {len(header)} {total}\r\n".encode()
    return head + header + payload + b"\r\n"


def status(line, sid=7):
    header = f"NATS/1.0 {line}\r\nNats-Pending-Messages: 12\r\nNats-Pending-Bytes: 0\r\n\r\n".encode()
    return f"HMSG _INBOX.x {sid} {len(header)} {len(header)}\r\n".encode() + header + b"\r\n"


STREAM = b"".join(
    [
        event("MESSAGE_CREATE", 1, b'{"s":1}'),
        b"PING\r\n",
        event("MESSAGE_CREATE", 2, b"x" * 300),
        b"MSG other 3 5\r\nPING\r\r\n",
        event("MESSAGE_DELETE", 3, b"HMSG " + PREFIX.encode() + b"X 7 $JS.ACK.a.b.1.9.9.1.0 0 2\r\nhi\r\n"),
        status("408 Request Timeout"),
        event("TYPING_START", 4, b"", tokens="hub.accounthash.SANDBOX_x.relay-1.1"),
        event("TYPING_START", 5, b"not ours", sid=8),
        b"MSG " + PREFIX.encode() + b"READY 7 $JS.ACK.SANDBOX_x.relay-1.1.6.9.17.0 9\r\nno JSON\r\n\r\n",
    ]
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 333, len(STREAM)])
async def test_however_the_bytes_are_cut_each_reader_gets_its_own_in_order(size):
    client, received = Connection(), Received()
    reader = StreamReader(client)
    await reader.open("_INBOX.x", received)
    for start in range(0, len(STREAM), size):
        await client._ps.parse(STREAM[start : start + size])
    assert [(each.name, each.sequence) for each in received.events] == [
        (b"MESSAGE_CREATE", 1),
        (b"MESSAGE_CREATE", 2),
        (b"MESSAGE_DELETE", 3),
        (b"TYPING_START", 4),
        (b"READY", 6),
    ]
    assert received.events[2].payload.endswith(b"hi\r\n")
    assert received.events[0].stored_at == 1_700_000_000
    assert received.statuses == [(408, 12)]
    assert client.pings == 1
    assert client.messages == [(3, b"PING\r"), (8, b"not ours")]
