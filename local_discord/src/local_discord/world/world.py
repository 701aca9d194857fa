"""All that this Discord knows, in one place."""

from __future__ import annotations

from collections import defaultdict

from local_discord.errors import missing_access, unknown
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.commands import Commands
from local_discord.world.core import Core, Settings
from local_discord.world.files import Files
from local_discord.world.guilds import Guild
from local_discord.world.inboxes import Inbox
from local_discord.world.interactions import Interactions
from local_discord.world.invites import Invites
from local_discord.world.posts import Posts
from local_discord.world.shelves import Shelf
from local_discord.world.templates import Templates
from local_discord.world.thread_starts import ThreadStarts
from local_discord.world.users import User
from local_discord.world.webhooks import Webhooks


class World:
    """Every id is looked up here; what is not there is Discord's “Unknown …”, an `ApiError`."""

    def __init__(self, settings: Settings, application_id: int | None = None) -> None:
        self.core = Core(settings, application_id)
        self.users: dict[int, User] = {self.core.bot.id: self.core.bot}
        self.guilds: dict[int, Guild] = {}
        self.inboxes: defaultdict[int, Inbox] = defaultdict(Inbox)
        """By user id."""
        self.files = Files(self.core)
        self.posts = Posts(self.core, self.users, self.files)
        self.thread_starts = ThreadStarts(self.core, self.guilds, self.posts)
        self.commands = Commands(self.core)
        self.webhooks = Webhooks(self.core)
        self.invites = Invites(self.core)
        self.emojis = Shelf(self.core, "Emoji", "id", lambda _change, _emoji: None)
        """The application's own."""
        self.templates = Templates()
        self.entitlements = Shelf(self.core, "Entitlement", "id", self._tell_entitlement)
        self.interactions = Interactions(self.core, self.entitlements)
        self._direct: dict[int, Channel] = {}

    def add_guild(self, name: str, owner: User, guild_id: int | None = None) -> Guild:
        """With the bot in it. Guilds take turns on the shards, but for one with an id of its own."""
        shards = self.core.settings.shards
        number = guild_id or self.core.snowflakes.next_on_shard(len(self.guilds) % shards, shards)
        guild = self.guilds[number] = Guild(self.core, number, name, owner)
        guild.announce(joined=True)
        return guild

    def dm_channel(self, user: User) -> Channel:
        """The bot's with that person; always the same."""
        if user.id not in self._direct:
            self._direct[user.id] = Channel(self.core, user.name, recipient=user)
        return self._direct[user.id]

    def user(self, user_id: int) -> User:
        """Anybody, whether the bot shares a guild with them or not."""
        if (user := self.users.get(user_id)) is None:
            raise unknown("User")
        return user

    def bots_guilds(self) -> list[Guild]:
        """The guilds that the bot is in, outage or not."""
        return [guild for guild in self.guilds.values() if guild.has_bot]

    def bots_guild(self, guild_id: int) -> Guild:
        """A guild that the bot is in; “Missing Access” if it is not."""
        if (guild := self.guilds.get(guild_id)) is None:
            raise unknown("Guild")
        if not guild.has_bot:
            raise missing_access()
        return guild

    def bots_channel(self, channel_id: int) -> Channel:
        """A channel or thread that the bot can see; “Missing Access” if it cannot."""
        channel = self.channel(channel_id)
        if channel.guild is not None and not channel.guild.has_bot:
            raise missing_access()
        return channel

    def catch_up(self) -> None:
        """The clock was moved: what is due by now happens."""
        self.interactions.expire_overdue()
        self.invites.delete_expired()
        for guild in self.guilds.values():
            for channel in (*guild.channels.values(), *guild.threads.values()):
                self.posts.end_due_polls(channel)
            for thread in guild.threads.values():
                thread.fall_asleep_if_due()
        for channel in self._direct.values():
            self.posts.end_due_polls(channel)

    def _tell_entitlement(self, change: str, entitlement: Json) -> None:
        self.core.events.emit(f"ENTITLEMENT_{change}", entitlement)

    def channel(self, channel_id: int) -> Channel:
        """Any channel or thread."""
        for guild in self.guilds.values():
            if channel := guild.channels.get(channel_id) or guild.threads.get(channel_id):
                return channel
        for channel in self._direct.values():
            if channel.id == channel_id:
                return channel
        raise unknown("Channel")
