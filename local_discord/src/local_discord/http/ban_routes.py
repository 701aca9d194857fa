"""Bans, and members who are pruned."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_discord.errors import ApiError, invalid_form, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number, query_number, reason_of
from local_discord.http.group import Group
from local_discord.rules.fields import Read, each, flag, integer, listed, optional, read_form, snowflake
from local_discord.wire import Json
from local_discord.world.audit_log import BAN, PRUNE, UNBAN
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member
from local_discord.world.users import User

_WEEK_S = 7 * 86_400
_BAN: Mapping[str, Read] = {
    "delete_message_seconds": optional(integer(0, _WEEK_S)),
    "delete_message_days": optional(integer(0, 7)),
}
_PRUNE: Mapping[str, Read] = {
    "days": integer(1, 30),
    "compute_prune_count": optional(flag),
    "include_roles": optional(listed(snowflake, 250)),
}
_DEFAULT_DAYS = 7


class BanRoutes(Group):
    """Nobody is banned whose highest role is not below the bot's."""

    def table(self) -> dict[str, Handler]:
        guild = "/guilds/{guild_id}"
        ban = guild + "/bans/{user_id}"
        return {
            f"GET {guild}/bans": self._bans,
            f"GET {ban}": self._show_ban,
            f"PUT {ban}": self._ban,
            f"DELETE {ban}": self._unban,
            f"POST {guild}/bulk-ban": self._bulk_ban,
            f"GET {guild}/prune": self._count_prunable,
            f"POST {guild}/prune": self._prune,
        }

    async def _bans(self, request: web.Request) -> web.Response:
        limit, after = query_number(request, "limit", 1000), query_number(request, "after", 0)
        bans = sorted(self._guild(request, "ban_members").bans.items())
        return answer([_shown(*ban) for user_id, ban in bans if user_id > after][:limit])

    async def _show_ban(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "ban_members")
        if (ban := guild.bans.get(number(request, "user_id"))) is None:
            raise unknown("Ban")
        return answer(_shown(*ban))

    async def _ban(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request, "ban_members"), self._user(request)
        # Libraries send these in the query as well as in the body.
        form = read_form(dict(request.query) | (await forms.read(request)).object(), _BAN)
        self._require_over(guild, user)
        seconds = form.get("delete_message_seconds") or (form.get("delete_message_days") or 0) * 86_400
        self._carry_out(request, guild, user, seconds)
        return nothing()

    async def _bulk_ban(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "ban_members", "manage_guild")
        fields = {"user_ids": each(snowflake, 200), "delete_message_seconds": optional(integer(0, _WEEK_S))}
        form = read_form((await forms.read(request)).data, fields, "user_ids")
        banned: list[str] = []
        for user_id in form["user_ids"]:
            user = self._world.users.get(int(user_id))
            if user is not None and guild.top_position(user) < guild.top_position(self._bot):
                self._carry_out(request, guild, user, form.get("delete_message_seconds") or 0)
                banned.append(user_id)
        if not banned:
            raise ApiError(400, 500000, "Failed to ban users")
        return answer({"banned_users": banned, "failed_users": [one for one in form["user_ids"] if one not in banned]})

    async def _unban(self, request: web.Request) -> web.Response:
        guild, user_id = self._guild(request, "ban_members"), number(request, "user_id")
        if user_id not in guild.bans:
            raise unknown("Ban")
        guild.unban(guild.bans[user_id][0])
        self._note(request, guild, UNBAN, user_id)
        return nothing()

    async def _count_prunable(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild", "kick_members")
        days = query_number(request, "days", _DEFAULT_DAYS)
        if not 1 <= days <= 30:
            raise invalid_form(("days",), "int value should be between 1 and 30.")
        wanted = read_form({"include_roles": ",".join(request.query.getall("include_roles", []))}, _PRUNE)
        return answer({"pruned": len(_prunable(guild, days, _included(wanted)))})

    async def _prune(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild", "kick_members")
        form = read_form((await forms.read(request)).data, _PRUNE)
        days = form.get("days", _DEFAULT_DAYS)
        found = _prunable(guild, days, _included(form))
        for member in found:
            guild.remove_member(member.user)
        options = {"delete_member_days": str(days), "members_removed": str(len(found))}
        self._note(request, guild, PRUNE, None, options=options)
        return answer({"pruned": len(found) if form.get("compute_prune_count", True) else None})

    def _carry_out(self, request: web.Request, guild: Guild, user: User, seconds: int) -> None:
        """The ban, and the deletion of what they have written in these last seconds."""
        guild.ban(user, reason_of(request))
        self._note(request, guild, BAN, user.id)
        for channel in (*guild.channels.values(), *guild.threads.values()):
            theirs = [one for one in channel.messages.values() if one.author is user]
            recent = [one for one in theirs if self._world.core.snowflakes.age_s(one.id) < seconds]
            if recent:
                self._world.posts.delete_all(channel, recent)


def _included(form: Json) -> set[int]:
    return {int(one) for one in form.get("include_roles") or ()}


def _prunable(guild: Guild, days: int, included: set[int]) -> list[Member]:
    """Who was away for so long, and has no role but these."""
    away = [one for one in guild.members.values() if one.inactive_days >= days and not one.user.bot]
    return [one for one in away if {role.id for role in one.roles} <= included and one.user is not guild.owner]


def _shown(user: User, reason: str | None) -> dict[str, object]:
    return {"user": user.payload(), "reason": reason}
