"""Processes of this package that answer questions, a JSON line each: what is measured must not share a process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

type Json = dict[str, Any]
type Answer = Callable[..., Awaitable[Json]]

_MOST_BYTES = 1 << 22


class Process:
    """Asked one thing at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def ask(self, question: str, **details: object) -> Json:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"question": question, **details}).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process died when it was asked to {question}")
        answer: Json = json.loads(line)
        return answer

    def kill(self) -> None:
        self._process.kill()

    async def end(self) -> None:
        """Cleanly; a process whose stdin ends, ends."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def start(role: str, **config: object) -> AsyncIterator[Process]:
    """Runs `bench.<role>`, which says that it is ready with its first answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"bench.{role}",
        json.dumps(config),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_MOST_BYTES,
    )
    running = Process(process)
    try:
        await running.ask("ready")
        yield running
    finally:
        await running.end()


def config() -> Json:
    """What the process was started with."""
    given: Json = json.loads(sys.argv[1])
    return given


async def serve(answers: Mapping[str, Answer]) -> None:
    """Answers until stdin ends."""
    reader = asyncio.StreamReader(limit=_MOST_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        details: Json = json.loads(line)
        question = details.pop("question")
        answer = {} if question == "ready" else await answers[question](**details)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
