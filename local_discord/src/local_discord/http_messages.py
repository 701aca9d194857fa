"""Messages in channels, written and read by the bot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from local_discord import forms, permissions
from local_discord.channels import Channel
from local_discord.errors import ApiError, invalid_form, missing_access, missing_permissions, unknown
from local_discord.http_api import answer, nothing, number, query_number
from local_discord.messages import Message

if TYPE_CHECKING:
    from local_discord.world import World

_DEFAULT, _REPLY = 0, 19


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
        if draft.reference is not None and int(draft.reference.get("message_id", 0)) not in channel.messages:
            raise invalid_form(("message_reference",), "Unknown message")
        before = set(channel.messages)
        kind = _REPLY if draft.reference else _DEFAULT
        message = self._world.posts.create(self._world.bot_user, channel, draft, kind=kind)
        if recipient is not None and message.id not in before:
            recipient.receive(message)
        return answer(message.payload())

    async def history(self, request: web.Request) -> web.Response:
        limit = query_number(request, "limit", 50)
        if not 1 <= limit <= 100:
            raise invalid_form(("limit",), "int value should be between 1 and 100.")
        before, after = query_number(request, "before", 1 << 64), query_number(request, "after", 0)
        channel = self._channel(request)
        found = [message for message in channel.messages.values() if after < message.id < before]
        chosen = found[:limit] if "after" in request.query else found[-limit:]
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
