"""Guilds themselves."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_discord.http import forms
from local_discord.http.frame import Handler, answer, query_flag
from local_discord.http.group import Group
from local_discord.rules.fields import Read, boolean, each, image, integer, optional, read_form, snowflake, text
from local_discord.world.audit_log import GUILD

REGIONS = [
    {"id": name.lower(), "name": name, "optimal": name == "Local", "deprecated": False, "custom": False}
    for name in ("Local", "Rotterdam", "Brazil")
]
_FIELDS: Mapping[str, Read] = {
    "name": text(100, 2),
    "description": optional(text(300)),
    "verification_level": optional(integer(0, 4)),
    "default_message_notifications": optional(integer(0, 1)),
    "explicit_content_filter": optional(integer(0, 2)),
    "afk_channel_id": optional(snowflake),
    "afk_timeout": optional(integer(60, 3600)),
    "system_channel_id": optional(snowflake),
    "system_channel_flags": optional(integer(0, 1 << 31)),
    "rules_channel_id": optional(snowflake),
    "public_updates_channel_id": optional(snowflake),
    "safety_alerts_channel_id": optional(snowflake),
    "preferred_locale": optional(text(10)),
    "premium_progress_bar_enabled": optional(boolean),
    "features": optional(each(text(100), 100)),
    "icon": optional(image),
}
_NOT_KEPT = ("icon",)
"""Nothing here serves pictures."""


class GuildRoutes(Group):
    """Of those that the bot is in."""

    def table(self) -> dict[str, Handler]:
        guild = "/guilds/{guild_id}"
        return {
            f"GET {guild}": self._show,
            f"PATCH {guild}": self._edit,
            f"GET {guild}/preview": self._preview,
            f"GET {guild}/regions": self._regions,
            f"GET {guild}/integrations": self._integrations,
            f"GET {guild}/vanity-url": self._vanity_url,
        }

    async def _show(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        data = guild.payload()
        if query_flag(request, "with_counts"):
            data |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
        return answer(data)

    async def _edit(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild")
        form, before = read_form((await forms.read(request)).data, _FIELDS), guild.payload()
        guild.set_details({key: value for key, value in form.items() if key not in (*_NOT_KEPT, "name")})
        guild.rename(form.get("name", guild.name))
        self._note(request, guild, GUILD, guild.id, before=before, after=guild.payload())
        return answer(guild.payload())

    async def _preview(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        keys = "id name icon splash discovery_splash home_header emojis features description stickers".split()
        counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
        shown = guild.payload()
        return answer({key: shown[key] for key in keys} | counts)

    async def _regions(self, request: web.Request) -> web.Response:
        self._guild(request)
        return answer(REGIONS)

    async def _integrations(self, request: web.Request) -> web.Response:
        self._guild(request, "manage_guild")
        return answer([])

    async def _vanity_url(self, request: web.Request) -> web.Response:
        self._guild(request, "manage_guild")
        return answer({"code": None, "uses": 0})
