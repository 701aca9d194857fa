"""What a client's gateway connections share: where events go, and how far each shard has come."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from loguru import logger

from bot import clock, constants, request
from bot.clock import StampedClock
from bot.routing.dispatch import OF_MESSAGES, Dispatch, user_in
from bot.routing.forwarded import ForwardedInteractions
from bot.routing.lanes import Gap
from bot.routing.leases import GatewayLeases
from bot.routing.publisher import Publisher
from bot.routing.reconnects import Reconnects
from bot.routing.router import EventRouter
from bot.routing.sessions import Session, SessionStore, Shard
from bot.routing.standstill import HandledAhead
from bot.supervisor import Part
from sandbox_worker import protocol

CLIENT_EVENTS = frozenset(
    {
        "READY",
        "RESUMED",
        "GUILD_CREATE",
        "GUILD_UPDATE",
        "GUILD_DELETE",
        "GUILD_ROLE_CREATE",
        "GUILD_ROLE_UPDATE",
        "GUILD_ROLE_DELETE",
    }
)
"""What the bot itself reads besides its own interactions and its direct messages; the rest discord.py never parses."""

_OF_MEMBERS = frozenset({"GUILD_MEMBER_UPDATE", "GUILD_MEMBER_REMOVE", "GUILD_BAN_ADD"})
_RIGHTS_EVENTS = _OF_MEMBERS | {"GUILD_UPDATE", "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE"}
"""After which somebody may have lost a right in a guild: that member, or anybody."""

ATTENDED = CLIENT_EVENTS | _RIGHTS_EVENTS | OF_MESSAGES | {"INTERACTION_CREATE"}
"""The events that may need more than routing; a message does if it is a private one."""

RightsChanged = Callable[[int, int | None], None]
"""Told the guild and the member; None: anybody. Must not wait, for events wait meanwhile."""


class GatewayConnection(Protocol):
    """One shard's WebSocket, as far as the tap has to know it."""

    session_id: str | None

    @property
    def shard(self) -> Shard:
        """Whose it is; the same for all connections of a shard."""

    @property
    def session(self) -> Session | None:
        """Where its session may go on; None before READY, and when Discord has ended it."""

    @property
    def is_live(self) -> bool:
        """Whether its session goes on: Discord has sent all that was missed. What waits for NATS alone is live."""

    def resume_after(self, session: Session) -> None:
        """Have Discord send again what came after it. Must not wait."""


