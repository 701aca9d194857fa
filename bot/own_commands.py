"""Which uses of commands are of the bot's own: a sandbox's worker may have commands of the same names."""

from __future__ import annotations

import asyncio
from collections.abc import Collection


class OwnCommands:
    """The names, and the ids as far as they are known from the registration."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)
        self._ids: frozenset[int] | None = None
        self._unknown = asyncio.Event()

    def learn(self, ids: Collection[int]) -> None:
        """These are all that Discord has of ours; none: they were taken away."""
        self._ids = frozenset(ids)
        self._unknown.clear()

    def include(self, name: str, command_id: int) -> bool:
        """Of a slash command of the whole application, of which Discord has one of each name.

        Before anything is learned the name decides. A higher id than is known has taken the place of ours since, which
        a bot of ours does that registers anew.
        """
        if name not in self._names:
            return False
        if self._ids is None or command_id in self._ids:
            return True
        self._unknown.set()
        return bool(self._ids) and command_id > max(self._ids)

    async def wait_unknown(self) -> None:
        """Returns when one of our names was used with an id that is not known since the last `learn`."""
        await self._unknown.wait()
