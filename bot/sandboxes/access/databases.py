"""Which sandbox has which database of Valkey's: assigned in PostgreSQL, and claimed in the server before it is used."""

from __future__ import annotations

import random
from uuid import UUID

from loguru import logger

from bot import constants
from bot.errors import ServiceUnavailable
from bot.sandboxes.model import Sandbox
from bot.stores.postgres import Pool, fetch, fetch_value, load_queries
from bot.stores.redis import RedisStore
from bot.stores.redis_databases import NO_DATABASES


class SandboxDatabases:
    """A sandbox gets its database when it is made, and keeps it; one that got none shares the first with others, by its
    prefix, for as long as it lives."""

    def __init__(self, pool: Pool, redis: RedisStore) -> None:
        self._pool, self._redis = pool, redis
        self._sql = load_queries("databases")
        self._numbers, self._taken = NO_DATABASES, set[int]()
        self.hindrance: str | None = "not probed"
        """Why new sandboxes get none; None if they do, as long as some are free."""

    async def probe(self, *, trial: bool = True) -> None:
        """Find out which the server has for sandboxes."""
        self._numbers, self.hindrance = await self._redis.find_databases(trial=trial)
        self._taken.clear()

    def lose(self, hindrance: str) -> None:
        """Workers have no logins to the server, so nobody gets a database."""
        self._numbers, self.hindrance = NO_DATABASES, hindrance

    @property
    def are_checked(self) -> bool:
        """Whether the server keeps users to theirs."""
        return bool(self._numbers)

    def candidates(self) -> list[int]:
        """Some that may be free, for the transaction that takes one. At random, for two that take the same one at the
        same moment would have to try again; all, where there are few."""
        some = random.sample(self._numbers, min(len(self._numbers), constants.REDIS_DATABASES_TRIED))
        return [number for number in some if number not in self._taken]

    async def settle(self, sandbox: Sandbox) -> None:
        """Claim it for a sandbox that is being made; where somebody else has something in it, which is named and left
        alone, another one, or none. An outage is no reason to fail: it is claimed before the first grant, too."""
        number = sandbox.redis_database
        try:
            while number is not None and not await self._redis.claim_database(number, sandbox.id):
                self._taken.add(number)
                logger.warning("a database of Valkey's is skipped: what is in it is not ours", database=number)
                candidates = self.candidates()
                number = await fetch_value(self._pool, self._sql["replace_database"], sandbox.id, number, candidates)
        except ServiceUnavailable as error:
            logger.debug("a database is not claimed yet", sandbox=str(sandbox.id), error=error.detail)

    async def claim(self, number: int, sandbox_id: UUID) -> bool:
        """Before each grant. False, with a line in the log, if it must not be let in there: the server doesn't check
        databases, or holds something else in it, or PostgreSQL has another sandbox there."""
        holder = await fetch_value(self._pool, self._sql["find_holder"], number)
        if self.are_checked and holder == sandbox_id and await self._redis.claim_database(number, sandbox_id):
            return True
        logger.warning("a sandbox is not let into its database", sandbox=str(sandbox_id), database=number)
        return False

    async def describe(self) -> tuple[int, int, dict[int, int]]:
        """How many there are, how many of them are in use, and those that are skipped: the others' that have keys, with
        how many."""
        rows = await fetch(self._pool, self._sql["list_databases"])
        assigned = {row["number"] for row in rows}
        registered, filled = await self._redis.list_databases()
        foreign = filled.keys() - registered.keys()
        others = {number: filled[number] for number in sorted(foreign) if number in self._numbers}
        return len(self._numbers), len(assigned & set(self._numbers)), others
