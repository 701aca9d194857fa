"""A worker: remembers who wrote in its servers, and answers /score.

Save the file that `/sandbox connect` attaches as `.env`, and run `python examples/worker.py` in its folder.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from datetime import timedelta

from sandbox_worker import Event, InteractionFailed, Sandbox, WorkerError

TABLE = """
CREATE TABLE IF NOT EXISTS greeted (message_id bigint PRIMARY KEY, guild_id bigint, name text NOT NULL)
"""
GREET = "INSERT INTO greeted VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
COUNT = "SELECT count(*) FROM greeted WHERE name = $1"
COMMAND = 2
MOST_TRIES = 5
logger = logging.getLogger("worker")


async def main() -> None:
    async with Sandbox.from_env() as sandbox:
        await sandbox.pg.execute(TABLE)
        logger.info("waiting for events: sandbox %s", sandbox.environment.name)
        async for event in sandbox.events("MESSAGE_CREATE", "INTERACTION_CREATE"):
            await settle(sandbox, event)


async def settle(sandbox: Sandbox, event: Event) -> None:
    """An event may come twice, after an outage for instance: what is done for it can be done again."""
    try:
        await (answer if event.name == "INTERACTION_CREATE" else greet)(sandbox, event)
    except InteractionFailed as error:  # too late, or answered before: nothing is gained by another try
        logger.warning("not answered: %s", error)
        await event.terminate()
    except Exception as error:  # a store that is away, or a bug: neither may stop the events behind this one
        logger.warning("tried in vain: %s, sequence %d: %r", event.name, event.sequence, error)
        await (event.terminate() if event.redelivered >= MOST_TRIES else event.retry(after=timedelta(seconds=5)))
    else:
        await event.ack()


async def greet(sandbox: Sandbox, event: Event) -> None:
    """A row in the sandbox's own schema, a count under its own key, and a word to its other workers."""
    author = event.data["author"]
    if author.get("bot"):  # such as the one that answers /score
        return
    name = author["username"]
    await sandbox.pg.execute(GREET, int(event.data["id"]), event.guild_id, name)
    await sandbox.redis.hset("messages", name, await sandbox.pg.fetchval(COUNT, name))
    await sandbox.publish("greeted", name)


async def answer(sandbox: Sandbox, event: Event) -> None:
    """Discord waits 3 seconds; `event.defer()` would make 15 minutes of them."""
    if event.data["type"] == COMMAND and event.data["data"]["name"] == "score":
        name = event.data["member"]["user"]["username"]
        count = int(await sandbox.redis.hget("messages", name) or 0)
        await event.reply(f"{name}: {count} messages", ephemeral=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(main())
        except WorkerError as error:
            sys.exit(str(error))
