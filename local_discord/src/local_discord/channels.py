"""Text channels of guilds, and the direct one between a person and the bot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from local_discord import permissions
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.guilds import Guild
    from local_discord.messages import Message
    from local_discord.people import Person
    from local_discord.world import World

_KEPT_MESSAGES = 1000


class Channel:
    """In a guild, or, with `recipient`, the bot's DM channel with that person."""

    def __init__(
        self, world: World, name: str, *, guild: Guild | None = None, recipient: Person | None = None, position: int = 0
    ) -> None:
        self.id = world.snowflakes.next()
        self.name = name
        self.guild = guild
        self.recipient = recipient
        self.position = position
        self.messages: dict[int, Message] = {}
        self.denied: dict[int, int] = {}
        self.bot_id = world.bot_user.id

    def __repr__(self) -> str:
        return f"<Channel #{self.name} id={self.id}>"

    @property
    def mention(self) -> str:
        return f"<#{self.id}>"

    @property
    def guild_id(self) -> int | None:
        return self.guild.id if self.guild else None

    def keep(self, message: Message) -> None:
        self.messages[message.id] = message
        if len(self.messages) > _KEPT_MESSAGES:
            del self.messages[next(iter(self.messages))]

    def deny(self, person: Person, names: Iterable[str]) -> None:
        """Take these permissions, and only these, away from one member here: an overwrite. In a guild alone."""
        assert self.guild is not None
        self.denied[person.id] = permissions.bits(names)
        self.guild.emit("CHANNEL_UPDATE", self.payload())

    def permissions_of(self, person: Person) -> int:
        if self.guild is None:
            return permissions.EVERYONE
        granted = self.guild.permissions_of(person)
        return granted if granted & permissions.ADMINISTRATOR else granted & ~self.denied.get(person.id, 0)

    def payload(self) -> Json:
        last = next(reversed(self.messages), None)
        data: Json = {"id": str(self.id), "last_message_id": str(last) if last else None, "flags": 0}
        if self.recipient is not None:
            return data | {"type": 1, "recipients": [self.recipient.payload()]}
        assert self.guild is not None
        return data | {
            "type": 0,
            "guild_id": str(self.guild.id),
            "name": self.name,
            "position": self.position,
            "permission_overwrites": [
                {"id": str(person_id), "type": 1, "allow": "0", "deny": str(denied)}
                for person_id, denied in self.denied.items()
            ],
            "topic": None,
            "nsfw": False,
            "parent_id": None,
            "rate_limit_per_user": 0,
        }
