"""What stands beside the page to play in: the sandboxes, live, and what may be done with them by a click."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import orjson
from aiohttp import web
from loguru import logger

from bot.demo.hastening import hasten
from bot.demo.scenario import Scenario
from bot.demo.streams_shown import StreamsShown
from bot.errors import SandboxError
from bot.i18n import activate_locale
from bot.sandboxes.model import Sandbox, SandboxStatus
from local_discord.page.page import Page

_FOLDER = Path(__file__).with_name("beside")
_SEEN_EVERY_S = 0.4
_NEAR = timedelta(seconds=15)

type Handler = Callable[[web.Request], Awaitable[web.Response]]


class Board:
    """Looks at the sandboxes again and again while the `async with` block runs, and tells the page what has changed."""

    def __init__(self, scenario: Scenario, page: Page) -> None:
        """Before the page is served."""
        self._app, self._world, self._feed = scenario.app, scenario.discord.world, page.feed
        self._streams = StreamsShown(scenario.app, lambda event: self._feed.tell("event", event))
        self._shown: list[dict[str, Any]] = []
        self._looking: asyncio.Task[None] | None = None
        one = r"/sandboxes/{id:[0-9a-f-]{36}}"
        event = one + r"/events/{sequence:\d+}"
        routes = [
            web.get("/sandboxes", self._list),
            web.get(f"{one}/health", _told(self._health)),
            web.post(f"{one}/near", _told(self._bring_near)),
            web.get(event, _told(self._payload)),
            web.post(f"{event}/again", _told(self._send_again)),
        ]
        page.add_beside(_FOLDER, ["/beside/board.js"], routes)

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_for_ever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._looking is not None
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking

    async def _look_for_ever(self) -> None:
        while True:
            try:
                await self._look()
            except SandboxError as error:
                logger.warning("sandboxes not shown", error=str(error))
            await asyncio.sleep(_SEEN_EVERY_S)

    async def _look(self) -> None:
        sandboxes = await self._app.manager.list()
        await self._streams.follow(sandboxes)
        shown = [await self._row(each) for each in sandboxes]
        if shown != self._shown:
            self._shown = shown
            self._feed.tell("sandboxes", shown)

    async def _row(self, sandbox: Sandbox) -> dict[str, Any]:
        guilds, users = self._world.guilds, self._world.users
        alone = sandbox.redis_database
        return {
            "id": str(sandbox.id),
            "name": sandbox.name,
            "description": sandbox.description,
            "owner": users[sandbox.owner_id].name if sandbox.owner_id in users else str(sandbox.owner_id),
            "status": sandbox.status,
            "created_at": sandbox.created_at.timestamp(),
            "expires_at": sandbox.expires_at.timestamp(),
            "servers": [guilds[each].name if each in guilds else str(each) for each in sandbox.guild_ids],
            "stores": {
                "PostgreSQL": sandbox.schema_name,
                "Valkey": sandbox.redis_prefix if alone is None else f"database {alone}",
                "NATS": sandbox.stream,
            },
            "takers": await self._streams.takers(sandbox) if sandbox.status is SandboxStatus.RUNNING else [],
        }

    async def _list(self, _: web.Request) -> web.Response:
        return _json({"sandboxes": self._shown, "events": self._streams.events()})

    async def _health(self, request: web.Request) -> web.Response:
        health = await self._app.manager.get_health(_id(request))
        stores = {name: {"ok": store.ok, "summary": store.summary} for name, store in health.stores.items()}
        return _json({"level": health.level, "reasons": health.reasons, "stores": stores})

    async def _bring_near(self, request: web.Request) -> web.Response:
        sandbox = await hasten(self._app, _id(request), _NEAR)
        await self._look()
        return _json({"expires_at": sandbox.expires_at.timestamp()})

    async def _payload(self, request: web.Request) -> web.Response:
        message = await self._streams.read(_id(request), _sequence(request))
        headers = dict(message.headers or {})
        return _json({"subject": message.subject, "headers": headers, "text": (message.data or b"").decode()})

    async def _send_again(self, request: web.Request) -> web.Response:
        await self._streams.send_again(_id(request), _sequence(request))
        return _json({})


def _told(handler: Handler) -> Handler:
    """In the browser's language, and with the sentence of an expected failure for an answer."""

    async def handle(request: web.Request) -> web.Response:
        activate_locale(request.query.get("locale", "en-US"))
        try:
            return await handler(request)
        except SandboxError as error:
            return web.Response(text=str(error), status=400)

    return handle


def _id(request: web.Request) -> UUID:
    return UUID(request.match_info["id"])


def _sequence(request: web.Request) -> int:
    return int(request.match_info["sequence"])


def _json(data: object) -> web.Response:
    return web.Response(body=orjson.dumps(data), content_type="application/json")
