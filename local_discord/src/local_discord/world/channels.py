"""A channel and the messages in it: those of guilds, and the direct one between a person and the bot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from local_discord.rules import permissions
from local_discord.rules.channel_rules import CATEGORY, DIRECT, TEXT, details_of
from local_discord.rules.component_tree import numbered
from local_discord.rules.message_rules import EPHEMERAL, LOADING
from local_discord.signals import Signal
from local_discord.snowflakes import iso_time
from local_discord.wire import Json
from local_discord.world.core import Core
from local_discord.world.drafts import PARTS, Attachment, Draft
from local_discord.world.memberships import Membership
from local_discord.world.overwrites import MEMBER, Overwrite, overwritten
from local_discord.world.polls import Poll
from local_discord.world.users import User

_KEPT_MESSAGES = 1000
CROSSPOSTED, IS_CROSSPOST, HAS_THREAD = 1 << 0, 1 << 1, 1 << 5
"""Flags of messages that only Discord sets."""
_SNAPSHOT = (
    "type content embeds attachments timestamp edited_timestamp flags mentions mention_roles components sticker_items"
).split()


class Channel:
    """In a guild, or, with `recipient`, the bot's DM channel with that person."""

    def __init__(
        self,
        core: Core,
        name: str,
        *,
        guild: Membership | None = None,
        recipient: User | None = None,
        position: int = 0,
        kind: int = TEXT,
        channel_id: int | None = None,
    ) -> None:
        self._core = core
        self.id = channel_id or core.snowflakes.next()
        self.kind = DIRECT if recipient is not None else kind
        self.name = name
        self.guild = guild
        self.recipient = recipient
        self.position = position
        self.parent: Channel | None = None
        """The category that it stands in, or a thread's channel."""
        self.flags = 0
        self.details = details_of(self.kind)
        """What else can be set on a channel of its kind, by the API's names."""
        self.overwrites: dict[int, Overwrite] = {}
        """By the id of the role or user."""
        self.messages: dict[int, Message] = {}
        """The latest, by id and oldest first, without deleted and ephemeral ones."""
        self.changed = Signal()
        """Something about its messages has."""

    def __repr__(self) -> str:
        return f"<Channel #{self.name} id={self.id}>"

    @property
    def mention(self) -> str:
        """What to write in a message so that it links to the channel."""
        return f"<#{self.id}>"

    @property
    def guild_id(self) -> int | None:
        """None for a DM channel."""
        return self.guild.id if self.guild else None

    @property
    def send_permission(self) -> str:
        """What it takes to write here."""
        return "send_messages"

    @property
    def slowmode_s(self) -> int:
        """How long a person has to wait after what they have written here."""
        return self.details.get("rate_limit_per_user") or 0

    @property
    def bot_id(self) -> int:
        """Whose reactions are “mine” to whoever reads this channel by the API."""
        return self._core.bot.id

    def keep(self, message: Message) -> None:
        """As the latest of the channel; the oldest gives way."""
        self.messages[message.id] = message
        if len(self.messages) > _KEPT_MESSAGES:
            del self.messages[next(iter(self.messages))]

    def emit(self, event: str, data: Json) -> None:
        """What happens in the channel: to the bot, if it sees the channel and hears of its guild."""
        if self.guild is None:
            self._core.events.emit(event, data)
        elif self.permissions_of(self._core.bot) & permissions.BITS["view_channel"]:
            self.guild.emit(event, data)

    def deny(self, user: User, names: Iterable[str]) -> None:
        """Take these permissions, and only these, away from one member here: an overwrite. In a guild alone."""
        assert self.guild is not None
        self.overwrites[user.id] = Overwrite(user.id, MEMBER, deny=permissions.bits(names))
        self.announce()

    def announce(self) -> None:
        """It has changed, which a bot is told of every channel."""
        assert self.guild is not None
        self.guild.emit("CHANNEL_UPDATE", self.payload())

    def permissions_of(self, user: User) -> int:
        """As bits, none where the channel is hidden; in a DM both sides have the same. An administrator has all."""
        if self.guild is None:
            return permissions.EVERYONE
        granted = self.guild.permissions_of(user)
        if granted & permissions.ADMINISTRATOR:
            return granted
        member = self.guild.members.get(user.id)
        roles = [role.id for role in member.roles] if member else []
        granted = overwritten(granted, self.overwrites, [self.guild.id], roles, [user.id])
        timed_out = member is not None and member.is_timed_out
        return permissions.where_seen(granted & permissions.TIMED_OUT if timed_out else granted)

    def payload(self) -> Json:
        """As the API and the gateway show it."""
        data: Json = {"id": str(self.id), "type": self.kind, "flags": self.flags}
        if self.kind != CATEGORY:
            data["last_message_id"] = self.last_message_id()
        if self.recipient is not None:
            return data | {"recipients": [self.recipient.payload()]}
        return data | {
            "guild_id": str(self.guild_id),
            "name": self.name,
            "position": self.position,
            "permission_overwrites": [overwrite.payload() for overwrite in self.overwrites.values()],
            "parent_id": str(self.parent.id) if self.parent else None,
            **self.details,
        }

    def last_message_id(self) -> str | None:
        """None while nothing is written here; in a forum that of its latest post."""
        last = next(reversed(self.messages), None)
        return str(last) if last else None


