"""Who is interested in a guild's scheduled events."""

from __future__ import annotations

from aiohttp import web

from local_discord.http.frame import Handler, answer, number, query_flag, query_number
from local_discord.http.group import Group
from local_discord.wire import Json
from local_discord.world.guilds import Guild


class EventRoutes(Group):
    """People say so in their client; a bot can only ask."""

    def table(self) -> dict[str, Handler]:
        users = "/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/users"
        return {f"GET {users}": self._users, f"GET {users}/counts": self._counts}

    async def _users(self, request: web.Request) -> web.Response:
        guild, event_id, everybody = self._interested(request)
        limit, after = query_number(request, "limit", 100), query_number(request, "after", 0)
        before = query_number(request, "before", 1 << 64)
        found = [user_id for user_id in everybody if after < user_id < before]
        chosen = found[-limit:] if "before" in request.query else found[:limit]
        return answer([self._shown(request, guild, event_id, user_id) for user_id in chosen])

    async def _counts(self, request: web.Request) -> web.Response:
        _, _, everybody = self._interested(request)
        counts = {"guild_scheduled_event_count": len(everybody), "guild_scheduled_event_exception_counts": {}}
        return answer(counts)

    def _interested(self, request: web.Request) -> tuple[Guild, int, list[int]]:
        guild, event_id = self._guild(request), number(request, "guild_scheduled_event_id")
        guild.scheduled_events.get(event_id)
        return guild, event_id, sorted(guild.interested[event_id])

    def _shown(self, request: web.Request, guild: Guild, event_id: int, user_id: int) -> Json:
        data: Json = {"guild_scheduled_event_id": str(event_id), "user_id": str(user_id), "response": 1}
        data["user"] = self._world.user(user_id).payload()
        if query_flag(request, "with_member") and user_id in guild.members:
            data["member"] = guild.members[user_id].payload()
        return data
