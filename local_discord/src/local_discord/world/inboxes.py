"""What the bot has written to people by itself."""

from __future__ import annotations

from collections.abc import Callable

from local_discord.signals import Signal
from local_discord.world.channels import Message


class Inbox:
    """One person's, oldest first; what answers an interaction is not in it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = Signal()

    def receive(self, message: Message) -> None:
        """Once for each message, however often it is received."""
        if message not in self.messages:
            self.messages.append(message)
            self._changed.notify()

    async def wait_for(self, wanted: Callable[[Message], bool], timeout: float) -> Message:
        """The first message that is wanted, now or when it comes; `TimeoutError` if it does not come."""
        return await self._changed.wait_until(lambda: next(filter(wanted, self.messages), None), timeout)
