"""Keeps the bot's slash commands registered in an application that others register theirs in too.

Each is created or updated by itself, and only ids that the bot has once made are deleted. What Discord has is what
counts: the team's own bot may have overwritten the whole list a moment ago. Of several bots the one with the upkeep
does that, so that two versions don't overwrite each other's; the others learn from PostgreSQL which ids are ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from loguru import logger

from bot import constants
from bot.client import SandboxBot
from bot.concurrency import first_of
from bot.discord_away import DiscordUnavailable
from bot.errors import ServiceUnavailable
from bot.global_commands import CHAT_INPUT, GlobalCommand, GlobalCommands, Json, is_same
from bot.own_commands import OwnCommands
from bot.stores.postgres import Pool, fetch, fetch_value, load_queries
from bot.supervisor import Part, backoff
from bot.upkeep import Upkeep


@dataclass
class Changes:
    """What was done at Discord, by the commands' names."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.created or self.updated or self.removed)


class CommandRegistration:
    """One for a bot, once that is logged in. Each method may raise what `GlobalCommands` does, and `ServiceUnavailable`
    when PostgreSQL is away."""

    def __init__(self, bot: SandboxBot, pool: Pool, own: OwnCommands, upkeep: Upkeep) -> None:
        """`own` is told the ids."""
        self._bot, self._own, self._upkeep = bot, own, upkeep
        self._discord, self._made = GlobalCommands(bot), _MadeCommands(pool)
        self._taken: dict[str, Json] = {}
        self._epoch = 0  # of the upkeep, at the last look
        self._enabled, self._tried = asyncio.Event(), asyncio.Event()

    def begin(self) -> None:
        """Let `run` begin: the bot is logged in."""
        self._enabled.set()

    async def wait_tried(self) -> None:
        """Returns when its first look is over, whatever came of it, or soon without it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(constants.COMMANDS_BEFORE_CONNECT_S):
                await self._tried.wait()

    async def run(self, part: Part) -> None:
        """From `begin` on: look whether they are there, now and then, when a command of an unknown id is used, and when
        this bot takes over the upkeep. What Discord refuses is tried again with back-off."""
        await self._enabled.wait()
        pauses = _pauses()
        while True:
            failure = await self._failure()
            self._tried.set()
            if failure is None:
                part.running()
                pauses = _pauses()
                await self._wait_for_next_look()
            else:
                part.failing(failure)
                await asyncio.sleep(max(next(pauses), getattr(failure, "retry_after_s", 0.0)))

    async def reconcile(self) -> Changes:
        """Register what differs from what Discord has, and delete what is ours no more. Sends nothing if all is well.

        What an operator has taken away stays away. One that Discord refuses keeps no other from being tried.
        """
        application_id, changes = self._discord.application_id, Changes()
        made = await self._made.read(application_id)
        wanted = () if await self._made.are_withdrawn(application_id) else await self._definitions()
        there = await self._discord.list_all()
        ids = await self._ensure_all(wanted, there, made, changes)
        await self._delete([command for command in there if command.id in made - ids], changes)
        await self._made.forget(application_id, made - ids)
        self._own.learn(ids)
        if changes:
            logger.info("commands registered", **vars(changes))
        return changes

    async def follow(self) -> None:
        """Learn what another bot has registered. Before any is, the names decide whose a command is."""
        application_id = self._discord.application_id
        made = await self._made.read(application_id)
        if made or await self._made.are_withdrawn(application_id):
            self._own.learn(made)

    async def register(self) -> Changes:
        """`reconcile` by hand: also what was taken away comes back."""
        await self._made.put_back(self._discord.application_id)
        return await self.reconcile()

    async def remove(self) -> Changes:
        """Take ours away, those too that a version has made which noted no ids. Running bots leave it at that."""
        application_id = self._discord.application_id
        await self._made.withdraw(application_id)
        names = {command.name for command in self._bot.tree.get_commands()}
        for command in await self._discord.list_all():
            kind, name = command.key
            if kind == CHAT_INPUT and name in names:
                await self._made.add(application_id, command)
        return await self.reconcile()

    async def _definitions(self) -> Sequence[Json]:
        translator = self._bot.tree.translator
        assert translator is not None
        commands = self._bot.tree.get_commands()
        return [await command.get_translated_payload(self._bot.tree, translator) for command in commands]

    async def _ensure_all(
        self, wanted: Sequence[Json], there: Sequence[GlobalCommand], made: Collection[int], changes: Changes
    ) -> set[int]:
        """The commands' ids; the first refusal, when all have been tried."""
        by_key, ids, refusals = {command.key: command for command in there}, set[int](), list[DiscordUnavailable]()
        for definition in wanted:
            try:
                command = await self._ensure(definition, by_key.get((CHAT_INPUT, definition["name"])), changes)
                if command.id not in made:
                    await self._made.add(self._discord.application_id, command)
                ids.add(command.id)
            except DiscordUnavailable as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]
        return ids

    async def _ensure(self, definition: Json, there: GlobalCommand | None, changes: Changes) -> GlobalCommand:
        """What has our name is ours to update, whoever made it."""
        name = definition["name"]
        if there is None:
            changes.created.append(name)
            return self._note_taken(await self._discord.create(definition))
        if self._is_up_to_date(definition, there):
            return there
        changes.updated.append(name)
        return self._note_taken(await self._discord.update(there.id, definition))

    def _note_taken(self, answer: GlobalCommand) -> GlobalCommand:
        """What Discord made of a definition it would show again: to send that anew each time would change nothing."""
        self._taken[answer.data["name"]] = answer.data
        return answer

    def _is_up_to_date(self, definition: Json, there: GlobalCommand) -> bool:
        taken = self._taken.get(definition["name"])
        return is_same(definition, there.data) or (taken is not None and is_same(taken, there.data))

    async def _delete(self, commands: Sequence[GlobalCommand], changes: Changes) -> None:
        for command in commands:
            await self._discord.delete(command.id, command.data["name"])
            changes.removed.append(command.data["name"])

    async def _failure(self) -> ServiceUnavailable | None:
        """Of one look; None if it went well."""
        try:
            self._epoch = await self._upkeep.epoch()
            await (self.reconcile() if self._epoch else self.follow())
        except ServiceUnavailable as error:
            return error
        return None

    async def _wait_for_next_look(self) -> None:
        await asyncio.sleep(constants.COMMANDS_CHECKED_AGAIN_AFTER_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(constants.COMMANDS_CHECKED_EVERY_S):
                await first_of(self._own.wait_unknown(), self._upkeep.wait_changed(self._epoch))


def _pauses() -> Iterator[float]:
    return backoff(constants.COMMANDS_RETRY_S, constants.COMMANDS_RETRY_LONGEST_S)


class _MadeCommands:
    """The ids that the bots of this database have made, and whether their commands were taken away."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("commands")

    async def read(self, application_id: int) -> set[int]:
        """All that are noted, at Discord or not."""
        rows = await fetch(self._pool, self._sql["list_registered"], application_id)
        return {int(row["command_id"]) for row in rows}

    async def add(self, application_id: int, command: GlobalCommand) -> None:
        """From now on we may delete it."""
        await fetch(self._pool, self._sql["add_registered"], application_id, command.id, command.data["name"])

    async def forget(self, application_id: int, command_ids: Collection[int]) -> None:
        """Discord has them no more."""
        if command_ids:
            await fetch(self._pool, self._sql["forget_registered"], application_id, list(command_ids))

    async def are_withdrawn(self, application_id: int) -> bool:
        """Whether an operator has taken them away."""
        return bool(await fetch_value(self._pool, self._sql["are_withdrawn"], application_id))

    async def withdraw(self, application_id: int) -> None:
        """No bot registers any, until they are put back."""
        await fetch(self._pool, self._sql["withdraw"], application_id)

    async def put_back(self, application_id: int) -> None:
        """The opposite; nothing if they were not withdrawn."""
        await fetch(self._pool, self._sql["put_back"], application_id)
