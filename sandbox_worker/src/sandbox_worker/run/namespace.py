"""Leads any program of Linux: in its namespace every address is ours, and what is not Discord's is carried on."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox_worker import constants
from sandbox_worker.errors import NamespaceRefused
from sandbox_worker.run.authority import RunAuthority
from sandbox_worker.run.client_hello import is_whole, server_name
from sandbox_worker.run.forwarder import Forwarder
from sandbox_worker.run.inside import Plan
from sandbox_worker.run.java_trust import trust_store
from sandbox_worker.run.name_server import NameServer
from sandbox_worker.run.names import is_discord
from sandbox_worker.run.pipes import BREAKS, both, pipe
from sandbox_worker.run.process import start_process

_INSIDE = Path(__file__).with_name("inside.py")
_HTTPS = 443
_ALWAYS = {53, 80, _HTTPS}
_OF_SCHEMES = {"postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379, "nats": 4222, "mysql": 3306}
_PORT_IN_URL = re.compile(r":(\d{1,5})(?=[/,?#]|$)")

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_TRUST_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Where programs look for the authorities that they trust."""


def ports_in(environ: Mapping[str, str]) -> list[int]:
    """Those of the web, and every one that stands in a variable's address."""
    found = set(_ALWAYS)
    for name, value in environ.items():
        scheme, is_url, rest = value.partition("://")
        if is_url:
            ports = [int(port) for port in _PORT_IN_URL.findall(rest)]
            found.update(ports or [_OF_SCHEMES.get(scheme.lower(), _HTTPS)])
        elif name.endswith("PORT") and value.isdecimal():
            found.add(int(value))
    return sorted(port for port in found if 0 < port < 65536)[: constants.CARRIED_PORTS]


@asynccontextmanager
async def in_namespace(
    program: Path,
    command: Sequence[str],
    environ: Mapping[str, str],
    ports: Sequence[int],
    forwarder: Forwarder,
    authority: RunAuthority,
) -> AsyncIterator[Process]:
    """The program, until the context is left; `NamespaceRefused` if the machine gives it none."""
    if sys.platform != "linux":
        raise NamespaceRefused("only Linux has them")
    with tempfile.TemporaryDirectory(prefix="sandbox-worker-") as folder:
        trusted, environ = _trusting(Path(folder), environ, authority.certificate)
        plan = Plan(program=str(program), command=[*command], ports=[*ports], trusted=str(trusted), bundles=_bundles())
        process, listening = await _start(plan, environ)
        gate = _Gate(listening, forwarder, authority.tls)
        try:
            yield process
        finally:
            await gate.close()


def _trusting(folder: Path, environ: Mapping[str, str], certificate: str) -> tuple[Path, dict[str, str]]:
    """A file of what the program would trust without us and of the run's own authority; and an environment that names
    it to whoever asks there."""
    named = [Path(environ[name]).resolve() for name in _TRUST_VARIABLES if environ.get(name)]
    files = [file for file in dict.fromkeys([*named, *map(Path, _bundles())]) if file.is_file()]
    pem = "\n".join([*(file.read_text(errors="replace") for file in files), certificate])
    trusted, java = folder / "trusted.pem", folder / "trusted.jks"
    trusted.write_text(pem)
    java.write_bytes(trust_store(pem))
    options = f"{environ.get('JAVA_TOOL_OPTIONS', '')} -Djavax.net.ssl.trustStore={java}".strip()
    return trusted, {**environ, **dict.fromkeys(_TRUST_VARIABLES, str(trusted)), "JAVA_TOOL_OPTIONS": options}


def _bundles() -> list[str]:
    """Each file once: what is mounted over a link is mounted over what it leads to."""
    return list(dict.fromkeys(str(Path(each).resolve()) for each in _BUNDLES if Path(each).is_file()))


async def _start(plan: Plan, environ: Mapping[str, str]) -> tuple[Process, list[socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            number = theirs.fileno()
            process = await start_process(
                *(sys.executable, "-I", "-S", str(_INSIDE), str(number)),
                executable=sys.executable,
                environ=environ,
                pass_fds=(number,),
            )
        ours.sendall(json.dumps(plan).encode() + b"\n")
        told, numbers, _, _ = await asyncio.to_thread(socket.recv_fds, ours, 4096, len(plan["ports"]) + 1)
    if told != b"ok":
        await process.wait()
        raise NamespaceRefused(told.decode(errors="replace"))
    return process, [socket.socket(fileno=each) for each in numbers]


class _Gate:
    """Takes what comes to the sockets of the namespace: TCP, and last the one for names."""

    def __init__(self, listening: Sequence[socket.socket], forwarder: Forwarder, tls: ssl.SSLContext) -> None:
        self._forwarder, self._tls = forwarder, tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._names = NameServer(listening[-1])
        for each in listening[:-1]:
            each.setblocking(False)
            self._begin(self._accept(each))

    async def close(self) -> None:
        """Cut what is still open: the program is gone."""
        self._names.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        with listening:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listening)
                self._begin(self._take(connection))

    async def _take(self, connection: socket.socket) -> None:
        host, port = connection.getsockname()
        try:
            name = await _wanted(connection) if port == _HTTPS else None
            if name is not None and is_discord(name):
                await self._answer_as_discord(connection)
            else:
                await _carry(connection, host, port)
        except BREAKS:
            connection.close()

    async def _answer_as_discord(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        served: asyncio.Future[None] = loop.create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._forwarder.serve(reader, writer)
            if not served.done():
                served.set_result(None)

        await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader, serve), connection, ssl=self._tls
        )
        await served


async def _wanted(connection: socket.socket) -> str | None:
    """The server's name in a TLS client's first message, which stays to be read."""
    async with asyncio.timeout(constants.CLIENT_HELLO_TIMEOUT_S):
        while True:
            start = await _peek(connection)
            if not start or is_whole(start) or len(start) == constants.CLIENT_HELLO_BYTES:
                return server_name(start)
            await asyncio.sleep(constants.CLIENT_HELLO_POLL_S)


async def _peek(connection: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(constants.CLIENT_HELLO_BYTES, socket.MSG_PEEK)


async def _carry(connection: socket.socket, host: str, port: int) -> None:
    async with asyncio.timeout(constants.RELAY_CONNECT_TIMEOUT_S):
        far_reader, far = await asyncio.open_connection(host, port)
    reader, writer = await asyncio.open_connection(sock=connection)
    await both(pipe(reader, far), pipe(far_reader, writer), writer, far)
