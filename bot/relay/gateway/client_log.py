"""Who is connected, written down for other processes: for `status`, and for who answers in an absent bot's place."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Protocol
from uuid import UUID

import msgspec

from bot import constants
from bot.errors import ServiceUnavailable
from bot.relay.gateway.sessions import Session
from bot.stores.relay_records import ClientRecord, RelayRecords
from bot.supervisor import Part


class Reader(Protocol):
    """A client with a session."""

    @property
    def sequence(self) -> int:
        """Of the stream, as far as it was sent."""

    @property
    def session(self) -> Session | None:
        """The same as long as it is connected, but for its guilds."""


class ClientLog:
    """Told of every client that comes and goes. `run` writes that at once, and how far they are now and then."""

    def __init__(self, records: RelayRecords) -> None:
        self._records = records
        self._readers: dict[str, Reader] = {}
        self._gone: dict[str, tuple[UUID, ClientRecord]] = {}
        self._written: dict[str, tuple[float, ClientRecord]] = {}
        """When (of time.monotonic()), and what."""
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()

    def entered(self, reader: Reader) -> None:
        """Its session has begun, or goes on."""
        session = _session_of(reader)
        self._readers[session.id] = reader
        self._gone.pop(session.id, None)
        self._changed.set()

    def left(self, reader: Reader, *, returns: bool) -> None:
        """Its connection is gone. `returns`: its session may be resumed, and is expected to be."""
        session = _session_of(reader)
        if self._readers.get(session.id) is not reader:
            return  # another connection goes on with the session
        del self._readers[session.id]
        self._written.pop(session.id, None)
        record = msgspec.structs.replace(_record_of(reader), is_connected=False, returns=returns)
        self._gone[session.id] = session.sandbox_id, record
        self._changed.set()

    async def forget(self, reader: Reader) -> None:
        """Its sandbox is gone: with all that was noted of it, also since the teardown."""
        session = _session_of(reader)
        self._readers.pop(session.id, None)
        self._written.pop(session.id, None)
        with suppress(ServiceUnavailable):
            async with self._writing:
                await self._records.forget(session.sandbox_id)

    async def run(self, part: Part) -> None:
        """Write for ever; `ServiceUnavailable` while Redis is away."""
        while True:
            await self.write()
            part.running()
            with suppress(TimeoutError):
                async with asyncio.timeout(constants.RELAY_RECORDS_WRITTEN_EVERY_S):
                    await self._changed.wait()

    async def write(self) -> None:
        """What is new, and what would be forgotten otherwise."""
        async with self._writing:
            self._changed.clear()
            await self._write()

    async def _write(self) -> None:
        gone, fresh = dict(self._gone), self._fresh()
        if gone or fresh:
            await self._records.write_clients({**gone, **fresh})
        now = time.monotonic()
        self._written |= {client_id: (now, record) for client_id, (_, record) in fresh.items()}
        self._gone = {client_id: each for client_id, each in self._gone.items() if gone.get(client_id) is not each}

    def _fresh(self) -> dict[str, tuple[UUID, ClientRecord]]:
        found, due = {}, time.monotonic() - constants.RELAY_RECORD_KEPT_S / 3
        for client_id, reader in self._readers.items():
            record = _record_of(reader)
            written_at, written = self._written.get(client_id, (0.0, None))
            if record != written or written_at < due:
                found[client_id] = _session_of(reader).sandbox_id, record
        return found


def _record_of(reader: Reader) -> ClientRecord:
    session = _session_of(reader)
    place, since = (session.shard, session.shard_count), session.begun_at
    return ClientRecord(reader.sequence, session.stream_created_at, session.library, *place, since)


def _session_of(reader: Reader) -> Session:
    assert reader.session is not None
    return reader.session
