"""One client of the gateway, from HELLO to its close: what it may say, and how its session begins or goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from loguru import logger

from bot import constants
from bot.concurrency import gather_bounded
from bot.errors import ServiceUnavailable
from bot.relay.fairness import TooManyRequests
from bot.relay.gateway import intents
from bot.relay.gateway.connection import Connection, HangUp
from bot.relay.gateway.delivery import Delivery, SessionInvalid
from bot.relay.gateway.feed import Feed, StreamLost, Streams, StreamState
from bot.relay.gateway.numbering import READY_SEQUENCE, Numbering, dispatch
from bot.relay.gateway.sessions import Session, Sessions
from bot.relay.identity import Identity, IdentitySource
from bot.relay.members import MemberRequests
from bot.relay.snapshots import Snapshot, Snapshots
from bot.relay.tenants import NotAuthenticated, Tenant, Tenants
from bot.relay.upstream import DiscordAway, Refused

_OUTAGE = "An outage: try again."


@dataclass(eq=False)
class Gateway:
    """What all clients share, and the clients."""

    tenants: Tenants
    streams: Streams
    sessions: Sessions
    identity: IdentitySource
    snapshots: Snapshots
    members: MemberRequests
    translate: Callable[[Tenant, dict[str, Any]], Any]
    """An interaction as that tenant's bot is to see it."""
    allowed_intents: int
    """The privileged ones that Discord has approved for the application."""
    catch_up_s: float
    address: Callable[[web.Request], str]
    """Where a client is to resume: without path and query."""
    most_clients: int = 100
    clients: set[Client] = field(default_factory=set)
    identified_at: dict[Any, float] = field(default_factory=dict)

    async def accept(self, request: web.Request) -> web.WebSocketResponse:
        """One client, until its connection ends; its session may outlive it."""
        connection = Connection(request)
        async with connection:
            client = Client(self, connection, self.address(request))
            self.clients.add(client)
            try:
                await client.run()
            finally:
                await client.leave()
                self.clients.discard(client)
                client.gone.set()
        return connection.response

    async def stop(self) -> None:
        """Every client is told to resume elsewhere, and how far it has come is written down."""
        for client in list(self.clients):
            client.send_away()
        await asyncio.gather(*(client.gone.wait() for client in list(self.clients)))
        with suppress(ServiceUnavailable):
            await self.sessions.write_positions()


