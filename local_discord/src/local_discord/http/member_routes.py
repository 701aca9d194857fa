"""Members of a guild: finding and changing them, and their roles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from local_discord.errors import ApiError, invalid_form, missing_access, missing_permissions
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number, query_number, reason_of
from local_discord.http.group import Group
from local_discord.rules.fields import Read, boolean, each, optional, read_form, snowflake, text, time
from local_discord.rules.intents import GUILD_MEMBERS
from local_discord.rules.permissions import ADMINISTRATOR
from local_discord.wire import Json
from local_discord.world.audit_log import KICK, MEMBER, MEMBER_ROLES, role_changes
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member

_MEMBER: Mapping[str, Read] = {
    "nick": optional(text(32)),
    "roles": optional(each(snowflake, 250)),
    "communication_disabled_until": optional(time),
    "mute": boolean,
    "deaf": boolean,
    "channel_id": optional(snowflake),
}
_TAKES = {"nick": "manage_nicknames", "roles": "manage_roles", "communication_disabled_until": "moderate_members"}
_VOICE = ("mute", "deaf", "channel_id")
_LONGEST_TIME_OUT = timedelta(days=28)


class MemberRoutes(Group):
    """Nobody is connected to voice here, so nobody can be muted or moved."""

    def table(self) -> dict[str, Handler]:
        guild = "/guilds/{guild_id}"
        members = guild + "/members"
        member = members + "/{user_id}"
        return {
            f"GET {members}": self._listing,
            f"GET {members}/search": self._search,
            f"PATCH {members}/@me": self._edit_self,
            f"GET {member}": self._show,
            f"PATCH {member}": self._edit,
            f"DELETE {member}": self._kick,
            f"PUT {member}/roles/{{role_id}}": self._add_role,
            f"DELETE {member}/roles/{{role_id}}": self._remove_role,
        }

    async def _listing(self, request: web.Request) -> web.Response:
        limit, after = query_number(request, "limit", 1), query_number(request, "after", 0)
        if not self._world.core.settings.approved_intents & GUILD_MEMBERS:
            raise missing_access()
        members = sorted(self._guild(request).members.items())
        return answer([member.payload() for user_id, member in members if user_id > after][:limit])

    async def _search(self, request: web.Request) -> web.Response:
        query, limit = request.query.get("query", "").lower(), query_number(request, "limit", 1)
        if not query:
            raise invalid_form(("query",), "This field is required")
        if not 1 <= limit <= 1000:
            raise invalid_form(("limit",), "int value should be between 1 and 1000.")
        found = [one for one in self._guild(request).members.values() if _is_called(one, query)]
        return answer([member.payload() for member in found[:limit]])

    async def _show(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request), self._user(request)
        return answer(self._member(guild, user).payload())

    async def _edit(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request), self._user(request)
        member = self._member(guild, user)
        form = read_form((await forms.read(request)).data, _MEMBER)
        if any(form.get(key) is not None for key in _VOICE):
            raise ApiError(400, 40032, "Target user is not connected to voice.")
        self._guild(request, *(_TAKES[key] for key in form if key in _TAKES))
        if "nick" in form or "communication_disabled_until" in form:
            self._require_over(guild, user)
        _check_time_out(guild.permissions_of(user), form.get("communication_disabled_until"))
        self._change(request, guild, member, form)
        return answer(member.payload())

    async def _edit_self(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        member = guild.members[self._bot.id]
        form = read_form((await forms.read(request)).data, {"nick": optional(text(32))})
        if "nick" in form:
            self._guild(request, "change_nickname")
        self._change(request, guild, member, form)
        return answer(member.payload())

    async def _kick(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request, "kick_members"), self._user(request)
        self._member(guild, user)
        self._require_over(guild, user)
        guild.remove_member(user)
        self._note(request, guild, KICK, user.id)
        return nothing()

    async def _add_role(self, request: web.Request) -> web.Response:
        guild, member, role_id = self._with_role(request)
        held = [role.id for role in member.roles]
        self._give(request, guild, member, [*held, role_id] if role_id not in held else held)
        return nothing()

    async def _remove_role(self, request: web.Request) -> web.Response:
        guild, member, role_id = self._with_role(request)
        self._give(request, guild, member, [role.id for role in member.roles if role.id != role_id])
        return nothing()

    def _with_role(self, request: web.Request) -> tuple[Guild, Member, int]:
        guild = self._guild(request, "manage_roles")
        role = self._role(guild, number(request, "role_id"))
        self._require_above(guild, role.position)
        return guild, self._member(guild, self._user(request)), role.id

    def _change(self, request: web.Request, guild: Guild, member: Member, form: Json) -> None:
        before = _logged(member)
        if "nick" in form:
            member.nick = form["nick"] or None
        if "communication_disabled_until" in form:
            member.timed_out_until = form["communication_disabled_until"]
        self._note(request, guild, MEMBER, member.user.id, before=before, after=_logged(member))
        if "roles" in form:
            self._give(request, guild, member, [int(one) for one in form["roles"] or []])
        else:
            guild.announce_member(member)

    def _give(self, request: web.Request, guild: Guild, member: Member, role_ids: list[int]) -> None:
        """These roles and no others; the bot adds and takes only those below its own highest."""
        roles = [self._role(guild, role_id) for role_id in role_ids if role_id != guild.id]
        for role in {role.id: role for role in (*roles, *member.roles)}.values():
            if (role in roles) != (role in member.roles):
                self._require_above(guild, role.position)
        told = role_changes(*([role.payload() for role in side] for side in (member.roles, roles)))
        member.roles = roles
        guild.announce_member(member)
        if told:
            guild.audit_log.note(MEMBER_ROLES, self._bot, member.user.id, reason=reason_of(request), changes=told)


def _is_called(member: Member, query: str) -> bool:
    names: list[Any] = [member.user.name, member.nick]
    return any(name and name.lower().startswith(query) for name in names)


def _logged(member: Member) -> Json:
    return {"nick": member.nick, "communication_disabled_until": member.timed_out_until}


def _check_time_out(granted: int, until: str | None) -> None:
    """Nobody is silenced for longer than four weeks, and no administrator at all."""
    if until is None:
        return
    if granted & ADMINISTRATOR:
        raise missing_permissions()
    if datetime.fromisoformat(until) > datetime.now(UTC) + _LONGEST_TIME_OUT:
        raise invalid_form(("communication_disabled_until",), "A time-out ends within 28 days.")
