"""The clients of the gateway, each from HELLO to its close: what they may say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from loguru import logger

from bot import constants, log
from bot.errors import ServiceUnavailable
from bot.relay.fairness import TooManyRequests
from bot.relay.gateway.client_log import ClientLog
from bot.relay.gateway.connection import Connection, HangUp
from bot.relay.gateway.delivery import Delivery
from bot.relay.gateway.feed import Streams
from bot.relay.gateway.handshake import Beginning, Handshake
from bot.relay.gateway.numbering import dispatch
from bot.relay.gateway.serving import Serving
from bot.relay.gateway.sessions import Session, Sessions
from bot.relay.identity import IdentitySource
from bot.relay.members import MemberRequests
from bot.relay.snapshots import Snapshots
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
    translate: Callable[[Tenant, dict[str, Any]], Awaitable[dict[str, Any] | None]]
    """An interaction as that tenant's bot is to see it."""
    allowed_intents: int
    """The privileged ones that Discord has approved for the application."""
    catch_up_s: float
    address: Callable[[web.Request], str]
    """Where a client is to resume: without path and query."""
    log: ClientLog
    most_clients: int = 100
    clients: set[Client] = field(default_factory=set)
    handshake: Handshake = field(init=False)

    def __post_init__(self) -> None:
        self.handshake = Handshake(
            self.streams, self.sessions, self.identity, self.snapshots, self.allowed_intents, self.catch_up_s
        )

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

    def is_followed(self, position_key: str) -> bool:
        """Whether a client is connected whose position is kept there."""
        return any(
            client.session is not None and client.session.position_key == position_key for client in self.clients
        )

    def others_with(self, session: Session | None, client: Client) -> list[Client]:
        """Other connections of one session: of two, one is lost and doesn't know it yet."""
        return [
            each
            for each in self.clients
            if each is not client and session is not None and each.session is not None and each.session.id == session.id
        ]

    async def stop(self) -> None:
        """Every client is told to resume elsewhere, and how far it has come is written down."""
        for client in list(self.clients):
            client.send_away()
        with suppress(TimeoutError):
            async with asyncio.timeout(constants.CLOSE_WITHIN_S):
                await asyncio.gather(*(client.gone.wait() for client in list(self.clients)))
        with suppress(ServiceUnavailable):
            await self.sessions.write()


