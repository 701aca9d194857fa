"""The commands of sandboxes' own bots: kept as they were registered, and made in Discord as commands of their guilds.

One by one, and only those whose ids are kept: the team's own bot has commands there too.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.relay.fairness import TooManyRequests
from bot.relay.identity import IdentitySource
from bot.relay.upstream import Answer, DiscordAway, Refused, Upstream
from bot.stores.postgres import Connection, Pool, connected, fetch, fetch_value, load_queries, transaction

Definition = dict[str, Any]
Key = tuple[int, str]
"""A command's type and name, by which Discord tells those of a scope apart."""

CHAT_INPUT = 1

_DISCORD_EPOCH_MS = 1_420_070_400_000
_OF_GLOBAL_ALONE = frozenset({"dm_permission", "contexts", "integration_types"})
_GIVEN_BY_DISCORD = frozenset({"id", "application_id", "guild_id", "version"})
_TOO_MANY_REQUESTS = 429
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose commands, and where: all of a sandbox's guilds (None), or one."""

    sandbox_id: UUID
    guild_id: int | None


def key_of(definition: Mapping[str, Any]) -> Key:
    """Chat input is what a definition without a type is."""
    return int(definition.get("type") or CHAT_INPUT), str(definition.get("name"))


class CommandStore:
    """What the bots have registered."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._sql = pool, load_queries("relay_commands")

    async def registered(self, scope: Scope) -> list[asyncpg.Record]:
        """Rows of `id`, `guild_id`, `type`, `name`, `definition`, `version`."""
        async with connected(self._pool) as connection:
            return await self._list(connection, scope)

    async def get(self, scope: Scope, command_id: int) -> asyncpg.Record | None:
        """None if there is none of that id."""
        async with connected(self._pool) as connection:
            return await connection.fetchrow(self._sql["get"], scope.sandbox_id, scope.guild_id, command_id)

    async def put(self, scope: Scope, definitions: Iterable[Definition], *, replace_all: bool) -> list[asyncpg.Record]:
        """Those of the same type and name keep their ids. What there was before, for `restore`."""
        async with transaction(self._pool) as connection:
            before = await self._lock(connection, scope)
            ids = {(row["type"], row["name"]): row["id"] for row in before}
            kept: set[int] = set()
            for definition in definitions:
                command_id = ids.get(key_of(definition)) or _new_id()
                kept.add(command_id)
                await self._put(connection, scope, command_id, definition)
            if replace_all:
                gone = [row["id"] for row in before if row["id"] not in kept]
                await connection.execute(self._sql["delete"], scope.sandbox_id, scope.guild_id, gone)
        return before

    async def delete(self, scope: Scope, command_id: int) -> list[asyncpg.Record]:
        """As for `put`."""
        async with transaction(self._pool) as connection:
            before = await self._lock(connection, scope)
            await connection.execute(self._sql["delete"], scope.sandbox_id, scope.guild_id, [command_id])
        return before

    async def restore(self, scope: Scope, before: Sequence[asyncpg.Record]) -> None:
        """Discord has refused what was registered since."""
        async with transaction(self._pool) as connection:
            now = await self._lock(connection, scope)
            await connection.execute(self._sql["delete"], scope.sandbox_id, scope.guild_id, [row["id"] for row in now])
            for row in before:
                await self._put(connection, scope, row["id"], row["definition"])

    async def _lock(self, connection: Connection, scope: Scope) -> list[asyncpg.Record]:
        await connection.execute(self._sql["lock_sandbox"], scope.sandbox_id)
        return await self._list(connection, scope)

    async def _list(self, connection: Connection, scope: Scope) -> list[asyncpg.Record]:
        return await connection.fetch(self._sql["list"], scope.sandbox_id, scope.guild_id)

    async def _put(self, connection: Connection, scope: Scope, command_id: int, definition: Definition) -> None:
        kind, name = key_of(definition)
        place = (command_id, scope.sandbox_id, scope.guild_id, kind, name)
        await connection.execute(self._sql["put"], *place, definition, _new_id())


class GuildCommands:
    """Brings Discord in line with what belongs into each guild. `reconcile` is one turn over all of them."""

    def __init__(self, pool: Pool, upstream: Upstream, identity: IdentitySource) -> None:
        self._pool, self._upstream, self._identity = pool, upstream, identity
        self._sql = load_queries("relay_commands")
        self._spared_until: dict[int, float] = {}

    async def reconcile(self) -> None:
        """After bindings, expiries and ends, and what failed before. `ServiceUnavailable` without PostgreSQL."""
        async with connected(self._pool) as connection:
            await connection.execute(self._sql["delete_of_destroyed"])
            stale = [int(row["guild_id"]) for row in await connection.fetch(self._sql["list_stale"])]
        now = time.monotonic()
        self._spared_until = {guild_id: until for guild_id, until in self._spared_until.items() if until > now}
        for guild_id in stale:
            if guild_id in self._spared_until:
                continue
            try:
                await self.apply(guild_id)
            except (Refused, DiscordAway, TooManyRequests) as error:
                self._spared_until[guild_id] = time.monotonic() + constants.RELAY_COMMANDS_SPARED_S
                logger.warning("the commands of a server are not what they should be", guild=guild_id, error=str(error))

    async def guilds_of(self, scope: Scope) -> list[int]:
        """Where a change in that scope is to be seen."""
        if scope.guild_id is not None:
            return [scope.guild_id]
        return [int(row["guild_id"]) for row in await fetch(self._pool, self._sql["list_guilds"], scope.sandbox_id)]

    async def apply(self, guild_id: int) -> None:
        """`Refused` with Discord's answer to the first command that it doesn't take; the others are made all the same.

        Nothing if another process is at it: `reconcile` looks again.
        """
        claimed_for = timedelta(seconds=constants.RELAY_COMMANDS_CLAIMED_S)
        if not await fetch_value(self._pool, self._sql["claim"], guild_id, claimed_for):
            return
        try:
            await self._apply(guild_id)
        finally:
            with suppress(ServiceUnavailable):
                await fetch(self._pool, self._sql["release"], guild_id)

    async def told_as(self, guild_id: int, discords_id: int) -> tuple[int, bool] | None:
        """The id that the bot was told of a command, and whether it registered it globally; None for anybody else's."""
        async with connected(self._pool) as connection:
            row = await connection.fetchrow(self._sql["told_as"], guild_id, discords_id)
        return (int(row["command_id"]), row["is_global"]) if row else None

    async def id_in_guild(self, guild_id: int, command_id: int) -> int | None:
        """Discord's id of it there; None if it isn't there."""
        found = await fetch_value(self._pool, self._sql["id_in_guild"], guild_id, command_id)
        return int(found) if found is not None else None

    async def _apply(self, guild_id: int) -> None:
        async with connected(self._pool) as connection:
            wanted = {(row["type"], row["name"]): row for row in await connection.fetch(self._sql["wanted"], guild_id)}
            present = {
                (row["type"], row["name"]): row for row in await connection.fetch(self._sql["present"], guild_id)
            }
        for key in present.keys() - wanted.keys():
            await self._take_back(guild_id, key, present[key])
        changed = [key for key, row in wanted.items() if not _is_same(row, present.get(key))]
        if not changed:
            return
        there = await self._list(guild_id)
        refused: Refused | None = None
        for key in changed:
            try:
                await self._make(guild_id, wanted[key], present.get(key), there.get(key))
            except Refused as error:
                refused = refused or error
        if refused is not None:
            raise refused

    async def _make(
        self, guild_id: int, wanted: asyncpg.Record, present: asyncpg.Record | None, there: Definition | None
    ) -> None:
        key, sandbox_id = (wanted["type"], wanted["name"]), wanted["sandbox_id"]
        replaced = there if present is None else None
        await fetch(
            self._pool, self._sql["intend"], guild_id, *key, wanted["id"], sandbox_id, wanted["definition"], replaced
        )
        path = await self._path(guild_id)
        sent = {name: value for name, value in wanted["definition"].items() if name not in _OF_GLOBAL_ALONE}
        answer = await self._send("POST", path, sent, sandbox_id)
        if answer.status >= 300:
            if present is None:  # nothing was made
                await fetch(self._pool, self._sql["forget"], guild_id, *key)
            raise Refused(answer)
        await fetch(self._pool, self._sql["settle"], guild_id, *key, int(answer.json()["id"]))

    async def _take_back(self, guild_id: int, key: Key, present: asyncpg.Record) -> None:
        path = await self._path(guild_id)
        if present["replaced"] is not None:
            restored = {name: value for name, value in present["replaced"].items() if name not in _GIVEN_BY_DISCORD}
            answer = await self._send("POST", path, restored)
        else:
            discords_id = present["id"] or (await self._list(guild_id)).get(key, {}).get("id")
            if discords_id is None:
                await fetch(self._pool, self._sql["forget"], guild_id, *key)
                return
            answer = await self._send("DELETE", f"{path}/{discords_id}", None)
        if answer.status >= 300 and answer.status not in (403, 404):  # the bot has left, or it is gone already
            raise Refused(answer)
        await fetch(self._pool, self._sql["forget"], guild_id, *key)

    async def _send(
        self, method: str, path: str, definition: Definition | None, sandbox_id: UUID | None = None
    ) -> Answer:
        body = orjson.dumps(definition) if definition is not None else None
        answer = await self._upstream.request(method, path, headers=_JSON, body=body, sandbox_id=sandbox_id)
        if not answer.is_definite and answer.status != _TOO_MANY_REQUESTS:  # which the bot is told, to wait as long
            raise DiscordAway(f"Discord answers {answer.status}")
        return answer

    async def _list(self, guild_id: int) -> dict[Key, Definition]:
        try:
            shown = await self._upstream.get(await self._path(guild_id), "with_localizations=true")
        except Refused as refused:
            if refused.answer.status in (403, 404):
                return {}
            raise
        return {key_of(command): command for command in shown}

    async def _path(self, guild_id: int) -> str:
        return f"/applications/{(await self._identity.get()).application_id}/guilds/{guild_id}/commands"


def _is_same(wanted: asyncpg.Record, present: asyncpg.Record | None) -> bool:
    return (
        present is not None
        and present["id"] is not None
        and present["command_id"] == wanted["id"]
        and present["definition"] == wanted["definition"]
    )


def _new_id() -> int:
    """A snowflake of now."""
    return (int(time.time() * 1000) - _DISCORD_EPOCH_MS) << 22 | secrets.randbits(22)
