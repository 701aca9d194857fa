"""A worker that repeats a statement, as a process of its own: nice 19, half of the time, and an end by itself."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager, suppress

import asyncpg

from tests.sessions import ENDED


@asynccontextmanager
async def repeating(worker, statement, seconds=20, sessions=1):
    """While the worker's credentials repeat the statement, at most for that long; begun when it is entered. Each of the
    sessions that has ended is followed by another one."""
    url = worker.urls["SANDBOX_DATABASE_URL"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.breakout.flood", url, statement, str(seconds), str(sessions)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"begun\n"
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _come_back(url, statement, until):
    while time.monotonic() < until:
        with suppress(*ENDED):
            connection = await asyncpg.connect(url)
            try:
                await _repeat(connection, statement, until)
            finally:
                connection.terminate()
        await asyncio.sleep(0.01)


async def _repeat(connection, statement, until):
    while time.monotonic() < until:
        before = time.monotonic()
        executing = asyncio.ensure_future(connection.execute(statement))
        await asyncio.wait({executing}, timeout=_BEGUN_AFTER_S)
        _say_begun()
        await executing
        await asyncio.sleep(time.monotonic() - before)  # so that it takes half a core


_BEGUN_AFTER_S = 0.2
_said: list[str] = []


def _say_begun():
    if not _said:
        _said.append("begun")
        print("begun", flush=True)  # noqa: T201


async def _main(url, statement, seconds, sessions):
    until = time.monotonic() + float(seconds)
    await asyncio.gather(*(_come_back(url, statement, until) for _ in range(int(sessions))))


if __name__ == "__main__":
    os.nice(19)
    asyncio.run(_main(*sys.argv[1:]))
