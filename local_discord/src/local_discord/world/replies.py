"""What a person sees of the bot's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from local_discord.signals import Signal
from local_discord.wire import Json
from local_discord.world.channels import Channel, Message
from local_discord.world.users import User


class Choice(TypedDict):
    """What the bot proposes while somebody types: its label, and what is sent for it."""

    name: str
    value: str | int | float


@dataclass(frozen=True)
class Modal:
    """A form that the bot has opened for one person."""

    user: User
    data: Json
    channel: Channel
    source: Message | None
    """The message with the component that opened it; None if a command did."""
    trigger: Json | None = None
    """What is told of the interaction that opened it."""

    @property
    def title(self) -> str:
        """What stands above its fields."""
        return str(self.data["title"])

    @property
    def custom_id(self) -> str:
        """By which the bot knows it again."""
        return str(self.data["custom_id"])


@dataclass(eq=False)
class Reply:
    """Grows as the bot answers; its messages change in place when the bot edits them."""

    interaction_id: int
    token: str
    messages: list[Message] = field(default_factory=list)
    """What the bot has shown, oldest first."""
    choices: list[Choice] | None = None
    modal: Modal | None = None
    deferred: bool = False
    """The first answer has only promised one."""
    failed: bool = False
    """The bot was too late: the client says that the application did not respond."""
    ack_ms: float | None = None
    """How long the first answer took; None before it."""
    updates_in_place: bool = False
    """The bot has promised nothing more than, perhaps, a change of the message with the component."""
    _changed: Signal = field(default_factory=Signal, repr=False)

    @property
    def message(self) -> Message | None:
        """The latest one; None while there is none."""
        return self.messages[-1] if self.messages else None

    @property
    def settled(self) -> bool:
        """Whether the person's client shows anything other than a wait."""
        shown = self.messages or self.modal or self.choices is not None
        return bool(shown or self.failed or self.updates_in_place)

    async def wait_for(self, wanted: Callable[[Reply], object], timeout: float = 5) -> Reply:
        """Returns as soon as the reply is as wanted; `TimeoutError` if that takes too long."""
        return await self._changed.wait_until(lambda: self if wanted(self) else None, timeout)

    def show(self, message: Message) -> None:
        """A message is new, or has changed."""
        if message in self.messages:
            self.messages.remove(message)
        self.messages.append(message)
        self.notify()

    def notify(self) -> None:
        """Something else about it has changed."""
        self._changed.notify()
