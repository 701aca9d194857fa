"""What is no more than its fields: emojis, stickers, sounds, events, moderation rules, stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web

from local_discord.errors import ApiError, unknown
from local_discord.http import forms
from local_discord.http.frame import Handler, answer, nothing, number
from local_discord.http.group import Group
from local_discord.rules import fields as read
from local_discord.rules.event_rules import check_event
from local_discord.rules.fields import Read, optional, read_form
from local_discord.wire import Json
from local_discord.world.audit_log import (
    CREATED,
    DELETED,
    EMOJI,
    MODERATION_RULE,
    SCHEDULED_EVENT,
    SOUND,
    STICKER,
    UPDATED,
)
from local_discord.world.shelves import Shelf

Find: TypeAlias = Callable[[web.Request, str], Shelf]


@dataclass(frozen=True)
class Kind:
    """How one kind of thing is asked for: its addresses, the fields of its form, what a new one has beside them."""

    path: str
    place: str
    fields: Mapping[str, Read]
    required: tuple[str, ...]
    created: int = 201
    permission: str = ""
    """What it takes to change one of somebody else's."""
    read_permission: str = ""
    create_permission: str = ""
    """What it takes to make one, and to change one's own."""
    logged_as: int = 0
    """What the audit log calls the making of one."""
    check: Callable[[Json, Json], object] = lambda _before, _after: None
    """Looks at the whole thing, before it is kept, and at how it was; an `ApiError` for what cannot be."""
    ordinary: Json = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    """Fields that are read and not shown: pictures and sounds."""
    in_items: bool = False
    """Whether the list is under `items`."""


_EMOJI = Kind(
    "/guilds/{guild_id}/emojis",
    "emoji_id",
    {"name": read.text(32, 2), "image": read.image, "roles": optional(read.each(read.snowflake, 100))},
    ("name", "image"),
    permission="manage_guild_expressions",
    create_permission="create_guild_expressions",
    logged_as=EMOJI,
    ordinary={"roles": [], "require_colons": True, "managed": False, "animated": False, "available": True},
    dropped=("image",),
)
_APPLICATION_EMOJI = Kind(
    "/applications/{application_id}/emojis",
    "emoji_id",
    {"name": read.text(32, 2), "image": read.image},
    ("name", "image"),
    ordinary=_EMOJI.ordinary,
    dropped=("image",),
    in_items=True,
)
_STICKER = Kind(
    "/guilds/{guild_id}/stickers",
    "sticker_id",
    {"name": read.text(30, 2), "description": optional(read.text(100)), "tags": read.text(200)},
    ("name", "tags"),
    permission="manage_guild_expressions",
    create_permission="create_guild_expressions",
    logged_as=STICKER,
    ordinary={"type": 2, "format_type": 1, "available": True, "description": None},
)
_SOUND = Kind(
    "/guilds/{guild_id}/soundboard-sounds",
    "sound_id",
    {
        "name": read.text(32, 2),
        "sound": read.image,
        "volume": optional(read.number(0, 1)),
        "emoji_id": optional(read.snowflake),
        "emoji_name": optional(read.text(32)),
    },
    ("name", "sound"),
    permission="manage_guild_expressions",
    create_permission="create_guild_expressions",
    logged_as=SOUND,
    ordinary={"volume": 1.0, "emoji_id": None, "emoji_name": None, "available": True},
    dropped=("sound",),
    in_items=True,
)
_SCHEDULED_EVENT = Kind(
    "/guilds/{guild_id}/scheduled-events",
    "guild_scheduled_event_id",
    {
        "name": read.text(100, 1),
        "privacy_level": read.choice(2),
        "scheduled_start_time": read.time,
        "scheduled_end_time": optional(read.time),
        "entity_type": read.choice(1, 2, 3),
        "description": optional(read.text(1000)),
        "channel_id": optional(read.snowflake),
        "entity_metadata": optional(read.dictionary),
        "status": read.choice(1, 2, 3, 4),
        "image": optional(read.image),
        "recurrence_rule": optional(read.dictionary),
    },
    ("name", "privacy_level", "scheduled_start_time", "entity_type"),
    created=200,
    permission="manage_events",
    create_permission="create_events",
    logged_as=SCHEDULED_EVENT,
    check=check_event,
    ordinary={
        **dict.fromkeys(("channel_id", "description", "scheduled_end_time", "entity_id", "entity_metadata", "image")),
        "status": 1,
        "recurrence_rule": None,
    },
    dropped=("image",),
)
_MODERATION_RULE = Kind(
    "/guilds/{guild_id}/auto-moderation/rules",
    "rule_id",
    {
        "name": read.text(100, 1),
        "event_type": read.choice(1, 2),
        "trigger_type": read.choice(1, 3, 4, 5, 6),
        "trigger_metadata": optional(read.dictionary),
        "actions": read.each(read.dictionary, 5),
        "enabled": read.boolean,
        "exempt_roles": optional(read.each(read.snowflake, 20)),
        "exempt_channels": optional(read.each(read.snowflake, 50)),
    },
    ("name", "event_type", "trigger_type", "actions"),
    created=200,
    permission="manage_guild",
    read_permission="manage_guild",
    create_permission="manage_guild",
    logged_as=MODERATION_RULE,
    ordinary={"trigger_metadata": {}, "enabled": False, "exempt_roles": [], "exempt_channels": []},
)
_WITH_CREATOR = (_SCHEDULED_EVENT, _MODERATION_RULE)
"""These tell who made them by an id, the others by a user."""


