"""What people do who have the permission for it, as the audit log tells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from local_discord.errors import UsageError
from local_discord.people.actor import Actor
from local_discord.rules import command_permissions as kinds
from local_discord.wire import Json
from local_discord.world import audit_log
from local_discord.world.audit_log import changes, role_changes
from local_discord.world.channels import Channel, Message
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member, Role
from local_discord.world.users import User


class Moderator(Actor):
    """Each looks at the permission that it takes, and at who stands above whom."""

    async def kick(self, guild: Guild, user: User, *, reason: str | None = None) -> None:
        """Also the bot."""
        self._over(guild, user, "kick_members")
        guild.remove_member(user)
        guild.audit_log.note(audit_log.KICK, self, user.id, reason=reason)
        await self._gateway.flush()

    async def ban(self, guild: Guild, user: User, *, reason: str | None = None) -> None:
        """Also somebody who is not in the guild."""
        self._require_permissions(guild, "ban_members")
        self._require_over(guild, user)
        guild.ban(user, reason)
        guild.audit_log.note(audit_log.BAN, self, user.id, reason=reason)
        await self._gateway.flush()

    async def unban(self, guild: Guild, user: User, *, reason: str | None = None) -> None:
        """Let them in again."""
        self._require_permissions(guild, "ban_members")
        if user.id not in guild.bans:
            raise UsageError(f"{user.name} is not banned in {guild.name}.", 10026)
        guild.unban(user)
        guild.audit_log.note(audit_log.UNBAN, self, user.id, reason=reason)
        await self._gateway.flush()

    async def time_out(self, guild: Guild, user: User, until: datetime | None, *, reason: str | None = None) -> None:
        """They may only read until then; None ends it."""
        member = self._over(guild, user, "moderate_members")
        told = {"communication_disabled_until": until.isoformat() if until else None}
        await self._edit(guild, member, {"communication_disabled_until": member.timed_out_until}, told, reason)

    async def rename(self, guild: Guild, user: User, nick: str | None) -> None:
        """What the guild calls them, or oneself; None for their own name."""
        if user is self:
            self._require_permissions(guild, "change_nickname")
        member = guild.require_member(user) if user is self else self._over(guild, user, "manage_nicknames")
        await self._edit(guild, member, {"nick": member.nick}, {"nick": nick}, None)

    async def give_role(self, guild: Guild, user: User, role: Role) -> None:
        """Nothing if they have it."""
        member = self._roles_of(guild, user, role)
        await self._set_roles(guild, member, [*member.roles, *([] if role in member.roles else [role])])

    async def take_role(self, guild: Guild, user: User, role: Role) -> None:
        """Nothing if they do not have it."""
        member = self._roles_of(guild, user, role)
        await self._set_roles(guild, member, [one for one in member.roles if one is not role])

    async def pin(self, message: Message) -> None:
        """Nothing for one that is pinned."""
        self._require_pins(message)
        self._world.posts.pin(message, self)
        await self._gateway.flush()

    async def unpin(self, message: Message) -> None:
        """Nothing for one that is not pinned."""
        self._require_pins(message)
        self._world.posts.unpin(message)
        await self._gateway.flush()

    async def permit_command(
        self, guild: Guild, name: str | None, permissions: Mapping[Role | User | Channel | Guild, bool]
    ) -> None:
        """Who may use a command, and where, instead of what was set before; no name means all commands of the bot.

        The guild's role @everyone stands for all members, and the guild for all channels.
        """
        self._require_permissions(guild, "manage_guild", "manage_roles")
        command = self._world.commands.find(guild.id, name, self.locale) if name else None
        if name and command is None:
            raise UsageError(f"There is no command /{name} in {guild.name}.", 10063)
        if len(permissions) > kinds.MOST:
            raise UsageError(f"A command has at most {kinds.MOST} permissions.", 50035)
        set_for = int(command["id"]) if command else self._world.core.application_id
        told = [_set_for(who) | {"permission": allowed} for who, allowed in permissions.items()]
        self._world.commands.set_permissions(guild.id, set_for, told)
        await self._gateway.flush()

    def _over(self, guild: Guild, user: User, *permissions: str) -> Member:
        self._require_permissions(guild, *permissions)
        self._require_over(guild, user)
        return guild.require_member(user)

    async def _edit(
        self,
        guild: Guild,
        member: Member,
        before: dict[str, str | None],
        after: dict[str, str | None],
        reason: str | None,
    ) -> None:
        member.nick = after.get("nick", member.nick)
        member.timed_out_until = after.get("communication_disabled_until", member.timed_out_until)
        guild.announce_member(member)
        guild.audit_log.note(audit_log.MEMBER, self, member.user.id, reason=reason, changes=changes(before, after))
        await self._gateway.flush()

    def _roles_of(self, guild: Guild, user: User, role: Role) -> Member:
        self._require_permissions(guild, "manage_roles")
        if guild.top_position(self) <= role.position:
            raise UsageError(f"{role.name} stands as high as {self.name} in {guild.name}.", 50013)
        return guild.require_member(user)

    async def _set_roles(self, guild: Guild, member: Member, roles: list[Role]) -> None:
        told = role_changes(*([role.payload() for role in side] for side in (member.roles, roles)))
        member.roles = roles
        guild.announce_member(member)
        guild.audit_log.note(audit_log.MEMBER_ROLES, self, member.user.id, changes=told)
        await self._gateway.flush()

    def _require_pins(self, message: Message) -> None:
        self._require_sight(message)
        if message.channel.guild is not None:
            self._require_access(message.channel, "pin_messages")


def _set_for(who: Role | User | Channel | Guild) -> Json:
    if isinstance(who, Guild):
        return {"id": str(who.id - 1), "type": kinds.CHANNEL}
    kind = kinds.ROLE if isinstance(who, Role) else kinds.USER if isinstance(who, User) else kinds.CHANNEL
    return {"id": str(who.id), "type": kind}
