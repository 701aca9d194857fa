"""Guilds, their members and their channels, as far as the bot asks."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import unknown
from local_discord.http.frame import answer, number, query_number
from local_discord.world.guilds import Guild
from local_discord.world.world import World


class GuildRoutes:
    """Each handler is one request; all are about guilds that the bot is in."""

    def __init__(self, world: World) -> None:
        self._world = world

    def table(self) -> list[web.RouteDef]:
        """Paths after the API's base."""
        guild = r"/guilds/{guild:\d+}"
        return [
            web.get(guild, self._show),
            web.get(guild + "/channels", self._channels),
            web.get(guild + "/roles", self._roles),
            web.get(guild + "/threads/active", self._threads),
            web.get(guild + "/scheduled-events", self._events),
            web.get(guild + "/soundboard-sounds", self._sounds),
            web.get(guild + "/members", self._members),
            web.get(guild + r"/members/{user:\d+}", self._member),
            web.get(r"/channels/{channel:\d+}", self._channel),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        data = guild.payload()
        if request.query.get("with_counts", "").lower() in ("1", "true"):
            data |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
        return answer(data)

    async def _channels(self, request: web.Request) -> web.Response:
        return answer([channel.payload() for channel in self._guild(request).channels.values()])

    async def _roles(self, request: web.Request) -> web.Response:
        return answer([role.payload() for role in self._guild(request).roles.values()])

    async def _threads(self, request: web.Request) -> web.Response:
        self._guild(request)
        return answer({"threads": [], "members": []})

    async def _events(self, request: web.Request) -> web.Response:
        self._guild(request)
        return answer([])

    async def _sounds(self, request: web.Request) -> web.Response:
        self._guild(request)
        return answer({"items": []})

    async def _members(self, request: web.Request) -> web.Response:
        limit, after = query_number(request, "limit", 1), query_number(request, "after", 0)
        members = sorted(self._guild(request).members.items())
        return answer([member.payload() for user_id, member in members if user_id > after][:limit])

    async def _member(self, request: web.Request) -> web.Response:
        guild, user = self._guild(request), self._world.user(number(request, "user"))
        if user.id not in guild.members:
            raise unknown("Member")
        return answer(guild.members[user.id].payload())

    async def _channel(self, request: web.Request) -> web.Response:
        return answer(self._world.bots_channel(number(request, "channel")).payload())

    def _guild(self, request: web.Request) -> Guild:
        return self._world.bots_guild(number(request, "guild"))
