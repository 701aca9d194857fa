"""Which gateways get the bot's token: what Redis or READY names is checked before anything is sent there."""

from __future__ import annotations

import json
from weakref import WeakKeyDictionary

import discord
import discord.gateway
import discord.http
import yarl
from loguru import logger

_OF_DISCORD = ".discord.gg"
_DISCORD_API = discord.http.Route.BASE

named_gateways: WeakKeyDictionary[discord.Client, yarl.URL] = WeakKeyDictionary()
"""What the API has named to each client last; for one that nobody has asked, where its first connection went."""


def is_trusted(address: str, named: yarl.URL, api_base: str) -> bool:
    """Whether it is Discord's, or at the host and port of the gateway that the API has `named`.

    Over TLS, unless the API itself is without.
    """
    try:
        url = yarl.URL(address)
        here, there = (url.host, url.port), (named.host, named.port)
    except ValueError:
        return False
    if url.scheme != "wss" and not (url.scheme == "ws" and api_base.startswith("http://")):
        return False
    return here == there or (url.host or "").endswith(_OF_DISCORD)


async def named_gateway(client: discord.Client, named: yarl.URL | None) -> yarl.URL:
    """The gateway that the API has named to the client. It is asked where discord.py has not, or asked another one."""
    known = named_gateways.get(client)
    default = discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
    if known is None or (named not in (None, default) and named != known):
        known = named or default
        if known == default and discord.http.Route.BASE != _DISCORD_API:
            # The default is Discord's own, whatever API the client was pointed at: that API names its gateway.
            known = yarl.URL((await client.http.get_bot_gateway())[1])
        named_gateways[client] = known
    return known


def with_own_gateway(ready: str, named: yarl.URL) -> str:
    """READY with the gateway that the API has `named` to resume at, if it names a foreign one or none: the next
    connection would send the token wherever READY says."""
    message = json.loads(ready)
    address = message["d"].get("resume_gateway_url")
    if isinstance(address, str) and is_trusted(address, named, discord.http.Route.BASE):
        return ready
    if address is not None:
        logger.warning("READY names a gateway that is not Discord's")
    message["d"]["resume_gateway_url"] = str(named)
    return json.dumps(message)
