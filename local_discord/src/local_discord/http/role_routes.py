"""Roles of a guild."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError, invalid_form, missing_permissions
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number
from local_discord.http.group import Group
from local_discord.rules.fields import boolean, dictionary, integer, optional, read_form, snowflake, text
from local_discord.rules.permissions import EVERYONE
from local_discord.wire import Json
from local_discord.world.audit_log import CREATED, DELETED, ROLE, UPDATED
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Role

_FIELDS = {
    "name": optional(text(100)),
    "permissions": optional(integer(0, 1 << 63)),
    "color": optional(integer(0, 0xFFFFFF)),
    "colors": optional(dictionary),
    "hoist": optional(boolean),
    "mentionable": optional(boolean),
    "unicode_emoji": optional(text(100)),
}
_MOST_ROLES = 250
_MOVE = {"id": snowflake, "position": optional(integer(0, 1000))}


class RoleRoutes(Group):
    """The bot needs “Manage Roles”, and changes only roles below its own highest, to permissions that it has."""

    def table(self) -> dict[str, Handler]:
        roles = "/guilds/{guild_id}/roles"
        role = roles + "/{role_id}"
        return {
            f"GET {roles}": self._listing,
            f"POST {roles}": self._create,
            f"PATCH {roles}": self._move,
            f"GET {roles}/member-counts": self._counts,
            f"GET {role}": self._show,
            f"PATCH {role}": self._edit,
            f"DELETE {role}": self._delete,
        }

    async def _listing(self, request: web.Request) -> web.Response:
        return answer([role.payload() for role in self._guild(request).roles.values()])

    async def _show(self, request: web.Request) -> web.Response:
        return answer(self._role(self._guild(request), number(request, "role_id")).payload())

    async def _counts(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        counts = {str(role_id): 0 for role_id in guild.roles if role_id != guild.id}
        for member in guild.members.values():
            for role in member.roles:
                counts[str(role.id)] += 1
        return answer(counts)

    async def _create(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_roles")
        form = self._form(guild, (await forms.read(request)).data)
        if len(guild.roles) >= _MOST_ROLES:
            raise ApiError(400, 30005, f"Maximum number of guild roles reached ({_MOST_ROLES})")
        role = Role(self._world.core.snowflakes.next(), "new role", guild.roles[guild.id].permissions & EVERYONE, 1)
        _set(role, form)
        guild.insert_role(role)
        self._note(request, guild, ROLE + CREATED, role.id, after=role.payload())
        return answer(role.payload())

    async def _edit(self, request: web.Request) -> web.Response:
        guild, role = self._changeable(request)
        before = role.payload()
        _set(role, self._form(guild, (await forms.read(request)).data))
        guild.announce_role(role)
        self._note(request, guild, ROLE + UPDATED, role.id, before=before, after=role.payload())
        return answer(role.payload())

    async def _delete(self, request: web.Request) -> web.Response:
        guild, role = self._changeable(request)
        if role.id == guild.id:
            raise invalid_form(("role_id",), "Invalid role")
        guild.remove_role(role)
        self._note(request, guild, ROLE + DELETED, role.id, before=role.payload())
        return nothing()

    async def _move(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_roles")
        form = (await forms.read(request)).data
        if not isinstance(form, list):
            raise invalid_form((), "Only a list is accepted.")
        for one in form:
            moved = read_form(one, _MOVE, "id")
            role, position = self._role(guild, int(moved["id"])), moved.get("position")
            if position is None:
                continue
            if position != role.position:  # discord.js lists all, those above its own among them
                self._require_above(guild, max(role.position, position))
            role.position = position
            guild.announce_role(role)
        return answer([role.payload() for role in guild.roles.values()])

    def _changeable(self, request: web.Request) -> tuple[Guild, Role]:
        guild = self._guild(request, "manage_roles")
        role = self._role(guild, number(request, "role_id"))
        self._require_above(guild, role.position)
        return guild, role

    def _form(self, guild: Guild, form: object) -> Json:
        wanted = read_form(form, _FIELDS)
        if (wanted.get("permissions") or 0) & ~guild.permissions_of(self._bot):
            raise missing_permissions()
        return wanted


def _set(role: Role, form: Json) -> None:
    colours = form.get("colors") or {}
    if isinstance(colours.get("primary_color"), int):
        form = form | {"color": colours["primary_color"]}
    for key in ("name", "permissions", "color", "hoist", "mentionable", "unicode_emoji"):
        if form.get(key) is not None:
            setattr(role, key, form[key])
