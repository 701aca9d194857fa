"""Guilds, their members and their channels, as far as the bot asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_discord.errors import unknown
from local_discord.guilds import Guild
from local_discord.http_api import answer, number, query_number

if TYPE_CHECKING:
    from local_discord.world import World


class GuildRoutes:
    def __init__(self, world: World) -> None:
        self._world = world

    def table(self) -> list[web.RouteDef]:
        guild = r"/guilds/{guild:\d+}"
        return [
            web.get(guild, self.show),
            web.get(guild + "/channels", self.channels),
            web.get(guild + "/roles", self.roles),
            web.get(guild + "/members", self.members),
            web.get(guild + r"/members/{user:\d+}", self.member),
            web.get(r"/channels/{channel:\d+}", self.channel),
        ]

    async def show(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        data = guild.payload()
        if request.query.get("with_counts", "").lower() in ("1", "true"):
            data |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
        return answer(data)

    async def channels(self, request: web.Request) -> web.Response:
        return answer([channel.payload() for channel in self._guild(request).channels.values()])

    async def roles(self, request: web.Request) -> web.Response:
        return answer([role.payload() for role in self._guild(request).roles.values()])

    async def members(self, request: web.Request) -> web.Response:
        limit, after = query_number(request, "limit", 1), query_number(request, "after", 0)
        members = sorted(self._guild(request).members.items())
        return answer([member.payload() for user_id, member in members if user_id > after][:limit])

    async def member(self, request: web.Request) -> web.Response:
        guild, person = self._guild(request), self._world.person(number(request, "user"))
        if person.id not in guild.members:
            raise unknown("Member")
        return answer(guild.members[person.id].payload())

    async def channel(self, request: web.Request) -> web.Response:
        return answer(self._world.bots_channel(number(request, "channel")).payload())

    def _guild(self, request: web.Request) -> Guild:
        return self._world.bots_guild(number(request, "guild"))
