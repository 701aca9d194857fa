"""Interactions: from a person's click or command to the bot, with the deadline that the bot has."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from local_discord.errors import ApiError, unknown
from local_discord.replies import Modal, Reply
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.channels import Channel
    from local_discord.messages import Message
    from local_discord.people import Person
    from local_discord.world import World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5
_KEPT = 2000


@dataclass(eq=False)
class Interaction:
    """What one act of a person is to the bot, until its token expires."""

    id: int
    kind: int
    person: Person
    channel: Channel
    token: str
    reply: Reply
    command: str | None = None
    source: Message | None = None
    data: Json = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)
    acknowledged_with: int | None = None
    original: Message | None = None
    messages: dict[int, Message] = field(default_factory=dict)
    deadline: asyncio.TimerHandle | None = None

    def origin(self, application_id: int) -> Json:
        """What a message tells of the interaction it answers."""
        user = self.person.payload()
        kind = COMMAND if self.kind == AUTOCOMPLETE else self.kind
        metadata: Json = {
            "id": str(self.id),
            "type": kind,
            "user": user,
            "authorizing_integration_owners": self.integration_owners(),
        }
        if self.original is not None:
            metadata["original_response_message_id"] = str(self.original.id)
        if self.source is not None and kind == COMPONENT:
            metadata["interacted_message_id"] = str(self.source.id)
        origin: Json = {
            "webhook_id": str(application_id),
            "application_id": str(application_id),
            "interaction_metadata": metadata,
        }
        if self.command is not None and self.original is None:
            origin["interaction"] = {"id": str(self.id), "type": kind, "name": self.command, "user": user}
        return origin

    def integration_owners(self) -> Json:
        return {"0": str(self.channel.guild_id or 0)}


class Interactions:
    """Every interaction whose token still counts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_id: dict[int, Interaction] = {}
        self._by_token: dict[str, Interaction] = {}

    def invoke(self, person: Person, channel: Channel, name: str, data: Json, *, kind: int = COMMAND) -> Reply:
        interaction = self._new(kind, person, channel)
        interaction.command = name
        return self._send(interaction, data)

    def use_component(self, person: Person, message: Message, data: Json) -> Reply:
        interaction = self._new(COMPONENT, person, message.channel)
        interaction.source = message
        return self._send(interaction, data)

    def submit(self, modal: Modal, data: Json) -> Reply:
        interaction = self._new(MODAL_SUBMIT, modal.person, modal.interaction.channel)
        interaction.source = modal.interaction.source
        return self._send(interaction, data)

    def awaiting(self, interaction_id: int, token: str) -> Interaction:
        """The interaction that a callback may still acknowledge."""
        interaction = self._by_id.get(interaction_id)
        if interaction is None or interaction.token != token or interaction.reply.failed:
            raise unknown("interaction")
        if interaction.acknowledged_with is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        return interaction

    def acknowledged(self, application_id: int, token: str) -> Interaction:
        """The interaction that a webhook call with its token goes on with."""
        interaction = self._by_token.get(token)
        if interaction is None or application_id != self._world.application_id:
            raise unknown("Webhook")
        if interaction.acknowledged_with is None:
            raise unknown("Webhook")
        if time.monotonic() - interaction.started_at > self._world.token_lifetime_s:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction

    def close(self) -> None:
        for interaction in self._by_id.values():
            if interaction.deadline is not None:
                interaction.deadline.cancel()

    def _new(self, kind: int, person: Person, channel: Channel) -> Interaction:
        number, token = self._world.snowflakes.next(), token_urlsafe(48)
        interaction = Interaction(number, kind, person, channel, token, Reply(number, token))
        self._by_id[number] = self._by_token[token] = interaction
        if len(self._by_id) > _KEPT:
            oldest = self._by_id.pop(next(iter(self._by_id)))
            del self._by_token[oldest.token]
        return interaction

    def _send(self, interaction: Interaction, data: Json) -> Reply:
        interaction.data = data
        payload = self._payload(interaction, data)
        guild = interaction.channel.guild
        if guild is not None:
            guild.emit("INTERACTION_CREATE", payload)
        else:
            self._world.gateway.emit("INTERACTION_CREATE", payload)
        loop = asyncio.get_running_loop()
        interaction.deadline = loop.call_later(self._world.callback_deadline_s, self._expire, interaction)
        return interaction.reply

    def _expire(self, interaction: Interaction) -> None:
        if interaction.acknowledged_with is None:
            interaction.reply.failed = True
            interaction.reply.notify()

    def _payload(self, interaction: Interaction, data: Json) -> Json:
        person, channel = interaction.person, interaction.channel
        payload: Json = {
            "id": str(interaction.id),
            "application_id": str(self._world.application_id),
            "type": interaction.kind,
            "data": data,
            "token": interaction.token,
            "version": 1,
            "channel_id": str(channel.id),
            "channel": channel.payload() | {"permissions": str(channel.permissions_of(person))},
            "app_permissions": str(channel.permissions_of(self._world.bot_user)),
            "locale": person.locale,
            "entitlements": [],
            "authorizing_integration_owners": interaction.integration_owners(),
            "context": 0 if channel.guild else 1,
            "attachment_size_limit": 10 * 1024 * 1024,
        }
        if interaction.source is not None:
            payload["message"] = interaction.source.payload()
        if channel.guild is None:
            return payload | {"user": person.payload()}
        guild = channel.guild
        return payload | {
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": guild.member_payload(person),
        }
