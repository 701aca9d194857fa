"""Webhooks: who holds a webhook's token writes in its channel, under any name."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_urlsafe

from local_discord.errors import unknown
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.core import Core
from local_discord.world.users import User

INCOMING, FOLLOWER = 1, 2


@dataclass(eq=False)
class Webhook:
    """In one channel. A follower has no token: it is what another channel's announcements come by."""

    id: int
    channel: Channel
    name: str
    creator: User
    application_id: int
    kind: int = INCOMING
    avatar: str | None = None
    token: str | None = None
    source: Channel | None = None
    """The channel that a follower follows."""

    def author(self, name: str | None = None) -> User:
        """Whose a message is that is written by it, under another name if one is given."""
        return User(self.id, name or self.name, bot=True)

    def payload(self) -> Json:
        """As whoever may manage webhooks sees it."""
        data = self.payload_by_token() | {"user": self.creator.payload()}
        if self.source is not None and self.source.guild is not None:
            data["source_guild"] = {"id": str(self.source.guild_id), "name": self.source.guild.name, "icon": None}
            data["source_channel"] = {"id": str(self.source.id), "name": self.source.name}
        return data

    def payload_by_token(self) -> Json:
        """As whoever has its token sees it: not who made it."""
        data: Json = {
            "id": str(self.id),
            "type": self.kind,
            "guild_id": str(self.channel.guild_id),
            "channel_id": str(self.channel.id),
            "name": self.name,
            "avatar": self.avatar,
            "application_id": str(self.application_id) if self.kind == INCOMING else None,
        }
        return data | ({"token": self.token} if self.token is not None else {})


class Webhooks:
    """Those of every channel. A channel that is gone has none."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._by_id: dict[int, Webhook] = {}

    def create(self, channel: Channel, name: str, *, source: Channel | None = None) -> Webhook:
        """The bot's; with a source, one by which announcements come."""
        core = self._core
        webhook = Webhook(core.snowflakes.next(), channel, name, core.bot, core.application_id, source=source)
        if source is None:
            webhook.token = token_urlsafe(51)
        else:
            webhook.kind = FOLLOWER
        self._by_id[webhook.id] = webhook
        self.announce(webhook)
        return webhook

    def get(self, webhook_id: int, token: str | None = None) -> Webhook:
        """By its id, and by its token too if one is given; “Unknown Webhook” for what matches none."""
        webhook = self._by_id.get(webhook_id)
        if webhook is None or (token is not None and token != webhook.token):
            raise unknown("Webhook")
        return webhook

    def listing(self, *channels: Channel) -> list[Webhook]:
        """Those in these channels."""
        return [webhook for webhook in self._by_id.values() if webhook.channel in channels]

    def followers(self, channel: Channel) -> list[Webhook]:
        """Those by which this channel's announcements come elsewhere."""
        return [webhook for webhook in self._by_id.values() if webhook.source is channel]

    def delete(self, webhook: Webhook) -> None:
        """Its token opens nothing any more."""
        del self._by_id[webhook.id]
        self.announce(webhook)

    def forget(self, channel: Channel) -> None:
        """The channel is gone."""
        for webhook in self.listing(channel):
            del self._by_id[webhook.id]

    def announce(self, webhook: Webhook) -> None:
        """Something about the channel's webhooks has changed."""
        channel = webhook.channel
        channel.emit("WEBHOOKS_UPDATE", {"guild_id": str(channel.guild_id), "channel_id": str(channel.id)})
