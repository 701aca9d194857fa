"""What has changed, in one order for all tabs: each says how far it has read, and none is waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from local_discord import wire
from local_discord.signals import Signal
from local_discord.world.users import User

_KEPT = 4000


@dataclass(frozen=True)
class _Change:
    text: bytes
    is_for: Callable[[User], bool]


class Feed:
    """The latest changes, numbered from 1. Whoever has missed more reads the whole state anew."""

    def __init__(self) -> None:
        self.sequence = 0
        self._changes: deque[_Change] = deque(maxlen=_KEPT)
        self._told = Signal()

    def tell(self, kind: str, data: object, is_for: Callable[[User], bool] = lambda _: True) -> None:
        """To every tab whose person it is for."""
        self._changes.append(_Change(wire.encode({"kind": kind, "data": data}), is_for))
        self.sequence += 1
        self._told.notify()

    def since(self, sequence: int, person: User) -> list[bytes] | None:
        """Each change after that one, as JSON; None if it is too long ago, or was never."""
        missed = self.sequence - sequence
        if not 0 <= missed <= len(self._changes):
            return None
        changes = islice(self._changes, len(self._changes) - missed, None)
        return [change.text for change in changes if change.is_for(person)]

    async def wait_beyond(self, sequence: int) -> None:
        """Until there is a later one."""
        await self._told.wait_until(lambda: self.sequence > sequence, None)
