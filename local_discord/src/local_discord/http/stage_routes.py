"""Stage instances: the talks that are on in stage channels."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError, invalid_form, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing
from local_discord.http.group import Group
from local_discord.rules.channel_rules import STAGE
from local_discord.rules.fields import choice, read_form, snowflake, text
from local_discord.world.channels import Channel
from local_discord.world.guilds import Guild

_FIELDS = {"channel_id": snowflake, "topic": text(120, 1), "privacy_level": choice(1, 2)}


class StageRoutes(Group):
    """Nobody is there to listen. At most one in a channel."""

    def table(self) -> dict[str, Handler]:
        stage = "/stage-instances/{channel_id}"
        return {
            "POST /stage-instances": self._begin,
            f"GET {stage}": self._show,
            f"PATCH {stage}": self._edit,
            f"DELETE {stage}": self._end,
        }

    async def _begin(self, request: web.Request) -> web.Response:
        form = read_form((await forms.read(request)).data, _FIELDS, "channel_id", "topic")
        channel = self._world.bots_channel(int(form["channel_id"]))
        if channel.kind != STAGE:
            raise invalid_form(("channel_id",), "The channel is no stage channel.")
        guild = self._led(channel)
        if self._instance(guild, channel) is not None:
            raise ApiError(400, 150006, "The Stage is already open")
        ordinary = {"guild_id": str(guild.id), "privacy_level": 2, "discoverable_disabled": True}
        return answer(guild.stages.add(ordinary | {"guild_scheduled_event_id": None} | form))

    async def _show(self, request: web.Request) -> web.Response:
        guild, instance_id = self._found(self._channel(request, "view_channel"))
        return answer(guild.stages.get(instance_id))

    async def _edit(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        self._led(channel)
        guild, instance_id = self._found(channel)
        fields = {key: _FIELDS[key] for key in ("topic", "privacy_level")}
        return answer(guild.stages.edit(instance_id, read_form((await forms.read(request)).data, fields)))

    async def _end(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        self._led(channel)
        guild, instance_id = self._found(channel)
        guild.stages.remove(instance_id)
        return nothing()

    def _led(self, channel: Channel) -> Guild:
        """The channel's guild, if the bot is a moderator of stages there."""
        self._require(channel, "manage_channels", "mute_members", "move_members")
        return self._world.guilds[channel.guild_id or 0]

    def _found(self, channel: Channel) -> tuple[Guild, int]:
        guild = self._world.guilds.get(channel.guild_id or 0)
        if guild is None or (instance_id := self._instance(guild, channel)) is None:
            raise unknown("Stage Instance")
        return guild, instance_id

    def _instance(self, guild: Guild, channel: Channel) -> int | None:
        found = (one for one in guild.stages.items() if one["channel_id"] == str(channel.id))
        return next((int(one["id"]) for one in found), None)
