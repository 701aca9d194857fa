"""Webhooks, and what has their addresses: the answers that follow an interaction's first one."""

from __future__ import annotations

from aiohttp import web

from local_discord.errors import ApiError, FormErrors, invalid_form, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number, places, query_flag, query_number
from local_discord.http.group import Group
from local_discord.http.interaction_routes import InteractionRoutes
from local_discord.rules.channel_rules import POSTS, WITH_MESSAGES
from local_discord.rules.fields import image, optional, read_form, snowflake, text
from local_discord.wire import Json
from local_discord.world.audit_log import CREATED, DELETED, UPDATED, WEBHOOK
from local_discord.world.channels import Channel, Message
from local_discord.world.drafts import Draft
from local_discord.world.threads import Thread
from local_discord.world.webhooks import Webhook
from local_discord.world.world import World

_FIELDS = {"name": text(80, 1), "avatar": optional(image), "channel_id": optional(snowflake)}
_MOST = 15
_FORBIDDEN_NAMES = ("clyde", "discord")


class WebhookRoutes(Group):
    """The token in a path is all the authority there is; without one the bot needs “Manage Webhooks”."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._webhooks = world.webhooks
        self._interactions = InteractionRoutes(world)

    def table(self) -> dict[str, Handler]:
        webhook = "/webhooks/{webhook_id}"
        by_token = webhook + "/{webhook_token}"
        found: dict[str, Handler] = {
            "POST /channels/{channel_id}/webhooks": self._create,
            "GET /channels/{channel_id}/webhooks": self._of_channel,
            "GET /guilds/{guild_id}/webhooks": self._of_guild,
            f"GET {webhook}": self._show,
            f"PATCH {webhook}": self._edit,
            f"DELETE {webhook}": self._delete,
            f"GET {by_token}": self._show,
            f"PATCH {by_token}": self._edit,
            f"DELETE {by_token}": self._delete,
            f"POST {by_token}": self._either(self._interactions.follow_up, self._execute),
        }
        for message in (f"{by_token}/messages/@original", f"{by_token}/messages/{{message_id}}"):
            found[f"GET {message}"] = self._either(self._interactions.show, self._show_message)
            found[f"PATCH {message}"] = self._either(self._interactions.edit, self._edit_message)
            found[f"DELETE {message}"] = self._either(self._interactions.delete, self._delete_message)
        return found

    def _either(self, of_interaction: Handler, of_webhook: Handler) -> Handler:
        """An interaction's token stands beside the application's id."""

        async def handle(request: web.Request) -> web.Response:
            ours = number(request, "webhook_id") == self._world.core.application_id
            return await (of_interaction if ours else of_webhook)(request)

        return handle

    async def _create(self, request: web.Request) -> web.Response:
        guild, channel = self._guild_channel(request, "manage_webhooks")
        if channel.kind not in (*WITH_MESSAGES, *POSTS) or isinstance(channel, Thread):
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        form = _form((await forms.read(request)).data, "name")
        if len(self._webhooks.listing(channel)) >= _MOST:
            raise ApiError(400, 30007, f"Maximum number of webhooks reached ({_MOST})")
        webhook = self._webhooks.create(channel, form["name"])
        self._note(request, guild, WEBHOOK + CREATED, webhook.id, after=_logged(webhook))
        return answer(webhook.payload())

    async def _of_channel(self, request: web.Request) -> web.Response:
        _, channel = self._guild_channel(request, "manage_webhooks")
        return answer([webhook.payload() for webhook in self._webhooks.listing(channel)])

    async def _of_guild(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_webhooks")
        return answer([webhook.payload() for webhook in self._webhooks.listing(*guild.channels.values())])

    async def _show(self, request: web.Request) -> web.Response:
        return answer(_shown(request, self._webhook(request)))

    async def _edit(self, request: web.Request) -> web.Response:
        webhook = self._webhook(request)
        form, before = _form((await forms.read(request)).data), _logged(webhook)
        webhook.name = form.get("name", webhook.name)
        if form.get("channel_id") and "webhook_token" not in places(request):
            target = self._world.bots_channel(int(form["channel_id"]))
            self._require(target, "manage_webhooks")
            if target.guild is not webhook.channel.guild:
                raise invalid_form(("channel_id",), "The channel is in another server.")
            webhook.channel = target
        self._webhooks.announce(webhook)
        self._note_webhook(request, webhook, UPDATED, before=before, after=_logged(webhook))
        return answer(_shown(request, webhook))

    async def _delete(self, request: web.Request) -> web.Response:
        webhook = self._webhook(request)
        self._webhooks.delete(webhook)
        self._note_webhook(request, webhook, DELETED, before=_logged(webhook))
        return nothing()

    def _note_webhook(
        self, request: web.Request, webhook: Webhook, change: int, *, before: Json, after: Json | None = None
    ) -> None:
        """What is done by the webhook's own token is nobody's doing."""
        if "webhook_token" not in places(request) and webhook.channel.guild is not None:
            self._note(request, webhook.channel.guild, WEBHOOK + change, webhook.id, before=before, after=after)

    async def _execute(self, request: web.Request) -> web.Response:
        webhook = self._webhook(request)
        form = await forms.read(request)
        data = form.object()
        draft = forms.draft(data, form.files, self._world.core.snowflakes)
        message = self._write(request, webhook, draft, data)
        return answer(message.payload()) if query_flag(request, "wait") else nothing()

    def _write(self, request: web.Request, webhook: Webhook, draft: Draft, data: Json) -> Message:
        """In a thread that the query names, as a new post of a forum, or in its channel."""
        author, channel = webhook.author(_username(data)), webhook.channel
        origin = {"webhook_id": str(webhook.id), "application_id": str(webhook.application_id)}
        if "thread_id" in request.query:
            channel = self._thread(channel, query_number(request, "thread_id", 0))
        elif channel.kind in POSTS:
            if not data.get("thread_name"):
                told = "Webhooks posted to forum channels must have a thread_name or thread_id"
                raise ApiError(400, 220001, told)
            starts = self._world.thread_starts
            return starts.post(channel, str(data["thread_name"]), author, draft, origin=origin)[1]
        return self._world.posts.create(author, channel, draft, origin=origin)

    def _thread(self, channel: Channel, thread_id: int) -> Thread:
        thread = self._world.guilds[channel.guild_id or 0].threads.get(thread_id)
        if thread is None or thread.parent is not channel:
            raise unknown("Channel")
        return thread

    async def _show_message(self, request: web.Request) -> web.Response:
        return answer(self._own_message(request).payload())

    async def _edit_message(self, request: web.Request) -> web.Response:
        message = self._own_message(request)
        form = await forms.read(request)
        draft = forms.draft(form.object(), form.files, self._world.core.snowflakes, message)
        self._world.posts.edit(message, draft)
        return answer(message.payload())

    async def _delete_message(self, request: web.Request) -> web.Response:
        self._world.posts.delete(self._own_message(request))
        return nothing()

    def _own_message(self, request: web.Request) -> Message:
        webhook, name = self._webhook(request), places(request).get("message_id", "")
        place = webhook.channel
        if "thread_id" in request.query:
            place = self._thread(place, query_number(request, "thread_id", 0))
        message = place.messages.get(int(name or 0))
        if message is None or message.author.id != webhook.id:
            raise unknown("Message")
        return message

    def _webhook(self, request: web.Request) -> Webhook:
        token = places(request).get("webhook_token")
        webhook = self._webhooks.get(number(request, "webhook_id"), token)
        if token is None:
            self._world.bots_guild(webhook.channel.guild_id or 0)
            self._require(webhook.channel, "manage_webhooks")
        return webhook


def _logged(webhook: Webhook) -> Json:
    return {"name": webhook.name, "type": webhook.kind, "channel_id": str(webhook.channel.id)}


def _shown(request: web.Request, webhook: Webhook) -> Json:
    return webhook.payload_by_token() if "webhook_token" in places(request) else webhook.payload()


def _form(form: object, *required: str) -> Json:
    wanted = read_form(form, _FIELDS, *required)
    _check_name(wanted.get("name", ""), "name")
    return wanted


def _username(data: Json) -> str | None:
    wanted = read_form(data, {"username": optional(text(80, 1))}).get("username")
    _check_name(wanted or "", "username")
    return wanted


def _check_name(name: str, field: str) -> None:
    errors = FormErrors()
    for part in _FORBIDDEN_NAMES:
        errors.require(part not in name.lower(), (field,), f'Username cannot contain "{part}"')
    errors.raise_any()
