"""Threads and posts: starting, finding, joining and leaving them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web

from local_discord.errors import ApiError, unknown
from local_discord.http import forms
from local_discord.http.forms import Form
from local_discord.http.frame import Handler, answer, nothing, query_flag, query_number
from local_discord.http.group import Group
from local_discord.rules import channel_rules as rules
from local_discord.rules.channel_rules import POSTS, PRIVATE_THREAD
from local_discord.snowflakes import is_snowflake
from local_discord.wire import Json
from local_discord.world.channels import Channel
from local_discord.world.threads import Thread, tag_ids

_MOST_SHOWN = 50


class ThreadRoutes(Group):
    """Threads below text and announcement channels, and posts in forums and media channels."""

    def table(self) -> dict[str, Handler]:
        channel = "/channels/{channel_id}"
        return {
            "GET /guilds/{guild_id}/threads/active": self._active,
            f"POST {channel}/threads": self._start,
            f"POST {channel}/messages/{{message_id}}/threads": self._start_from_message,
            f"GET {channel}/threads/archived/public": self._archived_public,
            f"GET {channel}/threads/archived/private": self._archived_private,
            f"GET {channel}/users/@me/threads/archived/private": self._archived_joined,
            f"GET {channel}/thread-members": self._members,
            f"GET {channel}/thread-members/{{user_id}}": self._member_of,
            f"PUT {channel}/thread-members/@me": self._join,
            f"DELETE {channel}/thread-members/@me": self._leave,
            f"PUT {channel}/thread-members/{{user_id}}": self._add,
            f"DELETE {channel}/thread-members/{{user_id}}": self._remove,
        }

    async def _active(self, request: web.Request) -> web.Response:
        return answer(_listing(self._guild(request).active_threads(self._bot)))

    async def _start(self, request: web.Request) -> web.Response:
        _, channel = self._guild_channel(request)
        form = await forms.read(request)
        wanted = rules.new_thread(form.data)
        if channel.kind in POSTS:
            return answer(self._post(channel, form, wanted), 201)
        private = wanted.get("type", PRIVATE_THREAD) == PRIVATE_THREAD
        self._require(channel, "create_private_threads" if private else "create_public_threads")
        starts = self._world.thread_starts
        thread = starts.alone(channel, wanted["name"], self._bot, private=private, prepare=_as_wanted(wanted))
        return answer(thread.payload(), 201)

    async def _start_from_message(self, request: web.Request) -> web.Response:
        self._guild_channel(request, "create_public_threads")
        message = self._message(request, "read_message_history")
        wanted = rules.new_thread((await forms.read(request)).data)
        starts = self._world.thread_starts
        thread = starts.from_message(message, wanted["name"], self._bot, prepare=_as_wanted(wanted))
        return answer(thread.payload(), 201)

    def _post(self, channel: Channel, form: Form, wanted: Json) -> Json:
        self._require(channel, "send_messages")
        wanted["applied_tags"] = tag_ids(channel, wanted.get("applied_tags") or (), channel.permissions_of(self._bot))
        written = form.object().get("message")
        draft = forms.draft(written if isinstance(written, dict) else {}, form.files, self._world.core.snowflakes)
        starts = self._world.thread_starts
        thread, message = starts.post(channel, wanted["name"], self._bot, draft, prepare=_as_wanted(wanted))
        return thread.payload() | {"message": message.payload()}

    async def _archived_public(self, request: web.Request) -> web.Response:
        return self._archived(request, [one for one in self._below(request) if not one.is_private])

    async def _archived_private(self, request: web.Request) -> web.Response:
        self._channel(request, "manage_threads")
        return self._archived(request, [one for one in self._below(request) if one.is_private])

    async def _archived_joined(self, request: web.Request) -> web.Response:
        joined = [one for one in self._below(request) if one.is_private and self._bot.id in one.joined]
        return self._archived(request, joined)

    def _below(self, request: web.Request) -> list[Thread]:
        guild, channel = self._guild_channel(request, "read_message_history")
        return [thread for thread in guild.threads.values() if thread.parent is channel]

    def _archived(self, request: web.Request, threads: Iterable[Thread]) -> web.Response:
        """Those archived last come first; `before` is a time, or for those that the bot has joined an id."""
        limit, before = query_number(request, "limit", _MOST_SHOWN), request.query.get("before")
        found = sorted((one for one in threads if one.archived), key=lambda one: one.archived_at, reverse=True)
        if before is not None:
            by_id = is_snowflake(before)
            found = [one for one in found if (one.id < int(before) if by_id else one.archived_at < before)]
        return answer(_listing(found[:limit]) | {"has_more": len(found) > limit})

    async def _members(self, request: web.Request) -> web.Response:
        thread = self._thread_of(request)
        return answer([self._shown(request, thread, user_id) for user_id in thread.joined])

    async def _member_of(self, request: web.Request) -> web.Response:
        thread, user = self._thread_of(request), self._user(request)
        if user.id not in thread.joined:
            raise unknown("Member")
        return answer(self._shown(request, thread, user.id))

    def _shown(self, request: web.Request, thread: Thread, user_id: int) -> Json:
        data = thread.member_payload(user_id)
        if query_flag(request, "with_member") and thread.guild is not None:
            data["member"] = thread.guild.members[user_id].payload()
        return data

    async def _join(self, request: web.Request) -> web.Response:
        self._awake(request).join(self._bot)
        return nothing()

    async def _leave(self, request: web.Request) -> web.Response:
        self._awake(request).leave(self._bot)
        return nothing()

    async def _add(self, request: web.Request) -> web.Response:
        thread, user = self._awake(request), self._user(request)
        self._require(thread, "send_messages_in_threads")
        assert thread.guild is not None
        if user.id not in thread.guild.members:
            raise unknown("Member")
        thread.join(user)
        return nothing()

    async def _remove(self, request: web.Request) -> web.Response:
        thread = self._awake(request)
        if not (thread.is_private and thread.owner is self._bot):
            self._require(thread, "manage_threads")
        thread.leave(self._user(request))
        return nothing()

    def _awake(self, request: web.Request) -> Thread:
        thread = self._thread_of(request)
        if thread.archived:
            raise ApiError(400, 50083, "Thread is archived")
        return thread

    def _thread_of(self, request: web.Request) -> Thread:
        channel = self._channel(request)
        if not isinstance(channel, Thread):
            raise unknown("Channel")
        self._require(channel, "view_channel")
        return channel


def _as_wanted(wanted: Json) -> Callable[[Thread], None]:
    """Sets what a form says beside the name."""

    def prepare(thread: Thread) -> None:
        for key in ("auto_archive_duration", "rate_limit_per_user", "applied_tags", "invitable"):
            if wanted.get(key) is not None:
                setattr(thread, key, wanted[key])

    return prepare


def _listing(threads: list[Thread]) -> Json:
    """Threads, and the bot's membership of those that it has joined."""
    members = [member for thread in threads if (member := thread.bot_member()) is not None]
    return {"threads": [thread.payload() for thread in threads], "members": members}
