"""Messages in channels, written and read by the bot."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError, invalid_form, missing_access, missing_permissions, unknown
from local_discord.http import forms
from local_discord.http.frame import answer, nothing, number, query_number
from local_discord.rules import permissions
from local_discord.world.channels import Channel, Message
from local_discord.world.drafts import Draft
from local_discord.world.world import World

_DEFAULT, _REPLY = 0, 19
_ABOVE_ALL_IDS = 1 << 64


class MessageRoutes:
    """Each handler is one request; the bot acts as itself, with the permissions that it has in the channel."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bot = world.core.bot
        self._posts = world.posts

    def table(self) -> list[web.RouteDef]:
        """Paths after the API's base."""
        messages = r"/channels/{channel:\d+}/messages"
        message = messages + r"/{message:\d+}"
        reaction = message + "/reactions/{emoji}/@me"
        return [
            web.post(r"/channels/{channel:\d+}/typing", self._type),
            web.post(messages, self._create),
            web.get(messages, self._history),
            web.get(message, self._show),
            web.patch(message, self._edit),
            web.delete(message, self._delete),
            web.put(reaction, self._react),
            web.delete(reaction, self._unreact),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        form = await forms.read(request)
        draft = forms.draft(form.object(), form.files, self._world.core.snowflakes)
        self._require_open(channel, draft)
        kind = _REPLY if draft.reference else _DEFAULT
        message = self._posts.create(self._bot, channel, draft, kind=kind)
        if channel.recipient is not None:
            self._world.inboxes[channel.recipient.id].receive(message)
        return answer(message.payload())

    async def _history(self, request: web.Request) -> web.Response:
        limit = query_number(request, "limit", 50)
        if not 1 <= limit <= 100:
            raise invalid_form(("limit",), "int value should be between 1 and 100.")
        before, after = query_number(request, "before", _ABOVE_ALL_IDS), query_number(request, "after", 0)
        channel = self._channel(request)
        found = [message for message in channel.messages.values() if after < message.id < before]
        chosen = found[:limit] if "after" in request.query else found[-limit:]
        return answer([message.payload() for message in reversed(chosen)])

    async def _show(self, request: web.Request) -> web.Response:
        return answer(self._message(request).payload())

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.author is not self._bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        form = await forms.read(request)
        draft = forms.draft(form.object(), form.files, self._world.core.snowflakes, message.attachments)
        self._posts.edit(message, draft)
        return answer(message.payload())

    async def _delete(self, request: web.Request) -> web.Response:
        message = self._message(request)
        if message.author is not self._bot:
            if message.channel.guild is None:
                raise ApiError(403, 50003, "Cannot execute action on a DM channel")
            self._require(message.channel, "manage_messages")
        self._posts.delete(message)
        return nothing()

    async def _react(self, request: web.Request) -> web.Response:
        self._posts.react(self._bot, self._message(request), request.match_info["emoji"])
        return nothing()

    async def _unreact(self, request: web.Request) -> web.Response:
        self._posts.unreact(self._bot, self._message(request), request.match_info["emoji"])
        return nothing()

    async def _type(self, request: web.Request) -> web.Response:
        self._posts.typing(self._bot, self._channel(request))
        return nothing()

    def _channel(self, request: web.Request) -> Channel:
        return self._world.bots_channel(number(request, "channel"))

    def _message(self, request: web.Request) -> Message:
        message = self._channel(request).messages.get(number(request, "message"))
        if message is None:
            raise unknown("Message")
        return message

    def _require_open(self, channel: Channel, draft: Draft) -> None:
        recipient = channel.recipient
        if recipient is not None and (recipient.dms_closed or recipient.bot):
            raise ApiError(403, 50007, "Cannot send messages to this user")
        self._require(channel, "send_messages")
        if draft.reference is not None and int(draft.reference.get("message_id", 0)) not in channel.messages:
            raise invalid_form(("message_reference",), "Unknown message")

    def _require(self, channel: Channel, permission: str) -> None:
        granted = channel.permissions_of(self._bot)
        if not granted & permissions.BITS["view_channel"]:
            raise missing_access()
        if not granted & permissions.BITS[permission]:
            raise missing_permissions()
