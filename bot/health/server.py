"""The HTTP server for whoever watches the bot: container engines, load balancers, Prometheus, people with curl."""

from __future__ import annotations

import asyncio
import ipaddress
import platform
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from urllib.parse import urlsplit

from aiohttp import web

from bot import constants
from bot.health.readyz import NEVER_KEPT, Check, tell
from bot.listening import is_loopback, open_socket, server_tls
from bot.settings import Settings, SettingsError

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALIVE = "alive\n"
_METHODS = ("GET", "HEAD")
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  # where one is asked that listens on all addresses


class HealthServer:
    """Answers GET and HEAD. `routes` are its handlers by path; more may be added while it serves."""

    def __init__(self, address: str, *, is_local: bool) -> None:
        """`address`: where it is reached, without a path. A local one answers nobody whom a web page sent."""
        self.address, self._is_local = address, is_local
        self._start = Check(detail="the bot is starting")
        self.routes: dict[str, Handler] = {
            "/livez": _tell_alive,
            "/readyz": self._tell_starting,
            "/version": _tell_version,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request's answer."""
        if self._is_local and not _is_meant(request):
            raise web.HTTPForbidden(text="Ask by the address that it listens on: 127.0.0.1, [::1] or localhost.\n")
        handler = self.routes.get(request.path)
        if handler is None:
            raise web.HTTPNotFound(text=f"There are {', '.join(sorted(self.routes))}.\n")
        if request.method not in _METHODS:
            raise web.HTTPMethodNotAllowed(request.method, _METHODS)
        return await handler(request)

    async def _tell_starting(self, _: web.Request) -> web.Response:
        """Until somebody knows more."""
        return tell({"start": self._start})


def open_health(settings: Settings) -> tuple[socket.socket, ssl.SSLContext | None]:
    """Where it is told, and by which certificate; `SettingsError`."""
    chosen, listen = settings.health, settings.health_listen
    if listen.rpartition(":")[2] == settings.relay_listen.rpartition(":")[2] != "0":
        raise SettingsError(f"health.listen: {listen} has the relay's port; choose another one.")
    tls = server_tls(chosen, section="health")
    return open_socket(listen, chosen, section="health"), tls


def own_address(settings: Settings) -> str:
    """Where it is told to this machine, without a path."""
    host, _, port = settings.health_listen.rpartition(":")
    return f"{'http' if settings.health.certificate is None else 'https'}://{_ANY.get(host, host)}:{port}"


@asynccontextmanager
async def serve_health(settings: Settings) -> AsyncIterator[HealthServer | None]:
    """Until the context is left; None where it is off. `SettingsError` if it can't listen where the settings say."""
    if settings.health_listen == "off":
        yield None
        return
    listening, tls = open_health(settings)
    server = HealthServer(_address_of(listening, has_tls=tls is not None), is_local=is_loopback(listening))
    runner = web.AppRunner(
        _application(server),
        access_log=None,
        shutdown_timeout=constants.CLOSE_WITHIN_S,
        keepalive_timeout=constants.HEALTH_IDLE_CONNECTION_S,
    )
    await runner.setup()
    assert runner.server is not None
    listener = await asyncio.get_running_loop().create_server(partial(_admit, runner.server), sock=listening, ssl=tls)
    try:
        yield server
    finally:
        listener.close()
        await runner.cleanup()


def _admit(server: web.Server) -> asyncio.Protocol:
    """For one connection more. The oldest make room for it: whoever holds many keeps nobody else out."""
    transports = [each.transport for each in server.connections]
    held = [each for each in transports if each is not None and not each.is_closing()]
    for oldest in held[: max(0, len(held) - constants.HEALTH_CONNECTIONS + 1)]:
        oldest.abort()
    return server()


def _application(server: HealthServer) -> web.Application:
    application = web.Application(client_max_size=constants.HEALTH_BODY_BYTES)
    application.router.add_route("*", "/{path:.*}", server.handle)
    return application


def _address_of(listening: socket.socket, *, has_tls: bool) -> str:
    host, port = listening.getsockname()[:2]
    return f"{'https' if has_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _is_meant(request: web.Request) -> bool:
    """A name of somebody else's may lead to loopback, and so may a page that a browser shows."""
    origin = request.headers.get("Origin")
    return _is_of_this_machine(request.host) and (origin is None or origin.partition("://")[2] == request.host)


def _is_of_this_machine(authority: str) -> bool:
    try:
        host = urlsplit(f"//{authority}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _tell_alive(_: web.Request) -> web.Response:
    """That the event loop turns; otherwise nobody is answered."""
    return web.Response(text=ALIVE, headers=NEVER_KEPT)


async def _tell_version(_: web.Request) -> web.Response:
    libraries = {name: version(name) for name in ("discord.py", "asyncpg", "redis", "nats-py")}
    told = {"version": version("discord-sandboxes"), "python": platform.python_version(), **libraries}
    return web.json_response(told, headers=NEVER_KEPT)
