"""Members of a guild: finding and changing them, their roles, and bans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from local_discord.errors import ApiError, invalid_form, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number, query_number
from local_discord.http.group import Group
from local_discord.rules.fields import Read, boolean, each, integer, optional, read_form, snowflake, text, time
from local_discord.snowflakes import seconds_since
from local_discord.wire import Json
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member
from local_discord.world.users import User

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
_WEEK_S = 7 * 86_400
_BAN: Mapping[str, Read] = {
    "delete_message_seconds": optional(integer(0, _WEEK_S)),
    "delete_message_days": optional(integer(0, 7)),
}


class MemberRoutes(Group):
    """Nobody is connected to voice here, so nobody can be muted or moved."""

    def table(self) -> dict[str, Handler]:
        guild = "/guilds/{guild_id}"
        members, bans = guild + "/members", guild + "/bans"
        member, ban = members + "/{user_id}", bans + "/{user_id}"
        return {
            f"GET {members}": self._listing,
            f"GET {members}/search": self._search,
            f"PATCH {members}/@me": self._edit_self,
            f"GET {member}": self._show,
            f"PATCH {member}": self._edit,
            f"DELETE {member}": self._kick,
            f"PUT {member}/roles/{{role_id}}": self._add_role,
            f"DELETE {member}/roles/{{role_id}}": self._remove_role,
            f"GET {bans}": self._bans,
            f"GET {ban}": self._show_ban,
            f"PUT {ban}": self._ban,
            f"DELETE {ban}": self._unban,
            f"POST {guild}/bulk-ban": self._bulk_ban,
            f"GET {guild}/voice-states/@me": self._voice_state,
            f"GET {guild}/voice-states/{{user_id}}": self._voice_state,
        }

    async def _listing(self, request: web.Request) -> web.Response:
        limit, after = query_number(request, "limit", 1), query_number(request, "after", 0)
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
        self._change(guild, member, form)
        return answer(member.payload())

    async def _edit_self(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        member = guild.members[self._bot.id]
        form = read_form((await forms.read(request)).data, {"nick": optional(text(32))})
        if "nick" in form:
            self._guild(request, "change_nickname")
        self._change(guild, member, form)
        return answer(member.payload())

    async def _kick(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request, "kick_members"), self._user(request)
        self._member(guild, user)
        self._require_over(guild, user)
        guild.remove_member(user)
        return nothing()

    async def _add_role(self, request: web.Request) -> web.Response:
        guild, member, role_id = self._with_role(request)
        held = [role.id for role in member.roles]
        self._give(guild, member, [*held, role_id] if role_id not in held else held)
        return nothing()

    async def _remove_role(self, request: web.Request) -> web.Response:
        guild, member, role_id = self._with_role(request)
        self._give(guild, member, [role.id for role in member.roles if role.id != role_id])
        return nothing()

    def _with_role(self, request: web.Request) -> tuple[Guild, Member, int]:
        guild = self._guild(request, "manage_roles")
        role = self._role(guild, number(request, "role_id"))
        self._require_above(guild, role.position)
        return guild, self._member(guild, self._user(request)), role.id

    async def _bans(self, request: web.Request) -> web.Response:
        limit, after = query_number(request, "limit", 1000), query_number(request, "after", 0)
        bans = sorted(self._guild(request, "ban_members").bans.items())
        return answer([_ban(*ban) for user_id, ban in bans if user_id > after][:limit])

    async def _show_ban(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "ban_members")
        if (ban := guild.bans.get(number(request, "user_id"))) is None:
            raise unknown("Ban")
        return answer(_ban(*ban))

    async def _ban(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request, "ban_members"), self._user(request)
        # Libraries send these in the query as well as in the body.
        form = read_form(dict(request.query) | (await forms.read(request)).object(), _BAN)
        self._require_over(guild, user)
        seconds = form.get("delete_message_seconds") or (form.get("delete_message_days") or 0) * 86_400
        guild.ban(user, _reason(request))
        self._delete_messages(guild, user, seconds)
        return nothing()

    async def _bulk_ban(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "ban_members", "manage_guild")
        fields = {"user_ids": each(snowflake, 200), "delete_message_seconds": optional(integer(0, _WEEK_S))}
        form = read_form((await forms.read(request)).data, fields, "user_ids")
        banned: list[str] = []
        for user_id in form["user_ids"]:
            user = self._world.users.get(int(user_id))
            if user is not None and guild.top_position(user) < guild.top_position(self._bot):
                guild.ban(user, _reason(request))
                self._delete_messages(guild, user, form.get("delete_message_seconds") or 0)
                banned.append(user_id)
        if not banned:
            raise ApiError(400, 500000, "Failed to ban users")
        return answer({"banned_users": banned, "failed_users": [one for one in form["user_ids"] if one not in banned]})

    async def _unban(self, request: web.Request) -> web.Response:
        guild, user_id = self._guild(request, "ban_members"), number(request, "user_id")
        if user_id not in guild.bans:
            raise unknown("Ban")
        guild.unban(guild.bans[user_id][0])
        return nothing()

    async def _voice_state(self, request: web.Request) -> web.Response:
        self._guild(request)
        raise unknown("Voice State")

    def _change(self, guild: Guild, member: Member, form: Json) -> None:
        if "nick" in form:
            member.nick = form["nick"] or None
        if "communication_disabled_until" in form:
            member.timed_out_until = form["communication_disabled_until"]
        if "roles" in form:
            self._give(guild, member, [int(one) for one in form["roles"] or []])
        else:
            guild.announce_member(member)

    def _give(self, guild: Guild, member: Member, role_ids: list[int]) -> None:
        """These roles and no others; the bot adds and takes only those below its own highest."""
        roles = [self._role(guild, role_id) for role_id in role_ids if role_id != guild.id]
        for role in {role.id: role for role in (*roles, *member.roles)}.values():
            if (role in roles) != (role in member.roles):
                self._require_above(guild, role.position)
        member.roles = roles
        guild.announce_member(member)

    def _require_over(self, guild: Guild, user: User) -> None:
        """The user's highest role stands below the bot's; itself it may change."""
        if user is not self._bot:
            self._require_above(guild, guild.top_position(user))

    def _delete_messages(self, guild: Guild, user: User, seconds: int) -> None:
        for channel in (*guild.channels.values(), *guild.threads.values()):
            theirs = [one for one in channel.messages.values() if one.author is user]
            recent = [one for one in theirs if seconds_since(one.id) < seconds]
            if recent:
                self._world.posts.delete_all(channel, recent)


def _is_called(member: Member, query: str) -> bool:
    names: list[Any] = [member.user.name, member.nick]
    return any(name and name.lower().startswith(query) for name in names)


def _ban(user: User, reason: str | None) -> Json:
    return {"user": user.payload(), "reason": reason}


def _reason(request: web.Request) -> str | None:
    text = request.headers.get("X-Audit-Log-Reason")
    return unquote(text) if text else None
