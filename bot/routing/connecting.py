"""How a shard connects: when lease, back-off and Discord's budget let it, and to go on with its session if it can."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Any, Self

import aiohttp
import discord
import discord.gateway
import discord.http
import yarl
from loguru import logger

from bot import clock, constants, private_api
from bot.routing import close_codes
from bot.routing.gateway_address import is_trusted, named_gateway, named_gateways
from bot.routing.leases import LeaseNotHeld
from bot.routing.sessions import Session, Shard
from bot.routing.shards import taps
from bot.routing.tap import Tap

private_api.verify("discord.py")

KEEPS_SESSION = 4000
"""Discord ends a session that is closed with 1000 or 1001, and keeps it for minutes after any other code."""


class ConnectingWebSocket(discord.gateway.DiscordWebSocket):
    """A shard's connection. A client without a tap gets discord.py's own behaviour."""

    _tap: Tap | None = None
    _named: yarl.URL = discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
    """The gateway that the API has named."""
    _epoch = 0
    """Of the lease under which it was opened."""
    _resumed_at = -math.inf
    """When the session was taken up by this connection (`clock.elapsed`); before all time if it began here."""
    _seen_at: float | None = None
    """Up to when events were routed (Unix time), if the connection is lost, the session has yet to go on, or nothing is
    routed. None: up to now."""

    @classmethod
    async def from_client(cls, client: discord.Client, **options: Any) -> Any:
        """In place of discord.py's own: connects where the session says, and resumes instead of identifying.

        discord.py would resume only a session of this process, and would identify after each start: what came
        meanwhile would be lost, and a thousand starts a day are all that Discord allows.
        With a tap it comes back with a connection, after as many attempts as it takes.
        """
        tap = taps.get(client)
        if tap is None:
            options["gateway"] = await named_gateway(client, options.get("gateway"))
            return await super().from_client(client, **options)
        shard = Shard(client.application_id or 0, client.shard_count or 1, options.get("shard_id") or 0)
        connection: ConnectingWebSocket | None = None
        while connection is None:
            connection = await cls._attempt(client, tap, shard, options.get("gateway"))
        # Only now: until from_client has returned, HELLO and what answers it are discord.py's own affair, and what
        # fails there must not take the place of the connection that the tap knows.
        connection._tap, connection._named = tap, named_gateways[client]
        connection._epoch = tap.leases.epoch_of(shard.id)
        tap.add_connection(connection)
        return connection

    @classmethod
    async def _attempt(cls, client: discord.Client, tap: Tap, shard: Shard, named: yarl.URL | None) -> Self | None:
        """None if it was in vain. Never returns once Discord refuses for good: then `shards.serve` ends."""
        cls._require_lease(client, shard.id)
        pace = tap.reconnects.of(shard.id)
        session = await tap.session_to_resume(shard)
        await tap.reconnects.pause(shard.id, resumes=session is not None)
        try:
            if session is not None:
                await named_gateway(client, named)
                connection = await cls._resume(client, shard, session)
                pace.resumes.connected()
            else:
                connection = await cls._identify(client, tap, shard)
                pace.identifies.connected()
        except (discord.ConnectionClosed, *close_codes.PASSING) as error:
            if (code := close_codes.final_code(error)) is not None:
                tap.refuse(code)
                await asyncio.Event().wait()  # raised, discord.py would log a traceback and try again
            pace.ended = close_codes.describe(error)
            return None
        return connection

    @classmethod
    async def _identify(cls, client: discord.Client, tap: Tap, shard: Shard) -> Self:
        async def read_limit() -> Mapping[str, int]:
            _, url, limit = await client.http.get_bot_gateway()
            named_gateways[client] = yarl.URL(url)
            return limit  # type: ignore[return-value]  # its values are whole numbers

        async with tap.reconnects.budget.turn(shard.id, read_limit):
            return await cls._open(client, shard, named_gateways[client])

    @classmethod
    async def _resume(cls, client: discord.Client, shard: Shard, session: Session) -> Self:
        named, address = named_gateways[client], session.resume_url
        if not is_trusted(address, named, discord.http.Route.BASE):
            logger.warning("a saved gateway session has an address that is not Discord's, the general one is taken")
            address = str(named)
        resumed = {"resume": True, "session": session.id, "sequence": session.sequence}
        try:
            async with asyncio.timeout(constants.RESUME_ADDRESS_TIMEOUT_S):
                connection = await cls._open(client, shard, yarl.URL(address), **resumed)
        except (aiohttp.ClientError, OSError):  # that address may be gone, the session is not
            connection = await cls._open(client, shard, named, **resumed)
        connection._resumed_at, connection._seen_at = clock.elapsed(), session.seen_at
        return connection

    @classmethod
    async def _open(cls, client: discord.Client, shard: Shard, gateway: yarl.URL, **resumed: Any) -> Self:
        # `initial`: with others discord.py waits five seconds before it identifies, which the budget has seen to.
        options: dict[str, Any] = {"gateway": gateway, "shard_id": shard.id, "initial": True} | resumed
        async with asyncio.timeout(constants.GATEWAY_CONNECT_TIMEOUT_S):
            return await super().from_client(client, **options)

    @staticmethod
    def _require_lease(client: discord.Client, shard_id: int) -> None:
        """`LeaseNotHeld` if another process may have the shard's session; it is opened when this one has the lease."""
        tap = taps.get(client)
        if tap is not None and not tap.leases.is_valid(shard_id):
            tap.leases.unopened.add(shard_id)
            raise LeaseNotHeld

    async def send_as_json(self, data: Any) -> None:
        """Until HELLO came, the lease may have run out."""
        if data["op"] in (self.IDENTIFY, self.RESUME):
            try:
                self._require_lease(self._connection._get_client(), self.shard_id or 0)
            except LeaseNotHeld:
                await self.close()
                raise
        await super().send_as_json(data)

    @property
    def shard(self) -> Shard:
        """Whose connection it is."""
        return Shard(self._connection.application_id or 0, self.shard_count or 1, self.shard_id or 0)

    @property
    def session(self) -> Session | None:
        """Where its session may go on: after the last event that was routed. None before READY, and when Discord has
        ended it."""
        if self.session_id is None or self.sequence is None:
            return None
        return Session(self.session_id, str(self.gateway), self.sequence, self._seen_at or self._now())

    @property
    def is_live(self) -> bool:
        """As of a `GatewayConnection`."""
        return self.session is not None and self._seen_at is None

    def resume_after(self, session: Session) -> None:
        """Have Discord send again what came after it: whoever routes says how."""
        raise NotImplementedError

    def _now(self) -> float:
        """By Discord's clock, as far as that is known."""
        return (self._tap.discord_clock.now() if self._tap is not None else None) or time.time()

    async def close(self, code: int = KEEPS_SESSION) -> None:
        """Keeps the session, if there is one: a bot that is stopped will go on with it.

        discord.py closes with 1000 when it is stopped, which would end the session at Discord.
        """
        await super().close(code if self._tap is None or self.session is None else KEEPS_SESSION)
