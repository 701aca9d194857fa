"""A guild: its members and channels, and what happens to it."""

from __future__ import annotations

from typing import Any

from local_discord.errors import UsageError
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.core import Core
from local_discord.world.memberships import Member, Membership
from local_discord.world.users import User

_LARGE = 250
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


class Guild(Membership):
    """Has a channel `general` from the beginning; the bot is in it until it is kicked."""

    def __init__(self, core: Core, guild_id: int, name: str, owner: User) -> None:
        super().__init__(core, guild_id, name, owner)
        self.channels: dict[int, Channel] = {}
        self.general = self._new_channel("general")

    def __repr__(self) -> str:
        return f"<Guild {self.name!r} id={self.id}>"

    def add_channel(self, name: str) -> Channel:
        """A text channel that every member sees."""
        channel = self._new_channel(name)
        self.emit("CHANNEL_CREATE", channel.payload())
        return channel

    def remove_channel(self, channel: Channel) -> None:
        """With all that was written in it; `KeyError` for a channel of another guild."""
        del self.channels[channel.id]
        self.emit("CHANNEL_DELETE", channel.payload())

    def invite_bot(self) -> None:
        """Let a kicked bot in again."""
        if self.has_bot:
            raise UsageError(f"The bot is in {self.name} already.")
        self.has_bot = True
        self.members[self._core.bot.id] = Member(self._core.bot)
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
        """The bot is told by a GUILD_UPDATE."""
        self.name = name
        self.emit("GUILD_UPDATE", self.payload())

    def announce(self, *, joined: bool = False) -> None:
        """GUILD_CREATE, as for a guild that the bot has just joined, or that is available again."""
        if self.has_bot:
            self.emit("GUILD_CREATE", self.create_payload(joined=joined))

    def payload(self) -> Json:
        """As the API shows it, without members and channels."""
        return _ORDINARY | {
            "id": str(self.id),
            "name": self.name,
            "owner_id": str(self.owner.id),
            "roles": [role.payload() for role in self.roles.values()],
            "system_channel_id": str(self.general.id),
        }

    def create_payload(self, *, joined: bool = False) -> Json:
        """GUILD_CREATE with all members; clients tell a new guild by the lack of `unavailable`."""
        data = self.payload() | {
            "joined_at": self.members[self._core.bot.id].joined_at,
            "large": len(self.members) >= _LARGE,
            "member_count": len(self.members),
            "members": [member.payload() for member in self.members.values()],
            "channels": [channel.payload() for channel in self.channels.values()],
            **{key: [] for key in _EMPTY_LISTS},
        }
        return data if joined else data | {"unavailable": False}

    def _new_channel(self, name: str) -> Channel:
        channel = Channel(self._core, name, guild=self, position=len(self.channels))
        self.channels[channel.id] = channel
        return channel
