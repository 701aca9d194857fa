"""Registering application commands, everywhere and in single guilds."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number, places, query_flag
from local_discord.http.group import Group
from local_discord.world.commands import without_localizations
from local_discord.world.world import World


class CommandRoutes(Group):
    """In the scope that the path names."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._commands = world.commands

    def table(self) -> dict[str, Handler]:
        """The same for each of the two scopes."""
        found: dict[str, Handler] = {}
        for scope in ("", "/guilds/{guild_id}"):
            commands = f"/applications/{{application_id}}{scope}/commands"
            command = commands + "/{command_id}"
            found |= {
                f"GET {commands}": self._listing,
                f"PUT {commands}": self._overwrite,
                f"POST {commands}": self._upsert,
                f"GET {command}": self._show,
                f"PATCH {command}": self._edit,
                f"DELETE {command}": self._delete,
            }
        permissions = "/applications/{application_id}/guilds/{guild_id}/commands"
        return found | {
            f"GET {permissions}/permissions": self._all_permissions,
            f"GET {permissions}/{{command_id}}/permissions": self._permissions,
            f"PUT {permissions}/{{command_id}}/permissions": self._set_permissions,
        }

    async def _listing(self, request: web.Request) -> web.Response:
        listed = self._commands.listing(self._scope(request))
        if not query_flag(request, "with_localizations"):
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
        return answer(self._commands.get(self._scope(request), number(request, "command_id")))

    async def _edit(self, request: web.Request) -> web.Response:
        form = await forms.read(request)
        return answer(self._commands.edit(self._scope(request), number(request, "command_id"), form.data))

    async def _delete(self, request: web.Request) -> web.Response:
        self._commands.delete(self._scope(request), number(request, "command_id"))
        return nothing()

    async def _all_permissions(self, request: web.Request) -> web.Response:
        return answer(self._commands.permissions_in(self._scope(request) or 0))

    async def _permissions(self, request: web.Request) -> web.Response:
        guild_id, command_id = self._scope(request), number(request, "command_id")
        known = {int(one["id"]) for one in self._commands.listing(None)} | {self._world.core.application_id}
        if command_id not in known:
            self._commands.get(guild_id, command_id)
        return answer(self._commands.permissions(guild_id or 0, command_id))

    async def _set_permissions(self, request: web.Request) -> web.Response:
        """Discord wants a person's token for that, and so does this one: a `Person` sets them."""
        self._scope(request)
        raise ApiError(403, 20001, "Bots cannot use this endpoint")

    def _scope(self, request: web.Request) -> int | None:
        if number(request, "application_id") != self._world.core.application_id:
            raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
        if "guild_id" not in places(request):
            return None
        return self._world.bots_guild(number(request, "guild_id")).id
