"""The guardian: the process that supervises the embedded servers, so that none outlives the bot, however the bot ends.

Run as `python -m bot.stores.guardian FD …` with one line of JSON on standard input: a list of servers. It is their
parent, hands them the file descriptors FD, starts one again that ends, with back-off, and tells standard output who
runs, one JSON object a line: `{"name", "pid"}` for a start, `{"name", "exit", "in_a_row"}` for an end, with how many
there were one soon after the other. When standard input ends, because the bot closed it or is no more, it stops them
all and exits. If it is killed itself, the kernel stops them (see `launch`). Needs nothing but the standard library, and
stands beside the package `embedded` because importing that one takes longer than a server takes to start.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, field

from bot import constants
from bot.stores import launch


@dataclass(slots=True)
class Server:
    """One server to supervise: `argv` stays in the foreground, `stop_signal` ends it in good order."""

    name: str
    argv: list[str]
    log: str
    stop_signal: int
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)


class Guardian:
    """The supervisor of the server processes, which inherit the descriptors."""

    def __init__(self, servers: list[Server], descriptors: tuple[int, ...]) -> None:
        self._servers, self._descriptors = servers, descriptors
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Return when standard input has ended or SIGTERM has come, and all servers are stopped."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_reader(sys.stdin.fileno(), self._read)
        tasks = [asyncio.create_task(self._supervise(server)) for server in self._servers]
        await self._stopping.wait()
        loop.remove_reader(sys.stdin.fileno())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self._stop(server) for server in self._servers))

    def _read(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self._stopping.set()

    async def _supervise(self, server: Server) -> None:
        in_a_row, pause = 0, 0.0
        while True:
            started = asyncio.get_running_loop().time()
            code = await self._run_once(server)
            lived = asyncio.get_running_loop().time() - started
            in_a_row = 1 if lived > constants.SERVER_RESTART_AFTER_AT_MOST_S else in_a_row + 1
            _report({"name": server.name, "exit": code, "in_a_row": in_a_row})
            longer = min(pause * 2, constants.SERVER_RESTART_AFTER_AT_MOST_S)
            pause = constants.SERVER_RESTART_AFTER_S if in_a_row == 1 else longer
            await asyncio.sleep(pause)

    async def _run_once(self, server: Server) -> int:
        """Its exit code; that for an error of the system if there was no memory, file or process to start it with."""
        try:
            await self._start(server)
        except OSError:
            return os.EX_OSERR
        assert server.process is not None
        return await server.process.wait()

    async def _start(self, server: Server) -> None:
        with open(server.log, "ab") as log:  # noqa: ASYNC230, PTH123 - a local file, opened once a start
            server.process = await asyncio.create_subprocess_exec(
                *server.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, launch.PARENT: str(os.getpid())},
                pass_fds=self._descriptors,
            )
        _report({"name": server.name, "pid": server.process.pid})

    async def _stop(self, server: Server) -> None:
        process = server.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(server.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), constants.SERVER_STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _report(event: dict[str, object]) -> None:
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except OSError:  # nobody listens any more
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _read_line() -> bytes:
    """Byte by byte, so that nothing after it stays in a buffer; empty if the input ends before the line does."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(sys.stdin.fileno(), 1)
        if not chunk:
            return b""
        line += chunk
    return line


def main() -> None:
    """See the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the bot, which then closes our input
    if line := _read_line():
        servers = [Server(**server) for server in json.loads(line)]
        asyncio.run(Guardian(servers, tuple(map(int, sys.argv[1:]))).run())


if __name__ == "__main__":
    main()
