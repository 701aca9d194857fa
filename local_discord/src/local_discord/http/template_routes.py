"""Templates of guilds."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_discord.errors import ApiError
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, word
from local_discord.http.group import Group
from local_discord.rules.fields import Read, optional, read_form, text
from local_discord.world.templates import Template

_FIELDS: Mapping[str, Read] = {"name": text(100, 1), "description": optional(text(120))}


class TemplateRoutes(Group):
    """Anybody may look one up by its code. No guild is made of one: bots can't, and people find theirs here."""

    def table(self) -> dict[str, Handler]:
        templates = "/guilds/{guild_id}/templates"
        return {
            "GET /guilds/templates/{code}": self._show,
            f"GET {templates}": self._listing,
            f"POST {templates}": self._create,
            f"PUT {templates}/{{code}}": self._sync,
            f"PATCH {templates}/{{code}}": self._edit,
            f"DELETE {templates}/{{code}}": self._delete,
        }

    async def _show(self, request: web.Request) -> web.Response:
        return answer(self._world.templates.get(word(request, "code")).payload())

    async def _listing(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild")
        return answer([template.payload() for template in self._world.templates.of(guild)])

    async def _create(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild")
        form = read_form((await forms.read(request)).data, _FIELDS, "name")
        if self._world.templates.of(guild):
            raise ApiError(400, 30031, "Guild already has a template")
        template = Template(guild, form["name"], form.get("description"), self._bot, self._world.core.clock.iso())
        self._world.templates.add(template)
        return answer(template.payload())

    async def _sync(self, request: web.Request) -> web.Response:
        template = self._template(request)
        template.sync(self._world.core.clock.iso())
        return answer(template.payload())

    async def _edit(self, request: web.Request) -> web.Response:
        template = self._template(request)
        form = read_form((await forms.read(request)).data, _FIELDS)
        template.name = form.get("name", template.name)
        template.description = form.get("description", template.description)
        return answer(template.payload())

    async def _delete(self, request: web.Request) -> web.Response:
        template = self._template(request)
        self._world.templates.remove(template)
        return answer(template.payload())

    def _template(self, request: web.Request) -> Template:
        return self._world.templates.get(word(request, "code"), self._guild(request, "manage_guild"))
