"""A local Discord with what stands in a world's file."""

from __future__ import annotations

from bot.local.world_model import (
    EVERYBODY,
    KINDS,
    ChannelEntry,
    MemberEntry,
    OverwriteEntry,
    PersonEntry,
    Reference,
    RoleEntry,
    ServerEntry,
    WorldFile,
)
from local_discord import Channel, LocalDiscord, Person, Role
from local_discord.rules.channel_rules import CATEGORY, TEXT, whole_tag
from local_discord.rules.permissions import bits
from local_discord.world.overwrites import MEMBER, ROLE, Overwrite
from local_discord.world.users import User


class UnknownReference(Exception):
    """Something is named that isn't there, or that several are; `place` is where, as `servers[0].owner`."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place, self._problem = place, problem

    def __str__(self) -> str:
        return f"{self.place}: {self._problem}"


def build_world(world: WorldFile, discord: LocalDiscord) -> None:
    """Before a bot has connected. `UnknownReference` for what is named and isn't there."""
    people = [_add_person(entry, discord) for entry in world.people]
    discord.bot_user.name = world.bot.name
    owner = people[0] if world.bot.owner is None else _find(people, world.bot.owner, "bot.owner")
    discord.hand_over(owner)
    for index, entry in enumerate(world.servers):
        _ServerBuilder(discord, people, entry, f"servers[{index}]").build()


def _add_person(entry: PersonEntry, discord: LocalDiscord) -> Person:
    person = discord.add_person(entry.name, user_id=entry.id)
    person.locale, person.dms_closed = entry.locale, entry.dms_closed
    return person


class _ServerBuilder:
    """One server; what stands in the file is looked for by name, or by id."""

    def __init__(self, discord: LocalDiscord, people: list[Person], entry: ServerEntry, place: str) -> None:
        self._discord, self._entry, self._place = discord, entry, place
        self._users: list[User] = [*people, discord.bot_user]
        owner = _find(people, entry.owner, f"{place}.owner")
        self._guild = discord.add_guild(entry.name, owner, guild_id=entry.id)

    def build(self) -> None:
        for role in self._entry.roles:
            self._add_role(role)
        for index, member in enumerate(self._entry.members):
            self._add_member(member, f"{self._place}.members[{index}]")
        self._add_channels()
        if not self._entry.bot:
            self._guild.kick_bot()

    def _add_role(self, entry: RoleEntry) -> None:
        if entry.name == EVERYBODY:
            self._guild.edit_role(self._guild.roles[self._guild.id], entry.permissions)
            return
        role = self._guild.add_role(entry.name, entry.permissions, role_id=entry.id)
        role.color, role.hoist, role.mentionable = entry.color, entry.hoist, entry.mentionable

    def _add_member(self, entry: MemberEntry, place: str) -> None:
        user = _find(self._users, entry.name, f"{place}.name")
        member = self._guild.members.get(user.id) or self._guild.add_member(user)
        member.nick = entry.nick
        member.roles = [self._role(role, f"{place}.roles[{index}]") for index, role in enumerate(entry.roles)]

    def _add_channels(self) -> None:
        """Categories first: channels may stand before theirs."""
        guild = self._guild
        guild.channels.clear()
        entries = sorted(enumerate(self._entry.channels), key=lambda each: each[1].kind != "category")
        for index, entry in entries:
            self._add_channel(entry, f"{self._place}.channels[{index}]").position = index
        first = next((one for one in guild.channels.values() if one.kind == TEXT), None)
        guild.details["system_channel_id"] = str(first.id) if first else None
        guild.general = first or guild.general

    def _add_channel(self, entry: ChannelEntry, place: str) -> Channel:
        guild = self._guild
        categories = [one for one in guild.channels.values() if one.kind == CATEGORY]
        parent = None if entry.category is None else _find(categories, entry.category, f"{place}.category")
        channel = guild.add_channel(entry.name, KINDS[entry.kind], parent=parent, channel_id=entry.id)
        channel.details |= entry.details
        tags, new_id = channel.details.get("available_tags", []), self._discord.world.core.snowflakes.next
        channel.details |= {"available_tags": [whole_tag(tag, new_id()) for tag in tags]} if tags else {}
        for index, overwrite in enumerate(entry.overwrites):
            made = self._overwrite(overwrite, f"{place}.overwrites[{index}]")
            channel.overwrites[made.id] = made
        return channel

    def _overwrite(self, entry: OverwriteEntry, place: str) -> Overwrite:
        if entry.role is not None:
            whose, kind = self._role(entry.role, f"{place}.role").id, ROLE
        else:
            whose, kind = _find(self._users, entry.member or "", f"{place}.member").id, MEMBER
        return Overwrite(whose, kind, bits(entry.allow), bits(entry.deny))

    def _role(self, reference: Reference, place: str) -> Role:
        return _find(list(self._guild.roles.values()), reference, place)


def _find[Thing: (User, Person, Role, Channel)](things: list[Thing], reference: Reference, place: str) -> Thing:
    found = [one for one in things if reference in (one.id, one.name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownReference(place, f"several are called “{reference}”: give the id")
    known = ", ".join(one.name for one in things) or "none"
    raise UnknownReference(place, f"there is no “{reference}”; there is {known}")
