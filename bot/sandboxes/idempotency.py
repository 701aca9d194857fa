"""What is asked for once is done once, however often the question comes: the key is the interaction's id.

Discord sends an interaction again after a RESUME from before it, and two processes may get the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from bot import constants
from bot.errors import NotAllowed
from bot.sandboxes.model import Actor
from bot.stores.postgres import Connection, Pool, connected, load_queries, transaction

Result = Mapping[str, Any]
"""What a repeat has to know of what was done, as JSON. Never a secret."""


class Idempotency:
    """The keys that were used, each for one action of one actor. A change that was refused has left none, and a repeat
    tries it anew.

    An actor without a key asks anew each time: then nothing is written, and every question is the first.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load_queries("idempotency")

    async def begin(
        self, connection: Connection, actor: Actor, action: str, result: Result | None = None
    ) -> Result | None:
        """First in the transaction that makes the change, before any row is locked. None: go on, it is the first.

        Otherwise the result of what was done before, empty if it has none (yet). Who is doing it at this moment is
        waited for. `NotAllowed` for another actor's key.
        """
        if actor.idempotency_key is None:
            return None
        key = actor.idempotency_key, action
        if await connection.fetchval(self._sql["begin"], *key, actor.id, result) is not None:
            return None
        earlier = await connection.fetchrow(self._sql["get"], *key)
        if earlier is None or int(earlier["actor_id"]) != actor.id:
            raise NotAllowed("Somebody else has asked for that.")
        return earlier["result"] or {}

    async def finish(self, connection: Connection, actor: Actor, action: str, result: Result) -> None:
        """In the same transaction, or in the last one of several."""
        if actor.idempotency_key is not None:
            await connection.execute(self._sql["finish"], actor.idempotency_key, action, result)

    async def take_over(self, connection: Connection, actor: Actor, action: str) -> bool:
        """Whether a repeat may go on with what the first run has not brought to its end: that has had its time."""
        after = timedelta(seconds=constants.TAKEN_OVER_AFTER_S)
        return await connection.fetchval(self._sql["take_over"], actor.idempotency_key, action, after) is not None

    async def is_finished(self, connection: Connection, actor: Actor, action: str) -> bool:
        """Whether a repeat has brought it to its end meanwhile, while the first run was taken for dead."""
        if actor.idempotency_key is None:
            return False
        earlier = await connection.fetchrow(self._sql["get"], actor.idempotency_key, action)
        return earlier is not None and bool(earlier["result"])

    async def run(self, actor: Actor, action: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """What takes several transactions and may be repeated as a whole. The result is never empty.

        A repeat waits for the first run, and does it again if that has failed, or died on the way.
        """
        while actor.idempotency_key is not None:
            async with transaction(self._pool) as connection:
                earlier = await self.begin(connection, actor, action)
                if earlier is None or (not earlier and await self.take_over(connection, actor, action)):
                    break
            if earlier:
                return earlier
            await asyncio.sleep(constants.FIRST_RUN_ASKED_EVERY_S)
        result = await work()
        async with connected(self._pool) as connection:
            await self.finish(connection, actor, action, result)
        return result

    async def expire(self) -> int:
        """Forget what is older than `IDEMPOTENCY_KEYS_KEPT`; how many keys those were."""
        async with connected(self._pool) as connection:
            return len(await connection.fetch(self._sql["expire"], constants.IDEMPOTENCY_KEYS_KEPT))
