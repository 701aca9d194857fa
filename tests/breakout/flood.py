"""A worker that repeats a statement, as a process of its own: nice 19, half a core, and an end by itself."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def repeating(worker, statement, seconds=20):
    """While the worker's credentials repeat the statement, at most for that long; begun when it is entered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.breakout.flood", worker.urls["SANDBOX_DATABASE_URL"], statement, str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"begun\n"
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _repeat(url, statement, seconds):
    connection = await asyncpg.connect(url)
    began = time.monotonic()
    await connection.execute(statement)
    print("begun", flush=True)  # noqa: T201
    while time.monotonic() < began + seconds:
        before = time.monotonic()
        await connection.execute(statement)
        await asyncio.sleep(time.monotonic() - before)  # so that it takes half a core


if __name__ == "__main__":
    os.nice(19)
    asyncio.run(_repeat(sys.argv[1], sys.argv[2], float(sys.argv[3])))
