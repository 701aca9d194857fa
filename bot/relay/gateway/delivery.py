"""What a client is sent of its sandbox's stream: numbered, as its intents ask for it, and only of guilds it knows."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.relay.fairness import TooManyRequests
from bot.relay.gateway import intents
from bot.relay.gateway.connection import Connection
from bot.relay.gateway.intents import INTENT_OF
from bot.relay.gateway.numbering import dispatch, numbered
from bot.relay.gateway.sessions import Session
from bot.relay.gateway.stream_reader import StoredEvent
from bot.relay.tenants import Tenant
from bot.relay.upstream import DiscordAway
from bot.supervisor import backoff

_GAP = b"GATEWAY_GAP"
_OF_GUILDS = frozenset({b"GUILD_CREATE", b"GUILD_UPDATE", b"GUILD_DELETE"})
_OF_MESSAGES = frozenset({b"MESSAGE_CREATE", b"MESSAGE_UPDATE"})
_CAUGHT_UP = frozenset(name for name in INTENT_OF if name.startswith((b"MESSAGE_CREATE", b"MESSAGE_REACTION_")))
_ALWAYS_READ = _OF_GUILDS | {b"INTERACTION_CREATE", _GAP}
_EPHEMERAL_INTERACTION_S = 10.0
"""After that, one from before a client began is not worth a try: Discord waits three seconds for an answer."""


class _Located(msgspec.Struct, gc=False):
    guild_id: str | int | None = None


class _Message(msgspec.Struct, gc=False):
    d: _Located


_locate = msgspec.json.Decoder(_Message).decode
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
        load_guild: LoadGuild,
        refresh: Callable[[], Awaitable[None]],
        translate: Translate,
        sent: Callable[[int], None],
        catches_up_since: float,
    ) -> None:
        """`refresh` reads anew which guilds the tenant has. `sent` is told the stream sequence up to which all is sent.
        What is older than `catches_up_since` (Unix time) and than the session's mark is left out."""
        self.session, self._tenant, self._connection, self.bot_id = session, tenant, connection, bot_id
        self._load_guild, self._refresh = load_guild, refresh
        self._translate, self._sent = translate, sent
        self._catches_up_since = catches_up_since
        numbering = session.numbering
        self._shift, self._mark = numbering.offset - numbering.base, numbering.mark
        self._number = numbering.offset
        wanted = session.intents
        self._unwanted = frozenset(name for name, intent in INTENT_OF.items() if not intent & wanted)
        read = set(_ALWAYS_READ) | intents.OF_MEMBERSHIP
        self._read = frozenset(read if wanted & intents.MESSAGE_CONTENT else read | _OF_MESSAGES)
        self.guild_ids = set(session.guild_ids)
        """What the client has been told of."""
        self._refused_at: dict[int, float] = {}
        self.answers: set[asyncio.Task[None]] = set()
        """What the client has asked for, and is being fetched."""
        self.is_invalid = False
        """The session can't be resumed."""
        self._waiting: deque[list[StoredEvent]] = deque()
        self._work: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends in an exception when the client can't be served any more."""

    @property
    def is_busy(self) -> bool:
        """Events wait for something else than the client."""
        return self._work is not None

    @property
    def number(self) -> int:
        """The sequence number that the client was told last."""
        return self._number

    def take(self, events: list[StoredEvent]) -> None:
        """In the stream's order. Never waits."""
        if self._work is not None:
            self._waiting.append(events)
            return
        done = self._send_through(events)
        if done < len(events):
            self._waiting.append(events[done:])
            self._begin(self._work_through())

    def follow_bindings(self) -> None:
        """The tenant's guilds have changed."""
        if self._work is None:
            self._begin(self._work_through())

    def close(self) -> None:
        """Nothing more is sent."""
        for task in self.answers:
            task.cancel()
        if self._work is not None:
            self._work.cancel()

    def current_session(self) -> Session:
        """With the guilds that the client knows by now, for its RESUME."""
        return msgspec.structs.replace(self.session, guild_ids=tuple(sorted(self.guild_ids)))

    def _begin(self, work: Any) -> None:
        self._work = asyncio.create_task(work)
        self._work.add_done_callback(self._end)

    def _end(self, work: asyncio.Task[None]) -> None:
        self._work = None
        if work.cancelled() or self.failed.done():
            return
        if error := work.exception():
            self.failed.set_exception(error)

    def _send_through(self, events: list[StoredEvent]) -> int:
        """As many as need no thought, in one write; how many these were."""
        messages: list[bytes] = []
        done, known, covers, shift = 0, self.guild_ids, self.session.covers, self._shift
        for event in events:
            name, sequence, payload, _ = event
            if name in self._read or sequence <= self._mark:
                break
            if name not in self._unwanted:
                guild_id = _guild_of(payload)
                if guild_id not in known and (guild_id is None or covers(guild_id)):
                    break
                message = numbered(name, payload, sequence + shift)
                if message is None:
                    break
                if guild_id in known:
                    messages.append(message)
            done += 1
        if messages:
            self._connection.send(messages)
        if done:
            last = events[done - 1].sequence
            self._number = last + shift
            self._sent(last)
        return done

    async def _work_through(self) -> None:
        """Everything that waits, one after the other, and the guilds that were bound or unbound."""
        while True:
            await self._bring_guilds_up_to_date()
            if not self._waiting:
                return
            events = self._waiting.popleft()
            while events:
                await self._deliver(events[0])
                events = events[1:]
                done = self._send_through(events)
                events = events[done:]

    async def _deliver(self, event: StoredEvent) -> None:
        message = await self._message(event)
        self._number = event.sequence + self._shift
        if message is not None:
            self._connection.send([message])
        self._sent(event.sequence)

    async def _message(self, event: StoredEvent) -> bytes | None:
        """None for what this client is not sent."""
        if event.name == _GAP:
            raise SessionInvalid("events may be missing")
        if event.sequence <= self._mark and not self._is_worth_catching_up(event):
            return None
        try:
            decoded = _decode(event.payload)
            data = decoded["d"]
        except (msgspec.MsgspecError, KeyError, TypeError):
            logger.warning("an event cannot be read", sandbox=str(self.session.sandbox_id), event=event.name.decode())
            return None
        data = await self._readable(event, data, "too_large" in decoded)
        return dispatch(event.name.decode(), event.sequence + self._shift, data) if data is not None else None

    def _is_worth_catching_up(self, event: StoredEvent) -> bool:
        if event.name == b"INTERACTION_CREATE":
            return event.stored_at > time.time() - _EPHEMERAL_INTERACTION_S
        return event.name in _CAUGHT_UP and event.stored_at > self._catches_up_since

    async def _readable(self, event: StoredEvent, data: dict[str, Any], is_stub: bool) -> dict[str, Any] | None:
        """The data as this client may read them; None if it is not to."""
        name = event.name
        guild_id = _number(data.get("id" if name in _OF_GUILDS else "guild_id"))
        if guild_id is not None:
            if not self.session.covers(guild_id) or not await self._knows(guild_id, name):
                return None
            if is_stub:
                return await self._whole(name, guild_id)
        if name in self._unwanted and not (name in intents.OF_MEMBERSHIP and self._is_of_bot(data)):
            return None
        if name in _OF_MESSAGES and not self.session.intents & intents.MESSAGE_CONTENT:
            return intents.without_content(data, self.bot_id)
        if name == b"GUILD_CREATE":
            self.guild_ids.add(int(guild_id or 0))
            return data if self.session.intents & intents.GUILD_MEMBERS else intents.with_own_member(data, self.bot_id)
        if name == b"GUILD_DELETE" and not data.get("unavailable"):
            self.guild_ids.discard(int(guild_id or 0))
        return await self._translate(data) if name == b"INTERACTION_CREATE" else data

    async def _whole(self, name: bytes, guild_id: int) -> dict[str, Any] | None:
        """In place of what was too large for NATS: a guild can be asked for, of the rest there is nothing to show."""
        if name != b"GUILD_CREATE":
            return None
        self.guild_ids.add(guild_id)
        return await _until_answered(lambda: self._load_guild(guild_id))

    async def _knows(self, guild_id: int, name: bytes) -> bool:
        """Whether the client has the guild. Events are faster than news of a binding: then it is told of the guild
        first. A guild's own GUILD_CREATE needs no other before it."""
        known = self.guild_ids if name != b"GUILD_CREATE" else self._tenant.guild_ids
        if guild_id in known:
            return True
        if time.monotonic() - self._refused_at.get(guild_id, 0.0) < constants.RELAY_ACCESS_CHECKED_EVERY_S:
            return False
        await _until_answered(self._refresh)
        if guild_id not in self._tenant.guild_ids:
            self._refused_at[guild_id] = time.monotonic()
            return False
        if name != b"GUILD_CREATE":
            await self._bring_guilds_up_to_date()
        return guild_id in self._tenant.guild_ids

    async def _bring_guilds_up_to_date(self) -> None:
        """The client is told which guilds it has and has no more."""
        bound = {guild_id for guild_id in self._tenant.guild_ids if self.session.covers(guild_id)}
        for guild_id in sorted(self.guild_ids - bound):
            self.guild_ids.discard(guild_id)
            self._connection.send([dispatch("GUILD_DELETE", self._number, {"id": str(guild_id)})])
        for guild_id in sorted(bound - self.guild_ids):
            data = await self._whole(b"GUILD_CREATE", guild_id)
            if data is not None:
                self._connection.send([dispatch("GUILD_CREATE", self._number, data)])

    def _is_of_bot(self, data: dict[str, Any]) -> bool:
        return str((data.get("user") or {}).get("id")) == self.bot_id


async def _until_answered[T](ask: Callable[[], Awaitable[T]]) -> T:
    """While PostgreSQL or Discord is away the client waits: the stream keeps what it misses."""
    for pause in backoff(constants.RELAY_ASKS_AGAIN_AFTER_S, constants.RELAY_ASKS_AGAIN_AFTER_S * 8):
        try:
            return await ask()
        except (ServiceUnavailable, DiscordAway, TooManyRequests) as error:
            logger.debug("a client of the relay waits", error=repr(error))
        await asyncio.sleep(pause)
    raise AssertionError  # the pauses never end


def _guild_of(payload: bytes) -> int | None:
    try:
        guild_id = _locate(payload).d.guild_id
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return _number(guild_id)


def _number(value: object) -> int | None:
    try:
        return int(value) if isinstance(value, str | int) else None
    except ValueError:
        return None
