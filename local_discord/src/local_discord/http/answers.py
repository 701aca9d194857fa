"""What the bot makes of an interaction: the first answer, and what comes after it."""

from __future__ import annotations

from local_discord.errors import ApiError, FormErrors, invalid_form, unknown
from local_discord.http.forms import Form, Uploads, draft
from local_discord.rules import command_rules, message_rules
from local_discord.rules.message_rules import EPHEMERAL, LOADING
from local_discord.snowflakes import is_snowflake
from local_discord.wire import Json
from local_discord.world.channels import Message
from local_discord.world.core import Core
from local_discord.world.drafts import Draft
from local_discord.world.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL_SUBMIT, Interaction
from local_discord.world.posts import Posts
from local_discord.world.replies import Modal

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
    """Each method is one request of the bot, already parsed; what Discord would refuse is an `ApiError`."""

    def __init__(self, core: Core, posts: Posts) -> None:
        self._core = core
        self._posts = posts

    def acknowledge(self, interaction: Interaction, form: Form) -> Json:
        """The first answer; what Discord tells of it."""
        body = form.object()
        kind, data = body.get("type"), body.get("data") or {}
        if kind not in _PERMITTED[interaction.kind] or (kind in _IN_PLACE and interaction.source is None):
            raise invalid_form(("type",), "That type cannot answer this interaction.")
        if not isinstance(data, dict):
            raise invalid_form(("data",), "Only dictionaries may be used in this field.")
        self._take(interaction, int(kind), data, form.files)
        self._acknowledged(interaction, int(kind))
        return self._told(interaction, int(kind))

    def follow_up(self, interaction: Interaction, form: Form) -> Message:
        """Another message; the first one after “thinking” takes its place."""
        data = form.object()
        original = interaction.original
        if original is not None and original.loading and not original.deleted:
            return self.edit(interaction, original, form)
        written = draft(data, form.files, self._core.snowflakes)
        written.flags |= _ephemeral(data)
        message = self._post(interaction, written, kind=0)
        interaction.reply.show(message)
        return message

    def find(self, interaction: Interaction, name: str) -> Message:
        """By id, or as `@original`, which is the first answer's; “Unknown Message” if it has none such."""
        if name == "@original":
            message = interaction.original
        else:
            message = interaction.messages.get(int(name)) if is_snowflake(name) else None
        if message is None or message.deleted:
            raise unknown("Message")
        return message

    def edit(self, interaction: Interaction, message: Message, form: Form) -> Message:
        """The message, changed in place; the person sees it as the latest."""
        written = draft(form.object(), form.files, self._core.snowflakes, message)
        self._posts.edit(message, written)
        interaction.reply.show(message)
        return message

    def delete(self, interaction: Interaction, message: Message) -> None:
        """The person sees it no more."""
        self._posts.delete(message)
        if message in interaction.reply.messages:
            interaction.reply.messages.remove(message)
        interaction.reply.notify()

    def _take(self, interaction: Interaction, kind: int, data: Json, files: Uploads) -> None:
        if kind in (MESSAGE, DEFERRED_MESSAGE):
            self._open(interaction, data, files, loading=kind == DEFERRED_MESSAGE)
        elif kind in _IN_PLACE:
            self._take_over_source(interaction, data, files, changed=kind == UPDATE)
        elif kind == CHOICES:
            self._propose(interaction, data)
        else:
            message_rules.check_modal(data)
            place, source = interaction.channel, interaction.source
            interaction.reply.modal = Modal(interaction.user, data, place, source, interaction.metadata())

    def _open(self, interaction: Interaction, data: Json, files: Uploads, *, loading: bool) -> None:
        written = Draft() if loading else self._of_callback(data, files)
        written.flags |= _ephemeral(data) | (LOADING if loading else 0)
        kind = _SLASH_REPLY if interaction.kind == COMMAND else 0
        interaction.original = self._post(interaction, written, kind=kind)
        if not loading:
            interaction.reply.messages.append(interaction.original)

    def _take_over_source(self, interaction: Interaction, data: Json, files: Uploads, *, changed: bool) -> None:
        source = interaction.source
        assert source is not None
        if changed:
            self._posts.edit(source, self._of_callback(data, files, source))
            interaction.reply.messages.append(source)
        interaction.original = interaction.messages[source.id] = source
        interaction.reply.updates_in_place = True

    def _of_callback(self, data: Json, files: Uploads, earlier: Message | None = None) -> Draft:
        """What stands under `data` in the first answer."""
        try:
            return draft(data, files, self._core.snowflakes, earlier)
        except ApiError as refused:
            raise refused.within("data") from None

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
        interaction.reply.ack_ms = (self._core.clock.monotonic() - interaction.started_at) * 1000
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
        message = self._posts.create(
            self._core.bot,
            interaction.channel,
            written,
            kind=kind,
            origin=interaction.origin(self._core.application_id),
            seen_by=interaction.user,
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
