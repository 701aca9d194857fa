"""Who the bot is, whom it knows, and where its gateway is."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import invalid_form, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number, query_flag, query_number
from local_discord.http.group import Group
from local_discord.rules.fields import image, optional, read_form, text
from local_discord.snowflakes import is_snowflake
from local_discord.wire import Json
from local_discord.world.guilds import Guild
from local_discord.world.world import World

_PROFILE = {"username": text(32, 2), "avatar": optional(image), "banner": optional(image)}
_SOUNDS = [
    {"sound_id": str(number), "name": name, "volume": 1.0, "emoji_id": None, "emoji_name": emoji, "available": True}
    for number, (name, emoji) in enumerate([("quack", "🦆"), ("airhorn", "🔊"), ("cricket", "🦗")], start=1)
]


class UserRoutes(Group):
    """And what is of nobody in particular."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._core = world.core

    def table(self) -> dict[str, Handler]:
        return {
            "GET /gateway": self._gateway,
            "GET /gateway/bot": self._bot_gateway,
            "GET /users/@me": self._me,
            "PATCH /users/@me": self._edit_me,
            "GET /users/@me/guilds": self._my_guilds,
            "DELETE /users/@me/guilds/{guild_id}": self._leave_guild,
            "POST /users/@me/channels": self._open_dm,
            "GET /users/{user_id}": self._show_user,
            "GET /soundboard-default-sounds": self._sounds,
            "GET /sticker-packs": self._sticker_packs,
            "GET /sticker-packs/{pack_id}": self._sticker_pack,
        }

    async def _gateway(self, _: web.Request) -> web.Response:
        return answer({"url": self._core.gateway_url})

    async def _bot_gateway(self, _: web.Request) -> web.Response:
        settings = self._core.settings
        limit = settings.session_starts.payload()
        return answer({"url": self._core.gateway_url, "shards": settings.shards, "session_start_limit": limit})

    async def _me(self, _: web.Request) -> web.Response:
        return answer(self._core.bot.own_payload())

    async def _edit_me(self, request: web.Request) -> web.Response:
        form = read_form((await forms.read(request)).data, _PROFILE)
        self._bot.name = form.get("username", self._bot.name)
        self._core.events.emit("USER_UPDATE", self._bot.own_payload())
        return answer(self._bot.own_payload())

    async def _my_guilds(self, request: web.Request) -> web.Response:
        limit, after = query_number(request, "limit", 200), query_number(request, "after", 0)
        before = query_number(request, "before", 1 << 64)
        found = [guild for guild in self._world.bots_guilds() if after < guild.id < before]
        found.sort(key=lambda guild: guild.id)
        chosen = found[-limit:] if "before" in request.query else found[:limit]
        return answer([self._summary(guild, counts=query_flag(request, "with_counts")) for guild in chosen])

    async def _leave_guild(self, request: web.Request) -> web.Response:
        self._world.bots_guild(number(request, "guild_id")).kick_bot()
        return nothing()

    async def _open_dm(self, request: web.Request) -> web.Response:
        recipient = (await forms.read(request)).object().get("recipient_id")
        if not is_snowflake(recipient):
            raise invalid_form(("recipient_id",), "This field is required")
        return answer(self._world.dm_channel(self._world.user(int(str(recipient)))).payload())

    async def _show_user(self, request: web.Request) -> web.Response:
        return answer(self._user(request).payload())

    async def _sounds(self, _: web.Request) -> web.Response:
        return answer(_SOUNDS)

    async def _sticker_packs(self, _: web.Request) -> web.Response:
        return answer({"sticker_packs": []})

    async def _sticker_pack(self, _: web.Request) -> web.Response:
        raise unknown("sticker pack")

    def _summary(self, guild: Guild, *, counts: bool) -> Json:
        data: Json = {
            "id": str(guild.id),
            "name": guild.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": str(guild.permissions_of(self._core.bot)),
            "features": [],
        }
        members = {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
        return data | (members if counts else {})
