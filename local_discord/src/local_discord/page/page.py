"""`Page`: the local Discord in a browser, on a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_urlsafe
from types import TracebackType
from typing import Self

from aiohttp import web

from local_discord import wire
from local_discord.errors import ApiError, UsageError
from local_discord.http.attachments import ATTACHMENTS, serve_attachments
from local_discord.page.acts import Acts
from local_discord.page.doorway import Doorway
from local_discord.page.feed import Feed
from local_discord.page.view import View, payload_of, sees
from local_discord.people.person import Person
from local_discord.server import LocalDiscord
from local_discord.snowflakes import SNOWFLAKE, is_snowflake
from local_discord.wire import Json
from local_discord.world.channels import Message
from local_discord.world.users import User

_STATIC = Path(__file__).with_name("static")
_MOST_BYTES = 16 * 1024 * 1024
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_GATHERED_S = 0.03
"""So long changes are gathered before a tab is told of them together."""
_SHUTDOWN_S = 0.5


class Page:
    """Serves while the `async with` block runs; `url` is what to open. Everybody of the world may be acted as.

    More may stand beside it: a folder of modules with `start(page)`, and routes of one's own below `/beside/`.
    """

    def __init__(self, discord: LocalDiscord, *, port: int = 0, portal: bool = True) -> None:
        """Port 0 is any that is free. `portal`: whether the application's owner may reset the bot's token."""
        self._discord, self._world, self._port = discord, discord.world, port
        self.feed = Feed()
        self._view = View(discord)
        self._acts = Acts(discord, self._view, portal=portal)
        self._portal = portal
        self._doorway = Doorway()
        self._epoch = token_urlsafe(8)
        self._sockets: set[web.WebSocketResponse] = set()
        self._beside: dict[str, bytes] = {}
        self._modules: list[str] = []
        self.application = web.Application(middlewares=[self._doorway.guard], client_max_size=_MOST_BYTES)
        self._runner = web.AppRunner(self.application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        self._add_routes()

    async def __aenter__(self) -> Self:
        self._world.posts.watchers.append(self._on_message)
        self._world.core.events.subscribe(self._on_event)
        self._discord.watch_missed(lambda: self.feed.tell("missed", self._discord.missed))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._doorway.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._world.posts.watchers.remove(self._on_message)
        await asyncio.gather(*(socket.close(code=1001) for socket in list(self._sockets)))
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """With the token that lets a browser in; whoever has it may act as anybody."""
        return self._doorway.url

    def add_beside(self, folder: Path, modules: Iterable[str], routes: Iterable[web.AbstractRouteDef]) -> None:
        """Before the page is served: files at `/beside/<name>`, which modules start, and routes."""
        for path in folder.iterdir():
            if path.suffix in _TYPES:
                self._beside[path.name] = path.read_bytes()
        self._modules += modules
        self.application.add_routes(routes)

    def person(self, request: web.Request) -> Person:
        """As whom a request is made, in the language of their browser."""
        found = self._world.users.get(_number(request, "person"))
        if not isinstance(found, Person):
            raise web.HTTPNotFound(text="There is nobody of that id.")
        found.locale = request.query.get("locale", found.locale)
        return found

    def _add_routes(self) -> None:
        self.application.add_routes(
            [
                web.get("/", self._index),
                web.get("/state", self._state),
                web.get("/follow", self._follow),
                web.get(f"/channels/{{channel:{SNOWFLAKE}}}/messages", self._messages),
                web.get(f"/channels/{{channel:{SNOWFLAKE}}}/commands", self._commands),
                web.post("/acts", self._perform),
                web.get(ATTACHMENTS, serve_attachments(self._world.files)),
                web.get("/static/{name}", self._static),
                web.get("/beside/{name}", self._static_beside),
            ]
        )

    async def _index(self, _: web.Request) -> web.Response:
        return _file("index.html", (_STATIC / "index.html").read_bytes())

    async def _static(self, request: web.Request) -> web.Response:
        path = _STATIC / request.match_info["name"]
        if path.parent != _STATIC or not path.is_file() or path.suffix not in _TYPES:
            raise web.HTTPNotFound
        return _file(path.name, path.read_bytes())

    async def _static_beside(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._beside:
            raise web.HTTPNotFound
        return _file(name, self._beside[name])

    async def _state(self, request: web.Request) -> web.Response:
        """With the number of the last change that is in it."""
        person = self.person(request) if "person" in request.query else self._view.people()[0]
        told = self._view.state(person) | {"epoch": self._epoch, "sequence": self.feed.sequence}
        told |= {"modules": self._modules, "missed": self._discord.missed}
        told["resets_token"] = self._portal and person is self._discord.owner
        return self._json(told)

    async def _messages(self, request: web.Request) -> web.Response:
        person, before = self.person(request), _number(request, "before")
        with _as_http():
            channel = self._acts.channel(person, request.match_info["channel"])
        return self._json(self._view.messages(channel, person, before or None))

    async def _commands(self, request: web.Request) -> web.Response:
        person = self.person(request)
        with _as_http():
            channel = self._acts.channel(person, request.match_info["channel"])
        return self._json(self._view.commands(channel, person))

    async def _perform(self, request: web.Request) -> web.Response:
        person = self.person(request)
        try:
            return self._json(await self._acts.perform(person, _form(await request.text())))
        except UsageError as refused:
            return self._json({"message": str(refused), "code": refused.code}, status=400)
        except TimeoutError:
            return self._json({"failed": True})

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        """Changes after the one that is named, as they come; `reset` where the whole state has to be read anew."""
        person, query = self.person(request), request.query
        sequence = _number(request, "after") if query.get("epoch") == self._epoch else -1
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=1024)
        await socket.prepare(request)
        self._sockets.add(socket)
        following = asyncio.create_task(self._tell(socket, person, sequence))
        try:
            async for _ in socket:  # nothing is said by the page; this ends with the connection
                pass
        finally:
            self._sockets.discard(socket)
            following.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await following
        return socket

    async def _tell(self, socket: web.WebSocketResponse, person: Person, sequence: int) -> None:
        while (changes := self.feed.since(sequence, person)) is not None:
            sequence = self.feed.sequence
            frame = b'{"sequence":%d,"changes":[%s]}' % (sequence, b",".join(changes))
            await socket.send_str(self._localised(frame).decode())
            await self.feed.wait_beyond(sequence)
            await asyncio.sleep(_GATHERED_S)
        await socket.send_str('{"reset":true}')
        await socket.close()

    def _on_message(self, message: Message) -> None:
        self._view.remember(message)
        channel, data = message.channel, {"channel": str(message.channel.id), "id": str(message.id)}

        def is_for(person: User) -> bool:
            return sees(person, channel) and (not message.ephemeral or message.seen_by is person)

        kind, told = ("gone", data) if message.deleted else ("message", payload_of(message))
        self.feed.tell(kind, told, is_for)

    def _on_event(self, event: str, data: Json, _: int | None) -> None:
        if event == "TYPING_START":
            channel = self._world.channel(int(data["channel_id"]))
            told = {"channel": data["channel_id"], "user": data["user_id"]}
            self.feed.tell("typing", told, lambda person: sees(person, channel) and person.id != int(told["user"]))
        elif event.startswith(("GUILD_", "CHANNEL_", "THREAD_", "USER_")) and event != "GUILD_AUDIT_LOG_ENTRY_CREATE":
            self.feed.tell("world", event)

    def _json(self, data: object, status: int = 200) -> web.Response:
        return web.Response(body=self._localised(wire.encode(data)), status=status, content_type="application/json")

    def _localised(self, text: bytes) -> bytes:
        """The page fetches attachments from itself."""
        return text.replace(f"{self._world.core.origin}/attachments/".encode(), b"/attachments/")


def _number(request: web.Request, name: str) -> int:
    """Of the query; 0 where it has none."""
    text = request.query.get(name, "0")
    if not is_snowflake(text):
        raise web.HTTPBadRequest(text=f"{name} is a number.")
    return int(text)


def _form(text: str) -> Json:
    try:
        form = wire.decode(text)
    except ValueError:
        form = None
    if not isinstance(form, dict):
        raise UsageError("An act is an object in JSON.")
    return form


@contextmanager
def _as_http() -> Iterator[None]:
    """Turns what a person may not see into 404."""
    try:
        yield
    except (ApiError, UsageError) as error:
        raise web.HTTPNotFound(text=str(error)) from None


def _file(name: str, content: bytes) -> web.Response:
    kind = _TYPES[Path(name).suffix]
    return web.Response(body=content, content_type=kind, charset="utf-8")
