"""`LocalDiscord`: the whole of it, served on a port of this machine."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from aiohttp import web

from local_discord.connection import ABNORMAL
from local_discord.forms import MOST_BYTES
from local_discord.guilds import Guild
from local_discord.http_api import BASE, Frame, number
from local_discord.http_commands import CommandRoutes
from local_discord.http_guilds import GuildRoutes
from local_discord.http_interactions import InteractionRoutes
from local_discord.http_messages import MessageRoutes
from local_discord.http_users import UserRoutes
from local_discord.people import Person
from local_discord.sessions import Dispatched
from local_discord.wire import Json
from local_discord.world import World


class LocalDiscord:
    """A Discord for one bot, run by Python calls instead of by people.

    The bot connects to `api_base` and, told by it, to the gateway. Nothing it sends leaves this machine.
    """

    def __init__(self, shards: int = 1, port: int = 0, token: str = "local.discord.token") -> None:  # noqa: S107
        self.world = World(shards=shards, token=token)
        self._port = port
        self._frame = Frame(self.world)
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self.world.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.world.interactions.close()
        await self.world.gateway.close()
        await self._runner.cleanup()

    @property
    def api_base(self) -> str:
        return self.world.api_base

    @property
    def gateway_url(self) -> str:
        return self.world.gateway_url

    @property
    def token(self) -> str:
        return self.world.token

    @property
    def application_id(self) -> int:
        return self.world.application_id

    @property
    def bot_user(self) -> Person:
        return self.world.bot_user

    @property
    def owner(self) -> Person:
        """The application's."""
        return self.world.owner

    def add_person(self, name: str) -> Person:
        return self.world.add_person(name)

    def add_to_team(self, person: Person, *, accepted: bool = True) -> None:
        """From then on the application belongs to a team. Somebody who has not accepted is only invited."""
        self.world.team[person] = accepted

    def add_guild(self, name: str, owner: Person) -> Guild:
        """With the bot in it. The first guild is on shard 0, the next on shard 1, and so on around."""
        return self.world.add_guild(name, owner)

    # What the bot has done.

    @property
    def commands(self) -> list[Json]:
        """The global ones."""
        return self.world.commands.listing(None)

    @property
    def guild_commands(self) -> dict[int, list[Json]]:
        return self.world.commands.guilds()

    @property
    def syncs(self) -> int:
        """How often a whole scope of commands was overwritten."""
        return self.world.commands.bulk_overwrites

    @property
    def requests(self) -> list[tuple[str, str, int]]:
        """The latest ones: method, path after `/api/v10`, status."""
        return list(self._frame.requests)

    @property
    def identifies(self) -> int:
        return self.world.gateway.identifies

    @property
    def resumes(self) -> int:
        return self.world.gateway.resumes

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self.world.gateway.connections)

    @property
    def dispatched(self) -> deque[Dispatched]:
        """The latest events, those included that wait for a lost connection to come back."""
        return self.world.gateway.dispatched

    # What happens to the bot.

    async def dispatch(
        self, event: str, data: Json, *, guild_id: int | None = None, shard: int | None = None
    ) -> str | None:
        """Send any event. The exact text, or None if no session asked for it.

        A session without a connection keeps the event and gets it, with this very text, when it resumes.
        """
        record = self.world.gateway.emit(event, data, guild_id=guild_id, shard=shard)
        await self.world.gateway.flush()
        return record.text if record else None

    async def wait_ready(self, timeout: float = 10) -> None:
        """Until every shard has been sent READY."""
        await self.world.gateway.changed.wait_until(self.world.gateway.is_ready, timeout)

    async def wait_until_gone(self, timeout: float = 10) -> None:
        """Until no connection is open."""
        await self.world.gateway.changed.wait_until(lambda: not self.connections, timeout)

    async def hang_up(self, shard: int | None = None, code: int = ABNORMAL) -> None:
        """Close a shard's connection, or all: 1006 cuts the line, any other code is said."""
        for session in self.world.gateway.live(shard):
            if session.connection is not None:
                await session.connection.hang_up(code)

    async def request_reconnect(self, shard: int | None = None) -> None:
        await self._send_op(7, None, shard)

    async def invalidate_sessions(self, resumable: bool = False, shard: int | None = None) -> None:
        if not resumable:
            self.forget_sessions(shard)
        await self._send_op(9, resumable, shard)

    def forget_sessions(self, shard: int | None = None) -> None:
        """A later RESUME is refused; open connections stay."""
        for session in list(self.world.gateway.sessions.values()):
            if shard in (None, session.shard):
                self.world.gateway.make_final(session)

    def rate_limit_next(self, path_part: str, retry_after: float) -> None:
        """The next request whose path contains the part is answered with 429."""
        self._frame.rate_limit_next(path_part, retry_after)

    @property
    def callback_deadline_s(self) -> float:
        """How long the bot has for the first answer to an interaction."""
        return self.world.callback_deadline_s

    @callback_deadline_s.setter
    def callback_deadline_s(self, seconds: float) -> None:
        self.world.callback_deadline_s = seconds

    async def _send_op(self, op: int, data: object, shard: int | None) -> None:
        for session in self.world.gateway.live(shard):
            if session.connection is not None:
                session.connection.send_op(op, data)
        await self.world.gateway.flush()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._frame.middleware()], client_max_size=2 * MOST_BYTES)
        app.router.add_get("/gateway", self.world.gateway.accept)
        app.router.add_get("/gateway/", self.world.gateway.accept)
        app.router.add_get(r"/attachments/{channel:\d+}/{attachment:\d+}/{filename}", self._attachment)
        routes = (UserRoutes, GuildRoutes, MessageRoutes, CommandRoutes, InteractionRoutes)
        for kind in routes:
            for route in kind(self.world).table():
                app.router.add_route(route.method, BASE + route.path, route.handler)
        return app

    async def _attachment(self, request: web.Request) -> web.Response:
        attachment = self.world.attachments.get(number(request, "attachment"))
        if attachment is None:
            raise web.HTTPNotFound
        return web.Response(body=attachment.content)
