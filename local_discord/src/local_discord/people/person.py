"""People, as they use Discord's client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local_discord.errors import ApiError, UsageError
from local_discord.gateway.gateway import Gateway
from local_discord.people import components
from local_discord.people.invocation import Invocation, foreign_data
from local_discord.people.resolving import Resolver
from local_discord.rules.channel_rules import POSTS
from local_discord.rules.permissions import BITS
from local_discord.world.channels import Channel, Message
from local_discord.world.drafts import Draft
from local_discord.world.interactions import AUTOCOMPLETE
from local_discord.world.posts import reference_to
from local_discord.world.replies import Choice, Modal, Reply
from local_discord.world.threads import Thread
from local_discord.world.users import User
from local_discord.world.world import World

_DEFERRED_ANSWER_WITHIN_S = 15.0
_DEFAULT, _REPLY = 0, 19


class Person(User):
    """A user who acts: does what Discord's client lets a person do, and no more. The rest is a `UsageError`.

    What tells the bot something returns when that has been handed to the bot's connection.
    """

    def __init__(self, world: World, gateway: Gateway, name: str) -> None:
        super().__init__(world.core.snowflakes.next(), name)
        self._world = world
        self._gateway = gateway

    @property
    def dm_channel(self) -> Channel:
        """The one with the bot."""
        return self._world.dm_channel(self)

    @property
    def inbox(self) -> list[Message]:
        """What the bot has written to them by itself, oldest first; its answers are in replies."""
        return self._world.inboxes[self.id].messages

    async def send(self, channel: Channel, content: str, *, reply_to: Message | None = None) -> Message:
        """Write in a channel, or in the own DM channel with the bot."""
        self._require_access(channel)
        _require_length(content)
        draft = Draft(content=content, reference=reference_to(reply_to) if reply_to else None)
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
        """Only own ones."""
        self._require_own(message)
        self._world.posts.delete(message)
        await self._gateway.flush()

    async def start_thread(
        self, channel: Channel, name: str, *, message: Message | None = None, private: bool = False
    ) -> Thread:
        """Below a text or announcement channel, from one of its messages or from nothing."""
        self._require_access(channel)
        starts = self._world.thread_starts
        try:
            if message is not None:
                thread = starts.from_message(message, name, self)
            else:
                thread = starts.alone(channel, name, self, private=private)
        except ApiError as refused:
            raise UsageError(refused.message) from None
        await self._gateway.flush()
        return thread

    async def post(self, channel: Channel, title: str, content: str) -> Thread:
        """Begin a post in a forum."""
        self._require_access(channel)
        if channel.kind not in POSTS:
            raise UsageError(f"{channel.name} is no forum.")
        _require_length(content)
        thread, _ = self._world.thread_starts.post(channel, title, self, Draft(content=content))
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
        self._require_access(message.channel)
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
        self._require_access(channel)
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

    async def wait_for_dm(self, wanted: Callable[[Message], bool] = lambda _: True, timeout: float = 5) -> Message:
        """The first message in the inbox that is wanted, now or when it comes; `TimeoutError` after so many seconds."""
        return await self._world.inboxes[self.id].wait_for(wanted, timeout)

    async def _settle(self, reply: Reply) -> Reply:
        """Returns when there is something to see, or nothing more to expect."""
        patience = self._world.core.settings.callback_deadline_s + _DEFERRED_ANSWER_WITHIN_S
        try:
            return await reply.wait_for(lambda one: one.settled, timeout=patience)
        except TimeoutError:
            raise TimeoutError("The bot is still thinking: it deferred its answer and gave none.") from None

    def _place(self, channel: Channel | None) -> Channel:
        place = channel or self.dm_channel
        self._require_access(place)
        return place

    def _require_access(self, channel: Channel) -> None:
        if channel.guild is not None:
            channel.guild.require_member(self)
            if not channel.permissions_of(self) & BITS["view_channel"]:
                raise UsageError(f"{self.name} cannot see #{channel.name}.")
        elif channel.recipient is not self:
            raise UsageError(f"{self.name} cannot see the direct messages of {channel.name}.")

    def _require_own(self, message: Message) -> None:
        if message.author is not self or message.deleted:
            raise UsageError(f"That is no message of {self.name}.")

    def _require_sight(self, message: Message) -> None:
        self._require_access(message.channel)
        if message.deleted:
            raise UsageError("The message is deleted.")
        if message.ephemeral and message.seen_by is not self:
            raise UsageError(f"{self.name} cannot see that ephemeral message.")


def _require_length(content: str) -> None:
    if not 1 <= len(content) <= 2000:
        raise UsageError("A message has 1 to 2000 characters.")
