"""`sandbox-worker run`: starts the program, and says which way it is led to the relay."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox_worker import variables
from sandbox_worker.environment import BotLogin, read_bot_login, read_dotenv_file
from sandbox_worker.errors import CommandNotFound
from sandbox_worker.run.forwarder import Forwarder, Origin
from sandbox_worker.run.hooking import find_program, hooked, understands_hooks, without_proxy
from sandbox_worker.run.libraries import KNOBS, installed_libraries
from sandbox_worker.run.process import start_process, wait_for
from sandbox_worker.run.relay_check import check_relay
from sandbox_worker.standard_names import DatabaseForm, standard_names
from sandbox_worker.text import plain
from sandbox_worker.trust import trusted_by

_DOTENV = Path(".env")

Way = Literal["hooks", "namespace", "address"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`way`: None for what suits the command and the machine. The token is set under each of the names. `database_url`
    is how that variable is written."""

    command: Sequence[str]
    token_variables: Sequence[str]
    way: Way | None = None
    database_url: DatabaseForm = DatabaseForm.POSTGRESQL


@dataclass(frozen=True, slots=True)
class _Start:
    login: BotLogin
    program: Path
    options: RunOptions
    environ: Mapping[str, str]
    """Without the token under the names that were chosen."""
    trust: ssl.SSLContext
    """Towards the relay."""

    @property
    def environ_with_token(self) -> dict[str, str]:
        return {**self.environ, **dict.fromkeys(self.options.token_variables, self.login.token)}

    def forwarder(self) -> Forwarder:
        """To the relay."""
        return Forwarder(Origin.of(self.login.api), Origin.of(self.login.gateway), self.trust)

    @property
    def origin(self) -> str:
        return self.login.api.partition("/api")[0]


async def run(options: RunOptions) -> int:
    """The command's exit code, once it has ended. A `WorkerError` says why it was not started."""
    login, own = read_bot_login(os.environ, _DOTENV)
    program = find_program(options.command, os.environ)
    if program is None:
        raise CommandNotFound(options.command[0])
    trust = trusted_by(own.get(variables.SANDBOX_TLS_CA, ""))
    await check_relay(login, trust)
    environ = {**os.environ, **own, **standard_names(own, options.database_url)}
    start = _Start(login, program, options, environ, trust)
    way = options.way or ("hooks" if understands_hooks(program) else "namespace")
    starters = {"hooks": _by_hooks, "namespace": _by_namespace, "address": _by_address}
    async with starters[way](start) as process:
        return await wait_for(process)


@asynccontextmanager
async def _by_hooks(start: _Start) -> AsyncIterator[asyncio.subprocess.Process]:
    from sandbox_worker.run.authority import make_authority

    authority = make_authority()
    server = await start.forwarder().listen(authority.tls)
    host, port = server.sockets[0].getsockname()
    environ = hooked(start.environ, start.options.token_variables, f"{host}:{port}", authority.certificate)
    _say(f"Discord is {start.origin} for this program and what it starts, by hooks in Python and Node.")
    _say("Not led there: other programs that it starts, and network code of a library's own, such as pycurl's.")
    try:
        yield await _start(start, environ)
    finally:
        server.close()  # what the program has left running is not waited for


@asynccontextmanager
async def _by_namespace(start: _Start) -> AsyncIterator[asyncio.subprocess.Process]:
    from sandbox_worker.run.authority import make_authority
    from sandbox_worker.run.namespace import in_namespace, ports_in

    ports = ports_in({**read_dotenv_file(_DOTENV), **start.environ})  # the program may read it by itself
    environ = {**start.environ_with_token, **without_proxy(start.environ)}
    async with in_namespace(
        start.program, start.options.command, environ, ports, start.forwarder(), make_authority()
    ) as process:
        _say(f"Discord is {start.origin} for this program and what it starts, in a namespace of Linux.")
        _say(f"Carried out of it: TCP by IPv4, to the ports {', '.join(map(str, ports))}, and questions for names.")
        _say("Not: UDP such as voice, ports it opens itself, and programs with authorities built in, as some of Rust.")
        yield process


@asynccontextmanager
async def _by_address(start: _Start) -> AsyncIterator[asyncio.subprocess.Process]:
    found = await asyncio.to_thread(installed_libraries, start.program, Path.cwd())
    _say("Only the variables are set; the bot's own code has to go to the relay.")
    if not found:
        _say(f"None of {', '.join(KNOBS)} is installed here: give yours SANDBOX_BOT_API in place of Discord's address.")
    for name in found[:3]:
        _say(f"{name}: {KNOBS[name]}")
    yield await _start(start, start.environ_with_token)


async def _start(start: _Start, environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    command = start.options.command
    try:
        return await start_process(*command, executable=str(start.program), environ=environ)
    except OSError as error:
        raise CommandNotFound(command[0], error.strerror or "") from error


def _say(line: str) -> None:
    sys.stderr.write(f"sandbox-worker: {plain(line)}\n")
    sys.stderr.flush()
