"""A guild: its members and channels, and what happens to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

from local_discord.errors import UsageError
from local_discord.rules.channel_rules import TEXT
from local_discord.rules.permissions import BITS
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.core import Core
from local_discord.world.memberships import Member, Membership
from local_discord.world.shelves import Shelf
from local_discord.world.threads import Thread
from local_discord.world.users import User

Prepare: TypeAlias = Callable[[Channel], object]

_LARGE = 250
_EMPTY_LISTS = (
    "voice_states",
    "presences",
    "embedded_activities",
)
_NOTHING = ("icon", "splash", "discovery_splash", "home_header", "description", "banner", "application_id")
_NO_CHANNEL = ("afk_channel_id", "rules_channel_id", "public_updates_channel_id", "safety_alerts_channel_id")
_ORDINARY: dict[str, Any] = {
    **dict.fromkeys((*_NOTHING, *_NO_CHANNEL)),
    "vanity_url_code": None,
    "region": "deprecated",
    "afk_timeout": 300,
    "verification_level": 0,
    "default_message_notifications": 0,
    "explicit_content_filter": 0,
    "features": [],
    "mfa_level": 0,
    "system_channel_flags": 0,
    "max_members": 500_000,
    "max_presences": None,
    "max_video_channel_users": 25,
    "max_stage_video_channel_users": 50,
    "premium_tier": 0,
    "premium_subscription_count": 0,
    "preferred_locale": "en-US",
    "nsfw_level": 0,
    "nsfw": False,
    "premium_progress_bar_enabled": False,
    "incidents_data": None,
}
_NO_ONBOARDING: Json = {"prompts": [], "default_channel_ids": [], "enabled": False, "mode": 0}


class Guild(Membership):
    """Has a channel `general` from the beginning; the bot is in it until it is kicked."""

    def __init__(self, core: Core, guild_id: int, name: str, owner: User) -> None:
        super().__init__(core, guild_id, name, owner)
        self.channels: dict[int, Channel] = {}
        self.threads: dict[int, Thread] = {}
        """Archived ones too."""
        self.details: Json = dict(_ORDINARY)
        """What else can be set on a guild, by the API's names."""
        self.welcome_screen: Json | None = None
        self.widget: Json = {"enabled": False, "channel_id": None}
        self.onboarding = _NO_ONBOARDING | {"guild_id": str(guild_id)}
        self.emojis = Shelf(core, "Emoji", "id", self._tell_emojis)
        self.stickers = Shelf(core, "Sticker", "id", self._tell_stickers)
        self.sounds = Shelf(core, "Sound", "sound_id", self._tell("GUILD_SOUNDBOARD_SOUND"))
        self.scheduled_events = Shelf(core, "Guild Scheduled Event", "id", self._tell("GUILD_SCHEDULED_EVENT"))
        self.interested: defaultdict[int, set[int]] = defaultdict(set)
        """By scheduled event, the ids of the users who mean to come."""
        self.moderation_rules = Shelf(core, "Auto Moderation Rule", "id", self._tell("AUTO_MODERATION_RULE"))
        self.stages = Shelf(core, "Stage Instance", "id", self._tell("STAGE_INSTANCE"))
        self.general = self._new_channel("general", TEXT)
        self.channels[self.general.id] = self.general
        self.details["system_channel_id"] = str(self.general.id)

    def __repr__(self) -> str:
        return f"<Guild {self.name!r} id={self.id}>"

    def add_channel(
        self,
        name: str,
        kind: int = TEXT,
        *,
        parent: Channel | None = None,
        prepare: Prepare = lambda _: None,
        channel_id: int | None = None,
    ) -> Channel:
        """One that every member sees, of Discord's kind of that number; it is prepared before anybody hears of it."""
        channel = self._new_channel(name, kind, channel_id)
        channel.parent = parent
        prepare(channel)
        self.channels[channel.id] = channel
        self.emit("CHANNEL_CREATE", channel.payload())
        return channel

    def remove_channel(self, channel: Channel) -> None:
        """With all that was written in it, and its threads; `KeyError` for a channel of another guild."""
        del self.channels[channel.id]
        self.threads = {number: one for number, one in self.threads.items() if one.parent is not channel}
        self.emit("CHANNEL_DELETE", channel.payload())
        for below in [one for one in self.channels.values() if one.parent is channel]:
            below.parent = None
            below.announce()

    def add_thread(self, thread: Thread, *members: User) -> Thread:
        """Announced to whoever sees it, its owner among its members."""
        self.threads[thread.id] = thread
        for user in (thread.owner, *members):
            if user.id in self.members:
                thread.joined[user.id] = thread.created_at
        thread.emit("THREAD_CREATE", thread.payload() | {"newly_created": True})
        return thread

    def remove_thread(self, thread: Thread) -> None:
        """With all that was written in it."""
        del self.threads[thread.id]
        told = {"id": str(thread.id), "guild_id": str(self.id), "parent_id": str(thread.parent.id), "type": thread.kind}
        thread.emit("THREAD_DELETE", told)

    def active_threads(self, user: User) -> list[Thread]:
        """Those that are awake and that the user sees, youngest first."""
        seen = [one for one in self.threads.values() if one.permissions_of(user) & BITS["view_channel"]]
        return sorted((one for one in seen if not one.archived), key=lambda one: -one.id)

    def set_interest(self, event_id: int, user: User, interested: bool) -> None:
        """In a scheduled event; nothing if it stands so already."""
        users = self.interested[event_id]
        if (user.id in users) == interested:
            return
        (users.add if interested else users.remove)(user.id)
        told = {"guild_scheduled_event_id": str(event_id), "user_id": str(user.id), "guild_id": str(self.id)}
        self.emit(f"GUILD_SCHEDULED_EVENT_USER_{'ADD' if interested else 'REMOVE'}", told)

    def invite_bot(self) -> None:
        """Let a kicked bot in again."""
        if self.has_bot:
            raise UsageError(f"The bot is in {self.name} already.")
        self.has_bot = True
        self.members[self._core.bot.id] = Member(self._core.bot, clock=self._core.clock)
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
        self.announce_changes()

    def announce_changes(self) -> None:
        """Something that is set on it has changed."""
        self.emit("GUILD_UPDATE", self.payload())

    def announce(self, *, joined: bool = False) -> None:
        """GUILD_CREATE, as for a guild that the bot has just joined, or that is available again."""
        if self.has_bot:
            self.emit("GUILD_CREATE", self.create_payload(joined=joined))

    def set_details(self, details: Json) -> None:
        """Null stands for what a guild has by itself."""
        self.details |= {key: _ORDINARY.get(key) if value is None else value for key, value in details.items()}

    def payload(self) -> Json:
        """As the API shows it, without members and channels."""
        return self.details | {
            "widget_enabled": self.widget["enabled"],
            "widget_channel_id": self.widget["channel_id"],
            "id": str(self.id),
            "name": self.name,
            "owner_id": str(self.owner.id),
            "roles": [role.payload() for role in self.roles.values()],
            "emojis": self.emojis.items(),
            "stickers": self.stickers.items(),
        }

    def create_payload(self, *, joined: bool = False) -> Json:
        """GUILD_CREATE with all members; clients tell a new guild by the lack of `unavailable`."""
        data = self.payload() | {
            "joined_at": self.members[self._core.bot.id].joined_at,
            "large": len(self.members) >= _LARGE,
            "member_count": len(self.members),
            "members": [member.payload() for member in self.members.values()],
            "channels": [channel.payload() for channel in self.channels.values()],
            "threads": [thread.payload() for thread in self.active_threads(self._core.bot)],
            "guild_scheduled_events": self.scheduled_events.items(),
            "soundboard_sounds": self.sounds.items(),
            "stage_instances": self.stages.items(),
            **{key: [] for key in _EMPTY_LISTS},
        }
        return data if joined else data | {"unavailable": False}

    def _new_channel(self, name: str, kind: int, channel_id: int | None = None) -> Channel:
        return Channel(self._core, name, guild=self, position=len(self.channels), kind=kind, channel_id=channel_id)

    def _tell(self, event: str) -> Callable[[str, Json], None]:
        return lambda change, item: self.emit(f"{event}_{change}", item)

    def _tell_emojis(self, _change: str, _emoji: Json) -> None:
        self.emit("GUILD_EMOJIS_UPDATE", {"guild_id": str(self.id), "emojis": self.emojis.items()})

    def _tell_stickers(self, _change: str, _sticker: Json) -> None:
        self.emit("GUILD_STICKERS_UPDATE", {"guild_id": str(self.id), "stickers": self.stickers.items()})
