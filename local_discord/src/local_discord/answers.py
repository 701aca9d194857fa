"""What the bot makes of an interaction: the first answer, and what comes after it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from local_discord import command_rules, message_rules
from local_discord.errors import FormErrors, invalid_form, unknown
from local_discord.forms import Form, draft
from local_discord.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Interaction
from local_discord.messages import EPHEMERAL, LOADING, Draft, Message
from local_discord.replies import Modal
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.world import World

MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
_IN_PLACE = (DEFERRED_UPDATE, UPDATE)
_PERMITTED = {
    COMMAND: (MESSAGE, DEFERRED_MESSAGE, MODAL),
    COMPONENT: (MESSAGE, DEFERRED_MESSAGE, *_IN_PLACE, MODAL),
    AUTOCOMPLETE: (CHOICES,),
    MODAL_SUBMIT: (MESSAGE, DEFERRED_MESSAGE, *_IN_PLACE),
}
_SLASH_REPLY = 20


class Answers:
    """Each method is one request of the bot, already parsed."""

    def __init__(self, world: World) -> None:
        self._world = world

    def acknowledge(self, interaction: Interaction, form: Form) -> Json:
        """The first answer; what Discord tells of it."""
        body = form.object()
        kind, data = body.get("type"), body.get("data") or {}
        if kind not in _PERMITTED[interaction.kind] or (kind in _IN_PLACE and interaction.source is None):
            raise invalid_form(("type",), "That type cannot answer this interaction.")
        if not isinstance(data, dict):
            raise invalid_form(("data",), "Only dictionaries may be used in this field.")
        match kind:
            case 4 | 5:
                self._open(interaction, data, form.files, loading=kind == DEFERRED_MESSAGE)
            case 6 | 7:
                self._take_over_source(interaction, data, form.files, changed=kind == UPDATE)
            case 8:
                self._propose(interaction, data)
            case _:
                message_rules.check_modal(data)
                interaction.reply.modal = Modal(interaction.person, data, interaction)
        self._acknowledged(interaction, int(kind))
        return self._told(interaction, int(kind))

    def follow_up(self, interaction: Interaction, form: Form) -> Message:
        """The first one after “thinking” takes its place."""
        data = form.object()
        original = interaction.original
        if original is not None and original.loading and not original.deleted:
            return self.edit(interaction, original, form)
        written = draft(data, form.files, self._world.snowflakes)
        written.flags |= _ephemeral(data)
        message = self._post(interaction, written, kind=0)
        interaction.reply.show(message)
        return message

    def find(self, interaction: Interaction, name: str) -> Message:
        if name == "@original":
            message = interaction.original
        else:
            message = interaction.messages.get(int(name)) if name.isdigit() else None
        if message is None or message.deleted:
            raise unknown("Message")
        return message

    def edit(self, interaction: Interaction, message: Message, form: Form) -> Message:
        written = draft(form.object(), form.files, self._world.snowflakes, message.attachments)
        self._world.posts.edit(message, written)
        interaction.reply.show(message)
        return message

    def delete(self, interaction: Interaction, message: Message) -> None:
        self._world.posts.delete(message)
        if message in interaction.reply.messages:
            interaction.reply.messages.remove(message)
        interaction.reply.notify()

    def _open(
        self, interaction: Interaction, data: Json, files: dict[int, tuple[str, bytes]], *, loading: bool
    ) -> None:
        written = Draft() if loading else draft(data, files, self._world.snowflakes)
        written.flags |= _ephemeral(data) | (LOADING if loading else 0)
        kind = _SLASH_REPLY if interaction.kind == COMMAND else 0
        interaction.original = self._post(interaction, written, kind=kind)
        if not loading:
            interaction.reply.messages.append(interaction.original)

    def _take_over_source(
        self, interaction: Interaction, data: Json, files: dict[int, tuple[str, bytes]], *, changed: bool
    ) -> None:
        source = interaction.source
        assert source is not None
        if changed:
            self._world.posts.edit(source, draft(data, files, self._world.snowflakes, source.attachments))
            interaction.reply.messages.append(source)
        interaction.original = interaction.messages[source.id] = source
        interaction.reply.updates_in_place = True

    def _propose(self, interaction: Interaction, data: Json) -> None:
        errors = FormErrors()
        types = command_rules.choice_types(_focused_type(interaction.data["options"]))
        command_rules.check_choices(errors, ("data", "choices"), data.get("choices", []), types)
        errors.raise_any()
        interaction.reply.choices = [
            {"name": choice["name"], "value": choice["value"]} for choice in data.get("choices", [])
        ]

    def _acknowledged(self, interaction: Interaction, kind: int) -> None:
        interaction.acknowledged_with = kind
        if interaction.deadline is not None:
            interaction.deadline.cancel()
        interaction.reply.ack_ms = (time.monotonic() - interaction.started_at) * 1000
        interaction.reply.deferred = kind in (DEFERRED_MESSAGE, DEFERRED_UPDATE)
        interaction.reply.notify()

    def _told(self, interaction: Interaction, kind: int) -> Json:
        about: Json = {"id": str(interaction.id), "type": interaction.kind}
        resource: Json = {"type": kind}
        message = interaction.original
        if message is not None:
            about["response_message_id"] = str(message.id)
            about["response_message_loading"] = message.loading
            about["response_message_ephemeral"] = message.ephemeral
            if kind in (MESSAGE, UPDATE):
                resource["message"] = message.payload()
        return {"interaction": about, "resource": resource}

    def _post(self, interaction: Interaction, written: Draft, *, kind: int) -> Message:
        message = self._world.posts.create(
            self._world.bot_user,
            interaction.channel,
            written,
            kind=kind,
            origin=interaction.origin(self._world.application_id),
            seen_by=interaction.person,
        )
        interaction.messages[message.id] = message
        return message


def _ephemeral(data: Json) -> int:
    flags = data.get("flags")
    return flags & EPHEMERAL if isinstance(flags, int) else 0


def _focused_type(options: list[Json]) -> int:
    """Of the option being typed, which may be below a sub-command."""
    for option in options:
        if option.get("focused"):
            return int(option["type"])
        if nested := _focused_type(option.get("options") or []):
            return nested
    return 0
