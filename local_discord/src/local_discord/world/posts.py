"""Writing, changing and deleting messages, and telling the bot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from local_discord.errors import empty_message
from local_discord.rules.message_rules import EPHEMERAL, LOADING
from local_discord.rules.permissions import ALL, BITS
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message, emoji_payload
from local_discord.world.core import Core
from local_discord.world.drafts import Draft
from local_discord.world.files import Files, with_urls
from local_discord.world.users import User

_NONCES_KEPT_S = 300.0
PINNED, THREAD_CREATED, THREAD_STARTER, POLL_RESULT = 6, 18, 21, 46
_SYSTEM = (PINNED, THREAD_CREATED, THREAD_STARTER)
"""Kinds of messages whose text is made by whoever shows them."""


class Posts:
    """The one place where messages change."""

    def __init__(self, core: Core, users: Mapping[int, User], files: Files) -> None:
        self._snowflakes = core.snowflakes
        self._clock = core.clock
        self._users = users
        self._files = files
        self._nonces: dict[tuple[int, str], tuple[float, Message]] = {}
        self.watchers: list[Callable[[Message], object]] = []
        """Called with each message that is new, has changed or is deleted, whether or not the bot hears of it."""

    def create(
        self,
        author: User,
        channel: Channel,
        draft: Draft,
        *,
        kind: int = 0,
        origin: Json | None = None,
        seen_by: User | None = None,
        message_id: int | None = None,
        replied_to: Message | None = None,
    ) -> Message:
        """The first message of the same author with the same nonce, if the draft insists on that.

        An `ApiError` for one that is empty. An ephemeral one is shown to `seen_by`, and kept in no channel. It has an
        id of its own unless `message_id` says which.
        """
        earlier = self._earlier(author, draft)
        if earlier is not None:
            return earlier
        number = message_id or self._snowflakes.next()
        message = Message(number, channel, author, flags=draft.flags, kind=kind, tts=draft.tts)
        message.origin, message.nonce = origin or {}, draft.nonce
        message.reference, message.replied_to = draft.reference, replied_to
        message.snapshots, message.sticker_items, message.poll = draft.snapshots, draft.sticker_items, draft.poll
        self._write(message, draft)
        if message.is_empty and not message.loading and kind not in _SYSTEM:
            raise empty_message()
        if message.ephemeral:
            message.seen_by = seen_by
        else:
            channel.keep(message)
        self._remember(author, draft, message)
        self._emit("MESSAGE_CREATE", message, message.event_payload())
        return message

    def edit(self, message: Message, draft: Draft) -> None:
        """An edit of a “thinking” message is its answer. An `ApiError`, and no change, if it would leave nothing."""
        after = replace(message)
        after.write(draft)
        if after.is_empty:
            raise empty_message()
        self._write(message, draft)
        message.edited_at = message.edited_at if message.loading else self._clock.iso()
        message.flags = message.flags & ~LOADING | draft.flags & ~EPHEMERAL
        self._emit("MESSAGE_UPDATE", message, message.event_payload())

    def delete(self, message: Message) -> None:
        """Whoever still holds it sees that it is `deleted`."""
        message.deleted = True
        message.channel.messages.pop(message.id, None)
        self._emit("MESSAGE_DELETE", message, {"id": str(message.id), "channel_id": str(message.channel.id)})

    def delete_all(self, channel: Channel, messages: Sequence[Message]) -> None:
        """Several of one channel, which is one event."""
        for message in messages:
            message.deleted = True
            channel.messages.pop(message.id, None)
        told: Json = {"ids": [str(message.id) for message in messages], "channel_id": str(channel.id)}
        channel.emit("MESSAGE_DELETE_BULK", told | _guild_of(channel))
        for message in messages:
            self._show(message)

    def mark(self, message: Message, flag: int, *, on: bool = True) -> None:
        """Set or take a flag of somebody's message."""
        message.flags = message.flags | flag if on else message.flags & ~flag
        self._emit("MESSAGE_UPDATE", message, message.event_payload())

    def pin(self, message: Message, pinner: User) -> None:
        """Nothing for one that is pinned; else a line in the channel says so."""
        if message.pinned_at is None:
            self._set_pinned(message, self._clock.iso())
            reference = reference_to(message)
            self.create(pinner, message.channel, Draft(reference=reference), kind=PINNED)

    def unpin(self, message: Message) -> None:
        """Nothing for one that is not pinned."""
        if message.pinned_at is not None:
            self._set_pinned(message, None)

    def vote(self, user: User, message: Message, answer: int, *, chosen: bool) -> None:
        """Choose an answer of its poll, or take that back; nothing if it stands so already."""
        assert message.poll is not None
        voters = message.poll.votes[answer]
        if (user.id in voters) == chosen:
            return
        (voters.add if chosen else voters.remove)(user.id)
        told: Json = {"channel_id": str(message.channel.id), "message_id": str(message.id)}
        told |= {"user_id": str(user.id), "answer_id": answer}
        self._emit(f"MESSAGE_POLL_VOTE_{'ADD' if chosen else 'REMOVE'}", message, told)

    def end_poll(self, message: Message) -> None:
        """Nobody can vote any more."""
        assert message.poll is not None
        message.poll.is_over, message.poll.ends_at = True, self._clock.iso()
        self._emit("MESSAGE_UPDATE", message, message.event_payload())
        told = Draft(embeds=[message.poll.result()], reference=reference_to(message))
        self.create(message.author, message.channel, told, kind=POLL_RESULT)

    def end_due_polls(self, channel: Channel) -> None:
        """Those whose time is over."""
        now = self._clock.now()
        for message in list(channel.messages.values()):
            if message.poll and not message.poll.is_over and datetime.fromisoformat(message.poll.ends_at) <= now:
                self.end_poll(message)

    def _set_pinned(self, message: Message, pinned_at: str | None) -> None:
        message.pinned_at = pinned_at
        channel = message.channel
        last = max((one.pinned_at for one in channel.messages.values() if one.pinned_at), default=None)
        told: Json = {"channel_id": str(channel.id), "last_pin_timestamp": last}
        channel.emit("CHANNEL_PINS_UPDATE", told | _guild_of(channel))
        self._emit("MESSAGE_UPDATE", message, message.event_payload())

    def react(self, user: User, message: Message, emoji: str) -> None:
        """With a Unicode emoji; a second time is nothing new."""
        users = message.reactions.setdefault(emoji, set())
        if user.id not in users:
            users.add(user.id)
            self._emit("MESSAGE_REACTION_ADD", message, self._reaction(user, message, emoji))

    def unreact(self, user: User, message: Message, emoji: str) -> None:
        """Nothing if they have not reacted so."""
        users = message.reactions.get(emoji, set())
        if user.id in users:
            users.remove(user.id)
            if not users:
                del message.reactions[emoji]
            self._emit("MESSAGE_REACTION_REMOVE", message, self._reaction(user, message, emoji))

    def clear_reactions(self, message: Message, emoji: str | None = None) -> None:
        """All of everybody, or those with one emoji; nothing, but for the event, if there are none."""
        told: Json = {"channel_id": str(message.channel.id), "message_id": str(message.id)}
        if emoji is None:
            message.reactions.clear()
            self._emit("MESSAGE_REACTION_REMOVE_ALL", message, told)
        elif message.reactions.pop(emoji, None):
            self._emit("MESSAGE_REACTION_REMOVE_EMOJI", message, told | {"emoji": emoji_payload(emoji)})

    def typing(self, user: User, channel: Channel) -> None:
        """Shown for some seconds; nothing is kept. `UsageError` for somebody who is not in the channel's guild."""
        data: Json = {"channel_id": str(channel.id), "user_id": str(user.id), "timestamp": int(self._clock.time())}
        if channel.guild is not None:
            data |= {"guild_id": str(channel.guild.id), "member": channel.guild.require_member(user).payload()}
        channel.emit("TYPING_START", data)

    def _reaction(self, user: User, message: Message, emoji: str) -> Json:
        data: Json = {
            "user_id": str(user.id),
            "channel_id": str(message.channel.id),
            "message_id": str(message.id),
            "message_author_id": str(message.author.id),
            "emoji": emoji_payload(emoji),
            "burst": False,
            "type": 0,
        }
        guild = message.channel.guild
        if guild is not None and user.id in guild.members:
            data["member"] = guild.members[user.id].payload()
        return data

    def _emit(self, event: str, message: Message, data: Json) -> None:
        if not message.ephemeral:
            data = data | _guild_of(message.channel)
        message.channel.emit(event, data)
        message.channel.changed.notify()
        self._show(message)

    def _show(self, message: Message) -> None:
        for watcher in self.watchers:
            watcher(message)

    def _write(self, message: Message, draft: Draft) -> None:
        message.write(draft)
        if draft.says_text:
            self._mention(message, draft)
        for attachment in draft.attachments or ():
            self._files.store(attachment, message.channel)
        urls = {one.filename: one.url for one in message.attachments}
        message.embeds, message.components = with_urls(message.embeds, urls), with_urls(message.components, urls)

    def _mention(self, message: Message, draft: Draft) -> None:
        """Whom the draft names, as far as its author may."""
        ids = draft.mentioned_ids()
        if message.replied_to is not None and draft.mentions_replied:
            ids = list(dict.fromkeys([*ids, message.replied_to.author.id]))
        message.mentions = [self._users[one] for one in ids if one in self._users]
        guild = message.channel.guild
        if guild is None:
            return
        granted = message.channel.permissions_of(message.author) if message.author.id in guild.members else ALL
        calls_all = bool(granted & BITS["mention_everyone"])
        roles = [guild.roles[one] for one in draft.mentioned_role_ids() if one in guild.roles]
        message.mention_roles = [role.id for role in roles if role.mentionable or calls_all]
        message.mention_everyone = calls_all and draft.mentions_everyone

    def _earlier(self, author: User, draft: Draft) -> Message | None:
        now = self._clock.monotonic()
        self._nonces = {key: kept for key, kept in self._nonces.items() if kept[0] > now - _NONCES_KEPT_S}
        if draft.nonce is None or not draft.enforce_nonce:
            return None
        found = self._nonces.get((author.id, str(draft.nonce)))
        return found[1] if found else None

    def _remember(self, author: User, draft: Draft, message: Message) -> None:
        if draft.nonce is not None:
            self._nonces[author.id, str(draft.nonce)] = (self._clock.monotonic(), message)


def reference_to(message: Message) -> Json:
    """What another message says of it when it answers it."""
    reference: Json = {"type": 0, "message_id": str(message.id), "channel_id": str(message.channel.id)}
    return reference | _guild_of(message.channel)


def _guild_of(channel: Channel) -> Json:
    return {} if channel.guild is None else {"guild_id": str(channel.guild.id)}
