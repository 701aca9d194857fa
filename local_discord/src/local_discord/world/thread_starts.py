"""Starting threads: from nothing, from a message, or as a post."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from local_discord.errors import ApiError, empty_message
from local_discord.rules.channel_rules import ANNOUNCEMENT, PRIVATE_THREAD, TEXT
from local_discord.wire import Json
from local_discord.world.channels import HAS_THREAD, Channel, Message
from local_discord.world.core import Core
from local_discord.world.drafts import Draft
from local_discord.world.guilds import Guild
from local_discord.world.posts import THREAD_CREATED, THREAD_STARTER, Posts, reference_to
from local_discord.world.threads import Thread, public_kind
from local_discord.world.users import User

Prepare: TypeAlias = Callable[[Thread], object]


class ThreadStarts:
    """Each returns the thread, which is prepared before anybody hears of it. Who may do so is another question."""

    def __init__(self, core: Core, guilds: Mapping[int, Guild], posts: Posts) -> None:
        self._core = core
        self._guilds = guilds
        self._posts = posts

    def alone(
        self, channel: Channel, name: str, owner: User, *, private: bool = False, prepare: Prepare = lambda _: None
    ) -> Thread:
        """Of a public one a line in the channel tells."""
        _require_threaded(channel)
        thread = Thread(self._core, channel, name, owner, PRIVATE_THREAD if private else public_kind(channel))
        self._announce(thread, prepare)
        if not private:
            told: Json = {"type": 0, "channel_id": str(thread.id), "guild_id": str(thread.guild_id)}
            self._posts.create(owner, channel, Draft(content=name, reference=told), kind=THREAD_CREATED)
        return thread

    def from_message(self, message: Message, name: str, owner: User, *, prepare: Prepare = lambda _: None) -> Thread:
        """It has the message's id. A message has one thread at most: an `ApiError` for a second one."""
        channel = message.channel
        _require_threaded(channel)
        if message.thread is not None:
            raise ApiError(400, 160004, "A thread has already been created for this message")
        message.thread = thread = Thread(self._core, channel, name, owner, public_kind(channel), message.id)
        self._announce(thread, prepare, message.author)
        self._posts.mark(message, HAS_THREAD)
        starter = Draft(reference=reference_to(message))
        self._posts.create(message.author, thread, starter, kind=THREAD_STARTER, replied_to=message)
        return thread

    def post(
        self,
        channel: Channel,
        name: str,
        author: User,
        draft: Draft,
        *,
        origin: Json | None = None,
        prepare: Prepare = lambda _: None,
    ) -> tuple[Thread, Message]:
        """In a forum: a thread with its first message, whose id it has. An `ApiError` for an empty one."""
        if draft.is_empty:
            raise empty_message()
        thread = Thread(self._core, channel, name, author, public_kind(channel))
        self._announce(thread, prepare)
        return thread, self._posts.create(author, thread, draft, origin=origin, message_id=thread.id)

    def _announce(self, thread: Thread, prepare: Prepare, *members: User) -> None:
        prepare(thread)
        self._guilds[thread.guild_id or 0].add_thread(thread, *members)


def _require_threaded(channel: Channel) -> None:
    if channel.kind not in (TEXT, ANNOUNCEMENT):
        raise ApiError(400, 50024, "Cannot execute action on this channel type")
