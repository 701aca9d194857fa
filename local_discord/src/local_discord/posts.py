"""Writing, changing and deleting messages, and telling the gateway."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from local_discord.channels import Channel
from local_discord.errors import empty_message
from local_discord.messages import EPHEMERAL, LOADING, Draft, Message
from local_discord.snowflakes import iso_now
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.people import Person
    from local_discord.world import World

_NONCES_KEPT_S = 300.0


class Posts:
    """The one place where messages change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._nonces: dict[tuple[int, str], tuple[float, Message]] = {}

    def create(
        self,
        author: Person,
        channel: Channel,
        draft: Draft,
        *,
        kind: int = 0,
        origin: Json | None = None,
        seen_by: Person | None = None,
    ) -> Message:
        """The first message of the same author with the same nonce, if the draft insists on that."""
        earlier = self._earlier(author, draft)
        if earlier is not None:
            return earlier
        message = Message(self._world.snowflakes.next(), channel, author, flags=draft.flags, kind=kind, tts=draft.tts)
        message.origin, message.nonce, message.reference = origin or {}, draft.nonce, draft.reference
        message.write(draft, self._world)
        if message.is_empty and not message.loading:
            raise empty_message()
        if message.ephemeral:
            message.seen_by = seen_by
        else:
            channel.keep(message)
        self._remember(author, draft, message)
        self._emit("MESSAGE_CREATE", message, message.event_payload())
        return message

    def edit(self, message: Message, draft: Draft) -> None:
        """An edit of a “thinking” message is its answer."""
        after = Message(message.id, message.channel, message.author, flags=message.flags)
        after.content, after.embeds = message.content, message.embeds
        after.components, after.attachments = message.components, message.attachments
        after.write(draft, self._world)
        if after.is_empty:
            raise empty_message()
        message.write(draft, self._world)
        message.edited_at = message.edited_at if message.loading else iso_now()
        message.flags = message.flags & ~LOADING | draft.flags & ~EPHEMERAL
        self._emit("MESSAGE_UPDATE", message, message.event_payload())

    def delete(self, message: Message) -> None:
        message.deleted = True
        message.channel.messages.pop(message.id, None)
        self._emit("MESSAGE_DELETE", message, {"id": str(message.id), "channel_id": str(message.channel.id)})

    def react(self, person: Person, message: Message, emoji: str) -> None:
        users = message.reactions.setdefault(emoji, set())
        if person.id not in users:
            users.add(person.id)
            self._emit("MESSAGE_REACTION_ADD", message, self._reaction(person, message, emoji))

    def unreact(self, person: Person, message: Message, emoji: str) -> None:
        users = message.reactions.get(emoji, set())
        if person.id in users:
            users.remove(person.id)
            if not users:
                del message.reactions[emoji]
            self._emit("MESSAGE_REACTION_REMOVE", message, self._reaction(person, message, emoji))

    def typing(self, person: Person, channel: Channel) -> None:
        data: Json = {"channel_id": str(channel.id), "user_id": str(person.id), "timestamp": int(time.time())}
        if channel.guild is not None:
            data |= {"guild_id": str(channel.guild.id), "member": channel.guild.require_member(person).payload()}
        self._emit_in(channel, "TYPING_START", data)

    def _reaction(self, person: Person, message: Message, emoji: str) -> Json:
        data: Json = {
            "user_id": str(person.id),
            "channel_id": str(message.channel.id),
            "message_id": str(message.id),
            "message_author_id": str(message.author.id),
            "emoji": {"id": None, "name": emoji},
            "burst": False,
            "type": 0,
        }
        guild = message.channel.guild
        if guild is not None and person.id in guild.members:
            data["member"] = guild.members[person.id].payload()
        return data

    def _emit(self, event: str, message: Message, data: Json) -> None:
        if message.channel.guild is not None and not message.ephemeral:
            data = data | {"guild_id": str(message.channel.guild.id)}
        self._emit_in(message.channel, event, data)

    def _emit_in(self, channel: Channel, event: str, data: Json) -> None:
        if channel.guild is not None:
            channel.guild.emit(event, data)
        else:
            self._world.gateway.emit(event, data)

    def _earlier(self, author: Person, draft: Draft) -> Message | None:
        now = time.monotonic()
        self._nonces = {key: kept for key, kept in self._nonces.items() if kept[0] > now - _NONCES_KEPT_S}
        if draft.nonce is None or not draft.enforce_nonce:
            return None
        found = self._nonces.get((author.id, str(draft.nonce)))
        return found[1] if found else None

    def _remember(self, author: Person, draft: Draft, message: Message) -> None:
        if draft.nonce is not None:
            self._nonces[author.id, str(draft.nonce)] = (time.monotonic(), message)
