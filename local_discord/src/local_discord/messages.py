"""Messages as they lie in channels, and drafts of them."""

from __future__ import annotations

import mimetypes
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_discord.snowflakes import iso_time
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.channels import Channel
    from local_discord.people import Person
    from local_discord.world import World

EPHEMERAL = 1 << 6
LOADING = 1 << 7
COMPONENTS_V2 = 1 << 15

_USER_MENTION = re.compile(r"<@!?(\d{15,20})>")


@dataclass(slots=True, eq=False)
class Attachment:
    id: int
    filename: str
    content: bytes
    description: str | None = None
    url: str = ""

    def payload(self, *, ephemeral: bool) -> Json:
        data: Json = {
            "id": str(self.id),
            "filename": self.filename,
            "size": len(self.content),
            "url": self.url,
            "proxy_url": self.url,
        }
        kind = mimetypes.guess_type(self.filename)[0]
        if kind:
            data["content_type"] = kind
        if self.description:
            data["description"] = self.description
        return data | ({"ephemeral": True} if ephemeral else {})


@dataclass(slots=True)
class Draft:
    """What an author writes. `content` and the rest are None where an edit leaves them alone."""

    content: str | None = None
    embeds: list[Json] | None = None
    components: list[Json] | None = None
    attachments: list[Attachment] | None = None
    flags: int = 0
    tts: bool = False
    nonce: str | int | None = None
    enforce_nonce: bool = False
    mentions_allowed: Json | None = None
    reference: Json | None = None


@dataclass(eq=False)
class Message:
    """Changes in place when it is edited; two of them are equal only if they are the same."""

    id: int
    channel: Channel
    author: Person
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
    seen_by: Person | None = None
    """Whom an ephemeral message is shown to."""
    origin: Json = field(default_factory=dict)
    """What tells that it answers an interaction."""
    reference: Json | None = None
    mentions: list[Person] = field(default_factory=list)
    reactions: dict[str, set[int]] = field(default_factory=dict)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """The bot is thinking."""
        return bool(self.flags & LOADING)

    def write(self, draft: Draft, world: World) -> None:
        """Take over what the draft says."""
        if draft.content is not None:
            self.content = draft.content
            self.mentions = _mentioned(draft, world)
        if draft.embeds is not None:
            self.embeds = [{"type": "rich"} | embed for embed in draft.embeds]
        if draft.components is not None:
            self.components = draft.components
        if draft.attachments is not None:
            self.attachments = draft.attachments
            for attachment in self.attachments:
                world.store(attachment, self.channel)

    @property
    def is_empty(self) -> bool:
        return not (self.content or self.embeds or self.components or self.attachments)

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
            "mentions": [person.payload() for person in self.mentions],
            "mention_roles": [],
            "mention_everyone": False,
            "pinned": False,
            "tts": self.tts,
            "timestamp": iso_time(self.id),
            "edited_timestamp": self.edited_at,
            "flags": self.flags,
        }
        if self.reactions:
            data["reactions"] = [self._reaction(emoji, users) for emoji, users in self.reactions.items()]
        optional = {"nonce": self.nonce, "message_reference": self.reference}
        return data | {key: value for key, value in optional.items() if value is not None} | self.origin

    def event_payload(self) -> Json:
        """As the gateway shows it; an ephemeral one does not tell its guild."""
        guild = self.channel.guild
        if guild is None or self.ephemeral:
            return self.payload()
        data = self.payload() | {"guild_id": str(guild.id)}
        for mention, person in zip(data["mentions"], self.mentions, strict=True):
            if person.id in guild.members:
                mention["member"] = guild.members[person.id].partial()
        author = guild.members.get(self.author.id)
        return data | ({"member": author.partial()} if author else {})

    def _reaction(self, emoji: str, users: set[int]) -> Json:
        details = {"burst": 0, "normal": len(users)}
        return {
            "emoji": {"id": None, "name": emoji},
            "count": len(users),
            "count_details": details,
            "me": self.channel.bot_id in users,
            "me_burst": False,
            "burst_colors": [],
        }


def _mentioned(draft: Draft, world: World) -> list[Person]:
    ids = dict.fromkeys(int(found) for found in _USER_MENTION.findall(draft.content or ""))
    allowed = draft.mentions_allowed
    if allowed is not None and "users" not in allowed.get("parse", ()):
        listed = {int(user_id) for user_id in allowed.get("users", ())}
        ids = dict.fromkeys(user_id for user_id in ids if user_id in listed)
    return [world.people[user_id] for user_id in ids if user_id in world.people]
