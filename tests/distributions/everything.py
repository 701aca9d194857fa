"""What the kit can do, each once, as a developer's program: run where the kit is installed and a `.env` lies."""

import asyncio
import json
import logging
import time
from datetime import timedelta

from sandbox_worker import Sandbox


async def main():
    async with Sandbox.from_env() as sandbox, asyncio.timeout(20):
        tail = sandbox.tail("NOTE", since=time.time() - 3600)
        events = sandbox.events("NOTE")
        kept = await anext(events)
        await kept.in_progress()
        dropped = await anext(events)
        await dropped.terminate()
        await kept.retry(after=timedelta(milliseconds=1))
        again = await anext(events)
        await again.ack()
        await events.aclose()
        tailed = [(await anext(tail)).sequence for _ in range(2)]
        await tail.aclose()

        async with sandbox.subscribe("jobs.*") as messages:
            await sandbox.publish("jobs.build", "now")
            message = await anext(messages)

        await sandbox.pg.execute("CREATE TABLE notes (text text)")
        await sandbox.pg.execute("INSERT INTO notes VALUES ($1)", again.data["text"])
        await sandbox.redis.rpush("queue", "first")
        async with sandbox.redis.pubsub() as pubsub:
            await pubsub.subscribe("news")
            confirmed = await pubsub.get_message(timeout=5)

        async with sandbox.subscribe("after") as messages:
            logging.getLogger("sandbox_worker").info("ready for an outage")
            after = await anext(messages)

        found = {
            "events": [kept.data["text"], dropped.data["text"], again.data["text"]],
            "redelivered": again.redelivered,
            "age": round(time.time() - again.stored_at.timestamp()),
            "tail": tailed,
            "message": [message.subject, message.data.decode()],
            "row": await sandbox.pg.fetchval("SELECT text FROM notes"),
            "popped": [part.decode() for part in await sandbox.redis.blpop("queue", timeout=1)],
            "channel": confirmed["channel"].decode(),
            "after": after.data.decode(),
        }
        print(json.dumps(found))


logging.basicConfig(level=logging.INFO, format="%(message)s")
asyncio.run(main())
