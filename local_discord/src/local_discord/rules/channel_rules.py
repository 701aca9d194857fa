"""Which kinds of channels there are, and what may be set on each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_discord.rules.fields import (
    Read,
    boolean,
    choice,
    dictionary,
    each,
    integer,
    optional,
    read_form,
    snowflake,
    text,
)
from local_discord.wire import Json

TEXT, DIRECT, VOICE, CATEGORY, ANNOUNCEMENT = 0, 1, 2, 4, 5
ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD = 10, 11, 12
STAGE, FORUM, MEDIA = 13, 15, 16
THREADS = (ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD)
POSTS = (FORUM, MEDIA)
"""Channels that hold threads alone."""
WITH_MESSAGES = (TEXT, DIRECT, VOICE, ANNOUNCEMENT, STAGE, *THREADS)
_NAMED_WITH_DASHES = (TEXT, ANNOUNCEMENT, FORUM, MEDIA)
ARCHIVE_AFTER_MINUTES = (60, 1440, 4320, 10080)

_TEXT: Json = {"topic": None, "nsfw": False, "rate_limit_per_user": 0, "default_thread_rate_limit_per_user": 0}
_VOICE: Json = {
    "nsfw": False,
    "bitrate": 64_000,
    "user_limit": 0,
    "rtc_region": None,
    "rate_limit_per_user": 0,
    "video_quality_mode": 1,
}
_FORUM: Json = _TEXT | {
    "available_tags": [],
    "default_reaction_emoji": None,
    "default_sort_order": None,
    "default_forum_layout": 0,
}
_DETAILS: Mapping[int, Json] = {
    TEXT: _TEXT,
    ANNOUNCEMENT: _TEXT,
    VOICE: _VOICE,
    STAGE: _VOICE | {"topic": None},
    FORUM: _FORUM,
    MEDIA: _FORUM,
    CATEGORY: {"nsfw": False},
}
_SLOWMODE = integer(0, 21_600)
_ARCHIVE = choice(*ARCHIVE_AFTER_MINUTES)
_FIELDS: Mapping[str, Read] = {
    "name": text(100, 1),
    "type": choice(TEXT, VOICE, CATEGORY, ANNOUNCEMENT, STAGE, FORUM, MEDIA),
    "position": optional(integer(0, 1 << 31)),
    "parent_id": optional(snowflake),
    "permission_overwrites": optional(each(dictionary, 100)),
    "topic": optional(text(4096)),
    "nsfw": optional(boolean),
    "rate_limit_per_user": optional(_SLOWMODE),
    "default_thread_rate_limit_per_user": optional(_SLOWMODE),
    "default_auto_archive_duration": optional(_ARCHIVE),
    "bitrate": optional(integer(8_000, 384_000)),
    "user_limit": optional(integer(0, 10_000)),
    "rtc_region": optional(text(100)),
    "video_quality_mode": optional(choice(1, 2)),
    "available_tags": optional(each(dictionary, 20)),
    "default_reaction_emoji": optional(dictionary),
    "default_sort_order": optional(choice(0, 1)),
    "default_forum_layout": optional(choice(0, 1, 2)),
    "flags": optional(integer(0, 1 << 31)),
}
_THREAD: Mapping[str, Read] = {
    "name": text(100, 1),
    "archived": boolean,
    "locked": boolean,
    "invitable": boolean,
    "auto_archive_duration": optional(_ARCHIVE),
    "rate_limit_per_user": optional(_SLOWMODE),
    "applied_tags": optional(each(snowflake, 5)),
    "flags": optional(integer(0, 1 << 31)),
    "type": choice(*THREADS),
}
_OVERWRITE: Mapping[str, Read] = {
    "id": snowflake,
    "type": choice(0, 1),
    "allow": optional(integer(0, 1 << 63)),
    "deny": optional(integer(0, 1 << 63)),
}


def details_of(kind: int) -> Json:
    """What a new channel of that kind has beside its name and place, by the API's names."""
    return dict(_DETAILS.get(kind, {}))


def new_channel(form: Any) -> Json:
    """What a valid form for a new channel says, or an `ApiError`."""
    return read_form(form, _FIELDS, "name")


def changed_channel(form: Any) -> Json:
    """What a valid form says of an existing channel, or an `ApiError`."""
    return read_form(form, _FIELDS)


def new_thread(form: Any) -> Json:
    """What a valid form for a new thread says, or an `ApiError`."""
    return read_form(form, _THREAD, "name")


def changed_thread(form: Any) -> Json:
    """What a valid form says of an existing thread, or an `ApiError`."""
    return read_form(form, _THREAD)


def overwrite(form: Any, *required: str) -> Json:
    """One overwrite of permissions; its bits as numbers."""
    return read_form(form, _OVERWRITE, *required)


def whole_tag(tag: Json, new_id: int) -> Json:
    """A forum's tag with all that the API shows of it; the id is for one that has none yet."""
    about = {"moderated": False, "emoji_id": None, "emoji_name": None}
    return about | tag | {"id": str(tag.get("id") or new_id)}


def channel_name(name: str, kind: int) -> str:
    """As Discord writes it: text channels have dashes and no capitals."""
    return "-".join(name.lower().split()) if kind in _NAMED_WITH_DASHES else name
