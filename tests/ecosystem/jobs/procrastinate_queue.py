"""Procrastinate: its schema, a job deferred, a worker that does it."""

import asyncio
import os

from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))
done = []


@app.task(queue="mails")
async def send(to: str):
    done.append(to)


async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await send.defer_async(to="ada")
        await app.run_worker_async(queues=["mails"], wait=False, install_signal_handlers=False)


asyncio.run(main())
assert done == ["ada"]
print("a job is deferred and done")
