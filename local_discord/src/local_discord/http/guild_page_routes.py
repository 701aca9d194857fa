"""What a guild shows to those who come, and what it closes to them: welcome screen, onboarding, widget, incidents."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from local_discord.errors import ApiError, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, number
from local_discord.http.group import Group
from local_discord.rules.channel_rules import STAGE, VOICE
from local_discord.rules.fields import Read, boolean, choice, each, form, optional, read_form, snowflake, text, time
from local_discord.rules.permissions import BITS
from local_discord.wire import Json

_WELCOME_CHANNEL = {
    "channel_id": snowflake,
    "description": text(50, 1),
    "emoji_id": optional(snowflake),
    "emoji_name": optional(text(100)),
}
_WELCOME: Mapping[str, Read] = {
    "enabled": optional(boolean),
    "description": optional(text(140)),
    "welcome_channels": optional(each(form(_WELCOME_CHANNEL, "channel_id", "description"), 5)),
}
_WIDGET: Mapping[str, Read] = {"enabled": boolean, "channel_id": optional(snowflake)}
_INCIDENTS: Mapping[str, Read] = {"invites_disabled_until": optional(time), "dms_disabled_until": optional(time)}
_OPTION: Mapping[str, Read] = {
    "title": text(50, 1),
    "description": optional(text(100)),
    "emoji_id": optional(snowflake),
    "emoji_name": optional(text(100)),
    "emoji_animated": optional(boolean),
    "role_ids": optional(each(snowflake, 50)),
    "channel_ids": optional(each(snowflake, 50)),
}
_PROMPT: Mapping[str, Read] = {
    "title": text(100, 1),
    "type": optional(choice(0, 1)),
    "options": each(form(_OPTION, "title"), 50, 1),
    "single_select": optional(boolean),
    "required": optional(boolean),
    "in_onboarding": optional(boolean),
}
_ONBOARDING: Mapping[str, Read] = {
    "prompts": optional(each(form(_PROMPT, "title", "options"), 15)),
    "default_channel_ids": optional(each(snowflake, 500)),
    "enabled": optional(boolean),
    "mode": optional(choice(0, 1)),
}


class GuildPageRoutes(Group):
    """They are kept and told of; nobody is led through them."""

    def table(self) -> dict[str, Handler]:
        guild = "/guilds/{guild_id}"
        return {
            f"GET {guild}/welcome-screen": self._welcome_screen,
            f"PATCH {guild}/welcome-screen": self._edit_welcome_screen,
            f"GET {guild}/onboarding": self._onboarding,
            f"PUT {guild}/onboarding": self._edit_onboarding,
            f"GET {guild}/widget": self._widget,
            f"PATCH {guild}/widget": self._edit_widget,
            f"GET {guild}/widget.json": self._public_widget,
            f"PUT {guild}/incident-actions": self._set_incidents,
        }

    async def _welcome_screen(self, request: web.Request) -> web.Response:
        guild = self._guild(request)
        manages = guild.permissions_of(self._bot) & BITS["manage_guild"]
        if guild.welcome_screen is None or not (manages or "WELCOME_SCREEN_ENABLED" in guild.details["features"]):
            raise unknown("Guild Welcome Screen")
        return answer(guild.welcome_screen)

    async def _edit_welcome_screen(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild")
        wanted = read_form((await forms.read(request)).data, _WELCOME)
        if (enabled := wanted.pop("enabled", None)) is not None:
            others = [one for one in guild.details["features"] if one != "WELCOME_SCREEN_ENABLED"]
            guild.details["features"] = [*others, *(["WELCOME_SCREEN_ENABLED"] if enabled else [])]
        shown = (guild.welcome_screen or {"description": None, "welcome_channels": []}) | wanted
        blank = {"emoji_id": None, "emoji_name": None}
        shown["welcome_channels"] = [blank | one for one in shown["welcome_channels"] or []]
        guild.welcome_screen = shown
        guild.announce_changes()
        return answer(shown)

    async def _onboarding(self, request: web.Request) -> web.Response:
        return answer(self._guild(request).onboarding)

    async def _edit_onboarding(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild", "manage_roles")
        wanted = read_form((await forms.read(request)).data, _ONBOARDING)
        found = {key: value for key, value in wanted.items() if value is not None}
        if "prompts" in found:
            found["prompts"] = [self._prompt(one) for one in found["prompts"]]
        guild.onboarding |= found
        return answer(guild.onboarding)

    def _prompt(self, wanted: Json) -> Json:
        ordinary = {"type": 0, "single_select": False, "required": False, "in_onboarding": True}
        given = {key: value for key, value in wanted.items() if value is not None}
        options = [self._option(one) for one in wanted["options"]]
        return {"id": self._new_id(), **ordinary, **given, "options": options}

    def _option(self, wanted: Json) -> Json:
        emoji = {"id": wanted.get("emoji_id"), "name": wanted.get("emoji_name"), "animated": False}
        lists = {key: wanted.get(key) or [] for key in ("role_ids", "channel_ids")}
        told = {"id": self._new_id(), "title": wanted["title"], "description": wanted.get("description"), **lists}
        return told | ({"emoji": emoji} if emoji["id"] or emoji["name"] else {})

    def _new_id(self) -> str:
        return str(self._world.core.snowflakes.next())

    async def _widget(self, request: web.Request) -> web.Response:
        return answer(self._guild(request, "manage_guild").widget)

    async def _edit_widget(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild")
        guild.widget |= read_form((await forms.read(request)).data, _WIDGET)
        guild.announce_changes()
        return answer(guild.widget)

    async def _public_widget(self, request: web.Request) -> web.Response:
        """Anybody may see it. Nobody in it is online, for nobody is here who could be."""
        guild = self._world.guilds.get(number(request, "guild_id"))
        if guild is None:
            raise unknown("Guild")
        if not guild.widget["enabled"]:
            raise ApiError(403, 50004, "Widget Disabled")
        channels = [
            {"id": str(one.id), "name": one.name, "position": one.position}
            for one in guild.channels.values()
            if one.kind in (VOICE, STAGE)
        ]
        told = {"id": str(guild.id), "name": guild.name, "instant_invite": None, "channels": channels}
        return answer(told | {"members": [], "presence_count": 0})

    async def _set_incidents(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_guild")
        wanted = read_form((await forms.read(request)).data, _INCIDENTS)
        told = (guild.details["incidents_data"] or dict.fromkeys(_INCIDENTS)) | wanted
        guild.details["incidents_data"] = told
        guild.announce_changes()
        return answer(told)
