"""arq: a job is queued, a worker does it, another one is due later."""

import asyncio
import os

from arq import Worker, create_pool
from arq.connections import RedisSettings

settings = RedisSettings.from_dsn(os.environ["REDIS_URL"])


async def add(context, one, other):
    return one + other


async def main():
    redis = await create_pool(settings)
    job = await redis.enqueue_job("add", 2, 3)
    later = await redis.enqueue_job("add", 4, 5, _defer_by=0.1)
    worker = Worker([add], redis_pool=redis, burst=True, handle_signals=False)
    await worker.async_run()
    assert await job.result(timeout=5) == 5
    assert await later.result(timeout=5) == 9
    await worker.close()


asyncio.run(main())
print("a job is queued and done")
