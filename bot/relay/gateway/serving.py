"""A session while its client is connected: the stream's events go out, and how far they have come is noted."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.relay.gateway.connection import Connection, HangUp
from bot.relay.gateway.delivery import Delivery, SessionInvalid, Translate
from bot.relay.gateway.feed import Feed, StreamLost, Streams
from bot.relay.gateway.handshake import Beginning
from bot.relay.gateway.numbering import dispatch
from bot.relay.gateway.sessions import Session, Sessions
from bot.relay.snapshots import Snapshots
from bot.relay.tenants import Tenant, Tenants


class Serving:
    """From READY or RESUME to the connection's end. Begins at once."""

    def __init__(
        self,
        beginning: Beginning,
        tenant: Tenant,
        connection: Connection,
        *,
        streams: Streams,
        sessions: Sessions,
        tenants: Tenants,
        snapshots: Snapshots,
        translate: Translate,
        heard_at: Callable[[], float],
    ) -> None:
        """`heard_at`: when the client said something last, by time.monotonic()."""
        self._tenant, self._connection, self._streams = tenant, connection, streams
        self._sessions, self._tenants, self._snapshots = sessions, tenants, snapshots
        self._heard_at, self._resumed_at = heard_at, beginning.resumed_at
        self._unconfirmed: deque[tuple[int, int]] = deque()
        """Stream sequences that were sent, and how many bytes the connection had written with each."""
        self.sequence = beginning.after
        """Of the stream, as far as it was sent."""
        self.delivery = Delivery(
            beginning.session,
            tenant,
            connection,
            beginning.identity.user_id,
            after=beginning.after,
            load_guild=self._load_guild,
            refresh=self._refresh,
            translate=translate,
            sent=self._on_sent,
            idle=lambda: self._feed.wake(),
            told=lambda: sessions.note(self.delivery.current_session()),
            now=streams.now,
        )
        session = beginning.session
        self._feed = Feed(
            streams, tenant.sandbox_id, beginning.after, session.stream_created_at, self.delivery.take, self._has_room
        )
        sessions.note(session)
        connection.send(beginning.messages)
        self._on_sent(beginning.after)
        self._running = asyncio.create_task(self._run())

    async def _refresh(self) -> None:
        await self._tenants.refresh(self._tenant)

    @property
    def session(self) -> Session:
        """As it began."""
        return self.delivery.session

    def invalidate(self, reason: str) -> None:
        """Its client has to begin anew."""
        if not self.delivery.failed.done():
            self.delivery.failed.set_exception(SessionInvalid(reason))

    async def end(self) -> bool:
        """Nothing more is sent. False if the session can't be resumed."""
        self._running.cancel()
        await asyncio.wait({self._running})
        self.delivery.close()
        self._note_position()
        return not self.delivery.is_invalid

    async def _run(self) -> None:
        tasks = {asyncio.create_task(self._watch()), asyncio.create_task(self._feed.run())}
        try:
            self.delivery.follow_bindings()
            done, _ = await asyncio.wait({*tasks, self.delivery.failed}, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        except (StreamLost, SessionInvalid) as error:
            self.delivery.is_invalid = True
            with suppress(ServiceUnavailable):
                await self._refresh()  # if it is the sandbox that is gone, its client is told so first
            logger.info("a sandbox's bot has to begin a new session", sandbox=self._sandbox, reason=str(error))
            self._connection.send_operation(9, False)
            self._connection.hang_up(4000, "The session cannot go on.")
        except HangUp as hang_up:
            self._connection.hang_up(hang_up.code, str(hang_up))
        except Exception:
            logger.exception("a client of the relay is lost", sandbox=self._sandbox)
            self._connection.hang_up(4000, "Unknown error")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _watch(self) -> None:
        """Ends a client that reads or says nothing."""
        taken, taken_at = 0, time.monotonic()
        while True:
            await asyncio.sleep(constants.RELAY_CLIENT_WATCHED_EVERY_S)
            self._note_position()
            now = time.monotonic()
            if not self._connection.unsent_bytes or self._connection.taken_bytes != taken:
                taken, taken_at = self._connection.taken_bytes or 0, now
            elif now - taken_at > constants.RELAY_READS_WITHIN_S:
                raise HangUp(4000, "The client does not read.")
            if now - self._heard_at() > 2 * constants.RELAY_HEARTBEAT_INTERVAL_S:
                raise HangUp(4000, "No heartbeat.")

    def _has_room(self) -> bool:
        return not self.delivery.is_busy and self._connection.unsent_bytes <= constants.RELAY_UNSENT_BYTES

    def _on_sent(self, sequence: int) -> None:
        if not self._connection.is_open:
            return  # it was not sent at all
        self.sequence = sequence
        self._unconfirmed.append((self._connection.written_bytes, sequence))
        self._note_position()
        if self._resumed_at is not None and sequence >= self._resumed_at:
            self._resumed_at = None
            self._connection.send([dispatch("RESUMED", self.delivery.number, {"_trace": ["relay"]})])

    def _note_position(self) -> None:
        """What lies here unsent is lost with the connection: a bot that begins anew has to be sent it again."""
        taken, last = self._connection.taken_bytes, None
        while taken is not None and self._unconfirmed and self._unconfirmed[0][0] <= taken:
            _, last = self._unconfirmed.popleft()
        if last is not None:
            self._sessions.note_position(self.session, last)

    async def _load_guild(self, guild_id: int) -> dict[str, Any] | None:
        async def last_sequence() -> int:
            return (await self._streams.state(self._tenant.sandbox_id)).last

        snapshot = await self._snapshots.take(
            self._tenant,
            guild_id,
            last_sequence,
            stream_created_at=self.session.stream_created_at,
            not_before=self.sequence,
        )
        return snapshot.data

    @property
    def _sandbox(self) -> str:
        return str(self._tenant.sandbox_id)
