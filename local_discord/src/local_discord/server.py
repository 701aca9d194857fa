"""`LocalDiscord`: the whole of it, served on a port of this machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from secrets import token_urlsafe
from types import TracebackType
from typing import Self

from aiohttp import web

from local_discord.gateway.connection import ABNORMAL
from local_discord.gateway.conversation import accept
from local_discord.gateway.gateway import Attempt, Gateway, Step
from local_discord.gateway.sessions import Dispatched
from local_discord.http.attachments import ATTACHMENTS, serve_attachments
from local_discord.http.callers import only_programs
from local_discord.http.forms import MOST_BYTES
from local_discord.http.frame import Frame, Refusal
from local_discord.http.routes import handlers
from local_discord.people.person import Person
from local_discord.wire import Json
from local_discord.world.application import Application, token_of
from local_discord.world.core import Settings
from local_discord.world.guilds import Guild
from local_discord.world.users import User
from local_discord.world.world import World

_RECONNECT, _INVALID_SESSION, _UNAUTHENTICATED = 7, 9, 4004
_SHUTDOWN_S = 0.5


class LocalDiscord:
    """A Discord for one bot, run by Python calls instead of by people.

    Serves while the `async with` block runs, on that block's event loop. The bot connects to `api_base` and, told by
    it, to the gateway. Nothing it sends leaves this machine.
    """

    def __init__(
        self, shards: int = 1, port: int = 0, token: str | None = None, *, application_id: int | None = None
    ) -> None:
        """Port 0 is any that is free. Without a token there is one in Discord's form, which names the application."""
        self.settings = Settings(token=token or "", shards=shards)
        self.world = World(self.settings, application_id)
        self.settings.token = token or token_of(self.world.core.application_id)
        self.gateway = Gateway(self.world)
        self.owner = self.add_person("owner")
        """The application's."""
        self._core = self.world.core
        self._team = Application(self._core.application_id, self.owner)
        self._port = port
        self._handlers = handlers(self.world, self._team)
        self._frame = Frame(self.settings, self._handlers)
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_S)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._core.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.world.interactions.close()
        await self.gateway.close()
        await self._runner.cleanup()

    # Where the bot connects, and as whom.

    @property
    def api_base(self) -> str:
        """The API's address with its version, without a slash at the end."""
        return self._core.api_base

    @property
    def gateway_url(self) -> str:
        """For clients that don't ask the API for it; without a query."""
        return self._core.gateway_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a bot's process: `DISCORD_TOKEN`, and those by which `sandbox-worker run` leads a bot here
        that knows of no other Discord."""
        return {
            "DISCORD_TOKEN": self.token,
            "SANDBOX_BOT_TOKEN": self.token,
            "SANDBOX_BOT_API": self.api_base,
            "SANDBOX_BOT_GATEWAY": self.gateway_url,
        }

    @property
    def token(self) -> str:
        """The only one that is accepted."""
        return self.settings.token

    @property
    def application_id(self) -> int:
        """The same as the bot's user id."""
        return self._core.application_id

    @property
    def bot_user(self) -> User:
        """The bot as others see it; its `name` may be changed before it connects."""
        return self._core.bot

    # Who and what there is.

    def add_person(self, name: str, *, user_id: int | None = None) -> Person:
        """Somebody who is in no guild yet, but whom the bot can look up and write to."""
        person = Person(self.world, self.gateway, name, user_id=user_id)
        self.world.users[person.id] = person
        return person

    def add_to_team(self, person: Person, *, accepted: bool = True) -> None:
        """From then on the application belongs to a team. Somebody who has not accepted is only invited."""
        self._team.team[person] = accepted

    def hand_over(self, person: Person) -> None:
        """The application is theirs from then on, and whoever owned it is nobody any more."""
        del self.world.users[self.owner.id]
        self.owner = self._team.owner = person

    def add_guild(self, name: str, owner: Person, *, guild_id: int | None = None) -> Guild:
        """With the bot in it. The first guild is on shard 0, the next on shard 1, and so on around."""
        return self.world.add_guild(name, owner, guild_id)

    # What the bot has done.

    @property
    def commands(self) -> list[Json]:
        """The global ones, as the API shows them."""
        return self.world.commands.listing(None)

    @property
    def guild_commands(self) -> dict[int, list[Json]]:
        """Those of single guilds, by guild id."""
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
    def served(self) -> frozenset[str]:
        """The operations of Discord's that it has, as `METHOD /path/{placeholder}`; it answers all others with 501."""
        return frozenset(self._handlers)

    @property
    def missed(self) -> dict[str, int]:
        """The operations that the bot has asked for and that are not served, and how often."""
        return dict(self._frame.missed)

    def watch_missed(self, watcher: Callable[[], object]) -> None:
        """From now on it is called whenever `missed` has grown."""
        self._frame.on_missed.append(watcher)

    @property
    def identifies(self) -> int:
        """How many sessions were begun."""
        return self.gateway.identifies

    @property
    def resumes(self) -> int:
        """How often a session was resumed; a refused RESUME does not count."""
        return self.gateway.resumes

    @property
    def attempts(self) -> list[Attempt]:
        """The latest steps of clients on their way to a session, with those that were turned away."""
        return list(self.gateway.attempts)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self.gateway.connections)

    @property
    def dispatched(self) -> deque[Dispatched]:
        """The latest events, those included that wait for a lost connection to come back."""
        return self.gateway.dispatched

    # What happens to the bot.

    async def reset_token(self) -> str:
        """As the developer portal does: the new one. That of before opens nothing, and its connections are closed."""
        self.settings.token = token_of(self.application_id, token_urlsafe(21))
        self.forget_sessions()
        await self.hang_up(code=_UNAUTHENTICATED)
        return self.token

    async def dispatch(
        self, event: str, data: Json, *, guild_id: int | None = None, shard: int | None = None
    ) -> str | None:
        """Send any event. The exact text, or None if no session asked for it.

        A session without a connection keeps the event and gets it, with this very text, when it resumes.
        """
        record = self.gateway.emit(event, data, guild_id, shard=shard)
        await self.gateway.flush()
        return record.text if record else None

    async def advance(self, seconds: float) -> None:
        """Move Discord's clock on. What is due by then happens: deadlines and tokens of interactions, time-outs, slow
        mode, polls, threads, invites, rate limits, sessions. The bot's own clock stays what it is."""
        self._core.clock.advance(seconds)
        self.settings.session_starts.advance(seconds)
        self.world.catch_up()
        await self.gateway.flush()

    async def wait_ready(self, timeout: float = 10) -> None:
        """Until every shard has been sent READY; `TimeoutError` after so many seconds."""
        await self.gateway.changed.wait_until(self.gateway.is_ready, timeout)

    async def wait_until_gone(self, timeout: float = 10) -> None:
        """Until no connection is open; `TimeoutError` after so many seconds."""
        await self.gateway.changed.wait_until(lambda: not self.connections, timeout)

    async def hang_up(self, shard: int | None = None, code: int = ABNORMAL) -> None:
        """Close a shard's connection, or all: 1006 cuts the line, any other code is said."""
        for session in self.gateway.live(shard):
            if session.connection is not None:
                await session.connection.hang_up(code)

    def turn_away(self, step: Step, how: int | bool | None) -> None:
        """Until it is called with None, every client that comes so far is told a close code, where 1006 cuts the line,
        or op 9 with that truth value."""
        self.gateway.refusals.pop(step, None)
        if how is not None:
            self.gateway.refusals[step] = how

    async def request_reconnect(self, shard: int | None = None) -> None:
        """Ask a shard, or all, to connect anew and resume."""
        await self._send_op(_RECONNECT, None, shard)

    async def invalidate_sessions(self, resumable: bool = False, shard: int | None = None) -> None:
        """Tell a shard, or all, that the session is over, or may at best be resumed."""
        if not resumable:
            self.forget_sessions(shard)
        await self._send_op(_INVALID_SESSION, resumable, shard)

    def forget_sessions(self, shard: int | None = None) -> None:
        """A later RESUME is refused; open connections stay."""
        for session in list(self.gateway.sessions.values()):
            if shard in (None, session.shard):
                self.gateway.make_final(session)

    def rate_limit_next(self, path_part: str, retry_after: float) -> None:
        """The next request whose path contains the part is answered with 429; `retry_after` in seconds."""
        self._frame.rate_limit_next(path_part, retry_after)

    def refuse_next(
        self,
        path_part: str,
        status: int,
        body: object = "",
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """The next requests (None: of any method) whose path contains the part are answered with that, a text as it is
        and everything else as JSON. A header replaces the one that there would be."""
        self._frame.refuse_next(Refusal(path_part, method, status, body, headers or {}, times))

    def end_refusals(self) -> None:
        """Answer again, whatever `refuse_next` had planned."""
        self._frame.end_refusals()

    def set_failing(self, path_part: str, status: int | None) -> None:
        """Until it is called with None, every request whose path contains the part is answered with that status."""
        self._frame.set_failing(path_part, status)

    def cut_next(self, path_part: str, *, taken: bool = True) -> None:
        """The connection of the next request whose path contains the part ends without an answer, after the request has
        taken effect, or before."""
        self._frame.cut_next(path_part, taken=taken)

    async def _send_op(self, op: int, data: object, shard: int | None) -> None:
        for session in self.gateway.live(shard):
            if session.connection is not None:
                session.connection.send_op(op, data)
        await self.gateway.flush()

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=2 * MOST_BYTES, middlewares=[only_programs])
        for path in ("/gateway", "/gateway/", "/"):  # the last is where a client that never asks looks for Discord's
            app.router.add_get(path, partial(accept, self.gateway))
        app.router.add_get(ATTACHMENTS, serve_attachments(self.world.files))
        app.router.add_route("*", "/api{path:/.*}", self._frame.handle)
        return app
