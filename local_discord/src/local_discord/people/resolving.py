"""What a person points at, as ids beside the objects they stand for."""

from __future__ import annotations

from typing import Any

from local_discord.errors import CommandUsageError
from local_discord.rules.command_rules import ATTACHMENT, CHANNEL, MENTIONABLE, PERSON, ROLE
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message
from local_discord.world.drafts import Attachment
from local_discord.world.memberships import Role
from local_discord.world.users import User
from local_discord.world.world import World


class Resolver:
    """Collects the `resolved` part of an interaction's data, for one person in one place."""

    def __init__(self, world: World, person: User, place: Channel) -> None:
        self._world = world
        self._person = person
        self._place = place
        self.resolved: Json = {}

    def pick(self, value: Any, kind: int) -> str:
        """The id of what is chosen for an option of that kind: a channel or role of this guild, a user, or a file.

        A file is a name and its content. `CommandUsageError` for what the client would not offer there.
        """
        guild = self._place.guild
        if kind == ATTACHMENT and isinstance(value, tuple):
            return self._upload(*value)
        if kind == CHANNEL and isinstance(value, Channel) and guild is not None and value.guild is guild:
            return self._add("channels", value.id, self._channel(value))
        if kind in (ROLE, MENTIONABLE) and isinstance(value, Role) and guild is not None and value.id in guild.roles:
            return self._add("roles", value.id, value.payload())
        if kind in (PERSON, MENTIONABLE) and value in self._world.users.values():
            if guild is not None and value.id in guild.members:
                member = guild.members[value.id].partial() | {"permissions": str(guild.permissions_of(value))}
                self._add("members", value.id, member)
            return self._add("users", value.id, value.payload())
        raise CommandUsageError(f"{value!r} cannot be chosen here.")

    def add_message(self, message: Message) -> None:
        """One whose menu was opened."""
        self._add("messages", message.id, message.payload())

    def into(self, data: Json) -> Json:
        """The data with all that was picked; the key is absent if that is nothing."""
        return data | ({"resolved": self.resolved} if self.resolved else {})

    def _channel(self, channel: Channel) -> Json:
        return channel.payload() | {"permissions": str(channel.permissions_of(self._person))}

    def _upload(self, filename: str, content: bytes) -> str:
        attachment = Attachment(self._world.core.snowflakes.next(), filename, content)
        self._world.files.store(attachment, self._place)
        return self._add("attachments", attachment.id, attachment.payload(ephemeral=True))

    def _add(self, kind: str, number: int, payload: Json) -> str:
        self.resolved.setdefault(kind, {})[str(number)] = payload
        return str(number)
