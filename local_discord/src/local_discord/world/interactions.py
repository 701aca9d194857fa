"""Interactions: from a person's click or command to the bot, with the deadline that the bot has."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from secrets import token_urlsafe

from local_discord.errors import ApiError, unknown
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message
from local_discord.world.core import Core
from local_discord.world.replies import Modal, Reply
from local_discord.world.shelves import Shelf
from local_discord.world.users import User

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
_KEPT = 2000


@dataclass(eq=False)
class Interaction:
    """What one act of a person is to the bot, until its token expires; times are the clock's, monotonic."""

    id: int
    kind: int
    user: User
    channel: Channel
    token: str
    reply: Reply
    started_at: float
    command: str | None = None
    source: Message | None = None
    trigger: Json | None = None
    """Of a modal's submission, what is told of the interaction that opened it."""
    data: Json = field(default_factory=dict)
    acknowledged_with: int | None = None
    """The kind of the first answer; None before it."""
    original: Message | None = None
    """The first answer's message, or the one it changes in place."""
    messages: dict[int, Message] = field(default_factory=dict)
    """By id, those that its token may change."""
    deadline: asyncio.TimerHandle | None = None

    def metadata(self) -> Json:
        """What a message, or a later interaction, tells of it."""
        kind = COMMAND if self.kind == AUTOCOMPLETE else self.kind
        metadata: Json = {
            "id": str(self.id),
            "type": kind,
            "user": self.user.payload(),
            "authorizing_integration_owners": self.integration_owners(),
        }
        if self.original is not None:
            metadata["original_response_message_id"] = str(self.original.id)
        if self.source is not None and kind == COMPONENT:
            metadata["interacted_message_id"] = str(self.source.id)
        if self.trigger is not None:
            metadata["triggering_interaction_metadata"] = self.trigger
        return metadata

    def origin(self, application_id: int) -> Json:
        """What a message tells of the interaction it answers."""
        metadata = self.metadata()
        origin: Json = {
            "webhook_id": str(application_id),
            "application_id": str(application_id),
            "interaction_metadata": metadata,
        }
        if self.command is not None and self.original is None:
            told = {key: metadata[key] for key in ("id", "type", "user")}
            origin["interaction"] = told | {"name": self.command}
        return origin

    def integration_owners(self) -> Json:
        """By whom the application was installed where this happened: by the guild, or 0 in direct messages."""
        return {"0": str(self.channel.guild_id or 0)}


class Interactions:
    """Every interaction whose token still counts."""

    def __init__(self, core: Core, entitlements: Shelf) -> None:
        self._core = core
        self._entitlements = entitlements
        self._by_id: dict[int, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}

    def invoke(self, user: User, channel: Channel, name: str, data: Json, *, kind: int = COMMAND) -> Reply:
        """A command, or with another kind its autocomplete; the reply grows as the bot answers."""
        interaction = self._new(kind, user, channel)
        interaction.command = name
        return self._send(interaction, data)

    def use_component(self, user: User, message: Message, data: Json) -> Reply:
        """A click on a button, or a choice in a menu, of that message."""
        interaction = self._new(COMPONENT, user, message.channel)
        interaction.source = message
        return self._send(interaction, data)

    def submit(self, modal: Modal, data: Json) -> Reply:
        """The bot may answer in the message whose component opened the modal."""
        interaction = self._new(MODAL_SUBMIT, modal.user, modal.channel)
        interaction.source, interaction.trigger = modal.source, modal.trigger
        return self._send(interaction, data)

    def awaiting(self, interaction_id: int, token: str) -> Interaction:
        """The interaction that a callback may still acknowledge, or Discord's `ApiError` for why it may not."""
        interaction = self._by_id.get(interaction_id)
        if interaction is None or interaction.token != token or interaction.reply.failed:
            raise unknown("interaction")
        if interaction.acknowledged_with is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        return interaction

    def acknowledged(self, application_id: int, token: str) -> Interaction:
        """The interaction that a webhook call with its token goes on with, or Discord's `ApiError`."""
        interaction = self._by_token.get(token)
        if interaction is None or application_id != self._core.application_id:
            raise unknown("Webhook")
        if interaction.acknowledged_with is None:
            raise unknown("Webhook")
        if self._now() - interaction.started_at > self._core.settings.token_lifetime_s:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction

    def expire_overdue(self) -> None:
        """The clock was moved: whoever had to answer by now has not."""
        limit = self._now() - self._core.settings.callback_deadline_s
        for interaction in self._by_id.values():
            if interaction.started_at < limit:
                self._expire(interaction)

    def close(self) -> None:
        """Stop the clocks of whatever is unanswered."""
        for interaction in self._by_id.values():
            if interaction.deadline is not None:
                interaction.deadline.cancel()

    def _now(self) -> float:
        return self._core.clock.monotonic()

    def _new(self, kind: int, user: User, channel: Channel) -> Interaction:
        number, token = self._core.snowflakes.next(), token_urlsafe(48)
        interaction = Interaction(number, kind, user, channel, token, Reply(number, token), self._now())
        self._by_id[number] = self._by_token[token] = interaction
        if len(self._by_id) > _KEPT:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            del self._by_token[oldest.token]
        return interaction

    def _send(self, interaction: Interaction, data: Json) -> Reply:
        interaction.data = data
        self._tell(interaction)
        loop = asyncio.get_running_loop()
        interaction.deadline = loop.call_later(self._core.settings.callback_deadline_s, self._expire, interaction)
        return interaction.reply

    def _tell(self, interaction: Interaction) -> None:
        """The bot, also of what happens in a channel that it does not see."""
        guild, payload = interaction.channel.guild, self._payload(interaction)
        if guild is None:
            self._core.events.emit("INTERACTION_CREATE", payload)
        else:
            guild.emit("INTERACTION_CREATE", payload)

    def _expire(self, interaction: Interaction) -> None:
        if interaction.acknowledged_with is None:
            interaction.reply.failed = True
            interaction.reply.notify()

    def _entitled(self, user: User, channel: Channel) -> list[Json]:
        """What the user and the guild have bought."""
        owners = {"user_id": str(user.id), "guild_id": str(channel.guild_id)}
        every = self._entitlements.items()
        return [one for one in every if any(one.get(key) == owner for key, owner in owners.items())]

    def _payload(self, interaction: Interaction) -> Json:
        user, channel = interaction.user, interaction.channel
        payload: Json = {
            "id": str(interaction.id),
            "application_id": str(self._core.application_id),
            "type": interaction.kind,
            "data": interaction.data,
            "token": interaction.token,
            "version": 1,
            "channel_id": str(channel.id),
            "channel": channel.payload() | {"permissions": str(channel.permissions_of(user))},
            "app_permissions": str(channel.permissions_of(self._core.bot)),
            "locale": user.locale,
            "entitlements": self._entitled(user, channel),
            "authorizing_integration_owners": interaction.integration_owners(),
            "context": 0 if channel.guild else 1,
            "attachment_size_limit": 10 * 1024 * 1024,
        }
        if interaction.source is not None:
            payload["message"] = interaction.source.payload()
        return payload | _asker(user, channel)


def _asker(user: User, channel: Channel) -> Json:
    """Who asks, and in which guild: clients tell a direct message by the keys that are absent."""
    guild = channel.guild
    if guild is None:
        return {"user": user.payload()}
    return {
        "guild_id": str(guild.id),
        "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
        "guild_locale": "en-US",
        "member": guild.member_payload(user),
    }
