"""What a client is sent of its sandbox's stream: numbered, as its intents ask for it, and only of guilds it knows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import msgspec
from loguru import logger

from bot import constants
from bot.relay.gateway import intents
from bot.relay.gateway.connection import Connection
from bot.relay.gateway.located import UNREADABLE, guild_of, guilds_of_gap, snowflake
from bot.relay.gateway.numbering import dispatch, numbered
from bot.relay.gateway.sessions import Session
from bot.relay.gateway.stream_reader import StoredEvent
from bot.relay.gateway.waiting import until_answered
from bot.relay.gateway.ways import CAUGHT_UP, GAP, OF_GUILDS, Way, Ways
from bot.relay.tenants import Tenant

_decode = msgspec.json.Decoder().decode


class SessionInvalid(Exception):
    """What the client knows can't be brought up to date: it has to begin anew."""


LoadGuild = Callable[[int], Awaitable[dict[str, Any] | None]]
"""A guild's state as a GUILD_CREATE has it; None if the bot isn't in it."""
Translate = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
"""An interaction as the sandbox's bot is to see it; None if it is none of its business."""


class Delivery:
    """Takes events as they come and sends them in order. Nearly all go straight through; one that needs an answer from
    elsewhere holds up what follows it, which waits here."""

    def __init__(
        self,
        session: Session,
        tenant: Tenant,
        connection: Connection,
        bot_id: str,
        *,
        after: int,
        load_guild: LoadGuild,
        refresh: Callable[[], Awaitable[None]],
        translate: Translate,
        sent: Callable[[int], None],
        idle: Callable[[], None],
        told: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        """`after`: the stream sequence that the client has seen last. `refresh` reads anew which guilds the tenant has.
        `sent` is told the stream sequence up to which all is sent, `idle` when nothing waits any more, and `told` when
        `current_session` has changed. `now` is Unix time by the clock that dates events."""
        self.session, self._tenant, self._connection, self.bot_id = session, tenant, connection, bot_id
        self._load_guild, self._refresh, self._translate = load_guild, refresh, translate
        self._sent, self._idle, self._told_of_guilds, self._now = sent, idle, told, now
        self._shift, self._mark = session.numbering.offset - session.numbering.base, session.numbering.mark
        self.number = session.numbering.number(after)
        """The sequence number that the client was told last."""
        self._ways = Ways(session.intents)
        self._told = dict(session.told)
        self.guilds = dict(session.bound_at)
        """What the client has been told of, and when that was bound."""
        self._doubt(session.told)
        self._refused_at: dict[int, float] = {}
        self.answers: set[asyncio.Task[None]] = set()
        """What the client has asked for, and is being fetched."""
        self.is_invalid = False
        """The session can't be resumed."""
        self._waiting: deque[list[StoredEvent]] = deque()
        self._bindings_changed = False
        self._work: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends in an exception when the client can't be served any more."""

    def _doubt(self, told: dict[int, int]) -> None:
        """What the client may not have read is told again, as if it knew the contrary."""
        for guild_id in [each for each, number in told.items() if number >= self.number]:
            if guild_id in self._tenant.bound_at:
                self.guilds.pop(guild_id, None)
            else:
                self.guilds[guild_id] = 0.0

    @property
    def is_busy(self) -> bool:
        """Events wait for something else than the client."""
        return self._work is not None

    def take(self, events: list[StoredEvent]) -> None:
        """In the stream's order. Never waits."""
        if self._work is not None:
            self._waiting.append(events)
            return
        done = self._send_through(events, 0)
        if done < len(events):
            self._waiting.append(events[done:])
            self._begin()

    def follow_bindings(self) -> None:
        """The tenant's guilds have changed."""
        self._bindings_changed = True
        if self._work is None:
            self._begin()

    def close(self) -> None:
        """Nothing more is sent."""
        for task in self.answers:
            task.cancel()
        if self._work is not None:
            self._work.cancel()

    def current_session(self) -> Session:
        """With the guilds that the client knows by now, for its RESUME."""
        return msgspec.structs.replace(self.session, bound_at=dict(self.guilds), told=dict(self._told))

    def _begin(self) -> None:
        self._work = asyncio.create_task(self._work_through())
        self._work.add_done_callback(self._end)

    def _end(self, work: asyncio.Task[None]) -> None:
        if work.cancelled() or self.failed.done():
            return
        if error := work.exception():
            self.failed.set_exception(error)
        else:
            self._idle()

    def _send_through(self, events: list[StoredEvent], start: int) -> int:
        """As many from there on as need no thought, in one write; how many these were."""
        messages: list[bytes] = []
        done, known, shift, way_of = 0, self.guilds, self._shift, self._ways
        for event in islice(events, start, None):
            name, sequence, payload, _ = event
            way = way_of[name]
            if way is Way.WITH_THOUGHT or sequence <= self._mark:
                break
            if way is not Way.UNWANTED:
                if guild_of(payload, known) is None:
                    break
                message = numbered(name, payload, sequence + shift) if way is Way.AS_IT_IS else self._stripped(event)
                if message is None:
                    break
                messages.append(message)
            done += 1
        if messages:
            self._connection.send(messages)
        if done:
            self._has_sent(events[start + done - 1].sequence)
        return done

    def _has_sent(self, sequence: int) -> None:
        self.number = sequence + self._shift
        self._sent(sequence)

    def _stripped(self, event: StoredEvent) -> bytes | None:
        """A message without its content; None if it can't be read."""
        try:
            data = intents.without_content(_decode(event.payload)["d"], self.bot_id)
        except UNREADABLE:
            return None
        return dispatch(event.name.decode(), event.sequence + self._shift, data)

    async def _work_through(self) -> None:
        """Everything that waits, one after the other, and the guilds that were bound or unbound."""
        while self._bindings_changed or self._waiting:
            if self._bindings_changed:
                self._bindings_changed = False
                await self._bring_guilds_up_to_date()
                continue
            events, done = self._waiting.popleft(), 0
            while done < len(events):
                await self._deliver(events[done])
                done += 1
                done += self._send_through(events, done)
        self._work = None  # here, and not when the task's end is told: what comes in between would wait for ever

    async def _deliver(self, event: StoredEvent) -> None:
        message = await self._message(event)
        if message is not None:
            self._connection.send([message])
        self._has_sent(event.sequence)
        if event.name == GAP and event.sequence > self._mark and self._is_concerned(event):
            raise SessionInvalid("events may be missing")

    def _is_concerned(self, gap: StoredEvent) -> bool:
        guild_ids = guilds_of_gap(gap.payload)
        return guild_ids is None or any(map(self.session.covers, guild_ids))

    async def _message(self, event: StoredEvent) -> bytes | None:
        """None for what this client is not sent."""
        if event.name == GAP or (event.sequence <= self._mark and not self._is_worth_catching_up(event)):
            return None
        try:
            decoded = _decode(event.payload)
            data = await self._readable(event, decoded["d"], "too_large" in decoded)
        except UNREADABLE as error:  # left out: held up for ever by it, the bot would hear nothing more at all
            logger.error("an event cannot be read", event=event.name.decode(), error=repr(error))
            data = None
        return dispatch(event.name.decode(), event.sequence + self._shift, data) if data is not None else None

    def _is_worth_catching_up(self, event: StoredEvent) -> bool:
        if event.name == b"INTERACTION_CREATE":
            return event.stored_at > self._now() - constants.RELAY_FRESH_INTERACTION_S
        return event.name in CAUGHT_UP and event.stored_at > self.session.catches_up_since

    async def _readable(self, event: StoredEvent, data: dict[str, Any], is_stub: bool) -> dict[str, Any] | None:
        """The data as this client may read them; None if it is not to."""
        name = event.name
        guild_id = snowflake(data.get("id" if name in OF_GUILDS else "guild_id"))
        if guild_id is not None:
            if not self.session.covers(guild_id) or not await self._knows(guild_id, event):
                return None
            if is_stub:
                return await self._in_place_of_large(name, guild_id)
        if self._ways.is_unwanted(name) and not (
            name in intents.OF_MEMBERSHIP and intents.is_of_bot(data, self.bot_id)
        ):
            return None
        if self._ways[name] is Way.STRIPPED:
            return intents.without_content(data, self.bot_id)
        if name in OF_GUILDS:
            return self._of_guild(name, int(guild_id or 0), data)
        return (
            await until_answered(self.session.sandbox_id, lambda: self._translate(data))
            if name == b"INTERACTION_CREATE"
            else data
        )

    def _of_guild(self, name: bytes, guild_id: int, data: dict[str, Any]) -> dict[str, Any]:
        if name == b"GUILD_CREATE" and not data.get("unavailable"):
            self._tell(guild_id, self._tenant.bound_at.get(guild_id))
            return intents.readable_guild(data, self.session.intents, self.bot_id)
        if name == b"GUILD_DELETE" and not data.get("unavailable"):
            self._tell(guild_id, None)
        return data

    async def _in_place_of_large(self, name: bytes, guild_id: int) -> dict[str, Any] | None:
        """For what was too large for NATS: a guild can be asked for, of the rest there is nothing to show."""
        if name == b"GUILD_CREATE" and not self._ways.is_unwanted(name):
            self._tell(guild_id, self._tenant.bound_at.get(guild_id))
            return await until_answered(self.session.sandbox_id, lambda: self._load_guild(guild_id))
        if self._ways.changes_guild(name):
            await self._show(guild_id)
        return None

    async def _knows(self, guild_id: int, event: StoredEvent) -> bool:
        """Whether the client has the guild. Events are faster than news of a binding: then it is told of the guild
        first. A guild's own GUILD_CREATE needs no other before it."""
        known = self.guilds if event.name != b"GUILD_CREATE" else self._tenant.bound_at
        if guild_id in known:
            return True
        if event.stored_at < self._refused_at.get(guild_id, 0.0) - constants.RELAY_CLOCKS_DIFFER_S:
            return False
        asked_at = self._now()
        await until_answered(self.session.sandbox_id, self._refresh)
        if guild_id not in self._tenant.bound_at:
            self._refused_at[guild_id] = asked_at
            return False
        if event.name != b"GUILD_CREATE":
            await self._bring_guilds_up_to_date()
        return guild_id in self._tenant.bound_at

    async def _bring_guilds_up_to_date(self) -> None:
        """The client is told which guilds it has and has no more."""
        bound = {guild_id: at for guild_id, at in self._tenant.bound_at.items() if self.session.covers(guild_id)}
        for guild_id in sorted(self.guilds.keys() - bound.keys()):
            if not self._ways.is_unwanted(b"GUILD_DELETE"):
                self._connection.send([dispatch("GUILD_DELETE", self.number, {"id": str(guild_id)})])
            self._tell(guild_id, None)
        for guild_id, at in sorted(bound.items()):
            if self.guilds.get(guild_id) != at:
                await self._show(guild_id)

    async def _show(self, guild_id: int) -> None:
        """As Discord has it now, with the number that the client has."""
        at = self._tenant.bound_at.get(guild_id)
        if not self._ways.is_unwanted(b"GUILD_CREATE"):
            data = await until_answered(self.session.sandbox_id, lambda: self._load_guild(guild_id))
            if data is not None:
                self._connection.send([dispatch("GUILD_CREATE", self.number, data)])
        self._tell(guild_id, at)

    def _tell(self, guild_id: int, bound_at: float | None) -> None:
        """The client knows by now that it has the guild, or (None) has it no more."""
        if bound_at is None:
            self.guilds.pop(guild_id, None)
        else:
            self.guilds[guild_id] = bound_at
        self._told[guild_id] = self.number
        self._told_of_guilds()
