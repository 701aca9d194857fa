"""What there is in a local Discord, as a world's file says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from bot.local.world_model import (
    EVERYBODY,
    KINDS,
    Bot,
    ChannelEntry,
    MemberEntry,
    OverwriteEntry,
    PersonEntry,
    Reference,
    RoleEntry,
    ServerEntry,
    WorldFile,
)
from local_discord import Channel, Guild, LocalDiscord, Member, Person, Role
from local_discord.rules.channel_rules import CATEGORY, details_of
from local_discord.rules.permissions import BITS
from local_discord.rules.permissions import EVERYONE as ORDINARY
from local_discord.world.application import token_of
from local_discord.world.overwrites import ROLE, Overwrite
from local_discord.world.users import User

_KIND_NAMES = {number: name for name, number in KINDS.items()}

Naming = Callable[[User | Role | Channel], Reference]


def describe_world(discord: LocalDiscord) -> WorldFile:
    """All that a file has room for, with all ids."""
    people = [user for user in discord.world.users.values() if isinstance(user, Person)]
    bot = discord.bot_user
    name_user = _naming([*people, bot])
    return WorldFile(
        bot=Bot(id=bot.id, name=bot.name, owner=name_user(discord.owner), token=_reset_token(discord)),
        people=[PersonEntry(id=one.id, name=one.name, locale=one.locale, dms_closed=one.dms_closed) for one in people],
        servers=[_ServerDescription(guild, bot, name_user).whole() for guild in discord.world.guilds.values()],
    )


def _reset_token(discord: LocalDiscord) -> str | None:
    """Nothing for the one that goes without saying."""
    return None if discord.token == token_of(discord.application_id) else discord.token


class _ServerDescription:
    """One server; each thing in it is referred to in the same way everywhere."""

    def __init__(self, guild: Guild, bot: User, name_user: Naming) -> None:
        self._guild, self._bot, self._name_user = guild, bot, name_user
        self._roles = sorted(guild.roles.values(), key=lambda role: role.position)
        self._channels = sorted(guild.channels.values(), key=lambda one: (one.position, one.id))
        self._name_role = _naming(self._roles)
        self._name_category = _naming(one for one in self._channels if one.kind == CATEGORY)

    def whole(self) -> ServerEntry:
        guild = self._guild
        return ServerEntry(
            id=guild.id,
            name=guild.name,
            owner=self._name_user(guild.owner),
            bot=guild.has_bot,
            roles=[_role(role) for role in self._roles if role.id != guild.id or role.permissions != ORDINARY],
            channels=[self._channel(channel) for channel in self._channels],
            members=[self._member(member) for member in guild.members.values() if self._is_worth_a_word(member)],
        )

    def _is_worth_a_word(self, member: Member) -> bool:
        return bool(member.roles or member.nick or member.user not in (self._guild.owner, self._bot))

    def _member(self, member: Member) -> MemberEntry:
        roles = [self._name_role(role) for role in member.roles]
        return MemberEntry(name=self._name_user(member.user), nick=member.nick, roles=roles)

    def _channel(self, channel: Channel) -> ChannelEntry:
        ordinary = details_of(channel.kind)
        changed = {key: value for key, value in channel.details.items() if value != ordinary.get(key)}
        return ChannelEntry.model_validate(
            {
                "id": channel.id,
                "name": channel.name,
                "kind": _KIND_NAMES[channel.kind],
                "category": self._name_category(channel.parent) if channel.parent else None,
                "overwrites": [made for one in channel.overwrites.values() if (made := self._overwrite(one))],
                **changed,
            }
        )

    def _overwrite(self, one: Overwrite) -> OverwriteEntry | None:
        """None for that of a role or member that is gone."""
        allow, deny = _permissions(one.allow), _permissions(one.deny)
        if one.kind == ROLE:
            role = self._guild.roles.get(one.id)
            return OverwriteEntry(role=self._name_role(role), allow=allow, deny=deny) if role else None
        member = self._guild.members.get(one.id)
        return OverwriteEntry(member=self._name_user(member.user), allow=allow, deny=deny) if member else None


def _role(role: Role) -> RoleEntry:
    permissions = _permissions(role.permissions)
    if role.name == EVERYBODY:
        return RoleEntry(name=role.name, permissions=permissions)
    return RoleEntry(
        id=role.id,
        name=role.name,
        permissions=permissions,
        color=role.color,
        hoist=role.hoist,
        mentionable=role.mentionable,
    )


def _naming(things: Iterable[User | Role | Channel]) -> Naming:
    """By name, and by id where several have that name."""
    things = list(things)
    often = Counter(one.name for one in things)
    names: dict[int, Reference] = {one.id: one.name if often[one.name] == 1 else one.id for one in things}
    return lambda one: names[one.id]


def _permissions(bits: int) -> list[str]:
    return [name for name, bit in BITS.items() if bits & bit]