class Tap:
    """Sends what the connections receive to the router, and saves their sessions as far as all of it is stored."""

    def __init__(
        self,
        router: EventRouter,
        publisher: Publisher,
        sessions: SessionStore,
        forwarded: ForwardedInteractions,
        rights_changed: RightsChanged,
        leases: GatewayLeases,
        discord_clock: StampedClock,
    ) -> None:
        self.router, self.publisher, self._sessions, self.leases = router, publisher, sessions, leases
        self.discord_clock = discord_clock
        self._handled_ahead: defaultdict[int, HandledAhead] = defaultdict(HandledAhead)
        self._forwarded, self._rights_changed = forwarded, rights_changed
        self._connections: dict[int, GatewayConnection] = {}
        self._last_sessions: dict[int, Session] = {}
        self._session_began = asyncio.Event()
        self.reconnects = Reconnects()
        publisher.describe_gap = self._describe_gap
        self.refused: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The code with which Discord has closed a connection for good; no other one is of use then."""

    async def run(self, part: Part) -> None:
        """Save the sessions for ever, a new one at once; `ServiceUnavailable` while Redis is away."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(constants.SESSION_CHECKPOINT_EVERY_S):
                    await self._session_began.wait()
            self._session_began.clear()
            await self.save()
            part.running()

    def _go_back_if_one_ended(self) -> None:
        """A NATS server that ended may have lost, with its power, what it had acknowledged shortly before. With several
        replicas too: what most of them have acknowledged is not on their disks yet either."""
        if not self._sessions.server_has_ended():
            return
        for connection in self._connections.values():
            session = self._sessions.rewind(connection.shard)
            if session is not None and session.id == connection.session_id:
                self._mark_gap_again(connection.shard, session)
                connection.resume_after(session)

    async def save(self) -> None:
        """Write down where the sessions may go on, as far as everything is acknowledged."""
        self._go_back_if_one_ended()
        for connection in self._connections.values():
            self.record_session(connection)
            if connection.session is not None:
                self._sessions.checkpoint(connection.shard, connection.session)
        await self._sessions.save(self._unstored())

    def record_session(self, connection: GatewayConnection) -> None:
        """Keep what is known of the connection's session: the gap marker wants it when the session has ended."""
        if connection.session is not None:
            self._last_sessions[connection.shard.id] = connection.session

    def add_connection(self, connection: GatewayConnection) -> None:
        """It takes the place of the shard's last one."""
        self._connections[connection.shard.id] = connection

    @property
    def in_session(self) -> set[int]:
        """The shards whose sessions go on, as far as their connections are open."""
        return {shard_id for shard_id, connection in self._connections.items() if connection.is_live}

    def handled_ahead(self, connection: GatewayConnection) -> HandledAhead:
        """Of the shard's session, which may have begun on another connection."""
        return self._handled_ahead[connection.shard.id]

    def refuse(self, code: int) -> None:
        """Discord has closed a connection for good, with that code."""
        if not self.refused.done():
            self.refused.set_result(code)

    async def session_to_resume(self, shard: Shard) -> Session | None:
        """The session to go on with: the last one of this process, or else of the one before; None if it has ended."""
        connection = self._connections.get(shard.id)
        if connection is not None:
            return connection.session
        session = await self._sessions.load(shard)
        if session is not None:
            self._last_sessions[shard.id] = session
            self._mark_gap_again(shard, session)
            for prefix, since in session.unstored:
                self._inherit(prefix, since)
        return session

    def forget(self, shard: Shard) -> None:
        """Its session is another process's now: what this one knew of it is out of date."""
        self._connections.pop(shard.id, None)
        self._last_sessions.pop(shard.id, None)
        self._sessions.forget(shard)

    def on_new_session(self, connection: GatewayConnection) -> None:
        """A session begins anew: what came between the one before and its READY nobody will ever send."""
        self._session_began.set()
        self._handled_ahead.pop(connection.shard.id, None)
        shard, before = connection.shard, self._last_sessions.pop(connection.shard.id, None)
        prefixes = list(self.router.guilds_on(shard.id, shard.total))
        facts = self._mark_gap(shard, before, connection.session_id or "", prefixes)
        if connection.session is not None:
            self._sessions.begin(shard, connection.session, prefixes)
        if prefixes:
            logger.warning("events may be missing, Discord began a new session", sandboxes=len(prefixes), **facts)

    def _mark_gap_again(self, shard: Shard, session: Session) -> None:
        """Does nothing where the marker still is."""
        if session.gap_in:
            self._mark_gap(shard, session.before, session.id, session.gap_in)

    def _mark_gap(
        self, shard: Shard, before: Session | None, session_id: str, prefixes: Collection[str]
    ) -> dict[str, Any]:
        """What is known of it. It may be said to have lasted a second longer than it has, never shorter."""
        now = self.discord_clock.now()
        until = time.time() if now is None else now + constants.STAMPED_CLOCK_BEHIND_S
        facts = {
            "shard": [shard.id, shard.total],
            "session_id": before.id if before else None,
            "last_sequence": before.sequence if before else None,
            "since": datetime.fromtimestamp(before.seen_at, UTC).isoformat() if before else None,
            "until": datetime.fromtimestamp(until, UTC).isoformat(),
        }
        self.router.publish_gap(facts, shard.id, shard.total, session_id, among=prefixes)
        return facts

    def _unstored(self) -> dict[str, float]:
        """What no place in a session waits for, by Discord's clock, for other processes have others."""
        return {prefix: self._date(since) for prefix, since in self.publisher.unstored().items()}

    def _describe_gap(self, prefix: str, gap: Gap) -> bytes:
        return self._describe_loss(prefix, self._date(gap.since), self._date(gap.until), events=gap.events)

    def _describe_loss(self, prefix: str, since: float, until: float, *, events: int | None = None) -> bytes:
        """The marker of what a stream did not take in that time (Unix): it may be said to be a second longer at both
        ends, never shorter. `events`: how many those were, if that is known."""
        margin = constants.STAMPED_CLOCK_BEHIND_S
        facts = {
            "cause": "stream unavailable",
            "events": events,
            "since": datetime.fromtimestamp(since - margin, UTC).isoformat(),
            "until": datetime.fromtimestamp(until + margin, UTC).isoformat(),
        }
        return protocol.gap(facts, self.router.guilds_of(prefix))

    def _inherit(self, prefix: str, since: float) -> None:
        now = clock.elapsed()
        marker = self._describe_loss(prefix, since, self._date(now))
        self.publisher.inherit(prefix, now - (self._date(now) - since), marker, f"unstored:{since}:gap")

    def _date(self, moment: float) -> float:
        """The Unix time of a moment of `clock.elapsed`: by Discord's clock, or before that has told the time, ours."""
        dated = self.discord_clock.at(moment)
        return time.time() - clock.elapsed() + moment if dated is None else dated

    def watch_rights(self, dispatch: Dispatch, text: str) -> None:
        """Tells of what may have taken a right from somebody in a bound guild."""
        name = dispatch.name
        guild_id = dispatch.guild_id if name in _RIGHTS_EVENTS else None
        if guild_id is not None and self.router.is_bound(guild_id):
            self._rights_changed(guild_id, user_in(text) if name in _OF_MEMBERS else None)

    async def prepare(self, dispatch: Dispatch) -> None:
        """Before it is routed: whose an interaction is becomes known and is written down, what may answer one of
        another process is looked up.

        The connection reads on afterwards, so that a server's events stay in order; it never waits long.
        """
        if dispatch.name == "INTERACTION_CREATE":
            await self.router.own_interactions.prepare(dispatch)
            await self._record(dispatch)
        if dispatch.name not in OF_MESSAGES:
            return
        answered = dispatch.answered_interaction
        is_known = self._forwarded.prefix_of(answered) is not None
        if answered is not None and not is_known and self.router.destination(dispatch) is not None:
            await self._forwarded.look_up(answered)

    async def _record(self, dispatch: Dispatch) -> None:
        interaction_id = dispatch.id
        if interaction_id is None or not dispatch.expects_message or self.router.is_own_interaction(dispatch):
            return
        prefix = self.router.destination(dispatch)
        if prefix is not None:
            await self._forwarded.record(interaction_id, prefix)

    def is_for_client(self, dispatch: Dispatch, resumed_at: float) -> bool:
        """Whether discord.py has to see the event too. `resumed_at`: `clock.elapsed`, -inf for a session that is
        new."""
        name = dispatch.name
        if name in CLIENT_EVENTS:
            return True
        if name == "INTERACTION_CREATE":
            self.discord_clock.observe(dispatch.created_at)
            request.mark_late(self._is_stale(dispatch, resumed_at))
            return self.router.is_own_interaction(dispatch)
        return name == "MESSAGE_CREATE" and dispatch.guild_id is None

    def _is_stale(self, dispatch: Dispatch, resumed_at: float) -> bool:
        """Whether it is played again, and later than Discord lets a first answer be."""
        answerable_since = self.discord_clock.at(min(resumed_at, clock.elapsed() - constants.INTERACTION_ANSWERABLE_S))
        if answerable_since is None or dispatch.created_at >= answerable_since:
            return False
        self.router.counts["stale interactions"] += 1
        return True
