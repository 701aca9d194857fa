"""Channels: making, changing and removing them, their overwrites, and who follows them."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from local_discord.errors import ApiError, FormErrors, invalid_form, missing_permissions, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number
from local_discord.http.group import Group
from local_discord.rules import channel_rules as rules
from local_discord.rules.fields import read_form, snowflake
from local_discord.rules.permissions import BITS
from local_discord.wire import Json
from local_discord.world.audit_log import CHANNEL, CREATED, DELETED, OVERWRITE, THREAD, UPDATED
from local_discord.world.channels import Channel
from local_discord.world.guilds import Guild
from local_discord.world.overwrites import MEMBER, Overwrite
from local_discord.world.threads import Thread, tag_ids

_MOST_CHANNELS = 500
_LOOKS = ("name", "auto_archive_duration", "rate_limit_per_user", "invitable", "applied_tags", "flags")


class ChannelRoutes(Group):
    """Whoever changes a channel needs “Manage Channels” there; of a thread, its owner or whoever manages threads."""

    def table(self) -> dict[str, Handler]:
        channel, channels = "/channels/{channel_id}", "/guilds/{guild_id}/channels"
        return {
            f"GET {channels}": self._listing,
            f"POST {channels}": self._create,
            f"PATCH {channels}": self._move,
            f"GET {channel}": self._show,
            f"PATCH {channel}": self._edit,
            f"DELETE {channel}": self._delete,
            f"PUT {channel}/permissions/{{overwrite_id}}": self._set_overwrite,
            f"DELETE {channel}/permissions/{{overwrite_id}}": self._delete_overwrite,
            f"POST {channel}/followers": self._follow,
        }

    async def _listing(self, request: web.Request) -> web.Response:
        return answer([channel.payload() for channel in self._guild(request).channels.values()])

    async def _show(self, request: web.Request) -> web.Response:
        return answer(self._channel(request).payload())

    async def _create(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_channels")
        form = rules.new_channel((await forms.read(request)).data)
        kind = form.pop("type", rules.TEXT)
        name = rules.channel_name(form.pop("name"), kind)
        parent = self._category(guild, form.pop("parent_id", None))
        if len(guild.channels) >= _MOST_CHANNELS:
            raise ApiError(400, 30013, f"Maximum number of guild channels reached ({_MOST_CHANNELS})")
        channel = guild.add_channel(name, kind, parent=parent, prepare=lambda new: self._prepare(new, form))
        self._note(request, guild, CHANNEL + CREATED, channel.id, after=channel.payload())
        return answer(channel.payload(), 201)

    async def _move(self, request: web.Request) -> web.Response:
        guild = self._guild(request, "manage_channels")
        form = (await forms.read(request)).data
        if not isinstance(form, list):
            raise invalid_form((), "Only a list is accepted.")
        for one in form:
            channel = guild.channels.get(int(read_form(one, {"id": snowflake}, "id")["id"]))
            if channel is None:
                raise unknown("Channel")
            moved = rules.changed_channel(one)
            self._change(guild, channel, {key: moved[key] for key in ("position", "parent_id") if key in moved})
            if one.get("lock_permissions") and channel.parent is not None:
                channel.overwrites = dict(channel.parent.overwrites)
                channel.announce()
        return nothing()

    async def _edit(self, request: web.Request) -> web.Response:
        guild, channel = self._guild_channel(request)
        form, before = (await forms.read(request)).data, channel.payload()
        if isinstance(channel, Thread):
            self._change_thread(channel, rules.changed_thread(form))
        else:
            self._require(channel, "manage_channels")
            wanted = rules.changed_channel(form)
            self._require(channel, *(["manage_roles"] if wanted.get("permission_overwrites") is not None else []))
            self._change(guild, channel, wanted)
        self._note(request, guild, _kind(channel) + UPDATED, channel.id, before=before, after=channel.payload())
        return answer(channel.payload())

    async def _delete(self, request: web.Request) -> web.Response:
        channel = self._channel(request)
        if channel.guild_id is None:
            return answer(channel.payload())  # the bot no longer sees it in a list that it has not got
        guild = self._world.guilds[channel.guild_id]
        if isinstance(channel, Thread):
            self._require(channel, "manage_threads")
            guild.remove_thread(channel)
        else:
            self._require(channel, "manage_channels")
            guild.remove_channel(channel)
            self._world.webhooks.forget(channel)
        self._note(request, guild, _kind(channel) + DELETED, channel.id, before=channel.payload())
        return answer(channel.payload())

    async def _set_overwrite(self, request: web.Request) -> web.Response:
        guild, channel = self._guild_channel(request, "manage_roles")
        form, overwrite_id = rules.overwrite((await forms.read(request)).data, "type"), number(request, "overwrite_id")
        earlier = channel.overwrites.get(overwrite_id)
        self._overwrite(channel, form | {"id": overwrite_id})
        channel.announce()
        self._note_overwrite(request, guild, channel, earlier, channel.overwrites[overwrite_id])
        return nothing()

    async def _delete_overwrite(self, request: web.Request) -> web.Response:
        guild, channel = self._guild_channel(request, "manage_roles")
        if (earlier := channel.overwrites.pop(number(request, "overwrite_id"), None)) is None:
            raise unknown("Overwrite")
        channel.announce()
        self._note_overwrite(request, guild, channel, earlier, None)
        return nothing()

    def _note_overwrite(
        self, request: web.Request, guild: Guild, channel: Channel, before: Overwrite | None, after: Overwrite | None
    ) -> None:
        one = after or before
        assert one is not None
        action = OVERWRITE + (CREATED if before is None else DELETED if after is None else UPDATED)
        role = {"role_name": guild.roles[one.id].name} if one.id in guild.roles else {}
        options = {"id": str(one.id), "type": str(one.kind), **role}
        self._note(request, guild, action, channel.id, before=_bits(before), after=_bits(after), options=options)

    async def _follow(self, request: web.Request) -> web.Response:
        _, channel = self._guild_channel(request, "view_channel")
        if channel.kind != rules.ANNOUNCEMENT:
            raise ApiError(400, 50024, "Cannot execute action on this channel type")
        form = read_form((await forms.read(request)).data, {"webhook_channel_id": snowflake}, "webhook_channel_id")
        target = self._world.bots_channel(int(form["webhook_channel_id"]))
        self._require(target, "manage_webhooks")
        assert channel.guild is not None
        webhook = self._world.webhooks.create(target, f"{channel.guild.name} #{channel.name}", source=channel)
        return answer({"channel_id": str(channel.id), "webhook_id": str(webhook.id)})

    def _change(self, guild: Guild, channel: Channel, form: Json) -> None:
        if "parent_id" in form:
            channel.parent = self._category(guild, form.pop("parent_id"))
        channel.kind = self._other_kind(channel, form.pop("type", channel.kind))
        if "name" in form:
            channel.name = rules.channel_name(form.pop("name"), channel.kind)
        self._set(channel, form)
        channel.announce()

    def _prepare(self, channel: Channel, form: Json) -> None:
        """Below a category it has the category's overwrites, unless the form has some."""
        if channel.parent is not None and not form.get("permission_overwrites"):
            channel.overwrites = dict(channel.parent.overwrites)
            form.pop("permission_overwrites", None)
        self._set(channel, form)

    def _set(self, channel: Channel, form: Json) -> None:
        """What is left of a form; a detail that channels of that kind don't have is ignored, as Discord does."""
        overwrites = form.pop("permission_overwrites", None)
        if overwrites is not None:
            self._set_overwrites(channel, [rules.overwrite(one, "id", "type") for one in overwrites])
        for key in ("position", "flags"):
            if form.get(key) is not None:
                setattr(channel, key, form[key])
        if form.get("available_tags"):
            form["available_tags"] = [self._tag(tag) for tag in form["available_tags"]]
        known = rules.details_of(channel.kind).keys() | {"default_auto_archive_duration"}
        channel.details |= {key: form[key] for key in known & form.keys()}

    def _set_overwrites(self, channel: Channel, forms: Iterable[Json]) -> None:
        """All at once: what is not among them is gone."""
        earlier, channel.overwrites = channel.overwrites, {}
        try:
            for one in forms:
                self._overwrite(channel, one)
        except ApiError:
            channel.overwrites = earlier
            raise

    def _overwrite(self, channel: Channel, form: Json) -> None:
        """The bot can grant only what it has itself."""
        assert channel.guild is not None
        allow, deny = form.get("allow") or 0, form.get("deny") or 0
        granted = channel.guild.permissions_of(self._bot)
        if (allow | deny) & ~granted:
            raise missing_permissions()
        number, kind = int(form["id"]), form["type"]
        if number not in (self._world.users if kind == MEMBER else channel.guild.roles):
            raise unknown("User" if kind == MEMBER else "Role")
        channel.overwrites[number] = Overwrite(number, kind, allow, deny)

    def _tag(self, tag: Json) -> Json:
        return rules.whole_tag(tag, self._world.core.snowflakes.next())

    def _category(self, guild: Guild, category_id: str | None) -> Channel | None:
        if category_id is None:
            return None
        category = guild.channels.get(int(category_id))
        if category is None or category.kind != rules.CATEGORY:
            raise invalid_form(("parent_id",), "Category does not exist")
        return category

    def _other_kind(self, channel: Channel, kind: int) -> int:
        texts = (rules.TEXT, rules.ANNOUNCEMENT)
        if kind != channel.kind and not {kind, channel.kind} <= set(texts):
            raise invalid_form(("type",), f"Value must be one of {texts}.")
        return kind

    def _change_thread(self, thread: Thread, form: Json) -> None:
        granted = thread.permissions_of(self._bot)
        manages = bool(granted & BITS["manage_threads"])
        if not manages and (thread.owner is not self._bot or "locked" in form):
            raise missing_permissions()
        if thread.archived and form.get("archived", True):
            raise ApiError(400, 50083, "Thread is archived")
        _require_private(thread, form)
        if form.get("applied_tags") is not None:
            form["applied_tags"] = tag_ids(thread.parent, form["applied_tags"], granted)
        for key in _LOOKS:
            if form.get(key) is not None:
                setattr(thread, key, form[key])
        thread.locked = form.get("locked", thread.locked)
        thread.set_archived(form.get("archived", thread.archived))
        thread.announce()


def _bits(overwrite: Overwrite | None) -> Json | None:
    return None if overwrite is None else {"allow": str(overwrite.allow), "deny": str(overwrite.deny)}


def _kind(channel: Channel) -> int:
    return THREAD if isinstance(channel, Thread) else CHANNEL


def _require_private(thread: Thread, form: Iterable[str]) -> None:
    errors = FormErrors()
    errors.require("invitable" not in form or thread.is_private, ("invitable",), "Only a private thread has this.")
    errors.raise_any()
