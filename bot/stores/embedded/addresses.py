"""Where the embedded servers are, for the bot and for the workers."""

from __future__ import annotations

from urllib.parse import quote

from bot.stores.embedded.configuration import DATABASE, Layout
from bot.stores.embedded.reach import LOOPBACK, bracketed


def redis_url(layout: Layout) -> str:
    """Of Valkey, for the bot."""
    scheme, tls = ("redis", "") if layout.reach.certificates is None else ("rediss", _own_authority(layout))
    return f"{scheme}://default:{layout.passwords['redis']}@{LOOPBACK}:{layout.ports['redis']}{tls}"


def nats_url(layout: Layout, user: str, password: str) -> str:
    """Of NATS, for one of the bot's users; `password` is what that is kept as."""
    scheme, tls = ("nats", "") if layout.reach.certificates is None else ("tls", _own_authority(layout))
    host, port = bracketed(layout.reach.own_nats), layout.ports["nats"]
    return f"{scheme}://{user}:{layout.passwords[password]}@{host}:{port}{tls}"


def worker_url(layout: Layout, store: str) -> str:
    """Of a store, for workers, without a login."""
    reach, is_clear = layout.reach, layout.reach.certificates is None
    host = f"{bracketed(reach.host)}:{layout.ports[store]}"
    return {
        "postgres": f"postgresql://{host}/{DATABASE}{'' if is_clear else '?sslmode=require'}",
        "redis": f"{'redis' if is_clear else 'rediss'}://{host}",
        "nats": f"{'nats' if is_clear else 'tls'}://{host}",
    }[store]


def _own_authority(layout: Layout) -> str:
    """The certificates are for the workers' names, which is why the bot, on loopback, looks at who has signed them."""
    return f"?ssl_ca_certs={quote(str(layout.reach.authority), safe='')}&ssl_check_hostname=false"
