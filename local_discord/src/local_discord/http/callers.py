"""Who may ask at all: programs. A page that somebody has open in a browser may not, by whatever name it calls this."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp import web

from local_discord import wire

_DISCORDS_NAMES = re.compile(r"(.+\.)?(discord\.com|discord\.gg|discord\.media|discordapp\.com|discordapp\.net)")
_OF_A_MACHINE = re.compile(r"[^.]+|.+\.(localhost|internal)")
"""Nobody can have such a name lead to this machine who does not own it already."""


@web.middleware
async def only_programs(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """403 for what a browser asks on behalf of another page: tokens here are no secrets."""
    name = (request.url.host or "").lower()
    if "Origin" in request.headers or not _leads_only_here(name):
        told = {"message": "This Discord answers programs, and no page of a browser.", "code": 0}
        return web.Response(status=403, body=wire.encode(told), content_type="application/json")
    return await handler(request)


def _leads_only_here(name: str) -> bool:
    """Not a name of somebody's who had it lead here later."""
    if _OF_A_MACHINE.fullmatch(name) or _DISCORDS_NAMES.fullmatch(name):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
