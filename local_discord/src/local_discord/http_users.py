"""Who the bot is, whom it knows, and where its gateway is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_discord import forms
from local_discord.errors import invalid_form
from local_discord.http_api import answer, nothing, number
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.world import World


class UserRoutes:
    def __init__(self, world: World) -> None:
        self._world = world

    def table(self) -> list[web.RouteDef]:
        return [
            web.get("/gateway", self.gateway),
            web.get("/gateway/bot", self.bot_gateway),
            web.get("/users/@me", self.me),
            web.get("/users/@me/guilds", self.my_guilds),
            web.delete(r"/users/@me/guilds/{guild:\d+}", self.leave_guild),
            web.post("/users/@me/channels", self.open_dm),
            web.get(r"/users/{user:\d+}", self.user),
            web.get("/oauth2/applications/@me", self.application),
            web.get("/applications/@me", self.application),
        ]

    async def gateway(self, _: web.Request) -> web.Response:
        return answer({"url": self._world.gateway_url})

    async def bot_gateway(self, _: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 1000, "reset_after": 86_400_000, "max_concurrency": 16}
        return answer({"url": self._world.gateway_url, "shards": self._world.shards, "session_start_limit": limit})

    async def me(self, _: web.Request) -> web.Response:
        return answer(self._world.bot_user.own_payload())

    async def my_guilds(self, _: web.Request) -> web.Response:
        bot = self._world.bot_user
        guilds = [guild for guild in self._world.guilds.values() if guild.has_bot]
        return answer(
            [
                {
                    "id": str(guild.id),
                    "name": guild.name,
                    "icon": None,
                    "banner": None,
                    "owner": False,
                    "permissions": str(guild.permissions_of(bot)),
                    "features": [],
                }
                for guild in guilds
            ]
        )

    async def leave_guild(self, request: web.Request) -> web.Response:
        self._world.bots_guild(number(request, "guild")).kick_bot()
        return nothing()

    async def open_dm(self, request: web.Request) -> web.Response:
        recipient = (await forms.read(request)).object().get("recipient_id")
        if not str(recipient).isdigit():
            raise invalid_form(("recipient_id",), "This field is required")
        return answer(self._world.dm_channel(self._world.person(int(str(recipient)))).payload())

    async def user(self, request: web.Request) -> web.Response:
        return answer(self._world.person(number(request, "user")).payload())

    def _team(self) -> Json | None:
        """Whoever owns the application if it is not one person alone."""
        world = self._world
        if not world.team:
            return None
        members = [
            {
                "user": person.payload(),
                "team_id": str(world.application_id),
                "membership_state": 2 if accepted else 1,
                "role": "developer",
                "permissions": ["*"],
            }
            for person, accepted in world.team.items()
        ]
        owner_id = str(world.owner.id)
        return {
            "id": str(world.application_id),
            "icon": None,
            "name": "team",
            "owner_user_id": owner_id,
            "members": members,
        }

    async def application(self, _: web.Request) -> web.Response:
        world = self._world
        return answer(
            {
                "id": str(world.application_id),
                "name": world.bot_user.name,
                "icon": None,
                "description": "",
                "summary": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "flags": world.application_flags,
                "owner": world.owner.payload(),
                "team": self._team(),
                "interactions_endpoint_url": None,
                "redirect_uris": [],
                "tags": [],
                "approximate_guild_count": sum(guild.has_bot for guild in world.guilds.values()),
                "integration_types_config": {"0": {}},
            }
        )
