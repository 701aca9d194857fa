"""Things that a guild or the application owns and that are no more than their fields: emojis, sounds, events."""

from __future__ import annotations

from collections.abc import Callable

from local_discord.errors import unknown
from local_discord.wire import Json
from local_discord.world.core import Core


class Shelf:
    """One kind of thing, as JSON objects whose id is under `id_key`.

    `tell` is called with CREATE, UPDATE or DELETE and the thing, after the change.
    """

    def __init__(self, core: Core, kind: str, id_key: str, tell: Callable[[str, Json], object]) -> None:
        self._core = core
        self._kind = kind
        self._id_key = id_key
        self._tell = tell
        self._items: dict[int, Json] = {}

    def items(self) -> list[Json]:
        """Oldest first."""
        return list(self._items.values())

    def get(self, number: int) -> Json:
        """Discord's “Unknown …” if there is none with that id."""
        if (item := self._items.get(number)) is None:
            raise unknown(self._kind)
        return item

    def add(self, item: Json) -> Json:
        """The thing, with an id."""
        number = self._core.snowflakes.next()
        self._items[number] = item = {self._id_key: str(number)} | item
        self._tell("CREATE", item)
        return item

    def edit(self, number: int, changes: Json) -> Json:
        """The thing after the changes."""
        self._items[number] = item = self.get(number) | changes
        self._tell("UPDATE", item)
        return item

    def remove(self, number: int) -> None:
        """Discord's “Unknown …” if there is none with that id."""
        item = self.get(number)
        del self._items[number]
        self._tell("DELETE", item)
