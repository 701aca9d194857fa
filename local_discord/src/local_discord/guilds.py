"""A guild: its roles, members and channels, and what happens to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_discord import permissions as rights
from local_discord.channels import Channel
from local_discord.errors import UsageError
from local_discord.snowflakes import iso_now
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.people import Person
    from local_discord.world import World


@dataclass(slots=True)
class Role:
    id: int
    name: str
    permissions: int
    position: int

    def payload(self) -> Json:
        colours = {"primary_color": 0, "secondary_color": None, "tertiary_color": None}
        return {
            "id": str(self.id),
            "name": self.name,
            "permissions": str(self.permissions),
            "position": self.position,
            "color": 0,
            "colors": colours,
            "hoist": False,
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }


@dataclass(slots=True)
class Member:
    person: Person
    roles: list[Role] = field(default_factory=list)
    joined_at: str = field(default_factory=iso_now)

    def partial(self) -> Json:
        """Without the user: so a member stands beside a user."""
        return {
            "roles": [str(role.id) for role in self.roles],
            "nick": None,
            "avatar": None,
            "banner": None,
            "joined_at": self.joined_at,
            "premium_since": None,
            "communication_disabled_until": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
        }

    def payload(self) -> Json:
        return self.partial() | {"user": self.person.payload()}


class Guild:
    """The bot is in it until it is kicked."""

    def __init__(self, world: World, guild_id: int, name: str, owner: Person) -> None:
        self._world = world
        self.id = guild_id
        self.name = name
        self.owner = owner
        self.has_bot = True
        self.unavailable = False
        self.roles = {guild_id: Role(guild_id, "@everyone", rights.EVERYONE, 0)}
        self.members = {person.id: Member(person) for person in (owner, world.bot_user)}
        self.channels: dict[int, Channel] = {}
        self.general = self._new_channel("general")

    def __repr__(self) -> str:
        return f"<Guild {self.name!r} id={self.id}>"

    def emit(self, event: str, data: Json) -> None:
        """To the bot, if it is here and no outage keeps it from hearing."""
        if self.has_bot and not self.unavailable:
            self._world.gateway.emit(event, data, guild_id=self.id)

    def add_channel(self, name: str) -> Channel:
        channel = self._new_channel(name)
        self.emit("CHANNEL_CREATE", channel.payload())
        return channel

    def remove_channel(self, channel: Channel) -> None:
        del self.channels[channel.id]
        del self._world.channels[channel.id]
        self.emit("CHANNEL_DELETE", channel.payload())

    def add_role(self, name: str, permissions: int | Iterable[str] = 0) -> Role:
        role = Role(self._world.snowflakes.next(), name, rights.bits(permissions), len(self.roles))
        self.roles[role.id] = role
        self.emit("GUILD_ROLE_CREATE", {"guild_id": str(self.id), "role": role.payload()})
        return role

    def add_member(
        self, person: Person, manage_guild: bool = False, permissions: int | Iterable[str] | None = None
    ) -> Member:
        """With a role of their own if they are granted more than @everyone."""
        granted = rights.bits(permissions or 0) | (rights.BITS["manage_guild"] if manage_guild else 0)
        member = Member(person, [self.add_role(f"{person.name}'s role", granted)] if granted else [])
        joined = person.id not in self.members
        self.members[person.id] = member
        self.emit(
            "GUILD_MEMBER_ADD" if joined else "GUILD_MEMBER_UPDATE", member.payload() | {"guild_id": str(self.id)}
        )
        return member

    def remove_member(self, person: Person) -> None:
        self.require_member(person)
        if person is self._world.bot_user:
            self.kick_bot()
            return
        del self.members[person.id]
        self.emit("GUILD_MEMBER_REMOVE", {"guild_id": str(self.id), "user": person.payload()})

    def kick_bot(self) -> None:
        self.unavailable = False
        self.emit("GUILD_DELETE", {"id": str(self.id)})
        self.has_bot = False
        self.members.pop(self._world.bot_user.id, None)

    def invite_bot(self) -> None:
        """Let a kicked bot in again."""
        if self.has_bot:
            raise UsageError(f"The bot is in {self.name} already.")
        self.has_bot = True
        self.members[self._world.bot_user.id] = Member(self._world.bot_user)
        self.announce(joined=True)

    def set_unavailable(self, unavailable: bool) -> None:
        """An outage begins or ends."""
        if unavailable == self.unavailable:
            return
        if unavailable:
            self.emit("GUILD_DELETE", {"id": str(self.id), "unavailable": True})
        self.unavailable = unavailable
        if not unavailable:
            self.announce()

    def rename(self, name: str) -> None:
        self.name = name
        self.emit("GUILD_UPDATE", self.payload())

    def announce(self, *, joined: bool = False) -> None:
        if self.has_bot:
            self._world.gateway.announce(self, joined=joined)

    def require_member(self, person: Person) -> Member:
        member = self.members.get(person.id)
        if member is None:
            raise UsageError(f"{person.name} is not in {self.name}.")
        return member

    def permissions_of(self, person: Person) -> int:
        member = self.members.get(person.id)
        if member is None:
            return 0
        granted = self.roles[self.id].permissions
        for role in member.roles:
            granted |= role.permissions
        everything = person is self.owner or granted & rights.ADMINISTRATOR
        return rights.ALL if everything else granted

    def member_payload(self, person: Person) -> Json:
        """A member as interactions carry them."""
        member = self.members.get(person.id) or Member(person)
        return member.payload() | {"permissions": str(self.permissions_of(person))}

    def payload(self) -> Json:
        return _ORDINARY | {
            "id": str(self.id),
            "name": self.name,
            "owner_id": str(self.owner.id),
            "roles": [role.payload() for role in self.roles.values()],
            "system_channel_id": str(self.general.id),
        }

    def create_payload(self, *, all_members: bool) -> Json:
        """GUILD_CREATE; without the members intent it knows of no member but the bot."""
        shown = [member for member in self.members.values() if all_members or member.person is self._world.bot_user]
        return self.payload() | {
            "joined_at": self.members[self._world.bot_user.id].joined_at,
            "large": len(self.members) >= 250,
            "member_count": len(self.members),
            "members": [member.payload() for member in shown],
            "channels": [channel.payload() for channel in self.channels.values()],
            **{key: [] for key in _EMPTY_LISTS},
        }

    def _new_channel(self, name: str) -> Channel:
        channel = Channel(self._world, name, guild=self, position=len(self.channels))
        self.channels[channel.id] = self._world.channels[channel.id] = channel
        return channel


_EMPTY_LISTS = (
    "voice_states",
    "threads",
    "presences",
    "stage_instances",
    "guild_scheduled_events",
    "soundboard_sounds",
    "embedded_activities",
)
_NOTHING = ("icon", "splash", "discovery_splash", "description", "banner", "application_id", "vanity_url_code")
_NO_CHANNEL = ("afk_channel_id", "rules_channel_id", "public_updates_channel_id", "safety_alerts_channel_id")
_ORDINARY: dict[str, Any] = {
    **dict.fromkeys((*_NOTHING, *_NO_CHANNEL)),
    "afk_timeout": 300,
    "verification_level": 0,
    "default_message_notifications": 0,
    "explicit_content_filter": 0,
    "emojis": [],
    "stickers": [],
    "features": [],
    "mfa_level": 0,
    "system_channel_flags": 0,
    "max_members": 500_000,
    "max_video_channel_users": 25,
    "max_stage_video_channel_users": 50,
    "premium_tier": 0,
    "premium_subscription_count": 0,
    "preferred_locale": "en-US",
    "nsfw_level": 0,
    "nsfw": False,
    "premium_progress_bar_enabled": False,
}
