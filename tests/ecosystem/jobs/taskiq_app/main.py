"""taskiq: a task by a stream of Redis's, done by its command line's worker."""

import asyncio
import subprocess

from tasks import add, broker


async def main():
    await broker.startup()
    task = await add.kiq(2, 3)
    assert (await task.wait_result(timeout=20)).return_value == 5
    await broker.shutdown()


worker = subprocess.Popen(["taskiq", "worker", "tasks:broker", "--workers", "1"])
asyncio.run(main())
worker.terminate()
worker.wait()
print("a task is queued and done")
