"""Registering application commands, everywhere and in single guilds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_discord import forms
from local_discord.errors import ApiError
from local_discord.http_api import answer, nothing, number

if TYPE_CHECKING:
    from local_discord.world import World


class CommandRoutes:
    def __init__(self, world: World) -> None:
        self._world = world

    def table(self) -> list[web.RouteDef]:
        application = r"/applications/{application:\d+}"
        routes = []
        for scope in ("", r"/guilds/{guild:\d+}"):
            commands = f"{application}{scope}/commands"
            command = commands + r"/{command:\d+}"
            routes += [
                web.get(commands, self.listing),
                web.put(commands, self.overwrite),
                web.post(commands, self.upsert),
                web.get(command, self.show),
                web.patch(command, self.edit),
                web.delete(command, self.delete),
            ]
        return routes

    async def listing(self, request: web.Request) -> web.Response:
        return answer(self._world.commands.listing(self._scope(request)))

    async def overwrite(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        return answer(self._world.commands.overwrite(self._scope(request), form.data))

    async def upsert(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        command, is_new = self._world.commands.upsert(self._scope(request), form.data)
        return answer(command, 201 if is_new else 200)

    async def show(self, request: web.Request) -> web.Response:
        return answer(self._world.commands.get(self._scope(request), number(request, "command")))

    async def edit(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        return answer(self._world.commands.edit(self._scope(request), number(request, "command"), form.data))

    async def delete(self, request: web.Request) -> web.Response:
        self._world.commands.delete(self._scope(request), number(request, "command"))
        return nothing()

    def _scope(self, request: web.Request) -> int | None:
        if number(request, "application") != self._world.application_id:
            raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
        if "guild" not in request.match_info:
            return None
        return self._world.bots_guild(number(request, "guild")).id
