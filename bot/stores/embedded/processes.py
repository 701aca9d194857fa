"""The bot's end of the servers' processes: the guardian is started, heard, ended, and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from loguru import logger

from bot import constants
from bot.stores.embedded.configuration import ServerCommand
from bot.stores.embedded.errors import EmbeddedError, GuardianEnded
from bot.stores.embedded.identity import cpu_seconds, identify, is_alive, is_stopped


@dataclass(slots=True)
class ServerState:
    """How a server fares: `pid` is None while it is down, `restarts` counts since the bot's start.

    `last_exit` is the code of its last end that nobody asked for, negative for a signal; None if there was none.
    """

    pid: int | None = None
    restarts: int = 0
    last_exit: int | None = None
    identity: str = field(default="", repr=False)


class ServerProcesses:
    """The guardian and, as its children, the servers."""

    def __init__(self, commands: Sequence[ServerCommand], lock_fd: int) -> None:
        """`lock_fd` is inherited by every server, which so keeps the data folder locked."""
        self._commands, self._lock_fd = commands, lock_fd
        self.states = {command.name: ServerState() for command in commands}
        self.ended: set[str] = set()
        """The servers that have ended at least once since `start`."""
        self._guardian: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._alive_fd: int | None = None

    async def start(self) -> None:
        """Start the guardian, and through it the servers; it doesn't wait until they answer."""
        self.ended.clear()
        self._alive_fd, inherited = os.pipe()
        descriptors = (self._lock_fd, inherited)
        try:
            self._guardian = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot.stores.guardian", *map(str, descriptors)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=descriptors,
                start_new_session=True,
            )
        finally:
            os.close(inherited)
        assert self._guardian.stdin is not None
        self._listener = asyncio.create_task(self._listen(self._guardian))
        self._guardian.stdin.write(json.dumps([command.for_guardian for command in self._commands]).encode() + b"\n")
        with suppress(OSError):  # it has ended again: `watch` tells
            await self._guardian.stdin.drain()

    @property
    def guardian_ended(self) -> bool:
        """`watch` says how."""
        return self._guardian is not None and self._guardian.returncode is not None

    async def watch(self) -> None:
        """Raise `GuardianEnded` as soon as the guardian has ended."""
        assert self._guardian is not None
        code = await self._guardian.wait()
        raise GuardianEnded(f"The guardian of the embedded servers ended with exit code {code}.")

    async def kill(self) -> None:
        """Return when no process of guardian and servers is left, their children included; `EmbeddedError` if one
        does not end. What the servers were told to keep is on the disk."""
        if self._guardian is not None:
            with suppress(ProcessLookupError):
                self._guardian.kill()
        await self._forget_guardian()
        await self._end_servers()

    async def end(self, name: str, *, reporting: bool = False) -> str:
        """Return when a server has ended; the guardian starts it again. If `reporting`, what it said at its end."""
        if reporting:
            return await self._abort(name)
        await self._end_by(name, self._command(name).stop_signal, constants.SERVER_STOP_WITHIN_S)
        return ""

    async def _end_by(self, name: str, number: signal.Signals, within_s: float) -> None:
        """By that signal, or else it is killed; until the guardian has told of its end."""
        pid = self.states[name].pid
        self._signal(name, number)
        if not await _until(lambda: self.states[name].pid != pid, within_s):
            self._signal(name, signal.SIGKILL)
            await _until(lambda: self.states[name].pid != pid, within_s)

    async def _abort(self, name: str) -> str:
        """End a server at once, by the signal on which it reports what it was doing. The log from there on: it stands
        still first, for what it runs could write lines that look like the report."""
        log, identity = self._command(name).log, self.states[name].identity
        self._signal(name, signal.SIGSTOP)
        await _until(lambda: is_stopped(identity), constants.SERVER_ABORTS_WITHIN_S)
        begins = log.stat().st_size
        self._signal(name, signal.SIGABRT)
        await self._end_by(name, signal.SIGCONT, constants.SERVER_ABORTS_WITHIN_S)
        with log.open("rb") as file:
            file.seek(begins)
            return file.read(constants.SERVER_REPORT_READ).decode(errors="replace")

    def trim_log(self, name: str) -> None:
        """Empty a server's log that has grown too large: it is written to at its end, wherever that is."""
        log = self._command(name).log
        if log.stat().st_size > constants.SERVER_LOG_MOST:
            os.truncate(log, 0)

    def _command(self, name: str) -> ServerCommand:
        return next(command for command in self._commands if command.name == name)

    def cpu_seconds(self, name: str) -> float | None:
        """How long it has computed; None if that is not known, or it does not run."""
        pid = self.states[name].pid
        return cpu_seconds(pid) if pid is not None else None

    async def stop(self) -> None:
        """End the servers in good order, and the guardian with them."""
        if self._guardian is not None:
            assert self._guardian.stdin is not None
            self._guardian.stdin.close()
            try:
                await asyncio.wait_for(self._guardian.wait(), constants.GUARDIAN_STOP_WITHIN_S)
            except TimeoutError:
                self._guardian.kill()
        await self._forget_guardian()
        self._close_pipe()

    async def _forget_guardian(self) -> None:
        if self._guardian is not None:
            await self._guardian.wait()
            self._guardian = None
        if self._listener is not None:
            await self._listener
            self._listener = None

    async def _end_servers(self) -> None:
        """The kernel has told them to end with their parent; a system that can't, and one that hangs, are helped."""
        for command in self._commands:
            self._signal(command.name, command.stop_signal)
        if not await self._all_gone():
            for command in self._commands:
                self._signal(command.name, signal.SIGKILL)
            if not await self._all_gone():
                raise EmbeddedError("The embedded servers of before do not end. Stop them, then start the bot again.")
        for state in self.states.values():
            state.pid = None
        self._close_pipe()

    def _signal(self, name: str, number: int) -> None:
        state = self.states[name]
        if state.pid is not None and is_alive(state.identity):
            with suppress(ProcessLookupError):
                os.kill(state.pid, number)

    async def _all_gone(self) -> bool:
        """Every server's process, its children included, has inherited the other end of a pipe: when the last one has
        ended, the pipe has. No process number could say that of the children of a PostgreSQL that was killed."""
        if self._alive_fd is None:
            return True
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._alive_fd, gone.set)
        try:
            await asyncio.wait_for(gone.wait(), constants.SERVERS_GONE_WITHIN_S)
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._alive_fd)
        return True

    def _close_pipe(self) -> None:
        if self._alive_fd is not None:
            os.close(self._alive_fd)
            self._alive_fd = None

    async def _listen(self, guardian: asyncio.subprocess.Process) -> None:
        assert guardian.stdout is not None
        async for line in guardian.stdout:
            event = json.loads(line)
            name, state = event["name"], self.states[event["name"]]
            if "pid" in event:
                state.restarts += 1 if state.identity else 0
                state.pid, state.identity = event["pid"], identify(event["pid"])
                continue
            state.pid, state.last_exit = None, event["exit"]
            self.ended.add(name)
            level = "WARNING" if event["in_a_row"] == 1 else "DEBUG"  # told once; `states` says how it goes on
            logger.log(level, "embedded server ended and is started again", server=name, code=state.last_exit)


async def _until(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it has come true in time."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(constants.SERVER_ABORT_POLL_S)
    except TimeoutError:
        return False
    return True
