"""Who the bot is, whom it knows, and where its gateway is."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import invalid_form
from local_discord.http import forms
from local_discord.http.frame import answer, nothing, number
from local_discord.rules import intents
from local_discord.wire import Json
from local_discord.world.application import Application
from local_discord.world.guilds import Guild
from local_discord.world.world import World


class UserRoutes:
    """Each handler is one request."""

    def __init__(self, world: World, application: Application) -> None:
        self._world = world
        self._core = world.core
        self._owners = application

    def table(self) -> list[web.RouteDef]:
        """Paths after the API's base."""
        return [
            web.get("/gateway", self._gateway),
            web.get("/gateway/bot", self._bot_gateway),
            web.get("/users/@me", self._me),
            web.get("/users/@me/guilds", self._my_guilds),
            web.delete(r"/users/@me/guilds/{guild:\d+}", self._leave_guild),
            web.post("/users/@me/channels", self._open_dm),
            web.get(r"/users/{user:\d+}", self._user),
            web.get("/oauth2/applications/@me", self._application),
            web.get("/applications/@me", self._application),
        ]

    async def _gateway(self, _: web.Request) -> web.Response:
        return answer({"url": self._core.gateway_url})

    async def _bot_gateway(self, _: web.Request) -> web.Response:
        settings = self._core.settings
        limit = settings.session_starts.payload()
        return answer({"url": self._core.gateway_url, "shards": settings.shards, "session_start_limit": limit})

    async def _me(self, _: web.Request) -> web.Response:
        return answer(self._core.bot.own_payload())

    async def _my_guilds(self, _: web.Request) -> web.Response:
        return answer([self._summary(guild) for guild in self._world.bots_guilds()])

    async def _leave_guild(self, request: web.Request) -> web.Response:
        self._world.bots_guild(number(request, "guild")).kick_bot()
        return nothing()

    async def _open_dm(self, request: web.Request) -> web.Response:
        recipient = (await forms.read(request)).object().get("recipient_id")
        if not str(recipient).isdigit():
            raise invalid_form(("recipient_id",), "This field is required")
        return answer(self._world.dm_channel(self._world.user(int(str(recipient)))).payload())

    async def _user(self, request: web.Request) -> web.Response:
        return answer(self._world.user(number(request, "user")).payload())

    async def _application(self, _: web.Request) -> web.Response:
        return answer(
            {
                "id": str(self._core.application_id),
                "name": self._core.bot.name,
                "icon": None,
                "description": "",
                "summary": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "flags": intents.application_flags(self._core.settings.approved_intents),
                "owner": self._owners.owner.payload(),
                "team": self._owners.team_payload(),
                "interactions_endpoint_url": None,
                "redirect_uris": [],
                "tags": [],
                "approximate_guild_count": len(self._world.bots_guilds()),
                "integration_types_config": {"0": {}},
            }
        )

    def _summary(self, guild: Guild) -> Json:
        return {
            "id": str(guild.id),
            "name": guild.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": str(guild.permissions_of(self._core.bot)),
            "features": [],
        }