class Client:
    """One connection. `agent` names its library, once it has identified."""

    def __init__(self, gateway: Gateway, connection: Connection, address: str) -> None:
        self._gateway, self._connection, self._address = gateway, connection, address
        self.tenant: Tenant | None = None
        self.agent = ""
        self.connected_at = time.time()
        self.gone = asyncio.Event()
        self.sequence = 0
        """Of the stream, as far as it was sent."""
        self.delivery: Delivery | None = None
        self._feed: Feed | None = None
        self._serving: asyncio.Task[None] | None = None
        self._heard_at = time.monotonic()
        self._replayed_at: int | None = None
        """The stream sequence after which RESUMED is due."""
        self._told_presence = False

    @property
    def session(self) -> Session | None:
        """None before it has identified or resumed."""
        return self.delivery.session if self.delivery is not None else None

    async def run(self) -> None:
        """Its messages, one after the other, until the connection is closed."""
        try:
            self._connection.open()
            self._connection.send_operation(
                10, {"heartbeat_interval": int(constants.RELAY_HEARTBEAT_INTERVAL_S * 1000)}
            )
            async with asyncio.timeout(constants.RELAY_IDENTIFY_WITHIN_S) as patience:
                while (message := await self._connection.receive()) is not None:
                    self._heard_at = time.monotonic()
                    await self._handle(message["op"], message.get("d"))
                    if self.delivery is not None:
                        patience.reschedule(None)
        except HangUp as hang_up:
            self._connection.hang_up(hang_up.code, str(hang_up))
        except TimeoutError:
            self._connection.hang_up(4003, "Not authenticated.")
        except NotAuthenticated:
            self._connection.hang_up(4004, "Authentication failed.")
        except (ServiceUnavailable, DiscordAway, Refused, TooManyRequests) as error:
            logger.warning("the relay cannot serve a client", error=str(error))
            self._connection.hang_up(4000, _OUTAGE)

    def send_away(self) -> None:
        """The relay stops: the client is to resume."""
        self._connection.send_operation(7)
        self._connection.hang_up(4000, "The relay is restarted: resume.")

    async def leave(self) -> None:
        """The connection is gone: its session may be resumed, unless the client has given it up."""
        if self.tenant is not None:
            self.tenant.followers.discard(self._on_tenant_changed)
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})
        if self.delivery is None:
            return
        self.delivery.close()
        if self._connection.ended_for_good or self.delivery.is_invalid:
            await self._gateway.sessions.end(self.delivery.session.id)
        else:
            await self._gateway.sessions.keep(self.delivery.current_session())

    async def _handle(self, op: int, data: Any) -> None:
        match op:
            case 1:
                self._connection.send_operation(11)
            case 2:
                await self._identify(_object(data))
            case 6:
                await self._resume(_object(data))
            case 3:
                self._require_session()
                if not self._told_presence:  # it is the whole application's
                    self._told_presence = True
                    logger.info("a sandbox's bot cannot change the presence", sandbox=self._sandbox)
            case 4:
                self._require_session()
                self._refuse_voice(_object(data))
            case 8:
                self._gateway.members.answer(self._require_session(), _object(data), self._connection)
            case _:
                raise HangUp(4001, "Unknown opcode.")

    async def _identify(self, data: dict[str, Any]) -> None:
        tenant = await self._authenticate(data)
        shard, count = _shard(data.get("shard") or [0, 1])
        wanted = self._intents(data.get("intents"))
        await self._pace(tenant)
        properties = data.get("properties") or {}
        self.agent = str(properties.get("browser") or properties.get("$browser") or "")[:60]
        identity = await self._gateway.identity.get()
        state = await self._stream_of(tenant)
        covered = [each for each in sorted(tenant.guild_ids) if (each >> 22) % count == shard]
        snapshots = await self._snapshots(tenant, covered)
        mark = min([state.last, *(snapshot.mark for snapshot in snapshots)])
        known = [snapshot for snapshot in snapshots if snapshot.data is not None]
        session = Session(
            tenant.sandbox_id,
            state.created_at,
            Numbering(mark, READY_SEQUENCE + len(known), mark),
            wanted,
            shard,
            count,
            tuple(covered),
        )
        session = await self._catching_up(session, state)
        await self._gateway.sessions.save(session)
        self._send_beginning(session, identity, known)
        self._serve(session, tenant, identity, after=session.numbering.base)
        logger.info("a sandbox's bot is connected", sandbox=self._sandbox, library=self.agent, shard=[shard, count])

    async def _resume(self, data: dict[str, Any]) -> None:
        tenant = await self._authenticate(data)
        session = await self._gateway.sessions.load(str(data.get("session_id")))
        sequence = data.get("seq")
        if session is None or session.sandbox_id != tenant.sandbox_id or type(sequence) is not int:
            self._connection.send_operation(9, False)
            return
        state = await self._stream_of(tenant)
        seen = session.numbering.stream_sequence(sequence)
        if seen is None or state.created_at != session.stream_created_at or not state.holds_all_after(seen):
            await self._gateway.sessions.end(session.id)
            self._connection.send_operation(9, False)
            return
        self._replace(session)
        identity = await self._gateway.identity.get()
        self._replayed_at = state.last
        self._serve(session, tenant, identity, after=seen)
        self._on_sent(seen)
        logger.info("a sandbox's bot has resumed", sandbox=self._sandbox, missed=state.last - seen)

    async def _authenticate(self, data: dict[str, Any]) -> Tenant:
        if self.delivery is not None:
            raise HangUp(4005, "Already authenticated.")
        tenant = await self._gateway.tenants.authenticate(str(data.get("token") or ""))
        others = sum(client.tenant is tenant for client in self._gateway.clients)
        if others >= self._gateway.most_clients:
            raise HangUp(4000, "This sandbox has too many clients. Stop some of them.")
        self.tenant = tenant
        tenant.followers.add(self._on_tenant_changed)
        return tenant

    async def _pace(self, tenant: Tenant) -> None:
        """One IDENTIFY in two seconds; who comes sooner waits for it here."""
        now, times = time.monotonic(), self._gateway.identified_at
        turn = max(now, times.get(tenant.sandbox_id, 0.0) + constants.RELAY_IDENTIFY_EVERY_S)
        if turn - now > constants.RELAY_IDENTIFY_WITHIN_S / 2:
            raise HangUp(4008, "Rate limited: too many IDENTIFYs.")
        times[tenant.sandbox_id] = turn
        await asyncio.sleep(turn - now)

    async def _stream_of(self, tenant: Tenant) -> StreamState:
        try:
            return await self._gateway.streams.state(tenant.sandbox_id)
        except StreamLost:
            raise ServiceUnavailable("NATS", "the sandbox's stream is not there; it is made again soon") from None

    async def _snapshots(self, tenant: Tenant, guild_ids: list[int]) -> list[Snapshot]:
        async def last_sequence() -> int:
            return (await self._stream_of(tenant)).last

        async def take(guild_id: int) -> Snapshot:
            return await self._gateway.snapshots.take(tenant.sandbox_id, guild_id, last_sequence)

        taken = await gather_bounded(guild_ids, take, limit=constants.RELAY_GUILDS_AT_ONCE)
        for each in taken:
            if isinstance(each, BaseException):
                raise each
        return [each for each in taken if isinstance(each, Snapshot)]

    async def _catching_up(self, session: Session, state: StreamState) -> Session:
        """Begins where the bot was before, if that is not long ago: what came since, nobody has seen."""
        position = await self._gateway.sessions.position(session.position_key)
        if position is None or not self._gateway.catch_up_s or position.stream_created_at != session.stream_created_at:
            return session
        numbering = session.numbering
        base = max(position.sequence, state.first - 1)
        if base >= numbering.base:
            return session
        return msgspec.structs.replace(session, numbering=Numbering(base, numbering.offset, numbering.mark))

    def _send_beginning(self, session: Session, identity: Identity, known: list[Snapshot]) -> None:
        """READY and the guilds in one write: a library takes a pause for the end of the list."""
        ready = {
            "v": 10,
            "user": identity.user,
            "session_id": session.id,
            "resume_gateway_url": self._address,
            "shard": [session.shard, session.shard_count],
            "application": {"id": identity.application_id, "flags": identity.application.get("flags", 0)},
            "guilds": [{"id": str(each.guild_id), "unavailable": True} for each in known],
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "guild_join_requests": [],
            "user_settings": {},
            "session_type": "normal",
            "geo_ordered_rtc_regions": [],
            "_trace": ["relay"],
        }
        messages = [dispatch("READY", READY_SEQUENCE, ready)]
        messages += [
            dispatch("GUILD_CREATE", READY_SEQUENCE + number, {**(snapshot.data or {}), "unavailable": False})
            for number, snapshot in enumerate(known, start=1)
        ]
        self._connection.send(messages)

    def _serve(self, session: Session, tenant: Tenant, identity: Identity, *, after: int) -> None:
        gateway = self._gateway

        async def load_guild(guild_id: int) -> dict[str, Any] | None:
            async def last_sequence() -> int:
                return self.sequence

            gateway.snapshots.forget(tenant.sandbox_id, guild_id)
            return (await gateway.snapshots.take(tenant.sandbox_id, guild_id, last_sequence)).data

        self.delivery = delivery = Delivery(
            session,
            tenant,
            self._connection,
            identity.user_id,
            load_guild=load_guild,
            refresh=lambda: gateway.tenants.refresh(tenant),
            translate=lambda data: gateway.translate(tenant, data),
            sent=self._on_sent,
            catches_up_since=time.time() - gateway.catch_up_s,
        )
        created_at = session.stream_created_at
        self._feed = Feed(gateway.streams, tenant.sandbox_id, after, created_at, delivery.take, self._has_room)
        self._serving = asyncio.create_task(self._run_feed(self._feed, delivery))

    async def _run_feed(self, feed: Feed, delivery: Delivery) -> None:
        watching = asyncio.create_task(self._watch(feed))
        feeding = asyncio.create_task(feed.run())
        tasks = {watching, feeding}
        try:
            delivery.follow_bindings()
            done, _ = await asyncio.wait({*tasks, delivery.failed}, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        except (StreamLost, SessionInvalid) as error:
            delivery.is_invalid = True
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

    async def _watch(self, feed: Feed) -> None:
        """Lets the feed go on when the client has read, and ends a client that reads or says nothing."""
        stuck_since: float | None = None
        while True:
            await asyncio.sleep(constants.RELAY_CLIENT_WATCHED_EVERY_S)
            now = time.monotonic()
            if self._has_room():
                stuck_since = None
                feed.wake()
            elif self._connection.unsent_bytes > constants.RELAY_UNSENT_BYTES:
                stuck_since = stuck_since or now
                if now - stuck_since > constants.RELAY_READS_WITHIN_S:
                    raise HangUp(4000, "The client does not read.")
            if now - self._heard_at > 2 * constants.RELAY_HEARTBEAT_INTERVAL_S:
                raise HangUp(4000, "No heartbeat.")

    def _has_room(self) -> bool:
        assert self.delivery is not None
        return not self.delivery.is_busy and self._connection.unsent_bytes <= constants.RELAY_UNSENT_BYTES

    def _on_sent(self, sequence: int) -> None:
        self.sequence = sequence
        assert self.delivery is not None
        self._gateway.sessions.note_position(self.delivery.session, sequence)
        if self._replayed_at is not None and sequence >= self._replayed_at:
            self._replayed_at = None
            self._connection.send([dispatch("RESUMED", self.delivery.number, {"_trace": ["relay"]})])

    def _on_tenant_changed(self) -> None:
        assert self.tenant is not None
        if self.tenant.is_over:
            self._connection.hang_up(4004, "Authentication failed.")
        elif self.delivery is not None:
            self.delivery.follow_bindings()

    def _replace(self, session: Session) -> None:
        """A connection that the session still has here is cut: its client has lost it."""
        for client in list(self._gateway.clients):
            if client is not self and client.session is not None and client.session.id == session.id:
                client._connection.hang_up(4000, "Resumed elsewhere.")

    def _require_session(self) -> Delivery:
        if self.delivery is None:
            raise HangUp(4003, "Not authenticated.")
        return self.delivery

    def _refuse_voice(self, data: dict[str, Any]) -> None:
        """The protocol has no refusal: that the bot is in no channel is the closest to one."""
        assert self.delivery is not None
        logger.info("a sandbox's bot cannot join a voice channel", sandbox=self._sandbox)
        state = {
            "guild_id": data.get("guild_id"),
            "channel_id": None,
            "user_id": self.delivery.bot_id,
            "session_id": self.delivery.session.id,
            **dict.fromkeys(("deaf", "mute", "self_deaf", "self_mute", "self_video", "suppress"), False),
        }
        self._connection.send([dispatch("VOICE_STATE_UPDATE", self.delivery.number, state)])

    def _intents(self, wanted: Any) -> int:
        if type(wanted) is not int or wanted & ~intents.KNOWN:
            raise HangUp(4013, "Invalid intent(s).")
        privileged = sum(intents.PRIVILEGED.values())
        if wanted & privileged & ~self._gateway.allowed_intents:
            raise HangUp(4014, "Disallowed intent(s).")
        return wanted

    @property
    def _sandbox(self) -> str:
        return str(self.tenant.sandbox_id) if self.tenant is not None else ""


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise HangUp(4002, "Error while decoding payload.")
    return data


def _shard(shard: Any) -> tuple[int, int]:
    match shard:
        case [int(number), int(count)] if 0 <= number < count:
            return number, count
        case _:
            raise HangUp(4010, "Invalid shard.")
