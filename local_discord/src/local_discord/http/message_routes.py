"""Messages in channels, written and read by the bot."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from local_discord.errors import ApiError, invalid_form, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, query_number
from local_discord.http.group import Group
from local_discord.rules.channel_rules import ANNOUNCEMENT, WITH_MESSAGES
from local_discord.rules.fields import each, integer, optional, read_form, snowflake
from local_discord.rules.permissions import BITS
from local_discord.wire import Json
from local_discord.world.audit_log import MESSAGE_DELETED, MESSAGES_DELETED
from local_discord.world.channels import CROSSPOSTED, IS_CROSSPOST, Channel, Message
from local_discord.world.drafts import Draft
from local_discord.world.posts import reference_to
from local_discord.world.threads import Thread

_DEFAULT, _REPLY = 0, 19
_FORWARD = 1
_SUPPRESSES_EMBEDS, _VOICE_MESSAGE = 1 << 2, 1 << 13
_ABOVE_ALL_IDS = 1 << 64
_STICKERS = {"sticker_ids": optional(each(snowflake, 3))}
_BULK_DELETE_S = 14 * 86_400
_REFERENCE = {
    "type": optional(integer(0, 1)),
    "message_id": snowflake,
    "channel_id": optional(snowflake),
    "guild_id": optional(snowflake),
}


@dataclass(slots=True)
class _Reference:
    """What a new message refers to; an answer to nothing is none."""

    told: Json | None = None
    replied_to: Message | None = None
    forwarded: Message | None = None


class MessageRoutes(Group):
    """With the permissions that the bot has in the channel."""

    def table(self) -> dict[str, Handler]:
        messages = "/channels/{channel_id}/messages"
        message = messages + "/{message_id}"
        return {
            "POST /channels/{channel_id}/typing": self._type,
            f"POST {messages}": self._create,
            f"GET {messages}": self._list,
            f"POST {messages}/bulk-delete": self._bulk_delete,
            f"GET {message}": self._show,
            f"PATCH {message}": self._edit,
            f"DELETE {message}": self._delete,
            f"POST {message}/crosspost": self._crosspost,
        }

    async def _create(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        form = await forms.read(request)
        draft = forms.draft(form.object(), form.files, self._world.core.snowflakes)
        self._require_open(channel, draft)
        draft.sticker_items = self._stickers(channel, form.object())
        refers = self._reference(channel, form.object())
        draft.reference = refers.told
        draft.snapshots = [refers.forwarded.snapshot()] if refers.forwarded else []
        kind = _REPLY if refers.replied_to else _DEFAULT
        message = self._world.posts.create(self._bot, channel, draft, kind=kind, replied_to=refers.replied_to)
        if channel.recipient is not None:
            self._world.inboxes[channel.recipient.id].receive(message)
        return answer(message.payload())

    async def _list(self, request: web.Request) -> web.Response:
        limit = query_number(request, "limit", 50)
        if not 1 <= limit <= 100:
            raise invalid_form(("limit",), "int value should be between 1 and 100.")
        messages = self._history(self._channel(request))
        if "around" in request.query:
            chosen = _around(messages, query_number(request, "around", 0), limit)
        else:
            before, after = query_number(request, "before", _ABOVE_ALL_IDS), query_number(request, "after", 0)
            found = [message for message in messages if after < message.id < before]
            chosen = found[:limit] if "after" in request.query else found[-limit:]
        return answer([message.payload() for message in reversed(chosen)])

    async def _show(self, request: web.Request) -> web.Response:
        return answer(self._message(request, "read_message_history").payload())

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._message(request)
        form = await forms.read(request)
        if message.author is not self._bot:
            return self._suppress_embeds(message, form.object())
        draft = forms.draft(form.object(), form.files, self._world.core.snowflakes, message)
        self._world.posts.edit(message, draft)
        return answer(message.payload())

    def _suppress_embeds(self, message: Message, form: Json) -> web.Response:
        """All that can be changed of somebody else's message."""
        if message.channel.guild is None or form.keys() != {"flags"}:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        self._require(message.channel, "manage_messages")
        wanted = read_form(form, {"flags": integer(0, 1 << 31)})["flags"]
        self._world.posts.mark(message, _SUPPRESSES_EMBEDS, on=bool(wanted & _SUPPRESSES_EMBEDS))
        return answer(message.payload())

    async def _delete(self, request: web.Request) -> web.Response:
        message = self._message(request)
        guild = message.channel.guild
        if message.author is not self._bot:
            if guild is None:
                raise ApiError(403, 50003, "Cannot execute action on a DM channel")
            self._require(message.channel, "manage_messages")
        self._world.posts.delete(message)
        if guild is not None and message.author is not self._bot:
            told = {"channel_id": str(message.channel.id), "count": "1"}
            self._note(request, guild, MESSAGE_DELETED, message.author.id, options=told)
        return nothing()

    async def _bulk_delete(self, request: web.Request) -> web.Response:
        guild, channel = self._guild_channel(request, "manage_messages")
        form = await forms.read(request)
        ids = {int(one) for one in read_form(form.data, {"messages": each(snowflake, 100)}, "messages")["messages"]}
        if len(ids) < 2:
            raise ApiError(400, 50016, "Provided too few or too many messages to delete.")
        if any(self._world.core.snowflakes.age_s(one) > _BULK_DELETE_S for one in ids):
            raise ApiError(400, 50034, "You can only bulk delete messages that are under 14 days old.")
        found = [channel.messages[one] for one in sorted(ids) if one in channel.messages]
        self._world.posts.delete_all(channel, found)
        self._note(request, guild, MESSAGES_DELETED, channel.id, options={"count": str(len(found))})
        return nothing()

    async def _crosspost(self, request: web.Request) -> web.Response:
        message = self._message(request, "send_messages")
        if message.channel.kind != ANNOUNCEMENT:
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        if message.author is not self._bot:
            self._require(message.channel, "manage_messages")
        if message.flags & CROSSPOSTED:
            raise ApiError(400, 40033, "This message has already been crossposted.")
        self._world.posts.mark(message, CROSSPOSTED)
        for webhook in self._world.webhooks.followers(message.channel):
            copy = Draft(message.content, message.embeds, message.components, message.attachments, IS_CROSSPOST)
            copy.reference = reference_to(message)
            self._world.posts.create(webhook.author(), webhook.channel, copy, origin={"webhook_id": str(webhook.id)})
        return answer(message.payload())

    async def _type(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        self._require(channel, channel.send_permission)
        self._world.posts.typing(self._bot, channel)
        return nothing()

    def _require_open(self, channel: Channel, draft: Draft) -> None:
        recipient = channel.recipient
        if recipient is not None and (recipient.dms_closed or recipient.bot):
            raise ApiError(403, 50007, "Cannot send messages to this user")
        if channel.kind not in WITH_MESSAGES:
            raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
        self._require(channel, channel.send_permission, *_needed(draft))
        locked = isinstance(channel, Thread) and channel.locked
        if locked and not channel.permissions_of(self._bot) & BITS["manage_threads"]:
            raise ApiError(403, 160005, "Thread is locked")

    def _reference(self, channel: Channel, form: Json) -> _Reference:
        """An answer is to a message of the same channel; a forward may be of any that the bot can read."""
        if not form.get("message_reference"):
            return _Reference()
        forwards = form["message_reference"].get("type") == _FORWARD
        required = ("message_id", "channel_id") if forwards else ("message_id",)
        reference = read_form(form["message_reference"], _REFERENCE, *required)
        source = self._world.bots_channel(int(reference["channel_id"] or 0)) if forwards else channel
        self._require(source, "read_message_history")
        message = source.messages.get(int(reference["message_id"]))
        if message is None and form["message_reference"].get("fail_if_not_exists") is False and not forwards:
            return _Reference()
        if message is None:
            raise invalid_form(("message_reference",), "Unknown message")
        if forwards:
            return _Reference(reference_to(message) | {"type": _FORWARD}, forwarded=message)
        return _Reference(reference_to(message), replied_to=message)

    def _stickers(self, channel: Channel, form: Json) -> list[Json]:
        """The guild's own; `ApiError` for any other."""
        found = []
        for sticker_id in read_form(form, _STICKERS).get("sticker_ids") or []:
            guild = self._world.guilds.get(channel.guild_id or 0)
            if guild is None:
                raise unknown("Sticker")
            sticker = guild.stickers.get(int(sticker_id))
            found.append({key: sticker[key] for key in ("id", "name", "format_type")})
        return found


def _needed(draft: Draft) -> list[str]:
    """The permissions that it takes to send what is in it."""
    parts = {
        "attach_files": draft.attachments,
        "embed_links": draft.embeds,
        "send_tts_messages": draft.tts,
        "send_polls": draft.poll,
        "send_voice_messages": draft.flags & _VOICE_MESSAGE,
    }
    return [permission for permission, part in parts.items() if part]


def _around(messages: list[Message], middle: int, limit: int) -> list[Message]:
    """The nearest ones, the message itself among them, oldest first."""
    older = [message for message in messages if message.id < middle]
    newer = [message for message in messages if message.id >= middle]
    half = limit // 2
    return older[-half:] * bool(half) + newer[: limit - min(half, len(older))]
