"""Who acts as Discord's client lets them: what they see, and what they may do there."""

from __future__ import annotations

from collections.abc import Callable

from local_discord.errors import UsageError
from local_discord.gateway.gateway import Gateway
from local_discord.rules.permissions import BITS
from local_discord.world.channels import Channel, Message
from local_discord.world.guilds import Guild
from local_discord.world.users import User
from local_discord.world.world import World

MISSING_ACCESS, MISSING_PERMISSIONS = 50001, 50013


class Actor(User):
    """A user with a client. What that would not let them do is a `UsageError`, with Discord's code."""

    def __init__(self, world: World, gateway: Gateway, name: str, *, user_id: int | None = None) -> None:
        super().__init__(user_id or world.core.snowflakes.next(), name)
        self._world = world
        self._gateway = gateway

    @property
    def dm_channel(self) -> Channel:
        """The one with the bot."""
        return self._world.dm_channel(self)

    @property
    def inbox(self) -> list[Message]:
        """What the bot has written to them by itself, oldest first; its answers are in replies."""
        return self._world.inboxes[self.id].messages

    async def wait_for_dm(self, wanted: Callable[[Message], bool] = lambda _: True, timeout: float = 5) -> Message:
        """The first message in the inbox that is wanted, now or when it comes; `TimeoutError` after so many seconds."""
        return await self._world.inboxes[self.id].wait_for(wanted, timeout)

    async def wait_for_message(
        self,
        channel: Channel,
        wanted: Callable[[Message], bool] = lambda _: True,
        *,
        after: Message | None = None,
        timeout: float = 5,
    ) -> Message:
        """The bot's first message there, after another if one is named, that is wanted, now or when it comes or is
        edited; `TimeoutError` tells what has come instead."""
        self._require_access(channel, "read_message_history")
        said = self._said_by_bot(channel, after.id if after else 0)
        try:
            return await channel.changed.wait_until(lambda: next(filter(wanted, said()), None), timeout)
        except TimeoutError:
            told = [message.content for message in said()]
            raise TimeoutError(f"The bot did not write that in #{channel.name}. It wrote: {told}") from None

    def _said_by_bot(self, channel: Channel, after: int) -> Callable[[], list[Message]]:
        bot = self._world.core.bot
        return lambda: [one for number, one in channel.messages.items() if number > after and one.author is bot]

    def _place(self, channel: Channel | None) -> Channel:
        place = channel or self.dm_channel
        self._require_access(place)
        return place

    def _require_access(self, channel: Channel, *permissions: str) -> None:
        """They see it, and have all of these permissions there."""
        if channel.guild is None:
            if channel.recipient is not self:
                raise UsageError(f"{self.name} cannot see the direct messages of {channel.name}.", MISSING_ACCESS)
            return
        channel.guild.require_member(self)
        granted = channel.permissions_of(self)
        if not granted & BITS["view_channel"]:
            raise UsageError(f"{self.name} cannot see #{channel.name}.", MISSING_ACCESS)
        self._require(granted, permissions, f"#{channel.name}")

    def _require_permissions(self, guild: Guild, *permissions: str) -> None:
        guild.require_member(self)
        self._require(guild.permissions_of(self), permissions, guild.name)

    def _require(self, granted: int, permissions: tuple[str, ...], place: str) -> None:
        if missing := [one.replace("_", " ") for one in permissions if not granted & BITS[one]]:
            raise UsageError(f"{self.name} lacks in {place}: {', '.join(missing)}.", MISSING_PERMISSIONS)

    def _require_over(self, guild: Guild, user: User) -> None:
        """Their highest role stands above the user's."""
        if user is not self and guild.top_position(self) <= guild.top_position(user):
            raise UsageError(f"{user.name} stands as high as {self.name} in {guild.name}.", MISSING_PERMISSIONS)

    def _require_sight(self, message: Message) -> None:
        self._require_access(message.channel)
        if message.deleted:
            raise UsageError("The message is deleted.", 10008)
        if message.ephemeral and message.seen_by is not self:
            raise UsageError(f"{self.name} cannot see that ephemeral message.", 10008)
