"""The process that keeps the embedded servers, so that none outlives the bot, however the bot ends.

Run as `python -m bot.stores.guardian LOCK_FD` with one line of JSON on standard input: a list of servers. It is
their parent, starts one again that dies alone, and tells standard output who runs, one JSON object a line. When
standard input ends, because the bot closed it or is no more, it stops them all and exits. If it is killed itself,
the kernel stops them (see `launch`). Needs nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, field

_STOP_WITHIN_S = 4.0
_RESTART_AFTER_S = 0.2
_LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class Server:
    """One server to keep: `argv` stays in the foreground, `stop_signal` ends it in good order."""

    name: str
    argv: list[str]
    log: str
    stop_signal: int
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)


class Guardian:
    def __init__(self, servers: list[Server], lock_fd: int) -> None:
        self._servers, self._lock_fd = servers, lock_fd
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Runs until standard input ends or SIGTERM comes."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_reader(sys.stdin.fileno(), self._read)
        tasks = [asyncio.create_task(self._keep_one(server)) for server in self._servers]
        await self._stopping.wait()
        loop.remove_reader(sys.stdin.fileno())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self._stop(server) for server in self._servers))

    def _read(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self._stopping.set()

    async def _keep_one(self, server: Server) -> None:
        pause = _RESTART_AFTER_S
        while True:
            started = asyncio.get_running_loop().time()
            await self._start(server)
            assert server.process is not None
            code = await server.process.wait()
            _tell({"name": server.name, "exit": code})
            lived = asyncio.get_running_loop().time() - started
            pause = _RESTART_AFTER_S if lived > _LONGEST_PAUSE_S else min(pause * 2, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause)

    async def _start(self, server: Server) -> None:
        with open(server.log, "ab") as log:  # noqa: ASYNC230, PTH123 - a local file, opened once a start
            server.process = await asyncio.create_subprocess_exec(
                *server.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self._lock_fd,),
            )
        _tell({"name": server.name, "pid": server.process.pid})

    async def _stop(self, server: Server) -> None:
        process = server.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(server.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _tell(event: dict[str, object]) -> None:
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except OSError:  # nobody listens any more
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the bot, which then closes our input
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(sys.stdin.fileno(), 1)
        if not chunk:
            return
        line += chunk
    servers = [Server(**server) for server in json.loads(line)]
    asyncio.run(Guardian(servers, int(sys.argv[1])).keep())


if __name__ == "__main__":
    main()
