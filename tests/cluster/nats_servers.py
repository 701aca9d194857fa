"""A cluster of NATS, each server of which is configured by examples/nats.conf."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import aiohttp

from bot.stores.embedded.programs import nats_program
from bot.stores.nats_access import Callout
from bot.stores.nats_jwt import account_of, new_account_seed
from tests.cluster.server import LOOPBACK, Server, free_ports

BOT, AUTH, SYSTEM = "sandbox-bot", "sandbox-auth", "sandbox-system"
_EXAMPLE = Path(__file__).parents[2] / "examples" / "nats.conf"
_PINGS = 'ping_interval: "1s", ping_max: 2'
"""Between servers: one that stands still is left after three seconds, and nobody's question is sent there any more."""
_CONFIG = """
include "example.conf"
server_name: "{name}"
listen: "{host}:{port}"
http: "{host}:{monitor}"
jetstream {{ store_dir: "{store}", max_file_store: 1PB, sync_interval: "1s" }}
{cluster}
{tls}
"""
_CLUSTER = 'cluster {{ name: sandboxes, listen: "{host}:{route}", routes: [{routes}], {pings} }}'
"""Of more than one server."""


class NatsCluster:
    """`async with` starts the servers `nats-1`, `nats-2` …; with `certificates`, as `sandbox-bot certificates` makes
    them, clients come by TLS."""

    def __init__(self, folder: Path, *, count: int = 3, certificates: Path | None = None) -> None:
        self._folder, self._certificates = folder, certificates
        self._names = [f"nats-{number}" for number in range(1, count + 1)]
        ports = free_ports(3 * count)
        self._ports, self._monitors, self._routes = ports[:count], ports[count : 2 * count], ports[2 * count :]
        self.passwords = {user: secrets.token_hex(16) for user in (BOT, AUTH, SYSTEM)}
        self._seed = new_account_seed()
        self.servers: dict[str, Server] = {}

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(_EXAMPLE, self._folder / "example.conf")
        for number, name in enumerate(self._names):
            self.servers[name] = self._server(number, name)
        try:
            await asyncio.gather(*(server.start() for server in self.servers.values()))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(server.kill() for server in self.servers.values()))

    def url(self, user: str = BOT, servers: Sequence[str] = ()) -> str:
        """Those servers, or all, with commas between, each with the user's login."""
        scheme = "nats" if self._certificates is None else "tls"
        login = f"{user}:{self.passwords[user]}"
        ports = [server.port for name, server in self.servers.items() if name in (servers or self.servers)]
        return ",".join(f"{scheme}://{login}@{LOOPBACK}:{port}" for port in ports)

    def rekey(self, seed: str, passwords: Mapping[str, str]) -> None:
        """What its configuration says from the next start on; for servers that are stopped."""
        self._seed = seed
        self.passwords.update(passwords)
        self.servers = {name: self._server(number, name) for number, name in enumerate(self._names)}

    @property
    def callout(self) -> Callout:
        """What it takes to answer."""
        return Callout(auth_url=self.url(AUTH), system_url=self.url(SYSTEM), account_seed=self._seed)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a bot on this cluster."""
        return {
            "NATS_URL": self.url(),
            "NATS_AUTH_URL": self.url(AUTH),
            "NATS_SYSTEM_URL": self.url(SYSTEM),
            "NATS_ACCOUNT_SEED": self._seed,
        }

    async def monitor(self, name: str, path: str) -> dict:
        """What that server says at `/varz`, `/jsz`, `/routez` and so on."""
        port = self._monitors[self._names.index(name)]
        async with aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as session, session.get(path) as answer:
            answer.raise_for_status()
            return dict(await answer.json())

    async def leader_of(self, stream: str) -> str | None:
        """The name of the server that leads the stream, by the first one that answers; None while there is none."""
        for server in self.servers.values():
            if server.runs and not server.is_frozen:
                told = await self.monitor(server.name, "/jsz?accounts=true&streams=true")
                found = [each for account in told["account_details"] for each in account.get("stream_detail", ())]
                return next((each["cluster"].get("leader") for each in found if each["name"] == stream), None)
        return None

    def _server(self, number: int, name: str) -> Server:
        config = self._folder / f"{name}.conf"
        config.write_text(
            _CONFIG.format(
                name=name,
                host=LOOPBACK,
                port=self._ports[number],
                monitor=self._monitors[number],
                cluster=self._cluster(self._routes[number]) if len(self._names) > 1 else "",
                store=self._folder / name,
                tls=self._tls(),
            )
        )
        argv = [nats_program(), "-c", str(config)]
        ready = partial(self._is_ready, name)
        return Server(name, self._ports[number], argv, self._folder, ready, self._environment)

    def _cluster(self, route: int) -> str:
        routes = ", ".join(f'"nats://{LOOPBACK}:{port}"' for port in self._routes if port != route)
        return _CLUSTER.format(host=LOOPBACK, route=route, routes=routes, pings=_PINGS)

    async def _is_ready(self, name: str) -> None:
        """With JetStream, and all of what the cluster knows of it."""
        await self.monitor(name, "/healthz")
        assert len(self._names) == 1 or (await self.monitor(name, "/jsz"))["meta_cluster"]["leader"]

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "SANDBOX_BOT_PASSWORD": f'"{self.passwords[BOT]}"',
            "SANDBOX_AUTH_PASSWORD": f'"{self.passwords[AUTH]}"',
            "SANDBOX_SYSTEM_PASSWORD": f'"{self.passwords[SYSTEM]}"',
            "SANDBOX_ISSUER": account_of(self._seed),
        }

    def _tls(self) -> str:
        if self._certificates is None:
            return ""
        certificate = self._certificates / "nats.pem"
        return f'tls {{ cert_file: "{certificate}", key_file: "{certificate.with_suffix(".key")}", timeout: 3 }}'
