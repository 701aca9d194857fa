"""People, as they use Discord's client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from local_discord.errors import ApiError, UsageError
from local_discord.people import components
from local_discord.people.context_menus import context_data
from local_discord.people.invocation import Invocation, foreign_data
from local_discord.people.moderation import Moderator
from local_discord.people.resolving import Resolver
from local_discord.rules.channel_rules import POSTS, WITH_MESSAGES
from local_discord.rules.permissions import BITS, bits
from local_discord.world.audit_log import MESSAGE_DELETED
from local_discord.world.channels import Channel, Message
from local_discord.world.drafts import Attachment, Draft
from local_discord.world.guilds import Guild
from local_discord.world.interactions import AUTOCOMPLETE
from local_discord.world.posts import reference_to
from local_discord.world.replies import Choice, Modal, Reply
from local_discord.world.threads import Thread, tag_ids
from local_discord.world.users import User

_DEFERRED_ANSWER_WITHIN_S = 15.0
_DEFAULT, _REPLY = 0, 19
_WITHOUT_SLOWMODE = bits(["manage_channels", "manage_messages", "bypass_slowmode"])


class Person(Moderator):
    """A user who acts: does what Discord's client lets a person do, and no more. The rest is a `UsageError`.

    What tells the bot something returns when that has been handed to the bot's connection.
    """

    async def send(
        self,
        channel: Channel,
        content: str = "",
        *,
        reply_to: Message | None = None,
        files: Sequence[tuple[str, bytes]] = (),
    ) -> Message:
        """Write in a channel, or in the own DM channel with the bot; files are names and contents."""
        self._require_open(channel, *(["attach_files"] if files else []))
        _require_length(content, least=0 if files else 1)
        draft = Draft(content=content, reference=reference_to(reply_to) if reply_to else None)
        draft.attachments = [Attachment(self._world.core.snowflakes.next(), *file) for file in files] or None
        kind = _REPLY if reply_to else _DEFAULT
        message = self._world.posts.create(self, channel, draft, kind=kind, replied_to=reply_to)
        await self._gateway.flush()
        return message

    async def send_dm(self, content: str) -> Message:
        """To the bot."""
        return await self.send(self.dm_channel, content)

    async def edit(self, message: Message, content: str) -> None:
        """Change the text of an own message."""
        self._require_own(message)
        self._world.posts.edit(message, Draft(content=content))
        await self._gateway.flush()

    async def delete(self, message: Message) -> None:
        """An own one, or anybody's where they may manage messages."""
        self._require_sight(message)
        guild = message.channel.guild
        if message.author is not self:
            if guild is None:
                raise UsageError(f"That is no message of {self.name}.", 50003)
            self._require_access(message.channel, "manage_messages")
        self._world.posts.delete(message)
        if guild is not None and message.author is not self:
            told = {"channel_id": str(message.channel.id), "count": "1"}
            guild.audit_log.note(MESSAGE_DELETED, self, message.author.id, options=told)
        await self._gateway.flush()

    async def start_thread(
        self, channel: Channel, name: str, *, message: Message | None = None, private: bool = False
    ) -> Thread:
        """Below a text or announcement channel, from one of its messages or from nothing."""
        self._require_access(channel, "create_private_threads" if private else "create_public_threads")
        starts = self._world.thread_starts
        try:
            if message is not None:
                thread = starts.from_message(message, name, self)
            else:
                thread = starts.alone(channel, name, self, private=private)
        except ApiError as refused:
            raise UsageError(refused.message, refused.code) from None
        await self._gateway.flush()
        return thread

    async def post(self, channel: Channel, title: str, content: str, *, tags: Sequence[str] = ()) -> Thread:
        """Begin a post in a forum, under tags that are given by their names."""
        self._require_access(channel, "send_messages")
        if channel.kind not in POSTS:
            raise UsageError(f"{channel.name} is no forum.")
        _require_length(content)
        try:
            chosen = tag_ids(channel, tags, channel.permissions_of(self))
        except ApiError as refused:
            raise UsageError(refused.message, refused.code) from None
        draft = Draft(content=content)
        thread, _ = self._world.thread_starts.post(
            channel, title, self, draft, prepare=lambda new: setattr(new, "applied_tags", chosen)
        )
        await self._gateway.flush()
        return thread

    async def join(self, thread: Thread) -> None:
        """Nothing if they have joined."""
        self._require_access(thread)
        thread.join(self)
        await self._gateway.flush()

    async def leave(self, thread: Thread) -> None:
        """Nothing if they have not joined."""
        thread.leave(self)
        await self._gateway.flush()

    async def react(self, message: Message, emoji: str) -> None:
        """With a Unicode emoji, such as “👍”."""
        self._require_sight(message)
        joins = emoji in message.reactions
        self._require_access(message.channel, "read_message_history", *([] if joins else ["add_reactions"]))
        self._world.posts.react(self, message, emoji)
        await self._gateway.flush()

    async def unreact(self, message: Message, emoji: str) -> None:
        """Take the own reaction back; nothing if there is none."""
        self._world.posts.unreact(self, message, emoji)
        await self._gateway.flush()

    async def vote(self, message: Message, *answers: str) -> None:
        """Choose answers of a poll by their texts, and none else."""
        self._require_sight(message)
        poll = message.poll
        if poll is None or poll.is_over or (len(answers) > 1 and not poll.takes_several):
            raise UsageError("There is no such choice: the poll is over, takes one answer, or is none.")
        texts = [one["poll_media"]["text"] for one in poll.form["answers"]]
        if not set(answers) <= set(texts):
            raise UsageError(f"{list(answers)} are not all among {texts}.")
        for number, text in enumerate(texts, start=1):
            self._world.posts.vote(self, message, number, chosen=text in answers)
        await self._gateway.flush()

    async def typing(self, channel: Channel) -> None:
        """Begin to write, without sending."""
        self._require_open(channel)
        self._world.posts.typing(self, channel)
        await self._gateway.flush()

    async def command(
        self,
        path: str,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        channel: Channel | None = None,
        **named: Any,
    ) -> Reply:
        """Send a slash command (`"tag show"`), by default in the DM channel; returns as `Reply.settled` tells.

        `options` takes names that are no Python names, or that this method uses itself. `TimeoutError` if the bot
        promises an answer and gives none; if it is too late to promise one, the reply has `failed`.
        """
        place = self._place(channel)
        call = Invocation(self._world, self, place, path)
        data = call.data({**(options or {}), **named})
        return await self._settle(self._world.interactions.invoke(self, place, path, data))

    async def use_on(self, target: Message | User, name: str, *, channel: Channel | None = None) -> Reply:
        """Choose a command in the menu of a message, or of somebody in a channel; returns as `Reply.settled` tells."""
        if isinstance(target, Message):
            self._require_sight(target)
        place = self._place(target.channel if isinstance(target, Message) else channel)
        data = context_data(self._world, self, place, name, target)
        return await self._settle(self._world.interactions.invoke(self, place, name, data))

    async def accept_invite(self, code: str) -> None:
        """Come into the guild that it leads to; `UsageError` for somebody who is banned there, and for no such code."""
        try:
            invite = self._world.invites.get(code)
        except ApiError as refused:
            raise UsageError(refused.message, refused.code) from None
        guild = self._world.guilds[invite.channel.guild_id or 0]
        if self.id in guild.bans:
            raise UsageError(f"{self.name} is banned in {guild.name}.", 40007)
        if self.id not in guild.members:
            guild.add_member(self)
            self._world.invites.use(invite)
        await self._gateway.flush()

    async def set_interest(self, guild: Guild, event_id: int, *, interested: bool = True) -> None:
        """Mean to come to a scheduled event, or not any more."""
        guild.require_member(self)
        guild.scheduled_events.get(event_id)
        guild.set_interest(event_id, self, interested)
        await self._gateway.flush()

    async def autocomplete(
        self,
        path: str,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        focused: str,
        channel: Channel | None = None,
        **named: Any,
    ) -> list[Choice]:
        """What the bot proposes for the option being typed; nothing if it is too late."""
        place = self._place(channel)
        call = Invocation(self._world, self, place, path)
        data = call.autocomplete_data({**(options or {}), **named}, focused)
        reply = await self._settle(self._world.interactions.invoke(self, place, path, data, kind=AUTOCOMPLETE))
        return reply.choices or []

    async def use_foreign_command(self, name: str, *, channel: Channel | None = None, **options: Any) -> Reply:
        """A command that another process has registered and the bot knows nothing of. Returns at once."""
        place = self._place(channel)
        data = foreign_data(self._world, self, place, name, options)
        reply = self._world.interactions.invoke(self, place, name, data)
        await self._gateway.flush()
        return reply

    async def click(self, message: Message, button: str, *, force: bool = False) -> Reply:
        """Press a button, by its label or custom id. `force` presses what the client would not let one press."""
        found = components.find_button(message, button)
        if not force:
            self._require_sight(message)
            components.require_enabled(found)
        data = {"id": found["id"], "custom_id": found["custom_id"], "component_type": 2}
        return await self._settle(self._world.interactions.use_component(self, message, data))

    async def select(self, message: Message, custom_id: str, values: Sequence[Any], *, force: bool = False) -> Reply:
        """Choose in a select menu, named by its custom id or placeholder."""
        found = components.find_select(message, custom_id)
        if not force:
            self._require_sight(message)
            components.require_enabled(found)
        data = {"id": found["id"], **components.selection(found, values, Resolver(self._world, self, message.channel))}
        return await self._settle(self._world.interactions.use_component(self, message, data))

    async def submit(self, modal: Modal | None, fields: Mapping[str, Any] | None = None, /, **named: Any) -> Reply:
        """Fill in a modal; its fields are named by custom id or label (`Your name` is also `your_name`)."""
        if modal is None or modal.user is not self:
            raise UsageError(f"No modal is open for {self.name}.")
        resolver = Resolver(self._world, self, modal.channel)
        data = components.submission(modal.data, {**(fields or {}), **named}, resolver)
        return await self._settle(self._world.interactions.submit(modal, data))

    async def _settle(self, reply: Reply) -> Reply:
        """Returns when there is something to see, or nothing more to expect."""
        patience = self._world.core.settings.callback_deadline_s + _DEFERRED_ANSWER_WITHIN_S
        try:
            return await reply.wait_for(lambda one: one.settled, timeout=patience)
        except TimeoutError:
            raise TimeoutError("The bot is still thinking: it deferred its answer and gave none.") from None

    def _require_open(self, channel: Channel, *permissions: str) -> None:
        """They may write there, and not too soon after what they wrote last."""
        if channel.kind not in WITH_MESSAGES:
            raise UsageError(f"Nobody can write in {channel.name}.", 50008)
        self._require_access(channel, *([channel.send_permission] if channel.guild else []), *permissions)
        granted = channel.permissions_of(self)
        if isinstance(channel, Thread) and channel.locked and not granted & BITS["manage_threads"]:
            raise UsageError(f"{channel.name} is locked.", 160005)
        if granted & _WITHOUT_SLOWMODE:
            return
        own = [one for one in channel.messages.values() if one.author is self]
        if own and self._world.core.snowflakes.age_s(own[-1].id) < channel.slowmode_s:
            raise UsageError(f"#{channel.name} is in slow mode.", 20016)

    def _require_own(self, message: Message) -> None:
        if message.author is not self or message.deleted:
            raise UsageError(f"That is no message of {self.name}.")


def _require_length(content: str, *, least: int = 1) -> None:
    if not least <= len(content) <= 2000:
        raise UsageError("A message has 1 to 2000 characters.", 50035)
