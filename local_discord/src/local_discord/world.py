"""All that this Discord knows: people, guilds, channels, commands, interactions, sessions."""

from __future__ import annotations

from urllib.parse import quote

from local_discord import intents
from local_discord.channels import Channel
from local_discord.commands import Commands
from local_discord.errors import missing_access, unknown
from local_discord.gateway import Gateway
from local_discord.guilds import Guild
from local_discord.interactions import Interactions
from local_discord.messages import Attachment
from local_discord.people import Person
from local_discord.posts import Posts
from local_discord.snowflakes import Snowflakes

_FLAGS_OF_INTENTS = {intents.GUILD_PRESENCES: 1 << 13, intents.GUILD_MEMBERS: 1 << 15, intents.MESSAGE_CONTENT: 1 << 19}


class World:
    """Ids are handed out here, and every id is looked up here; what is not there is Discord's “Unknown …”."""

    def __init__(self, *, shards: int, token: str) -> None:
        self.shards = shards
        self.token = token
        self.origin = ""
        self.snowflakes = Snowflakes()
        self.heartbeat_interval_ms = 41_250
        self.callback_deadline_s = 3.0
        self.compresses = False
        self.kept_events = 10_000
        self.sessions_kept_s = 300.0
        self.token_lifetime_s = 900.0
        self.approved_intents = intents.PRIVILEGED
        self.people: dict[int, Person] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.attachments: dict[int, Attachment] = {}
        self.owner = self.add_person("owner")
        self.team: dict[Person, bool] = {}
        self.bot_user = self.add_person("sandbox-bot", bot=True)
        self.application_id = self.bot_user.id
        self.gateway = Gateway(self)
        self.posts = Posts(self)
        self.commands = Commands(self)
        self.interactions = Interactions(self)

    @property
    def api_base(self) -> str:
        return f"{self.origin}/api/v10"

    @property
    def gateway_url(self) -> str:
        return f"{self.origin.replace('http', 'ws', 1)}/gateway"

    @property
    def application_flags(self) -> int:
        return sum(flag for intent, flag in _FLAGS_OF_INTENTS.items() if self.approved_intents & intent)

    def add_person(self, name: str, *, bot: bool = False) -> Person:
        person = Person(self, self.snowflakes.next(), name, bot=bot)
        self.people[person.id] = person
        return person

    def add_guild(self, name: str, owner: Person) -> Guild:
        """Guilds take turns on the shards."""
        guild_id = self.snowflakes.next_on_shard(len(self.guilds) % self.shards, self.shards)
        guild = Guild(self, guild_id, name, owner)
        self.guilds[guild.id] = guild
        guild.announce(joined=True)
        return guild

    def dm_channel(self, person: Person) -> Channel:
        if person.dm_channel is None:
            person.dm_channel = Channel(self, person.name, recipient=person)
            self.channels[person.dm_channel.id] = person.dm_channel
        return person.dm_channel

    def store(self, attachment: Attachment, channel: Channel) -> None:
        """Give the file an address of its own."""
        attachment.url = f"{self.origin}/attachments/{channel.id}/{attachment.id}/{quote(attachment.filename)}"
        self.attachments[attachment.id] = attachment

    def person(self, person_id: int) -> Person:
        if (person := self.people.get(person_id)) is None:
            raise unknown("User")
        return person

    def bots_guild(self, guild_id: int) -> Guild:
        """A guild that the bot is in."""
        if (guild := self.guilds.get(guild_id)) is None:
            raise unknown("Guild")
        if not guild.has_bot:
            raise missing_access()
        return guild

    def bots_channel(self, channel_id: int) -> Channel:
        """A channel that the bot can see."""
        if (channel := self.channels.get(channel_id)) is None:
            raise unknown("Channel")
        if channel.guild is not None and not channel.guild.has_bot:
            raise missing_access()
        return channel
