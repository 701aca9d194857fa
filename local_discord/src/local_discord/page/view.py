"""What one person sees: servers, channels, messages and commands."""

from __future__ import annotations

from collections import defaultdict, deque

from local_discord.people.finding import offered_commands
from local_discord.people.person import Person
from local_discord.rules.channel_rules import WITH_MESSAGES
from local_discord.rules.permissions import BITS
from local_discord.server import LocalDiscord
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member
from local_discord.world.users import User

_PAGE = 50
_EPHEMERAL_KEPT = 100
_MOST_MEMBERS = 200


class View:
    """Reads the world as Discord's client would; keeps the answers that only one person may see, which it forgets."""

    def __init__(self, discord: LocalDiscord) -> None:
        self._discord, self._world = discord, discord.world
        self._ephemeral: defaultdict[int, deque[Message]] = defaultdict(lambda: deque(maxlen=_EPHEMERAL_KEPT))
        """By the id of who sees them."""

    def remember(self, message: Message) -> None:
        """An ephemeral one, of which the channel itself keeps nothing; once, however often it changes."""
        if message.seen_by is not None and message not in (kept := self._ephemeral[message.seen_by.id]):
            kept.append(message)

    def people(self) -> list[Person]:
        """Everybody whom one may be, the application's owner last."""
        people = [user for user in self._world.users.values() if isinstance(user, Person)]
        return sorted(people, key=lambda person: person is self._discord.owner)

    def state(self, person: Person) -> Json:
        """Everything but messages and commands."""
        guilds = [guild for guild in self._world.guilds.values() if person.id in guild.members]
        return {
            "me": str(person.id),
            "people": [one.payload() for one in self.people()],
            "bot": self._world.core.bot.payload(),
            "direct": self._channel(person.dm_channel, person),
            "guilds": [self._guild(guild, person) for guild in guilds],
        }

    def messages(self, channel: Channel, person: Person, before: int | None = None) -> list[Json]:
        """The latest ones, or the latest before that one, oldest first."""
        own = [one for one in self._ephemeral[person.id] if one.channel is channel and not one.deleted]
        shown = sorted([*channel.messages.values(), *own], key=lambda one: one.id)
        earlier = [one for one in shown if before is None or one.id < before]
        return [payload_of(one) for one in earlier[-_PAGE:]]

    def message(self, channel: Channel, message_id: int, person: Person) -> Message | None:
        """One that the person sees there."""
        own = {one.id: one for one in self._ephemeral[person.id] if one.channel is channel}
        return channel.messages.get(message_id) or own.get(message_id)

    def commands(self, channel: Channel, person: Person) -> list[Json]:
        """What their client offers there."""
        return offered_commands(self._world, person, channel)

    def _guild(self, guild: Guild, person: Person) -> Json:
        places = [*guild.channels.values(), *guild.active_threads(person)]
        members = list(guild.members.values())[:_MOST_MEMBERS]
        return {
            "id": str(guild.id),
            "name": guild.name,
            "has_bot": guild.has_bot,
            "channels": [self._channel(one, person) for one in places if sees(person, one)],
            "roles": [role.payload() for role in guild.roles.values()],
            "members": [_member(one) for one in members],
        }

    def _channel(self, channel: Channel, person: Person) -> Json:
        holds = channel.kind in WITH_MESSAGES
        return channel.payload() | {
            "permissions": str(channel.permissions_of(person)),
            "holds_messages": holds,
            "may_send": holds and (channel.guild is None or may(person, channel, channel.send_permission)),
            "may_pin": holds and (channel.guild is None or may(person, channel, "pin_messages")),
            "may_manage": channel.guild is not None and may(person, channel, "manage_messages"),
        }


def sees(person: User, channel: Channel) -> bool:
    """Whether the channel is there for them at all."""
    if channel.guild is None:
        return channel.recipient is person
    return person.id in channel.guild.members and may(person, channel, "view_channel")


def may(person: User, channel: Channel, permission: str) -> bool:
    """Whether they have it there."""
    return bool(channel.permissions_of(person) & BITS[permission])


def payload_of(message: Message) -> Json:
    """As the API shows it, with what only the people's side knows."""
    data = message.payload() | {"ephemeral": message.ephemeral, "loading": message.loading}
    for told, users in zip(data.get("reactions", ()), message.reactions.values(), strict=False):
        told["people"] = [str(one) for one in users]
    if message.poll is not None:
        voters = {str(answer): [str(one) for one in users] for answer, users in message.poll.votes.items()}
        data["poll"] = data["poll"] | {"voters": voters}
    return data


def _member(member: Member) -> Json:
    roles = [str(role.id) for role in member.roles]
    return member.user.payload() | {"nick": member.nick, "roles": roles}
