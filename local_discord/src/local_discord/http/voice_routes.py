"""Voice, where nobody is connected here."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing
from local_discord.http.group import Group
from local_discord.http.guild_routes import REGIONS
from local_discord.rules.channel_rules import VOICE
from local_discord.rules.fields import optional, read_form, text


class VoiceRoutes(Group):
    """Whose state is asked for has none, as somebody has none who is in no voice channel."""

    def table(self) -> dict[str, Handler]:
        states = "/guilds/{guild_id}/voice-states"
        found: dict[str, Handler] = {
            "GET /voice/regions": self._regions,
            "PUT /channels/{channel_id}/voice-status": self._set_status,
        }
        for method in ("GET", "PATCH"):
            found |= {f"{method} {states}/@me": self._state, f"{method} {states}/{{user_id}}": self._state}
        return found

    async def _regions(self, _: web.Request) -> web.Response:
        return answer(REGIONS)

    async def _state(self, request: web.Request) -> web.Response:
        self._guild(request)
        raise unknown("Voice State")

    async def _set_status(self, request: web.Request) -> web.Response:
        """Whoever is not connected needs “Manage Channels” too, and so does the bot."""
        guild, channel = self._guild_channel(request, "set_voice_channel_status", "manage_channels")
        if channel.kind != VOICE:
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        form = read_form((await forms.read(request)).data, {"status": optional(text(500))}, "status")
        told = {"id": str(channel.id), "guild_id": str(guild.id), "status": form["status"] or None}
        guild.emit("VOICE_CHANNEL_STATUS_UPDATE", told)
        return nothing()
