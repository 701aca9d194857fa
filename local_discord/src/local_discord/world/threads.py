"""Threads: channels below a channel, which people join and which fall asleep."""

from __future__ import annotations

from collections.abc import Iterable

from local_discord.errors import ApiError, missing_permissions
from local_discord.rules.channel_rules import ANNOUNCEMENT, ANNOUNCEMENT_THREAD, PRIVATE_THREAD, PUBLIC_THREAD
from local_discord.rules.permissions import BITS
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message
from local_discord.world.core import Core
from local_discord.world.users import User

_DEFAULT_ARCHIVE_MINUTES = 4320
REQUIRES_TAG = 1 << 4
_METADATA = ("archived", "locked", "auto_archive_duration")


class Thread(Channel):
    """Below `parent`, whose permissions hold here too. A private one is seen by its members and by who manages threads.

    `thread_id` is the message's that it is started from; None gives it one of its own. It falls asleep when
    the clock is moved.
    """

    def __init__(
        self, core: Core, parent: Channel, name: str, owner: User, kind: int, thread_id: int | None = None
    ) -> None:
        super().__init__(core, name, guild=parent.guild, kind=kind, channel_id=thread_id)
        self.parent: Channel = parent
        self.owner = owner
        self.archived = False
        self.locked = False
        self.invitable = True
        self.auto_archive_duration = parent.details.get("default_auto_archive_duration") or _DEFAULT_ARCHIVE_MINUTES
        self.rate_limit_per_user: int = parent.details.get("default_thread_rate_limit_per_user", 0)
        self.applied_tags: list[str] = []
        self.created_at = self.archived_at = self._core.clock.iso()
        self.joined: dict[int, str] = {}
        """When whom joined, by user id."""
        self.message_count = 0
        self.messages_ever = 0

    @property
    def is_private(self) -> bool:
        """Seen by its members alone, and by who manages threads."""
        return self.kind == PRIVATE_THREAD

    @property
    def send_permission(self) -> str:
        """What it takes to write here."""
        return "send_messages_in_threads"

    @property
    def slowmode_s(self) -> int:
        """The thread's own."""
        return self.rate_limit_per_user

    def announce(self) -> None:
        """It has changed."""
        self.emit("THREAD_UPDATE", self.payload())

    def permissions_of(self, user: User) -> int:
        """As bits: the parent's, and none where it is private and not theirs."""
        granted = self.parent.permissions_of(user)
        hidden = self.is_private and user.id not in self.joined and not granted & BITS["manage_threads"]
        return 0 if hidden else granted

    def keep(self, message: Message) -> None:
        """As the latest; whoever writes has joined, and the thread is awake."""
        super().keep(message)
        if message.id != self.id:  # a post's first message is not counted
            self.message_count += 1
            self.messages_ever += 1
        if self.archived:
            self.set_archived(False)
            self.announce()
        self.join(message.author)

    def set_archived(self, archived: bool) -> None:
        """Nobody is told yet."""
        if archived != self.archived:
            self.archived, self.archived_at = archived, self._core.clock.iso()

    def fall_asleep_if_due(self) -> None:
        """Where nobody has written for as long as it stays awake."""
        quiet_s = self._core.snowflakes.age_s(next(reversed(self.messages), self.id))
        if not self.archived and quiet_s >= self.auto_archive_duration * 60:
            self.set_archived(True)
            self.announce()

    def join(self, user: User) -> None:
        """Nothing for somebody who has joined, or is not in the guild."""
        assert self.guild is not None
        if user.id in self.joined or user.id not in self.guild.members:
            return
        self.joined[user.id] = self._core.clock.iso()
        member = self.member_payload(user.id) | {"member": self.guild.members[user.id].payload(), "presence": None}
        self._tell_members({"added_members": [member]})

    def leave(self, user: User) -> None:
        """Nothing for somebody who has not joined."""
        if user.id in self.joined:
            del self.joined[user.id]
            # Of a private thread that it has been taken from, the bot is told nevertheless.
            self._tell_members({"removed_member_ids": [str(user.id)]}, also_if_hidden=user is self._core.bot)

    def member_payload(self, user_id: int) -> Json:
        """One of those who have joined, as the API shows them; `KeyError` for anybody else."""
        times = self.joined[user_id]
        return {"id": str(self.id), "user_id": str(user_id), "join_timestamp": times, "flags": 0}

    def bot_member(self) -> Json | None:
        """The bot as a member, None if it has not joined."""
        bot = self._core.bot
        return self.member_payload(bot.id) if bot.id in self.joined else None

    def payload(self) -> Json:
        """As the API and the gateway show it."""
        data: Json = {
            "id": str(self.id),
            "type": self.kind,
            "guild_id": str(self.guild_id),
            "parent_id": str(self.parent.id),
            "owner_id": str(self.owner.id),
            "name": self.name,
            "last_message_id": self.last_message_id(),
            "rate_limit_per_user": self.rate_limit_per_user,
            "message_count": self.message_count,
            "total_message_sent": self.messages_ever,
            "member_count": len(self.joined),
            "flags": self.flags,
            "thread_metadata": self._metadata(),
        }
        member = self.bot_member()
        optional = {"applied_tags": self.applied_tags or None, "member": member}
        return data | {key: value for key, value in optional.items() if value is not None}

    def _metadata(self) -> Json:
        data: Json = {key: getattr(self, key) for key in _METADATA}
        data |= {"archive_timestamp": self.archived_at, "create_timestamp": self.created_at}
        return data | ({"invitable": self.invitable} if self.is_private else {})

    def _tell_members(self, change: Json, *, also_if_hidden: bool = False) -> None:
        assert self.guild is not None
        told = {"id": str(self.id), "guild_id": str(self.guild_id), "member_count": len(self.joined), **change}
        emit = self.guild.emit if also_if_hidden else self.emit
        emit("THREAD_MEMBERS_UPDATE", told)


def tag_ids(forum: Channel, names: Iterable[str], granted: int) -> list[str]:
    """Of the tags that a post is to have, named by name or id, for whoever has these permissions.

    An `ApiError` for a tag that the forum does not have or leaves to moderators, and for none where it wants one.
    """
    known = {name: tag for tag in forum.details.get("available_tags", ()) for name in (tag["id"], tag["name"])}
    chosen = [known.get(name) for name in names]
    if None in chosen:
        raise ApiError(404, 10087, "Unknown Tag")
    if any(tag["moderated"] for tag in chosen if tag) and not granted & BITS["manage_threads"]:
        raise missing_permissions()
    if not chosen and forum.flags & REQUIRES_TAG:
        raise ApiError(400, 40067, "A tag is required to create a forum post in this channel")
    return [tag["id"] for tag in chosen if tag]


def public_kind(parent: Channel) -> int:
    """Which kind of thread everybody sees below that channel."""
    return ANNOUNCEMENT_THREAD if parent.kind == ANNOUNCEMENT else PUBLIC_THREAD
