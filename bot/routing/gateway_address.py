"""Which gateways get the bot's token: what Redis or READY names is checked before anything is sent there."""

from __future__ import annotations

import yarl

_OF_DISCORD = ".discord.gg"


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
