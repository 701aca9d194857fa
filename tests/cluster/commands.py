"""People who use commands all the time, and whether each is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from local_discord import Guild, Person, Reply
from tests.e2e.conftest import title

ANSWERED_WITHIN_S = 15
_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """A sandbox by its name, and the server in which it is asked for."""

    sandbox: str
    guild: Guild


class Commands:
    """Counts what was asked, and what Discord or the person has given up."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self.asked = 0
        self.unanswered: list[str] = []
        self.extended: dict[str, int] = {}
        """By sandbox, how often the bot has said that it lives longer."""

    async def ask(self, what: str, doing: Awaitable[Reply]) -> Reply | None:
        """Its reply, which may be a refusal; None, and it is counted, if there is none in time."""
        self.asked += 1
        try:
            reply = await doing
            await reply.wait_for(lambda one: one.failed or one.message is not None, timeout=ANSWERED_WITHIN_S)
        except TimeoutError:
            self.unanswered.append(f"{what}: promised, and not given")
            return None
        if reply.failed:
            self.unanswered.append(f"{what}: not within 3 s")
            return None
        return reply

    async def extend(self, places: Sequence[Place]) -> None:
        """Without end, one after the other."""
        while True:
            for place in places:
                await asyncio.gather(self._extend(place), asyncio.sleep(_EVERY_S))

    async def _extend(self, place: Place) -> None:
        command = self._person.command("sandbox extend", channel=place.guild.general, sandbox=place.sandbox, by="1m")
        reply = await self.ask(f"extend {place.sandbox}", command)
        if reply is not None and is_done(reply):
            self.extended[place.sandbox] = self.extended.get(place.sandbox, 0) + 1


def is_done(reply: Reply) -> bool:
    """Whether the bot says so. A refusal, and the promise to show later what became of it, have no title."""
    return reply.message is not None and title(reply.message) != ""