class Client:
    """One connection."""

    def __init__(self, gateway: Gateway, connection: Connection, address: str) -> None:
        self._gateway, self._connection, self._address = gateway, connection, address
        self.tenant: Tenant | None = None
        self.gone = asyncio.Event()
        self._serving: Serving | None = None
        self._connected_at = self._heard_at = time.monotonic()
        self._told_presence = False
        self._reset_id: int | None = None

    @property
    def session(self) -> Session | None:
        """None before it has identified or resumed."""
        return self._serving.session if self._serving is not None else None

    @property
    def sequence(self) -> int:
        """Of the stream, as far as it was sent."""
        return self._serving.sequence if self._serving is not None else 0

    async def run(self) -> None:
        """Its messages, one after the other, until the connection is closed."""
        try:
            self._connection.open()
            interval_ms = int(constants.RELAY_HEARTBEAT_INTERVAL_S * 1000)
            self._connection.send_operation(10, {"heartbeat_interval": interval_ms})
            async with asyncio.timeout(constants.RELAY_IDENTIFY_WITHIN_S) as patience:
                while (message := await self._connection.receive()) is not None:
                    self._heard_at = time.monotonic()
                    patience.reschedule(None)  # how long the answer takes is not the client's affair
                    await self._handle(message["op"], message.get("d"))
                    if self._serving is None:
                        patience.reschedule(asyncio.get_running_loop().time() + self._identifies_within())
        except HangUp as hang_up:
            self._connection.hang_up(hang_up.code, str(hang_up))
        except TimeoutError:
            self._connection.hang_up(4003, "Not authenticated.")
        except NotAuthenticated:
            self._connection.hang_up(4004, "Authentication failed.")
        except (ServiceUnavailable, DiscordAway, Refused, TooManyRequests) as error:
            logger.warning("the relay cannot serve a client", error=str(error))
            self._connection.hang_up(4000, _OUTAGE)
        except Exception:
            logger.exception("the relay cannot serve a client", sandbox=self._sandbox)
            self._connection.hang_up(4000, "Unknown error")

    def _identifies_within(self) -> float:
        return max(self._connected_at + constants.RELAY_IDENTIFY_WITHIN_S - time.monotonic(), 0.0)

    def send_away(self) -> None:
        """The relay stops: the client is to resume."""
        self._connection.send_operation(7)
        self._connection.hang_up(4000, "The relay is restarted: resume.")

    async def leave(self) -> None:
        """The connection is gone: its session may be resumed, unless the client has given it up."""
        if self.tenant is not None:
            self.tenant.followers.discard(self._on_tenant_changed)
        if self._serving is None or self.tenant is None:
            return
        sessions, session = self._gateway.sessions, self._serving.session
        can_go_on = await self._serving.end() and not self._connection.ended_for_good
        if self.tenant.is_gone:
            await sessions.drop(session)
            await self._gateway.log.forget(self)
            return
        self._gateway.log.left(self, returns=can_go_on and not self.tenant.is_over)
        if self._gateway.others_with(session, self):
            return
        if can_go_on:
            sessions.leave(self._serving.delivery.current_session())
        else:
            await sessions.end(session.id)

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
                self._refuse_voice(self._require_session(), _object(data))
            case 8:
                self._gateway.members.answer(self._require_session(), _object(data), self._connection)
            case _:
                raise HangUp(4001, "Unknown opcode.")

    async def _identify(self, data: dict[str, Any]) -> None:
        tenant = await self._authenticate(data)
        beginning = await self._gateway.handshake.identify(
            tenant, data, self._address, is_followed=self._gateway.is_followed
        )
        self._serve(beginning, tenant)
        session = beginning.session
        shard = [session.shard, session.shard_count]
        logger.info("a sandbox's bot is connected", sandbox=self._sandbox, library=session.library, shard=shard)

    async def _resume(self, data: dict[str, Any]) -> None:
        tenant = await self._authenticate(data)
        beginning = await self._gateway.handshake.resume(tenant, data)
        if beginning is None:
            self._connection.send_operation(9, False)
            return
        for other in self._gateway.others_with(beginning.session, self):
            other._connection.hang_up(4000, "Resumed elsewhere.")  # its client has lost it
        self._serve(beginning, tenant)
        missed = (beginning.resumed_at or 0) - beginning.after
        logger.info("a sandbox's bot has resumed", sandbox=self._sandbox, missed=missed)

    async def _authenticate(self, data: dict[str, Any]) -> Tenant:
        if self._serving is not None:
            raise HangUp(4005, "Already authenticated.")
        tenant = await self._gateway.tenants.authenticate(str(data.get("token") or ""))
        log.note(sandbox=str(tenant.sandbox_id))
        others = sum(client.tenant is tenant for client in self._gateway.clients if client is not self)
        if others >= self._gateway.most_clients:
            raise HangUp(4000, "This sandbox has too many clients. Stop some of them.")
        self.tenant = tenant
        tenant.followers.add(self._on_tenant_changed)
        return tenant

    def _serve(self, beginning: Beginning, tenant: Tenant) -> None:
        gateway = self._gateway
        self._serving = Serving(
            beginning,
            tenant,
            self._connection,
            streams=gateway.streams,
            sessions=gateway.sessions,
            tenants=gateway.tenants,
            snapshots=gateway.snapshots,
            translate=lambda data: gateway.translate(tenant, data),
            heard_at=lambda: self._heard_at,
        )
        self._reset_id = tenant.reset_id
        gateway.log.entered(self)

    def _on_tenant_changed(self) -> None:
        assert self.tenant is not None
        if self.tenant.is_over:
            self._connection.hang_up(4004, "Authentication failed.")
        elif self._serving is not None:
            if self.tenant.reset_id != self._reset_id:
                self._serving.invalidate("the sandbox was reset")
            self._serving.delivery.follow_bindings()

    def _require_session(self) -> Delivery:
        if self._serving is None:
            raise HangUp(4003, "Not authenticated.")
        return self._serving.delivery

    def _refuse_voice(self, delivery: Delivery, data: dict[str, Any]) -> None:
        """The protocol has no refusal: that the bot is in no channel is the closest to one."""
        logger.info("a sandbox's bot cannot join a voice channel", sandbox=self._sandbox)
        state = {
            "guild_id": data.get("guild_id"),
            "channel_id": None,
            "user_id": delivery.bot_id,
            "session_id": delivery.session.id,
            **dict.fromkeys(("deaf", "mute", "self_deaf", "self_mute", "self_video", "suppress"), False),
        }
        self._connection.send([dispatch("VOICE_STATE_UPDATE", delivery.number, state)])

    @property
    def _sandbox(self) -> str:
        return str(self.tenant.sandbox_id) if self.tenant is not None else ""


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise HangUp(4002, "Error while decoding payload.")
    return data
