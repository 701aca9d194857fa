"""What groups of handlers share: finding what a path names, as far as the bot may."""

from __future__ import annotations

from abc import ABC, abstractmethod

from aiohttp import web

from local_discord.errors import ApiError, missing_access, missing_permissions, unknown
from local_discord.http.frame import Handler, number, reason_of
from local_discord.rules.permissions import BITS
from local_discord.wire import Json
from local_discord.world.audit_log import changes
from local_discord.world.channels import Channel, Message
from local_discord.world.guilds import Guild
from local_discord.world.memberships import Member, Membership, Role
from local_discord.world.users import User
from local_discord.world.world import World


class Group(ABC):
    """Each handler is one request; the bot acts as itself. What it may not do is an `ApiError`, as Discord's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bot = world.core.bot

    @abstractmethod
    def table(self) -> dict[str, Handler]:
        """By the operation's name."""

    def _guild(self, request: web.Request, *permissions: str) -> Guild:
        """The path's, which the bot is in, and where it has all of the permissions."""
        guild = self._world.bots_guild(number(request, "guild_id"))
        granted = guild.permissions_of(self._bot)
        if not all(granted & BITS[permission] for permission in permissions):
            raise missing_permissions()
        return guild

    def _channel(self, request: web.Request, *permissions: str) -> Channel:
        """The path's, if the bot sees it and has all of the permissions there."""
        channel = self._world.bots_channel(number(request, "channel_id"))
        self._require(channel, *permissions)
        return channel

    def _guild_channel(self, request: web.Request, *permissions: str) -> tuple[Guild, Channel]:
        """The same, but no direct one; and its guild."""
        channel = self._channel(request, *permissions)
        if channel.guild_id is None:
            raise ApiError(403, 50003, "Cannot execute action on a DM channel")
        return self._world.guilds[channel.guild_id], channel

    def _message(self, request: web.Request, *permissions: str) -> Message:
        """The path's, in the path's channel."""
        message = self._channel(request, *permissions).messages.get(number(request, "message_id"))
        if message is None:
            raise unknown("Message")
        return message

    def _history(self, channel: Channel) -> list[Message]:
        """Oldest first; none for a bot that may not read what was before, which is no error."""
        may_read = channel.permissions_of(self._bot) & BITS["read_message_history"]
        return list(channel.messages.values()) if may_read else []

    def _user(self, request: web.Request) -> User:
        return self._world.user(number(request, "user_id"))

    def _member(self, guild: Guild, user: User) -> Member:
        if user.id not in guild.members:
            raise unknown("Member")
        return guild.members[user.id]

    def _role(self, guild: Guild, role_id: int) -> Role:
        if role_id not in guild.roles:
            raise unknown("Role")
        return guild.roles[role_id]

    def _require(self, channel: Channel, *permissions: str) -> None:
        """The bot sees the channel, and has all of these permissions there."""
        granted = channel.permissions_of(self._bot)
        if not granted & BITS["view_channel"]:
            raise missing_access()
        if not all(granted & BITS[permission] for permission in permissions):
            raise missing_permissions()

    def _require_above(self, guild: Guild, position: int) -> None:
        """The bot's highest role stands above that position."""
        if guild.top_position(self._bot) <= position:
            raise missing_permissions()

    def _require_over(self, guild: Guild, user: User) -> None:
        """The user's highest role stands below the bot's; itself it may change."""
        if user is not self._bot:
            self._require_above(guild, guild.top_position(user))

    def _note(
        self,
        request: web.Request,
        guild: Membership,
        action: int,
        target_id: int | None,
        *,
        before: Json | None = None,
        after: Json | None = None,
        options: Json | None = None,
    ) -> None:
        """One more entry in the audit log, with what is different between two payloads; none for no difference."""
        told = changes(before or {}, after or {})
        if told or before is None or after is None:
            reason = reason_of(request)
            guild.audit_log.note(action, self._bot, target_id, reason=reason, changes=told, options=options)