@dataclass(eq=False)
class Message:
    """Changes in place when it is edited; two of them are equal only if they are the same."""

    id: int
    channel: Channel
    author: User
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    kind: int = 0
    tts: bool = False
    nonce: str | int | None = None
    edited_at: str | None = None
    deleted: bool = False
    seen_by: User | None = None
    """Whom an ephemeral message is shown to."""
    origin: Json = field(default_factory=dict)
    """What tells that it answers an interaction."""
    reference: Json | None = None
    replied_to: Message | None = None
    """The message that it answers, deleted or not."""
    snapshots: list[Json] = field(default_factory=list)
    """What it forwards."""
    thread: Channel | None = None
    """The one that was started from it."""
    pinned_at: str | None = None
    sticker_items: list[Json] = field(default_factory=list)
    poll: Poll | None = None
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    reactions: dict[str, set[int]] = field(default_factory=dict)
    """By emoji, the ids of the users who reacted with it."""

    @property
    def ephemeral(self) -> bool:
        """Only `seen_by` can see it, and it is in no channel's `messages`."""
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """The bot is thinking."""
        return bool(self.flags & LOADING)

    @property
    def is_empty(self) -> bool:
        """Nothing that Discord would show; it refuses such a message, unless the bot is thinking."""
        return not any(getattr(self, part) for part in PARTS)

    def write(self, draft: Draft) -> None:
        """Take over what the draft says; whom it names is another question."""
        if draft.content is not None:
            self.content = draft.content
        if draft.embeds is not None:
            self.embeds = [_shown(embed) for embed in draft.embeds]
        if draft.components is not None:
            self.components = numbered(draft.components)
        if draft.attachments is not None:
            self.attachments = draft.attachments

    def payload(self) -> Json:
        """As the HTTP API shows it."""
        data: Json = {
            "id": str(self.id),
            "type": self.kind,
            "channel_id": str(self.channel.id),
            "author": self.author.payload(),
            "content": self.content,
            "embeds": self.embeds,
            "attachments": [attachment.payload(ephemeral=self.ephemeral) for attachment in self.attachments],
            "components": self.components,
            "mentions": [user.payload() for user in self.mentions],
            "mention_roles": [str(role_id) for role_id in self.mention_roles],
            "mention_everyone": self.mention_everyone,
            "pinned": self.pinned_at is not None,
            "tts": self.tts,
            "timestamp": iso_time(self.id),
            "edited_timestamp": self.edited_at,
            "flags": self.flags,
        }
        if self.reactions:
            data["reactions"] = [self._reaction(emoji, users) for emoji, users in self.reactions.items()]
        optional = {
            "nonce": self.nonce,
            "message_reference": self.reference,
            "message_snapshots": self.snapshots or None,
            "sticker_items": self.sticker_items or None,
            "poll": self.poll.payload(self.channel.bot_id) if self.poll else None,
            "thread": self.thread.payload() if self.thread else None,
        }
        if self.replied_to is not None:
            data["referenced_message"] = None if self.replied_to.deleted else self.replied_to.plain_payload()
        return data | {key: value for key, value in optional.items() if value is not None} | self.origin

    def plain_payload(self) -> Json:
        """The same without the message that it answers: Discord shows one level of answers."""
        return replace(self, replied_to=None).payload()

    def snapshot(self) -> Json:
        """As it stands in a message that forwards it."""
        shown = self.payload()
        return {"message": {key: shown[key] for key in _SNAPSHOT if key in shown}}

    def event_payload(self) -> Json:
        """As the gateway shows it; an ephemeral one does not tell its guild."""
        guild = self.channel.guild
        if guild is None or self.ephemeral:
            return self.payload()
        data = self.payload() | {"guild_id": str(guild.id)}
        for mention, user in zip(data["mentions"], self.mentions, strict=True):
            if user.id in guild.members:
                mention["member"] = guild.members[user.id].partial()
        author = guild.members.get(self.author.id)
        return data | ({"member": author.partial()} if author else {})

    def _reaction(self, emoji: str, users: set[int]) -> Json:
        details = {"burst": 0, "normal": len(users)}
        return {
            "emoji": emoji_payload(emoji),
            "count": len(users),
            "count_details": details,
            "me": self.channel.bot_id in users,
            "me_burst": False,
            "burst_colors": [],
        }


def emoji_payload(emoji: str) -> Json:
    """A Unicode emoji, or one of a guild as it stands in addresses: `name:id`."""
    name, _, emoji_id = emoji.rpartition(":")
    return {"id": emoji_id, "name": name} if name else {"id": None, "name": emoji}


def _shown(embed: Json) -> Json:
    """As Discord gives it back: without what is null, and each field says whether it is inline."""
    shown = {"type": "rich"} | {key: value for key, value in embed.items() if value is not None}
    if "fields" in shown:
        shown["fields"] = [{"inline": False} | field for field in shown["fields"]]
    return shown
