"""People, as they use Discord's client, and the bot's own user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from local_discord import components, invocation
from local_discord.errors import UsageError
from local_discord.messages import Draft, Message
from local_discord.replies import Choice, Modal, Reply
from local_discord.resolving import Resolver
from local_discord.signals import Signal
from local_discord.wire import Json

if TYPE_CHECKING:
    from local_discord.channels import Channel
    from local_discord.world import World

_DEFERRED_ANSWER_WITHIN_S = 15.0


class Person:
    """Can do what Discord's client lets a person do, and no more: the rest is a `UsageError`."""

    def __init__(self, world: World, person_id: int, name: str, *, bot: bool = False) -> None:
        self._world = world
        self.id = person_id
        self.name = name
        self.bot = bot
        self.locale = "en-US"
        self.dms_closed = False
        self.dm_channel: Channel | None = None
        self.inbox: list[Message] = []  # what the bot has written by itself; its answers are in replies
        self._inbox_changed = Signal()

    def __repr__(self) -> str:
        return f"<Person {self.name!r} id={self.id}>"

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self) -> Json:
        data: Json = {
            "id": str(self.id),
            "username": self.name,
            "global_name": None if self.bot else self.name,
            "discriminator": "0",
            "avatar": None,
            "avatar_decoration_data": None,
            "public_flags": 0,
        }
        return data | ({"bot": True} if self.bot else {})

    def own_payload(self) -> Json:
        """As the bot sees its own user."""
        return self.payload() | {"verified": True, "mfa_enabled": True, "flags": 0, "email": None, "locale": "en-US"}

    async def send(self, channel: Channel, content: str, *, reply_to: Message | None = None) -> Message:
        self._require_access(channel)
        if not 1 <= len(content) <= 2000:
            raise UsageError("A message has 1 to 2000 characters.")
        draft = Draft(content=content, reference=_reference(reply_to))
        message = self._world.posts.create(self, channel, draft, kind=19 if reply_to else 0)
        await self._world.gateway.flush()
        return message

    async def send_dm(self, content: str) -> Message:
        """To the bot."""
        return await self.send(self._world.dm_channel(self), content)

    async def edit(self, message: Message, content: str) -> None:
        self._require_own(message)
        self._world.posts.edit(message, Draft(content=content))
        await self._world.gateway.flush()

    async def delete(self, message: Message) -> None:
        self._require_own(message)
        self._world.posts.delete(message)
        await self._world.gateway.flush()

    async def react(self, message: Message, emoji: str) -> None:
        self._require_access(message.channel)
        self._world.posts.react(self, message, emoji)
        await self._world.gateway.flush()

    async def unreact(self, message: Message, emoji: str) -> None:
        self._world.posts.unreact(self, message, emoji)
        await self._world.gateway.flush()

    async def typing(self, channel: Channel) -> None:
        self._require_access(channel)
        self._world.posts.typing(self, channel)
        await self._world.gateway.flush()

    async def command(
        self,
        path: str,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        channel: Channel | None = None,
        **named: Any,
    ) -> Reply:
        """Send a slash command and return when it is answered, or when the bot was too late.

        `options` takes names that are no Python names, or that this method uses itself.
        """
        place = self._place(channel)
        call = invocation.Invocation(self._world, self, place, path)
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
        call = invocation.Invocation(self._world, self, place, path)
        data = call.autocomplete_data({**(options or {}), **named}, focused)
        reply = await self._settle(self._world.interactions.invoke(self, place, path, data, kind=4))
        return reply.choices or []

    async def use_foreign_command(self, name: str, *, channel: Channel | None = None, **options: Any) -> Reply:
        """A command that another process has registered and the bot knows nothing of. Returns at once."""
        place = self._place(channel)
        data = invocation.foreign_data(self._world, self, place, name, options)
        reply = self._world.interactions.invoke(self, place, name, data)
        await self._world.gateway.flush()
        return reply

    async def click(self, message: Message, button: str, *, force: bool = False) -> Reply:
        """Press a button, by its label or custom id. `force` presses what the client would not let one press."""
        found = components.find_button(message, button)
        if not force:
            self._require_sight(message)
            components.require_enabled(found)
        data = {"custom_id": found["custom_id"], "component_type": 2}
        return await self._settle(self._world.interactions.use_component(self, message, data))

    async def select(self, message: Message, custom_id: str, values: Sequence[Any], *, force: bool = False) -> Reply:
        """Choose in a select menu, named by its custom id or placeholder."""
        found = components.find_select(message, custom_id)
        if not force:
            self._require_sight(message)
            components.require_enabled(found)
        data = components.selection(found, values, Resolver(self._world, self, message.channel))
        return await self._settle(self._world.interactions.use_component(self, message, data))

    async def submit(self, modal: Modal | None, fields: Mapping[str, Any] | None = None, /, **named: Any) -> Reply:
        """Fill in a modal; its fields are named by custom id or label (`Your name` is also `your_name`)."""
        if modal is None or modal.person is not self:
            raise UsageError(f"No modal is open for {self.name}.")
        resolver = Resolver(self._world, self, modal.interaction.channel)
        data = components.submission(modal.data, {**(fields or {}), **named}, resolver)
        return await self._settle(self._world.interactions.submit(modal, data))

    async def wait_for_dm(self, wanted: Callable[[Message], bool] = lambda _: True, timeout: float = 5) -> Message:
        """The first message in the inbox that is wanted, now or when it comes."""
        return await self._inbox_changed.wait_until(lambda: next(filter(wanted, self.inbox), None), timeout)

    def receive(self, message: Message) -> None:
        """The bot has written a DM."""
        self.inbox.append(message)
        self._inbox_changed.notify()

    async def _settle(self, reply: Reply) -> Reply:
        """Returns when there is something to see, or nothing more to expect."""
        patience = self._world.callback_deadline_s + _DEFERRED_ANSWER_WITHIN_S
        try:
            return await reply.wait_for(lambda one: one.settled, timeout=patience)
        except TimeoutError:
            raise TimeoutError("The bot is still thinking: it deferred its answer and gave none.") from None

    def _place(self, channel: Channel | None) -> Channel:
        place = channel or self._world.dm_channel(self)
        self._require_access(place)
        return place

    def _require_access(self, channel: Channel) -> None:
        if channel.guild is not None:
            channel.guild.require_member(self)
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


def _reference(message: Message | None) -> Json | None:
    if message is None:
        return None
    reference: Json = {"type": 0, "message_id": str(message.id), "channel_id": str(message.channel.id)}
    guild_id = message.channel.guild_id
    return reference | ({"guild_id": str(guild_id)} if guild_id else {})