class ShelfRoutes(Group):
    """The same five operations for each kind; what a guild's things do is not played."""

    def table(self) -> dict[str, Handler]:
        found: dict[str, Handler] = {
            "GET /stickers/{sticker_id}": self._any_sticker,
        }
        for kind, find in (
            (_EMOJI, self._of_guild("emojis")),
            (_APPLICATION_EMOJI, self._of_application),
            (_STICKER, self._of_guild("stickers")),
            (_SOUND, self._of_guild("sounds")),
            (_SCHEDULED_EVENT, self._of_guild("scheduled_events")),
            (_MODERATION_RULE, self._of_guild("moderation_rules")),
        ):
            found |= self._five(kind, find)
        return found

    def _five(self, kind: Kind, find: Find) -> dict[str, Handler]:
        one = f"{kind.path}/{{{kind.place}}}"

        async def listing(request: web.Request) -> web.Response:
            items = find(request, kind.read_permission).items()
            return answer({"items": items} if kind.in_items else items)

        async def create(request: web.Request) -> web.Response:
            shelf = find(request, kind.create_permission)
            form = read_form((await forms.read(request)).data, kind.fields, *kind.required)
            new = self._new(request, kind, form)
            kind.check({}, new)
            item = shelf.add(new)
            self._log(request, kind, CREATED, after=item)
            return answer(item, kind.created)

        async def show(request: web.Request) -> web.Response:
            return answer(find(request, kind.read_permission).get(number(request, kind.place)))

        async def edit(request: web.Request) -> web.Response:
            shelf, before = self._changeable(request, kind, find)
            form = read_form((await forms.read(request)).data, kind.fields)
            kind.check(before, before | _kept(kind, form))
            item = shelf.edit(number(request, kind.place), _kept(kind, form))
            self._log(request, kind, UPDATED, before=before, after=item)
            return answer(item)

        async def delete(request: web.Request) -> web.Response:
            shelf, before = self._changeable(request, kind, find)
            shelf.remove(number(request, kind.place))
            self._log(request, kind, DELETED, before=before)
            return nothing()

        return {
            f"GET {kind.path}": listing,
            f"POST {kind.path}": create,
            f"GET {one}": show,
            f"PATCH {one}": edit,
            f"DELETE {one}": delete,
        }

    def _changeable(self, request: web.Request, kind: Kind, find: Find) -> tuple[Shelf, Json]:
        """Somebody else's takes more than one's own."""
        item = find(request, "").get(number(request, kind.place))
        maker = item.get("creator_id") or item.get("user", {}).get("id")
        try:
            return find(request, kind.permission), item
        except ApiError:
            if maker != str(self._bot.id):
                raise
            return find(request, kind.create_permission), item

    def _log(
        self, request: web.Request, kind: Kind, change: int, *, before: Json | None = None, after: Json | None = None
    ) -> None:
        if kind.logged_as:
            one = after or before or {}
            number_of = int(one.get("sound_id") or one["id"])
            self._note(request, self._guild(request), kind.logged_as + change, number_of, before=before, after=after)

    def _new(self, request: web.Request, kind: Kind, form: Json) -> Json:
        author = {"creator_id": str(self._bot.id)} if kind in _WITH_CREATOR else {"user": self._bot.payload()}
        place = {"guild_id": str(number(request, "guild_id"))} if "{guild_id}" in kind.path else {}
        return kind.ordinary | author | place | _kept(kind, form)

    def _of_guild(self, name: str) -> Find:
        def find(request: web.Request, permission: str) -> Shelf:
            guild = self._guild(request, *([permission] if permission else []))
            shelf: Shelf = getattr(guild, name)
            return shelf

        return find

    def _of_application(self, _request: web.Request, _permission: str) -> Shelf:
        return self._world.emojis

    async def _any_sticker(self, request: web.Request) -> web.Response:
        sticker_id = number(request, "sticker_id")
        for guild in self._world.bots_guilds():
            for sticker in guild.stickers.items():
                if int(sticker["id"]) == sticker_id:
                    return answer(sticker)
        raise unknown("Sticker")


def _kept(kind: Kind, form: Json) -> Json:
    return {key: value for key, value in form.items() if key not in kind.dropped}
