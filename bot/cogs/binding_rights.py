"""Unbinds servers whose binder has left them, or has lost Manage Server there. An outage takes no right.

An admin's right is to be one, as the operator's is to run the bot: their bindings stay.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from loguru import logger

from bot import constants
from bot.client import SandboxBot
from bot.sandboxes.bindings import Binding
from bot.supervisor import Part
from bot.ui.guild_permissions import Right, read_right


class BindingRights:
    """Looks at a binding when an event gives a reason to, and now and then without one. Of several processes each does
    so for the servers on its shards."""

    def __init__(self, bot: SandboxBot) -> None:
        self._bot = bot
        self._changed: dict[int, set[int | None]] = {}
        self._quiet_until: dict[int, float] = {}
        self._poll_at = 0.0
        self._wake = asyncio.Event()
        self._wake.set()

    def note(self, guild_id: int, user_id: int | None) -> None:
        """The member, or None for anybody, may have lost a right in a bound guild. Only remembers it."""
        people = self._changed.setdefault(guild_id, set())
        people.add(user_id if len(people) < constants.BINDING_PEOPLE_NOTED else None)
        self._wake.set()

    async def run(self, part: Part) -> None:
        """For ever, a turn at a time; `ServiceUnavailable` if PostgreSQL is away."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(constants.BINDING_POLL_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.check()
            except BaseException:
                self._wake.set()  # for the next try
                raise
            part.running()
            await asyncio.sleep(constants.BINDING_PAUSE_S)

    async def check(self) -> None:
        """Look at what may have changed, then, if it is time, at some of what is due."""
        if not self._bot.connected_shards:  # not yet, or another process's
            return
        await self._look_at_changed()
        if time.monotonic() >= self._poll_at:
            await self._look_at_due()
        if self._changed:
            self._wake.set()

    async def _look_at_changed(self) -> None:
        changed = await self._take_changed()
        try:
            while changed:
                await self._look_at(changed[-1])
                changed.pop()
        finally:
            for binding in changed:  # for the next try
                self.note(binding.guild_id, binding.binder_id)

    async def _look_at_due(self) -> None:
        due = await self._bot.manager.bindings.list_due(self._bot.shard_count or 1, self._bot.connected_shards)
        for binding in due:
            await self._look_at(binding)
        if len(due) < constants.BINDINGS_PER_TURN:
            self._poll_at = time.monotonic() + constants.BINDING_POLL_S
        else:
            self._wake.set()

    async def _take_changed(self) -> list[Binding]:
        """The bindings of those who were noted, but of guilds that have just been looked at."""
        now = time.monotonic()
        self._quiet_until = {guild_id: until for guild_id, until in self._quiet_until.items() if until > now}
        ready = [guild_id for guild_id in self._changed if guild_id not in self._quiet_until]
        if not ready:
            return []
        bindings = await self._bot.manager.bindings.list_of(ready)
        people = {guild_id: self._changed.pop(guild_id) for guild_id in ready}
        return [binding for binding in bindings if people[binding.guild_id] & {binding.binder_id, None}]

    async def _look_at(self, binding: Binding) -> None:
        self._quiet_until[binding.guild_id] = time.monotonic() + constants.BINDING_QUIET_S
        bindings, right = self._bot.manager.bindings, Right.HELD
        if binding.binder_id not in self._bot.admins:
            right = await read_right(self._bot, binding.guild_id, binding.binder_id)
        if right is Right.LOST:
            guild = self._bot.get_guild(binding.guild_id)
            await bindings.revoke(binding, guild.name if guild else None)
        elif right is Right.HELD:
            await bindings.check_again(binding, constants.BINDING_CHECK_EVERY)
        else:
            logger.debug("Discord does not say whether a binder has the right", guild=binding.guild_id)
            await bindings.check_again(binding, constants.BINDING_CHECK_SOON)
