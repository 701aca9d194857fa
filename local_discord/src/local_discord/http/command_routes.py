"""Registering application commands, everywhere and in single guilds."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError
from local_discord.http import forms
from local_discord.http.frame import answer, nothing, number
from local_discord.world.commands import without_localizations
from local_discord.world.world import World


class CommandRoutes:
    """Each handler is one request, in the scope that its path names."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._commands = world.commands

    def table(self) -> list[web.RouteDef]:
        """Paths after the API's base; the same for each of the two scopes."""
        application = r"/applications/{application:\d+}"
        routes = []
        for scope in ("", r"/guilds/{guild:\d+}"):
            commands = f"{application}{scope}/commands"
            command = commands + r"/{command:\d+}"
            routes += [
                web.get(commands, self._listing),
                web.put(commands, self._overwrite),
                web.post(commands, self._upsert),
                web.get(command, self._show),
                web.patch(command, self._edit),
                web.delete(command, self._delete),
            ]
        return routes

    async def _listing(self, request: web.Request) -> web.Response:
        listed = self._commands.listing(self._scope(request))
        if request.query.get("with_localizations", "").lower() != "true":
            return answer([without_localizations(command) for command in listed])
        return answer(listed)

    async def _overwrite(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        return answer(self._commands.overwrite(self._scope(request), form.data))

    async def _upsert(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        command, is_new = self._commands.upsert(self._scope(request), form.data)
        return answer(command, 201 if is_new else 200)

    async def _show(self, request: web.Request) -> web.Response:
        return answer(self._commands.get(self._scope(request), number(request, "command")))

    async def _edit(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        return answer(self._commands.edit(self._scope(request), number(request, "command"), form.data))

    async def _delete(self, request: web.Request) -> web.Response:
        self._commands.delete(self._scope(request), number(request, "command"))
        return nothing()

    def _scope(self, request: web.Request) -> int | None:
        if number(request, "application") != self._world.core.application_id:
            raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
        if "guild" not in request.match_info:
            return None
        return self._world.bots_guild(number(request, "guild")).id
