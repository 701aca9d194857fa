"""Databases of their own for sandboxes, where the server checks databases in its ACL (Valkey 9.1).

Which are in use by whom PostgreSQL decides. A registry in the bot's own database of the server, a hash of numbers and
sandbox ids, is what proves that the content of one is ours: without its entry nothing is ever flushed or handed out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import redis.asyncio
from redis.exceptions import ResponseError

from bot import names
from bot.i18n import Translatable

NO_DATABASES = range(0)

_CLAIM = """
local owner = redis.call('HGET', KEYS[1], ARGV[1])
if owner then return owner == ARGV[2] and 1 or 0 end
redis.call('SELECT', ARGV[1])
if redis.call('DBSIZE') > 0 then return 0 end
redis.call('SELECT', ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""

_EMPTY = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
redis.call('SELECT', ARGV[1])
local keys = redis.call('DBSIZE')
redis.call('FLUSHDB', 'ASYNC')
if ARGV[4] == 'release' then
    redis.call('SELECT', ARGV[3])
    redis.call('HDEL', KEYS[1], ARGV[1])
end
return keys
"""

_COUNT = "redis.call('SELECT', ARGV[1]) return redis.call('DBSIZE')"


@dataclass(frozen=True, slots=True)
class Databases:
    """The commands of the registry, each one round trip and all or nothing. Errors are redis-py's own."""

    client: redis.asyncio.Redis

    @property
    def own(self) -> int:
        """The bot's database, in which the registry is."""
        return int(self.client.connection_pool.connection_kwargs.get("db") or 0)

    async def claim(self, number: int, sandbox_id: UUID) -> bool:
        """Have it registered as the sandbox's. False if it is another's, or has content that nobody has registered."""
        return bool(await self._eval(_CLAIM, number, str(sandbox_id), self.own))

    async def empty(self, number: int, sandbox_id: UUID, *, release: bool) -> int | None:
        """Flush it if it is registered as the sandbox's, and with `release` forget whose it was. How many keys there
        were; None if it is not registered so, and was left alone."""
        keys = await self._eval(_EMPTY, number, str(sandbox_id), self.own, "release" if release else "keep")
        return None if keys < 0 else keys

    async def count_keys(self, number: int) -> int:
        """Whosever they are."""
        return await self._eval(_COUNT, number)

    async def list_registered(self) -> dict[int, UUID]:
        """The sandboxes by their databases' numbers."""
        entries = cast("dict[bytes, bytes]", await self.client.hgetall(names.REDIS_DATABASES_KEY))
        return {int(number): UUID(owner.decode()) for number, owner in entries.items()}

    async def list_filled(self) -> dict[int, int]:
        """How many keys there are in each database that has some."""
        told = await self.client.info("keyspace")
        return {int(name.removeprefix("db")): facts["keys"] for name, facts in told.items() if name.startswith("db")}

    async def find_hindrance(self, numbers: range) -> str | None:
        """Why sandboxes cannot have these databases; None if they can. Tried by a user who never logs in."""
        last = numbers[-1]
        try:
            await self._eval(_COUNT, last)
        except ResponseError:
            return f"the server has no database {last} (its setting “databases”)"
        made, *decided = await self._try_user(last)
        if isinstance(made, ResponseError):
            return Translatable("the server's ACL knows no databases: Valkey from 9.1 on does")
        if [answer in (b"OK", "OK") for answer in decided] != [True, False, False]:
            return Translatable("the server takes databases in its ACL, and does not check them")
        return None

    async def _try_user(self, number: int) -> list[object]:
        """What the server says to the user, and whether they might go to their database, to the bot's, and read there.
        All at once: nobody ever sees the user."""
        user = f"sandbox-probe-{secrets.token_hex(8)}"
        commands = [("SELECT", str(number)), ("SELECT", str(self.own)), ("GET", "x")]
        async with self.client.pipeline(transaction=True) as pipe:
            pipe.execute_command("ACL", "SETUSER", user, "reset", "off", f"db={number}", "~*", "+get", "+select")
            for command in commands:
                pipe.execute_command("ACL", "DRYRUN", user, *command)
            pipe.execute_command("ACL", "DELUSER", user)
            answers: list[object] = await pipe.execute(raise_on_error=False)
        return answers[:-1]

    async def _eval(self, script: str, *arguments: object) -> int:
        found: int = await self.client.eval(script, 1, names.REDIS_DATABASES_KEY, *arguments)  # type: ignore[arg-type]
        return found
