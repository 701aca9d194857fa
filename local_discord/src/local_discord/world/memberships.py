"""Who is in a guild, with which roles, and what they may do there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from local_discord.clock import Clock
from local_discord.errors import UsageError
from local_discord.rules import permissions as rights
from local_discord.wire import Json
from local_discord.world.audit_log import AuditEntry, AuditLog
from local_discord.world.core import Core
from local_discord.world.users import User


@dataclass(slots=True, eq=False)
class Role:
    """`permissions` are bits; `position` counts from @everyone, which is 0."""

    id: int
    name: str
    permissions: int
    position: int
    color: int = 0
    hoist: bool = False
    mentionable: bool = False
    unicode_emoji: str | None = None

    def payload(self) -> Json:
        """As the API and the gateway show it."""
        colours = {"primary_color": self.color, "secondary_color": None, "tertiary_color": None}
        return {
            "id": str(self.id),
            "name": self.name,
            "permissions": str(self.permissions),
            "position": self.position,
            "color": self.color,
            "colors": colours,
            "hoist": self.hoist,
            "icon": None,
            "unicode_emoji": self.unicode_emoji,
            "managed": False,
            "mentionable": self.mentionable,
            "flags": 0,
        }


@dataclass(slots=True)
class Member:
    """A user in one guild; `roles` without @everyone, which every member has."""

    user: User
    roles: list[Role] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock, repr=False)
    joined_at: str = ""
    nick: str | None = None
    timed_out_until: str | None = None
    inactive_days: int = 0
    """How long nobody has seen them: whoever is pruned was away for long."""

    def __post_init__(self) -> None:
        self.joined_at = self.joined_at or self.clock.iso()

    @property
    def name(self) -> str:
        """What the guild calls them."""
        return self.nick or self.user.name

    @property
    def is_timed_out(self) -> bool:
        """Until its end they may only read."""
        until = self.timed_out_until
        return until is not None and datetime.fromisoformat(until) > self.clock.now()

    def partial(self) -> Json:
        """Without the user: so a member stands beside a user."""
        return {
            "roles": [str(role.id) for role in self.roles],
            "nick": self.nick,
            "avatar": None,
            "banner": None,
            "joined_at": self.joined_at,
            "premium_since": None,
            "communication_disabled_until": self.timed_out_until,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
        }

    def payload(self) -> Json:
        """With the user in it."""
        return self.partial() | {"user": self.user.payload()}


class Membership:
    """A guild as its channels know it; the bot hears of it while it is in it and no outage is on."""

    def __init__(self, core: Core, guild_id: int, name: str, owner: User) -> None:
        self._core = core
        self.id = guild_id
        self.name = name
        self.owner = owner
        self.has_bot = True
        self.unavailable = False
        self.roles = {guild_id: Role(guild_id, "@everyone", rights.EVERYONE, 0)}
        self.members = {user.id: Member(user, clock=core.clock) for user in (owner, core.bot)}
        self.bans: dict[int, tuple[User, str | None]] = {}
        """Who is banned, by user id, and the reason that was given."""
        self.audit_log = AuditLog(core.snowflakes, self._tell_entry)

    def emit(self, event: str, data: Json) -> None:
        """To the bot, if it is here and no outage keeps it from hearing."""
        if self.has_bot and not self.unavailable:
            self._core.events.emit(event, data, self.id)

    def add_role(self, name: str, permissions: int | Iterable[str] = 0, *, role_id: int | None = None) -> Role:
        """Nobody has it yet; permissions are bits, or names such as `manage_guild`."""
        role = Role(role_id or self._core.snowflakes.next(), name, rights.bits(permissions), len(self.roles))
        self.roles[role.id] = role
        self.emit("GUILD_ROLE_CREATE", {"guild_id": str(self.id), "role": role.payload()})
        return role

    def edit_role(self, role: Role, permissions: int | Iterable[str]) -> None:
        """Grant it these permissions, as bits or by name, instead of those that it has."""
        role.permissions = rights.bits(permissions)
        self.announce_role(role)

    def announce_role(self, role: Role) -> None:
        """It has changed."""
        self.emit("GUILD_ROLE_UPDATE", {"guild_id": str(self.id), "role": role.payload()})

    def insert_role(self, role: Role) -> None:
        """A new one just above @everyone, as the API makes them; those above move up."""
        for other in self.roles.values():
            other.position += other.position >= role.position
        self.roles[role.id] = role
        self.emit("GUILD_ROLE_CREATE", {"guild_id": str(self.id), "role": role.payload()})

    def remove_role(self, role: Role) -> None:
        """Whoever has it loses it; those above move down."""
        del self.roles[role.id]
        for other in self.roles.values():
            other.position -= other.position > role.position
        for member in self.members.values():
            member.roles = [one for one in member.roles if one is not role]
        self.emit("GUILD_ROLE_DELETE", {"guild_id": str(self.id), "role_id": str(role.id)})

    def top_position(self, user: User) -> int:
        """Of the user's highest role; the owner stands above all, and whoever is no member below all."""
        member = self.members.get(user.id)
        if member is None or user is self.owner:
            return -1 if member is None else 1 << 31
        return max((role.position for role in member.roles), default=0)

    def announce_member(self, member: Member) -> None:
        """It has changed."""
        self.emit("GUILD_MEMBER_UPDATE", member.payload() | {"guild_id": str(self.id)})

    def ban(self, user: User, reason: str | None = None) -> None:
        """Also somebody who is not in the guild."""
        self.bans[user.id] = (user, reason)
        self.emit("GUILD_BAN_ADD", {"guild_id": str(self.id), "user": user.payload()})
        if user.id in self.members:
            self.remove_member(user)

    def unban(self, user: User) -> None:
        """`KeyError` for somebody who is not banned."""
        del self.bans[user.id]
        self.emit("GUILD_BAN_REMOVE", {"guild_id": str(self.id), "user": user.payload()})

    def add_member(
        self, user: User, manage_guild: bool = False, permissions: int | Iterable[str] | None = None
    ) -> Member:
        """With a role of their own if they are granted more than @everyone; replaces a membership they have."""
        granted = rights.bits(permissions or 0) | (rights.BITS["manage_guild"] if manage_guild else 0)
        roles = [self.add_role(f"{user.name}'s role", granted)] if granted else []
        member = Member(user, roles, self._core.clock)
        event = "GUILD_MEMBER_UPDATE" if user.id in self.members else "GUILD_MEMBER_ADD"
        self.members[user.id] = member
        self.emit(event, member.payload() | {"guild_id": str(self.id)})
        return member

    def remove_member(self, user: User) -> None:
        """`UsageError` for somebody who is not in the guild; the bot is kicked."""
        self.require_member(user)
        if user is self._core.bot:
            self.kick_bot()
            return
        del self.members[user.id]
        self.emit("GUILD_MEMBER_REMOVE", {"guild_id": str(self.id), "user": user.payload()})

    def kick_bot(self) -> None:
        """The last that the bot hears of this guild; it hears it in an outage too."""
        self.unavailable = False
        self.emit("GUILD_DELETE", {"id": str(self.id)})
        self.has_bot = False
        self.members.pop(self._core.bot.id, None)

    def require_member(self, user: User) -> Member:
        """`UsageError` for somebody who is not in the guild."""
        member = self.members.get(user.id)
        if member is None:
            raise UsageError(f"{user.name} is not in {self.name}.")
        return member

    def permissions_of(self, user: User) -> int:
        """As bits; none for somebody who is not in the guild, all for its owner and for administrators."""
        member = self.members.get(user.id)
        if member is None:
            return 0
        granted = self.roles[self.id].permissions
        for role in member.roles:
            granted |= role.permissions
        if user is self.owner or granted & rights.ADMINISTRATOR:
            return rights.ALL
        return granted & rights.TIMED_OUT if member.is_timed_out else granted

    def _tell_entry(self, entry: AuditEntry) -> None:
        """Only a bot that may read the log hears of it."""
        if self.permissions_of(self._core.bot) & rights.BITS["view_audit_log"]:
            self.emit("GUILD_AUDIT_LOG_ENTRY_CREATE", entry.payload() | {"guild_id": str(self.id)})

    def member_payload(self, user: User) -> Json:
        """A member as interactions carry them, with permissions; also for somebody who has just left."""
        member = self.members.get(user.id) or Member(user, clock=self._core.clock)
        return member.payload() | {"permissions": str(self.permissions_of(user))}
