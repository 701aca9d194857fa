"""Messages in channels, written and read by the bot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.demo.local_discord import forms, permissions
from bot.demo.local_discord.channels import Channel
from bot.demo.local_discord.errors import ApiError, invalid_form, missing_access, missing_permissions, unknown
from bot.demo.local_discord.http_api import answer, nothing, number
from bot.demo.local_discord.messages import Message

if TYPE_CHECKING:
    from bot.demo.local_discord.world import World


class MessageRoutes:
    def __init__(self, world: World) -> None:
        self._world = world

    def table(self) -> list[web.RouteDef]:
        messages = r"/channels/{channel:\d+}/messages"
        message = messages + r"/{message:\d+}"
        reaction = message + "/reactions/{emoji}/@me"
        return [
            web.post(r"/channels/{channel:\d+}/typing", self.type),
            web.post(messages, self.create),
            web.get(messages, self.history),
            web.get(message, self.show),
            web.patch(message, self.edit),
            web.delete(message, self.delete),
            web.put(reaction, self.react),
            web.delete(reaction, self.unreact),
        ]

    async def create(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        recipient = channel.recipient
        form = await forms.read(request)
        draft = forms.draft(form.object(), form.files, self._world.snowflakes)
        if recipient is not None and (recipient.dms_closed or recipient.bot):
            raise ApiError(403, 50007, "Cannot send messages to this user")
        self._require(channel, "send_messages")
        before = set(channel.messages)
        message = self._world.posts.create(self._world.bot_user, channel, draft)
        if recipient is not None and message.id not in before:
            recipient.receive(message)
        return answer(message.payload())

    async def history(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "50")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise invalid_form(("limit",), "int value should be between 1 and 100.")
        before, after = int(request.query.get("before", 1 << 64)), int(request.query.get("after", 0))
        channel = self._channel(request)
        found = [message for message in channel.messages.values() if after < message.id < before]
        chosen = found[: int(limit)] if "after" in request.query else found[-int(limit) :]
        return answer([message.payload() for message in reversed(chosen)])

    async def show(self, request: web.Request) -> web.Response:
        return answer(self._message(request).payload())

    async def edit(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.author is not self._world.bot_user:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        form = await forms.read(request)
        draft = forms.draft(form.object(), form.files, self._world.snowflakes, message.attachments)
        self._world.posts.edit(message, draft)
        return answer(message.payload())

    async def delete(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.author is not self._world.bot_user:
            if message.channel.guild is None:
                raise ApiError(403, 50003, "Cannot execute action on a DM channel")
            self._require(message.channel, "manage_messages")
        self._world.posts.delete(message)
        return nothing()

    async def react(self, request: web.Request) -> web.Response:
        self._world.posts.react(self._world.bot_user, self._message(request), request.match_info["emoji"])
        return nothing()

    async def unreact(self, request: web.Request) -> web.Response:
        self._world.posts.unreact(self._world.bot_user, self._message(request), request.match_info["emoji"])
        return nothing()

    async def type(self, request: web.Request) -> web.Response:
        self._world.posts.typing(self._world.bot_user, self._channel(request))
        return nothing()

    def _channel(self, request: web.Request) -> Channel:
        return self._world.bots_channel(number(request, "channel"))

    def _message(self, request: web.Request) -> Message:
        message = self._channel(request).messages.get(number(request, "message"))
        if message is None:
            raise unknown("Message")
        return message

    def _require(self, channel: Channel, permission: str) -> None:
        granted = channel.permissions_of(self._world.bot_user)
        if not granted & permissions.BITS["view_channel"]:
            raise missing_access()
        if not granted & permissions.BITS[permission]:
            raise missing_permissions()
